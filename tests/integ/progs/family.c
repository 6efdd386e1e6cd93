/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A parent with children that know each other in every way: ids, groups, a session, a pipe, a pair of sockets, a file position that they share, record locks
 * on that file, a connection that waits to be accepted until the end, shared memory with a lock in it, a child that has ended. Every step checks all of it.
 * Usage: family STEPS
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "step.h"

enum { CHILDREN = 4 };

struct shared {
	pthread_mutex_t lock;
	pthread_cond_t turn_changed;
	int turn; /* whose: 0 the parent */
	int step;
	long sum;
	pid_t pid[CHILDREN + 1], pgid[CHILDREN + 1], sid[CHILDREN + 1];
};

static struct shared *sh;
static int me;
static int last_fd; /* a file whose position all share */
static int listening;
static struct sockaddr_un service = { .sun_family = AF_UNIX };
static socklen_t service_bytes;

static void fail(const char *what, long a, long b)
{
	printf("process %d, step %d: %s: %ld, not %ld\n", me, sh->step, what, a, b);
	fflush(stdout);
	_exit(1);
}

static void same(const char *what, long a, long b)
{
	if (a != b)
		fail(what, a, b);
}

static void check_ids(void)
{
	same("getpid", getpid(), sh->pid[me]);
	same("getpgrp", getpgrp(), sh->pgid[me]);
	same("getsid", getsid(0), sh->sid[me]);
	if (me)
		same("getppid", getppid(), sh->pid[0]);
	for (int i = 0; i <= CHILDREN; i++) {
		same("getpgid of another", getpgid(sh->pid[i]), sh->pgid[i]);
		same("kill 0", kill(sh->pid[i], 0), 0);
	}
}

/* Everybody's own byte of the shared file. */
static void take_lock(void)
{
	struct flock own = { .l_type = F_WRLCK, .l_start = me, .l_len = 1 };

	if (fcntl(last_fd, F_SETLK, &own))
		fail("F_SETLK", errno, 0);
}

static void check_locks(void)
{
	for (int i = 0; i <= CHILDREN; i++) {
		struct flock l = { .l_type = F_WRLCK, .l_start = i, .l_len = 1 };

		same("F_GETLK", fcntl(last_fd, F_GETLK, &l), 0);
		same("another's record lock", l.l_type, i == me ? F_UNLCK : F_WRLCK);
	}
}

static void take_turn(void)
{
	char digit;

	pthread_mutex_lock(&sh->lock);
	while (sh->turn != me && sh->step >= 0)
		pthread_cond_wait(&sh->turn_changed, &sh->lock);
	if (sh->step >= 0) {
		check_ids();
		check_locks();
		sh->sum += (long)me * sh->step;
		if (read(last_fd, &digit, 1) != 1)
			fail("read", errno, 0);
		same("position of the shared file", lseek(last_fd, 0, SEEK_CUR), (long)sh->step * (CHILDREN + 1) + me + 1);
	}
	sh->turn = (me + 1) % (CHILDREN + 1);
	pthread_cond_broadcast(&sh->turn_changed);
	pthread_mutex_unlock(&sh->lock);
}

static volatile sig_atomic_t got_usr1;

static void on_usr1(int sig)
{
	(void)sig;
	got_usr1++;
}

static void listen_at(pid_t pid)
{
	service_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)snprintf(service.sun_path + 1, 50, "cr-family-%d", (int)pid));
	listening = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listening < 0 || bind(listening, (void *)&service, service_bytes) || listen(listening, 3))
		fail("listen", errno, 0);
}

static int connect_there(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (void *)&service, service_bytes))
		fail("connect", errno, 0);
	return fd;
}

static void accept_at_last(void)
{
	int fd = accept(listening, NULL, NULL);

	if (fd < 0 || write(fd, "!", 1) != 1)
		fail("accept", errno, 0);
}

static void child(int number, int in, int out)
{
	char line[64];
	int waiting;
	ssize_t n;

	me = number;
	if (me == 2)
		setpgid(0, 0);
	if (me == 3)
		setsid();
	signal(SIGUSR1, on_usr1);
	sh->pid[me] = getpid();
	sh->pgid[me] = getpgrp();
	sh->sid[me] = getsid(0);
	take_lock();
	waiting = me == 1 ? connect_there() : -1;
	if (write(out, "r", 1) != 1)
		_exit(1);
	while ((n = read(in, line, sizeof(line))) > 0) {
		take_turn();
		if (write(out, line, (size_t)n) != n)
			fail("write", errno, 0);
	}
	if (waiting >= 0)
		same("what is said to the one that waited", read(waiting, line, 2), 1);
	_exit(10 + me);
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 100), to[CHILDREN + 1], from[CHILDREN + 1], status;
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	char name[] = "family.XXXXXX";
	pid_t ended, killed;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&sh->lock, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&sh->turn_changed, &ca);
	last_fd = mkstemp(name);
	unlink(name);
	for (int i = 0; i < (steps + 1) * (CHILDREN + 1); i++)
		if (write(last_fd, "x", 1) != 1)
			return 1;
	lseek(last_fd, 0, SEEK_SET);
	sh->pid[0] = getpid();
	sh->pgid[0] = getpgrp();
	sh->sid[0] = getsid(0);
	take_lock();
	listen_at(sh->pid[0]);
	ended = fork();
	if (ended == 0)
		_exit(3);
	killed = fork();
	if (killed == 0) {
		raise(SIGKILL);
		_exit(1);
	}
	for (int i = 1; i <= CHILDREN; i++) {
		int a[2], b[2];
		char ready;

		if (i % 2) {
			if (pipe(a) || pipe(b))
				return 1;
		} else if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) || socketpair(AF_UNIX, SOCK_STREAM, 0, b)) {
			return 1;
		}
		fflush(stdout);
		if (fork() == 0) {
			for (int k = 1; k < i; k++) {
				close(to[k]);
				close(from[k]);
			}
			close(a[1]);
			close(b[0]);
			child(i, a[0], b[1]);
		}
		close(a[0]);
		close(b[1]);
		to[i] = a[1];
		from[i] = b[0];
		if (read(from[i], &ready, 1) != 1)
			return 1;
	}
	for (int step = 0; step < steps; step++) {
		struct timespec pause = { 0, 4000000 };
		char line[64], back[64];
		int n = snprintf(line, sizeof(line), "step %d", step);

		sh->step = step;
		for (int i = 1; i <= CHILDREN; i++)
			if (write(to[i], line, (size_t)n) != n)
				fail("write to a child", errno, 0);
		take_turn();
		for (int i = 1; i <= CHILDREN; i++) {
			same("answer", read(from[i], back, sizeof(back)), n);
			same("answer's text", memcmp(back, line, (size_t)n), 0);
			kill(sh->pid[i], SIGUSR1);
		}
		same("nobody has ended", waitpid(sh->pid[2], &status, WNOHANG), 0);
		printf("step %d sum %ld\n", step, sh->sum);
		fflush(stdout);
		step_hold(step);
		nanosleep(&pause, NULL);
	}
	accept_at_last();
	same("the one that ended", waitpid(ended, &status, 0), ended);
	same("its status", status, 3 << 8);
	same("the one that was killed", waitpid(killed, &status, 0), killed);
	same("its signal", status & 0x7f, SIGKILL);
	for (int i = 1; i <= CHILDREN; i++) {
		siginfo_t si;

		close(to[i]);
		if (i == 1) {
			same("waitid", waitid(P_PID, (id_t)sh->pid[i], &si, WEXITED), 0);
			same("si_pid", si.si_pid, sh->pid[i]);
			same("si_status", si.si_status, 10 + i);
		} else {
			same("wait", waitpid(sh->pid[i], &status, 0), sh->pid[i]);
			same("status", status, (10 + i) << 8);
		}
	}
	same("no child is left", waitpid(-1, &status, 0), -1);
	puts("ok");
	return 0;
}

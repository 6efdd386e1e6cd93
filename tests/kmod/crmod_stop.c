// SPDX-License-Identifier: GPL-2.0-or-later
/* Sets of processes are stopped and let go: scopes, refusals, deadlines, and what happens when somebody dies. */
#include <grp.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

#include "crmod_request.h"

static void test_process(int fd)
{
	pid_t pid = counting_child(0, 5);
	struct cr_ioc_wait w;

	ok(counters_run(0, 5), "a process with 5 threads runs");
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "it is stopped");
	ok(w.ret_state == CR_IOC_STOPPED && w.ret_processes == 1 && w.ret_tasks == 5, "1 process, 5 tasks (%u, %u)", w.ret_processes, w.ret_tasks);
	ok(counters_stand(0, 5), "no thread runs");
	ok(state_of(fd, pid) == CR_IOC_P_INSIDE, "the list says so");
	is(dev_call(fd, CR_IOC_RESUME, NULL), 0, "it is let go");
	ok(counters_run(0, 5), "all of its threads run");
	is(dev_call(fd, CR_IOC_RESUME, NULL), 0, "a second RESUME changes nothing");
	for (int i = 0; i < 20; i++) {
		if (stop_pid(fd, CR_IOC_PROC, pid, &w) || w.ret_tasks != 5 || dev_call(fd, CR_IOC_RESUME, NULL)) {
			ok(false, "stop %d of 20", i);
			break;
		}
	}
	ok(counters_run(0, 5), "and after 20 more stops");
	end_child(pid);
}

/* A leader of a session with three children, one of which has a child: five processes. */
static pid_t family(bool session)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (session)
		setsid();
	else
		setpgid(0, 0);
	for (unsigned int i = 1; i < 4; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (i == 3 && fork() == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				count_forever(4);
			}
			count_forever(i);
		}
	}
	count_forever(0);
	return 0;
}

static void test_scope(int fd, uint32_t scope, const char *name)
{
	pid_t pid = family(scope == CR_IOC_SESSION);
	struct cr_ioc_wait w;

	ok(counters_run(0, 5), "a family of 5 runs");
	is(stop_pid(fd, scope, pid, &w), 0, name);
	ok(w.ret_processes == 5 && counters_stand(0, 5), "all 5 stand (%u)", w.ret_processes);
	dev_call(fd, CR_IOC_RESUME, NULL);
	ok(counters_run(0, 5), "all 5 go on");
	end_child(pid);
}

static void test_list(int fd)
{
	int32_t pids[3] = { counting_child(0, 1), counting_child(1, 2), getpid() };
	struct cr_ioc_request r = request_of(CR_IOC_PIDS, 0);
	struct cr_ioc_wait w;

	counters_run(0, 3);
	r.pids = (uintptr_t)pids;
	r.count = 3;
	is(stop_set(fd, &r, &w), 0, "a list that names the requester too");
	ok(w.ret_processes == 2 && w.ret_tasks == 3, "the requester is left out (%u, %u)", w.ret_processes, w.ret_tasks);
	ok(counters_stand(0, 3), "the others stand");
	dev_call(fd, CR_IOC_RESUME, NULL);
	is(stop_pid(fd, CR_IOC_PROC, getpid(), &w), -ESRCH, "the requester alone: nobody is left");
	ok(w.ret_why == CR_IOC_WHY_NOBODY, "and it says so (%u)", w.ret_why);
	is(stop_pid(fd, CR_IOC_TREE, getpid(), &w), 0, "the requester's tree");
	ok(w.ret_processes == 2, "without the requester (%u)", w.ret_processes);
	dev_call(fd, CR_IOC_RESUME, NULL);
	end_child(pids[0]);
	end_child(pids[1]);
}

static void test_busy(int fd)
{
	pid_t pid = counting_child(0, 2);
	struct cr_ioc_wait w;
	int other = dev_open();
	struct cr_ioc_request r;

	counters_run(0, 2);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "a process in a request");
	r = request_of(CR_IOC_PROC, pid);
	is(dev_call(fd, CR_IOC_REQUEST, &r), -EBUSY, "a second request of the same descriptor");
	is(stop_pid(other, CR_IOC_PROC, pid, &w), -EBUSY, "a request of another descriptor for it");
	ok(w.ret_why == CR_IOC_WHY_BUSY && w.ret_pid == pid, "names it");
	ok(counters_stand(0, 2), "the first request still holds");
	dev_call(fd, CR_IOC_RESUME, NULL);
	is(stop_pid(other, CR_IOC_PROC, pid, &w), 0, "afterwards the other one may");
	close(other);
	ok(counters_run(0, 2), "closing the descriptor lets it go");
	end_child(pid);
}

static void test_requester_dies(int fd)
{
	pid_t pid = counting_child(0, 3), requester, heir = 0;
	struct cr_ioc_wait w;
	int pipes[2];

	if (pipe(pipes))
		exit(2);
	counters_run(0, 3);
	requester = fork();
	if (!requester) {
		int mine = open(CR_IOC_DEVICE, O_RDWR); /* its child has it too */

		if (stop_pid(mine, CR_IOC_PROC, pid, &w))
			_exit(1);
		heir = fork();
		if (heir && write(pipes[1], &heir, sizeof(heir)) != sizeof(heir))
			_exit(1);
		for (;;)
			pause();
	}
	ok(read(pipes[0], &heir, sizeof(heir)) == sizeof(heir) && counters_stand(0, 3), "stopped by another process, whose child shares the descriptor");
	end_child(requester);
	ok(counters_run(0, 3), "the requester's death lets it go");
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "and it can be stopped again");
	dev_call(fd, CR_IOC_RESUME, NULL);
	kill(heir, SIGKILL);
	close(pipes[0]);
	close(pipes[1]);
	end_child(pid);
}

static void test_deadlines(int fd)
{
	pid_t pid, parent;
	struct cr_ioc_request r;
	struct cr_ioc_wait w;

	/* A parent of vfork waits in the kernel for its child and comes out for a fatal signal alone. */
	atomic_store(&counter[0], 0);
	atomic_store(&counter[1], 0);
	parent = fork();
	if (!parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (vfork() == 0) {
			atomic_store(&counter[0], 1);
			while (!atomic_load(&counter[1]))
				usleep(1000);
			_exit(0);
		}
		count_forever(2);
	}
	while (!atomic_load(&counter[0]))
		nap();
	r = request_of(CR_IOC_PROC, parent);
	r.deadline_ns = now_ns() + SECOND;
	is(stop_set(fd, &r, &w), -ETIMEDOUT, "a task that cannot come in");
	ok(w.ret_why == CR_IOC_WHY_DEADLINE && w.ret_pid == parent, "is named (%u, %d)", w.ret_why, w.ret_pid);
	atomic_store(&counter[1], 1);
	ok(counters_run(2, 1), "it goes on");
	end_child(parent);

	pid = counting_child(4, 2);
	counters_run(4, 2);
	r = request_of(CR_IOC_PROC, pid);
	r.hold_ns = SECOND / 4;
	is(stop_set(fd, &r, &w), 0, "a request with a short hold");
	is(wait_done(fd, &w), -ETIMEDOUT, "ends by itself");
	ok(w.ret_why == CR_IOC_WHY_HELD, "and says so (%u)", w.ret_why);
	is(dev_call(fd, CR_IOC_RESUME, NULL), -ETIMEDOUT, "RESUME tells that it is too late");
	ok(counters_run(4, 2), "the process goes on");
	r = request_of(CR_IOC_PROC, pid);
	r.deadline_ns = now_ns() - 1;
	is(dev_call(fd, CR_IOC_REQUEST, &r), -ETIMEDOUT, "a deadline in the past");
	end_child(pid);
}

static atomic_int caught;
static void catch_it(int sig)
{
	(void)sig;
	atomic_fetch_add(&counter[9], 1);
	caught = 1;
}

static void test_signals(int fd)
{
	pid_t pid = counting_child(0, 3), reader;
	int status, pipes[2];
	struct cr_ioc_wait w;
	char c = 'y';

	counters_run(0, 3);
	stop_pid(fd, CR_IOC_PROC, pid, &w);
	kill(pid, SIGKILL);
	ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "SIGKILL ends a process that is held");
	ok(state_of(fd, pid) == CR_IOC_P_GONE, "the list says that it is gone");
	dev_call(fd, CR_IOC_RESUME, NULL);

	pid = counting_child(0, 3);
	counters_run(0, 3);
	stop_pid(fd, CR_IOC_PROC, pid, &w);
	kill(pid, SIGTERM);
	ok(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "so does a signal whose default is to end it");
	dev_call(fd, CR_IOC_RESUME, NULL);

	if (pipe(pipes))
		exit(2);
	atomic_store(&counter[8], 0);
	atomic_store(&counter[9], 0);
	reader = fork();
	if (!reader) {
		struct sigaction sa = { .sa_handler = catch_it };
		ssize_t got;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigaction(SIGUSR1, &sa, NULL);
		atomic_store(&counter[8], 1);
		got = read(pipes[0], &c, 1); /* a stop must not be seen here */
		atomic_store(&counter[8], got == 1 && !caught ? 2 : 3);
		while (!caught)
			pause();
		_exit(0);
	}
	while (atomic_load(&counter[8]) != 1)
		nap();
	for (int i = 0; i < 5; i++) {
		stop_pid(fd, CR_IOC_PROC, reader, &w);
		dev_call(fd, CR_IOC_RESUME, NULL);
	}
	ok(write(pipes[1], &c, 1) == 1, "a byte for a process that was stopped 5 times in read");
	while (atomic_load(&counter[8]) == 1)
		nap();
	ok(atomic_load(&counter[8]) == 2, "read was begun again, not interrupted");
	is(stop_pid(fd, CR_IOC_PROC, reader, &w), 0, "a process in pause");
	kill(reader, SIGUSR1);
	for (int i = 0; i < 10; i++)
		nap();
	ok(atomic_load(&counter[9]) == 0, "its handler does not run while it is held");
	dev_call(fd, CR_IOC_RESUME, NULL);
	ok(waitpid(reader, &status, 0) == reader && WIFEXITED(status) && WEXITSTATUS(status) == 0, "the handler runs afterwards");
	close(pipes[0]);
	close(pipes[1]);
}

static void *only_thread(void *arg)
{
	(void)arg;
	count_forever(1);
	return NULL;
}

static void test_odd_processes(int fd)
{
	pid_t pid = fork();
	struct cr_ioc_request r;
	struct cr_ioc_wait w;
	int status;

	if (!pid) {
		pthread_t t;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&t, NULL, only_thread, NULL);
		pthread_exit(NULL);
	}
	counters_run(1, 1);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "a process whose first thread has ended");
	ok(counters_stand(1, 1) && w.ret_processes == 1, "stands");
	dev_call(fd, CR_IOC_RESUME, NULL);
	ok(counters_run(1, 1), "and goes on");
	end_child(pid);

	pid = counting_child(0, 2);
	counters_run(0, 2);
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), -EBUSY, "a process stopped by job control");
	ok(w.ret_why == CR_IOC_WHY_JOBCTL, "is refused by name");
	kill(pid, SIGCONT);
	counters_run(0, 2);
	ptrace(PTRACE_SEIZE, pid, NULL, NULL);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), -EBUSY, "a traced process");
	ok(w.ret_why == CR_IOC_WHY_TRACED, "is refused by name");
	end_child(pid);

	is(stop_pid(fd, CR_IOC_PROC, pid, &w), -ESRCH, "a process that has ended");
	pid = fork();
	if (!pid)
		_exit(0);
	waitid(P_PID, (id_t)pid, NULL, WEXITED | WNOWAIT);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), -ESRCH, "a zombie");
	waitpid(pid, NULL, 0);
	is(stop_pid(fd, CR_IOC_PROC, 2, &w), -EPERM, "a thread of the kernel");
	r = request_of(CR_IOC_PROC, 0);
	is(dev_call(fd, CR_IOC_REQUEST, &r), -EINVAL, "process 0");
	r = request_of(9, 1);
	is(dev_call(fd, CR_IOC_REQUEST, &r), -EINVAL, "a scope that is not known");
	r = request_of(CR_IOC_PROC, 1);
	r.flags = 0x80;
	is(dev_call(fd, CR_IOC_REQUEST, &r), -EINVAL, "a flag that is not known");
	r = request_of(CR_IOC_PIDS, 0);
	r.count = 1;
	r.pids = 16;
	is(dev_call(fd, CR_IOC_REQUEST, &r), -EFAULT, "a list that is not there");
	is(dev_call(fd, CR_IOC_REQUEST, (void *)16), -EFAULT, "a request that is not there");
}

/* Who may: an ordinary user that was given the device. */
static void test_access(void)
{
	pid_t root = counting_child(0, 1), user;
	int status;

	chmod(CR_IOC_DEVICE, 0666);
	counters_run(0, 1);
	user = fork();
	if (!user) {
		struct cr_ioc_wait w;
		int fd, bad = 0;
		pid_t own;

		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(99);
		prctl(PR_SET_DUMPABLE, 1);
		fd = dev_open();
		status = (int)stop_pid(fd, CR_IOC_PROC, root, &w);
		bad |= !(status == -EACCES || status == -EPERM) || w.ret_why != CR_IOC_WHY_ACCESS || w.ret_pid != root;
		own = counting_child(1, 1);
		counters_run(1, 1);
		bad |= (stop_pid(fd, CR_IOC_PROC, own, &w) != 0) << 1;
		bad |= !counters_stand(1, 1) << 2;
		bad |= (stop_pid(dev_open(), CR_IOC_TREE, 1, &w) == 0) << 3;
		end_child(own);
		_exit(bad);
	}
	waitpid(user, &status, 0);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a user may stop its own processes and no others (%#x)", status);
	ok(counters_run(0, 1), "the others never noticed");
	end_child(root);
	chmod(CR_IOC_DEVICE, 0660);
}

/* Forks, threads and execs without end: whatever a request meets, it ends, and nobody stays behind. */
static void churn(const char *self)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 0;; i++) {
		pid_t pid = fork();
		pthread_t t;

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (i % 3 == 0)
				execl(self, self, "--exit", NULL);
			if (i % 3 == 1 && pthread_create(&t, NULL, count_thread, (void *)7) == 0)
				usleep(2000);
			_exit(0);
		}
		if (i % 4 == 3)
			kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		atomic_fetch_add(&counter[0], 1);
	}
}

static void test_churn(int fd, const char *self)
{
	unsigned int stopped = 0, stood = 0;
	struct cr_ioc_wait w;
	pid_t pid = fork();

	if (!pid)
		churn(self);
	counters_run(0, 1);
	for (int i = 0; i < 60; i++) {
		if (stop_pid(fd, CR_IOC_TREE, pid, &w) == 0) {
			unsigned int before = atomic_load(&counter[0]);

			stopped++;
			nap();
			stood += before == atomic_load(&counter[0]);
		} else {
			printf("# result %d why %u pid %d\n", w.ret_result, w.ret_why, w.ret_pid);
		}
		dev_call(fd, CR_IOC_RESUME, NULL);
	}
	ok(stopped == 60 && stood == 60, "60 requests for a tree that forks, execs and dies: %u stopped, %u stood", stopped, stood);
	ok(counters_run(0, 1), "it goes on");
	end_child(pid);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc > 1 && !strcmp(argv[1], "--exit"))
		return 0;
	counters_init();
	fd = dev_open();
	test_process(fd);
	test_scope(fd, CR_IOC_TREE, "a tree is stopped");
	test_scope(fd, CR_IOC_PGRP, "a process group is stopped");
	test_scope(fd, CR_IOC_SESSION, "a session is stopped");
	test_list(fd);
	test_busy(fd);
	test_requester_dies(fd);
	test_deadlines(fd);
	test_signals(fd);
	test_odd_processes(fd);
	test_access();
	test_churn(fd, argv[0]);
	close(fd);
	return tap_end();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The CRUT rows about what a process has: each part sets it up, saves itself, looks at it, and is restarted (cr_restart context) to look again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "parity.h"

static int save(void)
{
	int rc = cr_self_checkpoint("context", PATIENCE_S);

	if (rc < 0) {
		char why[1024] = "";

		cr_nocr_query(0, why, sizeof(why));
		fprintf(stderr, "not saved: %s\n%s\n", cr_strerror(-rc), why);
	}
	NEED(rc >= 0);
	return rc;
}

static int atomics(void)
{
	static cr_spinlock_t l = CR_SPINLOCK_INITIALIZER;

	NEED(cr_spinlock_trylock(&l) == 1 && cr_spinlock_trylock(&l) == 0);
	save();
	NEED(cr_spinlock_trylock(&l) == 0);
	cr_spinlock_unlock(&l);
	cr_spinlock_lock(&l);
	cr_spinlock_init(&l);
	NEED(cr_spinlock_trylock(&l) == 1);
	return 0;
}

static pthread_barrier_t barrier;

static void *five(void *arg)
{
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static int simple_pthread(void)
{
	pthread_t t[5];
	void *r;

	pthread_barrier_init(&barrier, NULL, 6);
	for (long i = 0; i < 5; i++)
		NEED(pthread_create(&t[i], NULL, five, (void *)i) == 0);
	pthread_barrier_wait(&barrier);
	save();
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < 5; i++)
		NEED(pthread_join(t[i], &r) == 0 && r == (void *)i);
	return 0;
}

static int cwd(void)
{
	char here[4096], now[4096];

	NEED(getcwd(here, sizeof(here) - 8));
	NEED(mkdir("deep", 0700) == 0 && chdir("deep") == 0);
	strcat(here, "/deep");
	NEED(cr_self_checkpoint("../context", PATIENCE_S) >= 0);
	NEED(getcwd(now, sizeof(now)) && !strcmp(now, here));
	return 0;
}

static int open_count(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	NEED(d != NULL);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.' && atoi(e->d_name) < 256;
	closedir(d);
	return n;
}

static int dups(void)
{
	int a = open("file", O_RDWR | O_CREAT | O_APPEND, 0600), b = dup(a), n;
	struct stat s, t;

	NEED(write(a, "0123456789", 10) == 10 && lseek(a, 4, SEEK_SET) == 4);
	n = open_count();
	save();
	NEED(lseek(b, 0, SEEK_CUR) == 4 && lseek(b, 7, SEEK_SET) == 7 && lseek(a, 0, SEEK_CUR) == 7);
	NEED((fcntl(b, F_GETFL) & O_APPEND) && fstat(a, &s) == 0 && fstat(b, &t) == 0 && s.st_ino == t.st_ino);
	NEED(open_count() == n);
	return 0;
}

static int filedescriptors(void)
{
	int rd, wr, rw, gone;
	char c[4];

	NEED((wr = open("wr", O_WRONLY | O_CREAT | O_NONBLOCK | O_SYNC, 0640)) >= 0 && write(wr, "abcdef", 6) == 6 && lseek(wr, 2, SEEK_SET) == 2);
	NEED((rd = open("wr", O_RDONLY)) >= 0 && lseek(rd, 3, SEEK_SET) == 3);
	NEED((rw = open("rw", O_RDWR | O_CREAT, 0600)) >= 0 && write(rw, "xyz", 3) == 3 && lseek(rw, 1, SEEK_SET) == 1);
	NEED((gone = open("gone", O_RDWR | O_CREAT, 0600)) >= 0 && write(gone, "unlinked", 8) == 8 && unlink("gone") == 0);
	NEED(lseek(gone, 2, SEEK_SET) == 2);
	save();
	NEED(lseek(wr, 0, SEEK_CUR) == 2 && lseek(rd, 0, SEEK_CUR) == 3 && lseek(rw, 0, SEEK_CUR) == 1 && lseek(gone, 0, SEEK_CUR) == 2);
	NEED(read(rd, c, 3) == 3 && !memcmp(c, "def", 3));
	NEED(read(rw, c, 2) == 2 && !memcmp(c, "yz", 2));
	NEED(read(gone, c, 4) == 4 && !memcmp(c, "link", 4));
	NEED(write(rd, c, 1) < 0 && errno == EBADF);
	NEED((fcntl(wr, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_WRONLY | O_NONBLOCK) && (fcntl(wr, F_GETFL) & O_SYNC));
	return 0;
}

static int in_pipe[2];
static volatile int got;

static void *reads(void *arg)
{
	char c;

	(void)arg;
	got = read(in_pipe[0], &c, 1) == 1 ? c : -1;
	return NULL;
}

static int pipes(void)
{
	int p[2], many[20][2];
	char buf[8];
	pthread_t t;

	NEED(pipe2(p, O_NONBLOCK) == 0 && fcntl(p[1], F_SETPIPE_SZ, 8192) == 8192 && write(p[1], "inside", 6) == 6);
	NEED(pipe(in_pipe) == 0 && pthread_create(&t, NULL, reads, NULL) == 0);
	for (int i = 0; i < 20; i++)
		NEED(pipe(many[i]) == 0 && write(many[i][1], &i, 1) == 1);
	save();
	NEED(fcntl(p[1], F_GETPIPE_SZ) == 8192 && read(p[0], buf, 8) == 6 && !memcmp(buf, "inside", 6));
	NEED(read(p[0], buf, 1) < 0 && errno == EAGAIN);
	NEED(got == 0 && write(in_pipe[1], "w", 1) == 1 && pthread_join(t, NULL) == 0 && got == 'w');
	for (int i = 0; i < 20; i++)
		NEED(read(many[i][0], buf, 2) == 1 && buf[0] == i);
	return 0;
}

static int dpipe(void)
{
	char buf[8];
	int p[2];

	NEED(pipe(p) == 0 && write(p[1], "rest", 4) == 4 && close(p[1]) == 0);
	save();
	NEED(read(p[0], buf, 8) == 4 && !memcmp(buf, "rest", 4) && read(p[0], buf, 8) == 0);
	return 0;
}

/* A FIFO with data in it, under one name or two. */
static int fifo(int links)
{
	int rd, wr, rw;
	char buf[8];

	NEED(mkfifo("fifo", 0600) == 0);
	if (links > 1)
		NEED(link("fifo", "fifo2") == 0);
	NEED((rd = open("fifo", O_RDONLY | O_NONBLOCK)) >= 0 && (wr = open(links > 1 ? "fifo2" : "fifo", O_WRONLY)) >= 0);
	NEED((rw = open("fifo", O_RDWR)) >= 0 && write(wr, "data", 4) == 4);
	save();
	NEED(read(rd, buf, 8) == 4 && !memcmp(buf, "data", 4) && read(rd, buf, 8) < 0 && errno == EAGAIN);
	NEED(write(rw, "more", 4) == 4 && read(rd, buf, 8) == 4);
	return 0;
}

static int named_fifo(void) { return fifo(1); }
static int linked_fifo(void) { return fifo(2); }

static int cloexec(void)
{
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC), b = open("/dev/null", O_RDONLY), c = dup(a);

	save();
	NEED(fcntl(a, F_GETFD) == FD_CLOEXEC && fcntl(b, F_GETFD) == 0 && fcntl(c, F_GETFD) == 0);
	return 0;
}

static char *map(int prot, int flags, int fd, off_t off)
{
	char *m = mmap(NULL, 8192, prot, flags, fd, off);

	NEED(m != MAP_FAILED);
	return m;
}

static int mmaps(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT, 0600), ro = open("mapped", O_RDONLY);
	char *anon, *shared_anon, *shared, *private, *offset, *readonly, c;

	NEED(ftruncate(fd, 16384) == 0);
	anon = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared_anon = map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	offset = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 8192);
	readonly = map(PROT_READ, MAP_SHARED, ro, 0);
	anon[1] = shared_anon[2] = shared[3] = offset[4] = 'm';
	private[3] = 'p';
	save();
	NEED(anon[1] == 'm' && shared_anon[2] == 'm' && shared[3] == 'm' && offset[4] == 'm' && private[3] == 'p');
	NEED(readonly[3] == 'm' && mprotect(readonly, 4096, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
	shared[6] = 'n'; /* memory and descriptor tell the same; the private copies do not */
	NEED(pread(fd, &c, 1, 6) == 1 && c == 'n' && readonly[6] == 'n');
	NEED(pread(fd, &c, 1, 8192 + 4) == 1 && c == 0);
	return 0;
}

static int readdir_(void)
{
	char name[300];
	struct dirent *e;
	long position;
	DIR *d;

	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "entry%d", i);
		NEED(close(creat(name, 0600)) == 0);
	}
	d = opendir(".");
	for (int i = 0; i < 20; i++)
		NEED(readdir(d));
	position = telldir(d);
	e = readdir(d);
	snprintf(name, sizeof(name), "%s", e->d_name);
	save();
	seekdir(d, position);
	NEED((e = readdir(d)) && !strcmp(e->d_name, name));
	return 0;
}

static int dev_null(void)
{
	int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDONLY), full = open("/dev/full", O_WRONLY);
	char c = 'x';

	save();
	NEED(read(null, &c, 1) == 0 && write(null, &c, 1) == 1);
	NEED(read(zero, &c, 1) == 1 && c == 0);
	NEED(write(full, &c, 1) < 0 && errno == ENOSPC);
	return 0;
}

static volatile int caught, caught_value;

static void catches(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	caught = sig;
	caught_value = si->si_value.sival_int;
}

/* The program has its own plans for the signal that libcr uses. */
static int cr_signal(void)
{
	struct sigaction sa = { .sa_sigaction = catches, .sa_flags = SA_SIGINFO }, now;
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	NEED(sigaction(64, &ignore, NULL) == 0);
	NEED(checkpoint("ignored") == 0);
	NEED(sigaction(64, &sa, NULL) == 0);
	save();
	NEED(caught == 0 && sigaction(64, NULL, &now) == 0 && now.sa_sigaction == catches);
	return 0;
}

/* A wrapper of the program's installs its handlers with a restorer that is none. */
static int bug2003(void)
{
	struct {
		void *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} bad = { (void *)catches, SA_SIGINFO | 0x04000000, (void *)1, 0 };

	NEED(syscall(SYS_rt_sigaction, 64, &bad, NULL, 8) == 0);
	save();
	return caught;
}

static volatile int suspended;

static void *suspends(void *arg)
{
	sigset_t none;

	sigemptyset(&none);
	suspended = 1;
	NEED(sigsuspend(&none) == -1 && errno == EINTR);
	suspended = 2;
	return arg;
}

/* sigsuspend does not return for a checkpoint, and does for the signal. */
static int bug2524(void)
{
	struct sigaction sa = { .sa_sigaction = catches, .sa_flags = SA_SIGINFO };
	pthread_t t;
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	NEED(sigaction(SIGUSR1, &sa, NULL) == 0 && pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	NEED(pthread_create(&t, NULL, suspends, NULL) == 0);
	while (!suspended)
		usleep(1000);
	for (i = 0; i < 5; i++)
		NEED(checkpoint("again") == 0);
	save();
	NEED(suspended == 1 && caught == 0);
	NEED(pthread_kill(t, SIGUSR1) == 0 && pthread_join(t, NULL) == 0);
	return suspended == 2 && caught == SIGUSR1 ? 0 : 1;
}

static int sigpending_(void)
{
	struct sigaction sa = { .sa_sigaction = catches, .sa_flags = SA_SIGINFO };
	union sigval v = { .sival_int = 4711 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 1);
	NEED(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGRTMIN + 1, &sa, NULL) == 0 && sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	NEED(raise(SIGUSR1) == 0 && sigqueue(getpid(), SIGRTMIN + 1, v) == 0);
	save();
	NEED(caught == 0 && sigpending(&set) == 0 && sigismember(&set, SIGUSR1) == 1 && sigismember(&set, SIGRTMIN + 1) == 1);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	NEED(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && caught == SIGRTMIN + 1 && caught_value == 4711);
	sigaddset(&set, SIGUSR1);
	NEED(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && caught == SIGUSR1);
	return 0;
}

static int callback(void *arg)
{
	*(volatile double *)arg = sqrt(*(double *)arg); /* uses the registers */
	return cr_checkpoint(CR_CHECKPOINT_READY) < 0;
}

static int math(void)
{
	static double x = 17.0;
	double a = 1.0 / 3.0, b = exp(1.0), keep[2] = { a, b };

	NEED(cr_init() >= 0 && cr_register_callback(callback, &x, CR_SIGNAL_CONTEXT) >= 0);
	NEED(fesetround(FE_UPWARD) == 0);
	__asm__ volatile("" : "+x"(a), "+x"(b));
	save();
	__asm__ volatile("" : "+x"(a), "+x"(b));
	NEED(a == keep[0] && b == keep[1] && fegetround() == FE_UPWARD && x == sqrt(17.0));
	return 0;
}

static char stacks[2][65536];

static void *with_altstack(void *arg)
{
	stack_t s = { .ss_sp = arg, .ss_size = sizeof(stacks[0]) }, now;

	NEED(sigaltstack(&s, NULL) == 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	NEED(sigaltstack(NULL, &now) == 0 && now.ss_sp == arg && now.ss_size == sizeof(stacks[0]) && now.ss_flags == 0);
	return NULL;
}

static int sigaltstack_(void)
{
	stack_t s = { .ss_sp = stacks[0], .ss_size = sizeof(stacks[0]) }, now;
	pthread_t t;

	NEED(sigaltstack(&s, NULL) == 0);
	pthread_barrier_init(&barrier, NULL, 2);
	NEED(pthread_create(&t, NULL, with_altstack, stacks[1]) == 0);
	pthread_barrier_wait(&barrier);
	save();
	NEED(sigaltstack(NULL, &now) == 0 && now.ss_sp == stacks[0]);
	pthread_barrier_wait(&barrier);
	return pthread_join(t, NULL);
}

static int prctls(void)
{
	char name[17] = "";

	NEED(prctl(PR_SET_NAME, "parity prctl") == 0 && prctl(PR_SET_DUMPABLE, 1) == 0);
	save();
	NEED(prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "parity prctl"));
	NEED(prctl(PR_GET_DUMPABLE) == 1);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "atomics", atomics }, { "simple_pthread", simple_pthread }, { "cwd", cwd }, { "dup", dups }, { "filedescriptors", filedescriptors },
		{ "pipe", pipes }, { "dpipe", dpipe }, { "named_fifo", named_fifo }, { "linked_fifo", linked_fifo }, { "cloexec", cloexec }, { "mmaps", mmaps }, { "readdir", readdir_ }, { "dev_null", dev_null },
		{ "cr_signal", cr_signal }, { "sigpending", sigpending_ }, { "math", math }, { "sigaltstack", sigaltstack_ }, { "prctl", prctls },
		{ "bug2003", bug2003 }, { "bug2524", bug2524 },
		{ NULL, NULL },
	};

	return run_part(parts, argc, argv);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unusual but lawful uses of system calls and signals, each checked by itself until SIGTERM comes; then "ok". argv[1]: which.
 */
#include <errno.h>
#include <fcntl.h>
#include <immintrin.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "step.h"

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

/* Only this thread takes SIGTERM: calls of the others must not end with EINTR. */
static void others(void *(*const what[])(void *), int n)
{
	pthread_t t[16];
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	for (int i = 0; i < n; i++)
		STEP_CHECK(pthread_create(&t[i], NULL, what[i], NULL) == 0);
	sigprocmask(SIG_UNBLOCK, &term, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

/* ---- addresses that are not there: EFAULT from every call, whoever answers it */

#define EXPECT_FAULT(call)                                                   \
	do {                                                                 \
		errno = 0;                                                   \
		STEP_CHECK((call) == -1 && errno == EFAULT);                 \
	} while (0)

static void bad_pointers(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *edge = page + 4096 - 4;
	void *bad[3];
	sigset_t set;
	struct timespec zero = { 0, 0 };

	STEP_CHECK(page != MAP_FAILED && mprotect(page + 4096, 4096, PROT_NONE) == 0);
	bad[0] = (void *)8;
	bad[1] = page + 4096;
	bad[2] = edge; /* half of it is there */
	sigemptyset(&set);
	while (!stop) {
		for (int i = 0; i < 3; i++) {
			void *b = bad[i];
			char *path[2] = { b, NULL };
			struct {
				void *mask;
				size_t bytes;
			} six = { b, 8 };

			EXPECT_FAULT(syscall(SYS_rt_sigaction, SIGUSR2, b, NULL, 8));
			EXPECT_FAULT(syscall(SYS_rt_sigaction, SIGUSR2, NULL, b, 8));
			EXPECT_FAULT(syscall(SYS_rt_sigaction, SIGSYS, NULL, b, 8));
			EXPECT_FAULT(syscall(SYS_rt_sigprocmask, SIG_BLOCK, b, NULL, 8));
			EXPECT_FAULT(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, b, 8));
			EXPECT_FAULT(sigprocmask(SIG_BLOCK, NULL, b));
			EXPECT_FAULT(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, b, NULL));
			EXPECT_FAULT(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, b));
			EXPECT_FAULT(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, b));
			EXPECT_FAULT(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &zero, &six));
			EXPECT_FAULT(syscall(SYS_ppoll, NULL, 0, &zero, b, 8));
			EXPECT_FAULT(syscall(SYS_rt_sigsuspend, b, 8));
			EXPECT_FAULT(syscall(SYS_rt_sigtimedwait, b, NULL, &zero, 8));
			EXPECT_FAULT(readlink("/proc/self/exe", b, 100));
			EXPECT_FAULT(execve("/bin/true", b, NULL));
			EXPECT_FAULT(execve("/bin/true", (char *[]){ (char *)"true", b, NULL }, NULL));
			if (i < 2) {
				EXPECT_FAULT(readlink(b, edge, 4));
				EXPECT_FAULT(execve(b, path, NULL));
				EXPECT_FAULT(execve("/bin/true", (char *[]){ (char *)"true", NULL }, b));
			}
		}
		STEP_CHECK(getpid() == syscall(SYS_getpid));
	}
}

/* ---- no handler of the program runs, so nothing ends with EINTR */

static void *raw_poll(void *arg)
{
	while (!stop)
		STEP_CHECK(syscall(SYS_poll, NULL, 0, 20) == 0);
	return arg;
}

static void *raw_nanosleep(void *arg)
{
	struct timespec t = { 0, 20000000 };

	while (!stop)
		STEP_CHECK(syscall(SYS_nanosleep, &t, NULL) == 0);
	return arg;
}

static void *raw_futex(void *arg)
{
	struct timespec t = { 0, 20000000 };
	int word = 0;

	while (!stop)
		STEP_CHECK(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0) == -1 && errno == ETIMEDOUT);
	return arg;
}

static void *in_epoll(void *arg)
{
	int fd = epoll_create1(0);
	struct epoll_event e;
	sigset_t none;

	STEP_CHECK(fd >= 0);
	sigfillset(&none);
	while (!stop) {
		STEP_CHECK(epoll_wait(fd, &e, 1, 20) == 0);
		STEP_CHECK(epoll_pwait(fd, &e, 1, 20, NULL) == 0);
		STEP_CHECK(epoll_pwait(fd, &e, 1, 20, &none) == 0);
	}
	close(fd);
	return arg;
}

static void *in_select(void *arg)
{
	while (!stop) {
		struct timespec t = { 0, 20000000 };
		struct timeval v = { 0, 20000 };

		STEP_CHECK(pselect(0, NULL, NULL, NULL, &t, NULL) == 0);
		STEP_CHECK(select(0, NULL, NULL, NULL, &v) == 0);
	}
	return arg;
}

static void not_interrupted(void)
{
	void *(*const what[])(void *) = { raw_poll, raw_nanosleep, raw_futex, in_select };

	others(what, 4);
}

static void not_interrupted_epoll(void)
{
	void *(*const what[])(void *) = { in_epoll };

	others(what, 1);
}

/* ---- a handler that leaves raise() for good; the stack goes deeper than it was then, and stays there */

static sigjmp_buf out;

static void on_usr1(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static __attribute__((noinline)) uint64_t deep(void)
{
	volatile char room[200000];
	uint64_t x = 1;

	room[0] = room[sizeof(room) - 1] = 1;
	while (!stop)
		x = step_mix(x + (uint64_t)room[0]);
	return x;
}

static void left_by_longjmp(void)
{
	struct sigaction sa = { .sa_handler = on_usr1 };

	sigaction(SIGUSR1, &sa, NULL);
	if (sigsetjmp(out, 1) == 0)
		raise(SIGUSR1);
	STEP_CHECK(deep());
}

/* ---- code at the edges of a page whose neighbours are not there */

static volatile uint64_t ticks;

static void on_alarm(int sig)
{
	(void)sig;
	ticks++;
}

static void page_edges(void)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 400 }, { 0, 400 } };
	uint8_t *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	STEP_CHECK(page != MAP_FAILED);
	page[4096] = 0x0f; /* syscall; ret */
	page[4097] = 0x05;
	page[4098] = 0xc3;
	page[8191] = 0xc3; /* ret, as the last byte */
	STEP_CHECK(munmap(page, 4096) == 0 && munmap(page + 8192, 4096) == 0 && mprotect(page + 4096, 4096, PROT_READ | PROT_EXEC) == 0);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	while (!stop) {
		long ret;

		for (int i = 0; i < 100000; i++)
			__asm__ volatile("sub $128,%%rsp; call *%0; add $128,%%rsp" : : "r"(page + 8191) : "memory", "cc");
		__asm__ volatile("sub $128,%%rsp; call *%1; add $128,%%rsp" : "=a"(ret) : "r"(page + 4096), "a"(SYS_poll), "D"(0), "S"(0), "d"(2)
				 : "rcx", "r11", "memory", "cc");
		STEP_CHECK(ret == 0 || ret == -EINTR);
	}
}

/* ---- waits with a mask: vector registers and the red zone are kept */

static __attribute__((target("avx"), noinline)) void masked_wait(long nr, long a, long b, long c, long d, long e, long f, const uint8_t *want, uint8_t *got)
{
	struct {
		long nr, a, b, c, d, e, f;
		const uint8_t *want;
		uint8_t *got;
	} args = { nr, a, b, c, d, e, f, want, got };

	__asm__ volatile(
		"sub $512,%%rsp\n\t"
		"mov 56(%%rbx),%%rcx\n\t"
		"vmovdqu (%%rcx),%%ymm0; vmovdqu 32(%%rcx),%%ymm7; vmovdqu 64(%%rcx),%%ymm8; vmovdqu 96(%%rcx),%%ymm15\n\t"
		"vmovdqu %%ymm0,-32(%%rsp); vmovdqu %%ymm7,-64(%%rsp); vmovdqu %%ymm8,-96(%%rsp); vmovdqu %%ymm15,-128(%%rsp)\n\t"
		"mov 8(%%rbx),%%rdi; mov 16(%%rbx),%%rsi; mov 24(%%rbx),%%rdx; mov 32(%%rbx),%%r10; mov 40(%%rbx),%%r8; mov 48(%%rbx),%%r9\n\t"
		"mov (%%rbx),%%rax\n\t"
		"syscall\n\t"
		"mov 64(%%rbx),%%rcx\n\t"
		"vmovdqu %%ymm0,(%%rcx); vmovdqu %%ymm7,32(%%rcx); vmovdqu %%ymm8,64(%%rcx); vmovdqu %%ymm15,96(%%rcx)\n\t"
		"vmovdqu -32(%%rsp),%%ymm0; vmovdqu -64(%%rsp),%%ymm7; vmovdqu -96(%%rsp),%%ymm8; vmovdqu -128(%%rsp),%%ymm15\n\t"
		"vmovdqu %%ymm0,128(%%rcx); vmovdqu %%ymm7,160(%%rcx); vmovdqu %%ymm8,192(%%rcx); vmovdqu %%ymm15,224(%%rcx)\n\t"
		"add $512,%%rsp\n\t"
		"vzeroupper"
		: : "b"(&args) : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc", "xmm0", "xmm7", "xmm8", "xmm15");
}

static void masked_waits(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval every = { { 0, 3000 }, { 0, 3000 } };
	sigset_t alarm, none;
	struct {
		sigset_t *set;
		size_t bytes;
	} six = { &none, 8 };

	if (!__builtin_cpu_supports("avx"))
		return;
	sigemptyset(&none);
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarm, NULL);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (uint64_t n = 0; !stop; n++) {
		struct timespec t = { 0, 5000000 };
		uint8_t want[128], got[256];

		for (int i = 0; i < 128; i++)
			want[i] = (uint8_t)(n * 7 + (uint64_t)i);
		if (n % 3 == 0)
			masked_wait(SYS_rt_sigsuspend, (long)&none, 8, 0, 0, 0, 0, want, got);
		else if (n % 3 == 1)
			masked_wait(SYS_ppoll, 0, 0, (long)&t, (long)&none, 8, 0, want, got);
		else
			masked_wait(SYS_pselect6, 0, 0, 0, 0, (long)&t, (long)&six, want, got);
		STEP_CHECK(!memcmp(want, got, 128) && !memcmp(want, got + 128, 128));
	}
}

/* ---- pause() ends by a handler and by nothing else */

static void pauses(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } };
	uint64_t n = 0;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	while (!stop) {
		uint64_t before = ticks;

		STEP_CHECK(pause() == -1 && errno == EINTR);
		STEP_CHECK(ticks > before || stop);
		n++;
	}
	STEP_CHECK(ticks + 1 >= n);
}

/* ---- sleeps take their time and not much more, however often they are interrupted: ends by itself */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void sleeps(void)
{
	struct timespec t = { 0, 700000000 }, rest;
	double from = now();

	STEP_CHECK(usleep(700000) == 0);
	STEP_CHECK(nanosleep(&t, NULL) == 0);
	STEP_CHECK(nanosleep(&t, &rest) == 0);
	STEP_CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL) == 0);
	STEP_CHECK(syscall(SYS_nanosleep, &t, NULL) == 0);
	STEP_CHECK(sleep(1) == 0);
	STEP_CHECK(now() - from >= 4.5);
}

/* ---- every number of a descriptor is in use */

static void all_descriptors(void)
{
	int n = 0, fd, highest = 0;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0) {
		highest = fd;
		n++;
	}
	STEP_CHECK(errno == EMFILE);
	while (!stop)
		usleep(1000);
	for (fd = highest - n + 1; fd <= highest; fd++)
		STEP_CHECK(close(fd) == 0);
}

/* ---- much memory, so that writing it takes a while */

static void ballast(void)
{
	size_t bytes = 96 << 20;
	uint64_t *p = malloc(bytes);

	STEP_CHECK(p);
	for (size_t i = 0; i < bytes / sizeof(*p); i++)
		p[i] = step_mix(i);
	while (!stop)
		usleep(1000);
	STEP_CHECK(p[12345] == step_mix(12345));
	free(p);
}

/* ---- a thread by clone(2) itself, on a stack of its own */

static volatile uint64_t cloned_steps;
static volatile int cloned_end;

static int cloned(void *arg)
{
	uint64_t x = 1, y = 1;

	(void)arg;
	/* has no thread-local storage of its own: no libc here */
	while (!stop) {
		x = step_mix(x + cloned_steps);
		y = step_mix(y + cloned_steps);
		if (x != y)
			return 1;
		cloned_steps = cloned_steps + 1;
	}
	return 0;
}

static void clone_thread(void)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t all, old;
	uint64_t before;
	int tid;

	STEP_CHECK(stack != MAP_FAILED);
	cloned_end = 1;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	tid = clone(cloned, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID, NULL, NULL,
		    NULL, &cloned_end);
	STEP_CHECK(tid > 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	while (!stop) {
		before = cloned_steps;
		while (cloned_steps == before && !stop)
			usleep(1000);
	}
	while (cloned_end)
		usleep(1000);
}

/* ---- a child on this process's memory; argv[2]: the file whose coming ends it */

static const char *go;

static int vforked(void *arg)
{
	(void)arg;
	while (access(go, F_OK))
		usleep(1000);
	_exit(7);
}

static void vfork_child(void)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status, pid;

	STEP_CHECK(stack != MAP_FAILED);
	pid = clone(vforked, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	STEP_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	while (!stop)
		usleep(1000);
}

/* ---- the same program again and again by execve; ends by itself. argv[2]: how often */

static void execs(char **argv)
{
	char left[16];
	int n = atoi(argv[2]);

	for (volatile int i = 0; i < 10000000; i++)
		;
	if (n <= 0)
		return;
	snprintf(left, sizeof(left), "%d", n - 1);
	argv[2] = left;
	execv("/proc/self/exe", argv);
	STEP_CHECK(!"execv");
}

int main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term };
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{ "pointers", bad_pointers }, { "eintr", not_interrupted }, { "epoll", not_interrupted_epoll }, { "longjmp", left_by_longjmp }, { "pages", page_edges },
		{ "masked", masked_waits },   { "pause", pauses },	    { "sleeps", sleeps },		{ "clone", clone_thread },
		{ "fds", all_descriptors },   { "ballast", ballast },
	};

	sigaction(SIGTERM, &term, NULL);
	if (argc == 3 && !strcmp(argv[1], "vfork")) {
		go = argv[2];
		vfork_child();
		puts("ok");
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "exec")) {
		execs(argv);
		puts("ok");
		return 0;
	}
	for (size_t i = 0; argc == 2 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(argv[1], parts[i].name)) {
			parts[i].run();
			puts("ok");
			return 0;
		}
	return 2;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State of the process: working directory, umask, limits, personality, priority, settings of prctl, of proc and of mlockall, flags of a signal without a
 * handler, a timer that notifies a thread that has ended.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "resource.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static char cwd[4096];
static timer_t orphan;

static void write_setting(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static long read_setting(const char *path, int base)
{
	int fd = open(path, O_RDONLY);
	char text[32] = "";

	CHECK(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && close(fd) == 0);
	return strtol(text, NULL, base);
}

static void *make_timer(void *unused)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec when = { .it_value = { 1000, 0 }, .it_interval = { 77, 0 } };

	event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &orphan) == 0 && timer_settime(orphan, 0, &when, NULL) == 0);
	return unused;
}

/* Of a thread that is gone, the kernel's id too. */
static void make_orphan(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, make_timer, NULL) == 0 && pthread_join(t, NULL) == 0);
}

/* A child that has ended is nobody's business. */
static void check_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(3);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == -1 && errno == ECHILD);
}

/* A page that may be dropped is not locked. */
static void check_locked(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(page != MAP_FAILED && madvise(page, 4096, MADV_DONTNEED) == -1 && errno == EINVAL && munmap(page, 4096) == 0);
}

static void setup(void)
{
	struct sigaction no_zombies = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };
	struct rlimit core = { 4096, 8192 }, stack;

	CHECK(mkdir("here", 0700) == 0 && chdir("here") == 0 && getcwd(cwd, sizeof(cwd)));
	umask(0137);
	CHECK(setrlimit(RLIMIT_CORE, &core) == 0 && getrlimit(RLIMIT_STACK, &stack) == 0);
	stack.rlim_cur = 6 << 20;
	CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
	CHECK(personality(ADDR_NO_RANDOMIZE) >= 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 3) == 0);
	CHECK(sigaction(SIGCHLD, &no_zombies, NULL) == 0);
	write_setting("/proc/self/oom_score_adj", "321");
	write_setting("/proc/self/coredump_filter", "0x7f");
	make_orphan();
	if (geteuid() == 0)
		CHECK(mlockall(MCL_FUTURE | MCL_ONFAULT) == 0);
	CHECK(prctl(PR_SET_NAME, "renamed") == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

static void verify(void)
{
	char now[4096], name[16];
	struct itimerspec left;
	struct rlimit l;
	mode_t mask;
	int on = 0;

	CHECK(getcwd(now, sizeof(now)) && strcmp(now, cwd) == 0);
	mask = umask(0);
	umask(mask);
	CHECK(mask == 0137);
	CHECK(getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_cur == 4096 && l.rlim_max == 8192);
	CHECK(getrlimit(RLIMIT_STACK, &l) == 0 && l.rlim_cur == 6 << 20);
	CHECK(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
	CHECK(getpriority(PRIO_PROCESS, 0) == 3);
	CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") == 0);
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0) == 0 && on == 1);
	CHECK(read_setting("/proc/self/oom_score_adj", 10) == 321 && read_setting("/proc/self/coredump_filter", 16) == 0x7f);
	CHECK(timer_gettime(orphan, &left) == 0 && left.it_value.tv_sec > 0 && left.it_interval.tv_sec == 77);
	check_child();
	if (geteuid() == 0)
		check_locked();
}

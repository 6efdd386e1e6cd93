/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Process state and POSIX timers come back as they were; children and lost directories are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcr/lower/process_set.h"
#include "tests/unit/test_files_harness.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static void restore_all(const struct cr_tid_map *tids)
{
	struct cr_image *img = test_open_image();
	struct cr_err err = { "" };

	if (cr_process_restore_check(img, &err) < 0 || cr_process_restore(img, &err) < 0 || cr_process_restore_timers(img, tids, &err) < 0)
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
}

static void expect_check_fails(const char *words)
{
	struct cr_image *img = test_open_image();
	struct cr_err err = { "" };

	CHECK(cr_process_restore_check(img, &err) < 0);
	if (!strstr(err.text, words))
		test_child_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", err.text, words);
}

static void close_low(void)
{
	close(0);
	close(1);
	close(2);
}

/* --- settings --- */

static void settings_save(void)
{
	struct rlimit limit;
	struct itimerval timer = { .it_value = { 1000, 500000 }, .it_interval = { 7, 250000 } };

	close_low();
	umask(027);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0);
	limit.rlim_cur = 0;
	CHECK(setrlimit(RLIMIT_CORE, &limit) == 0);
	CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
	limit.rlim_cur = 3 << 20;
	CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 700;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	CHECK(setitimer(ITIMER_PROF, &timer, NULL) == 0);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
	CHECK(personality(ADDR_NO_RANDOMIZE) >= 0);
	CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
	test_save_files(NULL);
	CHECK(umask(0) == 027);
}

static void settings_restore(void)
{
	struct rlimit limit;
	struct itimerval timer;
	char here[4096];
	int subreaper = 0;

	close_low();
	umask(0);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 600;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	restore_all(NULL);
	CHECK(getcwd(here, sizeof(here)) && strcmp(here, test_dir()) == 0);
	CHECK(umask(0) == 027);
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0);
	CHECK(getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur == 3 << 20);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 600);
	CHECK(getitimer(ITIMER_REAL, &timer) == 0 && timer.it_value.tv_sec >= 995 && timer.it_interval.tv_sec == 7 && timer.it_interval.tv_usec == 250000);
	CHECK(getitimer(ITIMER_VIRTUAL, &timer) == 0 && timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0);
	CHECK(getitimer(ITIMER_PROF, &timer) == 0 && timer.it_value.tv_sec >= 995 && timer.it_interval.tv_sec == 7);
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper == 1);
	CHECK(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE) == 1);
	CHECK(getpriority(PRIO_PROCESS, 0) == 5);
	CHECK(personality(0xffffffff) & ADDR_NO_RANDOMIZE);
	CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
}

static void test_settings(void **state)
{
	(void)state;
	test_in_child(settings_save);
	test_in_child(settings_restore);
}

/* A periodic timer whose signal is pending goes on. */
static void fired_save(void)
{
	struct itimerval timer = { .it_value = { 0, 1 }, .it_interval = { 500, 0 } };
	sigset_t set;

	close_low();
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	while (sigpending(&set) == 0 && sigismember(&set, SIGALRM) == 0)
		;
	test_save_files(NULL);
}

static void fired_restore(void)
{
	struct itimerval timer;

	close_low();
	restore_all(NULL);
	CHECK(getitimer(ITIMER_REAL, &timer) == 0 && timer.it_value.tv_sec >= 490 && timer.it_interval.tv_sec == 500);
}

static void test_fired_timer(void **state)
{
	(void)state;
	test_in_child(fired_save);
	test_in_child(fired_restore);
}

static void undumpable_save(void)
{
	close_low();
	CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
	if (geteuid() != 0) /* proc hides such a process from an ordinary user, which is a reason of its own */
		CHECK(prctl(PR_SET_DUMPABLE, 1) == 0);
	test_save_files(NULL);
}

static void undumpable_restore(void)
{
	close_low();
	restore_all(NULL);
	CHECK(prctl(PR_GET_DUMPABLE) == (geteuid() != 0));
}

static void test_dumpable(void **state)
{
	(void)state;
	test_in_child(undumpable_save);
	test_in_child(undumpable_restore);
}

/* --- working directory --- */

static void directory_save(void)
{
	close_low();
	CHECK(mkdir("work", 0700) == 0 && chdir("work") == 0);
	test_save_files(NULL);
	CHECK(rename("image", "../image") == 0);
}

static void directory_restore(void)
{
	char here[4096];

	close_low();
	restore_all(NULL);
	CHECK(getcwd(here, sizeof(here)) && strcmp(here + strlen(test_dir()), "/work") == 0);
}

static void directory_missing(void)
{
	CHECK(rmdir("work") == 0);
	expect_check_fails("/work: No such file or directory; make it again");
	CHECK(close(open("work", O_CREAT | O_WRONLY, 0600)) == 0);
	expect_check_fails("is no directory any more");
	CHECK(unlink("work") == 0);
}

static void directory_deleted(void)
{
	static struct test_reasons reasons;

	CHECK(mkdir("lost", 0700) == 0 && chdir("lost") == 0 && rmdir("../lost") == 0);
	CHECK(cr_process_check(0, test_collect, &reasons) == 0);
}

static void test_directory(void **state)
{
	(void)state;
	test_in_child(directory_save);
	test_in_child(directory_restore);
	test_in_child(directory_missing);
	test_in_child(directory_deleted);
}

/* --- limits that are lower here --- */

static void low_limit(void)
{
	struct rlimit limit = { 2 << 20, 2 << 20 };

	close_low();
	CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
	if (geteuid() == 0) {
		CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		expect_check_fails("restart it as the user it belongs to");
		return;
	}
	expect_check_fails("limit stack was 3145728 at the checkpoint and at most 2097152 is allowed here");
}

static void test_limits_and_identity(void **state)
{
	char path[4096];

	(void)state;
	assert_int_equal(chmod(test_dir(), 0755), 0);
	test_in_child(settings_save);
	snprintf(path, sizeof(path), "%s/image", test_dir());
	assert_int_equal(chmod(path, 0644), 0);
	test_in_child(low_limit);
}

/* --- children --- */

static void with_children(void)
{
	static struct test_reasons reasons;
	pid_t running, ended, own;
	siginfo_t si;
	struct cr_err err = { "" };
	char words[64];
	int i;

	CHECK(cr_process_check(0, test_collect, &reasons) == 0);
	running = fork();
	if (running == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "worker) R 1 (x");
		for (;;)
			pause();
	}
	own = fork();
	if (own == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	ended = fork();
	if (ended == 0)
		_exit(0);
	CHECK(waitid(P_PID, (id_t)ended, &si, WEXITED | WNOWAIT) == 0);
	do { /* until the first one has its name */
		memset(&reasons, 0, sizeof(reasons));
		CHECK(cr_process_check(own, test_collect, &reasons) == 2);
		sched_yield();
	} while (!strstr(reasons.text[0], "worker") && !strstr(reasons.text[1], "worker"));
	i = strstr(reasons.text[0], "is running") ? 0 : 1;
	CHECK(cr_process_save(NULL, NULL, &err) == -ENOTSUP && strncmp(err.text, "child process ", 14) == 0);
	snprintf(words, sizeof(words), "child process %d (worker) R 1 (x) is running", (int)running);
	CHECK(strstr(reasons.text[i], words));
	snprintf(words, sizeof(words), "child process %d (", (int)ended);
	CHECK(strstr(reasons.text[!i], words) && strstr(reasons.text[!i], "was not waited for"));
	kill(running, SIGKILL);
	kill(own, SIGKILL);
	while (wait(NULL) > 0)
		;
	CHECK(cr_process_check(0, test_collect, &reasons) == 0);
}

static void test_children(void **state)
{
	(void)state;
	test_in_child(with_children);
}

static int stage; /* futex-free: the thread only waits to be ended */

static void *private_tables(void *arg)
{
	(void)arg;
	CHECK(unshare(CLONE_FILES | CLONE_FS) == 0);
	__atomic_store_n(&stage, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

static void with_thread(void)
{
	static struct test_reasons reasons;
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, private_tables, NULL) == 0);
	while (!__atomic_load_n(&stage, __ATOMIC_ACQUIRE))
		sched_yield();
	CHECK(cr_process_check(0, test_collect, &reasons) == 2);
	CHECK(strstr(reasons.text[0], "descriptor table of its own") && strstr(reasons.text[1], "working directory of its own"));
}

static void test_threads(void **state)
{
	(void)state;
	test_in_child(with_thread);
}

/* --- POSIX timers --- */

static int make_timer(int clock, int notify, int signo, void *value, long seconds, long every)
{
	struct itimerspec when = { .it_value = { seconds, 0 }, .it_interval = { every, 0 } };
	struct sigevent event = { .sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_ptr = value };
	int id;

	event.sigev_notify_thread_id = (int)syscall(SYS_gettid);
	CHECK(syscall(SYS_timer_create, clock, &event, &id) == 0);
	CHECK(syscall(SYS_timer_settime, id, 0, &when, NULL) == 0);
	return id;
}

static int tid_plus_million(int tid)
{
	return tid + 1000000;
}

static int real_self(int tid)
{
	CHECK(tid > 1000000);
	return (int)syscall(SYS_gettid);
}

static const struct cr_tid_map map = { .to_program = tid_plus_million, .to_real = real_self };

static void timers_save(void)
{
	struct cr_image_totals totals;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd, doomed;

	CHECK(make_timer(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, (void *)0x123456789abcUL, 500, 3) == 0);
	doomed = make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, NULL, 0, 0);
	CHECK(make_timer(CLOCK_MONOTONIC, SIGEV_SIGNAL | SIGEV_THREAD_ID, SIGRTMIN + 3, (void *)7, 0, 0) == 2);
	CHECK(make_timer(CLOCK_PROCESS_CPUTIME_ID, SIGEV_NONE, 0, NULL, 100, 0) == 3);
	CHECK(make_timer(CLOCK_BOOTTIME, SIGEV_SIGNAL | SIGEV_THREAD_ID, SIGUSR2, (void *)9, 1, 0) == 4);
	CHECK(syscall(SYS_timer_delete, doomed) == 0);
	fd = open("image", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (cr_image_writer_create(fd, &w, &err) < 0 || cr_process_save(w, &map, &err) < 0 || cr_image_finish(w, &totals, &err) < 0)
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
}

static void timers_restore(void)
{
	struct itimerspec left;
	struct timespec limit = { 10, 0 };
	sigset_t set;
	siginfo_t si;
	int id;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	restore_all(&map);
	CHECK(syscall(SYS_timer_gettime, 0, &left) == 0 && left.it_value.tv_sec > 480 && left.it_interval.tv_sec == 3);
	CHECK(syscall(SYS_timer_gettime, 1, &left) < 0 && errno == EINVAL);
	CHECK(syscall(SYS_timer_gettime, 2, &left) == 0 && left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
	CHECK(syscall(SYS_timer_gettime, 3, &left) == 0 && left.it_value.tv_sec > 90);
	CHECK(syscall(SYS_timer_gettime, 4, &left) == 0);
	CHECK(sigtimedwait(&set, &si, &limit) == SIGUSR2 && si.si_code == SI_TIMER && si.si_ptr == (void *)9 && si.si_timerid == 4);
	CHECK(syscall(SYS_timer_settime, 2, 0, &(struct itimerspec){ .it_value = { 0, 1 } }, NULL) == 0);
	CHECK(sigtimedwait(&set, &si, &limit) == SIGRTMIN + 3 && si.si_ptr == (void *)7);
	/* and new ones get numbers that are free */
	id = make_timer(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL, 0, 0);
	CHECK(id > 4 || id == 1);
}

static void timers_restore_by_search(void)
{
	cr_process_timer_restore_ids = 0;
	timers_restore();
}

/* Two restarts in a row: what is saved from a restored process is the same again. */
static void timers_chain(void)
{
	struct cr_image_totals totals;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd;

	restore_all(&map);
	fd = open("image", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (cr_image_writer_create(fd, &w, &err) < 0 || cr_process_save(w, &map, &err) < 0 || cr_image_finish(w, &totals, &err) < 0)
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
}

static void test_timers(void **state)
{
	(void)state;
	test_in_child(timers_save);
	test_in_child(timers_restore);
	test_in_child(timers_restore_by_search);
	test_in_child(timers_chain);
	test_in_child(timers_restore);
}

static void thread_clock(void)
{
	static struct test_reasons reasons;
	clockid_t other;

	make_timer(CLOCK_THREAD_CPUTIME_ID, SIGEV_NONE, 0, NULL, 0, 0);
	CHECK(cr_process_check(0, test_collect, &reasons) == 1 && strstr(reasons.text[0], "timer 0 runs on the CPU clock of one thread"));
	CHECK(clock_getcpuclockid(getppid(), &other) == 0);
	make_timer(other, SIGEV_NONE, 0, NULL, 0, 0);
	memset(&reasons, 0, sizeof(reasons));
	CHECK(cr_process_check(0, test_collect, &reasons) == 2 && strstr(reasons.text[1], "timer 1 runs on the clock of another process"));
}

static void test_timer_clocks(void **state)
{
	(void)state;
	test_in_child(thread_clock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),	     cmocka_unit_test(test_dumpable), cmocka_unit_test(test_directory),
		cmocka_unit_test(test_limits_and_identity),  cmocka_unit_test(test_children), cmocka_unit_test(test_threads),
		cmocka_unit_test(test_timers),		     cmocka_unit_test(test_timer_clocks), cmocka_unit_test(test_fired_timer),
	};

	return cmocka_run_group_tests_name("process", tests, test_group_setup, test_group_teardown);
}

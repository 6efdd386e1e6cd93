/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program advances by its timers alone: an interval timer, a POSIX timer with a value, one that runs a thread, and alarm handlers. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "step.h"

static volatile sig_atomic_t alarms, posix_ticks, thread_ticks, wrong;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void on_posix(int sig, siginfo_t *info, void *ctx)
{
	(void)ctx;
	if (sig != SIGRTMIN + 2 || info->si_code != SI_TIMER || info->si_value.sival_int != 4711)
		wrong++;
	posix_ticks++;
}

static void on_thread(union sigval v)
{
	if (v.sival_int != 99)
		wrong++;
	__atomic_fetch_add(&thread_ticks, 1, __ATOMIC_SEQ_CST);
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200), with_thread = argc > 2;
	struct sigaction a = {.sa_handler = on_alarm, .sa_flags = SA_RESTART}, p = {.sa_sigaction = on_posix, .sa_flags = SA_SIGINFO};
	struct itimerval every = {{0, 10000}, {0, 10000}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 4711};
	struct sigevent tev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 99};
	struct itimerspec often = {{0, 15000000}, {0, 15000000}};
	timer_t t, tt;
	sigset_t block, open;
	uint64_t sum = 3;

	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigaddset(&block, SIGRTMIN + 2);
	sigprocmask(SIG_BLOCK, &block, &open);
	STEP_CHECK(sigaction(SIGALRM, &a, NULL) == 0 && sigaction(SIGRTMIN + 2, &p, NULL) == 0);
	STEP_CHECK(timer_create(CLOCK_MONOTONIC, &ev, &t) == 0 && timer_settime(t, 0, &often, NULL) == 0);
	if (with_thread)
		STEP_CHECK(timer_create(CLOCK_REALTIME, &tev, &tt) == 0 && timer_settime(tt, 0, &often, NULL) == 0);
	STEP_CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
	for (int s = 0; s < steps; s++) {
		int had_alarms = alarms, had_posix = posix_ticks;

		while (alarms == had_alarms)
			sigsuspend(&open);
		if (s % 4 == 0)
			while (posix_ticks == had_posix)
				sigsuspend(&open);
		STEP_CHECK(!wrong);
		STEP_CHECK(sigaction(SIGALRM, NULL, &a) == 0 && a.sa_handler == on_alarm);
		sum = step_mix(sum + (uint64_t)s);
		step_print(s, sum);
	}
	if (with_thread)
		STEP_CHECK(thread_ticks > steps / 8);
	puts("ok");
	return 0;
}

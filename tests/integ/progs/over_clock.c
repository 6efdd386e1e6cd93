/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program that does little but read clocks, with a timer whose handler runs most of the time: nearly always there is a clock function, which is
 * not the program's, below the handler when the checkpoint comes. */
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "step.h"

static volatile uint64_t handled;

static void on_alarm(int sig)
{
	struct timespec at, now;

	(void)sig;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at); /* a real call: it may be cut short and must not show */
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while ((now.tv_sec - at.tv_sec) * 1000000000L + now.tv_nsec - at.tv_nsec < 700000);
	handled++;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);
	struct sigaction a = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	uint64_t sum = 5;

	STEP_CHECK(sigaction(SIGALRM, &a, NULL) == 0 && setitimer(ITIMER_REAL, &every, NULL) == 0);
	for (int s = 0; s < steps; s++) {
		uint64_t until = handled + 4;

		while (handled < until) {
			struct timespec t[2];
			struct timeval v;

			STEP_CHECK(clock_gettime(CLOCK_REALTIME, &t[0]) == 0 && gettimeofday(&v, NULL) == 0 && clock_gettime(CLOCK_REALTIME, &t[1]) == 0);
			STEP_CHECK(t[1].tv_sec > 1600000000 && t[0].tv_sec <= t[1].tv_sec && v.tv_sec > 1600000000);
		}
		sum = step_mix(sum) + step_work(sum, 2);
		step_print(s, sum);
	}
	return 0;
}

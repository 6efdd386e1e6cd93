/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals that wait to be delivered: to the process, to a thread, queued in order with values. All must still be there at the end. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step.h"

#define QUEUED 8

static int values[2 * QUEUED], n_values, usr1, usr2;

static void on_queued(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)ctx;
	if (n_values < 2 * QUEUED && info->si_code == SI_QUEUE)
		values[n_values++] = info->si_value.sival_int;
}

static void on_plain(int sig)
{
	if (sig == SIGUSR1)
		usr1++;
	else
		usr2++;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);
	struct sigaction q = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO}, p = {.sa_handler = on_plain};
	sigset_t block, now;
	uint64_t sum = 2;

	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigaddset(&block, SIGUSR2);
	sigaddset(&block, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &block, NULL);
	sigaction(SIGRTMIN + 3, &q, NULL);
	sigaction(SIGUSR1, &p, NULL);
	sigaction(SIGUSR2, &p, NULL);
	for (int i = 0; i < QUEUED; i++) {
		union sigval v = {.sival_int = 1000 + i};

		STEP_CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0);
	}
	STEP_CHECK(kill(getpid(), SIGUSR1) == 0);
	STEP_CHECK(pthread_kill(pthread_self(), SIGUSR2) == 0);
	for (int s = 0; s < steps; s++) {
		sigpending(&now);
		STEP_CHECK(sigismember(&now, SIGUSR1) == 1 && sigismember(&now, SIGUSR2) == 1 && sigismember(&now, SIGRTMIN + 3) == 1);
		STEP_CHECK(usr1 == 0 && usr2 == 0 && n_values == 0);
		sum = step_mix(sum) + step_work(sum, 4);
		step_print(s, sum);
		usleep(3000);
	}
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	STEP_CHECK(usr1 == 1 && usr2 == 1 && n_values == QUEUED);
	for (int i = 0; i < QUEUED; i++)
		STEP_CHECK(values[i] == 1000 + i);
	puts("ok");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handlers on an alternate stack, long enough that a checkpoint meets the program on it; faults that are caught and left by siglongjmp. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "step.h"

static char stack[256 * 1024];
static sigjmp_buf back;
static volatile uint64_t sum = 11;
static volatile int faults, bad;

static void on_fault(int sig, siginfo_t *info, void *ctx)
{
	char here;

	(void)ctx;
	if (sig != SIGSEGV || info->si_addr == NULL)
		bad = 1;
	if (&here < stack || &here >= stack + sizeof(stack))
		bad = 2;
	faults++;
	sum ^= step_work(sum, 3);
	siglongjmp(back, 1);
}

static void on_usr1(int sig)
{
	char here;

	(void)sig;
	if (&here < stack || &here >= stack + sizeof(stack))
		bad = 3;
	sum = step_mix(sum) + step_work(sum, 4);
}

int main(int argc, char **argv)
{
	volatile int steps = step_count(argc, argv, 200);
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, now;
	struct sigaction f = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	struct sigaction u = {.sa_handler = on_usr1, .sa_flags = SA_ONSTACK | SA_RESTART};
	volatile char *guard = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	STEP_CHECK(sigaltstack(&ss, NULL) == 0 && sigaction(SIGSEGV, &f, NULL) == 0 && sigaction(SIGUSR1, &u, NULL) == 0);
	for (volatile int s = 0; s < steps; s++) {
		if (sigsetjmp(back, 1) == 0)
			*guard = 1;
		raise(SIGUSR1);
		STEP_CHECK(bad != 1);
		STEP_CHECK(bad != 2);
		STEP_CHECK(bad != 3);
		STEP_CHECK(faults == s + 1);
		STEP_CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == stack && now.ss_size == sizeof(stack) && now.ss_flags == 0);
		step_print(s, sum);
		usleep(2000);
	}
	puts("ok");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every signal blocked, in every thread, by the library and by the bare system call; then memory is allocated and a thread is made. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step.h"

static void *allocate(void *arg)
{
	char *p = malloc(3u << 20), *q = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	STEP_CHECK(p && q != MAP_FAILED);
	memset(p, 1, 3u << 20);
	q = mremap(q, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
	STEP_CHECK(q != MAP_FAILED);
	q[(2 << 20) - 1] = 5;
	munmap(q, 2 << 20);
	free(p);
	return arg;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);
	uint64_t sum = 7;
	sigset_t all, now;

	sigfillset(&all);
	STEP_CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	for (int s = 0; s < steps; s++) {
		unsigned long bare = ~0UL;
		pthread_t t;

		STEP_CHECK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &bare, NULL, 8) == 0);
		allocate(NULL);
		STEP_CHECK(pthread_create(&t, NULL, allocate, NULL) == 0);
		pthread_join(t, NULL);
		sigprocmask(SIG_SETMASK, NULL, &now);
		STEP_CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGTERM) && sigismember(&now, SIGSEGV));
		sum = step_mix(sum) + step_work(sum, 4);
		step_print(s, sum);
		usleep(2000);
	}
	puts("ok");
	return 0;
}

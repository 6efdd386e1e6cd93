/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the test programs share: a fixed number of short steps, each of which prints one line that depends on everything before it.
 * The lines of a run that was checkpointed, killed and restarted must be those of an uninterrupted run.
 */
#ifndef STEP_H
#define STEP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t step_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static int step_total;

/* argv[1]: number of steps. */
static inline int step_count(int argc, char **argv, int otherwise)
{
	return step_total = argc > 1 ? atoi(argv[1]) : otherwise;
}

/* Work for about @ms milliseconds without a system call; returns a number that the work gave, the same each time. */
static inline uint64_t step_work(uint64_t seed, int ms)
{
	volatile uint64_t x = seed;

	for (long i = 0; i < 150000L * ms; i++)
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return step_mix(x);
}

/*
 * STEP_HOLD=STEP:FILE in the environment: the program goes no further than that step before the file is there, however late its test may be. Steps below
 * zero count from the end.
 */
static inline void step_hold(int step)
{
	const struct timespec pause = { 0, 10000000 };
	const char *hold = getenv("STEP_HOLD");
	char *file;
	long at;

	if (!hold)
		return;
	at = strtol(hold, &file, 10);
	if (*file != ':' || (at < 0 && !step_total) || step < (at < 0 ? step_total + at : at))
		return;
	while (access(file + 1, F_OK) != 0)
		nanosleep(&pause, NULL);
}

static inline void step_print(int step, uint64_t value)
{
	printf("step %d %016llx\n", step, (unsigned long long)value);
	fflush(stdout);
	step_hold(step);
}

#define STEP_CHECK(cond)                                                                                                      \
	do {                                                                                                                  \
		if (!(cond)) {                                                                                                \
			printf("not ok: %s:%d: %s\n", __FILE__, __LINE__, #cond);                                             \
			fflush(stdout);                                                                                       \
			exit(1);                                                                                              \
		}                                                                                                             \
	} while (0)

#endif

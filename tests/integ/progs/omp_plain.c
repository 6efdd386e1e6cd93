/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OpenMP: a team that computes, waits at barriers and is formed again, with private data per thread. */
#include <omp.h>
#include <unistd.h>

#include "step.h"

static uint64_t mine;
#pragma omp threadprivate(mine)

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 200);
	uint64_t sum = 1;

	omp_set_dynamic(0);
	omp_set_num_threads(4);
#pragma omp parallel
	mine = (uint64_t)omp_get_thread_num() + 1;
	for (int s = 0; s < steps; s++) {
		uint64_t part = 0;

#pragma omp parallel reduction(^ : part)
		{
			STEP_CHECK(omp_get_num_threads() == 4);
			mine = step_mix(mine + sum);
#pragma omp barrier
#pragma omp for schedule(dynamic, 8)
			for (int i = 0; i < 64; i++)
				part ^= step_mix(sum + (uint64_t)i * 977);
			part ^= mine;
		}
		sum = step_mix(sum ^ part) + step_work(sum, 1);
		step_print(s, sum);
		usleep(5000);
	}
	puts("ok");
	return 0;
}

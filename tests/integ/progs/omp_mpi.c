/* SPDX-License-Identifier: GPL-2.0-or-later */
/* OpenMP inside of MPI ranks: MPI_THREAD_FUNNELED, a halo exchange by the master, a sum over the team and over the ranks. */
#include <mpi.h>
#include <omp.h>

#include "step.h"

#define N (20000 * 32)

static double now[N + 2], next[N + 2];

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 1000), rank, size, level;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	STEP_CHECK(level >= MPI_THREAD_FUNNELED);
	omp_set_dynamic(0);
	omp_set_num_threads(2);
	for (int i = 0; i < N + 2; i++)
		now[i] = (double)((i * 37 + rank * 11) % 101);
	for (int s = 0; s < steps; s++) {
		int left = rank ? rank - 1 : MPI_PROC_NULL, right = rank + 1 < size ? rank + 1 : MPI_PROC_NULL;
		double sum = 0, all = 0;

#pragma omp parallel
		{
			STEP_CHECK(omp_get_num_threads() == 2);
#pragma omp master
			{
				MPI_Sendrecv(&now[N], 1, MPI_DOUBLE, right, 1, &now[0], 1, MPI_DOUBLE, left, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
				MPI_Sendrecv(&now[1], 1, MPI_DOUBLE, left, 2, &now[N + 1], 1, MPI_DOUBLE, right, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
			}
#pragma omp barrier
#pragma omp for schedule(static)
			for (int i = 1; i <= N; i++)
				next[i] = 0.25 * now[i - 1] + 0.5 * now[i] + 0.25 * now[i + 1];
#pragma omp for schedule(static)
			for (int i = 1; i <= N; i++)
				now[i] = next[i] + (i % 997 == s % 997 ? 1.0 : 0.0);
		}
		for (int i = 1; i <= N; i++)
			sum += now[i];
		MPI_Allreduce(&sum, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
		if (rank == 0 && s % 10 == 0) {
			printf("step %d %a\n", s, all);
			fflush(stdout);
		}
	}
	if (rank == 0)
		puts("ok");
	MPI_Finalize();
	return 0;
}

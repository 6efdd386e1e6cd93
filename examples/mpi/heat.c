/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Heat spreading along a rod that is cut into one piece per rank; nothing in it knows of checkpoints.
 *
 *   mpicc -O2 -o heat heat.c
 *   mpirun -am ft-enable-cr -np 2 ./heat 20000
 *   ompi-checkpoint --latest --term        (another terminal)
 *   ompi-restart ompi_global_snapshot_....ckpt
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define CELLS 200000 /* per rank */

int main(int argc, char **argv)
{
	int steps = argc > 1 ? atoi(argv[1]) : 20000, rank, size;
	double *now, *next, *t, sum, all;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	/* one cell more on each side: the neighbours' */
	now = calloc(CELLS + 2, sizeof(*now));
	next = calloc(CELLS + 2, sizeof(*next));
	if (!now || !next)
		MPI_Abort(MPI_COMM_WORLD, 1);
	for (int i = 1; i <= CELLS; i++)
		now[i] = (i * 37 + rank * 11) % 1000;
	for (int s = 0; s < steps; s++) {
		int left = rank > 0 ? rank - 1 : MPI_PROC_NULL, right = rank < size - 1 ? rank + 1 : MPI_PROC_NULL;

		MPI_Sendrecv(&now[1], 1, MPI_DOUBLE, left, 0, &now[CELLS + 1], 1, MPI_DOUBLE, right, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		MPI_Sendrecv(&now[CELLS], 1, MPI_DOUBLE, right, 1, &now[0], 1, MPI_DOUBLE, left, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		for (int i = 1; i <= CELLS; i++)
			next[i] = now[i] + 0.25 * (now[i - 1] - 2 * now[i] + now[i + 1]);
		t = now;
		now = next;
		next = t;
		if (s % (steps / 40 > 0 ? steps / 40 : 1) == 0) {
			sum = 0;
			for (int i = 1; i <= CELLS; i++)
				sum += now[i] * now[i];
			MPI_Reduce(&sum, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
			if (rank == 0) {
				printf("step %d energy %.17g\n", s, all);
				fflush(stdout);
			}
		}
	}
	free(now);
	free(next);
	MPI_Finalize();
	return 0;
}

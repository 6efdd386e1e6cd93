/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Communicators that are on their way nearly always: MPI_Comm_idup of MPI_COMM_WORLD and of an inter-communicator, messages meanwhile, a sum over what comes.
 *
 *   mpi_idup STEPS
 */
#include <mpi.h>
#include <stdint.h>
#include <stdlib.h>

#include "step.h"

static int rank, size;

/* A message around the ring of all ranks, while the communicator is being made */
static int ring(int v)
{
	int got = -1;

	MPI_Sendrecv(&v, 1, MPI_INT, (rank + 1) % size, 3, &got, 1, MPI_INT, (rank + size - 1) % size, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	return got;
}

static uint64_t round_of(MPI_Comm of, int k)
{
	MPI_Comm made;
	MPI_Request request;
	int flag = 0, got, sum = 0;

	MPI_Comm_idup(of, &made, &request);
	MPI_Test(&request, &flag, MPI_STATUS_IGNORE);
	got = ring(k * size + rank);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	MPI_Allreduce(&got, &sum, 1, MPI_INT, MPI_SUM, made);
	MPI_Comm_free(&made);
	return (uint64_t)sum;
}

int main(int argc, char **argv)
{
	int steps = argc > 1 ? atoi(argv[1]) : 100;
	MPI_Comm half, both;
	uint64_t v = 1;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
	MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 7, &both);
	step_total = steps;
	for (int step = 0; step < steps; step++) {
		for (int k = 0; k < 10; k++)
			v = v * 31 + round_of(k % 2 ? both : MPI_COMM_WORLD, step * 10 + k);
		if (rank == 0)
			step_print(step, v);
	}
	MPI_Comm_free(&both);
	MPI_Comm_free(&half);
	MPI_Finalize();
	return 0;
}

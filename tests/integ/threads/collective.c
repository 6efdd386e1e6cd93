/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Collectives: the threads of all ranks but one stand in them, that one's main thread comes last. */
#include "threads.h"

static uint64_t value_sum(int i, int s)
{
	uint64_t sum = 0;

	for (int r = 0; r < size; r++)
		sum += value(i, s, r, 0);
	return sum;
}

static uint64_t allreduce(int i, int s)
{
	uint64_t v = value(i, s, rank, 0), sum;

	MPI_Barrier(comms[i]);
	MPI_Allreduce(&v, &sum, 1, MPI_UINT64_T, MPI_SUM, comms[i]);
	STEP_CHECK(sum == value_sum(i, s));
	return sum;
}

static uint64_t bcast(int i, int s)
{
	uint64_t v = rank == s % size ? value(i, s, rank, 3) : 0;

	MPI_Bcast(&v, 1, MPI_UINT64_T, s % size, comms[i]);
	return is_value(v, i, s, s % size, 3);
}

static uint64_t iallreduce(int i, int s)
{
	uint64_t v = value(i, s, rank, 0), sum;
	MPI_Request request;

	MPI_Iallreduce(&v, &sum, 1, MPI_UINT64_T, MPI_SUM, comms[i], &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	STEP_CHECK(sum == value_sum(i, s));
	return sum;
}

static uint64_t comm_dup(int i, int s)
{
	MPI_Comm comm;
	int n;

	MPI_Comm_dup(comms[i], &comm);
	MPI_Comm_size(comm, &n);
	STEP_CHECK(n == size);
	MPI_Barrier(comm);
	MPI_Comm_free(&comm);
	return value(i, s, size, 0);
}

COLLECTIVE(allreduce)
COLLECTIVE(bcast)
COLLECTIVE(iallreduce)
COLLECTIVE(comm_dup)

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sends that wait for the receiver. */
#include "threads.h"

#define LARGE 40000 /* words: more than any eager limit */

static uint64_t *large(int i, int s)
{
	uint64_t *v = malloc(LARGE * sizeof(*v));

	STEP_CHECK(v);
	for (int k = 0; k < LARGE; k++)
		v[k] = value(i, s, rank, k);
	return v;
}

uint64_t send_block(int i, int s)
{
	uint64_t *v = large(i, s);

	MPI_Send(v, LARGE, MPI_UINT64_T, right, 1, comms[i]);
	free(v);
	return 1;
}

uint64_t ssend_block(int i, int s)
{
	uint64_t *v = large(i, s);

	MPI_Ssend(v, 1, MPI_UINT64_T, right, 1, comms[i]);
	free(v);
	return 1;
}

uint64_t large_receive(int i, int s)
{
	uint64_t *v = malloc(LARGE * sizeof(*v)), sum = 0;
	MPI_Status status;
	int n;

	STEP_CHECK(v);
	MPI_Recv(v, LARGE, MPI_UINT64_T, left, 1, comms[i], &status);
	MPI_Get_count(&status, MPI_UINT64_T, &n);
	for (int k = 0; k < n; k++)
		sum += is_value(v[k], i, s, left, k);
	free(v);
	return sum + (uint64_t)n;
}

static uint64_t sendrecv_both(int i, int s, int tag_out, int tag_in)
{
	uint64_t out = value(i, s, rank, tag_out), in;

	MPI_Sendrecv(&out, 1, MPI_UINT64_T, right, tag_out, &in, 1, MPI_UINT64_T, left, tag_in, comms[i], MPI_STATUS_IGNORE);
	return is_value(in, i, s, left, tag_in);
}

uint64_t sendrecv_block(int i, int s)
{
	return sendrecv_both(i, s, 1, 2);
}

uint64_t sendrecv_release(int i, int s)
{
	return sendrecv_both(i, s, 2, 1);
}

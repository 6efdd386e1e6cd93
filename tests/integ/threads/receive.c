/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Receives, in every call that waits for one. */
#include "threads.h"

#define FEW 5

uint64_t few_send(int i, int s)
{
	for (int k = 0; k < FEW; k++) {
		uint64_t v = value(i, s, rank, k);

		MPI_Send(&v, 1, MPI_UINT64_T, right, k, comms[i]);
	}
	return 0;
}

uint64_t recv_block(int i, int s)
{
	uint64_t v, sum = 0;

	for (int k = 0; k < FEW; k++) {
		MPI_Recv(&v, 1, MPI_UINT64_T, left, k, comms[i], MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

uint64_t any_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Status status;

	for (int k = 0; k < FEW; k++) {
		MPI_Recv(&v, 1, MPI_UINT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[i], &status);
		STEP_CHECK(status.MPI_SOURCE == left && status.MPI_TAG == k);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

static void few_post(int i, uint64_t *v, MPI_Request *requests)
{
	for (int k = 0; k < FEW; k++)
		MPI_Irecv(&v[k], 1, MPI_UINT64_T, k & 1 ? MPI_ANY_SOURCE : left, k, comms[i], &requests[k]);
}

static uint64_t few_check(int i, int s, const uint64_t *v)
{
	uint64_t sum = 0;

	for (int k = 0; k < FEW; k++)
		sum += is_value(v[k], i, s, left, k);
	return sum;
}

uint64_t wait_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];

	few_post(i, v, requests);
	for (int k = FEW; k-- > 0;)
		MPI_Wait(&requests[k], MPI_STATUS_IGNORE);
	return few_check(i, s, v);
}

uint64_t waitall_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];

	few_post(i, v, requests);
	MPI_Waitall(FEW, requests, MPI_STATUSES_IGNORE);
	return few_check(i, s, v);
}

uint64_t waitany_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];
	int index;

	few_post(i, v, requests);
	for (int k = 0; k < FEW; k++)
		MPI_Waitany(FEW, requests, &index, MPI_STATUS_IGNORE);
	return few_check(i, s, v);
}

uint64_t waitsome_block(int i, int s)
{
	MPI_Request requests[FEW];
	int indices[FEW], n, left_over = FEW;
	uint64_t v[FEW];

	few_post(i, v, requests);
	for (; left_over > 0; left_over -= n)
		MPI_Waitsome(FEW, requests, &n, indices, MPI_STATUSES_IGNORE);
	return few_check(i, s, v);
}

uint64_t test_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];
	int flag = 0;

	few_post(i, v, requests);
	while (!flag)
		MPI_Testall(FEW, requests, &flag, MPI_STATUSES_IGNORE);
	return few_check(i, s, v);
}

uint64_t persistent_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Request request;

	MPI_Recv_init(&v, 1, MPI_UINT64_T, left, MPI_ANY_TAG, comms[i], &request);
	for (int k = 0; k < FEW; k++) {
		MPI_Start(&request);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	MPI_Request_free(&request);
	return sum;
}

uint64_t probe_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Status status;

	for (int k = 0; k < FEW; k++) {
		MPI_Probe(MPI_ANY_SOURCE, k, comms[i], &status);
		STEP_CHECK(status.MPI_SOURCE == left);
		MPI_Recv(&v, 1, MPI_UINT64_T, left, k, comms[i], &status);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

uint64_t iprobe_block(int i, int s)
{
	uint64_t v, sum = 0;
	int flag;

	for (int k = 0; k < FEW; k++) {
		for (flag = 0; !flag;)
			MPI_Iprobe(left, k, comms[i], &flag, MPI_STATUS_IGNORE);
		MPI_Recv(&v, 1, MPI_UINT64_T, left, k, comms[i], MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

uint64_t mprobe_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Message message;

	for (int k = 0; k < FEW; k++) {
		MPI_Mprobe(left, MPI_ANY_TAG, comms[i], &message, MPI_STATUS_IGNORE);
		MPI_Mrecv(&v, 1, MPI_UINT64_T, &message, MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

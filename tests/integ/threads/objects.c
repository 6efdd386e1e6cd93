/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the library keeps lists and counts of, made and freed by threads at once. */
#include "threads.h"

/* Two threads make, use and free what the library keeps lists and counts of, each with operations, attributes and messages of its own. */
static char bsend_space[1 << 16];

void objects_prepare(int i, int s)
{
	(void)i;
	if (s == 0)
		MPI_Buffer_attach(bsend_space, sizeof(bsend_space));
}

static void twice_plus(void *in, void *inout, int *n, MPI_Datatype *type)
{
	(void)type;
	for (int k = 0; k < *n; k++)
		((uint64_t *)inout)[k] += 2 * ((uint64_t *)in)[k];
}

static void objects_one(int i, int tag, uint64_t v)
{
	uint64_t in, sum = v;
	MPI_Request request;
	MPI_Op op;
	void *got;
	int key, flag;

	MPI_Op_create(twice_plus, 1, &op);
	MPI_Reduce_local(&v, &sum, 1, MPI_UINT64_T, op);
	MPI_Op_free(&op);
	STEP_CHECK(sum == 3 * v);
	MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &key, NULL);
	MPI_Comm_set_attr(MPI_COMM_WORLD, key, &sum);
	MPI_Comm_get_attr(MPI_COMM_WORLD, key, &got, &flag);
	STEP_CHECK(flag && got == &sum);
	MPI_Comm_delete_attr(MPI_COMM_WORLD, key);
	MPI_Comm_free_keyval(&key);
	MPI_Isend(&v, 1, MPI_UINT64_T, rank, tag, comms[i], &request);
	MPI_Request_free(&request);
	MPI_Bsend(&sum, 1, MPI_UINT64_T, rank, tag, comms[i]);
	MPI_Recv(&in, 1, MPI_UINT64_T, rank, tag, comms[i], MPI_STATUS_IGNORE);
	STEP_CHECK(in == v);
	MPI_Recv(&in, 1, MPI_UINT64_T, rank, tag, comms[i], MPI_STATUS_IGNORE);
	STEP_CHECK(in == sum);
}

uint64_t objects_block(int i, int s)
{
	for (uint64_t k = 1; !__atomic_load_n(&workers[i].released, __ATOMIC_ACQUIRE); k++)
		objects_one(i, 1, k);
	return value(i, s, 0, 0);
}

uint64_t objects_release(int i, int s)
{
	for (uint64_t k = 1; k <= 200; k++)
		objects_one(i, 2, k);
	return value(i, s, 0, 0);
}

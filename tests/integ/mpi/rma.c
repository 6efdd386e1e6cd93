/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Epochs of one-sided communication. tests/integ/rma.sh has the whole of it. */
#include "table.h"

enum { FENCE, POST, LOCK, ALL, WINDOWS };

static MPI_Win win[WINDOWS], shared, dynamic;
static int *memory[WINDOWS], got[4], *mine;

static MPI_Win its(int s, int which)
{
	if (s == 0) {
		MPI_Win_allocate(64 * sizeof(int), sizeof(int), MPI_INFO_NULL, comm, &memory[which], &win[which]);
		memset(memory[which], 0, 64 * sizeof(int));
		MPI_Barrier(comm);
	}
	return win[which];
}

/* ---- fence ---- */
static int put, sum_of_two;

void rma_fence_begin(int s)
{
	MPI_Win w = its(s, FENCE);

	put = number(s, 0);
	sum_of_two = number(s, 1);
	memory[FENCE][1] = 0;
	memory[FENCE][2] = number(s, 2);
	MPI_Win_fence(0, w);
	MPI_Put(&put, 1, MPI_INT, right, 0, 1, MPI_INT, w);
	MPI_Accumulate(&sum_of_two, 1, MPI_INT, right, 1, 1, MPI_INT, MPI_SUM, w);
}

uint64_t rma_fence_end(int s)
{
	MPI_Win w = win[FENCE];

	MPI_Accumulate(&sum_of_two, 1, MPI_INT, right, 1, 1, MPI_INT, MPI_SUM, w);
	MPI_Get(&got[0], 1, MPI_INT, left, 2, 1, MPI_INT, w);
	MPI_Win_fence(0, w);
	STEP_CHECK(memory[FENCE][0] == number_of(s, 0, left) && memory[FENCE][1] == 2 * number_of(s, 1, left) && got[0] == number_of(s, 2, left));
	return (uint64_t)got[0];
}

/* ---- post, start, complete, wait ---- */
static MPI_Group to, from;
static int posted;

void rma_post_begin(int s)
{
	MPI_Win w = its(s, POST);
	MPI_Group all;

	if (s == 0) {
		MPI_Comm_group(comm, &all);
		MPI_Group_incl(all, 1, &right, &to);
		MPI_Group_incl(all, 1, &left, &from);
		MPI_Group_free(&all);
	}
	posted = number(s, 0);
	MPI_Win_post(from, 0, w);
	MPI_Win_start(to, 0, w);
	MPI_Put(&posted, 1, MPI_INT, right, 5, 1, MPI_INT, w);
}

uint64_t rma_post_end(int s)
{
	int flag = 0;

	MPI_Put(&posted, 1, MPI_INT, right, 6, 1, MPI_INT, win[POST]);
	MPI_Win_complete(win[POST]);
	while (s % 2 && !flag)
		MPI_Win_test(win[POST], &flag);
	if (s % 2 == 0)
		MPI_Win_wait(win[POST]);
	STEP_CHECK(memory[POST][5] == number_of(s, 0, left) && memory[POST][6] == memory[POST][5]);
	return (uint64_t)memory[POST][5];
}

/* ---- a lock, with requests ---- */
static MPI_Request request[3];
static int locked[2];

void rma_lock_begin(int s)
{
	MPI_Win w = its(s, LOCK);

	locked[0] = number(s, 0);
	locked[1] = 1;
	MPI_Win_lock(MPI_LOCK_SHARED, right, 0, w);
	MPI_Rput(&locked[0], 1, MPI_INT, right, 3, 1, MPI_INT, w, &request[0]);
	MPI_Raccumulate(&locked[1], 1, MPI_INT, right, 4, 1, MPI_INT, MPI_SUM, w, &request[1]);
	MPI_Rget(&got[1], 1, MPI_INT, right, 4, 1, MPI_INT, w, &request[2]);
}

uint64_t rma_lock_end(int s)
{
	int v;

	MPI_Waitall(3, request, MPI_STATUSES_IGNORE);
	MPI_Win_flush(right, win[LOCK]);
	MPI_Get(&v, 1, MPI_INT, right, 3, 1, MPI_INT, win[LOCK]);
	MPI_Win_unlock(right, win[LOCK]);
	STEP_CHECK(v == number(s, 0));
	MPI_Barrier(comm);
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, win[LOCK]);
	STEP_CHECK(memory[LOCK][3] == number_of(s, 0, left) && memory[LOCK][4] == s + 1);
	MPI_Win_unlock(rank, win[LOCK]);
	MPI_Barrier(comm);
	return (uint64_t)v;
}

/* ---- lock_all, never unlocked: a counter at rank 0 ---- */
void rma_lock_all_begin(int s)
{
	MPI_Win w = its(s, ALL);
	int one = 1, v;

	if (s == 0)
		MPI_Win_lock_all(0, w);
	MPI_Fetch_and_op(&one, &v, MPI_INT, 0, 7, MPI_SUM, w);
	MPI_Win_flush(0, w);
	STEP_CHECK(v >= 2 * s * size && v < (2 * s + 2) * size);
	MPI_Accumulate(&one, 1, MPI_INT, 0, 7, 1, MPI_INT, MPI_SUM, w); /* not flushed */
}

uint64_t rma_lock_all_end(int s)
{
	int v, mine_now = number(s, 0), before = s ? number(s - 1, 0) : 0;

	MPI_Win_flush_all(win[ALL]);
	MPI_Barrier(comm);
	MPI_Get_accumulate(NULL, 0, MPI_INT, &v, 1, MPI_INT, 0, 7, 1, MPI_INT, MPI_NO_OP, win[ALL]);
	MPI_Win_flush_local_all(win[ALL]);
	MPI_Win_flush(0, win[ALL]);
	STEP_CHECK(v == (2 * s + 2) * size);
	MPI_Compare_and_swap(&mine_now, &before, &v, MPI_INT, right, 9, win[ALL]);
	MPI_Win_flush(right, win[ALL]);
	STEP_CHECK(v == before);
	MPI_Barrier(comm);
	return (uint64_t)mine_now;
}

/* ---- shared memory ---- */
void rma_shared_begin(int s)
{
	MPI_Aint bytes;
	int unit, *other;

	if (s == 0) {
		MPI_Win_allocate_shared(16 * sizeof(int), sizeof(int), MPI_INFO_NULL, comm, &mine, &shared);
		MPI_Win_lock_all(MPI_MODE_NOCHECK, shared);
	}
	MPI_Win_shared_query(shared, right, &bytes, &unit, &other);
	STEP_CHECK(bytes == 16 * sizeof(int) && unit == sizeof(int));
	other[s % 16] = number(s, 0);
	MPI_Win_sync(shared);
}

uint64_t rma_shared_end(int s)
{
	MPI_Barrier(comm);
	MPI_Win_sync(shared);
	STEP_CHECK(mine[s % 16] == number_of(s, 0, left));
	MPI_Barrier(comm);
	return (uint64_t)mine[s % 16];
}

/* ---- dynamic ---- */
static int attached[8];
static MPI_Aint address, theirs;

void rma_dynamic_begin(int s)
{
	if (s == 0)
		MPI_Win_create_dynamic(MPI_INFO_NULL, comm, &dynamic);
	MPI_Win_attach(dynamic, attached, sizeof(attached));
	MPI_Get_address(&attached[s % 8], &address);
	MPI_Sendrecv(&address, 1, MPI_AINT, left, 900, &theirs, 1, MPI_AINT, right, 900, comm, MPI_STATUS_IGNORE);
}

uint64_t rma_dynamic_end(int s)
{
	int v = number(s, 0);

	MPI_Win_lock(MPI_LOCK_SHARED, right, 0, dynamic);
	MPI_Put(&v, 1, MPI_INT, right, theirs, 1, MPI_INT, dynamic);
	MPI_Win_unlock(right, dynamic);
	MPI_Barrier(comm);
	STEP_CHECK(attached[s % 8] == number_of(s, 0, left));
	MPI_Win_detach(dynamic, attached);
	MPI_Barrier(comm);
	return (uint64_t)attached[s % 8];
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Windows: epochs that wait for another rank, locks, a word that another rank changes. */
#include "threads.h"

void window_make(int i)
{
	MPI_Win_allocate((MPI_Aint)sizeof(uint64_t), sizeof(uint64_t), MPI_INFO_NULL, comms[i], &words[i], &wins[i]);
}

static uint64_t fence(int i, int s)
{
	uint64_t v = value(i, s, rank, 7);

	MPI_Win_fence(0, wins[i]);
	MPI_Put(&v, 1, MPI_UINT64_T, right, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_fence(0, wins[i]);
	return is_value(*words[i], i, s, left, 7);
}
COLLECTIVE(fence)

static MPI_Group group_of(int i, int r)
{
	MPI_Group all, one;

	MPI_Comm_group(comms[i], &all);
	MPI_Group_incl(all, 1, &r, &one);
	MPI_Group_free(&all);
	return one;
}

/* The thread has opened its memory to the left neighbour and waits for the end of its epoch. */
uint64_t win_wait_block(int i, int s)
{
	MPI_Group group = group_of(i, left);

	MPI_Win_post(group, 0, wins[i]);
	MPI_Win_wait(wins[i]);
	MPI_Group_free(&group);
	return is_value(*words[i], i, s, left, 8);
}

uint64_t win_wait_release(int i, int s)
{
	uint64_t v = value(i, s, rank, 8);
	MPI_Group group = group_of(i, right);

	MPI_Win_start(group, 0, wins[i]);
	MPI_Put(&v, 1, MPI_UINT64_T, right, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_complete(wins[i]);
	MPI_Group_free(&group);
	return 0;
}

/* The thread wants the lock of the left neighbour's memory, which that holds itself until it has its word in there. */
void win_lock_prepare(int i, int s)
{
	(void)s;
	MPI_Barrier(comms[i]); /* the last step's locks are over: this one is not to come before one of those */
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, wins[i]);
	MPI_Barrier(comms[i]);
}

uint64_t win_lock_block(int i, int s)
{
	uint64_t v;

	if (size == 1)
		return 0;
	MPI_Win_lock(MPI_LOCK_SHARED, left, 0, wins[i]);
	MPI_Get(&v, 1, MPI_UINT64_T, left, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_unlock(left, wins[i]);
	return is_value(v, i, s, left, 9);
}

uint64_t win_lock_release(int i, int s)
{
	uint64_t v = value(i, s, rank, 9);

	MPI_Put(&v, 1, MPI_UINT64_T, rank, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_unlock(rank, wins[i]);
	return 0;
}

/* Two threads of a rank lock and unlock, each another rank's memory, as fast as they can. */
static void win_locks_one(int i, int target)
{
	MPI_Win_lock(MPI_LOCK_SHARED, target, 0, wins[i]);
	MPI_Win_unlock(target, wins[i]);
}

uint64_t win_locks_block(int i, int s)
{
	while (size > 1 && !__atomic_load_n(&workers[i].released, __ATOMIC_ACQUIRE))
		win_locks_one(i, left);
	return value(i, s, 0, 0);
}

uint64_t win_locks_release(int i, int s)
{
	for (int k = 0; k < 200; k++)
		win_locks_one(i, rank);
	return value(i, s, 0, 0);
}

/* The thread reads a word of its memory over and over until the left neighbour has changed it. */
void win_flag_prepare(int i, int s)
{
	(void)s;
	MPI_Win_lock_all(0, wins[i]);
	*words[i] = 0;
	MPI_Win_sync(wins[i]);
	MPI_Barrier(comms[i]);
}

uint64_t win_flag_block(int i, int s)
{
	uint64_t v = 0, none = 0;

	while (v == 0) {
		MPI_Fetch_and_op(&none, &v, MPI_UINT64_T, rank, 0, MPI_NO_OP, wins[i]);
		MPI_Win_flush(rank, wins[i]);
	}
	return is_value(v, i, s, left, 10);
}

uint64_t win_flag_release(int i, int s)
{
	uint64_t v = value(i, s, rank, 10), old;

	MPI_Fetch_and_op(&v, &old, MPI_UINT64_T, right, 0, MPI_REPLACE, wins[i]);
	MPI_Win_flush(right, wins[i]);
	STEP_CHECK(old == 0);
	return 0;
}

void win_flag_end(int i)
{
	MPI_Win_unlock_all(wins[i]);
}

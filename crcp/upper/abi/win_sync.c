/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Epochs of the layer's own windows, but for locks (win_lock.c).
 *
 * An epoch is about who may touch what, and when:
 *   fence   what went to services is waited for, then a barrier over the window's communicator
 *   post, start, complete, wait   messages without content over that communicator; complete waits for the services first
 * Both are saved like everything else of the program, and every wait among them takes part in stops: a checkpoint that arrives inside an
 * epoch finds it as it will be after a restart.
 */
#include "crcp/upper/abi/win.h"

#define TAG_POST 1
#define TAG_COMPLETE 2
#define FENCE_ASSERTS (MPI_MODE_NOSTORE | MPI_MODE_NOPUT | MPI_MODE_NOPRECEDE | MPI_MODE_NOSUCCEED)
#define POST_ASSERTS (MPI_MODE_NOCHECK | MPI_MODE_NOSTORE | MPI_MODE_NOPUT)

static int fail(MPI_Win win, int code, const char *function)
{
	return code == MPI_SUCCESS ? code : crcp_win_error(crcp_win(win), code, function);
}

static bool is_rank(const struct crcp_win_own *o, int rank)
{
	return rank >= 0 && rank < o->size;
}

bool crcp_win_may_access(const struct crcp_win_own *o, int target)
{
	if (o->fence || o->lock_all || o->locks[target])
		return true;
	for (int i = 0; o->started && i < o->n_start; i++)
		if (o->start_ranks[i] == target)
			return true;
	return false;
}

/* Our operations are in the targets' memory. */
static int all_done(const struct crcp_win_own *o)
{
	int r = MPI_SUCCESS;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (o->is_far) {
		crcp_call_begin();
		r = crcp_win_far_sync(NULL);
		crcp_call_end();
	}
	return r;
}

/* ---- fence ---- */
CRCP_API(int, MPI_Win_fence, (int assert, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_fence(assert, win);
	if (assert & ~FENCE_ASSERTS)
		return fail(win, MPI_ERR_ASSERT, "MPI_Win_fence");
	if (o->n_locks || o->lock_all || o->started || o->posted)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_fence");
	r = all_done(o);
	if (r == MPI_SUCCESS)
		r = PMPI_Barrier(crcp_win_comm(o));
	o->fence = !(assert & MPI_MODE_NOSUCCEED);
	return fail(win, r, "MPI_Win_fence");
}

/* ---- post, start, complete, wait ---- */
/* @group's members as ranks of the window, in memory for crcp_free. MPI error code. Inside a call. */
static int ranks_of(const struct crcp_win_own *o, MPI_Group group, int **ret_ranks, int *ret_n)
{
	MPI_Group all;
	int n = 0, *own, *ranks, r;

	r = PMPI_Group_size(group, &n);
	if (r != MPI_SUCCESS)
		return r;
	own = crcp_alloc((size_t)(2 * n) * sizeof(int) + 1);
	if (!own)
		return MPI_ERR_NO_MEM;
	ranks = own + n;
	for (int i = 0; i < n; i++)
		own[i] = i;
	r = PMPI_Comm_group(crcp_win_comm(o), &all);
	if (r == MPI_SUCCESS) {
		r = PMPI_Group_translate_ranks(group, n, own, all, ranks);
		PMPI_Group_free(&all);
	}
	for (int i = 0; i < n && r == MPI_SUCCESS; i++) {
		own[i] = ranks[i];
		if (!is_rank(o, ranks[i]))
			r = MPI_ERR_GROUP;
	}
	if (r != MPI_SUCCESS) {
		crcp_free(own);
		return r;
	}
	*ret_ranks = own;
	*ret_n = n;
	return MPI_SUCCESS;
}

static void ranks_free(int **ranks)
{
	crcp_call_begin();
	crcp_free(*ranks);
	*ranks = NULL;
	crcp_call_end();
}

static int tell(const struct crcp_win_own *o, const int *ranks, int n, int tag)
{
	int r = MPI_SUCCESS;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (int i = 0; i < n && r == MPI_SUCCESS; i++)
		r = PMPI_Send(NULL, 0, MPI_BYTE, ranks[i], tag, crcp_win_comm(o));
	return r;
}

static int hear(const struct crcp_win_own *o, const int *ranks, int n, int tag)
{
	int r = MPI_SUCCESS;

	for (int i = 0; i < n && r == MPI_SUCCESS; i++)
		r = PMPI_Recv(NULL, 0, MPI_BYTE, ranks[i], tag, crcp_win_comm(o), MPI_STATUS_IGNORE);
	return r;
}

CRCP_API(int, MPI_Win_post, (MPI_Group group, int assert, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_post(group, assert, win);
	if (assert & ~POST_ASSERTS)
		return fail(win, MPI_ERR_ASSERT, "MPI_Win_post");
	if (!crcp_is_live(group))
		return fail(win, MPI_ERR_GROUP, "MPI_Win_post");
	if (o->posted)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_post");
	crcp_call_begin();
	r = ranks_of(o, group, &o->post_ranks, &o->n_post);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return fail(win, r, "MPI_Win_post");
	o->n_completed = 0;
	o->post_silent = (assert & MPI_MODE_NOCHECK) != 0;
	o->posted = true;
	o->fence = false;
	return fail(win, o->post_silent ? MPI_SUCCESS : tell(o, o->post_ranks, o->n_post, TAG_POST), "MPI_Win_post");
}

CRCP_API(int, MPI_Win_start, (MPI_Group group, int assert, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_start(group, assert, win);
	if (assert & ~MPI_MODE_NOCHECK)
		return fail(win, MPI_ERR_ASSERT, "MPI_Win_start");
	if (!crcp_is_live(group))
		return fail(win, MPI_ERR_GROUP, "MPI_Win_start");
	if (o->started || o->n_locks || o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_start");
	crcp_call_begin();
	r = ranks_of(o, group, &o->start_ranks, &o->n_start);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return fail(win, r, "MPI_Win_start");
	o->start_silent = (assert & MPI_MODE_NOCHECK) != 0;
	if (!o->start_silent)
		r = hear(o, o->start_ranks, o->n_start, TAG_POST);
	o->started = true;
	o->fence = false;
	return fail(win, r, "MPI_Win_start");
}

CRCP_API(int, MPI_Win_complete, (MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_complete(win);
	if (!o->started)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_complete");
	r = all_done(o);
	if (r == MPI_SUCCESS)
		r = tell(o, o->start_ranks, o->n_start, TAG_COMPLETE);
	o->started = false;
	ranks_free(&o->start_ranks);
	return fail(win, r, "MPI_Win_complete");
}

static void exposure_end(struct crcp_win_own *o)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	o->posted = false;
	ranks_free(&o->post_ranks);
}

CRCP_API(int, MPI_Win_wait, (MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_wait(win);
	if (!o->posted)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_wait");
	r = hear(o, o->post_ranks + o->n_completed, o->n_post - o->n_completed, TAG_COMPLETE);
	exposure_end(o);
	return fail(win, r, "MPI_Win_wait");
}

CRCP_API(int, MPI_Win_test, (MPI_Win win, int *flag))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r = MPI_SUCCESS, there = 1;

	if (!o)
		return crcp_native_MPI_Win_test(win, flag);
	if (!flag)
		return fail(win, MPI_ERR_ARG, "MPI_Win_test");
	if (!o->posted)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_test");
	while (r == MPI_SUCCESS && there && o->n_completed < o->n_post) {
		r = PMPI_Iprobe(o->post_ranks[o->n_completed], TAG_COMPLETE, crcp_win_comm(o), &there, MPI_STATUS_IGNORE);
		if (r == MPI_SUCCESS && there) {
			r = hear(o, &o->post_ranks[o->n_completed], 1, TAG_COMPLETE);
			o->n_completed++;
		}
	}
	*flag = r == MPI_SUCCESS && o->n_completed == o->n_post;
	if (*flag)
		exposure_end(o);
	return fail(win, r, "MPI_Win_test");
}

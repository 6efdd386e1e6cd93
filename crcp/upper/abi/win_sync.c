/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Epochs of the layer's own windows.
 *
 * Operations are complete when they return, so an epoch is only about who may touch what, and when:
 *   fence   a barrier over the window's communicator
 *   post, start, complete, wait   messages without content over that communicator
 *   locks   counters in the shared object. An exclusive lock also counts in the word for everybody, whose lower half counts the holders
 *           of lock_all, so neither has to look at every rank
 * All three are saved like everything else of the program, and every wait among them takes part in stops: a checkpoint that arrives inside
 * an epoch finds it as it will be after a restart.
 */
#include "crcp/upper/abi/win.h"
#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

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

/* Memory in order, and the real library not left alone by a program that only looks at a window. */
static void settle(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	crcp_call_begin();
	crcp_lower_progress();
	crcp_poll_none();
	crcp_call_end();
}

/* ---- locks ---- */
void crcp_win_slot_take(struct crcp_win_slot *s)
{
	unsigned int turns = 0;

	while (__atomic_exchange_n(&s->combine, 1, __ATOMIC_ACQUIRE)) {
		if (++turns % 64 == 0)
			crcp_os_yield();
		crcp_os_relax();
	}
}

void crcp_win_slot_give(struct crcp_win_slot *s)
{
	__atomic_store_n(&s->combine, 0, __ATOMIC_RELEASE);
}

static bool try_everybody(struct crcp_win_shared *s)
{
	uint64_t seen = __atomic_add_fetch(&s->everybody, 1, __ATOMIC_SEQ_CST);

	if (seen < CRCP_WIN_ONE_EXCLUSIVE)
		return true;
	__atomic_fetch_sub(&s->everybody, 1, __ATOMIC_SEQ_CST);
	return false;
}

static bool try_shared(struct crcp_win_slot *s)
{
	if (!(__atomic_add_fetch(&s->lock, 1, __ATOMIC_SEQ_CST) & CRCP_WIN_EXCLUSIVE))
		return true;
	__atomic_fetch_sub(&s->lock, 1, __ATOMIC_SEQ_CST);
	return false;
}

static void release(struct crcp_win_shared *s, int target, unsigned int how)
{
	if (how & CRCP_LOCK_NOCHECK)
		return;
	if (how & CRCP_LOCK_SHARED) {
		__atomic_fetch_sub(&s->slot[target].lock, 1, __ATOMIC_SEQ_CST);
		return;
	}
	__atomic_fetch_and(&s->slot[target].lock, ~CRCP_WIN_EXCLUSIVE, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&s->everybody, CRCP_WIN_ONE_EXCLUSIVE, __ATOMIC_SEQ_CST);
}

static bool try_exclusive(struct crcp_win_shared *s, int target)
{
	uint64_t free = 0;

	if ((uint32_t)__atomic_add_fetch(&s->everybody, CRCP_WIN_ONE_EXCLUSIVE, __ATOMIC_SEQ_CST) == 0 &&
	    __atomic_compare_exchange_n(&s->slot[target].lock, &free, CRCP_WIN_EXCLUSIVE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return true;
	__atomic_fetch_sub(&s->everybody, CRCP_WIN_ONE_EXCLUSIVE, __ATOMIC_SEQ_CST);
	return false;
}

/* @target -1: lock_all. Between two tries nothing is held, and a stop may be served. */
static void acquire(struct crcp_win_own *o, int target, unsigned int how)
{
	struct crcp_wait w = { 0 };

	crcp_call_begin();
	while (!(how & CRCP_LOCK_NOCHECK)) {
		if (target < 0 ? try_everybody(o->shared) : how & CRCP_LOCK_SHARED ? try_shared(&o->shared->slot[target]) : try_exclusive(o->shared, target))
			break;
		crcp_lower_progress(); /* the holder may wait for us elsewhere */
		crcp_os_yield();
		crcp_wait_pause(&w, NULL, 0);
	}
	crcp_wait_done(&w);
	if (target < 0) {
		o->lock_all = how;
	} else {
		o->locks[target] = (uint8_t)how;
		o->n_locks++;
	}
	o->fence = false;
	crcp_call_end();
}

CRCP_API(int, MPI_Win_lock, (int type, int rank, int assert, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	unsigned int how = (type == MPI_LOCK_EXCLUSIVE ? CRCP_LOCK_EXCLUSIVE : CRCP_LOCK_SHARED) | (assert & MPI_MODE_NOCHECK ? CRCP_LOCK_NOCHECK : 0);

	if (!o)
		return crcp_native_MPI_Win_lock(type, rank, assert, win);
	if (type != MPI_LOCK_EXCLUSIVE && type != MPI_LOCK_SHARED)
		return fail(win, MPI_ERR_LOCKTYPE, "MPI_Win_lock");
	if (!is_rank(o, rank) && rank != MPI_PROC_NULL)
		return fail(win, MPI_ERR_RANK, "MPI_Win_lock");
	if (assert & ~MPI_MODE_NOCHECK)
		return fail(win, MPI_ERR_ASSERT, "MPI_Win_lock");
	if (rank == MPI_PROC_NULL)
		return MPI_SUCCESS;
	if (o->locks[rank] || o->lock_all || o->started)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_lock");
	acquire(o, rank, how);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_lock_all, (int assert, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!o)
		return crcp_native_MPI_Win_lock_all(assert, win);
	if (assert & ~MPI_MODE_NOCHECK)
		return fail(win, MPI_ERR_ASSERT, "MPI_Win_lock_all");
	if (o->n_locks || o->lock_all || o->started)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_lock_all");
	acquire(o, -1, CRCP_LOCK_SHARED | (assert & MPI_MODE_NOCHECK ? CRCP_LOCK_NOCHECK : 0));
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_unlock, (int rank, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!o)
		return crcp_native_MPI_Win_unlock(rank, win);
	if (!is_rank(o, rank) && rank != MPI_PROC_NULL)
		return fail(win, MPI_ERR_RANK, "MPI_Win_unlock");
	if (rank == MPI_PROC_NULL)
		return MPI_SUCCESS;
	if (!o->locks[rank])
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_unlock");
	crcp_call_begin(); /* both or neither at a stop */
	release(o->shared, rank, o->locks[rank]);
	o->locks[rank] = 0;
	o->n_locks--;
	crcp_call_end();
	settle();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_unlock_all, (MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!o)
		return crcp_native_MPI_Win_unlock_all(win);
	if (!o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_unlock_all");
	crcp_call_begin();
	if (!(o->lock_all & CRCP_LOCK_NOCHECK))
		__atomic_fetch_sub(&o->shared->everybody, 1, __ATOMIC_SEQ_CST);
	o->lock_all = 0;
	crcp_call_end();
	settle();
	return MPI_SUCCESS;
}

static int flush(int rank, MPI_Win win, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!is_rank(o, rank) && rank != MPI_PROC_NULL)
		return fail(win, MPI_ERR_RANK, function);
	if (rank == MPI_PROC_NULL)
		return MPI_SUCCESS;
	if (!o->locks[rank] && !o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, function);
	settle();
	return MPI_SUCCESS;
}

static int flush_all(MPI_Win win, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!o->n_locks && !o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, function);
	settle();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_flush, (int rank, MPI_Win win))
{
	return crcp_win_own(win) ? flush(rank, win, "MPI_Win_flush") : crcp_native_MPI_Win_flush(rank, win);
}

CRCP_API(int, MPI_Win_flush_local, (int rank, MPI_Win win))
{
	return crcp_win_own(win) ? flush(rank, win, "MPI_Win_flush_local") : crcp_native_MPI_Win_flush_local(rank, win);
}

CRCP_API(int, MPI_Win_flush_all, (MPI_Win win))
{
	return crcp_win_own(win) ? flush_all(win, "MPI_Win_flush_all") : crcp_native_MPI_Win_flush_all(win);
}

CRCP_API(int, MPI_Win_flush_local_all, (MPI_Win win))
{
	return crcp_win_own(win) ? flush_all(win, "MPI_Win_flush_local_all") : crcp_native_MPI_Win_flush_local_all(win);
}

CRCP_API(int, MPI_Win_sync, (MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Win_sync(win);
	settle();
	return MPI_SUCCESS;
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
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
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

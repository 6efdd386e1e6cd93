/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks of the layer's own windows, and what completes operations under them.
 *
 * A lock is a counter in the head of the target's part, which the ranks of the target's node change in memory they share and the others through
 * the target's service. An exclusive lock also counts in rank 0's word for everybody, whose lower half counts the holders of lock_all, so
 * neither has to look at every rank. Between two tries nothing is held, and a stop may be served: what is saved is the lock of those who have it.
 */
#include "crcp/upper/abi/win.h"
#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

#define WORD(name) offsetof(struct crcp_win_head, name)
/* Between two tries at a word of another node, so that its service has time for others. */
#define NAP_FIRST_NS 5000u
#define NAP_MAX_NS 500000u

static int fail(MPI_Win win, int code, const char *function)
{
	return code == MPI_SUCCESS ? code : crcp_win_error(crcp_win(win), code, function);
}

static bool is_rank(const struct crcp_win_own *o, int rank)
{
	return rank >= 0 && rank < o->size;
}

/* A turn of the real library costs more than most operations that are completed here; who waits by calling comes again. */
#define PROGRESS_EVERY 8

void crcp_win_settle(void)
{
	static volatile unsigned int settled;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	crcp_call_begin();
	if (++settled % PROGRESS_EVERY == 0)
		crcp_lower_progress();
	crcp_poll_none();
	crcp_call_end();
}

void crcp_win_combine_begin(struct crcp_win_head *h)
{
	unsigned int turns = 0;

	while (__atomic_exchange_n(&h->combine, 1, __ATOMIC_ACQUIRE)) {
		if (++turns % 64 == 0)
			crcp_os_yield();
		crcp_os_relax();
	}
}

void crcp_win_combine_end(struct crcp_win_head *h)
{
	__atomic_store_n(&h->combine, 0, __ATOMIC_RELEASE);
}

/* ---- words of a head, wherever it is. MPI error code ---- */
static volatile uint64_t *word_of(const struct crcp_win_peer *p, size_t offset)
{
	return (volatile uint64_t *)(volatile void *)((char *)p->head + offset);
}

static int word_add(const struct crcp_win_own *o, int rank, size_t offset, uint64_t value, uint64_t *ret_sum)
{
	const struct crcp_win_peer *p = &o->peers[rank];

	if (!p->head)
		return crcp_win_far_add(p, offset, value, ret_sum);
	*ret_sum = __atomic_add_fetch(word_of(p, offset), value, __ATOMIC_SEQ_CST);
	return MPI_SUCCESS;
}

/* What nobody has to wait for. */
static int word_take_back(const struct crcp_win_own *o, int rank, size_t offset, uint64_t value)
{
	uint64_t sum;

	return o->peers[rank].head ? word_add(o, rank, offset, -value, &sum) : crcp_win_far_post_add(&o->peers[rank], offset, -value);
}

static int word_exchange(const struct crcp_win_own *o, int rank, size_t offset, uint64_t old, uint64_t new, uint64_t *ret_seen)
{
	const struct crcp_win_peer *p = &o->peers[rank];

	if (!p->head)
		return crcp_win_far_exchange(p, offset, old, new, ret_seen);
	*ret_seen = old;
	__atomic_compare_exchange_n(word_of(p, offset), ret_seen, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return MPI_SUCCESS;
}

/* ---- tries; *ret_have: it is ours ---- */
static int try_everybody(const struct crcp_win_own *o, bool *ret_have)
{
	uint64_t seen = 0;
	int r = word_add(o, 0, WORD(everybody), 1, &seen);

	*ret_have = r == MPI_SUCCESS && seen < CRCP_WIN_ONE_EXCLUSIVE;
	return r != MPI_SUCCESS || *ret_have ? r : word_take_back(o, 0, WORD(everybody), 1);
}

static int try_shared(const struct crcp_win_own *o, int target, bool *ret_have)
{
	uint64_t seen = 0;
	int r = word_add(o, target, WORD(lock), 1, &seen);

	*ret_have = r == MPI_SUCCESS && !(seen & CRCP_WIN_EXCLUSIVE);
	return r != MPI_SUCCESS || *ret_have ? r : word_take_back(o, target, WORD(lock), 1);
}

static int try_exclusive(const struct crcp_win_own *o, int target, bool *ret_have)
{
	uint64_t seen = 0;
	int r = word_add(o, 0, WORD(everybody), CRCP_WIN_ONE_EXCLUSIVE, &seen);

	*ret_have = false;
	if (r != MPI_SUCCESS)
		return r;
	if ((uint32_t)seen == 0) {
		r = word_exchange(o, target, WORD(lock), 0, CRCP_WIN_EXCLUSIVE, &seen);
		*ret_have = r == MPI_SUCCESS && seen == 0;
	}
	return r != MPI_SUCCESS || *ret_have ? r : word_take_back(o, 0, WORD(everybody), CRCP_WIN_ONE_EXCLUSIVE);
}

static int try(const struct crcp_win_own *o, int target, unsigned int how, bool *ret_have)
{
	if (target < 0)
		return try_everybody(o, ret_have);
	return how & CRCP_LOCK_SHARED ? try_shared(o, target, ret_have) : try_exclusive(o, target, ret_have);
}

/* Operations on @target (-1: all) are done, then its lock is free. */
static int release(const struct crcp_win_own *o, int target, unsigned int how)
{
	const struct crcp_win_peer *p = target < 0 ? NULL : &o->peers[target];
	uint64_t sum;
	int r = MPI_SUCCESS;

	/* The answer to the word's change says that what was asked for before is done. */
	if (o->is_far && (!p || p->head || (how & CRCP_LOCK_NOCHECK)))
		r = crcp_win_far_sync(p);
	if (r != MPI_SUCCESS || (how & CRCP_LOCK_NOCHECK))
		return r;
	if (target < 0)
		return word_take_back(o, 0, WORD(everybody), 1);
	if (how & CRCP_LOCK_SHARED)
		return word_add(o, target, WORD(lock), -(uint64_t)1, &sum);
	r = word_add(o, target, WORD(lock), -CRCP_WIN_EXCLUSIVE, &sum);
	return r == MPI_SUCCESS ? word_take_back(o, 0, WORD(everybody), CRCP_WIN_ONE_EXCLUSIVE) : r;
}

/* A try at a word of another node costs its service's time: naps in between that become longer. */
static void wait_turn(struct crcp_wait *w, bool near, uint64_t *nap_ns)
{
	volatile uint32_t nobody = 0;

	crcp_lower_progress(); /* the holder may wait for us elsewhere */
	if (near) {
		crcp_os_yield();
	} else {
		crcp_os_futex_wait(&nobody, 0, *nap_ns);
		if (*nap_ns < NAP_MAX_NS)
			*nap_ns += *nap_ns / 2;
	}
	crcp_wait_pause(w, NULL, 0);
}

/* Are the words of the lock mapped here? A restart may have brought others near, or taken them away. */
static bool is_near(const struct crcp_win_own *o, int target, unsigned int how)
{
	return (target < 0 || o->peers[target].head) && ((target >= 0 && (how & CRCP_LOCK_SHARED)) || o->peers[0].head);
}

/* @target -1: lock_all. */
static int acquire(struct crcp_win_own *o, int target, unsigned int how)
{
	uint64_t nap_ns = NAP_FIRST_NS;
	struct crcp_wait w = { 0 };
	int r = MPI_SUCCESS;
	bool have = how & CRCP_LOCK_NOCHECK;

	crcp_call_begin();
	while (!have) {
		r = try(o, target, how, &have);
		if (r != MPI_SUCCESS || have)
			break;
		wait_turn(&w, is_near(o, target, how), &nap_ns);
	}
	crcp_wait_done(&w);
	if (r == MPI_SUCCESS) {
		if (target < 0) {
			o->lock_all = how;
		} else {
			o->locks[target] = (uint8_t)how;
			__atomic_fetch_add(&o->n_locks, 1, __ATOMIC_SEQ_CST);
		}
		o->fence = false;
	}
	crcp_call_end();
	return r;
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
	return fail(win, acquire(o, rank, how), "MPI_Win_lock");
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
	return fail(win, acquire(o, -1, CRCP_LOCK_SHARED | (assert & MPI_MODE_NOCHECK ? CRCP_LOCK_NOCHECK : 0)), "MPI_Win_lock_all");
}

CRCP_API(int, MPI_Win_unlock, (int rank, MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_unlock(rank, win);
	if (!is_rank(o, rank) && rank != MPI_PROC_NULL)
		return fail(win, MPI_ERR_RANK, "MPI_Win_unlock");
	if (rank == MPI_PROC_NULL)
		return MPI_SUCCESS;
	if (!o->locks[rank])
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_unlock");
	crcp_call_begin(); /* both or neither at a stop */
	r = release(o, rank, o->locks[rank]);
	o->locks[rank] = 0;
	__atomic_fetch_sub(&o->n_locks, 1, __ATOMIC_SEQ_CST);
	crcp_call_end();
	crcp_win_settle();
	return fail(win, r, "MPI_Win_unlock");
}

CRCP_API(int, MPI_Win_unlock_all, (MPI_Win win))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_unlock_all(win);
	if (!o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, "MPI_Win_unlock_all");
	crcp_call_begin();
	r = release(o, -1, o->lock_all);
	o->lock_all = 0;
	crcp_call_end();
	crcp_win_settle();
	return fail(win, r, "MPI_Win_unlock_all");
}

/* @local: the origin's memory may be used again, which is so from the start. */
static int flushed(const struct crcp_win_own *o, const struct crcp_win_peer *p, bool local)
{
	int r = MPI_SUCCESS;

	if (o->is_far && !local) {
		crcp_call_begin();
		r = crcp_win_far_sync(p);
		crcp_call_end();
	}
	crcp_win_settle();
	return r;
}

static int flush(int rank, MPI_Win win, bool local, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!is_rank(o, rank) && rank != MPI_PROC_NULL)
		return fail(win, MPI_ERR_RANK, function);
	if (rank == MPI_PROC_NULL)
		return MPI_SUCCESS;
	if (!o->locks[rank] && !o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, function);
	return fail(win, flushed(o, &o->peers[rank], local), function);
}

static int flush_all(MPI_Win win, bool local, const char *function)
{
	struct crcp_win_own *o = crcp_win_own(win);

	if (!o->n_locks && !o->lock_all)
		return fail(win, MPI_ERR_RMA_SYNC, function);
	return fail(win, flushed(o, NULL, local), function);
}

CRCP_API(int, MPI_Win_flush, (int rank, MPI_Win win))
{
	return crcp_win_own(win) ? flush(rank, win, false, "MPI_Win_flush") : crcp_native_MPI_Win_flush(rank, win);
}

CRCP_API(int, MPI_Win_flush_local, (int rank, MPI_Win win))
{
	return crcp_win_own(win) ? flush(rank, win, true, "MPI_Win_flush_local") : crcp_native_MPI_Win_flush_local(rank, win);
}

CRCP_API(int, MPI_Win_flush_all, (MPI_Win win))
{
	return crcp_win_own(win) ? flush_all(win, false, "MPI_Win_flush_all") : crcp_native_MPI_Win_flush_all(win);
}

CRCP_API(int, MPI_Win_flush_local_all, (MPI_Win win))
{
	return crcp_win_own(win) ? flush_all(win, true, "MPI_Win_flush_local_all") : crcp_native_MPI_Win_flush_local_all(win);
}

CRCP_API(int, MPI_Win_sync, (MPI_Win win))
{
	if (!crcp_win_own(win))
		return crcp_native_MPI_Win_sync(win);
	crcp_win_settle();
	return MPI_SUCCESS;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Critical sections: many threads inside, or the checkpoint.
 *
 * One word holds who is inside, who waits and whose turn it is (cr_callbacks.h); every change is one compare-and-swap. The checkpoint does not
 * starve: from WANTED on only those enter whom it owes a turn, and each of them once. The threads do not starve: whoever waits when a
 * checkpoint ends is owed a turn before the next one begins.
 * Context: any thread, signal handlers.
 */
#include "libcr/upper/upper.h"

#include <sched.h>

/* Enters without waiting, or not at all. @turn: WANTED does not count. */
static bool sections_enter(bool turn, bool waiting)
{
	uint64_t w = __atomic_load_n(&cr_callbacks.sections, __ATOMIC_SEQ_CST), new;

	do {
		if ((w & CR_SECTIONS_HELD) || (!turn && (w & CR_SECTIONS_WANTED)))
			return false;
		new = w + CR_SECTIONS_INSIDE;
		if (waiting) {
			new -= CR_SECTIONS_WAITING;
			if (CR_SECTIONS_N_OWED(w))
				new -= CR_SECTIONS_OWED;
		}
	} while (!__atomic_compare_exchange_n(&cr_callbacks.sections, &w, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}

static void sections_wait(void)
{
	uint32_t begin = cr_callbacks.event;

	__atomic_fetch_add(&cr_callbacks.sections, CR_SECTIONS_WAITING, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t seen = cr_callbacks.event;

		if (sections_enter(seen != begin, true))
			return;
		cr_futex_wait(&cr_callbacks.event, seen);
	}
}

/* 0: go on; 1: nothing to do, we are in a callback; -1 with errno. */
static int sections_check(cr_client_id_t id, struct cr_client **ret)
{
	struct cr_client *me = cr_client();

	*ret = me;
	if (id == CR_ID_CALLBACK)
		return cr_client_run() ? 1 : cr_fail(cr_gate_present() ? CR_ENOTCB : ENOSYS);
	if (!me)
		return -1;
	if (id < 0)
		return cr_fail(EINVAL);
	return me->run ? 1 : 0;
}

EXPORT int cr_enter_cs(cr_client_id_t id)
{
	struct cr_client *me;
	int rc = sections_check(id, &me);

	if (rc)
		return rc < 0 ? -1 : 0;
	/* A handler that came in the middle of an outermost leave: that section may still count, so the checkpoint would wait for us. */
	if (!me->depth && !sections_enter(me->leaving, false))
		sections_wait();
	me->depth++;
	return 0;
}

EXPORT int cr_tryenter_cs(cr_client_id_t id)
{
	struct cr_client *me;
	int rc = sections_check(id, &me);

	if (rc)
		return rc < 0 ? -1 : 0;
	if (!me->depth && !sections_enter(me->leaving, false))
		return 1;
	me->depth++;
	return 0;
}

EXPORT int cr_leave_cs(cr_client_id_t id)
{
	struct cr_client *me;
	int rc = sections_check(id, &me);
	uint32_t event;
	uint64_t w;

	if (rc)
		return rc < 0 ? -1 : 0;
	if (!me->depth)
		return cr_fail(EINVAL);
	if (me->depth > 1) {
		me->depth--;
		return 0;
	}
	event = cr_callbacks.event;
	me->leaving = 1;
	me->depth = 0;
	w = __atomic_fetch_sub(&cr_callbacks.sections, CR_SECTIONS_INSIDE, __ATOMIC_SEQ_CST);
	me->leaving = 0;
	if (!(w & CR_SECTIONS_WANTED))
		return 0;
	if (CR_SECTIONS_N_INSIDE(w) == 1)
		CR_GATE->board_notify();
	/* With callbacks in thread context one of them may wait for us. Without, our own are run while we wait here. */
	while (!cr_callbacks.places[0].n && cr_callbacks.event == event &&
	       (__atomic_load_n(&cr_callbacks.sections, __ATOMIC_SEQ_CST) & (CR_SECTIONS_WANTED | CR_SECTIONS_HELD)))
		cr_futex_wait(&cr_callbacks.event, event);
	return 0;
}

EXPORT int cr_status(void)
{
	uint64_t w;

	if (!cr_client())
		return -1;
	w = __atomic_load_n(&cr_callbacks.sections, __ATOMIC_SEQ_CST);
	return w & CR_SECTIONS_HELD ? CR_STATE_ACTIVE : w & CR_SECTIONS_WANTED ? CR_STATE_PENDING : CR_STATE_IDLE;
}

EXPORT void cr_spinlock_init(cr_spinlock_t *l)
{
	__atomic_store_n(l, CR_SPINLOCK_INITIALIZER, __ATOMIC_RELEASE);
}

EXPORT int cr_spinlock_trylock(cr_spinlock_t *l)
{
	return !__atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE);
}

EXPORT void cr_spinlock_lock(cr_spinlock_t *l)
{
	for (unsigned int turns = 0; !cr_spinlock_trylock(l);)
		if (++turns % 64 == 0)
			sched_yield();
}

EXPORT void cr_spinlock_unlock(cr_spinlock_t *l)
{
	__atomic_store_n(l, CR_SPINLOCK_INITIALIZER, __ATOMIC_RELEASE);
}

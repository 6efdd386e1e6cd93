/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wait loops: they turn inside the lower half as fast as MPI_Wait does, and come out when the board's order is not RUN.
 */
#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

#define CRCP_WAITING_NS 2000000u
#define CRCP_PROGRESS_TAG 0x3ffd

bool crcp_stop_allowed(void)
{
	return crcp_tls.depth <= 1 && cr_crossing_thread()->depth == 0;
}

void crcp_lower_progress(void)
{
	MPI_Comm comm = (MPI_Comm)crcp.real_private_comm;
	MPI_Status status;
	int flag;
	MPI_Status *s = &status;
	int *f = &flag;

	(void)CR_LOWER(crcp_lower.MPI_Iprobe(MPI_ANY_SOURCE, CRCP_PROGRESS_TAG, comm, f, s));
}

/* Of this thread. Returns whether others are still known to wait. */
static bool crcp_wait_untell(struct crcp_wait *w)
{
	w->since_ns = 0;
	if (!w->told)
		return crcp_p2p.waiters > 0;
	w->told = false;
	return __atomic_sub_fetch(&crcp_p2p.waiters, 1, __ATOMIC_SEQ_CST) > 0;
}

void crcp_wait_done(struct crcp_wait *w)
{
	bool told = w->told;

	if (!crcp_wait_untell(w) && told && crcp.board.state == CR_RANK_WAITING)
		crcp_board_state(CR_RANK_RUNNING);
}

static void crcp_wait_converge(struct crcp_wait *w)
{
	uint64_t now = crcp_os_now_ns();

	if (w->since_ns == 0) {
		w->since_ns = now;
	} else if (now - w->since_ns > CRCP_WAITING_NS) {
		if (!w->told) {
			w->told = true;
			__atomic_fetch_add(&crcp_p2p.waiters, 1, __ATOMIC_SEQ_CST);
			crcp_board_state(CR_RANK_WAITING);
		}
		crcp_os_yield();
	}
}

void crcp_wait_pause(struct crcp_wait *w, struct crcp_request **v, int n)
{
	uint32_t order = crcp.board.order;
	int i;

	if (order == CR_ORDER_RUN)
		return;
	if (order == CR_ORDER_CONVERGE) {
		crcp_wait_converge(w);
		return;
	}
	if (!crcp_stop_allowed()) {
		crcp_os_yield();
		return;
	}
	for (i = 0; i < n; i++)
		if (v[i]->state == CRCP_ACTIVE && !(v[i]->flags & (CRCP_R_LINKED | CRCP_R_BUFFERED)))
			crcp_request_link(v[i]);
	(void)crcp_wait_untell(w);
	crcp_stop_serve();
}

/* Test v[i...] in order until one is not complete and (@once, or the order is not RUN any more). Returns where it stopped. */
static inline __attribute__((always_inline)) int crcp_wait_turns(struct cr_thread *t, struct crcp_request **v, int i, int n, bool once)
{
	unsigned int left = CRCP_TURNS;

	cr_cross_enter(t);
	for (; i < n; i++) {
		struct crcp_request *r = v[i];
		MPI_Request real;
		int flag, rc;

		if (r->state != CRCP_ACTIVE)
			continue;
		real = (MPI_Request)r->h.real;
		for (;;) {
			flag = 0;
			rc = crcp_lower.MPI_Test(&real, &flag, &r->status);
			if (flag || rc != MPI_SUCCESS)
				break;
			if (once)
				goto out;
			if (__builtin_expect(crcp.board.order != CR_ORDER_RUN, 0) && (crcp.board.order >= CR_ORDER_STOP || --left == 0))
				goto out;
		}
		r->h.real = real;
		r->code = rc;
		r->state = CRCP_LANDED;
	}
out:
	cr_cross_leave(t);
	return i;
}

void crcp_wait_requests(struct crcp_request **v, int n)
{
	struct crcp_wait w = { 0 };
	int booked = 0, at = 0;

	for (;;) {
		at = crcp_wait_turns(cr_crossing_thread(), v, at, n, false);
		if (__builtin_expect(w.told, 0) && at > booked)
			crcp_wait_done(&w);
		for (; booked < at; booked++)
			if (v[booked]->state == CRCP_LANDED)
				crcp_request_finish(v[booked]);
		if (at == n)
			break;
		crcp_wait_pause(&w, v + at, n - at);
	}
	crcp_poll_some();
}

bool crcp_test_requests(struct crcp_request **v, int n)
{
	int at = crcp_wait_turns(cr_crossing_thread(), v, 0, n, true), i;

	for (i = 0; i < at; i++)
		if (v[i]->state == CRCP_LANDED)
			crcp_request_finish(v[i]);
	return at == n;
}

void crcp_test_request(struct crcp_request *r)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Request real = (MPI_Request)r->h.real;
	int flag = 0, rc;

	if (r->state != CRCP_ACTIVE)
		return;
	cr_cross_enter(t);
	rc = crcp_lower.MPI_Test(&real, &flag, &r->status);
	cr_cross_leave(t);
	if (!flag && rc == MPI_SUCCESS)
		return;
	r->h.real = real;
	r->code = rc;
	r->state = CRCP_LANDED;
	crcp_request_finish(r);
}

void crcp_poll_idle(void)
{
	uint64_t now = crcp_os_now_ns();

	if (crcp_p2p.idle_since_ns == 0)
		crcp_p2p.idle_since_ns = now;
	else if (now - crcp_p2p.idle_since_ns > CRCP_WAITING_NS && crcp.board.state == CR_RANK_RUNNING)
		crcp_board_state(CR_RANK_WAITING);
}

void crcp_poll_busy(void)
{
	crcp_p2p.idle_since_ns = 0;
	if (crcp.board.state == CR_RANK_WAITING)
		crcp_board_state(CR_RANK_RUNNING);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layer's life: the board, the counters of each communicator, start, end, and the rebuild of what is pending after a restart.
 */
#include <errno.h>

#include "crcp/upper/p2p/log.h"
#include "crcp/upper/p2p/p2p.h"

void crcp_board_state(uint32_t state)
{
	if (crcp.board.state == state)
		return;
	__atomic_store_n(&crcp.board.state, state, __ATOMIC_SEQ_CST);
	CR_GATE->board_notify();
}

void crcp_comm_init_counters(struct crcp_comm *c)
{
	int peers = c->remote_size > 0 ? c->remote_size : c->size;

	c->sent = 0;
	c->received = 0;
	c->counted = true;
	c->outside = false;
	for (int i = 0; i < peers; i++)
		if (c->world_ranks[i] < 0)
			c->outside = true;
	c->log_head = NULL;
	c->log_tail = NULL;
	crcp_clock_attach(c);
}

static void crcp_request_stray(struct crcp_request *r)
{
	/* The one passes by itself, the other ends when the program frees it. */
	static const char *const text[2] = { "a receive has outlived its communicator, which was freed: until it is complete, try again",
					     "a persistent request has outlived its communicator, which was freed" };
	unsigned int kind = r->persistent ? 1 : 0;

	if (r->comm->outside)
		r->flags |= CRCP_R_OUTSIDE;
	r->comm = NULL;
	if (r->op == CRCP_OP_RECV || r->persistent) {
		r->flags |= CRCP_R_STRAY;
		if (crcp_p2p.strays[kind]++ == 0)
			CR_GATE->nocr_set(CRCP_NOCR_STRAY + kind, text[kind]);
	}
}

/* Requests that are still there when their communicator goes away. */
static void crcp_comm_forget_requests(const struct crcp_comm *c)
{
	struct crcp_request *r;

	crcp_p2p_lock();
	for (r = crcp_p2p.active.head; r; r = r->next)
		if (r->comm == c)
			crcp_request_stray(r);
	for (r = crcp_p2p.buffered.head; r; r = r->next)
		if (r->comm == c)
			crcp_request_stray(r);
	for (r = crcp_p2p.persistent; r; r = r->persistent_next)
		if (r->comm == c)
			crcp_request_stray(r);
	crcp_p2p_unlock();
}

void crcp_comm_fini_counters(struct crcp_comm *c)
{
	if (!c->counted)
		return;
	crcp_comm_forget_requests(c);
	if (!c->outside) {
		crcp_count(&crcp_p2p.gone_sent, (int64_t)c->sent);
		crcp_count(&crcp_p2p.gone_received, (int64_t)c->received);
	}
	c->counted = false;
	crcp_clock_detach(c);
	crcp_log_clear(c);
}

/* Our own messages: an error there is ours to handle. */
static void crcp_private_init(void)
{
	MPI_Comm comm = (MPI_Comm)crcp.real_private_comm;
	MPI_Errhandler handler = (MPI_Errhandler)crcp_real((void *)MPI_ERRORS_RETURN);

	(void)CR_LOWER(crcp_lower.MPI_Comm_set_errhandler(comm, handler));
}

void crcp_p2p_init(void)
{
	const struct crcp_comm *world = crcp_comm(MPI_COMM_WORLD);

	crcp.board.version = CR_BOARD_VERSION;
	crcp.board.world_rank = world->rank;
	crcp.board.world_size = world->size;
	crcp.board.thread_level = crcp.thread_level;
	crcp_private_init();
	crcp_stop_init();
	CR_GATE->board = &crcp.board;
	CR_GATE->stop_client = crcp_stop_client;
	crcp_board_state(CR_RANK_RUNNING);
}

void crcp_p2p_finalize(void)
{
	struct crcp_request *r;

	crcp_buffered_wait();
	crcp_request_reap();
	CR_GATE->stop_client = NULL;
	for (r = crcp_p2p.active.head; r; r = r->next) {
		MPI_Request real = (MPI_Request)r->h.real;
		MPI_Request *real_p = &real;

		if (r->flags & CRCP_R_ORPHAN && real)
			(void)CR_LOWER(crcp_lower.MPI_Request_free(real_p));
	}
	crcp_board_state(CR_RANK_OUTSIDE);
}

int crcp_p2p_rebuild(void)
{
	struct crcp_request *r;
	int rc;

	crcp_private_init();
	rc = crcp_persistent_rebuild();
	if (rc < 0)
		return rc;
	/* In their order: that is the order in which the library will match them. */
	for (r = crcp_p2p.active.head; r; r = r->next) {
		MPI_Request real = (MPI_Request)r->h.real;
		MPI_Request *real_p = &real;

		if (r->op == CRCP_OP_WRAP && r->wrap_kind == 'g') {
			rc = crcp_grequest_rebuild(crcp_request_handle(r));
			if (rc < 0)
				return rc;
			continue;
		}
		if (r->op != CRCP_OP_RECV || !r->comm)
			return -EPROTO;
		if (r->persistent)
			rc = CR_LOWER(crcp_lower.MPI_Start(real_p));
		else
			rc = crcp_recv_post(r);
		if (rc != MPI_SUCCESS)
			return -EIO;
		if (r->persistent)
			r->h.real = real;
	}
	return crcp_p2p.buffered.head ? -EPROTO : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Receives: the message log first, then the network.
 */
#include "crcp/upper/p2p/log.h"
#include "crcp/upper/p2p/p2p.h"

int crcp_recv_post(struct crcp_request *r)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Comm comm = (MPI_Comm)crcp_real_or_null(r->comm);
	MPI_Datatype type = (MPI_Datatype)crcp_real_or_null((void *)r->type);
	void *buf = r->buf;
	int count = r->count, peer = r->peer, tag = r->tag, rc;
	MPI_Request real;

	cr_cross_enter(t);
	rc = crcp_lower.MPI_Irecv(buf, count, type, peer, tag, comm, &real);
	cr_cross_leave(t);
	if (__builtin_expect(rc != MPI_SUCCESS, 0))
		return rc;
	r->h.real = real;
	r->state = CRCP_ACTIVE;
	return MPI_SUCCESS;
}

/* Start the receive of a blocking call and wait for it, in one crossing unless a stop comes in between. */
static int crcp_recv_now(struct crcp_request *r)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Comm comm = (MPI_Comm)crcp_real_or_null(r->comm);
	MPI_Datatype type = (MPI_Datatype)crcp_real_or_null((void *)r->type);
	void *buf = r->buf;
	int count = r->count, peer = r->peer, tag = r->tag, rc, code = MPI_SUCCESS, flag = 0;
	MPI_Request real;

	cr_cross_enter(t);
	rc = crcp_lower.MPI_Irecv(buf, count, type, peer, tag, comm, &real);
	if (__builtin_expect(rc == MPI_SUCCESS, 1)) {
		do
			code = crcp_lower.MPI_Test(&real, &flag, &r->status);
		while (!flag && code == MPI_SUCCESS && crcp.board.order == CR_ORDER_RUN);
	}
	cr_cross_leave(t);
	if (__builtin_expect(rc != MPI_SUCCESS, 0))
		return rc;
	r->h.real = real;
	if (__builtin_expect(flag || code != MPI_SUCCESS, 1)) {
		r->code = code;
		r->state = CRCP_LANDED;
		crcp_request_finish(r);
		crcp_poll_some();
	} else {
		r->state = CRCP_ACTIVE;
		crcp_wait_requests(&r, 1);
	}
	return MPI_SUCCESS;
}

bool crcp_recv_from_log(struct crcp_request *r)
{
	struct crcp_log_message *m;

	if (r->peer == MPI_PROC_NULL || r->count < 0 || !r->type)
		return false;
	crcp_p2p_lock();
	m = crcp_log_match(r->comm, r->peer, r->tag);
	if (m)
		crcp_log_take(r->comm, m);
	crcp_p2p_unlock();
	if (!m)
		return false;
	r->code = crcp_log_deliver(m, r->comm, r->buf, r->count, r->type, &r->status);
	r->state = CRCP_COMPLETE;
	r->flags |= CRCP_R_FROM_LOG;
	return true;
}

int crcp_request_error(struct crcp_comm *c, int code, bool from_log, const char *name)
{
	/* A null handle has no handler of its own. */
	if (c && c->h.flags & CRCP_H_NULL)
		c = NULL;
	return from_log ? crcp_error(c, code, name) : crcp_error(c, code, name);
}

CRCP_API(int, MPI_Recv, (void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request record, *r = &record;
	int rc = MPI_SUCCESS;

	crcp_call_begin();
	crcp_request_stack(r, CRCP_OP_RECV, c, buf, count, type, source, tag);
	if (__builtin_expect(!crcp_has_log(c), 1) || !crcp_recv_from_log(r))
		rc = crcp_recv_now(r);
	if (rc == MPI_SUCCESS) {
		crcp_status_copy(status, &r->status);
		rc = r->code;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, r->flags & CRCP_R_FROM_LOG, "MPI_Recv");
}

CRCP_API(int, MPI_Irecv, (void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Request *request))
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request *r;
	int rc;

	crcp_call_begin();
	r = crcp_request_get(CRCP_OP_RECV, c, buf, count, type, source, tag);
	if (__builtin_expect(crcp_has_log(c), 0) && crcp_recv_from_log(r)) {
		rc = MPI_SUCCESS;
	} else {
		rc = crcp_recv_post(r);
		if (__builtin_expect(rc == MPI_SUCCESS, 1)) {
			crcp_request_hold_type(r);
			crcp_request_link(r);
		}
	}
	if (__builtin_expect(rc == MPI_SUCCESS, 1)) {
		*request = crcp_request_handle(r);
	} else {
		crcp_request_put(r);
		*request = MPI_REQUEST_NULL;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Irecv");
}

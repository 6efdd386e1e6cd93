/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Persistent requests: made below as they are above, started below unless the log already has the message.
 */
#include <errno.h>

#include "crcp/upper/p2p/p2p.h"

/* Make the real persistent request of @r. */
static int crcp_persistent_make(struct crcp_request *r)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Comm comm = (MPI_Comm)crcp_real_or_null(r->comm);
	MPI_Datatype type = (MPI_Datatype)crcp_real_or_null((void *)r->type);
	void *buf = r->buf;
	int count = r->count, peer = r->peer, tag = r->tag, op = r->op, rc;
	MPI_Request real;

	cr_cross_enter(t);
	if (op == CRCP_OP_RECV)
		rc = crcp_lower.MPI_Recv_init(buf, count, type, peer, tag, comm, &real);
	else if (op == CRCP_OP_SSEND)
		rc = crcp_lower.MPI_Ssend_init(buf, count, type, peer, tag, comm, &real);
	else
		rc = crcp_lower.MPI_Send_init(buf, count, type, peer, tag, comm, &real);
	cr_cross_leave(t);
	if (rc == MPI_SUCCESS)
		r->h.real = real;
	return rc;
}

static int crcp_persistent_init(int op, const void *buf, int count, MPI_Datatype type, int peer, int tag, MPI_Comm comm, MPI_Request *request, const char *name)
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request *r;
	int rc;

	crcp_call_begin();
	r = crcp_request_get(op, c, buf, count, type, peer, tag);
	rc = crcp_persistent_make(r);
	if (rc == MPI_SUCCESS) {
		crcp_request_hold_type(r);
		crcp_request_persist(r);
		*request = crcp_request_handle(r);
	} else {
		crcp_request_put(r);
		*request = MPI_REQUEST_NULL;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, name);
}

CRCP_API(int, MPI_Send_init, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_persistent_init(CRCP_OP_SEND, buf, count, type, dest, tag, comm, request, "MPI_Send_init");
}

CRCP_API(int, MPI_Ssend_init, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_persistent_init(CRCP_OP_SSEND, buf, count, type, dest, tag, comm, request, "MPI_Ssend_init");
}

CRCP_API(int, MPI_Rsend_init, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_persistent_init(CRCP_OP_SEND, buf, count, type, dest, tag, comm, request, "MPI_Rsend_init");
}

CRCP_API(int, MPI_Bsend_init, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_persistent_init(CRCP_OP_BSEND, buf, count, type, dest, tag, comm, request, "MPI_Bsend_init");
}

CRCP_API(int, MPI_Recv_init, (void *buf, int count, MPI_Datatype type, int source, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_persistent_init(CRCP_OP_RECV, buf, count, type, source, tag, comm, request, "MPI_Recv_init");
}

static int crcp_persistent_start(struct crcp_request *r, bool *ret_raise)
{
	MPI_Request real;
	MPI_Request *real_p = &real;
	int rc;

	*ret_raise = false;
	if (!r->persistent || r->state != CRCP_INACTIVE) {
		*ret_raise = true;
		return MPI_ERR_REQUEST;
	}
	r->flags &= (uint8_t)~CRCP_R_FROM_LOG;
	r->code = MPI_SUCCESS;
	if (r->op == CRCP_OP_RECV && crcp_has_log(r->comm) && crcp_recv_from_log(r))
		return MPI_SUCCESS;
	if (r->op == CRCP_OP_BSEND) {
		rc = crcp_bsend_start(r->comm, r->buf, r->count, r->type, r->peer, r->tag, ret_raise);
		if (rc == MPI_SUCCESS) {
			crcp_status_empty(&r->status);
			r->state = CRCP_COMPLETE;
		}
		return rc;
	}
	if (r->op == CRCP_OP_WRAP && r->comm)
		crcp_collective_enter(r->comm); /* starting a persistent collective is a collective call */
	real = (MPI_Request)r->h.real;
	rc = CR_LOWER(crcp_lower.MPI_Start(real_p));
	if (rc != MPI_SUCCESS)
		return rc;
	r->h.real = real;
	r->state = CRCP_ACTIVE;
	if (r->op != CRCP_OP_RECV && r->op != CRCP_OP_WRAP && r->comm)
		crcp_count_sent(r->comm, r->peer, 1);
	crcp_request_link(r);
	return MPI_SUCCESS;
}

static int crcp_start_all(int count, MPI_Request *requests, const char *name)
{
	struct crcp_comm *c = NULL;
	bool raise = false;
	int rc = MPI_SUCCESS, i;

	crcp_call_begin();
	for (i = 0; i < count && rc == MPI_SUCCESS; i++) {
		struct crcp_request *r = crcp_request(requests[i]);

		c = NULL;
		if (!r || requests[i] == MPI_REQUEST_NULL) {
			raise = true;
			rc = MPI_ERR_REQUEST;
		} else {
			c = r->comm;
			rc = crcp_persistent_start(r, &raise);
		}
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, raise, name);
}

CRCP_API(int, MPI_Start, (MPI_Request *request))
{
	if (!request)
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Start");
	return crcp_start_all(1, request, "MPI_Start");
}

CRCP_API(int, MPI_Startall, (int count, MPI_Request requests[]))
{
	if (count < 0 || (!requests && count))
		return crcp_error(NULL, count < 0 ? MPI_ERR_ARG : MPI_ERR_REQUEST, "MPI_Startall");
	return crcp_start_all(count, requests, "MPI_Startall");
}

/* After a restart: every persistent point-to-point request is made again, oldest first; starting the active ones is the caller's. */
int crcp_persistent_rebuild(void)
{
	struct crcp_request *r = crcp_p2p.persistent;

	while (r && r->persistent_next)
		r = r->persistent_next;
	for (; r; r = r->persistent_prev) {
		if (r->op == CRCP_OP_WRAP || !r->comm)
			continue;
		if (crcp_persistent_make(r) != MPI_SUCCESS)
			return -EIO;
	}
	return 0;
}

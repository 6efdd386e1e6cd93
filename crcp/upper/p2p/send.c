/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sends. A small standard-mode send goes to the real MPI_Send, which ends without the receiver; everything else is a non-blocking
 * send and a wait loop, so that a rank can be stopped in it.
 */
#include "crcp/upper/p2p/p2p.h"

static inline bool crcp_send_is_eager(int count, MPI_Datatype type)
{
	uint64_t size_plus_1 = type ? ((struct crcp_datatype_head *)(void *)type)->size_plus_1 : 0;

	return size_plus_1 && (uint64_t)(unsigned int)count * (size_plus_1 - 1) <= CRCP_EAGER_BYTES;
}

int crcp_send_post(struct crcp_request *r)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Comm comm = (MPI_Comm)crcp_real_or_null(r->comm);
	MPI_Datatype type = (MPI_Datatype)crcp_real_or_null((void *)r->type);
	const void *buf = r->buf;
	int count = r->count, peer = r->peer, tag = r->tag, op = r->op, rc;
	MPI_Request real;

	cr_cross_enter(t);
	if (op == CRCP_OP_SSEND)
		rc = crcp_lower.MPI_Issend(buf, count, type, peer, tag, comm, &real);
	else if (op == CRCP_OP_RSEND)
		rc = crcp_lower.MPI_Irsend(buf, count, type, peer, tag, comm, &real);
	else
		rc = crcp_lower.MPI_Isend(buf, count, type, peer, tag, comm, &real);
	cr_cross_leave(t);
	if (__builtin_expect(rc != MPI_SUCCESS, 0))
		return rc;
	r->h.real = real;
	r->state = CRCP_ACTIVE;
	crcp_count_sent(r->comm, peer, 1);
	return MPI_SUCCESS;
}

static int crcp_send_blocking(int op, const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, const char *name)
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request record, *r = &record;
	int rc;

	crcp_call_begin();
	crcp_request_stack(r, op, c, buf, count, type, dest, tag);
	rc = crcp_send_post(r);
	if (rc == MPI_SUCCESS) {
		crcp_wait_requests(&r, 1);
		rc = r->code;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, name);
}

static int crcp_send_nonblocking(int op, const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request, const char *name)
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request *r;
	int rc;

	crcp_call_begin();
	r = crcp_request_get(op, c, buf, count, type, dest, tag);
	rc = crcp_send_post(r);
	if (__builtin_expect(rc == MPI_SUCCESS, 1)) {
		crcp_request_link(r);
		*request = crcp_request_handle(r);
	} else {
		crcp_request_put(r);
		*request = MPI_REQUEST_NULL;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, name);
}

CRCP_API(int, MPI_Send, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm))
{
	struct crcp_comm *c = crcp_comm(comm);
	MPI_Comm real_comm;
	MPI_Datatype real_type;
	int rc;

	if (__builtin_expect(!crcp_send_is_eager(count, type), 0))
		return crcp_send_blocking(CRCP_OP_SEND, buf, count, type, dest, tag, comm, "MPI_Send");
	crcp_call_begin();
	real_comm = (MPI_Comm)crcp_real_or_null(c);
	real_type = (MPI_Datatype)crcp_real((void *)type);
	rc = CR_LOWER(crcp_lower.MPI_Send(buf, count, real_type, dest, tag, real_comm));
	if (__builtin_expect(rc == MPI_SUCCESS, 1))
		crcp_count_sent(c, dest, 1);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Send");
}

CRCP_API(int, MPI_Ssend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm))
{
	return crcp_send_blocking(CRCP_OP_SSEND, buf, count, type, dest, tag, comm, "MPI_Ssend");
}

CRCP_API(int, MPI_Rsend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm))
{
	/* Whoever posted the receive may have been stopped and restarted since: below it is a standard send, which Rsend may always be. */
	return crcp_send_blocking(CRCP_OP_SEND, buf, count, type, dest, tag, comm, "MPI_Rsend");
}

CRCP_API(int, MPI_Isend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_send_nonblocking(CRCP_OP_SEND, buf, count, type, dest, tag, comm, request, "MPI_Isend");
}

CRCP_API(int, MPI_Issend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_send_nonblocking(CRCP_OP_SSEND, buf, count, type, dest, tag, comm, request, "MPI_Issend");
}

CRCP_API(int, MPI_Irsend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	return crcp_send_nonblocking(CRCP_OP_SEND, buf, count, type, dest, tag, comm, request, "MPI_Irsend");
}

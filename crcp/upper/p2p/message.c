/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Matched probes. A message handle stands for a message below, or for one of the log: of those that were matched but not received at
 * a drain, and of those that were matched in the log.
 */
#include <string.h>

#include "crcp/upper/p2p/log.h"
#include "crcp/upper/p2p/p2p.h"

struct crcp_message *crcp_message_get(struct crcp_comm *c, void *real, struct crcp_log_message *logged, const MPI_Status *status)
{
	struct crcp_message *m;

	crcp_p2p_lock();
	m = crcp_p2p.free_messages;
	if (m)
		crcp_p2p.free_messages = m->next;
	crcp_p2p_unlock();
	if (!m) {
		m = crcp_alloc(CRCP_REQUEST_BYTES);
		if (!m)
			return NULL;
		memset(m, 0, CRCP_REQUEST_BYTES);
		m->h.kind = CRCP_MESSAGE;
		m->h.fint = -1;
	}
	m->h.real = real;
	m->comm = c;
	m->logged = logged;
	m->peer = status->MPI_SOURCE;
	m->tag = status->MPI_TAG;
	m->bytes = status->_ucount;
	crcp_p2p_lock();
	m->prev = NULL;
	m->next = crcp_p2p.messages;
	if (m->next)
		m->next->prev = m;
	crcp_p2p.messages = m;
	crcp_p2p_unlock();
	return m;
}

void crcp_message_put(struct crcp_message *m)
{
	if (m->h.fint >= 0)
		crcp_fint_release(&m->h);
	crcp_p2p_lock();
	if (m->prev)
		m->prev->next = m->next;
	else
		crcp_p2p.messages = m->next;
	if (m->next)
		m->next->prev = m->prev;
	m->h.real = NULL;
	m->next = crcp_p2p.free_messages;
	crcp_p2p.free_messages = m;
	crcp_p2p_unlock();
}

/* A matched probe of the log. */
static bool crcp_mprobe_log(struct crcp_comm *c, int source, int tag, struct crcp_log_message **ret_m)
{
	struct crcp_log_message *m;

	if (source == MPI_PROC_NULL)
		return false;
	crcp_p2p_lock();
	m = crcp_log_match(c, source, tag);
	if (m)
		crcp_log_take(c, m);
	crcp_p2p_unlock();
	*ret_m = m;
	return m != NULL;
}

static int crcp_mprobe_turns(struct crcp_comm *c, int source, int tag, bool wait, int *ret_flag, MPI_Message *ret_real, MPI_Status *status)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Comm comm = (MPI_Comm)crcp_real_or_null(c);
	unsigned int left = CRCP_TURNS;
	MPI_Message real = NULL;
	int flag = 0, rc;

	cr_cross_enter(t);
	do {
		rc = crcp_lower.MPI_Improbe(source, tag, comm, &flag, &real, status);
		if (rc != MPI_SUCCESS || flag)
			break;
		if (__builtin_expect(crcp.board.order != CR_ORDER_RUN, 0) && (crcp.board.order >= CR_ORDER_STOP || --left == 0))
			break;
	} while (wait);
	cr_cross_leave(t);
	*ret_flag = flag;
	*ret_real = real;
	return rc;
}

static int crcp_mprobe(int source, int tag, struct crcp_comm *c, bool wait, int *ret_flag, MPI_Message *message, MPI_Status *status)
{
	struct crcp_log_message *logged = NULL;
	struct crcp_wait w = { 0 };
	struct crcp_message *m;
	MPI_Message real = NULL;
	MPI_Status st = { 0 };
	int flag = 0, rc = MPI_SUCCESS;

	*message = MPI_MESSAGE_NULL;
	for (;;) {
		if (__builtin_expect(crcp_has_log(c), 0) && crcp_mprobe_log(c, source, tag, &logged)) {
			crcp_log_status(logged, &st);
			flag = 1;
			break;
		}
		rc = crcp_mprobe_turns(c, source, tag, wait, &flag, &real, &st);
		if (rc != MPI_SUCCESS || flag || !wait)
			break;
		crcp_wait_pause(&w, NULL, 0);
	}
	crcp_wait_done(&w);
	*ret_flag = flag;
	if (rc != MPI_SUCCESS || !flag)
		return rc;
	crcp_status_copy(status, &st);
	if (!logged && (void *)real == crcp_real((void *)MPI_MESSAGE_NO_PROC)) {
		*message = MPI_MESSAGE_NO_PROC;
		return MPI_SUCCESS;
	}
	m = crcp_message_get(c, real, logged, &st);
	if (!m)
		return MPI_ERR_NO_MEM;
	*message = (MPI_Message)(void *)m;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Improbe, (int source, int tag, MPI_Comm comm, int *flag, MPI_Message *message, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	int rc;

	crcp_call_begin();
	rc = crcp_mprobe(source, tag, c, false, flag, message, status);
	crcp_poll_result(*flag);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Improbe");
}

CRCP_API(int, MPI_Mprobe, (int source, int tag, MPI_Comm comm, MPI_Message *message, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	int flag, rc;

	crcp_call_begin();
	rc = crcp_mprobe(source, tag, c, true, &flag, message, status);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Mprobe");
}

/* Start the receive of *message as @r: ACTIVE, or COMPLETE when the message was in the log. The handle becomes MPI_MESSAGE_NULL. */
static int crcp_mrecv_start(struct crcp_request *r, MPI_Message *message)
{
	struct crcp_message *m = (struct crcp_message *)(void *)*message;
	MPI_Datatype type = (MPI_Datatype)crcp_real_or_null((void *)r->type);
	MPI_Message real = (MPI_Message)crcp_real_or_null(m);
	MPI_Message *real_p = &real;
	MPI_Request real_request;
	MPI_Request *request_p = &real_request;
	void *buf = r->buf;
	int count = r->count, rc;

	if (m && m->logged) {
		r->code = crcp_log_deliver(m->logged, m->comm, r->buf, r->count, r->type, &r->status);
		r->flags |= CRCP_R_FROM_LOG;
		r->state = CRCP_COMPLETE;
	} else {
		rc = CR_LOWER(crcp_lower.MPI_Imrecv(buf, count, type, real_p, request_p));
		if (rc != MPI_SUCCESS)
			return rc;
		r->h.real = real_request;
		r->state = CRCP_ACTIVE;
	}
	if (*message != MPI_MESSAGE_NO_PROC)
		crcp_message_put(m);
	*message = MPI_MESSAGE_NULL;
	return MPI_SUCCESS;
}

static struct crcp_comm *crcp_message_comm(const MPI_Message *message)
{
	if (!message || !*message || *message == MPI_MESSAGE_NULL || *message == MPI_MESSAGE_NO_PROC)
		return NULL;
	return ((struct crcp_message *)(void *)*message)->comm;
}

CRCP_API(int, MPI_Mrecv, (void *buf, int count, MPI_Datatype type, MPI_Message *message, MPI_Status *status))
{
	struct crcp_comm *c = crcp_message_comm(message);
	struct crcp_request record, *r = &record;
	int rc;

	if (!message)
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Mrecv");
	crcp_call_begin();
	crcp_request_stack(r, CRCP_OP_MRECV, c, buf, count, type, MPI_ANY_SOURCE, MPI_ANY_TAG);
	rc = crcp_mrecv_start(r, message);
	if (rc == MPI_SUCCESS) {
		if (r->state == CRCP_ACTIVE)
			crcp_wait_requests(&r, 1);
		crcp_status_copy(status, &r->status);
		rc = r->code;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, r->flags & CRCP_R_FROM_LOG, "MPI_Mrecv");
}

CRCP_API(int, MPI_Imrecv, (void *buf, int count, MPI_Datatype type, MPI_Message *message, MPI_Request *request))
{
	struct crcp_comm *c = crcp_message_comm(message);
	struct crcp_request *r;
	int rc;

	if (!message)
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Imrecv");
	crcp_call_begin();
	r = crcp_request_get(CRCP_OP_MRECV, c, buf, count, type, MPI_ANY_SOURCE, MPI_ANY_TAG);
	rc = crcp_mrecv_start(r, message);
	if (rc == MPI_SUCCESS) {
		if (r->state == CRCP_ACTIVE)
			crcp_request_link(r);
		*request = crcp_request_handle(r);
	} else {
		crcp_request_put(r);
		*request = MPI_REQUEST_NULL;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Imrecv");
}

CRCP_API(MPI_Fint, MPI_Message_c2f, (MPI_Message message))
{
	if (!message)
		return -1;
	if (message == MPI_MESSAGE_NULL || message == MPI_MESSAGE_NO_PROC)
		return ((struct crcp_handle *)(void *)message)->fint;
	return crcp_fint_assign((struct crcp_handle *)(void *)message);
}

CRCP_API(MPI_Message, MPI_Message_f2c, (MPI_Fint message))
{
	return (MPI_Message)(void *)crcp_fint_handle(CRCP_MESSAGE, message);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Request records: pool, booking of a completed operation, and what the program gets of it.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crcp/upper/p2p/p2p.h"

#define CRCP_REQUEST_BATCH 64

struct crcp_p2p crcp_p2p;

void crcp_no_memory(const char *what)
{
	static const char text[] = "ompi-cr: no memory left ";

	if (write(2, text, sizeof(text) - 1) < 0 || write(2, what, strlen(what)) < 0 || write(2, "\n", 1) < 0)
		_exit(1);
	abort();
}

/* Called with the lock held; leaves at least one free record. */
struct crcp_request *crcp_request_refill(void)
{
	struct crcp_request *batch;
	int i;

	if (crcp_p2p.orphans && ++crcp_p2p.gets % 256 == 0) {
		crcp_p2p_unlock();
		crcp_request_reap();
		crcp_p2p_lock();
	}
	if (crcp_p2p.free_requests)
		return crcp_p2p.free_requests;
	batch = crcp_alloc(CRCP_REQUEST_BATCH * sizeof(*batch));
	if (!batch)
		crcp_no_memory("for MPI requests; the program has too many of them pending");
	memset(batch, 0, CRCP_REQUEST_BATCH * sizeof(*batch));
	for (i = 0; i < CRCP_REQUEST_BATCH; i++) {
		batch[i].h.kind = CRCP_REQUEST;
		batch[i].h.fint = -1;
		batch[i].next = crcp_p2p.free_requests;
		crcp_p2p.free_requests = &batch[i];
	}
	return crcp_p2p.free_requests;
}

static void crcp_request_unlink(struct crcp_request *r)
{
	if (r->flags & CRCP_R_LINKED)
		crcp_list_del(&crcp_p2p.active, r);
	else if (r->flags & CRCP_R_BUFFERED)
		crcp_list_del(&crcp_p2p.buffered, r);
	r->flags &= (uint8_t)~(CRCP_R_LINKED | CRCP_R_BUFFERED);
}

static void crcp_request_release_type(struct crcp_request *r)
{
	if (r->flags & CRCP_R_TYPE_HELD) {
		r->flags &= (uint8_t)~CRCP_R_TYPE_HELD;
		crcp_datatype_put(r->type);
	}
}

void crcp_request_put(struct crcp_request *r)
{
	if (r->flags & CRCP_R_TYPE_HELD)
		crcp_request_release_type(r);
	if (r->h.fint >= 0)
		crcp_fint_release(&r->h);
	r->h.fint = -1;
	if (r->persistent && r->op == CRCP_OP_WRAP)
		crcp_pcoll_drop(crcp_request_handle(r));
	crcp_p2p_lock();
	if (r->flags & (CRCP_R_LINKED | CRCP_R_BUFFERED))
		crcp_request_unlink(r);
	if (r->flags & CRCP_R_ORPHAN)
		crcp_p2p.orphans--;
	if (__builtin_expect(r->flags & CRCP_R_STRAY, 0)) {
		unsigned int kind = r->persistent ? 1 : 0;

		if (--crcp_p2p.strays[kind] == 0)
			CR_GATE->nocr_clear(CRCP_NOCR_STRAY + kind);
	}
	if (r->persistent) {
		if (r->persistent_prev)
			r->persistent_prev->persistent_next = r->persistent_next;
		else
			crcp_p2p.persistent = r->persistent_next;
		if (r->persistent_next)
			r->persistent_next->persistent_prev = r->persistent_prev;
		r->persistent = 0;
	}
	r->state = CRCP_INACTIVE;
	r->hook = NULL;
	r->next = crcp_p2p.free_requests;
	crcp_p2p.free_requests = r;
	crcp_p2p_unlock();
}

int crcp_request_deliver(MPI_Request *request, MPI_Status *status)
{
	struct crcp_request *r = crcp_request(*request);
	int code = r->code;

	crcp_status_copy(status, &r->status);
	if (r->persistent) {
		r->state = CRCP_INACTIVE;
	} else {
		crcp_request_put(r);
		*request = MPI_REQUEST_NULL;
	}
	return code;
}

void crcp_status_empty(MPI_Status *s)
{
	if (s == MPI_STATUS_IGNORE)
		return;
	s->MPI_SOURCE = MPI_ANY_SOURCE;
	s->MPI_TAG = MPI_ANY_TAG;
	s->_cancelled = 0;
	s->_ucount = 0;
}

/* Nobody holds this record: it goes back to the pool as soon as it is complete, with what hangs on it. */
static void crcp_request_dispose(struct crcp_request *r)
{
	MPI_Request real = (MPI_Request)r->h.real;
	MPI_Request *real_p = &real;

	if (r->persistent && real)
		(void)CR_LOWER(crcp_lower.MPI_Request_free(real_p));
	if (r->op == CRCP_OP_COPY) {
		crcp_free(r->copy);
		crcp_count(&crcp_p2p.bsend_used, -(int64_t)r->copy_bytes);
	}
	crcp_request_put(r);
}

void crcp_request_finish(struct crcp_request *r)
{
	bool nobodys = (r->flags & (CRCP_R_ORPHAN | CRCP_R_BUFFERED)) != 0;

	if (r->op <= CRCP_OP_MRECV) {
		int source = r->status.MPI_SOURCE;

		if (source >= 0 && !r->status._cancelled) {
			if (r->comm)
				crcp_count(&r->comm->received, 1);
			else if (!(r->flags & CRCP_R_OUTSIDE))
				crcp_count(&crcp_p2p.gone_received, 1);
		}
		/* A persistent request needs its datatype as long as it lives. */
		if (r->flags & CRCP_R_TYPE_HELD && !r->persistent)
			crcp_request_release_type(r);
	} else if (__builtin_expect(r->status._cancelled, 0) && r->op <= CRCP_OP_RSEND && r->peer >= 0) {
		if (r->comm)
			crcp_count(&r->comm->sent, -1);
		else if (!(r->flags & CRCP_R_OUTSIDE))
			crcp_count(&crcp_p2p.gone_sent, -1);
	}
	if (r->flags & (CRCP_R_LINKED | CRCP_R_BUFFERED)) {
		crcp_p2p_lock();
		crcp_request_unlink(r);
		crcp_p2p_unlock();
	}
	r->state = CRCP_COMPLETE;
	if (__builtin_expect(r->hook != NULL, 0)) {
		void (*hook)(void *) = r->hook;

		r->hook = NULL;
		hook(r->hook_arg);
	}
	if (__builtin_expect(nobodys, 0))
		crcp_request_dispose(r);
}

/* Test the next few requests that were freed. Any of them may stay active for good, so every look goes on behind those of the last one. */
static void crcp_request_reap_orphans(void)
{
	struct crcp_request *found[16], *r;
	unsigned int n = 0, skip = crcp_p2p.reap_from, i;

	crcp_p2p_lock();
	for (r = crcp_p2p.active.head; r && n < 16; r = r->next)
		if (r->flags & CRCP_R_ORPHAN && (skip == 0 || skip-- == 0))
			found[n++] = r;
	crcp_p2p.reap_from = n < 16 ? 0 : crcp_p2p.reap_from + 16;
	crcp_p2p_unlock();
	for (i = 0; i < n; i++)
		crcp_test_request(found[i]);
}

void crcp_request_reap(void)
{
	struct crcp_request *r;

	/* One thread at a time: only it ends the life of these records. */
	if (__atomic_exchange_n(&crcp_p2p.reaping, 1, __ATOMIC_ACQUIRE))
		return;
	/* Sends complete in order nearly always: stop at the first that has not. */
	while ((r = *(struct crcp_request *volatile *)&crcp_p2p.buffered.head) != NULL) {
		crcp_test_request(r);
		if (*(struct crcp_request *volatile *)&crcp_p2p.buffered.head == r)
			break;
	}
	if (crcp_p2p.orphans)
		crcp_request_reap_orphans();
	__atomic_store_n(&crcp_p2p.reaping, 0, __ATOMIC_RELEASE);
}

void crcp_request_persist(struct crcp_request *r)
{
	r->persistent = 1;
	crcp_p2p_lock();
	r->persistent_prev = NULL;
	r->persistent_next = crcp_p2p.persistent;
	if (r->persistent_next)
		r->persistent_next->persistent_prev = r;
	crcp_p2p.persistent = r;
	crcp_p2p_unlock();
}

MPI_Request crcp_request_wrap(void *real, int kind, struct crcp_comm *comm)
{
	struct crcp_request *r = crcp_request_get(CRCP_OP_WRAP, comm, NULL, 0, NULL, 0, 0);

	r->h.real = real;
	r->wrap_kind = (uint8_t)kind;
	r->hook = NULL;
	if (kind == 'C') {
		crcp_request_persist(r);
	} else {
		r->state = CRCP_ACTIVE;
		crcp_request_link(r);
	}
	return crcp_request_handle(r);
}

MPI_Request crcp_request_done(int kind, const MPI_Status *status)
{
	struct crcp_request *r = crcp_request_get(CRCP_OP_WRAP, NULL, NULL, 0, NULL, 0, 0);

	r->wrap_kind = (uint8_t)kind;
	r->hook = NULL;
	r->status = *status;
	r->state = CRCP_COMPLETE;
	return crcp_request_handle(r);
}

void crcp_request_unwrap(MPI_Request request)
{
	crcp_request_put(crcp_request(request));
}

void crcp_request_set_hook(MPI_Request request, void (*fn)(void *arg), void *arg)
{
	struct crcp_request *r = crcp_request(request);

	r->hook_arg = arg;
	r->hook = fn;
	if (r->state == CRCP_COMPLETE) {
		r->hook = NULL;
		fn(arg);
	}
}

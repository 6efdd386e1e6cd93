/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Buffered sends: the message is packed into a copy of ours, which leaves by a non-blocking send nobody waits for.
 *
 * The buffer that the program attaches is only accounted, never written: so a detach can be stopped like every other wait, and after a
 * restart there is nothing to attach again.
 */
#include <limits.h>

#include "crcp/upper/p2p/p2p.h"

int crcp_pack(struct crcp_packed *p, const void *buf, int count, MPI_Datatype type, struct crcp_comm *c)
{
	MPI_Comm real_comm = (MPI_Comm)crcp_real_or_null(c);
	MPI_Datatype real_type = (MPI_Datatype)crcp_real_or_null((void *)type);
	int size = 0, position = 0, rc;
	int *size_p = &size, *position_p = &position;
	void *data;

	rc = CR_LOWER(crcp_lower.MPI_Pack_size(count, real_type, real_comm, size_p));
	if (rc != MPI_SUCCESS)
		return rc;
	data = crcp_alloc(size > 0 ? (size_t)size : 1);
	if (!data)
		return MPI_ERR_NO_MEM;
	rc = CR_LOWER(crcp_lower.MPI_Pack(buf, count, real_type, data, size, position_p, real_comm));
	if (rc != MPI_SUCCESS) {
		crcp_free(data);
		return rc;
	}
	p->data = data;
	p->bytes = position;
	return MPI_SUCCESS;
}

/* Take @bytes of the attached buffer; buffered sends that are gone give theirs back first. */
static bool crcp_bsend_reserve(uint64_t bytes)
{
	bool ok = false;
	int turn;

	for (turn = 0; turn < 2 && !ok; turn++) {
		crcp_p2p_lock();
		if (crcp_p2p.bsend_buffer && bytes <= crcp_p2p.bsend_bytes && crcp_p2p.bsend_used <= crcp_p2p.bsend_bytes - bytes) {
			crcp_count(&crcp_p2p.bsend_used, (int64_t)bytes);
			ok = true;
		}
		crcp_p2p_unlock();
		if (!ok)
			crcp_request_reap();
	}
	return ok;
}

int crcp_bsend_start(struct crcp_comm *c, const void *buf, int count, MPI_Datatype type, int dest, int tag, bool *ret_raise)
{
	struct crcp_request *r;
	struct crcp_packed packed;
	uint64_t bytes;
	int rc;

	*ret_raise = false;
	rc = crcp_pack(&packed, buf, count, type, c);
	if (rc != MPI_SUCCESS)
		return rc;
	bytes = (uint64_t)packed.bytes + MPI_BSEND_OVERHEAD;
	if (!crcp_bsend_reserve(bytes)) {
		/* The real library sends short ones without looking for a buffer, and there are programs that live on it. */
		if (packed.bytes <= CRCP_EAGER_BYTES)
			bytes = 0;
		else
			*ret_raise = true;
	}
	if (*ret_raise) {
		crcp_free(packed.data);
		return MPI_ERR_BUFFER;
	}
	r = crcp_request_get(CRCP_OP_COPY, c, packed.data, packed.bytes, MPI_PACKED, dest, tag);
	r->copy = packed.data;
	r->copy_bytes = bytes;
	rc = crcp_send_post(r);
	if (rc != MPI_SUCCESS) {
		crcp_free(packed.data);
		crcp_count(&crcp_p2p.bsend_used, -(int64_t)bytes);
		crcp_request_put(r);
		return rc;
	}
	crcp_p2p_lock();
	crcp_list_add(&crcp_p2p.buffered, r);
	r->flags |= CRCP_R_BUFFERED;
	crcp_p2p_unlock();
	crcp_request_reap();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Bsend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm))
{
	struct crcp_comm *c = crcp_comm(comm);
	bool raise;
	int rc;

	crcp_call_begin();
	rc = crcp_bsend_start(c, buf, count, type, dest, tag, &raise);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, raise, "MPI_Bsend");
}

CRCP_API(int, MPI_Ibsend, (const void *buf, int count, MPI_Datatype type, int dest, int tag, MPI_Comm comm, MPI_Request *request))
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request *r;
	bool raise;
	int rc;

	crcp_call_begin();
	rc = crcp_bsend_start(c, buf, count, type, dest, tag, &raise);
	if (rc == MPI_SUCCESS) {
		r = crcp_request_get(CRCP_OP_BSEND, c, buf, count, type, dest, tag);
		crcp_status_empty(&r->status);
		r->state = CRCP_COMPLETE;
		*request = crcp_request_handle(r);
	} else {
		*request = MPI_REQUEST_NULL;
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, raise, "MPI_Ibsend");
}

CRCP_API(int, MPI_Buffer_attach, (void *buffer, int size))
{
	if (!buffer || size < 0)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Buffer_attach");
	if (crcp_p2p.bsend_buffer)
		return crcp_error(NULL, MPI_ERR_BUFFER, "MPI_Buffer_attach");
	crcp_p2p.bsend_bytes = (uint64_t)size;
	crcp_p2p.bsend_buffer = buffer;
	return MPI_SUCCESS;
}

void crcp_buffered_wait(void)
{
	struct crcp_wait w = { 0 };

	for (;;) {
		crcp_request_reap();
		if (!*(struct crcp_request *volatile *)&crcp_p2p.buffered.head)
			break;
		if (crcp.board.order != CR_ORDER_RUN)
			crcp_wait_pause(&w, NULL, 0);
	}
	crcp_wait_done(&w);
}

CRCP_API(int, MPI_Buffer_detach, (void *buffer, int *size))
{
	if (!buffer || !size)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Buffer_detach");
	if (!crcp_p2p.bsend_buffer)
		return crcp_error(NULL, MPI_ERR_BUFFER, "MPI_Buffer_detach");
	crcp_call_begin();
	crcp_buffered_wait();
	*(void **)buffer = crcp_p2p.bsend_buffer;
	*size = (int)crcp_p2p.bsend_bytes;
	crcp_p2p.bsend_buffer = NULL;
	crcp_p2p.bsend_bytes = 0;
	crcp_call_end();
	return MPI_SUCCESS;
}

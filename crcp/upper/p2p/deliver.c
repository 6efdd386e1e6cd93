/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Delivery of a logged message into the program's buffer, through the real library.
 */
#include <limits.h>

#include "crcp/upper/p2p/log.h"
#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

#define CRCP_BYTES_CHUNK (1u << 20)
#define CRCP_DELIVER_TAG 0x3ffe

/* Lower half, lower %fs: a struct type of @chunks chunks and a rest. */
static int crcp_bytes_type(struct cr_thread *t, int chunks, int rest, MPI_Datatype byte, MPI_Datatype *ret_type)
{
	MPI_Datatype chunk = NULL, parts[2];
	MPI_Aint disp[2] = { 0, (MPI_Aint)chunks * CRCP_BYTES_CHUNK };
	int n[2] = { chunks, rest };
	int rc;

	cr_cross_enter(t);
	rc = crcp_lower.MPI_Type_contiguous((int)CRCP_BYTES_CHUNK, byte, &chunk);
	if (rc == MPI_SUCCESS) {
		parts[0] = chunk;
		parts[1] = byte;
		rc = crcp_lower.MPI_Type_create_struct(2, n, disp, parts, ret_type);
		if (rc == MPI_SUCCESS)
			rc = crcp_lower.MPI_Type_commit(ret_type);
		crcp_lower.MPI_Type_free(&chunk);
	}
	cr_cross_leave(t);
	return rc;
}

int crcp_bytes_init(struct crcp_bytes *b, uint64_t bytes)
{
	MPI_Datatype byte = (MPI_Datatype)crcp_real((void *)MPI_BYTE);

	b->made = false;
	if (bytes <= INT_MAX) {
		b->real = byte;
		b->count = (int)bytes;
		return MPI_SUCCESS;
	}
	if (bytes / CRCP_BYTES_CHUNK > INT_MAX)
		return MPI_ERR_COUNT;
	b->count = 1;
	b->made = true;
	return crcp_bytes_type(cr_crossing_thread(), (int)(bytes / CRCP_BYTES_CHUNK), (int)(bytes % CRCP_BYTES_CHUNK), byte, &b->real);
}

void crcp_bytes_fini(struct crcp_bytes *b)
{
	MPI_Datatype *type = &b->real;

	if (b->made)
		CR_LOWER(crcp_lower.MPI_Type_free(type));
	b->made = false;
}

int crcp_log_deliver(struct crcp_log_message *m, struct crcp_comm *c, void *buf, int count, MPI_Datatype type, MPI_Status *ret_status)
{
	MPI_Comm private_comm = (MPI_Comm)crcp.real_private_comm;
	MPI_Datatype real_type = (MPI_Datatype)crcp_real((void *)type);
	void *data = m->data;
	int me = crcp.board.world_rank;
	struct crcp_bytes b;
	MPI_Status status = { 0 };
	MPI_Status *s = &status;
	MPI_Request send = NULL;
	MPI_Request *send_p = &send;
	int rc;

	(void)c;
	rc = crcp_bytes_init(&b, m->bytes);
	if (rc == MPI_SUCCESS) {
		MPI_Datatype byte_type = b.real;
		int byte_count = b.count;

		/* Both ends are this call's own, so it ends without anybody else; another thread's would match ours. */
		while (crcp.multiple && __atomic_exchange_n(&crcp_p2p.deliver_lock, 1, __ATOMIC_ACQUIRE))
			crcp_os_yield();
		/* The send first: Open MPI tells no truncation of a message to oneself when the receive was posted before. */
		rc = CR_LOWER(crcp_lower.MPI_Isend(data, byte_count, byte_type, me, CRCP_DELIVER_TAG, private_comm, send_p));
		if (rc == MPI_SUCCESS) {
			rc = CR_LOWER(crcp_lower.MPI_Recv(buf, count, real_type, me, CRCP_DELIVER_TAG, private_comm, s));
			CR_LOWER(crcp_lower.MPI_Wait(send_p, MPI_STATUS_IGNORE));
		}
		__atomic_store_n(&crcp_p2p.deliver_lock, 0, __ATOMIC_RELEASE);
		crcp_bytes_fini(&b);
	}
	ret_status->MPI_SOURCE = m->source;
	ret_status->MPI_TAG = m->tag;
	ret_status->MPI_ERROR = rc;
	ret_status->_cancelled = 0;
	ret_status->_ucount = rc == MPI_SUCCESS ? status._ucount : m->bytes;
	crcp_log_destroy(m);
	return rc;
}

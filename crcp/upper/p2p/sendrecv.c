/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sendrecv and Sendrecv_replace: a receive, a send, and one wait loop for both.
 */
#include "crcp/upper/p2p/p2p.h"

static int crcp_sendrecv(struct crcp_request *send, struct crcp_request *recv, MPI_Status *status)
{
	struct crcp_request *v[2] = { recv, send };
	int rc = MPI_SUCCESS;

	if (__builtin_expect(!crcp_has_log(recv->comm), 1) || !crcp_recv_from_log(recv))
		rc = crcp_recv_post(recv);
	if (rc != MPI_SUCCESS)
		return rc;
	rc = crcp_send_post(send);
	if (rc != MPI_SUCCESS) {
		MPI_Request real = (MPI_Request)recv->h.real;
		MPI_Request *real_p = &real;

		/* A bad argument of the send: take the receive back. */
		if (recv->state == CRCP_ACTIVE) {
			(void)CR_LOWER(crcp_lower.MPI_Cancel(real_p));
			crcp_wait_requests(&recv, 1);
		}
		return rc;
	}
	crcp_wait_requests(v, 2);
	crcp_status_copy(status, &recv->status);
	return recv->code != MPI_SUCCESS ? recv->code : send->code;
}

CRCP_API(int, MPI_Sendrecv, (const void *sendbuf, int sendcount, MPI_Datatype sendtype, int dest, int sendtag, void *recvbuf, int recvcount, MPI_Datatype recvtype,
		  int source, int recvtag, MPI_Comm comm, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request send, recv;
	int rc;

	crcp_call_begin();
	crcp_request_stack(&recv, CRCP_OP_RECV, c, recvbuf, recvcount, recvtype, source, recvtag);
	crcp_request_stack(&send, CRCP_OP_SEND, c, sendbuf, sendcount, sendtype, dest, sendtag);
	rc = crcp_sendrecv(&send, &recv, status);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, recv.flags & CRCP_R_FROM_LOG, "MPI_Sendrecv");
}

CRCP_API(int, MPI_Sendrecv_replace, (void *buf, int count, MPI_Datatype type, int dest, int sendtag, int source, int recvtag, MPI_Comm comm, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_request send, recv;
	struct crcp_packed packed;
	int rc;

	crcp_call_begin();
	recv.flags = 0;
	rc = crcp_pack(&packed, buf, count, type, c);
	if (rc == MPI_SUCCESS) {
		crcp_request_stack(&recv, CRCP_OP_RECV, c, buf, count, type, source, recvtag);
		crcp_request_stack(&send, CRCP_OP_SEND, c, packed.data, packed.bytes, MPI_PACKED, dest, sendtag);
		rc = crcp_sendrecv(&send, &recv, status);
		crcp_free(packed.data);
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, recv.flags & CRCP_R_FROM_LOG, "MPI_Sendrecv_replace");
}

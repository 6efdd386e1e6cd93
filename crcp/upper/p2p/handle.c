/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else a program may do with a request: cancel, free, name it in Fortran.
 */
#include "crcp/upper/p2p/p2p.h"

CRCP_API(int, MPI_Cancel, (MPI_Request *request))
{
	struct crcp_request *r = request ? crcp_request(*request) : NULL;
	struct crcp_comm *c;
	int rc = MPI_SUCCESS;

	if (!r || *request == MPI_REQUEST_NULL)
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Cancel");
	crcp_call_begin();
	c = r->comm;
	if (r->state == CRCP_ACTIVE) {
		MPI_Request real = (MPI_Request)r->h.real;
		MPI_Request *real_p = &real;

		rc = CR_LOWER(crcp_lower.MPI_Cancel(real_p));
	}
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Cancel");
}

CRCP_API(int, MPI_Test_cancelled, (const MPI_Status *status, int *flag))
{
	if (!status || status == MPI_STATUS_IGNORE || !flag)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Test_cancelled");
	*flag = status->_cancelled;
	return MPI_SUCCESS;
}

/* Nobody will ask for @r any more, but the operation goes on: the drain and the reaper end it. */
static void crcp_request_orphan(struct crcp_request *r)
{
	crcp_p2p_lock();
	r->flags |= CRCP_R_ORPHAN;
	crcp_p2p.orphans++;
	crcp_p2p_unlock();
}

CRCP_API(int, MPI_Request_free, (MPI_Request *request))
{
	struct crcp_request *r = request ? crcp_request(*request) : NULL;
	struct crcp_comm *c;
	int rc = MPI_SUCCESS;

	if (!r || *request == MPI_REQUEST_NULL)
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Request_free");
	crcp_call_begin();
	c = r->comm;
	if (r->state == CRCP_ACTIVE && r->op != CRCP_OP_WRAP)
		crcp_test_request(r); /* most sends are complete by now; while nobody else looks at it */
	if (r->state == CRCP_ACTIVE && r->op != CRCP_OP_WRAP) {
		crcp_request_orphan(r);
		crcp_request_reap();
	} else if (r->state == CRCP_ACTIVE && r->wrap_kind == 'g') {
		rc = crcp_grequest_free(*request);
	} else {
		MPI_Request real = (MPI_Request)r->h.real;
		MPI_Request *real_p = &real;

		if (real && (r->persistent || r->state == CRCP_ACTIVE))
			rc = CR_LOWER(crcp_lower.MPI_Request_free(real_p));
		if (rc == MPI_SUCCESS)
			crcp_request_put(r);
	}
	if (rc == MPI_SUCCESS)
		*request = MPI_REQUEST_NULL;
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Request_free");
}

CRCP_API(MPI_Fint, MPI_Request_c2f, (MPI_Request request))
{
	struct crcp_request *r = crcp_request(request);

	if (!r)
		return -1;
	if (request != MPI_REQUEST_NULL)
		r->fortran_index = crcp_fint_assign(&r->h);
	return r->fortran_index;
}

CRCP_API(MPI_Request, MPI_Request_f2c, (MPI_Fint request))
{
	if (request == 0)
		return MPI_REQUEST_NULL;
	return (MPI_Request)(void *)crcp_fint_handle(CRCP_REQUEST, request);
}

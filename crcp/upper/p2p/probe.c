/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probes: the message log first, then the network.
 */
#include "crcp/upper/p2p/log.h"
#include "crcp/upper/p2p/p2p.h"

static bool crcp_probe_log(struct crcp_comm *c, int source, int tag, MPI_Status *status)
{
	struct crcp_log_message *m;

	if (source == MPI_PROC_NULL)
		return false;
	crcp_p2p_lock();
	m = crcp_log_match(c, source, tag);
	if (m)
		crcp_log_status(m, status);
	crcp_p2p_unlock();
	return m != NULL;
}

/* Iprobe below until it finds something or the order changes; once only unless @wait. */
static int crcp_probe_turns(struct crcp_comm *c, int source, int tag, bool wait, int *ret_flag, MPI_Status *ret_status)
{
	struct cr_thread *t = cr_crossing_thread();
	MPI_Comm comm = (MPI_Comm)crcp_real_or_null(c);
	unsigned int left = CRCP_TURNS;
	MPI_Status status;
	int flag = 0, rc;

	cr_cross_enter(t);
	do {
		rc = crcp_lower.MPI_Iprobe(source, tag, comm, &flag, &status);
		if (rc != MPI_SUCCESS || flag)
			break;
		if (__builtin_expect(crcp.board.order != CR_ORDER_RUN, 0) && (crcp.board.order >= CR_ORDER_STOP || --left == 0))
			break;
	} while (wait);
	cr_cross_leave(t);
	if (rc == MPI_SUCCESS && flag)
		crcp_status_copy(ret_status, &status);
	*ret_flag = flag;
	return rc;
}

CRCP_API(int, MPI_Iprobe, (int source, int tag, MPI_Comm comm, int *flag, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	int rc = MPI_SUCCESS;

	crcp_call_begin();
	if (__builtin_expect(crcp_has_log(c), 0) && crcp_probe_log(c, source, tag, status))
		*flag = 1;
	else
		rc = crcp_probe_turns(c, source, tag, false, flag, status);
	crcp_poll_result(*flag);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Iprobe");
}

CRCP_API(int, MPI_Probe, (int source, int tag, MPI_Comm comm, MPI_Status *status))
{
	struct crcp_comm *c = crcp_comm(comm);
	struct crcp_wait w = { 0 };
	int flag = 0, rc = MPI_SUCCESS;

	crcp_call_begin();
	for (;;) {
		if (__builtin_expect(crcp_has_log(c), 0) && crcp_probe_log(c, source, tag, status))
			break;
		rc = crcp_probe_turns(c, source, tag, true, &flag, status);
		if (rc != MPI_SUCCESS || flag)
			break;
		crcp_wait_pause(&w, NULL, 0);
	}
	crcp_wait_done(&w);
	crcp_call_end();
	return rc == MPI_SUCCESS ? rc : crcp_request_error(c, rc, false, "MPI_Probe");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drain's own exchange between ranks: a sum over the world by a binomial tree on the layer's private communicator.
 *
 * Not a collective of the library, because a drain may be taken back at any moment, on every rank at another place: messages carry the
 * number of the attempt, so what an attempt left behind is never taken for a message of the next one.
 */
#include <errno.h>

#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

#define CRCP_EXCHANGE_TAG 0x4000

static int crcp_exchange_finish(MPI_Request real, bool receive)
{
	MPI_Request *real_p = &real;
	MPI_Status status;
	MPI_Status *s = &status;
	int flag = 0, rc, turns = 0;
	int *f = &flag;

	for (;;) {
		rc = CR_LOWER(crcp_lower.MPI_Test(real_p, f, s));
		if (rc != MPI_SUCCESS)
			return -EIO;
		if (flag)
			return 0;
		if (crcp_stop_over(CR_ORDER_DRAIN))
			break;
		if (++turns % 1024 == 0)
			crcp_os_yield();
	}
	if (receive) {
		(void)CR_LOWER(crcp_lower.MPI_Cancel(real_p));
		while (!flag && CR_LOWER(crcp_lower.MPI_Test(real_p, f, s)) == MPI_SUCCESS)
			;
	} else {
		(void)CR_LOWER(crcp_lower.MPI_Request_free(real_p));
		crcp_p2p.exchange_left = 1;
	}
	return -ECANCELED;
}

static int crcp_exchange_send(int peer, int tag, const struct crcp_exchange *e)
{
	MPI_Comm comm = (MPI_Comm)crcp.real_private_comm;
	MPI_Datatype byte = (MPI_Datatype)crcp_real((void *)MPI_BYTE);
	int bytes = sizeof(*e);
	MPI_Request real;
	MPI_Request *real_p = &real;

	if (CR_LOWER(crcp_lower.MPI_Isend(e, bytes, byte, peer, tag, comm, real_p)) != MPI_SUCCESS)
		return -EIO;
	crcp.board.exchanged_messages++;
	return crcp_exchange_finish(real, false);
}

/* Receive until it is a message of this attempt. */
static int crcp_exchange_recv(int peer, int tag, uint64_t mark, struct crcp_exchange *e)
{
	MPI_Comm comm = (MPI_Comm)crcp.real_private_comm;
	MPI_Datatype byte = (MPI_Datatype)crcp_real((void *)MPI_BYTE);
	int bytes = sizeof(*e), rc;
	MPI_Request real;
	MPI_Request *real_p = &real;

	do {
		if (CR_LOWER(crcp_lower.MPI_Irecv(e, bytes, byte, peer, tag, comm, real_p)) != MPI_SUCCESS)
			return -EIO;
		rc = crcp_exchange_finish(real, true);
	} while (rc == 0 && e->mark != mark);
	return rc;
}

int crcp_exchange_sum(unsigned int step, struct crcp_exchange *e, struct crcp_exchange *scratch)
{
	uint64_t attempt = crcp_p2p.attempt ? crcp_p2p.attempt : crcp_p2p.drains;
	uint64_t mark = attempt << 32 | step;
	int tag = CRCP_EXCHANGE_TAG | (int)((attempt & 0xfff) << 2) | (int)(step & 3);
	int me = crcp.board.world_rank, size = crcp.board.world_size;
	int bit, parent = -1, rc, i;

	e->mark = mark;
	/* Up the tree: the children of me are me + bit for every bit below my lowest one. */
	for (bit = 1; bit < size; bit <<= 1) {
		if (me & bit) {
			parent = me - bit;
			rc = crcp_exchange_send(parent, tag, e);
			if (rc < 0)
				return rc;
			break;
		}
		if (me + bit >= size)
			continue;
		rc = crcp_exchange_recv(me + bit, tag, mark, scratch);
		if (rc < 0)
			return rc;
		for (i = 0; i < CRCP_EXCHANGE_WORDS; i++)
			e->words[i] += scratch->words[i];
	}
	/* And the result down again. */
	if (parent >= 0) {
		rc = crcp_exchange_recv(parent, tag, mark, e);
		if (rc < 0)
			return rc;
	}
	for (bit >>= 1; bit > 0; bit >>= 1) {
		if (me + bit >= size)
			continue;
		rc = crcp_exchange_send(me + bit, tag, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}

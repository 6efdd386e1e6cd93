/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The collectives that take arrays of datatypes.
 *
 * The real library reads the array of a non-blocking call until the operation is complete, so arrays of real types are kept with the
 * communicator, equal ones once, and forgotten when it is freed or the real types have changed; what a pending operation reads by then lives until that
 * is complete. (What a persistent one reads that outlives its communicator lives on.)
 */
#include "crcp/upper/abi/objects.h"
#include "crcp/upper/abi/plain.h"

#include <string.h>

struct kept {
	struct kept *next;
	int users; /* operations under way, persistent requests */
	bool forgotten;
	int n;
	MPI_Datatype types[];
};

/* The array for @types, with one more user when @use. */
static const MPI_Datatype *types_kept(struct crcp_comm *c, const MPI_Datatype *types, int n, bool use)
{
	struct crcp_comm_full *full = (struct crcp_comm_full *)(void *)c;
	struct kept *k, *found;

	if (!types || n <= 0)
		return types;
	k = crcp_alloc(sizeof(*k) + (size_t)n * sizeof(k->types[0]));
	if (!k)
		return NULL; /* judged below as a missing array */
	k->n = n;
	for (int i = 0; i < n; i++)
		k->types[i] = CRCP_REAL(MPI_Datatype, types[i]);
	crcp_abi_lock();
	for (found = (struct kept *)full->types_kept; found; found = found->next)
		if (found->n == n && memcmp(found->types, k->types, (size_t)n * sizeof(k->types[0])) == 0)
			break;
	if (!found) {
		k->next = (struct kept *)full->types_kept;
		full->types_kept = (void **)k;
	}
	(found ? found : k)->users += use;
	crcp_abi_unlock();
	if (!found)
		return k->types;
	crcp_free(k);
	return found->types;
}

void crcp_types_forget(struct crcp_comm *c)
{
	struct crcp_comm_full *full = (struct crcp_comm_full *)(void *)c;
	struct kept *next, *unused = NULL;

	crcp_abi_lock();
	for (struct kept *k = (struct kept *)full->types_kept; k; k = next) {
		next = k->next;
		k->forgotten = true;
		if (k->users > 0)
			continue;
		k->next = unused;
		unused = k;
	}
	full->types_kept = NULL;
	crcp_abi_unlock();
	for (; unused; unused = next) {
		next = unused->next;
		crcp_free(unused);
	}
}

/* What types_kept() has given with a user; @n is not positive when it has given the program's own. */
static void types_put(const MPI_Datatype *types, int n)
{
	struct kept *k;
	bool last;

	if (!types || n <= 0)
		return;
	k = (struct kept *)(void *)((char *)(uintptr_t)types - offsetof(struct kept, types));
	crcp_abi_lock();
	last = --k->users == 0 && k->forgotten;
	crcp_abi_unlock();
	if (last)
		crcp_free(k);
}

/* The arrays of a non-blocking call. */
struct pending {
	const MPI_Datatype *send, *receive;
	int sends, receives;
};

static void pending_end(void *arg)
{
	struct pending *p = arg;

	types_put(p->send, p->sends);
	types_put(p->receive, p->receives);
	crcp_free(p);
}

/* How many types a call has on each side. */
static void counts(MPI_Comm comm, bool neighbours, int *ret_send, int *ret_receive)
{
	const struct crcp_comm_recipe *recipe;

	*ret_send = *ret_receive = 0;
	if (!crcp_is_live(comm))
		return;
	recipe = crcp_comm(comm)->recipe;
	if (!neighbours) {
		*ret_send = *ret_receive = recipe->inter ? crcp_comm(comm)->remote_size : crcp_comm(comm)->size;
	} else if (recipe->topology == CRCP_TOPO_CART) {
		*ret_send = *ret_receive = 2 * recipe->n[0];
	} else if (recipe->topology == CRCP_TOPO_GRAPH) {
		int rank = crcp_comm(comm)->rank;
		const int *index = recipe->topo[0];

		*ret_send = *ret_receive = index[rank] - (rank > 0 ? index[rank - 1] : 0);
	} else if (recipe->topology == CRCP_TOPO_DIST_GRAPH) {
		*ret_receive = recipe->n[0];
		*ret_send = recipe->n[1];
	}
}

#define COMMON(neighbours, pending)                                                                     \
	const MPI_Datatype *real_send, *real_receive;                                                   \
	int sends, receives, r;                                                                         \
	MPI_Comm real_comm;                                                                             \
                                                                                                        \
	crcp_call_begin();                                                                              \
	crcp_enter_collective(comm);                                                                    \
	counts(comm, neighbours, &sends, &receives);                                                    \
	real_comm = CRCP_REAL(MPI_Comm, comm);                                                          \
	sends = sendbuf == MPI_IN_PLACE ? 0 : sends;                                                    \
	real_send = types_kept(crcp_comm(comm), sendtypes, sends, pending);                             \
	real_receive = types_kept(crcp_comm(comm), recvtypes, receives, pending)

static int done(MPI_Comm comm, int r, const char *function)
{
	if (crcp_is_live(comm))
		crcp_collective_leave(crcp_comm(comm));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(crcp_is_live(comm) ? crcp_comm(comm) : NULL, r, function);
}

/* The end of a non-blocking call that was started below with result @r. */
static int started(MPI_Comm comm, int r, void *real, struct pending arrays, MPI_Request *request, const char *function)
{
	struct pending *p = crcp_dup(&arrays, sizeof(arrays));

	if (r == MPI_SUCCESS)
		*request = crcp_request_wrap(real, 'c', crcp_comm(comm));
	if (p && r == MPI_SUCCESS)
		crcp_request_set_hook(*request, pending_end, p);
	else if (p)
		pending_end(p);
	return done(comm, r, function);
}

CRCP_API(int, MPI_Alltoallw,
	 (const void *sendbuf, const int sendcounts[], const int sdispls[], const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
	  const int rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm))
{
	COMMON(false, false);
	r = CR_LOWER(crcp_lower.MPI_Alltoallw(sendbuf, sendcounts, sdispls, real_send, recvbuf, recvcounts, rdispls, real_receive, real_comm));
	return done(comm, r, "MPI_Alltoallw");
}

CRCP_API(int, MPI_Neighbor_alltoallw,
	 (const void *sendbuf, const int sendcounts[], const MPI_Aint sdispls[], const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
	  const MPI_Aint rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm))
{
	COMMON(true, false);
	r = CR_LOWER(crcp_lower.MPI_Neighbor_alltoallw(sendbuf, sendcounts, sdispls, real_send, recvbuf, recvcounts, rdispls, real_receive, real_comm));
	return done(comm, r, "MPI_Neighbor_alltoallw");
}

CRCP_API(int, MPI_Ialltoallw,
	 (const void *sendbuf, const int sendcounts[], const int sdispls[], const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
	  const int rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm, MPI_Request *request))
{
	MPI_Request real = NULL;
	COMMON(false, true);
	r = CR_LOWER(
		crcp_lower.MPI_Ialltoallw(sendbuf, sendcounts, sdispls, real_send, recvbuf, recvcounts, rdispls, real_receive, real_comm, &real));
	return started(comm, r, real, (struct pending){ real_send, real_receive, sends, receives }, request, "MPI_Ialltoallw");
}

CRCP_API(int, MPI_Ineighbor_alltoallw,
	 (const void *sendbuf, const int sendcounts[], const MPI_Aint sdispls[], const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
	  const MPI_Aint rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm, MPI_Request *request))
{
	MPI_Request real = NULL;
	COMMON(true, true);
	r = CR_LOWER(crcp_lower.MPI_Ineighbor_alltoallw(sendbuf, sendcounts, sdispls, real_send, recvbuf, recvcounts, rdispls, real_receive, real_comm,
							&real));
	return started(comm, r, real, (struct pending){ real_send, real_receive, sends, receives }, request, "MPI_Ineighbor_alltoallw");
}

/* ---- persistent ---- */
struct w_args {
	struct crcp_pcoll p;
	const void *sendbuf;
	const int *sendcounts, *recvcounts;
	const void *sdispls, *rdispls; /* int, or MPI_Aint for neighbours */
	void *recvbuf;
};

static int w_make(const struct crcp_pcoll *p, MPI_Info info, MPI_Request *ret_real)
{
	const struct w_args *a = (const struct w_args *)(const void *)p;
	const void *sendbuf = a->sendbuf, *sdispls = a->sdispls, *rdispls = a->rdispls;
	const int *sendcounts = a->sendcounts, *recvcounts = a->recvcounts;
	void *recvbuf = a->recvbuf;
	MPI_Comm comm = CRCP_REAL(MPI_Comm, p->comm);
	const MPI_Datatype *send = p->arrays[0] ? types_kept(crcp_comm(p->comm), p->arrays[0], p->array_n[0], true) : NULL;
	const MPI_Datatype *receive = types_kept(crcp_comm(p->comm), p->arrays[1], p->array_n[1], true);
	MPI_Request real = NULL;
	int r;

	r = CR_LOWER(crcp_lower.MPIX_Alltoallw_init(sendbuf, sendcounts, sdispls, send, recvbuf, recvcounts, rdispls, receive, comm, info, &real));
	*ret_real = real;
	return r;
}

static int nw_make(const struct crcp_pcoll *p, MPI_Info info, MPI_Request *ret_real)
{
	const struct w_args *a = (const struct w_args *)(const void *)p;
	const void *sendbuf = a->sendbuf;
	const MPI_Aint *sdispls = a->sdispls, *rdispls = a->rdispls;
	const int *sendcounts = a->sendcounts, *recvcounts = a->recvcounts;
	void *recvbuf = a->recvbuf;
	MPI_Comm comm = CRCP_REAL(MPI_Comm, p->comm);
	const MPI_Datatype *send = types_kept(crcp_comm(p->comm), p->arrays[0], p->array_n[0], true);
	const MPI_Datatype *receive = types_kept(crcp_comm(p->comm), p->arrays[1], p->array_n[1], true);
	MPI_Request real = NULL;
	int r;

	r = CR_LOWER(
		crcp_lower.MPIX_Neighbor_alltoallw_init(sendbuf, sendcounts, sdispls, send, recvbuf, recvcounts, rdispls, receive, comm, info, &real));
	*ret_real = real;
	return r;
}

#define W_ARGS(make_)                                                                                                       \
	struct w_args a = { .p = { .make = (make_), .bytes = sizeof(a), .comm = comm,                                       \
				   .arrays = { sendbuf == MPI_IN_PLACE ? NULL : sendtypes, recvtypes } },                   \
			    .sendbuf = sendbuf, .sendcounts = sendcounts, .recvcounts = recvcounts, .sdispls = sdispls,     \
			    .rdispls = rdispls, .recvbuf = recvbuf }

CRCP_API(int, MPIX_Alltoallw_init,
	 (const void *sendbuf, const int sendcounts[], const int sdispls[], const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
	  const int rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm, MPI_Info info, MPI_Request *request))
{
	W_ARGS(w_make);

	counts(comm, false, &a.p.array_n[0], &a.p.array_n[1]);
	return crcp_pcoll_init(&a.p, info, request, "MPIX_Alltoallw_init");
}

CRCP_API(int, MPIX_Neighbor_alltoallw_init,
	 (const void *sendbuf, const int sendcounts[], const MPI_Aint sdispls[], const MPI_Datatype sendtypes[], void *recvbuf, const int recvcounts[],
	  const MPI_Aint rdispls[], const MPI_Datatype recvtypes[], MPI_Comm comm, MPI_Info info, MPI_Request *request))
{
	W_ARGS(nw_make);

	counts(comm, true, &a.p.array_n[0], &a.p.array_n[1]);
	return crcp_pcoll_init(&a.p, info, request, "MPIX_Neighbor_alltoallw_init");
}

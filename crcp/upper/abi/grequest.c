/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generalized requests, run natively: the real library calls thunks that come back to the program's functions.  A pending one is started
 * again after a restart, and completed when the program had completed it already.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>

struct greq {
	struct greq *prev, *next; /* pending ones */
	MPI_Grequest_query_function *query;
	MPI_Grequest_free_function *free_fn;
	MPI_Grequest_cancel_function *cancel;
	void *extra;
	MPI_Request request; /* program's handle */
	void *thunks[3];
	uint64_t epoch; /* of the lower half that made the thunks */
	int fortran; /* -1: not known yet */
	int completed; /* MPI_Grequest_complete was called; the program has yet to fetch it */
	int freed;     /* MPI_Request_free was called before that: nobody will fetch it */
};
static struct greq *pending;

static void greq_link(struct greq *g)
{
	crcp_abi_lock();
	g->prev = NULL;
	g->next = pending;
	if (pending)
		pending->prev = g;
	pending = g;
	crcp_abi_unlock();
}

static void greq_unlink(struct greq *g)
{
	crcp_abi_lock();
	if (g->prev)
		g->prev->next = g->next;
	else
		pending = g->next;
	if (g->next)
		g->next->prev = g->prev;
	crcp_abi_unlock();
}

static struct greq *greq_find(MPI_Request request)
{
	struct greq *g;

	crcp_abi_lock();
	for (g = pending; g && g->request != request; g = g->next)
		;
	crcp_abi_unlock();
	return g;
}

/* The Fortran library clears a byte of the new request to say that the functions are its own; we set it before. */
static bool is_fortran(struct greq *g)
{
	if (g->fortran < 0)
		g->fortran = !((const char *)(void *)g->request)[CRCP_REQUEST_GREQ_C_OFFSET];
	return g->fortran;
}

static uint64_t query_upcall(void *arg, uint64_t *a)
{
	struct greq *g = arg;
	MPI_Status *status = (MPI_Status *)a[1];
	MPI_Fint ierr = MPI_SUCCESS, fstatus[sizeof(MPI_Status) / sizeof(MPI_Fint)];

	if (!is_fortran(g))
		return (uint64_t)(int64_t)g->query(g->extra, status);
	PMPI_Status_c2f(status, fstatus);
	((void (*)(void *, MPI_Fint *, MPI_Fint *))(void *)g->query)(g->extra, fstatus, &ierr);
	PMPI_Status_f2c(fstatus, status);
	return (uint64_t)(int64_t)ierr;
}

static uint64_t cancel_upcall(void *arg, uint64_t *a)
{
	struct greq *g = arg;
	MPI_Fint ierr = MPI_SUCCESS, complete = a[1] != 0;

	if (!is_fortran(g))
		return (uint64_t)(int64_t)g->cancel(g->extra, (int)a[1]);
	((void (*)(void *, MPI_Fint *, MPI_Fint *))(void *)g->cancel)(g->extra, &complete, &ierr);
	return (uint64_t)(int64_t)ierr;
}

/* The last that is heard of a request. Its thunks are on the stack below us: they are given back with the next request. */
static struct greq *finished;

static uint64_t free_upcall(void *arg, uint64_t *a)
{
	struct greq *g = arg;
	MPI_Fint ierr = MPI_SUCCESS;
	int r;

	(void)a;
	if (!is_fortran(g)) {
		r = g->free_fn(g->extra);
	} else {
		((void (*)(void *, MPI_Fint *))(void *)g->free_fn)(g->extra, &ierr);
		r = ierr;
	}
	greq_unlink(g);
	if (g->freed)
		crcp_request_unwrap(g->request);
	crcp_abi_lock();
	g->next = finished;
	finished = g;
	crcp_abi_unlock();
	return (uint64_t)(int64_t)r;
}

static void greq_destroy(struct greq *g)
{
	for (int i = 0; i < 3 && g->epoch == CR_GATE->epoch; i++)
		if (g->thunks[i])
			CR_GATE->thunk_destroy(g->thunks[i]);
	crcp_free(g);
}

static void greq_reap(void)
{
	struct greq *list, *next;

	crcp_abi_lock();
	list = finished;
	finished = NULL;
	crcp_abi_unlock();
	for (; list; list = next) {
		next = list->next;
		greq_destroy(list);
	}
}

static int start_below(struct greq *g, MPI_Request *ret_real)
{
	MPI_Grequest_query_function *query;
	MPI_Grequest_free_function *free_fn;
	MPI_Grequest_cancel_function *cancel;
	MPI_Request real = NULL;
	int r;

	g->epoch = CR_GATE->epoch;
	g->thunks[0] = CR_GATE->thunk_create(query_upcall, g);
	g->thunks[1] = CR_GATE->thunk_create(free_upcall, g);
	g->thunks[2] = CR_GATE->thunk_create(cancel_upcall, g);
	if (!g->thunks[0] || !g->thunks[1] || !g->thunks[2])
		return MPI_ERR_NO_MEM;
	query = (MPI_Grequest_query_function *)g->thunks[0];
	free_fn = (MPI_Grequest_free_function *)g->thunks[1];
	cancel = (MPI_Grequest_cancel_function *)g->thunks[2];
	r = CR_LOWER(crcp_lower.MPI_Grequest_start(query, free_fn, cancel, NULL, &real));
	*ret_real = real;
	return r;
}

CRCP_API(int, MPI_Grequest_start,
	 (MPI_Grequest_query_function * query, MPI_Grequest_free_function *free_fn, MPI_Grequest_cancel_function *cancel, void *extra,
	  MPI_Request *request))
{
	MPI_Request real = NULL;
	struct greq *g;
	int r = MPI_ERR_NO_MEM;

	if (!request)
		return crcp_error(NULL, MPI_ERR_REQUEST, "MPI_Grequest_start");
	crcp_call_begin();
	greq_reap();
	g = crcp_alloc(sizeof(*g));
	if (g) {
		*g = (struct greq){ .query = query, .free_fn = free_fn, .cancel = cancel, .extra = extra, .fortran = -1 };
		r = start_below(g, &real);
	}
	if (r == MPI_SUCCESS) {
		*request = g->request = crcp_request_wrap(real, 'g', NULL);
		((char *)(void *)*request)[CRCP_REQUEST_GREQ_C_OFFSET] = 1;
		greq_link(g);
	} else if (g) {
		greq_destroy(g);
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Grequest_start");
}

CRCP_API(int, MPI_Grequest_complete, (MPI_Request request))
{
	struct greq *g;
	MPI_Request real;
	int r;

	crcp_call_begin();
	g = greq_find(request);
	if (g)
		g->completed = 1;
	real = CRCP_REAL(MPI_Request, request);
	r = CR_LOWER(crcp_lower.MPI_Grequest_complete(real)); /* @g may be gone */
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Grequest_complete");
}

int crcp_grequest_free(MPI_Request request)
{
	struct greq *g = greq_find(request);
	MPI_Request real = CRCP_REAL(MPI_Request, request);

	if (g)
		g->freed = 1;
	return CR_LOWER(crcp_lower.MPI_Request_free(&real)); /* a completed one ends here, another when it is completed */
}

int crcp_grequest_rebuild(MPI_Request request)
{
	struct greq *g = greq_find(request);
	MPI_Request real = NULL, freed;
	int r;

	if (!g)
		return -EPROTO;
	r = start_below(g, &real);
	if (r != MPI_SUCCESS)
		return -EIO;
	((struct crcp_handle *)(void *)request)->real = freed = real;
	if (g->completed)
		r = CR_LOWER(crcp_lower.MPI_Grequest_complete(real));
	else if (g->freed)
		r = CR_LOWER(crcp_lower.MPI_Request_free(&freed));
	return r == MPI_SUCCESS ? 0 : -EIO;
}

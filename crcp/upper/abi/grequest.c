/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Generalized requests, run natively: the real library calls thunks that come back to the program's functions.  A process that has one
 * pending cannot be checkpointed.
 */
#include "crcp/upper/abi/objects.h"

struct greq {
	MPI_Grequest_query_function *query;
	MPI_Grequest_free_function *free_fn;
	MPI_Grequest_cancel_function *cancel;
	void *extra;
	MPI_Request request; /* program's handle */
	void *thunks[3];
	int fortran; /* -1: not known yet */
};

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
	crcp_nocr_drop(CRCP_NOCR_GREQUEST);
	g->extra = finished;
	finished = g;
	return (uint64_t)(int64_t)r;
}

static void greq_reap(void)
{
	while (finished) {
		struct greq *g = finished;

		finished = g->extra;
		for (int i = 0; i < 3; i++)
			CR_GATE->thunk_destroy(g->thunks[i]);
		crcp_free(g);
	}
}

CRCP_API(int, MPI_Grequest_start,
	 (MPI_Grequest_query_function * query, MPI_Grequest_free_function *free_fn, MPI_Grequest_cancel_function *cancel, void *extra,
	  MPI_Request *request))
{
	MPI_Grequest_query_function *lower_query;
	MPI_Grequest_free_function *lower_free;
	MPI_Grequest_cancel_function *lower_cancel;
	MPI_Request real = NULL;
	struct greq *g;
	int r = MPI_ERR_NO_MEM;

	crcp_call_begin();
	greq_reap();
	g = crcp_alloc(sizeof(*g));
	if (g) {
		*g = (struct greq){ query, free_fn, cancel, extra, NULL, { NULL }, -1 };
		g->thunks[0] = CR_GATE->thunk_create(query_upcall, g);
		g->thunks[1] = CR_GATE->thunk_create(free_upcall, g);
		g->thunks[2] = CR_GATE->thunk_create(cancel_upcall, g);
		lower_query = (MPI_Grequest_query_function *)g->thunks[0];
		lower_free = (MPI_Grequest_free_function *)g->thunks[1];
		lower_cancel = (MPI_Grequest_cancel_function *)g->thunks[2];
		r = CR_LOWER(crcp_lower.MPI_Grequest_start(lower_query, lower_free, lower_cancel, NULL, &real));
	}
	if (r == MPI_SUCCESS) {
		crcp_nocr_add(CRCP_NOCR_GREQUEST, "a generalized request is pending (MPI_Grequest_start; not saved yet)");
		*request = g->request = crcp_request_wrap(real, 'g', NULL);
		((char *)(void *)*request)[CRCP_REQUEST_GREQ_C_OFFSET] = 1;
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Grequest_start");
}

CRCP_API(int, MPI_Grequest_complete, (MPI_Request request))
{
	MPI_Request real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Request, request);
	r = CR_LOWER(crcp_lower.MPI_Grequest_complete(real));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Grequest_complete");
}

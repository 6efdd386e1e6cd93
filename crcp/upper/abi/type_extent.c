/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a datatype measures. It never changes, so the real library is asked once: programs of one-sided communication ask before every operation,
 * and so do we.
 */
#include "crcp/upper/abi/objects.h"

#include <limits.h>

const struct crcp_extent *crcp_datatype_extent(struct crcp_datatype *t)
{
	MPI_Datatype real = (MPI_Datatype)t->head.h.real;
	MPI_Count size = 0;
	MPI_Aint low = 0, extent = 0, true_low = 0, true_extent = 0;

	if (__atomic_load_n(&t->measured, __ATOMIC_ACQUIRE))
		return &t->kept;
	if (CR_LOWER(crcp_lower.MPI_Type_size_x(real, &size)) != MPI_SUCCESS ||
	    CR_LOWER(crcp_lower.MPI_Type_get_extent(real, &low, &extent)) != MPI_SUCCESS ||
	    CR_LOWER(crcp_lower.MPI_Type_get_true_extent(real, &true_low, &true_extent)) != MPI_SUCCESS)
		return NULL;
	/* Another thread may do the same: with the same result. */
	t->kept = (struct crcp_extent){ .size = size, .low = low, .extent = extent, .true_low = true_low, .true_extent = true_extent };
	__atomic_store_n(&t->measured, 1, __ATOMIC_RELEASE);
	return &t->kept;
}

/* Known already, or a live handle that can be asked; else, and when MPI is not up, NULL: the real library says what is wrong with it. */
static const struct crcp_extent *known(MPI_Datatype type)
{
	struct crcp_datatype *t = crcp_datatype(type);
	const struct crcp_extent *e;

	if (!crcp_is_up() || !crcp_is_live(t))
		return NULL;
	if (__builtin_expect(__atomic_load_n(&t->measured, __ATOMIC_ACQUIRE), 1))
		return &t->kept;
	crcp_call_begin();
	e = crcp_datatype_extent(t);
	crcp_call_end();
	return e;
}

CRCP_API(int, MPI_Type_size, (MPI_Datatype type, int *size))
{
	const struct crcp_extent *e = size ? known(type) : NULL;
	MPI_Datatype real;
	int r;

	if (e && e->size <= INT_MAX) {
		*size = (int)e->size;
		return MPI_SUCCESS;
	}
	crcp_call_begin();
	real = CRCP_REAL(MPI_Datatype, type);
	r = CR_LOWER(crcp_lower.MPI_Type_size(real, size));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_size");
}

CRCP_API(int, MPI_Type_get_extent, (MPI_Datatype type, MPI_Aint *lb, MPI_Aint *extent))
{
	const struct crcp_extent *e = lb && extent ? known(type) : NULL;
	MPI_Datatype real;
	int r;

	if (e) {
		*lb = e->low;
		*extent = e->extent;
		return MPI_SUCCESS;
	}
	crcp_call_begin();
	real = CRCP_REAL(MPI_Datatype, type);
	r = CR_LOWER(crcp_lower.MPI_Type_get_extent(real, lb, extent));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_get_extent");
}

CRCP_API(int, MPI_Type_get_true_extent, (MPI_Datatype datatype, MPI_Aint *true_lb, MPI_Aint *true_extent))
{
	const struct crcp_extent *e = true_lb && true_extent ? known(datatype) : NULL;
	MPI_Datatype real;
	int r;

	if (e) {
		*true_lb = e->true_low;
		*true_extent = e->true_extent;
		return MPI_SUCCESS;
	}
	crcp_call_begin();
	real = CRCP_REAL(MPI_Datatype, datatype);
	r = CR_LOWER(crcp_lower.MPI_Type_get_true_extent(real, true_lb, true_extent));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_get_true_extent");
}

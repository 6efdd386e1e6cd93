/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The calls that make datatypes: made natively, which judges the arguments, then recorded in the form of MPI_Type_get_envelope.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

/* "n, then arrays of n each": the integers of an envelope, in memory that the caller frees. */
struct ints {
	int n;
	int *v;
};

static struct ints ints_make(int head_n, const int *head, int count, int arrays, const int *const *array)
{
	struct ints i = { 0, NULL };

	if (count < 0)
		count = 0;
	i.v = crcp_alloc((size_t)(head_n + arrays * count + 1) * sizeof(int));
	if (!i.v)
		return i;
	for (int k = 0; k < head_n; k++)
		i.v[i.n++] = head[k];
	for (int a = 0; a < arrays; a++) {
		memcpy(i.v + i.n, array[a], (size_t)count * sizeof(int));
		i.n += count;
	}
	return i;
}

CRCP_API(int, MPI_Type_dup, (MPI_Datatype type, MPI_Datatype *newtype))
{
	MPI_Datatype real = NULL, from, made = MPI_DATATYPE_NULL;
	int r;

	crcp_call_begin();
	from = CRCP_REAL(MPI_Datatype, type);
	r = CR_LOWER(crcp_lower.MPI_Type_dup(from, newtype ? &real : NULL));
	r = crcp_datatype_adopt(r, real, MPI_COMBINER_DUP, 0, NULL, 0, NULL, 1, &type, &made, "MPI_Type_dup");
	if (r != MPI_SUCCESS)
		return r;
	crcp_datatype(made)->committed = crcp_datatype(type)->committed;
	r = crcp_attrs_copy((void *)type, (void *)made);
	if (r != MPI_SUCCESS) {
		PMPI_Type_free(&made);
		*newtype = MPI_DATATYPE_NULL;
		return crcp_error(NULL, MPI_ERR_INTERN, "MPI_Type_dup"); /* whatever the function said, as Open MPI */
	}
	*newtype = made;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Type_contiguous, (int count, MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	MPI_Datatype real = NULL, old;
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_contiguous(count, old, newtype ? &real : NULL));
	return crcp_datatype_adopt(r, real, MPI_COMBINER_CONTIGUOUS, 1, &count, 0, NULL, 1, &oldtype, newtype, "MPI_Type_contiguous");
}

CRCP_API(int, MPI_Type_vector, (int count, int blocklength, int stride, MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	int ints[3] = { count, blocklength, stride };
	MPI_Datatype real = NULL, old;
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_vector(count, blocklength, stride, old, newtype ? &real : NULL));
	return crcp_datatype_adopt(r, real, MPI_COMBINER_VECTOR, 3, ints, 0, NULL, 1, &oldtype, newtype, "MPI_Type_vector");
}

static int hvector(int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype, MPI_Datatype *newtype, const char *function)
{
	int ints[2] = { count, blocklength };
	MPI_Datatype real = NULL, old;
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_hvector(count, blocklength, stride, old, &real));
	return crcp_datatype_adopt(r, real, MPI_COMBINER_HVECTOR, 2, ints, 1, &stride, 1, &oldtype, newtype, function);
}

CRCP_API(int, MPI_Type_create_hvector, (int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	return hvector(count, blocklength, stride, oldtype, newtype, "MPI_Type_create_hvector");
}

CRCP_API(int, MPI_Type_hvector, (int count, int blocklength, MPI_Aint stride, MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	return hvector(count, blocklength, stride, oldtype, newtype, "MPI_Type_hvector");
}

/* Finish a type whose integers were gathered. */
static int adopt_ints(int r, MPI_Datatype real, int combiner, struct ints i, int na, const MPI_Aint *aints, int nd, const MPI_Datatype *of,
		      MPI_Datatype *ret_type, const char *function)
{
	if (r == MPI_SUCCESS && !i.v)
		r = MPI_ERR_NO_MEM;
	crcp_call_begin(); /* adopt ends one call; the gathered integers are freed in the other */
	r = crcp_datatype_adopt(r, real, combiner, i.n, i.v, na, aints, nd, of, ret_type, function);
	crcp_free(i.v);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_Type_indexed, (int count, const int lengths[], const int displs[], MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	const int *arrays[2] = { lengths, displs };
	MPI_Datatype real = NULL, old;
	struct ints i = { 0, NULL };
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_indexed(count, lengths, displs, old, newtype ? &real : NULL));
	if (r == MPI_SUCCESS)
		i = ints_make(1, &count, count, 2, arrays);
	return adopt_ints(r, real, MPI_COMBINER_INDEXED, i, 0, NULL, 1, &oldtype, newtype, "MPI_Type_indexed");
}

static int hindexed(int count, const int lengths[], const MPI_Aint displs[], MPI_Datatype oldtype, MPI_Datatype *newtype, const char *function)
{
	MPI_Datatype real = NULL, old;
	struct ints i = { 0, NULL };
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_hindexed(count, lengths, displs, old, &real));
	if (r == MPI_SUCCESS)
		i = ints_make(1, &count, count, 1, &lengths);
	return adopt_ints(r, real, MPI_COMBINER_HINDEXED, i, count, displs, 1, &oldtype, newtype, function);
}

CRCP_API(int, MPI_Type_create_hindexed, (int count, const int lengths[], const MPI_Aint displs[], MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	return hindexed(count, lengths, displs, oldtype, newtype, "MPI_Type_create_hindexed");
}

CRCP_API(int, MPI_Type_hindexed, (int count, int lengths[], MPI_Aint displs[], MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	return hindexed(count, lengths, displs, oldtype, newtype, "MPI_Type_hindexed");
}

CRCP_API(int, MPI_Type_create_indexed_block, (int count, int blocklength, const int displs[], MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	int head[2] = { count, blocklength };
	MPI_Datatype real = NULL, old;
	struct ints i = { 0, NULL };
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_indexed_block(count, blocklength, displs, old, newtype ? &real : NULL));
	if (r == MPI_SUCCESS)
		i = ints_make(2, head, count, 1, &displs);
	return adopt_ints(r, real, MPI_COMBINER_INDEXED_BLOCK, i, 0, NULL, 1, &oldtype, newtype, "MPI_Type_create_indexed_block");
}

CRCP_API(int, MPI_Type_create_hindexed_block, (int count, int blocklength, const MPI_Aint displs[], MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	int ints[2] = { count, blocklength };
	MPI_Datatype real = NULL, old;
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_hindexed_block(count, blocklength, displs, old, newtype ? &real : NULL));
	return crcp_datatype_adopt(r, real, MPI_COMBINER_HINDEXED_BLOCK, 2, ints, r == MPI_SUCCESS ? count : 0, displs, 1, &oldtype, newtype,
				   "MPI_Type_create_hindexed_block");
}

static int make_struct(int count, const int lengths[], const MPI_Aint displs[], const MPI_Datatype of[], MPI_Datatype *newtype, const char *function)
{
	MPI_Datatype real = NULL, *reals = NULL;
	const MPI_Datatype *list = NULL;
	struct ints i = { 0, NULL };
	int r;

	crcp_call_begin();
	if (count > 0 && of) {
		list = reals = crcp_alloc((size_t)count * sizeof(*reals));
		for (int k = 0; reals && k < count; k++)
			reals[k] = CRCP_REAL(MPI_Datatype, of[k]);
	}
	r = CR_LOWER(crcp_lower.MPI_Type_create_struct(count, lengths, displs, list, &real));
	crcp_free(reals);
	if (r == MPI_SUCCESS)
		i = ints_make(1, &count, count, 1, &lengths);
	return adopt_ints(r, real, MPI_COMBINER_STRUCT, i, count, displs, count, of, newtype, function);
}

CRCP_API(int, MPI_Type_create_struct, (int count, const int lengths[], const MPI_Aint displs[], const MPI_Datatype of[], MPI_Datatype *newtype))
{
	return make_struct(count, lengths, displs, of, newtype, "MPI_Type_create_struct");
}

CRCP_API(int, MPI_Type_struct, (int count, int lengths[], MPI_Aint displs[], MPI_Datatype of[], MPI_Datatype *newtype))
{
	return make_struct(count, lengths, displs, of, newtype, "MPI_Type_struct");
}

CRCP_API(int, MPI_Type_create_resized, (MPI_Datatype oldtype, MPI_Aint lb, MPI_Aint extent, MPI_Datatype *newtype))
{
	MPI_Aint aints[2] = { lb, extent };
	MPI_Datatype real = NULL, old;
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_resized(old, lb, extent, newtype ? &real : NULL));
	return crcp_datatype_adopt(r, real, MPI_COMBINER_RESIZED, 0, NULL, 2, aints, 1, &oldtype, newtype, "MPI_Type_create_resized");
}

CRCP_API(int, MPI_Type_create_subarray,
	 (int ndims, const int sizes[], const int subsizes[], const int starts[], int order, MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	const int *arrays[3] = { sizes, subsizes, starts };
	MPI_Datatype real = NULL, old;
	struct ints i = { 0, NULL };
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_subarray(ndims, sizes, subsizes, starts, order, old, newtype ? &real : NULL));
	if (r == MPI_SUCCESS)
		i = ints_make(1, &ndims, ndims, 3, arrays);
	if (i.v)
		i.v[i.n++] = order; /* ints_make leaves room for one more */
	return adopt_ints(r, real, MPI_COMBINER_SUBARRAY, i, 0, NULL, 1, &oldtype, newtype, "MPI_Type_create_subarray");
}

CRCP_API(int, MPI_Type_create_darray,
	 (int size, int rank, int ndims, const int gsizes[], const int distribs[], const int dargs[], const int psizes[], int order,
	  MPI_Datatype oldtype, MPI_Datatype *newtype))
{
	const int *arrays[4] = { gsizes, distribs, dargs, psizes };
	int head[3] = { size, rank, ndims };
	MPI_Datatype real = NULL, old;
	struct ints i = { 0, NULL };
	int r;

	crcp_call_begin();
	old = CRCP_REAL(MPI_Datatype, oldtype);
	r = CR_LOWER(crcp_lower.MPI_Type_create_darray(size, rank, ndims, gsizes, distribs, dargs, psizes, order, old, newtype ? &real : NULL));
	if (r == MPI_SUCCESS)
		i = ints_make(3, head, ndims, 4, arrays);
	if (i.v)
		i.v[i.n++] = order;
	return adopt_ints(r, real, MPI_COMBINER_DARRAY, i, 0, NULL, 1, &oldtype, newtype, "MPI_Type_create_darray");
}

/* ---- Fortran's parameterised types: the same arguments give the same handle, which is never freed ---- */
struct f90_type {
	struct f90_type *next;
	int combiner, p, r;
	MPI_Datatype type;
};
static struct f90_type *f90_types; /* read without a lock: it only grows */
static int f90_lock;

static int make_f90(int combiner, int p, int r, MPI_Datatype *newtype, const char *function)
{
	int ints[2] = { p, r }, ni = 2, code;
	MPI_Datatype real = NULL, found;
	struct f90_type *f;

	for (f = __atomic_load_n(&f90_types, __ATOMIC_ACQUIRE); f; f = f->next)
		if (f->combiner == combiner && f->p == p && f->r == r) {
			*newtype = f->type;
			return MPI_SUCCESS;
		}
	crcp_call_begin();
	crcp_below_lock(&f90_lock);
	if (combiner == MPI_COMBINER_F90_REAL) {
		code = CR_LOWER(crcp_lower.MPI_Type_create_f90_real(p, r, &real));
	} else if (combiner == MPI_COMBINER_F90_COMPLEX) {
		code = CR_LOWER(crcp_lower.MPI_Type_create_f90_complex(p, r, &real));
	} else {
		code = CR_LOWER(crcp_lower.MPI_Type_create_f90_integer(r, &real));
		ints[0] = r; /* its envelope has the range alone */
		ni = 1;
	}
	found = code == MPI_SUCCESS ? crcp_datatype_find(real) : MPI_DATATYPE_NULL;
	if (code != MPI_SUCCESS || found != MPI_DATATYPE_NULL) { /* found: a predefined type, or one that another p and r, or thread, gave */
		crcp_below_unlock(&f90_lock);
		crcp_call_end();
		if (code != MPI_SUCCESS)
			return crcp_error(NULL, code, function);
		*newtype = found;
		return MPI_SUCCESS;
	}
	crcp_call_begin(); /* the next line ends one, and the lock is held in a call */
	code = crcp_datatype_adopt(code, real, combiner, ni, ints, 0, NULL, 0, NULL, newtype, function);
	if (code == MPI_SUCCESS)
		crcp_datatype(*newtype)->committed = 1;
	f = code == MPI_SUCCESS ? crcp_alloc(sizeof(*f)) : NULL;
	if (f) {
		*f = (struct f90_type){ f90_types, combiner, p, r, *newtype };
		__atomic_store_n(&f90_types, f, __ATOMIC_RELEASE);
	}
	crcp_below_unlock(&f90_lock);
	crcp_call_end();
	return code;
}

CRCP_API(int, MPI_Type_create_f90_real, (int p, int r, MPI_Datatype *newtype))
{
	return make_f90(MPI_COMBINER_F90_REAL, p, r, newtype, "MPI_Type_create_f90_real");
}

CRCP_API(int, MPI_Type_create_f90_complex, (int p, int r, MPI_Datatype *newtype))
{
	return make_f90(MPI_COMBINER_F90_COMPLEX, p, r, newtype, "MPI_Type_create_f90_complex");
}

CRCP_API(int, MPI_Type_create_f90_integer, (int r, MPI_Datatype *newtype))
{
	return make_f90(MPI_COMBINER_F90_INTEGER, 0, r, newtype, "MPI_Type_create_f90_integer");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Make a datatype's real object again from the recorded call.  The types that it was made of have been made again before.
 */
#include "crcp/upper/abi/objects.h"

int crcp_datatype_construct(const struct crcp_datatype *t, MPI_Datatype *ret_real)
{
	MPI_Datatype real = NULL, old = t->nd > 0 ? (MPI_Datatype)t->types[0]->head.h.real : NULL, *olds;
	const int *i = t->ints, *i1 = i, *i2 = i, *i3 = i, *i4 = i;
	const MPI_Aint *a = t->aints;
	int n = t->ni > 0 ? i[0] : 0, n1 = t->ni > 1 ? i[1] : 0, n2 = t->ni > 2 ? i[2] : 0, last = t->ni > 0 ? i[t->ni - 1] : 0;
	MPI_Aint a0 = t->na > 0 ? a[0] : 0, a1 = t->na > 1 ? a[1] : 0;
	int r;

	switch (t->combiner) {
	case MPI_COMBINER_DUP:
		r = CR_LOWER(crcp_lower.MPI_Type_dup(old, &real));
		break;
	case MPI_COMBINER_CONTIGUOUS:
		r = CR_LOWER(crcp_lower.MPI_Type_contiguous(n, old, &real));
		break;
	case MPI_COMBINER_VECTOR:
		r = CR_LOWER(crcp_lower.MPI_Type_vector(n, n1, n2, old, &real));
		break;
	case MPI_COMBINER_HVECTOR:
		r = CR_LOWER(crcp_lower.MPI_Type_create_hvector(n, n1, a0, old, &real));
		break;
	case MPI_COMBINER_INDEXED:
		i1 = i + 1;
		i2 = i + 1 + n;
		r = CR_LOWER(crcp_lower.MPI_Type_indexed(n, i1, i2, old, &real));
		break;
	case MPI_COMBINER_HINDEXED:
		i1 = i + 1;
		r = CR_LOWER(crcp_lower.MPI_Type_create_hindexed(n, i1, a, old, &real));
		break;
	case MPI_COMBINER_INDEXED_BLOCK:
		i2 = i + 2;
		r = CR_LOWER(crcp_lower.MPI_Type_create_indexed_block(n, n1, i2, old, &real));
		break;
	case MPI_COMBINER_HINDEXED_BLOCK:
		r = CR_LOWER(crcp_lower.MPI_Type_create_hindexed_block(n, n1, a, old, &real));
		break;
	case MPI_COMBINER_STRUCT:
		olds = crcp_alloc((size_t)t->nd * sizeof(*olds) + 1);
		if (!olds)
			return MPI_ERR_NO_MEM;
		for (int k = 0; k < t->nd; k++)
			olds[k] = (MPI_Datatype)t->types[k]->head.h.real;
		i1 = i + 1;
		r = CR_LOWER(crcp_lower.MPI_Type_create_struct(n, i1, a, olds, &real));
		crcp_free(olds);
		break;
	case MPI_COMBINER_RESIZED:
		r = CR_LOWER(crcp_lower.MPI_Type_create_resized(old, a0, a1, &real));
		break;
	case MPI_COMBINER_SUBARRAY:
		i1 = i + 1;
		i2 = i1 + n;
		i3 = i2 + n;
		r = CR_LOWER(crcp_lower.MPI_Type_create_subarray(n, i1, i2, i3, last, old, &real));
		break;
	case MPI_COMBINER_DARRAY: /* n size, n1 rank, n2 dimensions */
		i1 = i + 3;
		i2 = i1 + n2;
		i3 = i2 + n2;
		i4 = i3 + n2;
		r = CR_LOWER(crcp_lower.MPI_Type_create_darray(n, n1, n2, i1, i2, i3, i4, last, old, &real));
		break;
	case MPI_COMBINER_F90_REAL:
		r = CR_LOWER(crcp_lower.MPI_Type_create_f90_real(n, n1, &real));
		break;
	case MPI_COMBINER_F90_COMPLEX:
		r = CR_LOWER(crcp_lower.MPI_Type_create_f90_complex(n, n1, &real));
		break;
	case MPI_COMBINER_F90_INTEGER:
		r = CR_LOWER(crcp_lower.MPI_Type_create_f90_integer(n, &real));
		break;
	default:
		return MPI_ERR_TYPE;
	}
	if (r == MPI_SUCCESS)
		*ret_real = real;
	return r;
}

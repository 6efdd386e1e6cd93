/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The predefined attribute functions (MPI_COMM_DUP_FN and its family), for C and for Fortran.
 */
#include "crcp/upper/abi/objects.h"

/* C: the names that mpi.h gives them. */
#define C_FUNCTIONS(prefix, type)                                                                                              \
	CRCP_EXPORT int OMPI_C_MPI_##prefix##NULL_COPY_FN(type o, int k, void *extra, void *in, void *out, int *flag)          \
	{                                                                                                                      \
		(void)o, (void)k, (void)extra, (void)in, (void)out;                                                            \
		*flag = 0;                                                                                                     \
		return MPI_SUCCESS;                                                                                            \
	}                                                                                                                      \
	CRCP_EXPORT int OMPI_C_MPI_##prefix##DUP_FN(type o, int k, void *extra, void *in, void *out, int *flag)                \
	{                                                                                                                      \
		(void)o, (void)k, (void)extra;                                                                                 \
		*flag = 1;                                                                                                     \
		*(void **)out = in;                                                                                            \
		return MPI_SUCCESS;                                                                                            \
	}                                                                                                                      \
	CRCP_EXPORT int OMPI_C_MPI_##prefix##NULL_DELETE_FN(type o, int k, void *in, void *extra)                              \
	{                                                                                                                      \
		(void)o, (void)k, (void)extra, (void)in;                                                                       \
		return MPI_SUCCESS;                                                                                            \
	}

C_FUNCTIONS(, MPI_Comm)
C_FUNCTIONS(COMM_, MPI_Comm)
C_FUNCTIONS(TYPE_, MPI_Datatype)
C_FUNCTIONS(WIN_, MPI_Win)

/* Here the names are those of Fortran functions. */
#undef MPI_NULL_COPY_FN
#undef MPI_DUP_FN
#undef MPI_NULL_DELETE_FN
#undef MPI_COMM_NULL_COPY_FN
#undef MPI_COMM_DUP_FN
#undef MPI_COMM_NULL_DELETE_FN
#undef MPI_TYPE_NULL_COPY_FN
#undef MPI_TYPE_DUP_FN
#undef MPI_TYPE_NULL_DELETE_FN
#undef MPI_WIN_NULL_COPY_FN
#undef MPI_WIN_DUP_FN
#undef MPI_WIN_NULL_DELETE_FN
#undef MPI_CONVERSION_FN_NULL

/* Fortran: one function under five names; an attribute is INTEGER in MPI-1's functions and INTEGER(MPI_ADDRESS_KIND) in the others. */
#define ALIAS(name, of) extern CRCP_EXPORT __typeof__(of) name __attribute__((weak, alias(#of), visibility("default")));
#define FIVE_NAMES(upper, lower) \
	ALIAS(MPI_##upper, ompi_##lower##_f) ALIAS(mpi_##lower, ompi_##lower##_f) ALIAS(mpi_##lower##_, ompi_##lower##_f) \
	ALIAS(mpi_##lower##__, ompi_##lower##_f)

#define FORTRAN_FUNCTIONS(upper, lower, value)                                                                                 \
	CRCP_EXPORT void ompi_##lower##null_copy_fn_f(MPI_Fint *o, MPI_Fint *k, value *extra, value *in, value *out,           \
						      MPI_Fint *flag, MPI_Fint *ierr);                                         \
	CRCP_EXPORT void ompi_##lower##dup_fn_f(MPI_Fint *o, MPI_Fint *k, value *extra, value *in, value *out, MPI_Fint *flag, \
						MPI_Fint *ierr);                                                               \
	CRCP_EXPORT void ompi_##lower##null_delete_fn_f(MPI_Fint *o, MPI_Fint *k, value *in, value *extra, MPI_Fint *ierr);    \
	void ompi_##lower##null_copy_fn_f(MPI_Fint *o, MPI_Fint *k, value *extra, value *in, value *out, MPI_Fint *flag,       \
					  MPI_Fint *ierr)                                                                      \
	{                                                                                                                      \
		(void)o, (void)k, (void)extra, (void)in, (void)out;                                                            \
		*flag = 0;                                                                                                     \
		*ierr = MPI_SUCCESS;                                                                                           \
	}                                                                                                                      \
	void ompi_##lower##dup_fn_f(MPI_Fint *o, MPI_Fint *k, value *extra, value *in, value *out, MPI_Fint *flag,             \
				    MPI_Fint *ierr)                                                                            \
	{                                                                                                                      \
		(void)o, (void)k, (void)extra;                                                                                 \
		*flag = 1;                                                                                                     \
		*out = *in;                                                                                                    \
		*ierr = MPI_SUCCESS;                                                                                           \
	}                                                                                                                      \
	void ompi_##lower##null_delete_fn_f(MPI_Fint *o, MPI_Fint *k, value *in, value *extra, MPI_Fint *ierr)                 \
	{                                                                                                                      \
		(void)o, (void)k, (void)extra, (void)in;                                                                       \
		*ierr = MPI_SUCCESS;                                                                                           \
	}                                                                                                                      \
	FIVE_NAMES(upper##NULL_COPY_FN, lower##null_copy_fn)                                                                   \
	FIVE_NAMES(upper##DUP_FN, lower##dup_fn)                                                                               \
	FIVE_NAMES(upper##NULL_DELETE_FN, lower##null_delete_fn)

FORTRAN_FUNCTIONS(, , MPI_Fint)
FORTRAN_FUNCTIONS(COMM_, comm_, MPI_Aint)
FORTRAN_FUNCTIONS(TYPE_, type_, MPI_Aint)
FORTRAN_FUNCTIONS(WIN_, win_, MPI_Aint)

CRCP_EXPORT void mpi_conversion_fn_null_f(char *user, MPI_Fint *type, MPI_Fint *count, char *file, MPI_Offset *position, MPI_Aint *extra,
					  MPI_Fint *ierr);
void mpi_conversion_fn_null_f(char *user, MPI_Fint *type, MPI_Fint *count, char *file, MPI_Offset *position, MPI_Aint *extra, MPI_Fint *ierr)
{
	(void)user, (void)type, (void)count, (void)file, (void)position, (void)extra;
	*ierr = MPI_SUCCESS;
}
ALIAS(MPI_CONVERSION_FN_NULL, mpi_conversion_fn_null_f)
ALIAS(mpi_conversion_fn_null, mpi_conversion_fn_null_f)
ALIAS(mpi_conversion_fn_null_, mpi_conversion_fn_null_f)
ALIAS(mpi_conversion_fn_null__, mpi_conversion_fn_null_f)

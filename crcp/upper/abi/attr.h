/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyvals and attributes between the store (attr.c) and the calls (attr_calls.c). All functions return MPI error codes and run inside a call. */
#ifndef CRCP_ATTR_H
#define CRCP_ATTR_H

#include "crcp/upper/abi/objects.h"

#define KEYVAL_FORTRAN 0x2 /* Open MPI's OMPI_KEYVAL_F77 */
#define KEYVAL_FORTRAN_INT 0x4

enum crcp_attr_language { ATTR_C, ATTR_INT, ATTR_FINT, ATTR_AINT };

union crcp_attr_fn {
	void *any;
	int (*copy)(void *from, int keyval, void *extra, void *in, void *out, int *flag, void *to);
	int (*remove)(void *object, int keyval, void *value, void *extra);
	void (*copy_fint)(MPI_Fint *from, MPI_Fint *keyval, MPI_Fint *extra, MPI_Fint *in, MPI_Fint *out, MPI_Fint *flag, MPI_Fint *ierr);
	void (*remove_fint)(MPI_Fint *object, MPI_Fint *keyval, MPI_Fint *value, MPI_Fint *extra, MPI_Fint *ierr);
	void (*copy_aint)(MPI_Fint *from, MPI_Fint *keyval, MPI_Aint *extra, MPI_Aint *in, MPI_Aint *out, MPI_Fint *flag, MPI_Fint *ierr);
	void (*remove_aint)(MPI_Fint *object, MPI_Fint *keyval, MPI_Aint *value, MPI_Aint *extra, MPI_Fint *ierr);
};

union crcp_attr_value {
	void *pointer;
	int integer;
	MPI_Fint fint;
	MPI_Aint aint;
};

struct crcp_attrs {
	struct crcp_attrs *next; /* newest first */
	int keyval;
	enum crcp_attr_language language;
	union crcp_attr_value value;
};

int crcp_keyval_create(uint32_t kind, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, union crcp_attr_value extra, int flags, void *bindings);
int crcp_keyval_free(uint32_t kind, int *key);
int crcp_attr_set(void *object, int key, enum crcp_attr_language language, union crcp_attr_value value);
int crcp_attr_delete(void *object, int key);
/* @list's attribute, NULL when it has none; *ret_valid false when there is no such keyval. */
struct crcp_attrs *crcp_attr_get(struct crcp_attrs **list, int key, bool *ret_valid);
void *crcp_attr_as_c(struct crcp_attrs *a);
MPI_Aint crcp_attr_as_aint(const struct crcp_attrs *a);

#endif

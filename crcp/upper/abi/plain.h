/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the generated wrappers, and those of Alltoallw, use beyond objects.h. */
#ifndef CRCP_PLAIN_H
#define CRCP_PLAIN_H

#include "crcp/upper/abi/win.h"

#include <mpi-ext.h>

/* A persistent collective: the head of its arguments. */
struct crcp_pcoll {
	struct crcp_pcoll *prev, *next;
	MPI_Request request; /* the program's handle */
	int (*make)(const struct crcp_pcoll *args, MPI_Info real_info, MPI_Request *ret_real); /* the init call below */
	size_t bytes;        /* of the whole record */
	MPI_Comm comm;
	MPI_Datatype types[2];         /* referenced; NULL: none */
	const MPI_Datatype *arrays[2]; /* Alltoallw: the program's arrays; NULL: none */
	int array_n[2];
	MPI_Op op;                     /* NULL: none */
};
/* A whole MPIX_..._init call: make it, keep a copy of @args for a restart. */
int crcp_pcoll_init(const struct crcp_pcoll *args, MPI_Info info, MPI_Request *request, const char *function);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the generated wrappers use beyond objects.h. */
#ifndef CRCP_PLAIN_H
#define CRCP_PLAIN_H

#include <mpi-ext.h>

/* Persistent collectives cannot be made again yet: says so until the request is freed. */
void crcp_persistent_mark(MPI_Request request);

#endif

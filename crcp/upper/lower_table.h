/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One pointer to the real function per MPI call, named like it: crcp_lower.MPI_Send is the real library's PMPI_Send. */
#ifndef CRCP_LOWER_TABLE_H
#define CRCP_LOWER_TABLE_H

#include <mpi.h>

struct crcp_lower_table {
#define CRCP_CALL(class, ret, name, args) ret(*name) args;
#include "crcp/mpi_calls.def"
#undef CRCP_CALL
};

#endif

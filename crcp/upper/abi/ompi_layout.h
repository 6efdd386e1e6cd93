/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where Open MPI's own language libraries (libmpi_mpifh, libmpi_usempif08, libmpi_cxx) look into the objects of the library they were
 * built with.  They run unchanged above us, so our records carry the few words that they read or write at the same offsets.
 * These are the offsets of the 4.1 series on x86_64; another series means another version of this file.
 */
#ifndef CRCP_OMPI_LAYOUT_H
#define CRCP_OMPI_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* communicator: Alltoallw of Fortran reads the flags and the sizes of both groups; the attribute functions take &keyhash */
#define OMPI_COMM_FLAGS 0xe8
#define OMPI_COMM_LOCAL_GROUP 0xf8
#define OMPI_COMM_REMOTE_GROUP 0x100
#define OMPI_COMM_KEYHASH 0x110
#define OMPI_COMM_BYTES 0x200
#define OMPI_COMM_FLAG_INTER 0x1u
#define OMPI_COMM_FLAG_INTRINSIC 0x4u
#define OMPI_COMM_FLAG_INVALID 0x20u
#define OMPI_COMM_FLAG_CART 0x100u
#define OMPI_COMM_FLAG_GRAPH 0x200u
#define OMPI_COMM_FLAG_DIST_GRAPH 0x400u

/* group: the size as the communicator's groups have it; the Fortran index of a new group */
#define OMPI_GROUP_COUNT 0x10
#define OMPI_GROUP_FINT 0x18

#define OMPI_DATATYPE_KEYHASH 0xd0
#define OMPI_WIN_KEYHASH 0xf0

/* operation: flags, and what ompi_op_set_cxx_callback and ompi_op_set_java_callback keep */
#define OMPI_OP_FLAGS 0x54
#define OMPI_OP_FLAG_FORTRAN 0x2u
#define OMPI_OP_FLAG_CXX 0x4u
#define OMPI_OP_FLAG_JAVA 0x8u

/* error handler: struct ompi_errhandler_t from its type on; the C++ library stores into cxx_dispatch and into the functions of
 * ompi_mpi_errors_throw_exceptions */
#define OMPI_ERRHANDLER_TYPE 0x50
#define OMPI_ERRHANDLER_CXX_DISPATCH 0x78

#endif

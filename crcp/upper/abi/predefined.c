/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The predefined handles: data symbols that programs are linked to, each with the real library's size and a record of ours inside.
 *
 * A program that is not position-independent holds copies of them, so they are only ever reached through the symbol (GOT), and their
 * initial contents do not point to themselves.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>
#include <string.h>

/* The types that mpi.h declares without telling what is in them. */
struct ompi_predefined_communicator_t {
	union { struct crcp_comm_full record; char bytes[OMPI_COMM_BYTES]; } u;
};
struct ompi_predefined_group_t {
	union { struct crcp_group record; char bytes[256]; } u;
};
struct ompi_predefined_datatype_t {
	union { struct crcp_datatype record; char bytes[512]; } u;
};
struct ompi_predefined_op_t {
	union { struct crcp_op record; char bytes[2048]; } u;
};
struct ompi_predefined_info_t {
	union { struct crcp_info record; char bytes[256]; } u;
};
struct ompi_predefined_errhandler_t {
	union { struct crcp_errhandler record; char bytes[1024]; } u;
};
struct ompi_predefined_file_t {
	union { struct crcp_file record; char bytes[1536]; } u;
};
struct ompi_predefined_win_t {
	union { struct crcp_win record; char bytes[512]; } u;
};
struct ompi_predefined_request_t {
	union { struct crcp_handle record; char bytes[256]; } u;
};
struct ompi_predefined_message_t {
	union { struct crcp_handle record; char bytes[256]; } u;
};

#define TYPE_COMM struct ompi_predefined_communicator_t
#define TYPE_GROUP struct ompi_predefined_group_t
#define TYPE_DATATYPE struct ompi_predefined_datatype_t
#define TYPE_OP struct ompi_predefined_op_t
#define TYPE_INFO struct ompi_predefined_info_t
#define TYPE_ERRHANDLER struct ompi_predefined_errhandler_t
#define TYPE_FILE struct ompi_predefined_file_t
#define TYPE_WIN struct ompi_predefined_win_t
#define TYPE_REQUEST struct ompi_predefined_request_t
#define TYPE_MESSAGE struct ompi_predefined_message_t

#define HEAD(kind_, null_) { .kind = CRCP_##kind_, .flags = CRCP_H_PREDEFINED | ((null_) ? CRCP_H_NULL : 0), .fint = -1, .refs = 1 }
#define INIT_COMM(null) { .c.h = HEAD(COMM, null), .ompi_flags = OMPI_COMM_FLAG_INTRINSIC | ((null) ? OMPI_COMM_FLAG_INVALID : 0) }
#define INIT_GROUP(null) { .h = HEAD(GROUP, null) }
#define INIT_DATATYPE(null) { .head.h = HEAD(DATATYPE, null), .combiner = MPI_COMBINER_NAMED, .committed = 1 }
#define INIT_OP(null) { .h = HEAD(OP, null) }
#define INIT_INFO(null) { .h = HEAD(INFO, null) }
#define INIT_ERRHANDLER(null) { .h = HEAD(ERRHANDLER, null) }
#define INIT_FILE(null) { .h = HEAD(FILE, null) }
#define INIT_WIN(null) { .h = HEAD(WIN, null) }
#define INIT_REQUEST(null) HEAD(REQUEST, null)
#define INIT_MESSAGE(null) HEAD(MESSAGE, null)

#define PREDEFINED(kind, symbol, bytes, null)                                                                   \
	extern CRCP_EXPORT TYPE_##kind symbol;                                                                  \
	CRCP_EXPORT __attribute__((aligned(32))) TYPE_##kind symbol = { .u = { .record = INIT_##kind(null) } }; \
	_Static_assert(sizeof(symbol) == (bytes), "size of " #symbol " in the installed libmpi");
#define POINTER(symbol, target)             \
	extern CRCP_EXPORT void *symbol;    \
	CRCP_EXPORT void *symbol = &target;
#include "crcp/predefined_gen.h"
#undef PREDEFINED
#undef POINTER

const struct crcp_predefined crcp_predefined[] = {
#define PREDEFINED(kind, symbol, bytes, null) { #symbol, &symbol, CRCP_##kind },
#define POINTER(symbol, target)
#include "crcp/predefined_gen.h"
};
const int crcp_predefined_n = sizeof(crcp_predefined) / sizeof(crcp_predefined[0]);

int crcp_predefined_load(const char **ret_symbol)
{
	void *library = crcp.libmpi;

	for (int i = 0; i < crcp_predefined_n; i++) {
		struct crcp_handle *h = crcp_predefined[i].object;
		const char *symbol = crcp_predefined[i].symbol;
		void *(*look_up)(void *, const char *) = CR_GATE->lower_sym;
		void *real = CR_LOWER(look_up(library, symbol));

		if (!real) {
			*ret_symbol = symbol;
			return -ENOENT;
		}
		if (h->kind != CRCP_INFO || (h->flags & CRCP_H_PREDEFINED))
			h->real = real;
	}
	return 0;
}

void *crcp_predefined_find(uint32_t kind, const void *real)
{
	for (int i = 0; i < crcp_predefined_n; i++) {
		struct crcp_handle *h = crcp_predefined[i].object;

		if (crcp_predefined[i].kind == kind && h->real == real)
			return h;
	}
	return NULL;
}

/* The real library's Fortran index of a predefined object: programs hold these numbers as constants. */
static int real_fint(const struct crcp_handle *h)
{
	void *real = h->real;

	switch (h->kind) {
	case CRCP_COMM:
		return CR_LOWER(crcp_lower.MPI_Comm_c2f((MPI_Comm)real));
	case CRCP_GROUP:
		return CR_LOWER(crcp_lower.MPI_Group_c2f((MPI_Group)real));
	case CRCP_DATATYPE:
		return CR_LOWER(crcp_lower.MPI_Type_c2f((MPI_Datatype)real));
	case CRCP_OP:
		return CR_LOWER(crcp_lower.MPI_Op_c2f((MPI_Op)real));
	case CRCP_INFO:
		return CR_LOWER(crcp_lower.MPI_Info_c2f((MPI_Info)real));
	case CRCP_ERRHANDLER:
		return CR_LOWER(crcp_lower.MPI_Errhandler_c2f((MPI_Errhandler)real));
	case CRCP_WIN:
		return CR_LOWER(crcp_lower.MPI_Win_c2f((MPI_Win)real));
	case CRCP_FILE:
		return CR_LOWER(crcp_lower.MPI_File_c2f((MPI_File)real));
	case CRCP_REQUEST:
		return CR_LOWER(crcp_lower.MPI_Request_c2f((MPI_Request)real));
	case CRCP_MESSAGE:
		return CR_LOWER(crcp_lower.MPI_Message_c2f((MPI_Message)real));
	default:
		return -1;
	}
}

void crcp_predefined_init(void)
{
	for (int i = 0; i < crcp_predefined_n; i++) {
		struct crcp_handle *h = crcp_predefined[i].object;
		int fint = real_fint(h);

		if (fint >= 0)
			crcp_fint_reserve(h, fint);
	}
	crcp_datatypes_init_predefined();
}

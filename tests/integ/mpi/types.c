/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Datatypes, and data in them that is under way. */
#include <stddef.h>

#include "table.h"

#define TYPES 13
#define BYTES 1024

struct thing {
	double x;
	char c;
	int v[3];
};

static void make(MPI_Datatype *t)
{
	static const int three[3] = { 1, 2, 3 }, at[3] = { 9, 0, 4 }, sizes[2] = { 5, 6 }, sub[2] = { 2, 3 }, start[2] = { 1, 2 };
	static const MPI_Aint bytes[3] = { 64, 0, 24 };
	static const MPI_Aint members[3] = { offsetof(struct thing, x), offsetof(struct thing, c), offsetof(struct thing, v) };
	MPI_Datatype old;

	MPI_Type_contiguous(7, MPI_SHORT, &t[0]);
	MPI_Type_vector(3, 2, 4, MPI_INT, &t[1]);
	MPI_Type_create_hvector(3, 2, 40, MPI_FLOAT, &t[2]);
	MPI_Type_indexed(3, three, at, MPI_INT, &t[3]);
	MPI_Type_create_hindexed(3, three, bytes, MPI_INT, &t[4]);
	MPI_Type_create_indexed_block(3, 2, at, MPI_DOUBLE, &t[5]);
	MPI_Type_create_hindexed_block(3, 2, bytes, MPI_INT, &t[6]);
	MPI_Type_create_struct(3, (int[]){ 1, 1, 3 }, members, (MPI_Datatype[]){ MPI_DOUBLE, MPI_CHAR, MPI_INT }, &old);
	MPI_Type_create_resized(old, 0, sizeof(struct thing), &t[7]);
	MPI_Type_create_subarray(2, sizes, sub, start, MPI_ORDER_FORTRAN, MPI_INT, &t[8]);
	MPI_Type_create_darray(2, 0, 2, sizes, (int[]){ MPI_DISTRIBUTE_CYCLIC, MPI_DISTRIBUTE_BLOCK }, (int[]){ 2, MPI_DISTRIBUTE_DFLT_DARG }, (int[]){ 2, 1 },
			       MPI_ORDER_C, MPI_INT, &t[9]);
	MPI_Type_dup(old, &t[10]);
	MPI_Type_dup(MPI_DOUBLE_INT, &t[11]);
	MPI_Type_create_f90_real(6, 30, &old);
	MPI_Type_vector(4, 1, 3, old, &t[12]);
	for (int i = 0; i < TYPES; i++)
		MPI_Type_commit(&t[i]);
}

static void drop(MPI_Datatype *t)
{
	for (int i = 0; i < TYPES; i++)
		MPI_Type_free(&t[i]);
}

static void fill(char *p, int s, int what, int who)
{
	for (int i = 0; i < BYTES; i++)
		p[i] = (char)(number_of(s, what, who) * 31 + i * 7);
}

/* What @type holds of @data is in @got, and nothing else has changed there. */
static void compare(const char *data, const char *got, MPI_Datatype type)
{
	char packed[BYTES], expect[BYTES] = { 0 };
	int n = 0, at = 0;

	MPI_Pack(data, 1, type, packed, BYTES, &n, comm);
	MPI_Unpack(packed, n, &at, expect, 1, type, comm);
	STEP_CHECK(memcmp(expect, got, BYTES) == 0);
}

/* ---- receives that are pending when their type is freed ---- */
static char pending_out[TYPES][BYTES], pending_in[TYPES][BYTES];
static MPI_Request pending_request[2 * TYPES];

void types_pending_begin(int s)
{
	MPI_Datatype t[TYPES];

	make(t);
	memset(pending_in, 0, sizeof(pending_in));
	for (int i = 0; i < TYPES; i++) {
		fill(pending_out[i], s, i, rank);
		pending_request[TYPES + i] = MPI_REQUEST_NULL;
		MPI_Irecv(pending_in[i], 1, t[i], left, 700 + i, comm, &pending_request[i]);
		if ((rank + i) % 2)
			MPI_Issend(pending_out[i], 1, t[i], right, 700 + i, comm, &pending_request[TYPES + i]);
	}
	drop(t);
}

uint64_t types_pending_end(int s)
{
	MPI_Datatype t[TYPES];
	char expect[BYTES];

	make(t);
	for (int i = 0; i < TYPES; i++)
		if ((rank + i) % 2 == 0)
			MPI_Isend(pending_out[i], 1, t[i], right, 700 + i, comm, &pending_request[TYPES + i]);
	MPI_Waitall(2 * TYPES, pending_request, MPI_STATUSES_IGNORE);
	for (int i = 0; i < TYPES; i++) {
		fill(expect, s, i, left);
		compare(expect, pending_in[i], t[i]);
	}
	drop(t);
	return (uint64_t)(unsigned char)pending_in[0][0];
}

/* ---- types of types; they live as long as the program ---- */
static MPI_Datatype nested[3];
static char nested_out[3][BYTES], nested_in[3][BYTES];
static MPI_Request nested_request[3];

static void nested_make(void)
{
	MPI_Datatype t[TYPES], padded;

	make(t);
	MPI_Type_create_resized(t[1], -4, 60, &padded);
	MPI_Type_contiguous(3, padded, &nested[0]);
	MPI_Type_create_struct(3, (int[]){ 2, 1, 1 }, (MPI_Aint[]){ 0, 200, 400 }, (MPI_Datatype[]){ t[7], t[8], nested[0] }, &nested[1]);
	MPI_Type_vector(2, 1, 2, t[9], &nested[2]);
	for (int i = 0; i < 3; i++)
		MPI_Type_commit(&nested[i]);
	MPI_Type_free(&padded);
	drop(t);
}

void types_nested_begin(int s)
{
	if (s == 0)
		nested_make();
	memset(nested_in, 0, sizeof(nested_in));
	for (int i = 0; i < 3; i++) {
		fill(nested_out[i], s, i, rank);
		MPI_Isend(nested_out[i] + 64 * (i == 0), 1, nested[i], right, 720 + i, comm, &nested_request[i]);
	}
}

uint64_t types_nested_end(int s)
{
	MPI_Aint lb, extent;
	char expect[BYTES];
	int bytes, ints, addresses, types, combiner;

	for (int i = 2; i >= 0; i--) {
		MPI_Recv(nested_in[i] + 64 * (i == 0), 1, nested[i], left, 720 + i, comm, MPI_STATUS_IGNORE);
		fill(expect, s, i, left);
		if (i)
			compare(expect, nested_in[i], nested[i]);
	}
	MPI_Waitall(3, nested_request, MPI_STATUSES_IGNORE);
	MPI_Type_get_extent(nested[0], &lb, &extent);
	MPI_Type_size(nested[0], &bytes);
	STEP_CHECK(lb == -4 && extent == 180 && bytes == 72);
	MPI_Type_get_envelope(nested[1], &ints, &addresses, &types, &combiner);
	STEP_CHECK(combiner == MPI_COMBINER_STRUCT && ints == 4 && addresses == 3 && types == 3);
	return (uint64_t)(unsigned char)nested_in[1][0];
}

/* ---- received with another type than it was sent with ---- */
static int logged_out[24];
static MPI_Request logged_request[3];

void types_logged_begin(int s)
{
	for (int i = 0; i < 24; i++)
		logged_out[i] = number(s, i);
	for (int i = 0; i < 3; i++)
		MPI_Isend(logged_out, 11 - i, MPI_INT, right, 730 + i, comm, &logged_request[i]);
}

uint64_t types_logged_end(int s)
{
	MPI_Datatype pairs, strided;
	MPI_Status status;
	int v[64] = { 0 }, n;
	MPI_Count elements;

	MPI_Type_contiguous(2, MPI_INT, &pairs);
	MPI_Type_vector(5, 1, 2, MPI_INT, &strided);
	MPI_Type_commit(&pairs);
	MPI_Type_commit(&strided);
	MPI_Recv(v, 8, pairs, left, 730, comm, &status); /* 11 words: five pairs and a half */
	MPI_Get_count(&status, pairs, &n);
	STEP_CHECK(n == MPI_UNDEFINED);
	MPI_Get_elements(&status, pairs, &n);
	MPI_Get_elements_x(&status, pairs, &elements);
	STEP_CHECK(n == 11 && elements == 11 && v[10] == number_of(s, 10, left) && v[11] == 0);
	memset(v, 0, sizeof(v));
	MPI_Recv(v, 2, strided, left, 731, comm, &status);
	MPI_Get_count(&status, strided, &n);
	STEP_CHECK(n == 2 && v[0] == number_of(s, 0, left) && v[1] == 0 && v[2] == number_of(s, 1, left) && v[9] == number_of(s, 5, left));
	MPI_Recv(v, 100, MPI_BYTE, left, 732, comm, &status);
	MPI_Get_count(&status, MPI_INT, &n);
	STEP_CHECK(n == 9 && v[8] == number_of(s, 8, left));
	MPI_Waitall(3, logged_request, MPI_STATUSES_IGNORE);
	MPI_Type_free(&pairs);
	MPI_Type_free(&strided);
	return (uint64_t)v[8];
}

/* ---- packed and not yet unpacked; some of it is under way ---- */
static char external[256], native[256];
static MPI_Aint external_bytes;
static int native_bytes;
static MPI_Request packed_request;

void types_external_begin(int s)
{
	int v[6];
	MPI_Aint expect;
	double d = s + 0.5;

	for (int i = 0; i < 6; i++)
		v[i] = number(s, 12) + i;
	external_bytes = native_bytes = 0;
	MPI_Pack_external("external32", v, 6, MPI_INT, external, sizeof(external), &external_bytes);
	MPI_Pack_external_size("external32", 6, MPI_INT, &expect);
	STEP_CHECK(external_bytes == expect && (unsigned char)external[3] == (v[0] & 0xff)); /* big endian */
	MPI_Pack(v, 6, MPI_INT, native, sizeof(native), &native_bytes, comm);
	MPI_Pack(&d, 1, MPI_DOUBLE, native, sizeof(native), &native_bytes, comm);
	MPI_Isend(native, native_bytes, MPI_PACKED, right, 740, comm, &packed_request);
}

uint64_t types_external_end(int s)
{
	int v[6], n, at = 0;
	char got[256];
	double d = 0;
	MPI_Status status;
	MPI_Aint position = 0;

	MPI_Unpack_external("external32", external, external_bytes, &position, v, 6, MPI_INT);
	STEP_CHECK(v[0] == number(s, 12) && v[5] == v[0] + 5);
	MPI_Recv(got, sizeof(got), MPI_PACKED, left, 740, comm, &status);
	MPI_Get_count(&status, MPI_PACKED, &n);
	MPI_Unpack(got, n, &at, v, 6, MPI_INT, comm);
	MPI_Unpack(got, n, &at, &d, 1, MPI_DOUBLE, comm);
	STEP_CHECK(n == at && v[0] == number_of(s, 12, left) && d == s + 0.5);
	MPI_Wait(&packed_request, MPI_STATUS_IGNORE);
	return (uint64_t)v[1];
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files with operations under way. In the current directory; tests/integ/mpiio.sh has the whole of MPI-IO. */
#include "table.h"

#define N 8

static MPI_File file[4];
static const char *const name[4] = { "io_nonblocking.dat", "io_split.dat", "io_shared.dat", "io_view.dat" };

static MPI_File its(int s, int which)
{
	if (s == 0)
		MPI_File_open(comm, name[which], MPI_MODE_RDWR | MPI_MODE_CREATE | (which == 0 ? MPI_MODE_UNIQUE_OPEN : 0), MPI_INFO_NULL, &file[which]);
	return file[which];
}

static void fill(int *v, int s, int what)
{
	for (int i = 0; i < N; i++)
		v[i] = number(s, what) + i;
}

/* ---- non-blocking ---- */
static int out[2][N], in[2][N];
static MPI_Request request[4];

/* No place is used twice: a file is not saved, so what a killed life has written later is still there. */
static MPI_Offset at(int s, int who, int what) { return ((MPI_Offset)s * 2 * size + 2 * who + what) * N * (MPI_Offset)sizeof(int); }

void io_nonblocking_begin(int s)
{
	MPI_File f = its(s, 0);

	for (int i = 0; i < 2; i++)
		fill(out[i], s, i);
	MPI_File_iwrite_at(f, at(s, rank, 0), out[0], N, MPI_INT, &request[0]);
	MPI_File_iwrite_at_all(f, at(s, rank, 1), out[1], N, MPI_INT, &request[1]);
}

uint64_t io_nonblocking_end(int s)
{
	MPI_Status status[2];
	int n;

	MPI_Waitall(2, request, status);
	MPI_Get_count(&status[0], MPI_INT, &n);
	STEP_CHECK(n == N);
	MPI_File_sync(file[0]);
	MPI_Barrier(comm);
	MPI_File_iread_at(file[0], at(s, left, 0), in[0], N, MPI_INT, &request[0]);
	MPI_File_iread_at_all(file[0], at(s, left, 1), in[1], N, MPI_INT, &request[1]);
	MPI_Waitall(2, request, MPI_STATUSES_IGNORE);
	for (int i = 0; i < 2; i++)
		STEP_CHECK(in[i][0] == number_of(s, i, left) && in[i][N - 1] == in[i][0] + N - 1);
	return (uint64_t)in[1][0];
}

/* ---- split collective ---- */
static int split_out[N];

void io_split_begin(int s)
{
	MPI_File f = its(s, 1);

	fill(split_out, s, 2);
	MPI_File_write_at_all_begin(f, at(s, rank, 0), split_out, N, MPI_INT);
}

uint64_t io_split_end(int s)
{
	MPI_Status status;
	int v[N], n;

	MPI_File_write_at_all_end(file[1], split_out, &status);
	MPI_Get_count(&status, MPI_INT, &n);
	MPI_File_sync(file[1]);
	MPI_Barrier(comm);
	MPI_File_read_at(file[1], at(s, left, 0), v, N, MPI_INT, MPI_STATUS_IGNORE);
	STEP_CHECK(n == N && v[N - 1] == number_of(s, 2, left) + N - 1);
	return (uint64_t)v[0];
}

/* ---- shared pointer ---- */
void io_shared_begin(int s)
{
	MPI_File f = its(s, 2);
	int v[N];

	fill(v, s, 3);
	MPI_File_write_ordered(f, v, N, MPI_INT, MPI_STATUS_IGNORE);
}

uint64_t io_shared_end(int s)
{
	MPI_Offset position;
	int v[N], got[N];

	fill(v, s, 4);
	MPI_File_write_ordered(file[2], v, N, MPI_INT, MPI_STATUS_IGNORE);
	MPI_File_sync(file[2]);
	MPI_Barrier(comm);
	MPI_File_get_position_shared(file[2], &position);
	STEP_CHECK(position == (MPI_Offset)(s + 1) * 2 * size * N * (MPI_Offset)sizeof(int));
	MPI_File_read_at(file[2], ((MPI_Offset)(2 * s + 1) * size + left) * N * (MPI_Offset)sizeof(int), got, N, MPI_INT, MPI_STATUS_IGNORE);
	STEP_CHECK(got[0] == number_of(s, 4, left));
	MPI_Barrier(comm);
	return (uint64_t)got[1];
}

/* ---- view: every rank has a column of N words ---- */
void io_view_begin(int s)
{
	MPI_File f = its(s, 3);
	int v[N];

	if (s == 0) {
		MPI_Datatype block, column;

		MPI_Type_contiguous(N, MPI_INT, &block);
		MPI_Type_create_resized(block, 0, size * N * (MPI_Aint)sizeof(int), &column);
		MPI_Type_commit(&column);
		MPI_File_set_view(f, rank * N * (MPI_Offset)sizeof(int), MPI_INT, column, "native", MPI_INFO_NULL);
		MPI_Type_free(&block);
		MPI_Type_free(&column);
	}
	fill(v, s, 5);
	MPI_File_write(f, v, N / 2, MPI_INT, MPI_STATUS_IGNORE);
}

uint64_t io_view_end(int s)
{
	MPI_Offset position;
	int v[N], got[N];

	fill(v, s, 5);
	MPI_File_write_all(file[3], v + N / 2, N / 2, MPI_INT, MPI_STATUS_IGNORE);
	MPI_File_get_position(file[3], &position);
	STEP_CHECK(position == (MPI_Offset)(s + 1) * N);
	MPI_File_sync(file[3]);
	MPI_Barrier(comm); /* a rank that another one writes for does not wait for it */
	MPI_File_read_at(file[3], (MPI_Offset)s * N, got, N, MPI_INT, MPI_STATUS_IGNORE);
	STEP_CHECK(memcmp(v, got, sizeof(v)) == 0);
	return (uint64_t)got[N - 1];
}

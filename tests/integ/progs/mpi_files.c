/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of MPI-IO that stay open over checkpoints: every kind of access, pointer and open mode. Every step writes at places that only it
 * writes, and reads back what earlier steps wrote, so the numbers tell when a pointer or a view is not where it was.
 *
 *   mpi_files STEPS [temporary]     in the current directory: view.dat shared.dat split.dat atomic.dat sequential.dat append.dat ext.dat
 *                                   self.N.dat; and temporary.dat, which is deleted on close
 */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "step.h"

enum { VIEW, SHARED, SPLIT, ATOMIC, SEQUENTIAL, APPEND, EXTERNAL, NFILES };
static const char *const name[] = { "view.dat", "shared.dat", "split.dat", "atomic.dat", "sequential.dat", "append.dat", "ext.dat" };
#define N 8

static MPI_File file[NFILES], self, temporary;
static MPI_Datatype stripes;
static int rank, size, errors, has_temporary;

#define OK(call)                                                                                      \
	do {                                                                                          \
		int code_ = (call), n_ = 0;                                                           \
		char why_[MPI_MAX_ERROR_STRING] = "";                                                 \
		if (code_ != MPI_SUCCESS) {                                                           \
			MPI_Error_string(code_, why_, &n_);                                           \
			printf("not ok: rank %d: %s:%d: %s: %s\n", rank, __FILE__, __LINE__, #call, why_); \
			fflush(stdout);                                                               \
			MPI_Abort(MPI_COMM_WORLD, 1);                                                 \
		}                                                                                     \
	} while (0)

/* A checkpoint may come in the middle of what calls this. */
static uint64_t dawdle(uint64_t seed)
{
	if (seed % 4 == 0)
		usleep(2000);
	return step_work(seed, 1);
}

static void fill(int *v, int n, int step, int what)
{
	for (int i = 0; i < n; i++)
		v[i] = ((step * 16 + what) * 64 + rank) * N + i;
}

static void on_error(MPI_File *f, int *code, ...)
{
	int class;

	MPI_Error_class(*code, &class);
	STEP_CHECK(*f == file[VIEW] && class != MPI_SUCCESS);
	errors++;
}

static void open_all(int steps)
{
	static const int mode[] = { MPI_MODE_RDWR, MPI_MODE_RDWR, MPI_MODE_RDWR | MPI_MODE_UNIQUE_OPEN, MPI_MODE_RDWR, MPI_MODE_WRONLY | MPI_MODE_SEQUENTIAL,
				    MPI_MODE_WRONLY | MPI_MODE_APPEND, MPI_MODE_RDWR };
	MPI_Errhandler handler;
	MPI_Comm comm;
	MPI_Info info;
	char own[64];

	MPI_Info_create(&info);
	MPI_Info_set(info, "cb_buffer_size", "65536");
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	for (int i = 0; i < NFILES; i++)
		OK(MPI_File_open(comm, name[i], mode[i] | MPI_MODE_CREATE, i & 1 ? info : MPI_INFO_NULL, &file[i]));
	snprintf(own, sizeof(own), "self.%d.dat", rank);
	OK(MPI_File_open(MPI_COMM_SELF, own, MPI_MODE_RDWR | MPI_MODE_CREATE | MPI_MODE_EXCL, info, &self));
	if (has_temporary)
		OK(MPI_File_open(comm, "temporary.dat", MPI_MODE_RDWR | MPI_MODE_CREATE | MPI_MODE_DELETE_ON_CLOSE, info, &temporary));
	MPI_Comm_free(&comm); /* the files need it no more */
	MPI_Info_free(&info);

	MPI_Type_vector(2, N / 2, size * N / 2, MPI_INT, &stripes);
	MPI_Type_commit(&stripes);
	MPI_Datatype whole;
	MPI_Type_create_resized(stripes, 0, (MPI_Aint)size * N * 4, &whole);
	MPI_Type_commit(&whole);
	OK(MPI_File_set_view(file[VIEW], 32 + (MPI_Offset)rank * N / 2 * 4, MPI_INT, whole, "native", MPI_INFO_NULL));
	OK(MPI_File_set_view(file[SHARED], 16, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
	OK(MPI_File_set_view(file[SPLIT], 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL));
	OK(MPI_File_set_view(file[EXTERNAL], (MPI_Offset)rank * steps * N * 4, MPI_INT, MPI_INT, "external32", MPI_INFO_NULL));
	MPI_Type_free(&whole); /* the view needs it no more */
	MPI_Type_free(&stripes);
	OK(MPI_File_set_atomicity(file[ATOMIC], 1));
	OK(MPI_File_preallocate(file[ATOMIC], (MPI_Offset)size * N * 4));
	MPI_File_create_errhandler(on_error, &handler);
	MPI_File_set_errhandler(file[VIEW], handler);
	MPI_Errhandler_free(&handler);
}

/* Individual pointers through a view: write on, sometimes through a request; look at where we are. */
static uint64_t view_step(int s)
{
	int out[N], in[N], before = errors;
	MPI_Offset at;
	MPI_Request request;
	MPI_Status status;

	fill(out, N, s, VIEW);
	OK(MPI_File_get_position(file[VIEW], &at));
	STEP_CHECK(at == (MPI_Offset)s * N);
	if (s % 3 == 0) {
		OK(MPI_File_iwrite(file[VIEW], out, N, MPI_INT, &request));
		dawdle((uint64_t)s);
		OK(MPI_Wait(&request, &status));
	} else if (s % 3 == 1) {
		OK(MPI_File_write_all(file[VIEW], out, N, MPI_INT, &status));
	} else {
		OK(MPI_File_iwrite_all(file[VIEW], out, N, MPI_INT, &request));
		dawdle((uint64_t)s);
		OK(MPI_Wait(&request, &status));
	}
	fill(out, N, s / 2, VIEW);
	OK(MPI_File_read_at(file[VIEW], (MPI_Offset)(s / 2) * N, in, N, MPI_INT, &status));
	STEP_CHECK(memcmp(in, out, sizeof(in)) == 0);
	MPI_File_write(file[VIEW], out, -1, MPI_INT, &status);
	STEP_CHECK(errors == before + 1);
	return (uint64_t)in[N - 1];
}

/* Shared pointer: all ranks write ordered; one that is not ordered is rank 0's alone, so that the file is the same each time. */
static uint64_t shared_step(int s)
{
	MPI_Offset at;
	MPI_Status status;
	int v[N];

	fill(v, N, s, SHARED);
	OK(MPI_File_write_ordered(file[SHARED], v, N, MPI_INT, &status));
	dawdle((uint64_t)s * 3);
	if (rank == 0)
		OK(MPI_File_write_shared(file[SHARED], v, 2, MPI_INT, &status));
	OK(MPI_Barrier(MPI_COMM_WORLD));
	OK(MPI_File_get_position_shared(file[SHARED], &at));
	STEP_CHECK(at == (MPI_Offset)(s + 1) * (size * N + 2));
	/* only shared pointers here */
	fill(v, N, s, SEQUENTIAL);
	OK(MPI_File_write_ordered(file[SEQUENTIAL], v, (int)sizeof(v), MPI_BYTE, &status));
	return (uint64_t)at;
}

/* Split collectives; between the calls there is time for a checkpoint. */
static uint64_t split_step(int s)
{
	MPI_Offset at = ((MPI_Offset)s * size + rank) * N;
	int out[N], in[N];
	MPI_Status status;
	int n;

	fill(out, N, s, SPLIT);
	OK(MPI_File_write_at_all_begin(file[SPLIT], at, out, N, MPI_INT));
	dawdle((uint64_t)s * 4);
	OK(MPI_File_write_at_all_end(file[SPLIT], out, &status));
	MPI_Get_count(&status, MPI_INT, &n);
	STEP_CHECK(n == N);
	memset(in, 0, sizeof(in));
	OK(MPI_File_read_at_all_begin(file[SPLIT], at, in, N, MPI_INT));
	dawdle((uint64_t)s * 4);
	OK(MPI_File_read_at_all_end(file[SPLIT], in, &status));
	MPI_Get_count(&status, MPI_INT, &n);
	STEP_CHECK(n == N && memcmp(in, out, sizeof(in)) == 0);
	OK(MPI_File_seek(file[SPLIT], at, MPI_SEEK_SET));
	OK(MPI_File_read_all_begin(file[SPLIT], in, N, MPI_INT));
	dawdle((uint64_t)s);
	OK(MPI_File_read_all_end(file[SPLIT], in, &status));
	STEP_CHECK(memcmp(in, out, sizeof(in)) == 0);
	return (uint64_t)in[0];
}

static uint64_t other_step(int s)
{
	int out[N], in[N] = { 0 }, flag, amode;
	MPI_Offset at, before;
	MPI_Status status;

	OK(MPI_File_get_atomicity(file[ATOMIC], &flag));
	STEP_CHECK(flag);
	fill(out, N, s, ATOMIC);
	OK(MPI_File_write_at(file[ATOMIC], (MPI_Offset)rank * N * 4, out, N, MPI_INT, &status));
	OK(MPI_File_read_at(file[ATOMIC], (MPI_Offset)rank * N * 4, in, N, MPI_INT, &status));
	STEP_CHECK(memcmp(in, out, sizeof(in)) == 0);

	OK(MPI_File_get_amode(file[APPEND], &amode));
	STEP_CHECK(amode == (MPI_MODE_WRONLY | MPI_MODE_APPEND | MPI_MODE_CREATE));
	OK(MPI_File_get_position(file[APPEND], &before));
	STEP_CHECK(before == (MPI_Offset)s * (rank == 0 ? N * 4 : 0));
	if (rank == 0)
		OK(MPI_File_write(file[APPEND], out, N, MPI_INT, &status));

	OK(MPI_File_write(file[EXTERNAL], out, N, MPI_INT, &status));
	OK(MPI_File_read_at(file[EXTERNAL], (MPI_Offset)s * N, in, N, MPI_INT, &status));
	STEP_CHECK(memcmp(in, out, sizeof(in)) == 0);

	fill(out, N, s, 9);
	OK(MPI_File_get_position(self, &at));
	STEP_CHECK(at == (MPI_Offset)s * N * 4);
	OK(MPI_File_write(self, out, N, MPI_INT, &status));
	if (!has_temporary)
		return (uint64_t)out[1];
	OK(MPI_File_write_at(temporary, (MPI_Offset)rank * N * 4, out, N, MPI_INT, &status));
	OK(MPI_File_read_at(temporary, (MPI_Offset)rank * N * 4, in, N, MPI_INT, &status));
	STEP_CHECK(memcmp(in, out, sizeof(in)) == 0);
	return (uint64_t)out[1];
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 100);
	uint64_t sum = 1, all;
	struct stat st;

	has_temporary = argc > 2;
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	open_all(steps);
	for (int s = 0; s < steps; s++) {
		sum = step_mix(sum + view_step(s));
		sum = step_mix(sum + shared_step(s));
		sum = step_mix(sum + split_step(s));
		sum = step_mix(sum + other_step(s));
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
		if (rank == 0)
			step_print(s, all);
		usleep(1000);
	}
	for (int i = 0; i < NFILES; i++)
		OK(MPI_File_close(&file[i]));
	OK(MPI_File_close(&self));
	if (has_temporary)
		OK(MPI_File_close(&temporary));
	MPI_Barrier(MPI_COMM_WORLD);
	STEP_CHECK(stat("temporary.dat", &st) != 0);
	if (rank == 0)
		puts("ok");
	MPI_Finalize();
	return 0;
}

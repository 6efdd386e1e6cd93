/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one-sided operations between two ranks cost, in ns: the median of 15 blocks, and the best. Rank 1 waits in MPI_Recv, so that a library
 * which needs the target's help has it. Prints "name median best".
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 15
#define MOST (1 << 20)

static MPI_Win win;
static char *mine;

static void put(int bytes)
{
	MPI_Put(mine, bytes, MPI_BYTE, 1, 0, bytes, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void get(int bytes)
{
	MPI_Get(mine, bytes, MPI_BYTE, 1, 0, bytes, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void puts64(int bytes)
{
	for (int i = 0; i < 64; i++)
		MPI_Put(mine, bytes, MPI_BYTE, 1, i * bytes, bytes, MPI_BYTE, win);
	MPI_Win_flush(1, win);
}

static void fetch(int bytes)
{
	long one = 1, was;

	(void)bytes;
	MPI_Fetch_and_op(&one, &was, MPI_LONG, 1, 0, MPI_SUM, win);
	MPI_Win_flush(1, win);
}

static void accumulate(int bytes)
{
	MPI_Accumulate(mine, bytes / 8, MPI_LONG, 1, 0, bytes / 8, MPI_LONG, MPI_SUM, win);
	MPI_Win_flush(1, win);
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void measure(const char *name, void (*run)(int bytes), int bytes, int times, int each)
{
	double ns[BLOCKS];

	run(bytes);
	for (int b = 0; b < BLOCKS; b++) {
		double from = MPI_Wtime();

		for (int i = 0; i < times; i++)
			run(bytes);
		ns[b] = (MPI_Wtime() - from) * 1e9 / times / each;
	}
	qsort(ns, BLOCKS, sizeof(*ns), compare);
	printf("%s %.1f %.1f\n", name, ns[BLOCKS / 2], ns[0]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char *memory;
	int rank;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	mine = calloc(1, MOST);
	MPI_Win_allocate(MOST, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &win);
	memset(memory, 0, MOST);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Win_lock_all(0, win);
	if (rank == 0) {
		measure("put_8", put, 8, 200, 1);
		measure("get_8", get, 8, 200, 1);
		measure("fetch_and_op", fetch, 8, 200, 1);
		measure("accumulate_4k", accumulate, 4096, 100, 1);
		measure("put_rate_8", puts64, 8, 20, 64);
		measure("put_1m", put, MOST, 10, 1);
		measure("get_1m", get, MOST, 10, 1);
		MPI_Send(NULL, 0, MPI_BYTE, 1, 0, MPI_COMM_WORLD);
	} else if (rank == 1) {
		MPI_Recv(NULL, 0, MPI_BYTE, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	}
	MPI_Win_unlock_all(win);
	MPI_Win_free(&win);
	MPI_Finalize();
	return 0;
}

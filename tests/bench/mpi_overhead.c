/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one MPI call costs, in ns: ping-pongs (half of a round trip), an 8-byte allreduce, a message out of a window of 64 non-blocking ones.
 * The median of 15 blocks, so that a disturbed block does not count, and the best. Two ranks; prints "name median best", in ns.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS 15
#define WINDOW 64

static int rank;
static char *in, *out;

static void ping_pong(int bytes)
{
	if (rank == 0) {
		MPI_Send(out, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
		MPI_Recv(in, bytes, MPI_BYTE, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	} else if (rank == 1) {
		MPI_Recv(in, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		MPI_Send(out, bytes, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
	}
}

static void allreduce(int bytes)
{
	MPI_Allreduce(out, in, bytes / 8, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
}

static void window(int bytes)
{
	MPI_Request r[WINDOW];

	for (int i = 0; i < WINDOW; i++)
		if (rank == 0)
			MPI_Isend(out, bytes, MPI_BYTE, 1, 2, MPI_COMM_WORLD, &r[i]);
		else
			MPI_Irecv(in + i * bytes, bytes, MPI_BYTE, 0, 2, MPI_COMM_WORLD, &r[i]);
	MPI_Waitall(WINDOW, r, MPI_STATUSES_IGNORE);
	if (rank == 0)
		MPI_Recv(in, 0, MPI_BYTE, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	else
		MPI_Send(out, 0, MPI_BYTE, 0, 3, MPI_COMM_WORLD);
}

static void iprobe(int bytes)
{
	int flag;

	(void)bytes;
	MPI_Iprobe(MPI_ANY_SOURCE, 77, MPI_COMM_SELF, &flag, MPI_STATUS_IGNORE);
}

static void comm_rank(int bytes)
{
	int r;

	(void)bytes;
	MPI_Comm_rank(MPI_COMM_WORLD, &r);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *name, void (*op)(int), int bytes, int rounds, double per_round)
{
	double t[BLOCKS];

	for (int i = 0; i < rounds / 5 + 1; i++)
		op(bytes);
	for (int b = 0; b < BLOCKS; b++) {
		MPI_Barrier(MPI_COMM_WORLD);
		t[b] = MPI_Wtime();
		for (int i = 0; i < rounds; i++)
			op(bytes);
		t[b] = (MPI_Wtime() - t[b]) / rounds / per_round * 1e9;
	}
	qsort(t, BLOCKS, sizeof(t[0]), by_value);
	if (rank == 0)
		printf("%s %.1f %.1f\n", name, t[BLOCKS / 2], t[0]);
}

int main(int argc, char **argv)
{
	int scale = 1, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (argc > 1)
		scale = atoi(argv[1]);
	if (size != 2 || scale < 1) {
		fprintf(stderr, "mpi_overhead needs two ranks\n");
		MPI_Abort(MPI_COMM_WORLD, 2);
	}
	in = calloc(1, 1 << 20);
	out = calloc(1, 1 << 20);
	measure("pingpong_8", ping_pong, 8, 20000 * scale, 2);
	measure("pingpong_4k", ping_pong, 4096, 10000 * scale, 2);
	measure("pingpong_1m", ping_pong, 1 << 20, 100 * scale, 2);
	measure("allreduce_8", allreduce, 8, 20000 * scale, 1);
	measure("message_rate_8", window, 8, 1000 * scale, WINDOW);
	measure("iprobe_self", iprobe, 0, 50000 * scale, 1);
	measure("comm_rank", comm_rank, 0, 200000 * scale, 1);
	MPI_Finalize();
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cut must be raised: a rank below it waits for a message of a rank that is parked at a collective above it.
 *
 * Communicators: "ab" of ranks 0 and 1, "bc" of ranks 1 and 2. Each turn:
 *   rank 0: Recv from 2, X(ab)
 *   rank 1: X(ab) without waiting for rank 0, computes, Barrier(bc)
 *   rank 2: computes, Barrier(bc), Send to 0
 * X is an Ibarrier, or a short Bcast from rank 1. A request that comes while ranks 1 and 2 compute finds X entered by rank 1: the cut
 * contains X, and rank 0 is below it, waiting for a message that rank 2 sends behind Barrier(bc), which nobody has entered and which is
 * therefore above the cut. Unless the cut is raised to contain it, nothing moves. The program prints "ok turns=N sum=S".
 *
 *   raise_cut [--seconds S] [--turns N] [--compute-ms M]
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void compute(double ms)
{
	double end = MPI_Wtime() + ms / 1000;

	while (MPI_Wtime() < end)
		;
}

/* X: rank 1 does not wait in it for rank 0. */
static void enter(MPI_Comm ab, long turn, MPI_Request *ret_request)
{
	static int value;

	*ret_request = MPI_REQUEST_NULL;
	if (turn % 2)
		MPI_Bcast(&value, 1, MPI_INT, 1, ab);
	else
		MPI_Ibarrier(ab, ret_request);
}

int main(int argc, char **argv)
{
	long turns = 0, turn;
	double seconds = 0, ms = 20, begin;
	int rank, size, i, go = 1;
	uint64_t sum = 0, word = 0;
	MPI_Comm ab, bc;
	MPI_Request q;
	MPI_Status status;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--turns"))
			turns = atol(argv[i + 1]);
		else if (!strcmp(argv[i], "--compute-ms"))
			ms = atof(argv[i + 1]);
	}
	if (turns == 0 && seconds == 0)
		turns = 100;
	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (size != 3) {
		if (rank == 0)
			fprintf(stderr, "raise_cut: start it with three ranks, not %d\n", size);
		MPI_Finalize();
		return 2;
	}
	MPI_Comm_split(MPI_COMM_WORLD, rank < 2 ? 0 : MPI_UNDEFINED, rank, &ab);
	MPI_Comm_split(MPI_COMM_WORLD, rank > 0 ? 0 : MPI_UNDEFINED, rank, &bc);
	begin = MPI_Wtime();
	for (turn = 0; go; turn++) {
		if (rank == 0) {
			/* Blocked here for all the time that the others compute, or are parked. */
			MPI_Recv(&word, 1, MPI_UINT64_T, 2, 1, MPI_COMM_WORLD, &status);
			if (word != (uint64_t)turn * 7 + 3) {
				fprintf(stderr, "raise_cut: turn %ld brought %llu\n", turn, (unsigned long long)word);
				MPI_Abort(MPI_COMM_WORLD, 3);
			}
			sum += word;
			enter(ab, turn, &q);
			MPI_Wait(&q, &status);
			go = turns ? turn + 1 < turns : MPI_Wtime() - begin < seconds;
			MPI_Send(&go, 1, MPI_INT, 1, 2, MPI_COMM_WORLD);
			MPI_Send(&go, 1, MPI_INT, 2, 2, MPI_COMM_WORLD);
		} else if (rank == 1) {
			enter(ab, turn, &q);
			compute(ms);
			MPI_Barrier(bc);
			MPI_Wait(&q, &status);
			MPI_Recv(&go, 1, MPI_INT, 0, 2, MPI_COMM_WORLD, &status);
		} else {
			compute(ms);
			MPI_Barrier(bc);
			word = (uint64_t)turn * 7 + 3;
			MPI_Send(&word, 1, MPI_UINT64_T, 0, 1, MPI_COMM_WORLD);
			MPI_Recv(&go, 1, MPI_INT, 0, 2, MPI_COMM_WORLD, &status);
		}
	}
	if (rank == 0)
		printf("ok turns=%ld sum=%llu\n", turn, (unsigned long long)sum);
	MPI_Finalize();
	return 0;
}

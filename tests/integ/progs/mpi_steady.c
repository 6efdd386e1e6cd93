/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mpi_steady PROGRESS STOP: runs until the file STOP is there. In each step every rank sends a number to its right neighbour, checks what it
 * has got from the left, and all of them add up; rank 0 writes the step into PROGRESS. Whatever is lost, doubled or stale ends it with an error.
 */
#include <fcntl.h>
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t number(int rank, uint64_t step) { return (step * 2654435761u) ^ ((uint64_t)rank << 40 | 0x5a5a); }

static void progress(const char *path, uint64_t step)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)step), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0) {
		(void)!write(fd, text, (size_t)n);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	const struct timespec pause = { .tv_nsec = 4000000 };
	uint64_t mine, left, sum, want, stop = 0, step = 0;
	static char ballast[4 << 20]; /* something to write */
	int rank, size;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	if (argc != 3)
		MPI_Abort(MPI_COMM_WORLD, 2);
	while (!stop) {
		uint64_t flag = rank == 0 && access(argv[2], F_OK) == 0, in[2], out[2];
		int from = (rank + size - 1) % size;

		step++;
		ballast[step * 4096 % sizeof(ballast)] = (char)step;
		mine = number(rank, step);
		MPI_Sendrecv(&mine, 1, MPI_UINT64_T, (rank + 1) % size, 7, &left, 1, MPI_UINT64_T, from, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
		in[0] = left;
		in[1] = flag;
		MPI_Allreduce(in, out, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
		sum = out[0];
		stop = out[1];
		want = 0;
		for (int r = 0; r < size; r++)
			want += number(r, step);
		if (left != number(from, step) || sum != want) {
			printf("rank %d, step %llu: wrong\n", rank, (unsigned long long)step);
			MPI_Abort(MPI_COMM_WORLD, 3);
		}
		if (rank == 0)
			progress(argv[1], step);
		nanosleep(&pause, NULL);
	}
	if (rank == 0)
		printf("ok %llu\n", (unsigned long long)step);
	MPI_Finalize();
	return 0;
}

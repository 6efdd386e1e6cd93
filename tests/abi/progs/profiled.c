/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ten messages to oneself, for profiler.c to count. */
#include <mpi.h>

int main(int argc, char **argv)
{
	MPI_Request request;
	int x = 1, y;

	MPI_Init(&argc, &argv);
	for (int i = 0; i < 10; i++) {
		MPI_Irecv(&y, 1, MPI_INT, 0, 0, MPI_COMM_SELF, &request);
		MPI_Send(&x, 1, MPI_INT, 0, 0, MPI_COMM_SELF);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
	}
	MPI_Finalize();
	return 0;
}

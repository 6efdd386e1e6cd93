/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Distributed graphs on communicators that have had so many non-blocking collectives that the next ones have the tags under which Open MPI sends edges,
 * with one rank late: by themselves Open MPI's ranks stand still sooner or later. Says "step N" and, at last, "right".
 *
 *   mpi_graphs STEPS
 */
#include <mpi.h>
#include <unistd.h>

#include "step.h"

static int rank, size;

/* A ring with the rank's neighbours, of which rank 0 knows all edges. */
static void ring_of(MPI_Comm comm, int reorder)
{
	int nodes[64], degrees[64], targets[64], weights[64], n, in, out, weighted, from = -1, to = -1, weight = -1;
	MPI_Comm graph;

	for (int i = 0; i < size; i++) {
		nodes[i] = i;
		degrees[i] = 1;
		targets[i] = (i + 1) % size;
		weights[i] = 7;
	}
	n = rank == 0 ? size : 0;
	MPI_Dist_graph_create(comm, n, nodes, degrees, targets, weights, MPI_INFO_NULL, reorder, &graph);
	MPI_Dist_graph_neighbors_count(graph, &in, &out, &weighted);
	STEP_CHECK(in == 1 && out == 1 && weighted);
	MPI_Dist_graph_neighbors(graph, 1, &from, &weight, 1, &to, &weight);
	MPI_Comm_rank(graph, &n);
	STEP_CHECK(to == (n + 1) % size && from == (n + size - 1) % size && weight == 7);
	MPI_Comm_free(&graph);
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 40);

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	STEP_CHECK(size <= 64);
	for (int step = 0; step < steps; step++) {
		MPI_Request request;
		MPI_Comm comm;

		MPI_Comm_dup(MPI_COMM_WORLD, &comm);
		for (int i = 0; i < 18 + step % 8; i++) {
			MPI_Ibarrier(comm, &request);
			MPI_Wait(&request, MPI_STATUS_IGNORE);
		}
		if (rank == step % size)
			usleep(3000);
		ring_of(comm, step % 2);
		MPI_Comm_free(&comm);
		if (rank == 0)
			step_print(step, 0);
	}
	if (rank == 0)
		puts("right");
	MPI_Finalize();
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Communicators, groups and topologies. */
#include "table.h"

/* ---- Comm_idup ---- */
static MPI_Comm dup_of, idup;
static MPI_Request idup_request;

void comm_idup_begin(int s)
{
	if (s == 0)
		MPI_Comm_dup(comm, &dup_of);
	MPI_Comm_idup(dup_of, &idup, &idup_request);
}

uint64_t comm_idup_end(int s)
{
	int v = number(s, 0), got;

	MPI_Wait(&idup_request, MPI_STATUS_IGNORE);
	MPI_Sendrecv(&v, 1, MPI_INT, right, 1, &got, 1, MPI_INT, left, 1, idup, MPI_STATUS_IGNORE);
	STEP_CHECK(got == number_of(s, 0, left));
	MPI_Comm_free(&idup);
	return (uint64_t)got;
}

/* ---- an inter-communicator ---- */
static MPI_Comm half, inter;
static MPI_Request inter_request[4];
static int inter_word, inter_in, inter_root, inter_sum;

static void inter_make(void)
{
	int odd = rank % 2;

	MPI_Comm_split(comm, odd, rank, &half);
	MPI_Intercomm_create(half, 0, comm, odd ? 0 : 1, 17, &inter);
}

void comm_inter_begin(int s)
{
	int me, others;

	if (s == 0)
		inter_make();
	MPI_Comm_rank(half, &me);
	MPI_Comm_remote_size(inter, &others);
	inter_word = number(s, 0);
	inter_request[0] = inter_request[1] = MPI_REQUEST_NULL;
	if (me < others) /* the rank of the same number over there */
		MPI_Isend(&inter_word, 1, MPI_INT, me, 3, inter, &inter_request[0]);
	if (me < others)
		MPI_Irecv(&inter_in, 1, MPI_INT, MPI_ANY_SOURCE, 3, inter, &inter_request[1]);
	MPI_Iallreduce(&inter_word, &inter_sum, 1, MPI_INT, MPI_SUM, inter, &inter_request[2]);
	inter_root = rank == 0 ? number(s, 1) : -1;
	MPI_Ibcast(&inter_root, 1, MPI_INT, rank == 0 ? MPI_ROOT : rank % 2 ? 0 : MPI_PROC_NULL, inter, &inter_request[3]);
}

uint64_t comm_inter_end(int s)
{
	int me, others, sum = 0, total, merged_size;
	MPI_Comm merged;
	MPI_Status status;

	MPI_Comm_rank(half, &me);
	MPI_Comm_remote_size(inter, &others);
	MPI_Wait(&inter_request[1], &status);
	MPI_Waitall(4, inter_request, MPI_STATUSES_IGNORE);
	STEP_CHECK(me >= others || (status.MPI_SOURCE == me && inter_in == number_of(s, 0, rank % 2 ? rank - 1 : rank + 1)));
	for (int r = 1 - rank % 2; r < size; r += 2)
		sum += number_of(s, 0, r);
	STEP_CHECK(inter_sum == sum && (rank % 2 == 0 || inter_root == number_of(s, 1, 0)));
	MPI_Intercomm_merge(inter, rank % 2, &merged);
	MPI_Comm_size(merged, &merged_size);
	MPI_Allreduce(&inter_word, &total, 1, MPI_INT, MPI_SUM, merged);
	STEP_CHECK(merged_size == size);
	MPI_Comm_free(&merged);
	return (uint64_t)total;
}

/* ---- made in this step ---- */
#define MADE 6
static MPI_Comm made[MADE];
static MPI_Request made_out[MADE];
static int made_word[MADE];

static void made_make(void)
{
	MPI_Group group;
	MPI_Info info;

	MPI_Comm_group(comm, &group);
	MPI_Info_create(&info);
	MPI_Info_set(info, "mpi_assert_allow_overtaking", "false");
	MPI_Comm_dup(comm, &made[0]);
	MPI_Comm_dup_with_info(comm, info, &made[1]);
	MPI_Comm_split(comm, 0, size - rank, &made[2]);
	MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &made[3]);
	MPI_Comm_create(comm, group, &made[4]);
	MPI_Comm_create_group(comm, group, 9, &made[5]);
	MPI_Group_free(&group);
	MPI_Info_free(&info);
}

void comm_made_begin(int s)
{
	made_make();
	for (int i = 0; i < MADE; i++) {
		int me, n;

		MPI_Comm_rank(made[i], &me);
		MPI_Comm_size(made[i], &n);
		made_word[i] = number_of(s, i, me);
		MPI_Isend(&made_word[i], 1, MPI_INT, (me + 1) % n, i, made[i], &made_out[i]);
	}
}

uint64_t comm_made_end(int s)
{
	uint64_t sum = 0;

	for (int i = MADE - 1; i >= 0; i--) {
		int me, n, v;

		MPI_Comm_rank(made[i], &me);
		MPI_Comm_size(made[i], &n);
		STEP_CHECK(me == (i == 2 ? size - 1 - rank : rank) && n == size);
		MPI_Recv(&v, 1, MPI_INT, MPI_ANY_SOURCE, i, made[i], MPI_STATUS_IGNORE);
		STEP_CHECK(v == number_of(s, i, (me + n - 1) % n));
		sum += (uint64_t)v;
		MPI_Wait(&made_out[i], MPI_STATUS_IGNORE);
		MPI_Comm_free(&made[i]);
	}
	return sum;
}

/* ---- freed while a message is under way ---- */
static MPI_Comm gone;
static MPI_Request gone_in, gone_out;
static int gone_word, gone_got;

void comm_freed_begin(int s)
{
	MPI_Comm_dup(comm, &gone);
	gone_word = number(s, 0);
	MPI_Irecv(&gone_got, 1, MPI_INT, left, 1, gone, &gone_in);
	MPI_Isend(&gone_word, 1, MPI_INT, right, 1, gone, &gone_out);
	MPI_Comm_free(&gone);
	MPI_Wait(&gone_in, MPI_STATUS_IGNORE); /* a receive that has outlived its communicator is the one thing that a checkpoint does not take: "try again" */
}

uint64_t comm_freed_end(int s)
{
	MPI_Wait(&gone_out, MPI_STATUS_IGNORE);
	STEP_CHECK(gone == MPI_COMM_NULL && gone_got == number_of(s, 0, left));
	return (uint64_t)gone_got;
}

/* ---- topologies, made with reorder ---- */
static MPI_Comm cart, graph, dist, row;

static void topology_make(void)
{
	int dims[2] = { 0, 0 }, index[64], edges[128], one = 1;

	MPI_Dims_create(size, 2, dims);
	MPI_Cart_create(comm, 2, dims, (int[]){ 1, 0 }, 1, &cart);
	MPI_Cart_sub(cart, (int[]){ 1, 0 }, &row);
	for (int i = 0; i < size; i++) {
		index[i] = 2 * (i + 1);
		edges[2 * i] = (i + 1) % size;
		edges[2 * i + 1] = (i + size - 1) % size;
	}
	MPI_Graph_create(comm, size, index, edges, 1, &graph);
	MPI_Dist_graph_create(comm, 1, &rank, &one, &right, MPI_UNWEIGHTED, MPI_INFO_NULL, 1, &dist);
}

void comm_topology_begin(int s)
{
	if (s % 4 == 0)
		topology_make();
}

static void topology_free(void)
{
	MPI_Comm_free(&row);
	MPI_Comm_free(&cart);
	MPI_Comm_free(&graph);
	MPI_Comm_free(&dist);
}

uint64_t comm_topology_end(int s)
{
	int me, n, kind, coords[2], dims[2], periods[2], again, from, to, neighbours[2], v, got[2] = { -1, -1 };

	MPI_Topo_test(cart, &kind);
	MPI_Cart_get(cart, 2, dims, periods, coords);
	MPI_Cart_rank(cart, coords, &again);
	MPI_Comm_rank(cart, &me);
	STEP_CHECK(kind == MPI_CART && again == me && dims[0] * dims[1] == size && periods[0] && !periods[1]);
	MPI_Cart_shift(cart, 0, 1, &from, &to);
	v = number_of(s, 0, me);
	MPI_Sendrecv(&v, 1, MPI_INT, to, 1, got, 1, MPI_INT, from, 1, cart, MPI_STATUS_IGNORE);
	STEP_CHECK(got[0] == number_of(s, 0, from));
	MPI_Comm_size(row, &n);
	STEP_CHECK(n == dims[0]);
	MPI_Comm_rank(graph, &me);
	MPI_Graph_neighbors(graph, me, 2, neighbours);
	STEP_CHECK(neighbours[0] == (me + 1) % size && neighbours[1] == (me + size - 1) % size);
	MPI_Comm_rank(dist, &me);
	v = number_of(s, 1, me);
	MPI_Dist_graph_neighbors(dist, 1, &from, MPI_UNWEIGHTED, 1, &to, MPI_UNWEIGHTED);
	MPI_Neighbor_allgather(&v, 1, MPI_INT, got, 1, MPI_INT, dist);
	STEP_CHECK(from == (me + size - 1) % size && to == (me + 1) % size && got[0] == number_of(s, 1, from));
	if (s % 4 == 3)
		topology_free();
	return (uint64_t)got[0];
}

/* ---- groups ---- */
static MPI_Group everybody, evens, odds, both, none, reversed;

void comm_groups_begin(int s)
{
	(void)s;
	MPI_Comm_group(comm, &everybody);
	MPI_Group_range_incl(everybody, 1, (int[1][3]){ { 0, size - 1, 2 } }, &evens);
	MPI_Group_difference(everybody, evens, &odds);
	MPI_Group_union(odds, evens, &both);
	MPI_Group_intersection(odds, evens, &none);
	MPI_Group_range_incl(everybody, 1, (int[1][3]){ { size - 1, 0, -1 } }, &reversed);
}

uint64_t comm_groups_end(int s)
{
	int n, odd, result, from = 0, to;

	(void)s;
	MPI_Group_size(none, &n);
	STEP_CHECK(n == 0 && none == MPI_GROUP_EMPTY);
	MPI_Group_size(odds, &odd);
	MPI_Group_translate_ranks(reversed, 1, &from, everybody, &to);
	STEP_CHECK(to == size - 1);
	MPI_Group_compare(both, everybody, &result);
	STEP_CHECK(result == MPI_SIMILAR);
	MPI_Group_compare(reversed, everybody, &result);
	STEP_CHECK(result == (size == 1 ? MPI_IDENT : MPI_SIMILAR));
	MPI_Group_rank(odds, &n);
	STEP_CHECK(n == (rank % 2 ? rank / 2 : MPI_UNDEFINED));
	MPI_Group_free(&everybody);
	MPI_Group_free(&evens);
	MPI_Group_free(&odds);
	MPI_Group_free(&both);
	MPI_Group_free(&reversed);
	return (uint64_t)odd;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Non-blocking and persistent collectives between their start and their completion. */
#include "table.h"

#include <mpi-ext.h>

#define MAX 64

static void words(int *v, int n, int s, int what)
{
	for (int i = 0; i < n; i++)
		v[i] = number(s, what) * 2 + i % 2;
}

static int sum_of(int s, int what, int i)
{
	int sum = 0;

	for (int r = 0; r < size; r++)
		sum += number_of(s, what, r) * 2 + i % 2;
	return sum;
}

/* ---- equal pieces ---- */
static int in[12][MAX], out[12][MAX];
static MPI_Request all[12];

void coll_nonblocking_begin(int s)
{
	int root = s % size;

	for (int i = 0; i < 12; i++) {
		words(in[i], MAX, s, i);
		memset(out[i], 0, sizeof(out[i]));
	}
	if (rank == root)
		words(out[1], 2, s, 1);
	MPI_Ibarrier(comm, &all[0]);
	MPI_Ibcast(out[1], 2, MPI_INT, root, comm, &all[1]);
	MPI_Igather(in[2], 1, MPI_INT, out[2], 1, MPI_INT, root, comm, &all[2]);
	MPI_Iscatter(in[3], 1, MPI_INT, out[3], 1, MPI_INT, root, comm, &all[3]);
	MPI_Iallgather(in[4], 1, MPI_INT, out[4], 1, MPI_INT, comm, &all[4]);
	MPI_Ialltoall(in[5], 1, MPI_INT, out[5], 1, MPI_INT, comm, &all[5]);
	MPI_Ireduce(in[6], out[6], 2, MPI_INT, MPI_SUM, root, comm, &all[6]);
	MPI_Iallreduce(in[7], out[7], 2, MPI_INT, MPI_SUM, comm, &all[7]);
	MPI_Ireduce_scatter_block(in[8], out[8], 1, MPI_INT, MPI_SUM, comm, &all[8]);
	MPI_Iscan(in[9], out[9], 1, MPI_INT, MPI_MAX, comm, &all[9]);
	MPI_Iexscan(in[10], out[10], 1, MPI_INT, MPI_MAX, comm, &all[10]);
	MPI_Iallreduce(MPI_IN_PLACE, in[11], 1, MPI_INT, MPI_SUM, comm, &all[11]);
}

static void nonblocking_check(int s, int root)
{
	STEP_CHECK(out[1][0] == number_of(s, 1, root) * 2 && out[1][1] == out[1][0] + 1);
	for (int r = 0; r < size; r++) {
		STEP_CHECK(rank != root || out[2][r] == number_of(s, 2, r) * 2);
		STEP_CHECK(out[4][r] == number_of(s, 4, r) * 2);
		STEP_CHECK(out[5][r] == number_of(s, 5, r) * 2 + rank % 2);
	}
	STEP_CHECK(out[3][0] == number_of(s, 3, root) * 2 + rank % 2);
	STEP_CHECK(rank != root || (out[6][0] == sum_of(s, 6, 0) && out[6][1] == sum_of(s, 6, 1)));
	STEP_CHECK(out[7][0] == sum_of(s, 7, 0) && out[7][1] == sum_of(s, 7, 1));
	STEP_CHECK(out[8][0] == sum_of(s, 8, rank) && in[11][0] == sum_of(s, 11, 0));
	STEP_CHECK(out[9][0] == number(s, 9) * 2 && (rank == 0 || out[10][0] == number_of(s, 10, rank - 1) * 2));
}

uint64_t coll_nonblocking_end(int s)
{
	int flag = 0, index;

	while (!flag)
		MPI_Test(&all[7], &flag, MPI_STATUS_IGNORE);
	MPI_Waitany(12, all, &index, MPI_STATUS_IGNORE);
	MPI_Waitall(12, all, MPI_STATUSES_IGNORE);
	nonblocking_check(s, s % size);
	return (uint64_t)out[7][0];
}

/* ---- pieces of different length ---- */
static int vin[6][MAX * 4], vout[6][MAX * 4], counts[MAX], at[MAX], mine[MAX], mine_at[MAX], ones[MAX], ones_at[MAX], bytes_at[MAX];
static MPI_Datatype types[MAX];
static MPI_Request vectors[6];

void coll_vectors_begin(int s)
{
	int root = (s + 1) % size;

	for (int r = 0, sum = 0; r < size; r++) {
		counts[r] = r % 3; /* what rank r has to give; some have nothing */
		at[r] = sum;
		sum += counts[r];
		mine[r] = rank % 3;
		mine_at[r] = r * (rank % 3);
		ones[r] = 1;
		ones_at[r] = r;
		bytes_at[r] = r * (int)sizeof(int);
		types[r] = MPI_INT;
	}
	for (int i = 0; i < 6; i++) {
		words(vin[i], MAX * 4, s, i);
		memset(vout[i], 0, sizeof(vout[i]));
	}
	MPI_Igatherv(vin[0], rank % 3, MPI_INT, vout[0], counts, at, MPI_INT, root, comm, &vectors[0]);
	MPI_Iscatterv(vin[1], counts, at, MPI_INT, vout[1], rank % 3, MPI_INT, root, comm, &vectors[1]);
	MPI_Iallgatherv(vin[2], rank % 3, MPI_INT, vout[2], counts, at, MPI_INT, comm, &vectors[2]);
	MPI_Ialltoallv(vin[3], mine, mine_at, MPI_INT, vout[3], counts, at, MPI_INT, comm, &vectors[3]);
	MPI_Ialltoallw(vin[4], ones, bytes_at, types, vout[4], ones, bytes_at, types, comm, &vectors[4]);
	MPI_Ireduce_scatter(vin[5], vout[5], counts, MPI_INT, MPI_SUM, comm, &vectors[5]);
}

uint64_t coll_vectors_end(int s)
{
	int root = (s + 1) % size;

	MPI_Waitall(6, vectors, MPI_STATUSES_IGNORE);
	for (int r = 0; r < size; r++) {
		STEP_CHECK(vout[4][r] == number_of(s, 4, r) * 2 + rank % 2);
		for (int i = 0; i < counts[r]; i++) {
			STEP_CHECK(rank != root || vout[0][at[r] + i] == number_of(s, 0, r) * 2 + i % 2);
			STEP_CHECK(vout[2][at[r] + i] == number_of(s, 2, r) * 2 + i % 2);
			STEP_CHECK(vout[3][at[r] + i] == number_of(s, 3, r) * 2 + (rank * counts[r] + i) % 2);
		}
	}
	for (int i = 0; i < rank % 3; i++) {
		STEP_CHECK(vout[1][i] == number_of(s, 1, root) * 2 + (at[rank] + i) % 2);
		STEP_CHECK(vout[5][i] == sum_of(s, 5, at[rank] + i));
	}
	return (uint64_t)vout[4][0];
}

/* ---- neighbours: a ring, left first ---- */
static MPI_Comm ring;
static MPI_Request near[5];
static int near_in[5][4], near_out[5][4];

void coll_neighbours_begin(int s)
{
	static const int one[2] = { 1, 1 }, from[2] = { 0, 1 };
	static const MPI_Aint bytes[2] = { 0, sizeof(int) };
	static MPI_Datatype both[2];

	both[0] = both[1] = MPI_INT;
	if (s == 0)
		MPI_Cart_create(comm, 1, &size, (int[]){ 1 }, 0, &ring);
	for (int i = 0; i < 5; i++)
		words(near_in[i], 4, s, i);
	MPI_Ineighbor_allgather(near_in[0], 1, MPI_INT, near_out[0], 1, MPI_INT, ring, &near[0]);
	MPI_Ineighbor_allgatherv(near_in[1], 1, MPI_INT, near_out[1], one, from, MPI_INT, ring, &near[1]);
	MPI_Ineighbor_alltoall(near_in[2], 1, MPI_INT, near_out[2], 1, MPI_INT, ring, &near[2]);
	MPI_Ineighbor_alltoallv(near_in[3], one, from, MPI_INT, near_out[3], one, from, MPI_INT, ring, &near[3]);
	MPI_Ineighbor_alltoallw(near_in[4], one, bytes, both, near_out[4], one, bytes, both, ring, &near[4]);
}

uint64_t coll_neighbours_end(int s)
{
	MPI_Waitall(5, near, MPI_STATUSES_IGNORE);
	for (int i = 0; i < 5; i++) {
		/* the left one sends his second word to me, the right one his first */
		int to_me = i < 2 ? 0 : 1;

		if (size > 2)
			STEP_CHECK(near_out[i][0] == number_of(s, i, left) * 2 + to_me && near_out[i][1] == number_of(s, i, right) * 2);
		else /* with two ranks both neighbours are one: either of its words may come first */
			STEP_CHECK(near_out[i][0] / 2 == number_of(s, i, left) && near_out[i][1] / 2 == number_of(s, i, right));
	}
	return (uint64_t)near_out[0][0];
}

/* ---- persistent ---- */
static MPI_Request kept[6];
static int kept_in[6][MAX], kept_out[6][MAX];

void coll_persistent_begin(int s)
{
	if (s == 0) {
		MPIX_Barrier_init(comm, MPI_INFO_NULL, &kept[0]);
		MPIX_Bcast_init(kept_out[1], 2, MPI_INT, 0, comm, MPI_INFO_NULL, &kept[1]);
		MPIX_Allreduce_init(kept_in[2], kept_out[2], 2, MPI_INT, MPI_SUM, comm, MPI_INFO_NULL, &kept[2]);
		MPIX_Allgather_init(kept_in[3], 1, MPI_INT, kept_out[3], 1, MPI_INT, comm, MPI_INFO_NULL, &kept[3]);
		MPIX_Alltoall_init(kept_in[4], 1, MPI_INT, kept_out[4], 1, MPI_INT, comm, MPI_INFO_NULL, &kept[4]);
		MPIX_Scan_init(kept_in[5], kept_out[5], 1, MPI_INT, MPI_MAX, comm, MPI_INFO_NULL, &kept[5]);
	}
	for (int i = 0; i < 6; i++)
		words(kept_in[i], MAX, s, i);
	if (rank == 0)
		words(kept_out[1], 2, s, 1);
	MPI_Startall(6, kept);
}

uint64_t coll_persistent_end(int s)
{
	MPI_Waitall(6, kept, MPI_STATUSES_IGNORE);
	STEP_CHECK(kept_out[1][1] == number_of(s, 1, 0) * 2 + 1 && kept_out[2][1] == sum_of(s, 2, 1) && kept_out[5][0] == number(s, 5) * 2);
	for (int r = 0; r < size; r++)
		STEP_CHECK(kept_out[3][r] == number_of(s, 3, r) * 2 && kept_out[4][r] == number_of(s, 4, r) * 2 + rank % 2);
	return (uint64_t)kept_out[2][0];
}

/* ---- in place, and an operator that is not commutative: f(g(x)) of x -> ax + b ---- */
struct line {
	uint64_t a, b;
};
static struct line lines[2], result;
static MPI_Op chain;
static MPI_Datatype line;
static MPI_Request in_place[3];
static int places[MAX];

static void then(void *first, void *second, int *n, MPI_Datatype *type)
{
	struct line *f = first, *g = second;

	STEP_CHECK(*type == line);
	for (int i = 0; i < *n; i++) {
		g[i].b += g[i].a * f[i].b;
		g[i].a *= f[i].a;
	}
}

static struct line line_of(int s, int r) { return (struct line){ (uint64_t)number_of(s, 0, r) | 1, step_mix((uint64_t)r) }; }

void coll_in_place_begin(int s)
{
	if (s == 0) {
		MPI_Op_create(then, 0, &chain);
		MPI_Type_contiguous(2, MPI_UINT64_T, &line);
		MPI_Type_commit(&line);
	}
	lines[0] = lines[1] = line_of(s, rank);
	memset(places, 0, sizeof(places));
	places[rank] = number(s, 1);
	MPI_Ireduce(&lines[0], &result, 1, line, chain, 0, comm, &in_place[0]);
	MPI_Iscan(MPI_IN_PLACE, &lines[1], 1, line, chain, comm, &in_place[1]);
	MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, places, 1, MPI_INT, comm, &in_place[2]);
}

uint64_t coll_in_place_end(int s)
{
	struct line expect = line_of(s, 0), next;
	int n = 1;

	MPI_Waitall(3, in_place, MPI_STATUSES_IGNORE);
	for (int r = 1; r < size; r++) {
		if (r == rank + 1)
			STEP_CHECK(memcmp(&lines[1], &expect, sizeof(expect)) == 0);
		next = line_of(s, r);
		then(&expect, &next, &n, &line);
		expect = next;
	}
	STEP_CHECK(rank != 0 || memcmp(&result, &expect, sizeof(expect)) == 0);
	for (int r = 0; r < size; r++)
		STEP_CHECK(places[r] == number_of(s, 1, r));
	return expect.b;
}

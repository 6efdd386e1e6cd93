/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes one of every kind of MPI object, checks that each does what it should, and checks all of them again, as often as told: with a
 * restart in between, every object must still be what it was.
 *
 *   objects [ROUNDS [SECONDS]]     ROUNDS checks (default 2) with SECONDS of computing between them
 *
 * Prints "ok" and the number of checks on rank 0; a failed check prints its place and ends the job with status 1.
 */
#define OMPI_OMIT_MPI1_COMPAT_DECLS 0
#include <mpi.h>
#include <mpi-ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int rank, size;
static long checks;

#define CHECK(condition)                                                                                    \
	do {                                                                                                \
		checks++;                                                                                   \
		if (!(condition)) {                                                                         \
			fprintf(stderr, "rank %d: %s:%d: failed: %s\n", rank, __FILE__, __LINE__, #condition); \
			MPI_Abort(MPI_COMM_WORLD, 1);                                                       \
			exit(1);                                                                            \
		}                                                                                           \
	} while (0)
#define OK(call) CHECK((call) == MPI_SUCCESS)

/* ---- communicators ---- */
static MPI_Comm dup, split, reversed, created, by_group, cart, row, graph, dist, dist2, inter, merged, idup, shared, informed, dup_cart;
static int handler_calls, handler_code;
static MPI_Comm handler_comm;
static MPI_Errhandler handler;

static void on_error(MPI_Comm *comm, int *code, ...)
{
	handler_calls++;
	handler_comm = *comm;
	MPI_Error_class(*code, &handler_code);
}

static int sum_over(MPI_Comm comm)
{
	int one = 1, sum = 0;

	OK(MPI_Allreduce(&one, &sum, 1, MPI_INT, MPI_SUM, comm));
	return sum;
}

static void make_comms(void)
{
	int dims[2] = { 0, 0 }, periods[2] = { 1, 0 }, remain[2] = { 0, 1 };
	int *index = malloc((size_t)size * sizeof(int)), *edges = malloc((size_t)size * 2 * sizeof(int));
	int sources[1], targets[1], weights[1] = { 7 }, left = (rank + size - 1) % size, right = (rank + 1) % size;
	MPI_Group world, evens;
	MPI_Request request;
	MPI_Info info;
	MPI_Comm half;
	int range[1][3] = { { 0, (size - 1) / 2 * 2, 2 } };

	OK(MPI_Comm_dup(MPI_COMM_WORLD, &dup));
	OK(MPI_Comm_set_name(dup, "the duplicate"));
	OK(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, 0, &split));
	OK(MPI_Comm_split(dup, 0, -rank, &reversed));
	OK(MPI_Comm_split(MPI_COMM_WORLD, rank == 0 ? MPI_UNDEFINED : 1, 0, &half));
	CHECK((half == MPI_COMM_NULL) == (rank == 0));
	if (half != MPI_COMM_NULL)
		OK(MPI_Comm_free(&half));
	OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
	OK(MPI_Group_range_incl(world, 1, range, &evens));
	OK(MPI_Comm_create(MPI_COMM_WORLD, evens, &created));
	CHECK((created == MPI_COMM_NULL) == (rank % 2 == 1));
	by_group = MPI_COMM_NULL;
	if (rank % 2 == 0)
		OK(MPI_Comm_create_group(MPI_COMM_WORLD, evens, 5, &by_group));
	OK(MPI_Group_free(&evens));
	OK(MPI_Group_free(&world));

	OK(MPI_Dims_create(size, 2, dims));
	OK(MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 1, &cart));
	OK(MPI_Cart_sub(cart, remain, &row));
	OK(MPI_Comm_dup(cart, &dup_cart));
	for (int i = 0; i < size; i++) {
		index[i] = 2 * (i + 1);
		edges[2 * i] = (i + size - 1) % size;
		edges[2 * i + 1] = (i + 1) % size;
	}
	OK(MPI_Graph_create(MPI_COMM_WORLD, size, index, edges, 0, &graph));
	sources[0] = left;
	targets[0] = right;
	OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, sources, weights, 1, targets, weights, MPI_INFO_NULL, 0, &dist));
	/* not MPI_Dist_graph_create: that of Open MPI 4.1.4 itself hangs once in a while on three ranks */
	OK(MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, sources, MPI_UNWEIGHTED, 1, targets, MPI_UNWEIGHTED, MPI_INFO_NULL, 0, &dist2));

	inter = merged = MPI_COMM_NULL;
	if (size > 1) {
		OK(MPI_Intercomm_create(split, 0, MPI_COMM_WORLD, 1 - rank % 2, 3, &inter));
		OK(MPI_Intercomm_merge(inter, rank % 2, &merged));
	}
	OK(MPI_Comm_idup(dup, &idup, &request));
	OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
	OK(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &shared));
	OK(MPI_Info_create(&info));
	OK(MPI_Info_set(info, "mpi_assert_no_any_tag", "true"));
	OK(MPI_Comm_dup_with_info(MPI_COMM_WORLD, info, &informed));
	OK(MPI_Info_free(&info));

	OK(MPI_Comm_create_errhandler(on_error, &handler));
	OK(MPI_Comm_set_errhandler(dup, handler));
	OK(MPI_Errhandler_free(&handler));
	OK(MPI_Comm_set_errhandler(reversed, MPI_ERRORS_RETURN));
	free(index);
	free(edges);
}

static void check_topologies(void)
{
	int dims[2], periods[2], coords[2], me, kind, n, m, weighted, source, target;
	int left = (rank + size - 1) % size, right = (rank + 1) % size;
	int in[1], in_weight[1], out[1], out_weight[1], neighbours[2], row_size;

	OK(MPI_Topo_test(cart, &kind));
	CHECK(kind == MPI_CART);
	OK(MPI_Cart_get(cart, 2, dims, periods, coords));
	CHECK(dims[0] * dims[1] == size && periods[0] == 1 && periods[1] == 0);
	OK(MPI_Cart_rank(cart, coords, &me));
	OK(MPI_Comm_rank(cart, &n));
	CHECK(me == n);
	OK(MPI_Topo_test(dup_cart, &kind));
	CHECK(kind == MPI_CART);
	OK(MPI_Cart_shift(dup_cart, 0, 1, &source, &target));
	OK(MPI_Sendrecv(&me, 1, MPI_INT, target, 1, &n, 1, MPI_INT, source, 1, dup_cart, MPI_STATUS_IGNORE));
	CHECK(n == source);
	OK(MPI_Comm_size(row, &row_size));
	CHECK(row_size == dims[1] && sum_over(row) == row_size);
	OK(MPI_Topo_test(graph, &kind));
	CHECK(kind == MPI_GRAPH);
	OK(MPI_Graphdims_get(graph, &n, &m));
	CHECK(n == size && m == 2 * size);
	OK(MPI_Graph_neighbors(graph, rank, 2, neighbours));
	CHECK(neighbours[0] == left && neighbours[1] == right);
	OK(MPI_Dist_graph_neighbors_count(dist, &n, &m, &weighted));
	CHECK(n == 1 && m == 1 && weighted);
	OK(MPI_Dist_graph_neighbors(dist, 1, in, in_weight, 1, out, out_weight));
	CHECK(in[0] == left && out[0] == right && in_weight[0] == 7 && out_weight[0] == 7);
	OK(MPI_Neighbor_alltoall(&rank, 1, MPI_INT, in, 1, MPI_INT, dist2));
	CHECK(in[0] == left);
}

static void check_comms(void)
{
	char name[MPI_MAX_OBJECT_NAME];
	int n, me, flag, r, value;
	MPI_Comm wrong;

	CHECK(sum_over(MPI_COMM_WORLD) == size && sum_over(MPI_COMM_SELF) == 1 && sum_over(dup) == size && sum_over(idup) == size);
	CHECK(sum_over(informed) == size && sum_over(shared) >= 1);
	OK(MPI_Comm_get_name(dup, name, &n));
	CHECK(strcmp(name, "the duplicate") == 0 && n == (int)strlen(name));
	OK(MPI_Comm_get_name(MPI_COMM_WORLD, name, &n));
	CHECK(strcmp(name, "MPI_COMM_WORLD") == 0);
	CHECK(sum_over(split) == (size + 1 - rank % 2) / 2);
	OK(MPI_Comm_rank(reversed, &me));
	CHECK(me == size - 1 - rank);
	if (created != MPI_COMM_NULL) {
		OK(MPI_Comm_rank(created, &me));
		CHECK(me == rank / 2 && sum_over(created) == (size + 1) / 2 && sum_over(by_group) == (size + 1) / 2);
	}
	value = rank;
	OK(MPI_Bcast(&value, 1, MPI_INT, size - 1, reversed));
	CHECK(value == 0);
	if (inter != MPI_COMM_NULL) {
		OK(MPI_Comm_test_inter(inter, &flag));
		CHECK(flag);
		OK(MPI_Comm_remote_size(inter, &n));
		CHECK(n == (size + rank % 2) / 2);
		CHECK(sum_over(inter) == n && sum_over(merged) == size);
		OK(MPI_Comm_rank(merged, &me));
		CHECK(me == rank / 2 + (rank % 2 ? (size + 1) / 2 : 0));
		OK(MPI_Comm_rank(split, &me));
		if (me < n) {
			OK(MPI_Sendrecv(&rank, 1, MPI_INT, me, 2, &value, 1, MPI_INT, me, 2, inter, MPI_STATUS_IGNORE));
			CHECK(value == (rank ^ 1));
		}
	}
	OK(MPI_Comm_compare(MPI_COMM_WORLD, dup, &n));
	CHECK(n == MPI_CONGRUENT);
	OK(MPI_Comm_compare(dup, dup, &n));
	CHECK(n == MPI_IDENT);
	OK(MPI_Comm_get_parent(&wrong));
	CHECK(wrong == MPI_COMM_NULL);

	/* error handlers: the program's own, and the return of the code */
	handler_calls = 0;
	r = MPI_Bcast(&value, 1, MPI_INT, size + 5, dup);
	OK(MPI_Error_class(r, &n));
	CHECK(n == MPI_ERR_ROOT && handler_calls == 1 && handler_code == MPI_ERR_ROOT && handler_comm == dup);
	r = MPI_Bcast(&value, 1, MPI_INT, size + 5, reversed);
	OK(MPI_Error_class(r, &n));
	CHECK(n == MPI_ERR_ROOT && handler_calls == 1);
	check_topologies();
}

/* ---- groups ---- */
static MPI_Group group_odd, group_all, group_union;

static void make_groups(void)
{
	int range[1][3] = { { 0, (size - 1) / 2 * 2, 2 } };

	OK(MPI_Comm_group(reversed, &group_all));
	OK(MPI_Group_range_excl(group_all, 1, range, &group_odd));
	OK(MPI_Group_union(group_odd, group_all, &group_union));
}

static void check_groups(void)
{
	MPI_Group world, empty;
	int n, result, in[1] = { 0 }, out[1];

	OK(MPI_Group_size(group_odd, &n));
	CHECK(n == size / 2);
	OK(MPI_Group_size(group_union, &n));
	CHECK(n == size);
	OK(MPI_Comm_group(MPI_COMM_WORLD, &world));
	OK(MPI_Group_translate_ranks(group_all, 1, in, world, out));
	CHECK(out[0] == size - 1);
	OK(MPI_Group_compare(world, group_union, &result));
	CHECK(result == (size <= 2 ? MPI_IDENT : MPI_SIMILAR));
	OK(MPI_Group_difference(world, group_union, &empty));
	OK(MPI_Group_size(empty, &n));
	CHECK(n == 0);
	CHECK(empty == MPI_GROUP_EMPTY);
	OK(MPI_Group_free(&world));
	OK(MPI_Group_rank(group_all, &n));
	CHECK(n == size - 1 - rank);
}

/* ---- datatypes ---- */
enum { TYPES = 14 };
static MPI_Datatype types[TYPES], pair_type;
static const int type_size[TYPES] = { 12, 24, 16, 20, 12, 12, 12, 12, 12, 4, 8, 8, 8, 16 };
struct record {
	char c;
	double d;
	int i[2];
};

static void make_types(void)
{
	int lengths[2] = { 1, 2 }, displs[2] = { 0, 3 }, one[3] = { 1, 1, 2 };
	int sizes[2] = { 4, 4 }, subsizes[2] = { 2, 1 }, starts[2] = { 1, 2 };
	int gsizes[1] = { 8 }, distribs[1] = { MPI_DISTRIBUTE_BLOCK }, dargs[1] = { MPI_DISTRIBUTE_DFLT_DARG }, psizes[1] = { 4 };
	MPI_Aint adispls[2] = { 0, 16 }, sdispls[3];
	MPI_Datatype of[3] = { MPI_CHAR, MPI_DOUBLE, MPI_INT }, child;
	struct record r;

	OK(MPI_Type_contiguous(3, MPI_INT, &types[0]));
	OK(MPI_Type_vector(3, 2, 4, MPI_INT, &types[1]));
	OK(MPI_Type_create_hvector(2, 1, 64, MPI_DOUBLE, &types[2]));
	OK(MPI_Get_address(&r.c, &sdispls[0]));
	OK(MPI_Get_address(&r.d, &sdispls[1]));
	OK(MPI_Get_address(r.i, &sdispls[2]));
	for (int i = 2; i >= 0; i--)
		sdispls[i] -= sdispls[0];
	OK(MPI_Type_create_struct(3, one, sdispls, of, &child));
	OK(MPI_Type_create_resized(child, 0, sizeof(r), &pair_type));
	OK(MPI_Type_free(&child)); /* the resized one keeps it */
	OK(MPI_Type_contiguous(5, MPI_INT, &types[3]));
	OK(MPI_Type_indexed(2, lengths, displs, MPI_INT, &types[4]));
	OK(MPI_Type_create_hindexed(2, lengths, adispls, MPI_INT, &types[5]));
	OK(MPI_Type_create_indexed_block(3, 1, (int[]){ 0, 2, 5 }, MPI_INT, &types[6]));
	OK(MPI_Type_create_hindexed_block(3, 1, (MPI_Aint[]){ 0, 8, 20 }, MPI_INT, &types[7]));
	OK(MPI_Type_dup(types[0], &types[8]));
	OK(MPI_Type_create_resized(MPI_INT, 0, 16, &types[9]));
	OK(MPI_Type_create_subarray(2, sizes, subsizes, starts, MPI_ORDER_C, MPI_INT, &types[10]));
	OK(MPI_Type_create_darray(4, 1, 1, gsizes, distribs, dargs, psizes, MPI_ORDER_C, MPI_INT, &types[11]));
	OK(MPI_Type_create_f90_real(12, 100, &types[12]));
	OK(MPI_Type_vector(2, 1, 2, types[12], &types[13]));
	for (int i = 0; i < TYPES; i++)
		if (i != 12)
			OK(MPI_Type_commit(&types[i]));
	OK(MPI_Type_commit(&pair_type));
	OK(MPI_Type_set_name(types[1], "stripes"));
}

static void check_types(void)
{
	struct record out[3], in[3];
	int n, ni, na, nd, combiner, ints[8], right = (rank + 1) % size, left = (rank + size - 1) % size, buffer[24], back[24];
	char name[MPI_MAX_OBJECT_NAME];
	MPI_Aint aints[2], lb, extent;
	MPI_Datatype of[1];
	MPI_Status status;

	for (int i = 0; i < TYPES; i++) {
		OK(MPI_Type_size(types[i], &n));
		CHECK(n == type_size[i]);
	}
	OK(MPI_Type_get_name(types[1], name, &n));
	CHECK(strcmp(name, "stripes") == 0);
	OK(MPI_Type_get_envelope(types[1], &ni, &na, &nd, &combiner));
	CHECK(combiner == MPI_COMBINER_VECTOR && ni == 3 && na == 0 && nd == 1);
	OK(MPI_Type_get_contents(types[1], 3, 0, 1, ints, aints, of));
	CHECK(ints[0] == 3 && ints[1] == 2 && ints[2] == 4 && of[0] == MPI_INT);
	OK(MPI_Type_get_envelope(pair_type, &ni, &na, &nd, &combiner));
	CHECK(combiner == MPI_COMBINER_RESIZED && ni == 0 && na == 2 && nd == 1);
	OK(MPI_Type_get_contents(pair_type, 0, 2, 1, ints, aints, of));
	CHECK(aints[1] == sizeof(struct record));
	OK(MPI_Type_get_envelope(of[0], &ni, &na, &nd, &combiner));
	CHECK(combiner == MPI_COMBINER_STRUCT && ni == 4 && na == 3 && nd == 3);
	OK(MPI_Type_free(of));
	OK(MPI_Type_get_envelope(types[11], &ni, &na, &nd, &combiner));
	CHECK(combiner == MPI_COMBINER_DARRAY && ni == 8 && nd == 1);
	OK(MPI_Type_get_envelope(MPI_INT, &ni, &na, &nd, &combiner));
	CHECK(combiner == MPI_COMBINER_NAMED);
	OK(MPI_Type_get_extent(types[9], &lb, &extent));
	CHECK(lb == 0 && extent == 16);
	OK(MPI_Type_get_true_extent(types[1], &lb, &extent));
	CHECK(extent == 40);

	memset(out, 0, sizeof(out));
	for (int i = 0; i < 3; i++) {
		out[i].c = (char)('a' + i);
		out[i].d = rank + i / 8.0;
		out[i].i[0] = rank;
		out[i].i[1] = -i;
	}
	memset(in, 0, sizeof(in));
	OK(MPI_Sendrecv(out, 3, pair_type, right, 9, in, 3, pair_type, left, 9, dup, &status));
	OK(MPI_Get_count(&status, pair_type, &n));
	CHECK(n == 3 && in[2].c == 'c' && in[2].d == left + 0.25 && in[1].i[0] == left && in[2].i[1] == -2);
	for (int i = 0; i < 24; i++) {
		buffer[i] = rank * 100 + i;
		back[i] = -1;
	}
	OK(MPI_Sendrecv(buffer, 1, types[1], right, 9, back, 6, MPI_INT, left, 9, MPI_COMM_WORLD, &status));
	CHECK(back[0] == left * 100 && back[2] == left * 100 + 4 && back[5] == left * 100 + 9 && back[6] == -1);
	n = 0;
	OK(MPI_Pack(buffer, 1, types[4], back, sizeof(back), &n, dup));
	CHECK(n == 12 && back[0] == rank * 100 && back[1] == rank * 100 + 3 && back[2] == rank * 100 + 4);
	OK(MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, of));
	OK(MPI_Type_size(of[0], &n));
	CHECK(n == 8);
}

/* ---- operations ---- */
static MPI_Op product_op, stripes_op, freed_late;
static int op_wrong;

static void multiply(void *in, void *inout, int *count, MPI_Datatype *type)
{
	if (*type != MPI_DOUBLE)
		op_wrong++;
	for (int i = 0; i < *count; i++)
		((double *)inout)[i] *= ((double *)in)[i];
}

static void add_stripes(void *in, void *inout, int *count, MPI_Datatype *type)
{
	if (*type != types[0])
		op_wrong++;
	for (int i = 0; i < 3 * *count; i++)
		((int *)inout)[i] += ((int *)in)[i];
}

static void make_ops(void)
{
	OK(MPI_Op_create(multiply, 1, &product_op));
	OK(MPI_Op_create(add_stripes, 0, &stripes_op));
}

static void check_ops(void)
{
	double x[2] = { 2, rank + 1.0 }, y[2], factorial = 1, power = 1;
	int in[6] = { rank, 1, 2, 3, 4, 5 }, out[6], commute;
	MPI_Request request;

	for (int i = 1; i <= size; i++) {
		factorial *= i;
		power *= 2;
	}
	OK(MPI_Allreduce(x, y, 2, MPI_DOUBLE, product_op, reversed));
	CHECK(y[0] == power && y[1] == factorial && op_wrong == 0);
	OK(MPI_Allreduce(in, out, 2, types[0], stripes_op, MPI_COMM_WORLD));
	CHECK(out[0] == size * (size - 1) / 2 && out[5] == 5 * size && op_wrong == 0);
	OK(MPI_Op_commutative(stripes_op, &commute));
	CHECK(commute == 0);
	OK(MPI_Reduce_local(x, y, 1, MPI_DOUBLE, product_op));
	CHECK(y[0] == 2 * power);
	/* an operation that is freed while it is used */
	OK(MPI_Op_create(multiply, 1, &freed_late));
	OK(MPI_Iallreduce(x, y, 2, MPI_DOUBLE, freed_late, dup, &request));
	OK(MPI_Op_free(&freed_late));
	OK(MPI_Wait(&request, MPI_STATUS_IGNORE));
	CHECK(y[0] == power && freed_late == MPI_OP_NULL);
}

/* ---- attributes ---- */
static int key_copied, key_dropped, key_type, copies, deletes, last_deleted;
static int extra = 42;

static int copy_attr(MPI_Comm comm, int key, void *state, void *in, void *out, int *flag)
{
	CHECK(state == &extra && comm == dup && key == key_copied);
	copies++;
	*(void **)out = (char *)in + 1;
	*flag = 1;
	return MPI_SUCCESS;
}

static int delete_attr(MPI_Comm comm, int key, void *value, void *state)
{
	(void)comm, (void)key;
	CHECK(state == &extra);
	deletes++;
	last_deleted = (int)(long)value;
	return MPI_SUCCESS;
}

static void make_attributes(void)
{
	OK(MPI_Comm_create_keyval(copy_attr, delete_attr, &key_copied, &extra));
	OK(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &key_dropped, NULL));
	OK(MPI_Type_create_keyval(MPI_TYPE_DUP_FN, MPI_TYPE_NULL_DELETE_FN, &key_type, NULL));
	OK(MPI_Comm_set_attr(dup, key_copied, (void *)10));
	OK(MPI_Comm_set_attr(dup, key_dropped, (void *)20));
	OK(MPI_Type_set_attr(types[0], key_type, (void *)30));
}

static void check_attributes(void)
{
	int flag, *tag_ub, old_deletes;
	MPI_Datatype t;
	MPI_Comm c;
	void *value;

	OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, &tag_ub, &flag));
	CHECK(flag && *tag_ub >= 32767);
	OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_UNIVERSE_SIZE, &tag_ub, &flag));
	CHECK(!flag || *tag_ub >= 1);
	copies = deletes = 0;
	OK(MPI_Comm_dup(dup, &c));
	CHECK(copies == 1);
	OK(MPI_Comm_get_attr(c, key_copied, &value, &flag));
	CHECK(flag && value == (void *)11);
	OK(MPI_Comm_get_attr(c, key_dropped, &value, &flag));
	CHECK(!flag);
	OK(MPI_Comm_get_attr(dup, key_dropped, &value, &flag));
	CHECK(flag && value == (void *)20);
	OK(MPI_Comm_free(&c));
	CHECK(deletes == 1 && last_deleted == 11);
	old_deletes = deletes;
	OK(MPI_Comm_set_attr(dup, key_copied, (void *)10)); /* the old value is deleted */
	CHECK(deletes == old_deletes + 1 && last_deleted == 10);
	OK(MPI_Type_dup(types[0], &t));
	OK(MPI_Type_get_attr(t, key_type, &value, &flag));
	CHECK(flag && value == (void *)30);
	OK(MPI_Type_free(&t));
}

/* ---- infos, Fortran indices, error codes, persistent requests ---- */
static MPI_Info info;
static int fint_dup, fint_type, fint_op, fint_group, fint_info, error_class, error_code;
static MPI_Request persistent[2];
static int persistent_in, persistent_out;
static MPI_Request repeated[3];
static MPI_Op repeated_op;
static double repeated_in, repeated_out;
static int *w_in, *w_out, *w_counts, *w_displs;
static MPI_Datatype *w_types;

static void make_others(void)
{
	OK(MPI_Info_create(&info));
	OK(MPI_Info_set(info, "first", "1"));
	OK(MPI_Info_set(info, "second", "a longer value"));
	OK(MPI_Info_set(info, "first", "one"));
	fint_dup = MPI_Comm_c2f(dup);
	fint_type = MPI_Type_c2f(types[1]);
	fint_op = MPI_Op_c2f(product_op);
	fint_group = MPI_Group_c2f(group_odd);
	fint_info = MPI_Info_c2f(info);
	OK(MPI_Add_error_class(&error_class));
	OK(MPI_Add_error_code(error_class, &error_code));
	OK(MPI_Add_error_string(error_code, "our own trouble"));
	OK(MPI_Send_init(&persistent_out, 1, MPI_INT, (rank + 1) % size, 4, dup, &persistent[0]));
	OK(MPI_Recv_init(&persistent_in, 1, MPI_INT, (rank + size - 1) % size, 4, dup, &persistent[1]));
}

static void make_persistent_collectives(void)
{
	w_in = malloc((size_t)size * sizeof(int));
	w_out = malloc((size_t)size * sizeof(int));
	w_counts = malloc((size_t)size * sizeof(int));
	w_displs = malloc((size_t)size * sizeof(int));
	w_types = malloc((size_t)size * sizeof(MPI_Datatype));
	for (int i = 0; i < size; i++) {
		w_counts[i] = 1;
		w_displs[i] = i * (int)sizeof(int);
		OK(MPI_Type_contiguous(1, MPI_INT, &w_types[i]));
		OK(MPI_Type_commit(&w_types[i]));
	}
	OK(MPI_Op_create(multiply, 1, &repeated_op));
	OK(MPIX_Allreduce_init(&repeated_out, &repeated_in, 1, MPI_DOUBLE, repeated_op, reversed, MPI_INFO_NULL, &repeated[0]));
	OK(MPIX_Barrier_init(dup, MPI_INFO_NULL, &repeated[1]));
	OK(MPIX_Alltoallw_init(w_out, w_counts, w_displs, w_types, w_in, w_counts, w_displs, w_types, reversed, MPI_INFO_NULL, &repeated[2]));
}

static void check_persistent_collectives(void)
{
	double power = 1;

	for (int i = 0; i < size; i++) {
		power *= 3;
		w_out[i] = rank * 100 + i;
		w_in[i] = -1;
	}
	repeated_out = 3;
	OK(MPI_Startall(3, repeated));
	OK(MPI_Waitall(3, repeated, MPI_STATUSES_IGNORE));
	CHECK(repeated_in == power);
	for (int i = 0; i < size; i++) /* ranks are reversed there */
		CHECK(w_in[i] == (size - 1 - i) * 100 + (size - 1 - rank));
}

static void check_others(void)
{
	char value[MPI_MAX_INFO_VAL + 1], text[MPI_MAX_ERROR_STRING];
	int n, flag, *code;
	MPI_Info copy;

	OK(MPI_Info_get_nkeys(info, &n));
	CHECK(n == 2);
	OK(MPI_Info_get_nthkey(info, 1, value));
	CHECK(strcmp(value, "second") == 0);
	OK(MPI_Info_get(info, "first", MPI_MAX_INFO_VAL, value, &flag));
	CHECK(flag && strcmp(value, "one") == 0);
	OK(MPI_Info_get_valuelen(info, "second", &n, &flag));
	CHECK(flag && n == 14);
	OK(MPI_Info_get(info, "third", MPI_MAX_INFO_VAL, value, &flag));
	CHECK(!flag);
	OK(MPI_Info_dup(info, &copy));
	OK(MPI_Info_delete(copy, "first"));
	OK(MPI_Info_get_nkeys(copy, &n));
	CHECK(n == 1);
	OK(MPI_Info_free(&copy));

	CHECK(MPI_Comm_f2c(fint_dup) == dup && MPI_Comm_c2f(dup) == fint_dup && MPI_Comm_f2c(0) == MPI_COMM_WORLD);
	CHECK(MPI_Type_f2c(fint_type) == types[1] && MPI_Op_f2c(fint_op) == product_op && MPI_Group_f2c(fint_group) == group_odd);
	CHECK(MPI_Info_f2c(fint_info) == info && MPI_Comm_c2f(MPI_COMM_NULL) == 2 && MPI_Comm_c2f(MPI_COMM_SELF) == 1);

	OK(MPI_Error_class(error_code, &n));
	CHECK(n == error_class);
	OK(MPI_Error_string(error_code, text, &n));
	CHECK(strcmp(text, "our own trouble") == 0);
	OK(MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_LASTUSEDCODE, &code, &flag));
	CHECK(flag && *code == error_code);

	persistent_out = rank + 1000;
	persistent_in = -1;
	OK(MPI_Startall(2, persistent));
	OK(MPI_Waitall(2, persistent, MPI_STATUSES_IGNORE));
	CHECK(persistent_in == (rank + size - 1) % size + 1000);
}

static void free_all(void)
{
	MPI_Comm *comms[] = { &dup,  &split, &reversed, &created, &by_group, &cart,	  &row,	  &graph,
			      &dist, &dist2, &inter,	&merged,  &idup,     &shared, &informed, &dup_cart };

	OK(MPI_Request_free(&persistent[0]));
	OK(MPI_Request_free(&persistent[1]));
	for (int i = 0; i < 3; i++)
		OK(MPI_Request_free(&repeated[i]));
	OK(MPI_Op_free(&repeated_op));
	for (int i = 0; i < size; i++)
		OK(MPI_Type_free(&w_types[i]));
	free(w_in), free(w_out), free(w_counts), free(w_displs), free(w_types);
	for (size_t i = 0; i < sizeof(comms) / sizeof(comms[0]); i++)
		if (*comms[i] != MPI_COMM_NULL) {
			OK(MPI_Comm_free(comms[i]));
			CHECK(*comms[i] == MPI_COMM_NULL);
		}
	for (int i = 0; i < TYPES; i++)
		if (i != 12)
			OK(MPI_Type_free(&types[i]));
	OK(MPI_Type_free(&pair_type));
	OK(MPI_Op_free(&product_op));
	OK(MPI_Op_free(&stripes_op));
	OK(MPI_Group_free(&group_odd));
	OK(MPI_Group_free(&group_all));
	OK(MPI_Group_free(&group_union));
	OK(MPI_Info_free(&info));
	OK(MPI_Comm_free_keyval(&key_copied));
	OK(MPI_Comm_free_keyval(&key_dropped));
	OK(MPI_Type_free_keyval(&key_type));
	CHECK(key_copied == MPI_KEYVAL_INVALID);
}

static int on_self_free(MPI_Comm comm, int key, void *value, void *state)
{
	int flag;

	(void)key, (void)state;
	MPI_Finalized(&flag);
	if (comm == MPI_COMM_SELF && !flag && rank == 0)
		printf("attribute %d of MPI_COMM_SELF deleted\n", (int)(long)value);
	return MPI_SUCCESS;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 2, key;
	double seconds = argc > 2 ? atof(argv[2]) : 0, before = 0;
	long all = 0;

	OK(MPI_Init(&argc, &argv));
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	make_comms();
	make_groups();
	make_types();
	make_ops();
	make_attributes();
	make_others();
	make_persistent_collectives();
	OK(MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, on_self_free, &key, NULL));
	OK(MPI_Comm_set_attr(MPI_COMM_SELF, key, (void *)5));
	for (int i = 0; i < rounds; i++) {
		time_t until = time(NULL) + (time_t)seconds;

		check_comms();
		check_groups();
		check_types();
		check_ops();
		check_attributes();
		check_others();
		check_persistent_collectives();
		CHECK(MPI_Wtime() >= before);
		before = MPI_Wtime();
		if (rank == 0) {
			printf("round %d\n", i);
			fflush(stdout);
		}
		if (i + 1 < rounds)
			while (time(NULL) < until)
				;
	}
	free_all();
	OK(MPI_Reduce(&checks, &all, 1, MPI_LONG, MPI_SUM, 0, MPI_COMM_WORLD));
	if (rank == 0)
		printf("ok %ld checks\n", all);
	OK(MPI_Finalize());
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every kind of object that a program can hold over a checkpoint, used in each step: communicators of every creation, groups, derived datatypes of
 * every constructor, operators, infos, attributes with callbacks, error handlers, topologies. The results go into one number.
 */
#include <mpi.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

struct particle {
	double x[3];
	int id;
	char tag[4];
};

enum { DUP, SPLIT, CREATE, GROUPED, CART, GRAPH, DIST, SUB, SHARED, NCOMMS };

static MPI_Comm comm[NCOMMS], inter;
static MPI_Datatype type[16];
static int n_types, rank, size, copies, deletes, errors;
static uint64_t sum = 1;

static void xor_mul(void *in, void *inout, int *len, MPI_Datatype *t)
{
	uint64_t *a = in, *b = inout;

	STEP_CHECK(*t == MPI_UINT64_T);
	for (int i = 0; i < *len; i++)
		b[i] = (b[i] ^ a[i]) * 3;
}

static int copy_attr(MPI_Comm c, int key, void *extra, void *in, void *out, int *flag)
{
	(void)c, (void)key;
	STEP_CHECK(extra == &copies);
	*(void **)out = (char *)in + 1;
	*flag = 1;
	copies++;
	return MPI_SUCCESS;
}

static int delete_attr(MPI_Comm c, int key, void *val, void *extra)
{
	(void)c, (void)key, (void)val;
	STEP_CHECK(extra == &copies);
	deletes++;
	return MPI_SUCCESS;
}

static void on_error(MPI_Comm *c, int *code, ...)
{
	int class;

	MPI_Error_class(*code, &class);
	STEP_CHECK(*c == comm[DUP] && class == MPI_ERR_RANK);
	errors++;
}

static void make_types(void)
{
	int lens[3] = {3, 1, 4}, ints[3] = {2, 1, 3}, disp[3] = {0, 5, 9}, sizes[2] = {6, 8}, sub[2] = {3, 4}, start[2] = {1, 2};
	int darg[2] = {MPI_DISTRIBUTE_DFLT_DARG, MPI_DISTRIBUTE_DFLT_DARG}, dist[2] = {MPI_DISTRIBUTE_BLOCK, MPI_DISTRIBUTE_CYCLIC}, ps[2] = {1, 1};
	MPI_Aint at[3] = {offsetof(struct particle, x), offsetof(struct particle, id), offsetof(struct particle, tag)}, bytes[3] = {0, 24, 64};
	MPI_Datatype of[3] = {MPI_DOUBLE, MPI_INT, MPI_CHAR}, t;

	MPI_Type_create_struct(3, lens, at, of, &t);
	MPI_Type_create_resized(t, 0, sizeof(struct particle), &type[n_types++]);
	MPI_Type_free(&t); /* the inner type lives on in the outer one */
	MPI_Type_contiguous(5, type[0], &type[n_types++]);
	MPI_Type_vector(4, 2, 3, MPI_INT, &type[n_types++]);
	MPI_Type_create_hvector(3, 1, 40, MPI_DOUBLE, &type[n_types++]);
	MPI_Type_indexed(3, ints, disp, MPI_INT, &type[n_types++]);
	MPI_Type_create_hindexed(3, ints, bytes, MPI_FLOAT, &type[n_types++]);
	MPI_Type_create_indexed_block(3, 2, disp, MPI_SHORT, &type[n_types++]);
	MPI_Type_create_hindexed_block(3, 1, bytes, MPI_DOUBLE, &type[n_types++]);
	MPI_Type_create_subarray(2, sizes, sub, start, MPI_ORDER_FORTRAN, MPI_INT, &type[n_types++]);
	MPI_Type_create_darray(1, 0, 2, sizes, dist, darg, ps, MPI_ORDER_C, MPI_INT, &type[n_types++]);
	MPI_Type_dup(type[2], &type[n_types++]);
	MPI_Type_create_struct(2, lens, bytes, (MPI_Datatype[]){type[4], type[6]}, &type[n_types++]);
	for (int i = 0; i < n_types; i++)
		MPI_Type_commit(&type[i]);
	MPI_Type_set_name(type[0], "particle");
}

static void make_comms(void)
{
	MPI_Group all, odd, rev;
	int ranks[64], dims[2] = {0, 0}, periods[2] = {1, 0}, index[64], edges[128], keep[2] = {1, 0};
	int from = (rank + size - 1) % size, to = (rank + 1) % size, one = 1;

	MPI_Comm_group(MPI_COMM_WORLD, &all);
	for (int i = 0; i < size; i++) {
		ranks[i] = size - 1 - i;
		index[i] = 2 * (i + 1);
		edges[2 * i] = (i + 1) % size;
		edges[2 * i + 1] = (i + size - 1) % size;
	}
	MPI_Group_incl(all, size, ranks, &rev);
	MPI_Group_range_incl(all, 1, (int[1][3]){{0, size - 1, 2}}, &odd);
	MPI_Comm_dup(MPI_COMM_WORLD, &comm[DUP]);
	MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &comm[SPLIT]);
	MPI_Comm_create(MPI_COMM_WORLD, rev, &comm[CREATE]);
	comm[GROUPED] = MPI_COMM_NULL;
	if (rank % 2 == 0)
		MPI_Comm_create_group(MPI_COMM_WORLD, odd, 3, &comm[GROUPED]);
	MPI_Dims_create(size, 2, dims);
	MPI_Cart_create(comm[DUP], 2, dims, periods, 0, &comm[CART]);
	MPI_Graph_create(MPI_COMM_WORLD, size, index, edges, 0, &comm[GRAPH]);
	MPI_Dist_graph_create_adjacent(MPI_COMM_WORLD, 1, &from, &one, 1, &to, &one, MPI_INFO_NULL, 0, &comm[DIST]);
	MPI_Cart_sub(comm[CART], keep, &comm[SUB]);
	MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm[SHARED]);
	MPI_Comm_set_name(comm[CART], "grid");
	inter = MPI_COMM_NULL;
	if (size > 1)
		MPI_Intercomm_create(comm[SPLIT], 0, MPI_COMM_WORLD, rank % 2 ? (size - 1) / 2 * 2 : (size - 2) / 2 * 2 + 1, 8, &inter);
	MPI_Group_free(&all);
	MPI_Group_free(&odd);
	MPI_Group_free(&rev);
}

static void use_types(int step)
{
	static char out[4096], in[4096], flat[4096];

	for (int i = 0; i < n_types; i++) {
		int bytes, count = 0, pos = 0, pos2 = 0;
		MPI_Status st;

		for (size_t k = 0; k < sizeof(out); k++)
			out[k] = (char)(step_mix(k + (uint64_t)step) ^ (uint64_t)rank);
		memset(in, 0, sizeof(in));
		MPI_Sendrecv(out, 1, type[i], (rank + 1) % size, i, in, 1, type[i], (rank + size - 1) % size, i, comm[DUP], &st);
		MPI_Get_count(&st, type[i], &count);
		STEP_CHECK(count == 1);
		MPI_Type_size(type[i], &bytes);
		MPI_Pack(in, 1, type[i], flat, sizeof(flat), &pos, comm[DUP]);
		STEP_CHECK(pos >= bytes);
		MPI_Unpack(flat, pos, &pos2, in, 1, type[i], comm[DUP]);
		for (int k = 0; k < bytes; k++)
			sum = sum * 31 + (unsigned char)flat[k];
	}
}

static void use_comms(MPI_Op op, int key, int step)
{
	for (int i = 0; i < NCOMMS; i++) {
		uint64_t in = sum ^ (uint64_t)i, out = 0;
		void *val;
		int flag, n;

		if (comm[i] == MPI_COMM_NULL)
			continue;
		if (i == SPLIT || i == DUP)
			MPI_Allreduce(&in, &out, 1, MPI_UINT64_T, op, comm[i]);
		else
			MPI_Allreduce(&in, &out, 1, MPI_UINT64_T, MPI_BXOR, comm[i]);
		MPI_Comm_size(comm[i], &n);
		sum = step_mix(sum + out + (uint64_t)n);
		MPI_Comm_get_attr(comm[i], key, &val, &flag);
		STEP_CHECK(flag == (i == DUP) && (!flag || val == (void *)0x1234));
	}
	if (inter != MPI_COMM_NULL) {
		uint64_t out = 0;
		int remote;

		MPI_Allreduce(&sum, &out, 1, MPI_UINT64_T, MPI_SUM, inter);
		MPI_Comm_remote_size(inter, &remote);
		sum = step_mix(sum + out * (uint64_t)remote);
	}
	if (step % 20 == 0) { /* objects that come and go */
		MPI_Comm c;
		void *val;
		int flag, had = copies, coords[2], dims[2], periods[2], len, nn;
		char name[MPI_MAX_OBJECT_NAME];

		MPI_Comm_dup(comm[DUP], &c);
		MPI_Comm_get_attr(c, key, &val, &flag);
		STEP_CHECK(flag && val == (void *)0x1235 && copies == had + 1);
		MPI_Comm_free(&c);
		STEP_CHECK(c == MPI_COMM_NULL && deletes == copies);
		MPI_Cart_get(comm[CART], 2, dims, periods, coords);
		STEP_CHECK(dims[0] * dims[1] == size && periods[0] == 1 && periods[1] == 0);
		MPI_Comm_get_name(comm[CART], name, &len);
		STEP_CHECK(!strcmp(name, "grid"));
		MPI_Type_get_name(type[0], name, &len);
		STEP_CHECK(!strcmp(name, "particle"));
		MPI_Graph_neighbors_count(comm[GRAPH], rank, &nn);
		STEP_CHECK(nn == 2);
	}
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 400), key, before, len, flag;
	MPI_Op op;
	MPI_Errhandler handler;
	MPI_Info info;
	MPI_Group kept;
	char value[32];

	MPI_Init(&argc, &argv);
	STEP_CHECK(argc <= 2);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	make_types();
	make_comms();
	MPI_Op_create(xor_mul, 0, &op);
	MPI_Comm_create_keyval(copy_attr, delete_attr, &key, &copies);
	MPI_Comm_set_attr(comm[DUP], key, (void *)0x1234);
	MPI_Comm_create_errhandler(on_error, &handler);
	MPI_Comm_set_errhandler(comm[DUP], handler);
	MPI_Errhandler_free(&handler);
	MPI_Info_create(&info);
	MPI_Info_set(info, "key", "value");
	MPI_Comm_group(comm[CREATE], &kept);
	for (int s = 0; s < steps; s++) {
		uint64_t all;

		use_types(s);
		use_comms(op, key, s);
		before = errors;
		MPI_Send(&sum, 1, MPI_UINT64_T, size + 7, 0, comm[DUP]);
		STEP_CHECK(errors == before + 1);
		MPI_Info_get(info, "key", 31, value, &flag);
		STEP_CHECK(flag && !strcmp(value, "value"));
		MPI_Group_rank(kept, &len);
		STEP_CHECK(len == size - 1 - rank);
		all = 0;
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
		if (rank == 0)
			step_print(s, all);
		usleep(3000);
	}
	for (int i = 0; i < n_types; i++)
		MPI_Type_free(&type[i]);
	for (int i = NCOMMS - 1; i >= 0; i--)
		if (comm[i] != MPI_COMM_NULL)
			MPI_Comm_free(&comm[i]);
	if (inter != MPI_COMM_NULL)
		MPI_Comm_free(&inter);
	MPI_Group_free(&kept);
	MPI_Op_free(&op);
	MPI_Info_free(&info);
	if (rank == 0)
		puts("ok");
	MPI_Finalize();
	return 0;
}

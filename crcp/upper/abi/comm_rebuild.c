/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Communicators after a restart.  Every rank makes those that it was a member of, in the order of their clock ids, which all members
 * share: intra-communicators first, each from its members' world ranks with MPI_Comm_create_group, then inter-communicators over the
 * private duplicate of MPI_COMM_WORLD.  As all ranks follow one order, no two wait for each other in a circle.
 *
 * Threads may have made communicators at the same time in another order on each rank, so the order of creation would not do.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>

#define REBUILD_TAG 17 /* on a fresh MPI_COMM_WORLD and in a context of its own: no message of the program is near */

static bool comes_before(const struct crcp_comm *a, const struct crcp_comm *b)
{
	if (a->recipe->inter != b->recipe->inter)
		return b->recipe->inter;
	return a->clock_id < b->clock_id;
}

/* Heap sort: no memory, no recursion, no libc in a signal handler. */
static void sift_down(struct crcp_comm **v, int root, int n)
{
	for (int child; (child = 2 * root + 1) < n; root = child) {
		struct crcp_comm *t;

		if (child + 1 < n && comes_before(v[child], v[child + 1]))
			child++;
		if (!comes_before(v[root], v[child]))
			return;
		t = v[root];
		v[root] = v[child];
		v[child] = t;
	}
}

static void sort(struct crcp_comm **v, int n)
{
	for (int i = n / 2 - 1; i >= 0; i--)
		sift_down(v, i, n);
	for (int i = n - 1; i > 0; i--) {
		struct crcp_comm *t = v[0];

		v[0] = v[i];
		v[i] = t;
		sift_down(v, 0, i);
	}
}

int crcp_comm_make_plain(const int *ranks, int n, MPI_Comm *ret_real)
{
	MPI_Comm world = (MPI_Comm)crcp_real(MPI_COMM_WORLD), real = NULL;
	MPI_Group all = NULL, group = NULL;
	int r;

	CR_LOWER(crcp_lower.MPI_Comm_group(world, &all));
	r = CR_LOWER(crcp_lower.MPI_Group_incl(all, n, ranks, &group));
	if (r == MPI_SUCCESS) {
		r = CR_LOWER(crcp_lower.MPI_Comm_create_group(world, group, REBUILD_TAG, &real));
		CR_LOWER(crcp_lower.MPI_Group_free(&group));
	}
	CR_LOWER(crcp_lower.MPI_Group_free(&all));
	*ret_real = real;
	return r == MPI_SUCCESS ? 0 : -EINVAL;
}

static int rebuild_intra(struct crcp_comm *c, MPI_Comm *ret_real)
{
	MPI_Comm plain, real;
	int r = crcp_comm_make_plain(c->recipe->local_ranks, c->size, &plain);

	if (r < 0 || c->recipe->topology == CRCP_TOPO_NONE) {
		*ret_real = plain;
		return r;
	}
	r = crcp_comm_put_topology(c, plain, &real);
	CR_LOWER(crcp_lower.MPI_Comm_free(&plain));
	*ret_real = real;
	return r;
}

static int rebuild_inter(struct crcp_comm *c, MPI_Comm *ret_real)
{
	const struct crcp_comm_recipe *recipe = c->recipe;
	MPI_Comm bridge = (MPI_Comm)crcp.real_private_comm, local, real = NULL;
	int leader = recipe->remote_ranks[0];
	int r = crcp_comm_make_plain(recipe->local_ranks, c->size, &local);

	if (r < 0)
		return r;
	r = CR_LOWER(crcp_lower.MPI_Intercomm_create(local, 0, bridge, leader, REBUILD_TAG, &real));
	CR_LOWER(crcp_lower.MPI_Comm_free(&local));
	*ret_real = real;
	return r == MPI_SUCCESS ? 0 : -EINVAL;
}

static void put_name_and_info(struct crcp_comm *c)
{
	MPI_Comm real = (MPI_Comm)c->h.real;
	const char *name = c->recipe->name;
	MPI_Info info;

	if (c->recipe->named)
		CR_LOWER(crcp_lower.MPI_Comm_set_name(real, name));
	if (c->recipe->info) {
		info = crcp_info_real((MPI_Info)(void *)c->recipe->info);
		CR_LOWER(crcp_lower.MPI_Comm_set_info(real, info));
	}
}

int crcp_comm_rebuild_all(void)
{
	struct crcp_comm **v;
	int n = 0, r = 0;

	for (struct crcp_comm *c = crcp.comms; c; c = c->next)
		n++;
	v = crcp_alloc((size_t)n * sizeof(struct crcp_comm *) + 1);
	if (!v)
		return -ENOMEM;
	n = 0;
	for (struct crcp_comm *c = crcp.comms; c; c = c->next) {
		crcp_types_forget(c);
		v[n++] = c;
	}
	sort(v, n);
	for (int i = 0; i < n && r == 0; i++) {
		MPI_Comm real = (MPI_Comm)v[i]->h.real;

		if (!(v[i]->h.flags & CRCP_H_PREDEFINED)) /* those have their real one since the library was loaded */
			r = v[i]->recipe->inter ? rebuild_inter(v[i], &real) : rebuild_intra(v[i], &real);
		if (r == 0) {
			v[i]->h.real = real;
			crcp_comm_keep_handler(v[i]);
			put_name_and_info(v[i]);
		}
	}
	crcp_free(v);
	return r;
}

int crcp_rebuild_objects(void)
{
	int r;

	crcp_infos_drop_real();
	r = crcp_errors_rebuild();
	if (r == 0)
		r = crcp_groups_rebuild();
	if (r == 0)
		r = crcp_datatypes_rebuild();
	if (r == 0)
		r = crcp_ops_rebuild();
	if (r == 0)
		r = crcp_comm_rebuild_all();
	if (r == 0)
		r = crcp_wins_rebuild();
	crcp_datareps_rebuild();
	if (r == 0)
		r = crcp_files_rebuild();
	return r;
}

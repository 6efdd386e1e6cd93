/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups: the real library computes them; the record keeps the members' ranks in MPI_COMM_WORLD, from which the group is made again.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>

static struct crcp_group *groups, *groups_tail; /* live, without the predefined ones */

static inline struct crcp_group *group_of(MPI_Group g) { return (struct crcp_group *)(void *)g; }

/* The real group of MPI_COMM_WORLD; freed by the caller. */
static MPI_Group real_world_group(void)
{
	MPI_Comm world = (MPI_Comm)crcp_real(MPI_COMM_WORLD);
	MPI_Group real = NULL;

	CR_LOWER(crcp_lower.MPI_Comm_group(world, &real));
	return real;
}

/* World ranks of the members of @real; NULL: out of memory. */
int *crcp_group_world_ranks(MPI_Group real, int size)
{
	int *own = crcp_alloc((size_t)size * sizeof(int) + 1), *world = crcp_alloc((size_t)size * sizeof(int) + 1);
	MPI_Group all;

	if (!own || !world) {
		crcp_free(own);
		crcp_free(world);
		return NULL;
	}
	for (int i = 0; i < size; i++)
		own[i] = i;
	all = real_world_group();
	CR_LOWER(crcp_lower.MPI_Group_translate_ranks(real, size, own, all, world));
	CR_LOWER(crcp_lower.MPI_Group_free(&all));
	crcp_free(own);
	return world;
}

MPI_Group crcp_group_adopt(MPI_Group real)
{
	struct crcp_group *g = crcp_predefined_find(CRCP_GROUP, real);

	if (g)
		return (MPI_Group)(void *)g;
	g = crcp_alloc(sizeof(*g));
	if (!g)
		return NULL;
	g->h = (struct crcp_handle){ .real = real, .kind = CRCP_GROUP, .fint = -1, .refs = 1 };
	g->ompi_fint = -1;
	CR_LOWER(crcp_lower.MPI_Group_size(real, &g->size));
	g->world_ranks = crcp_group_world_ranks(real, g->size);
	if (!g->world_ranks) {
		crcp_free(g);
		return NULL;
	}
	crcp_abi_lock();
	g->prev = groups_tail;
	if (groups_tail)
		groups_tail->next = g;
	else
		groups = g;
	groups_tail = g;
	crcp_abi_unlock();
	/* the Fortran library takes the index of a new group from the record, without asking for it */
	crcp_fint_assign(&g->h);
	return (MPI_Group)(void *)g;
}

int crcp_groups_rebuild(void)
{
	MPI_Group all = real_world_group();
	int r = 0;

	for (struct crcp_group *g = groups; g && r == 0; g = g->next) {
		MPI_Group real = NULL;
		int n = g->size;
		const int *ranks = g->world_ranks;

		/* processes of another job are gone: using their group is an error from now on */
		if (crcp_ranks_are_foreign(ranks, n))
			real = (MPI_Group)crcp_real(MPI_GROUP_NULL);
		else if (CR_LOWER(crcp_lower.MPI_Group_incl(all, n, ranks, &real)) != MPI_SUCCESS)
			r = -EINVAL;
		g->h.real = real;
	}
	CR_LOWER(crcp_lower.MPI_Group_free(&all));
	return r;
}

void crcp_groups_init_predefined(void)
{
	struct crcp_group *empty = (struct crcp_group *)(void *)MPI_GROUP_EMPTY;

	empty->ompi_fint = empty->h.fint;
	empty->size = 0;
}

/* Finish a call that made a group below. */
static int group_result(int r, MPI_Group real, MPI_Group *ret_group, const char *function)
{
	MPI_Group made = NULL;

	if (r == MPI_SUCCESS) {
		made = crcp_group_adopt(real);
		if (!made)
			r = MPI_ERR_NO_MEM;
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(NULL, r, function);
	*ret_group = made;
	return MPI_SUCCESS;
}

#define GROUP_OF_TWO(name)                                                                              \
	CRCP_API(int, MPI_Group_##name, (MPI_Group a, MPI_Group b, MPI_Group *ret_group))               \
	{                                                                                               \
		MPI_Group real_a, real_b, real = NULL;                                                  \
		int r;                                                                                  \
                                                                                                        \
		crcp_call_begin();                                                                      \
		real_a = CRCP_REAL(MPI_Group, a);                                                       \
		real_b = CRCP_REAL(MPI_Group, b);                                                       \
		r = CR_LOWER(crcp_lower.MPI_Group_##name(real_a, real_b, ret_group ? &real : NULL));    \
		return group_result(r, real, ret_group, "MPI_Group_" #name);                            \
	}
GROUP_OF_TWO(union)
GROUP_OF_TWO(intersection)
GROUP_OF_TWO(difference)

#define GROUP_OF_RANKS(name, type, ranks)                                                               \
	CRCP_API(int, MPI_Group_##name, (MPI_Group group, int n, type ranks, MPI_Group *ret_group))     \
	{                                                                                               \
		MPI_Group real_group, real = NULL;                                                      \
		int r;                                                                                  \
                                                                                                        \
		crcp_call_begin();                                                                      \
		real_group = CRCP_REAL(MPI_Group, group);                                               \
		r = CR_LOWER(crcp_lower.MPI_Group_##name(real_group, n, list, ret_group ? &real : NULL)); \
		return group_result(r, real, ret_group, "MPI_Group_" #name);                            \
	}
GROUP_OF_RANKS(incl, const int, list[])
GROUP_OF_RANKS(excl, const int, list[])
GROUP_OF_RANKS(range_incl, int, list[][3])
GROUP_OF_RANKS(range_excl, int, list[][3])

#define GROUP_OF_COMM(name)                                                                             \
	CRCP_API(int, MPI_Comm_##name, (MPI_Comm comm, MPI_Group *ret_group))                           \
	{                                                                                               \
		MPI_Comm real_comm;                                                                     \
		MPI_Group real = NULL;                                                                  \
		int r;                                                                                  \
                                                                                                        \
		crcp_call_begin();                                                                      \
		real_comm = CRCP_REAL(MPI_Comm, comm);                                                  \
		r = CR_LOWER(crcp_lower.MPI_Comm_##name(real_comm, ret_group ? &real : NULL));          \
		return group_result(r, real, ret_group, "MPI_Comm_" #name);                             \
	}
GROUP_OF_COMM(group)
GROUP_OF_COMM(remote_group)

CRCP_API(int, MPI_Group_size, (MPI_Group group, int *size))
{
	MPI_Group real;
	int r;

	if (crcp_is_live(group) && size && crcp_is_up()) {
		*size = group_of(group)->size;
		return MPI_SUCCESS;
	}
	crcp_call_begin();
	real = CRCP_REAL(MPI_Group, group);
	r = CR_LOWER(crcp_lower.MPI_Group_size(real, size));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Group_size");
}

CRCP_API(int, MPI_Group_rank, (MPI_Group group, int *rank))
{
	MPI_Group real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Group, group);
	r = CR_LOWER(crcp_lower.MPI_Group_rank(real, rank));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Group_rank");
}

CRCP_API(int, MPI_Group_free, (MPI_Group * group))
{
	struct crcp_group *g = group ? group_of(*group) : NULL;
	MPI_Group real;
	int r;

	crcp_call_begin();
	if (g && (g->h.flags & CRCP_H_PREDEFINED) && !(g->h.flags & CRCP_H_NULL)) {
		r = MPI_SUCCESS; /* MPI_GROUP_EMPTY may be freed; it stays */
	} else {
		real = g ? (MPI_Group)g->h.real : NULL;
		r = CR_LOWER(crcp_lower.MPI_Group_free(&real));
		if (r == MPI_SUCCESS && g) {
			crcp_fint_release(&g->h);
			crcp_abi_lock();
			if (g->prev)
				g->prev->next = g->next;
			else
				groups = g->next;
			if (g->next)
				g->next->prev = g->prev;
			else
				groups_tail = g->prev;
			crcp_abi_unlock();
			crcp_free(g->world_ranks);
			crcp_free(g);
		}
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(NULL, r, "MPI_Group_free");
	*group = MPI_GROUP_NULL;
	return MPI_SUCCESS;
}

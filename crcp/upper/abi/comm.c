/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Communicators: the calls that make, free and ask them.  Making one is a collective call on the parent and runs natively; the record
 * is complete before the call ends, so that a stop that is served there finds it.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

/* The communicator whose handler and clock stand for @comm when it may be invalid. */
static struct crcp_comm *valid(MPI_Comm comm)
{
	return crcp_is_live(comm) ? crcp_comm(comm) : NULL;
}

static int fail(MPI_Comm comm, int code, const char *function)
{
	return crcp_error(valid(comm), code, function);
}

/* ---- questions, answered from the record ---- */
#define QUESTION(name, out, answer, possible)                                                     \
	CRCP_API(int, MPI_Comm_##name, (MPI_Comm comm, int *out))                                 \
	{                                                                                         \
		MPI_Comm real;                                                                    \
		int r;                                                                            \
                                                                                                  \
		if (__builtin_expect(crcp_is_live(comm) && (out) && crcp_is_up() && (possible), 1)) { \
			*out = (answer);                                                          \
			return MPI_SUCCESS;                                                       \
		}                                                                                 \
		crcp_call_begin();                                                                \
		real = CRCP_REAL(MPI_Comm, comm);                                                 \
		r = CR_LOWER(crcp_lower.MPI_Comm_##name(real, out));                              \
		crcp_call_end();                                                                  \
		return r == MPI_SUCCESS ? r : fail(comm, r, "MPI_Comm_" #name);                   \
	}
QUESTION(rank, rank, crcp_comm(comm)->rank, true)
QUESTION(size, size, crcp_comm(comm)->size, true)
QUESTION(test_inter, flag, crcp_comm(comm)->recipe->inter, true)
QUESTION(remote_size, size, crcp_comm(comm)->remote_size, crcp_comm(comm)->recipe->inter)

/* ---- making ---- */
/* The end of every call that made a communicator below; @parent is valid when @r is MPI_SUCCESS. */
static int made(MPI_Comm parent, int r, MPI_Comm real, MPI_Comm *ret_comm, const char *function)
{
	struct crcp_comm *c = NULL;

	if (r == MPI_SUCCESS) {
		c = crcp_comm_adopt(crcp_comm(parent), real, CRCP_ID_DERIVED);
		if (!c)
			r = MPI_ERR_NO_MEM;
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return fail(parent, r, function);
	*ret_comm = crcp_comm_handle(c);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Comm_create, (MPI_Comm comm, MPI_Group group, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	MPI_Group real_group;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	real_group = CRCP_REAL(MPI_Group, group);
	r = CR_LOWER(crcp_lower.MPI_Comm_create(parent, real_group, newcomm ? &real : NULL));
	return made(comm, r, real, newcomm, "MPI_Comm_create");
}

CRCP_API(int, MPI_Comm_split, (MPI_Comm comm, int color, int key, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Comm_split(parent, color, key, newcomm ? &real : NULL));
	return made(comm, r, real, newcomm, "MPI_Comm_split");
}

CRCP_API(int, MPI_Comm_split_type, (MPI_Comm comm, int split_type, int key, MPI_Info info, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	MPI_Info real_info;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_Comm_split_type(parent, split_type, key, real_info, newcomm ? &real : NULL));
	return made(comm, r, real, newcomm, "MPI_Comm_split_type");
}

/* Attributes are copied after the real dup: their functions may use the new communicator. */
static int dup_attributes(MPI_Comm from, MPI_Comm to, const char *function)
{
	int r = crcp_attrs_copy((void *)from, (void *)to);

	return r == MPI_SUCCESS ? r : crcp_error(valid(from), r, function);
}

static void keep_info(MPI_Comm comm, MPI_Info info)
{
	struct crcp_comm_recipe *recipe = crcp_comm(comm)->recipe;

	if (!crcp_is_live(info) || ((struct crcp_handle *)(void *)info)->flags & CRCP_H_PREDEFINED)
		return;
	if (recipe->info)
		crcp_info_destroy(recipe->info);
	recipe->info = crcp_info_copy((struct crcp_info *)(void *)info);
}

static void inherit_info(MPI_Comm from, MPI_Comm to)
{
	struct crcp_info *info = crcp_comm(from)->recipe->info;

	if (info)
		crcp_comm(to)->recipe->info = crcp_info_copy(info);
}

CRCP_API(int, MPI_Comm_dup, (MPI_Comm comm, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent, dup = MPI_COMM_NULL;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Comm_dup(parent, newcomm ? &real : NULL));
	r = made(comm, r, real, &dup, "MPI_Comm_dup");
	if (r != MPI_SUCCESS)
		return r;
	crcp_call_begin();
	inherit_info(comm, dup);
	crcp_call_end();
	r = dup_attributes(comm, dup, "MPI_Comm_dup");
	*newcomm = r == MPI_SUCCESS ? dup : MPI_COMM_NULL;
	return r;
}

CRCP_API(int, MPI_Comm_dup_with_info, (MPI_Comm comm, MPI_Info info, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent, dup = MPI_COMM_NULL;
	MPI_Info real_info;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_Comm_dup_with_info(parent, real_info, newcomm ? &real : NULL));
	r = made(comm, r, real, &dup, "MPI_Comm_dup_with_info");
	if (r != MPI_SUCCESS)
		return r;
	crcp_call_begin();
	keep_info(dup, info);
	crcp_call_end();
	r = dup_attributes(comm, dup, "MPI_Comm_dup_with_info");
	*newcomm = r == MPI_SUCCESS ? dup : MPI_COMM_NULL;
	return r;
}

/* When the real communicator of MPI_Comm_idup is there. */
static void idup_done(void *arg)
{
	struct crcp_comm *c = arg;

	c->coming = false;
	crcp_comm_keep_handler(c);
}

CRCP_API(int, MPI_Comm_idup, (MPI_Comm comm, MPI_Comm *newcomm, MPI_Request *request))
{
	struct crcp_comm *c = NULL, *p;
	const struct crcp_comm_recipe *from;
	MPI_Request real_request = NULL;
	MPI_Comm parent, *place;
	uint64_t child;
	int r;

	crcp_call_begin();
	crcp_enter_collective(comm);
	parent = CRCP_REAL(MPI_Comm, comm);
	p = valid(comm);
	if (!p) {
		MPI_Comm none = NULL;

		r = CR_LOWER(crcp_lower.MPI_Comm_idup(parent, &none, &real_request));
		crcp_call_end();
		return fail(comm, r, "MPI_Comm_idup");
	}
	c = crcp_comm_create_record(p);
	if (!c) {
		crcp_call_end();
		return crcp_error(p, MPI_ERR_NO_MEM, "MPI_Comm_idup");
	}
	c->coming = true;
	place = (MPI_Comm *)&c->h.real; /* the lower library writes it when it is done */
	r = CR_LOWER(crcp_lower.MPI_Comm_idup(parent, place, &real_request));
	if (r != MPI_SUCCESS) {
		crcp_comm_destroy(c);
		crcp_call_end();
		return fail(comm, r, "MPI_Comm_idup");
	}
	/* same members as the parent */
	from = p->recipe;
	c->rank = p->rank;
	c->size = p->size;
	c->remote_size = p->remote_size;
	c->recipe->inter = from->inter;
	c->recipe->foreign = from->foreign;
	c->recipe->local_ranks = crcp_dup(from->local_ranks, (size_t)p->size * sizeof(int));
	c->recipe->remote_ranks = crcp_dup(from->remote_ranks, from->inter ? (size_t)p->remote_size * sizeof(int) : 0);
	c->world_ranks = from->inter ? c->recipe->remote_ranks : c->recipe->local_ranks;
	crcp_comm_full(crcp_comm_handle(c))->local_group = crcp_comm_full(comm)->local_group;
	crcp_comm_full(crcp_comm_handle(c))->remote_group = crcp_comm_full(comm)->remote_group;
	crcp_comm_full(crcp_comm_handle(c))->ompi_local_group = &crcp_comm_full(crcp_comm_handle(c))->local_group;
	crcp_comm_full(crcp_comm_handle(c))->ompi_remote_group = &crcp_comm_full(crcp_comm_handle(c))->remote_group;
	crcp_comm_full(crcp_comm_handle(c))->ompi_flags = crcp_comm_full(comm)->ompi_flags & ~OMPI_COMM_FLAG_INTRINSIC;
	crcp_comm_inherit_topology(c, p);
	child = crcp_comm_child(p);
	c->clock_id = from->inter ? crcp_clock_id_inter(p->clock_id ^ child, c->recipe->local_ranks, c->size, c->recipe->remote_ranks,
							c->remote_size)
				  : crcp_clock_id(p->clock_id, child, c->recipe->local_ranks, c->size);
	inherit_info(comm, crcp_comm_handle(c));
	crcp_comm_publish(c);
	*request = crcp_request_wrap(real_request, 'i', p);
	crcp_request_set_hook(*request, idup_done, c);
	crcp_call_end();
	*newcomm = crcp_comm_handle(c);
	return dup_attributes(comm, *newcomm, "MPI_Comm_idup");
}

/* ---- freeing ---- */
static int comm_free(MPI_Comm *comm, bool disconnect, const char *function)
{
	struct crcp_comm *c = comm ? valid(*comm) : NULL;
	MPI_Comm real;
	int r;

	if (c && !(c->h.flags & CRCP_H_PREDEFINED)) {
		r = crcp_attrs_delete_all(c);
		if (r != MPI_SUCCESS)
			return crcp_error(c, r, function);
	}
	crcp_call_begin();
	if (c && !(c->h.flags & CRCP_H_PREDEFINED))
		crcp_collective_enter(c);
	real = comm ? CRCP_REAL(MPI_Comm, *comm) : NULL;
	r = disconnect ? CR_LOWER(crcp_lower.MPI_Comm_disconnect(&real)) : CR_LOWER(crcp_lower.MPI_Comm_free(&real));
	if (r == MPI_SUCCESS && c)
		crcp_comm_retire(c);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(c, r, function);
	*comm = MPI_COMM_NULL;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Comm_free, (MPI_Comm * comm))
{
	return comm_free(comm, false, "MPI_Comm_free");
}

CRCP_API(int, MPI_Comm_disconnect, (MPI_Comm * comm))
{
	return comm_free(comm, true, "MPI_Comm_disconnect");
}

/* ---- names and info ---- */
CRCP_API(int, MPI_Comm_set_name, (MPI_Comm comm, const char *name))
{
	MPI_Comm real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Comm_set_name(real, name));
	if (r == MPI_SUCCESS && valid(comm)) {
		struct crcp_comm_recipe *recipe = crcp_comm(comm)->recipe;

		strncpy(recipe->name, name, sizeof(recipe->name) - 1);
		recipe->named = 1;
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : fail(comm, r, "MPI_Comm_set_name");
}

CRCP_API(int, MPI_Comm_get_name, (MPI_Comm comm, char *name, int *length))
{
	MPI_Comm real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Comm_get_name(real, name, length));
	/* a name that the real library made up from its own number is not the same after a restart: the program sees the one it set */
	if (r == MPI_SUCCESS && valid(comm) && crcp_comm(comm)->recipe->named) {
		strcpy(name, crcp_comm(comm)->recipe->name);
		*length = (int)strlen(name);
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : fail(comm, r, "MPI_Comm_get_name");
}

CRCP_API(int, MPI_Comm_set_info, (MPI_Comm comm, MPI_Info info))
{
	MPI_Comm real;
	MPI_Info real_info;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_Comm_set_info(real, real_info));
	if (r == MPI_SUCCESS && valid(comm))
		keep_info(comm, info);
	crcp_call_end();
	return r == MPI_SUCCESS ? r : fail(comm, r, "MPI_Comm_set_info");
}

CRCP_API(int, MPI_Comm_get_info, (MPI_Comm comm, MPI_Info *info))
{
	MPI_Comm real;
	MPI_Info real_info = NULL, copy = NULL;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Comm, comm);
	r = CR_LOWER(crcp_lower.MPI_Comm_get_info(real, info ? &real_info : NULL));
	if (r == MPI_SUCCESS)
		copy = crcp_info_adopt(real_info);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return fail(comm, r, "MPI_Comm_get_info");
	*info = copy;
	return MPI_SUCCESS;
}

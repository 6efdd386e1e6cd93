/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Communicators that are not made by all members of one parent: MPI_Comm_create_group, MPI_Intercomm_create and _merge, and the ones that
 * reach other jobs (spawn, connect, accept, join), which run natively and cannot be saved while they last.
 *
 * The members of a new inter-communicator have no communicator in common on which they could count a collective call.  So the leaders
 * first tell each other who is there, by messages of the program's kind, in which a rank can be stopped; then all members count one
 * collective of their own, and only then the native call, which cannot be interrupted, is entered.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

static struct crcp_comm *valid(MPI_Comm comm)
{
	return crcp_is_live(comm) ? crcp_comm(comm) : NULL;
}

static int adopt(MPI_Comm parent, int r, MPI_Comm real, MPI_Comm *ret_comm, const char *function)
{
	struct crcp_comm *c = NULL;

	if (r == MPI_SUCCESS) {
		c = crcp_comm_adopt(crcp_comm(parent), real, CRCP_ID_AGREED);
		if (!c)
			r = MPI_ERR_NO_MEM;
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(valid(parent), r, function);
	*ret_comm = crcp_comm_handle(c);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Comm_create_group, (MPI_Comm comm, MPI_Group group, int tag, MPI_Comm *newcomm))
{
	const struct crcp_group *g = (const struct crcp_group *)(const void *)group;
	struct crcp_comm *c = valid(comm);
	MPI_Comm real = NULL, parent;
	MPI_Group real_group;
	int r;

	crcp_call_begin();
	if (c && crcp_is_live(group) && g->size > 0)
		crcp_group_collective_enter(crcp_clock_id(c->clock_id, ~(uint64_t)(unsigned int)tag, g->world_ranks, g->size), g->world_ranks, g->size);
	parent = CRCP_REAL(MPI_Comm, comm);
	real_group = CRCP_REAL(MPI_Group, group);
	r = CR_LOWER(crcp_lower.MPI_Comm_create_group(parent, real_group, tag, newcomm ? &real : NULL));
	return adopt(comm, r, real, newcomm, "MPI_Comm_create_group");
}

/* What the leaders tell each other: the first is a size, then that many world ranks. */
static int *exchange_groups(struct crcp_comm *local, int leader, MPI_Comm bridge, int remote_leader, int tag, int *ret_n, int *ret_code)
{
	const int *own = local->recipe->local_ranks;
	int n = 0, r = MPI_SUCCESS, *remote;

	if (local->rank == leader)
		r = PMPI_Sendrecv(&local->size, 1, MPI_INT, remote_leader, tag, &n, 1, MPI_INT, remote_leader, tag, bridge, MPI_STATUS_IGNORE);
	if (r == MPI_SUCCESS)
		r = PMPI_Bcast(&n, 1, MPI_INT, leader, crcp_comm_handle(local));
	*ret_code = r;
	if (r != MPI_SUCCESS)
		return NULL;
	crcp_call_begin();
	remote = crcp_alloc((size_t)n * sizeof(int) + 1);
	crcp_call_end();
	if (!remote) {
		*ret_code = crcp_error(local, MPI_ERR_NO_MEM, "MPI_Intercomm_create");
		return NULL;
	}
	if (local->rank == leader)
		r = PMPI_Sendrecv(own, local->size, MPI_INT, remote_leader, tag, remote, n, MPI_INT, remote_leader, tag, bridge, MPI_STATUS_IGNORE);
	if (r == MPI_SUCCESS)
		r = PMPI_Bcast(remote, n, MPI_INT, leader, crcp_comm_handle(local));
	*ret_code = r;
	*ret_n = n;
	return remote;
}

CRCP_API(int, MPI_Intercomm_create, (MPI_Comm local_comm, int local_leader, MPI_Comm bridge, int remote_leader, int tag, MPI_Comm *newcomm))
{
	struct crcp_comm *local = valid(local_comm);
	MPI_Comm real = NULL, real_local, real_bridge;
	int *remote = NULL, *all, n = 0, r;
	uint64_t id;

	/* arguments that are wrong are judged below */
	if (local && local_leader >= 0 && local_leader < local->size && tag >= 0) {
		remote = exchange_groups(local, local_leader, bridge, remote_leader, tag, &n, &r);
		if (r != MPI_SUCCESS)
			return r;
	}
	crcp_call_begin();
	if (remote) {
		id = crcp_clock_id_inter(CRCP_CLOCK_WORLD ^ (uint64_t)(unsigned int)tag << 32, local->recipe->local_ranks, local->size, remote, n);
		all = crcp_alloc((size_t)(n + local->size) * sizeof(int));
		if (all) {
			memcpy(all, local->recipe->local_ranks, (size_t)local->size * sizeof(int));
			memcpy(all + local->size, remote, (size_t)n * sizeof(int));
			crcp_group_collective_enter(id, all, n + local->size);
			crcp_free(all);
		}
		crcp_free(remote);
	}
	real_local = CRCP_REAL(MPI_Comm, local_comm);
	real_bridge = CRCP_REAL(MPI_Comm, bridge);
	r = CR_LOWER(crcp_lower.MPI_Intercomm_create(real_local, local_leader, real_bridge, remote_leader, tag, newcomm ? &real : NULL));
	return adopt(local_comm, r, real, newcomm, "MPI_Intercomm_create");
}

CRCP_API(int, MPI_Intercomm_merge, (MPI_Comm intercomm, int high, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL, parent;
	int r;

	crcp_call_begin();
	crcp_enter_collective(intercomm);
	parent = CRCP_REAL(MPI_Comm, intercomm);
	r = CR_LOWER(crcp_lower.MPI_Intercomm_merge(parent, high, newcomm ? &real : NULL));
	return adopt(intercomm, r, real, newcomm, "MPI_Intercomm_merge");
}

/* ---- other jobs ---- */
/* The job that spawned this one, at MPI_Init: known, and marked, from the beginning. */
static struct crcp_comm *parent_comm;

void crcp_comm_parent_init(void)
{
	MPI_Comm real = NULL;

	if (CR_LOWER(crcp_lower.MPI_Comm_get_parent(&real)) == MPI_SUCCESS && real != crcp_real(MPI_COMM_NULL))
		parent_comm = crcp_comm_adopt(crcp_comm(MPI_COMM_WORLD), real, CRCP_ID_AGREED);
}

/* It is being freed. */
void crcp_comm_parent_forget(const struct crcp_comm *c)
{
	if (c == parent_comm)
		parent_comm = NULL;
}

CRCP_API(int, MPI_Comm_get_parent, (MPI_Comm * parent))
{
	if (!crcp_is_up() || !parent)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Comm_get_parent");
	*parent = parent_comm ? crcp_comm_handle(parent_comm) : MPI_COMM_NULL;
	return MPI_SUCCESS;
}

/* A call of its own: a stop that came here under the lock of the marks would wait for itself. */
static void mark_drop(void)
{
	crcp_call_begin();
	crcp_nocr_drop(CRCP_NOCR_FOREIGN);
	crcp_call_end();
}

#define REACH_OUT(name, params, lower_args)                                                     \
	CRCP_API(int, MPI_Comm_##name, params)                                                  \
	{                                                                                       \
		MPI_Comm real = NULL, real_comm;                                                \
		MPI_Info real_info;                                                             \
		int r;                                                                          \
                                                                                                \
		crcp_call_begin();                                                              \
		crcp_nocr_add(CRCP_NOCR_FOREIGN, crcp_nocr_foreign_text);                       \
		crcp_enter_collective(comm);                                                    \
		real_comm = CRCP_REAL(MPI_Comm, comm);                                          \
		real_info = crcp_info_real(info);                                               \
		r = CR_LOWER(crcp_lower.MPI_Comm_##name lower_args);                            \
		r = adopt(comm, r, real, newcomm, "MPI_Comm_" #name);                           \
		mark_drop();                                                                    \
		return r;                                                                       \
	}
REACH_OUT(accept, (const char *port, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm), (port, real_info, root, real_comm, &real))
REACH_OUT(connect, (const char *port, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm), (port, real_info, root, real_comm, &real))
REACH_OUT(spawn,
	  (const char *command, char *argv[], int maxprocs, MPI_Info info, int root, MPI_Comm comm, MPI_Comm *newcomm, int array_of_errcodes[]),
	  (command, argv, maxprocs, real_info, root, real_comm, &real, array_of_errcodes))

CRCP_API(int, MPI_Comm_spawn_multiple,
	 (int count, char *commands[], char **argvs[], const int maxprocs[], const MPI_Info infos[], int root, MPI_Comm comm, MPI_Comm *newcomm,
	  int array_of_errcodes[]))
{
	MPI_Comm real = NULL, real_comm;
	const MPI_Info *real_infos = infos;
	MPI_Info *made = NULL;
	int r;

	crcp_call_begin();
	crcp_nocr_add(CRCP_NOCR_FOREIGN, crcp_nocr_foreign_text);
	crcp_enter_collective(comm);
	real_comm = CRCP_REAL(MPI_Comm, comm);
	if (valid(comm) && crcp_comm(comm)->rank == root && count > 0 && infos) {
		made = crcp_alloc((size_t)count * sizeof(*made));
		for (int i = 0; made && i < count; i++)
			made[i] = crcp_info_real(infos[i]);
		real_infos = made;
	}
	r = CR_LOWER(crcp_lower.MPI_Comm_spawn_multiple(count, commands, argvs, maxprocs, real_infos, root, real_comm, &real, array_of_errcodes));
	crcp_free(made);
	r = adopt(comm, r, real, newcomm, "MPI_Comm_spawn_multiple");
	mark_drop();
	return r;
}

CRCP_API(int, MPI_Comm_join, (int fd, MPI_Comm *newcomm))
{
	MPI_Comm real = NULL;
	int r;

	crcp_call_begin();
	crcp_nocr_add(CRCP_NOCR_FOREIGN, crcp_nocr_foreign_text);
	r = CR_LOWER(crcp_lower.MPI_Comm_join(fd, newcomm ? &real : NULL));
	r = adopt(MPI_COMM_SELF, r, real, newcomm, "MPI_Comm_join");
	mark_drop();
	return r;
}

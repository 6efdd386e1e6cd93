/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of communicators: what a new real communicator is, who is in it, and what is needed to make it again.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

const char crcp_nocr_foreign_text[] = "a communicator has members outside MPI_COMM_WORLD (MPI_Comm_spawn, connect, accept or join): it is not saved yet";

static struct crcp_comm *comms_tail;

static void comm_link(struct crcp_comm *c)
{
	crcp_abi_lock();
	c->prev = comms_tail;
	c->next = NULL;
	if (comms_tail)
		comms_tail->next = c;
	else
		crcp.comms = c;
	comms_tail = c;
	crcp_abi_unlock();
}

static void comm_unlink(struct crcp_comm *c)
{
	crcp_abi_lock();
	if (c->prev)
		c->prev->next = c->next;
	else
		crcp.comms = c->next;
	if (c->next)
		c->next->prev = c->prev;
	else
		comms_tail = c->prev;
	crcp_abi_unlock();
}

bool crcp_ranks_are_foreign(const int *ranks, int n)
{
	for (int i = 0; i < n; i++)
		if (ranks[i] == MPI_UNDEFINED)
			return true;
	return false;
}

/* Groups and sizes, as the real communicator tells them. */
static int comm_keep_groups(struct crcp_comm *c, MPI_Comm real)
{
	struct crcp_comm_full *full = (struct crcp_comm_full *)(void *)c;
	struct crcp_comm_recipe *recipe = c->recipe;
	MPI_Group group = NULL;

	CR_LOWER(crcp_lower.MPI_Comm_rank(real, &c->rank));
	CR_LOWER(crcp_lower.MPI_Comm_size(real, &c->size));
	CR_LOWER(crcp_lower.MPI_Comm_test_inter(real, &recipe->inter));
	CR_LOWER(crcp_lower.MPI_Comm_group(real, &group));
	recipe->local_ranks = crcp_group_world_ranks(group, c->size);
	CR_LOWER(crcp_lower.MPI_Group_free(&group));
	if (recipe->inter) {
		CR_LOWER(crcp_lower.MPI_Comm_remote_size(real, &c->remote_size));
		CR_LOWER(crcp_lower.MPI_Comm_remote_group(real, &group));
		recipe->remote_ranks = crcp_group_world_ranks(group, c->remote_size);
		CR_LOWER(crcp_lower.MPI_Group_free(&group));
	}
	if (!recipe->local_ranks || (recipe->inter && !recipe->remote_ranks))
		return MPI_ERR_NO_MEM;
	c->world_ranks = recipe->inter ? recipe->remote_ranks : recipe->local_ranks;
	recipe->foreign = crcp_ranks_are_foreign(recipe->local_ranks, c->size) || (recipe->inter && crcp_ranks_are_foreign(recipe->remote_ranks, c->remote_size));
	full->local_group.count = c->size;
	full->remote_group.count = recipe->inter ? c->remote_size : c->size;
	full->ompi_local_group = &full->local_group;
	full->ompi_remote_group = &full->remote_group;
	if (recipe->inter)
		full->ompi_flags |= OMPI_COMM_FLAG_INTER;
	return MPI_SUCCESS;
}

void crcp_comm_world_ranks(struct crcp_comm *c)
{
	if (!c->recipe->local_ranks)
		comm_keep_groups(c, (MPI_Comm)c->h.real);
}

void crcp_comm_keep_handler(struct crcp_comm *c)
{
	MPI_Comm real = (MPI_Comm)c->h.real;
	MPI_Errhandler handler = crcp_real_handler_for(c->errhandler);

	CR_LOWER(crcp_lower.MPI_Comm_set_errhandler(real, handler));
}

/* The record of a communicator whose real one may still be on its way (MPI_Comm_idup). */
struct crcp_comm *crcp_comm_create_record(struct crcp_comm *parent)
{
	struct crcp_comm_full *full = crcp_alloc(OMPI_COMM_BYTES);
	struct crcp_comm_recipe *recipe = crcp_alloc(sizeof(*recipe));

	if (!full || !recipe) {
		crcp_free(full);
		crcp_free(recipe);
		return NULL;
	}
	full->c.h = (struct crcp_handle){ .kind = CRCP_COMM, .fint = -1, .refs = 1 };
	full->c.recipe = recipe;
	full->c.errhandler = crcp_errhandler_of(&parent->errhandler, MPI_ERRORS_ARE_FATAL);
	return &full->c;
}

/* The record is complete: count on it from now on. */
void crcp_comm_publish(struct crcp_comm *c)
{
	comm_link(c);
	crcp_comm_init_counters(c);
	if (c->recipe->foreign)
		crcp_nocr_add(CRCP_NOCR_FOREIGN, crcp_nocr_foreign_text);
}

/*
 * A number that all members agree on and no other communicator has, from one that each group's first member makes up.  Both groups of an
 * inter-communicator learn both numbers and take the greater: the first reduction brings a group the other's, the second its own.
 */
static uint64_t comm_agree(MPI_Comm real, int inter, uint64_t number)
{
	MPI_Op max = (MPI_Op)crcp_real(MPI_MAX);
	MPI_Datatype type = (MPI_Datatype)crcp_real(MPI_UINT64_T);
	uint64_t own = 0, other = 0;
	int rank = 0, world = 0;
	MPI_Comm world_comm = (MPI_Comm)crcp_real(MPI_COMM_WORLD);

	CR_LOWER(crcp_lower.MPI_Comm_rank(real, &rank));
	CR_LOWER(crcp_lower.MPI_Comm_rank(world_comm, &world));
	if (rank == 0)
		own = 1ULL << 63 | (uint64_t)(world + 1) << 32 | (number & 0xffffffff);
	if (!inter) {
		CR_LOWER(crcp_lower.MPI_Bcast(&own, 1, type, 0, real));
		return own;
	}
	CR_LOWER(crcp_lower.MPI_Allreduce(&own, &other, 1, type, max, real));
	CR_LOWER(crcp_lower.MPI_Allreduce(&other, &own, 1, type, max, real));
	return own > other ? own : other;
}

static uint64_t comm_id(const struct crcp_comm *parent, uint64_t child, struct crcp_comm *c, enum crcp_comm_id how)
{
	static uint64_t counter;
	const struct crcp_comm_recipe *recipe = c->recipe;
	uint64_t number = __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);

	if (recipe->foreign) /* the other side may run without us, and nothing is saved while it lasts: any number will do */
		return 1ULL << 62 | number;
	if (how == CRCP_ID_AGREED)
		return comm_agree((MPI_Comm)c->h.real, recipe->inter, number);
	if (recipe->inter)
		return crcp_clock_id_inter(parent->clock_id ^ child, recipe->local_ranks, c->size, recipe->remote_ranks, c->remote_size);
	return crcp_clock_id(parent->clock_id, child, recipe->local_ranks, c->size);
}

struct crcp_comm *crcp_comm_adopt(struct crcp_comm *parent, MPI_Comm real, enum crcp_comm_id how)
{
	uint64_t child = how == CRCP_ID_DERIVED ? crcp_comm_child(parent) : 0; /* counted where nothing came of it too: all members count alike */
	struct crcp_comm *c;
	void *null_comm = MPI_COMM_NULL;

	if (real == crcp_real(null_comm))
		return null_comm;
	c = crcp_comm_create_record(parent);
	if (!c)
		return NULL;
	c->h.real = real;
	if (comm_keep_groups(c, real) != MPI_SUCCESS) {
		crcp_comm_destroy(c);
		return NULL;
	}
	c->clock_id = comm_id(parent, child, c, how);
	crcp_comm_keep_handler(c);
	crcp_comm_keep_topology(c);
	crcp_comm_publish(c);
	return c;
}

void crcp_comm_world_init(struct crcp_comm *c, MPI_Comm real, uint64_t clock_id, const char *name)
{
	static struct crcp_comm_recipe recipes[2];

	c->recipe = &recipes[clock_id == CRCP_CLOCK_WORLD ? 0 : 1];
	c->h.real = real;
	c->errhandler = MPI_ERRORS_ARE_FATAL;
	c->clock_id = clock_id;
	strcpy(c->recipe->name, name);
	comm_keep_groups(c, real);
	comm_link(c);
	crcp_comm_init_counters(c);
}

/* Half-built records too. */
void crcp_comm_destroy(struct crcp_comm *c)
{
	struct crcp_comm_recipe *recipe = c->recipe;

	crcp_fint_release(&c->h);
	crcp_types_forget(c);
	if (recipe) {
		crcp_free(recipe->local_ranks);
		crcp_free(recipe->remote_ranks);
		for (int i = 0; i < 4; i++)
			crcp_free(recipe->topo[i]);
		if (recipe->info)
			crcp_info_destroy(recipe->info);
	}
	crcp_free(recipe);
	crcp_free(c);
}

/* Take a live communicator out of everything; its real one is gone already. */
void crcp_comm_retire(struct crcp_comm *c)
{
	crcp_comm_parent_forget(c);
	comm_unlink(c);
	crcp_comm_fini_counters(c);
	if (c->recipe->foreign)
		crcp_nocr_drop(CRCP_NOCR_FOREIGN);
	if (crcp_is_live((void *)c->errhandler)) {
		MPI_Errhandler handler = c->errhandler;

		PMPI_Errhandler_free(&handler);
	}
	crcp_comm_destroy(c);
}

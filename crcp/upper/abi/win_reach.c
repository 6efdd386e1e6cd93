/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ways from every rank of a window to every other: when it is made, and again after a restart, when the ranks may be on other nodes.
 *
 * A rank has a part: a page with its head, then the memory of MPI_Win_allocate. The parts of the ranks of a node are one object, so that
 * they work on each other's directly. Each rank maps its own part for itself: that is saved and keeps its address; and the whole once
 * more, at any address, for the others' parts: that is not. So each can come back on any node. A shared window is different, as
 * the program knows the addresses of all ranks' memory: its object is mapped once, each rank saves a share of it, and its ranks must be
 * together on a node again.
 *
 * Where the ranks of a node cannot open each other's objects, each is taken for alone on its node; where they may not look into each
 * other's memory, memory that is not in a part is reached like that of another node.
 */
#include "crcp/upper/abi/win.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/cr_remote.h"

#define PROBE 0x77696e646f777321ULL
static const volatile uint64_t probe = PROBE;

/* What every rank knows of the others. */
struct hello {
	uint64_t base, bytes;
	uint64_t probe;   /* address of a word with PROBE */
	uint64_t head_at;
	uint64_t offset;  /* of the part in the node's object */
	int disp_unit, pid, world;
	int node;         /* the world rank of the node's first rank in the window */
	int apart;        /* alloc_shared_noncontig */
	int pad;
};

static size_t whole_pages(size_t bytes)
{
	return (bytes + CR_PAGE_BYTES - 1) / CR_PAGE_BYTES * CR_PAGE_BYTES;
}

static size_t head_bytes(int size)
{
	return whole_pages((size_t)size * sizeof(struct crcp_win_head));
}

static struct hello *meet(MPI_Comm real, int size, const struct hello *mine)
{
	struct hello *all = crcp_alloc((size_t)size * sizeof(*all));
	MPI_Datatype byte = (MPI_Datatype)crcp_real(MPI_BYTE);
	int n = sizeof(*mine);
	bool ok = all != NULL;

	ok = crcp_win_all_agree(real, ok) && CR_LOWER(crcp_lower.MPI_Allgather(mine, n, byte, all, n, byte, real)) == MPI_SUCCESS;
	if (!ok) {
		crcp_free(all);
		return NULL;
	}
	return all;
}

void crcp_win_part_drop(struct crcp_win_own *o)
{
	if (o->part && o->is_far)
		crcp_win_far_hide(o);
	if (o->part)
		munmap(o->part, o->part_bytes);
	if (o->node)
		munmap(o->node, o->node_bytes);
	o->part = o->node = NULL;
}

/* ---- the parts of a node ---- */
static bool node_comm(MPI_Comm real, MPI_Comm *ret)
{
	MPI_Info info = (MPI_Info)crcp_real(MPI_INFO_NULL);

	*ret = NULL;
	return CR_LOWER(crcp_lower.MPI_Comm_split_type(real, MPI_COMM_TYPE_SHARED, 0, info, ret)) == MPI_SUCCESS;
}

/* Sets what @h says of the part. */
static bool share_with_node(struct crcp_win_own *o, MPI_Comm real, struct hello *h)
{
	MPI_Comm self = (MPI_Comm)crcp_real(MPI_COMM_SELF), node;
	MPI_Datatype type = (MPI_Datatype)crcp_real(MPI_INT);
	size_t offset = 0;
	int *first = &h->node;
	bool ok = node_comm(real, &node);

	*first = h->world;
	if (!crcp_win_all_agree(real, ok))
		return false;
	ok = crcp_win_map_parts(o, node, &offset) && CR_LOWER(crcp_lower.MPI_Bcast(first, 1, type, 0, node)) == MPI_SUCCESS;
	CR_LOWER(crcp_lower.MPI_Comm_free(&node));
	if (!crcp_win_all_agree(real, ok)) {
		if (o->node)
			munmap(o->node, o->node_bytes);
		o->node = NULL;
		h->node = h->world;
		ok = crcp_win_map_parts(o, self, &offset);
	}
	h->offset = offset;
	h->head_at = (uint64_t)(uintptr_t)o->part;
	return crcp_win_all_agree(real, ok);
}

/* May every rank look into the memory of the next one of its node? */
static bool can_look(const struct crcp_win_own *o, MPI_Comm real, const struct hello *all)
{
	uint64_t word = 0;
	int next = o->rank;
	bool ok;

	do
		next = (next + 1) % o->size;
	while (all[next].node != all[o->rank].node);
	ok = crcp_win_fetch(all[next].pid, all[next].probe, &word, sizeof(word)) == MPI_SUCCESS && word == PROBE;
	return crcp_win_all_agree(real, ok);
}

/* The same on all ranks: is there one that another one reaches by its service alone? */
static void place_peers(struct crcp_win_own *o, const struct hello *all, bool looks)
{
	bool mapped = crcp_win_has_memory(o);

	o->is_far = !mapped && !looks && o->size > 1;
	for (int i = 0; i < o->size; i++) {
		struct crcp_win_peer *p = &o->peers[i];
		bool near = all[i].node == all[o->rank].node;
		char *part = i == o->rank ? o->part : near ? o->node + all[i].offset : NULL;

		o->is_far = o->is_far || all[i].node != all[0].node;
		p->head = (struct crcp_win_head *)(void *)part;
		p->head_at = all[i].head_at;
		p->here = mapped && part ? part + CR_PAGE_BYTES : NULL;
		if (i == o->rank && o->flavor == MPI_WIN_FLAVOR_CREATE)
			p->here = (char *)(uintptr_t)all[i].base;
		p->base = mapped ? all[i].head_at + CR_PAGE_BYTES : all[i].base;
		p->far = i != o->rank && (!near || (!mapped && !looks));
	}
}

/* ---- services ---- */
static bool meet_services(struct crcp_win_own *o, MPI_Comm real)
{
	struct cr_remote_endpoint *all = crcp_alloc((size_t)o->size * sizeof(*all)), mine;
	MPI_Datatype byte = (MPI_Datatype)crcp_real(MPI_BYTE);
	struct cr_remote_endpoint *me = &mine;
	int n = sizeof(mine);
	bool ok;

	memset(&mine, 0, sizeof(mine));
	ok = all && crcp_win_far_start(me) && crcp_win_far_expose(o);
	ok = crcp_win_all_agree(real, ok) && CR_LOWER(crcp_lower.MPI_Allgather(me, n, byte, all, n, byte, real)) == MPI_SUCCESS;
	for (int i = 0; i < o->size && ok; i++)
		crcp_win_far_meet(o->peers[i].world, &all[i]);
	crcp_free(all);
	return crcp_win_all_agree(real, ok);
}

/* ---- shared windows ---- */
static bool is_one_node(MPI_Comm real)
{
	MPI_Comm node;
	int size = 0, here = -1;

	CR_LOWER(crcp_lower.MPI_Comm_size(real, &size));
	if (node_comm(real, &node)) {
		CR_LOWER(crcp_lower.MPI_Comm_size(node, &here));
		CR_LOWER(crcp_lower.MPI_Comm_free(&node));
	}
	return crcp_win_all_agree(real, here == size);
}

/* The object: all heads, then the ranks' memory. */
static bool reach_shared(struct crcp_win_own *o, MPI_Comm real, const struct hello *mine)
{
	size_t at = head_bytes(o->size);
	struct hello *all = is_one_node(real) ? meet(real, o->size, mine) : NULL;
	bool apart = false;

	if (!all)
		return false;
	for (int i = 0; i < o->size; i++)
		apart = apart || all[i].apart;
	for (int i = 0; i < o->size; i++) {
		o->peers[i].base = at; /* the start of the mapping is added later */
		at += apart ? whole_pages(all[i].bytes) : all[i].bytes;
	}
	o->part_bytes = whole_pages(at);
	o->part = crcp_win_map(real, o->rank, o->size, o->part_bytes, NULL);
	for (int i = 0; i < o->size && o->part; i++) {
		struct crcp_win_peer *p = &o->peers[i];

		p->here = o->part + p->base;
		p->base = (uint64_t)(uintptr_t)p->here;
		p->head = (struct crcp_win_head *)(void *)o->part + i;
		p->bytes = all[i].bytes;
		p->disp_unit = all[i].disp_unit;
		p->world = all[i].world;
	}
	crcp_free(all);
	return o->part != NULL;
}

/* ---- all of it ---- */
static bool reach(struct crcp_win_own *o, MPI_Comm real, struct hello *mine)
{
	struct hello *all;
	bool looks = true, ok;

	if (!share_with_node(o, real, mine))
		return false;
	all = meet(real, o->size, mine);
	if (!all)
		return false;
	for (int i = 0; i < o->size; i++) {
		o->peers[i].bytes = all[i].bytes;
		o->peers[i].disp_unit = all[i].disp_unit;
		o->peers[i].world = all[i].world;
		o->peers[i].pid = all[i].pid;
	}
	if (!crcp_win_has_memory(o))
		looks = can_look(o, real, all);
	place_peers(o, all, looks);
	crcp_free(all);
	ok = !o->is_far || meet_services(o, real);
	return ok;
}

static struct hello hello_of(uint64_t base, uint64_t bytes, int disp_unit, bool apart)
{
	struct hello h;

	memset(&h, 0, sizeof(h));
	h.base = base;
	h.bytes = bytes;
	h.probe = (uint64_t)(uintptr_t)&probe;
	h.disp_unit = disp_unit;
	h.apart = apart;
	h.pid = crcp_win_os_pid();
	h.world = crcp.board.world_rank;
	return h;
}

bool crcp_win_reach(struct crcp_win_own *o, MPI_Comm real, uint64_t base, uint64_t bytes, int disp_unit, bool apart)
{
	struct hello mine = hello_of(base, bytes, disp_unit, apart);

	if (o->flavor == MPI_WIN_FLAVOR_SHARED)
		return reach_shared(o, real, &mine);
	o->part_bytes = CR_PAGE_BYTES + (o->flavor == MPI_WIN_FLAVOR_ALLOCATE ? whole_pages(bytes) : 0);
	return reach(o, real, &mine);
}

/* ---- after a restart ---- */
/* By all ranks of @real, which agree that it is so. The reason is out before any of them ends, which would be the end of the others. */
static void complain(const struct crcp_win_own *o, MPI_Comm real, const char *reason)
{
	static const char text[] = "ompi-cr: an MPI window cannot be opened again: ";

	if (o->rank == 0) {
		(void)!write(2, text, sizeof(text) - 1);
		(void)!write(2, reason, strlen(reason));
	}
	crcp_win_all_agree(real, true);
}

static int rebuild_shared(struct crcp_win_own *o, MPI_Comm real)
{
	if (!is_one_node(real)) {
		complain(o, real, "it is one of MPI_Win_allocate_shared, and its ranks are not on one node any more; restart them on one\n");
		return -EREMOTE;
	}
	if (!crcp_win_map(real, o->rank, o->size, o->part_bytes, o->part)) {
		complain(o, real, "its shared memory cannot be made\n");
		return -ENOMEM;
	}
	return 0;
}

int crcp_win_rebuild(struct crcp_win_own *o)
{
	const struct crcp_win_peer *me = &o->peers[o->rank];
	MPI_Comm real = (MPI_Comm)o->comm->h.real;
	struct hello mine;

	if (!crcp_win_all_agree(real, crcp_win_os_init())) {
		complain(o, real, "the C library of the launcher lacks functions\n");
		return -ENOSYS;
	}
	if (o->flavor == MPI_WIN_FLAVOR_SHARED)
		return rebuild_shared(o, real);
	/* What is there instead of the others' parts is nobody's. */
	if (o->node)
		munmap(o->node, o->node_bytes);
	o->node = NULL;
	mine = hello_of(me->base, me->bytes, me->disp_unit, false);
	if (!reach(o, real, &mine)) {
		complain(o, real, "the memory of its ranks cannot be shared again, or their services of memory not be started\n");
		return -ENOMEM;
	}
	return 0;
}

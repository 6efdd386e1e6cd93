/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows are the layer's own: the real library has no part in them.
 *
 *   win_make.c   make, free                                      win_data.c   move and combine data
 *   win_reach.c  the ways from rank to rank, also after restarts win_calls.c  MPI_Put ... MPI_Rget_accumulate
 *   win_mem.c    memory that ranks share, memory of another rank win_sync.c   epochs: fence, post and start
 *   win_far.c    ranks that the services of memory lead to       win_lock.c   epochs: locks
 *   win.c        questions; windows of the real library
 *
 * An operation copies to or from the target's memory, which is mapped here too (allocated and shared windows, on one node), or is reached
 * through the kernel (process_vm_readv and its twin), or else through the target's memory service (libcr/cr_remote.h): a thread of its lower
 * half, so no target has to make progress. Those that go through a service may be under way when the call returns; whatever completes
 * them waits for the service's answer, and so does the drain: nothing is under way at a checkpoint, whatever epoch it arrives in. What a
 * restart must find is all in saved memory: the epochs in the record, the locks in pages that the ranks of a node share.
 *
 * A window over processes that are not of this job is the real library's and marks the process.
 */
#ifndef CRCP_WIN_H
#define CRCP_WIN_H

#include "crcp/upper/abi/objects.h"

/* ---- what others work on: at the head of a rank's part of the object that the ranks of a node share; one cache line ---- */
struct crcp_win_head {
	volatile uint64_t everybody; /* rank 0's alone: ranks that hold lock_all; in the upper half, ranks that hold an exclusive lock */
	volatile uint64_t lock;      /* holders of a shared lock; CRCP_WIN_EXCLUSIVE */
	volatile uint32_t combine;   /* held while an accumulate works on this rank's memory */
	char pad[44];
};
#define CRCP_WIN_EXCLUSIVE (1ULL << 63)
#define CRCP_WIN_ONE_EXCLUSIVE (1ULL << 32)

struct crcp_win_peer {
	uint64_t base;  /* in the peer's addresses */
	uint64_t bytes;
	char *here;     /* the same memory in ours; NULL: not mapped here */
	struct crcp_win_head *head; /* mapped here; NULL: only the peer's service reaches it */
	uint64_t head_at; /* in the peer's addresses */
	int disp_unit;
	int world;      /* rank in the world */
	int pid;        /* as the kernel has it; another one after a restart */
	bool far;       /* memory that is not mapped here is the service's matter */
};

struct crcp_win_attached {
	struct crcp_win_attached *next;
	uint64_t base, bytes;
};

/* Flags of a lock that this rank holds. */
#define CRCP_LOCK_SHARED 1u
#define CRCP_LOCK_EXCLUSIVE 2u
#define CRCP_LOCK_NOCHECK 4u

struct crcp_win_own {
	struct crcp_win_own *prev, *next; /* in the order of their communicators' ids */
	struct crcp_win *win;
	struct crcp_comm *comm; /* of the window alone: a duplicate of the one it was made over */
	int rank, size, flavor;
	struct crcp_win_peer *peers;
	char *part;             /* what this rank saves and finds at the same address: its head, its memory. A shared window: all ranks' */
	size_t part_bytes;      /* in pages */
	char *node;             /* the parts of all ranks of the node; NULL: a shared window, where they are the part */
	size_t node_bytes;
	bool is_far;            /* some peer is */
	struct crcp_info *info; /* NULL: none */
	struct crcp_win_attached *attached;
	/* epochs */
	uint8_t *locks;         /* [size] CRCP_LOCK_* */
	int n_locks;            /* changed atomically: threads may lock different ranks at the same time */
	unsigned int lock_all;  /* CRCP_LOCK_* */
	bool fence;
	bool started, start_silent; /* silent: with MPI_MODE_NOCHECK, nobody is told */
	bool posted, post_silent;
	int *start_ranks, n_start;
	int *post_ranks, n_post, n_completed;
};

static inline struct crcp_win *crcp_win(MPI_Win w) { return (struct crcp_win *)(void *)w; }
static inline MPI_Comm crcp_win_comm(const struct crcp_win_own *o) { return crcp_comm_handle(o->comm); }
/* NULL: the window is the real library's, or none. */
static inline struct crcp_win_own *crcp_win_own(MPI_Win w) { return crcp_is_live(w) ? crcp_win(w)->own : NULL; }

/* ---- the real library's calls on its own windows (plain_gen.c) ---- */
#define CRCP_NATIVE_HAND(ret, name, args)
#define CRCP_NATIVE_P2P(ret, name, args)
#define CRCP_NATIVE_LOCAL(ret, name, args)
#define CRCP_NATIVE_COLL(ret, name, args)
#define CRCP_NATIVE_ICOLL(ret, name, args)
#define CRCP_NATIVE_PCOLL(ret, name, args)
#define CRCP_NATIVE_FILE(ret, name, args)
#define CRCP_NATIVE_CFILE(ret, name, args)
#define CRCP_NATIVE_IFILE(ret, name, args)
#define CRCP_NATIVE_ICFILE(ret, name, args)
#define CRCP_NATIVE_TOOL(ret, name, args)
#define CRCP_NATIVE_WIN(ret, name, args) ret crcp_native_##name args;
#define CRCP_NATIVE_IWIN(ret, name, args) ret crcp_native_##name args;
#define CRCP_CALL(class, ret, name, args) CRCP_NATIVE_##class(ret, name, args)
#include "crcp/mpi_calls.def"
#undef CRCP_CALL

/* ---- win_mem.c: inside a call ---- */
/* The functions of the lower half that this file uses: at first use and again after a restart. */
bool crcp_win_os_init(void);
int crcp_win_os_pid(void);
void *crcp_lower_find(const char *name); /* a function of the lower half */
/* The ranks of @real agree: true when @ok is true on all. */
bool crcp_win_all_agree(MPI_Comm real, bool ok);
/* One object of @bytes, mapped by all ranks of @real: at @at in place of what is there, which is copied first, or (NULL) anywhere.
 * Collective; on all or on none. NULL: it failed somewhere. */
void *crcp_win_map(MPI_Comm real, int rank, int size, size_t bytes, void *at);
/* One object with a part of every rank of @node, ours of o->part_bytes: mapped at o->part (in place of what is there, which is copied first;
 * NULL: anywhere), and the whole at o->node. Collective; on all or on none. @ret_offset: of our part in the whole. */
bool crcp_win_map_parts(struct crcp_win_own *o, MPI_Comm node, size_t *ret_offset);
/* Memory at address @from (@to) of process @pid. MPI error code. */
int crcp_win_fetch(int pid, uint64_t from, void *to, size_t bytes);
int crcp_win_store(int pid, uint64_t to, const void *from, size_t bytes);

/* ---- win_reach.c: inside a call ---- */
/* The ways to the other ranks of a new window, whose part is made and mapped with them. Collective over @real; on all or on none. */
bool crcp_win_reach(struct crcp_win_own *o, MPI_Comm real, uint64_t base, uint64_t bytes, int disp_unit, bool apart);
void crcp_win_part_drop(struct crcp_win_own *o);
int crcp_win_rebuild(struct crcp_win_own *o); /* after a restart: 0 or a negative errno */
static inline bool crcp_win_has_memory(const struct crcp_win_own *o)
{
	return o->flavor == MPI_WIN_FLAVOR_ALLOCATE || o->flavor == MPI_WIN_FLAVOR_SHARED;
}

/* ---- win_far.c: inside a call. MPI error codes ---- */
struct cr_remote_run;
struct cr_remote_endpoint;
struct crcp_win_data;
/* Our service runs (it is started), and tells where it is. */
bool crcp_win_far_start(struct cr_remote_endpoint *ret);
void crcp_win_far_meet(int world, const struct cr_remote_endpoint *e);
bool crcp_win_far_expose(const struct crcp_win_own *o);
void crcp_win_far_hide(const struct crcp_win_own *o);
int crcp_win_far_put(const struct crcp_win_peer *p, uint64_t at, const struct crcp_win_data *t, const void *packed);
int crcp_win_far_get(const struct crcp_win_peer *p, uint64_t at, const struct crcp_win_data *t, void *packed);
/* @packed in typemap order of @t; @old (NULL: not wanted) likewise. @leaf NULL: as bytes (MPI_REPLACE, MPI_NO_OP). */
int crcp_win_far_combine(const struct crcp_win_peer *p, uint64_t at, const struct crcp_win_data *t, const void *packed, void *old, MPI_Datatype leaf,
			 MPI_Op op);
int crcp_win_far_swap(const struct crcp_win_peer *p, uint64_t at, const void *compare, const void *origin, void *old, size_t bytes);
/* On a word of the head of a peer. ADD gives the sum, EXCHANGE what was there. Posted: it leaves at once, nobody waits. */
int crcp_win_far_add(const struct crcp_win_peer *p, size_t offset, uint64_t value, uint64_t *ret_sum);
int crcp_win_far_post_add(const struct crcp_win_peer *p, size_t offset, uint64_t value);
int crcp_win_far_exchange(const struct crcp_win_peer *p, size_t offset, uint64_t old, uint64_t new, uint64_t *ret_seen);
/* What went to @p (NULL: to anybody) is done. */
int crcp_win_far_sync(const struct crcp_win_peer *p);

/* ---- win.c ---- */
/* Ends a call that made @real below with result @r: the record of a window of the real library. */
int crcp_win_adopt_native(MPI_Comm comm, int r, MPI_Win real, MPI_Win *ret_win, const char *function);

/* ---- win_data.c: inside a call; arguments are checked. MPI error code ---- */
struct crcp_win_place {
	char *here;  /* NULL: in another process */
	uint64_t at; /* there */
	const struct crcp_win_peer *peer;
};
struct crcp_win_data {
	MPI_Datatype type; /* the program's handle */
	int count;
	bool flat;         /* without gaps and in order */
	size_t bytes;      /* packed */
	MPI_Aint low, span; /* of the memory touched: [low, low + span) from the address that is given */
};
struct crcp_win_data crcp_win_describe(int count, MPI_Datatype type);
int crcp_win_put(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o);
int crcp_win_get(const struct crcp_win_place *p, const struct crcp_win_data *t, void *origin, const struct crcp_win_data *o);
int crcp_win_combine(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o,
		     MPI_Op op);
/* With the former content to @result (@res NULL: not wanted), at a far place. @op may be MPI_NO_OP: then there is no origin. */
int crcp_win_combine_far(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o, void *result,
			 const struct crcp_win_data *res, MPI_Op op);
static inline bool crcp_win_is_far(const struct crcp_win_place *p)
{
	return !p->here && p->peer->far;
}
/* Packed data and back by the real library. */
int crcp_win_pack(const void *from, const struct crcp_win_data *d, void *to);
int crcp_win_unpack(const void *from, void *to, const struct crcp_win_data *d);

/* ---- win_sync.c ---- */
bool crcp_win_may_access(const struct crcp_win_own *o, int target);

/* ---- win_lock.c ---- */
void crcp_win_combine_begin(struct crcp_win_head *h);
void crcp_win_combine_end(struct crcp_win_head *h);
/* Memory in order, and the real library not left alone by a program that only looks at a window. */
void crcp_win_settle(void);

#endif

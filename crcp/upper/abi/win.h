/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows whose ranks are all on one node are the layer's own: the real library has no part in them.
 *
 *   win_make.c   make, free, and after a restart map again        win_data.c   move and combine data
 *   win_mem.c    memory that ranks share, memory of another rank  win_calls.c  MPI_Put ... MPI_Rget_accumulate
 *   win_sync.c   epochs: fence, post and start, locks             win.c        questions; windows of the real library
 *
 * An operation is complete when its call returns: it copies to or from the target's memory, which is either mapped here too (allocated
 * and shared windows) or reached through the kernel (process_vm_readv and its twin). So nothing is under way at a checkpoint, whatever
 * epoch it arrives in, and no target has to make progress. What a restart must find is all in saved memory: the epochs in the record, the
 * locks in pages that the ranks share.
 *
 * A window over several nodes, or where one process may not reach into another, is the real library's as before and marks the process.
 */
#ifndef CRCP_WIN_H
#define CRCP_WIN_H

#include "crcp/upper/abi/objects.h"

/* ---- what the ranks of a window share: at the head of its object ---- */
struct crcp_win_slot {
	volatile uint64_t lock; /* holders of a shared lock; CRCP_WIN_EXCLUSIVE */
	volatile uint32_t combine; /* held while an accumulate works on this rank's memory */
	char pad[52];
};
struct crcp_win_shared {
	volatile uint64_t everybody; /* ranks that hold lock_all; in the upper half, ranks that hold an exclusive lock */
	char pad[56];
	struct crcp_win_slot slot[];
};
#define CRCP_WIN_EXCLUSIVE (1ULL << 63)
#define CRCP_WIN_ONE_EXCLUSIVE (1ULL << 32)

struct crcp_win_peer {
	uint64_t base;  /* in the peer's addresses */
	uint64_t bytes;
	char *here;     /* the same memory in ours; NULL: not mapped here */
	int disp_unit;
	int pid;        /* as the kernel has it; another one after a restart */
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
	struct crcp_win_shared *shared;
	size_t shared_bytes;    /* of the whole object, in pages */
	struct crcp_info *info; /* NULL: none */
	struct crcp_win_attached *attached;
	/* epochs */
	uint8_t *locks;         /* [size] CRCP_LOCK_* */
	int n_locks;
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
/* What every rank knows of the others before the window is there. */
struct crcp_win_hello {
	uint64_t base, bytes;
	uint64_t probe; /* address of a word with CRCP_WIN_PROBE */
	int disp_unit, pid;
	int apart;      /* alloc_shared_noncontig */
	int ok;
};
#define CRCP_WIN_PROBE 0x77696e646f777321ULL
/* The functions of the lower libc that this file uses: at first use and again after a restart. */
bool crcp_win_os_init(void);
int crcp_win_os_pid(void);
/* The ranks of @real agree: true when @ok is true on all. */
bool crcp_win_all_agree(MPI_Comm real, bool ok);
/* All ranks of @real are on one node. Collective. */
bool crcp_win_one_node(MPI_Comm real);
/* One object of @bytes, mapped by all ranks of @real: at @at in place of what is there, which is copied first, or (NULL) anywhere.
 * Collective; on all or on none. NULL: it failed somewhere. */
void *crcp_win_map(MPI_Comm real, int rank, int size, size_t bytes, void *at);
/* Memory at address @from (@to) of process @pid. MPI error code. */
int crcp_win_fetch(int pid, uint64_t from, void *to, size_t bytes);
int crcp_win_store(int pid, uint64_t to, const void *from, size_t bytes);

/* ---- win.c ---- */
/* Ends a call that made @real below with result @r: the record of a window of the real library. */
int crcp_win_adopt_native(MPI_Comm comm, int r, MPI_Win real, MPI_Win *ret_win, const char *function);

/* ---- win_data.c: inside a call; arguments are checked. MPI error code ---- */
struct crcp_win_place {
	char *here;  /* NULL: in another process */
	uint64_t at; /* there */
	int pid;
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
int crcp_win_combine(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o, MPI_Op op);

/* ---- win_sync.c ---- */
bool crcp_win_may_access(const struct crcp_win_own *o, int target);
void crcp_win_slot_take(struct crcp_win_slot *s);
void crcp_win_slot_give(struct crcp_win_slot *s);

#endif

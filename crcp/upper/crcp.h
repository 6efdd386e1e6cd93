/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crcp, upper half: what stands behind every MPI handle of the program, and the rules between the two parts of the layer:
 *
 *   abi/  (wrappers, objects, Fortran tables, rebuild after a restart)       p2p/  (requests, message log, drain, clocks, board)
 *
 * A handle of the program points to a record that begins with struct crcp_handle; translation is one load: handle->real.
 * Predefined handles are the data symbols that programs link to (ompi_mpi_comm_world, ...), with the real library's exact sizes:
 * the record lies inside them. Everything is upper-half memory and is saved; only @real and lower function pointers go stale.
 */
#ifndef CRCP_H
#define CRCP_H

#ifndef OMPI_OMIT_MPI1_COMPAT_DECLS
#define OMPI_OMIT_MPI1_COMPAT_DECLS 0 /* the functions that MPI-3 removed are still in the library */
#endif
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "libcr/cr_board.h"
#include "libcr/cr_crossing.h"
#include "libcr/cr_gate.h"

enum crcp_kind {
	CRCP_COMM = 1, CRCP_GROUP, CRCP_DATATYPE, CRCP_OP, CRCP_INFO, CRCP_ERRHANDLER, CRCP_REQUEST, CRCP_MESSAGE, CRCP_WIN, CRCP_FILE,
};

struct crcp_handle {
	void *real;          /* the lower library's handle; stale while the library is down */
	uint32_t kind;       /* enum crcp_kind */
	uint32_t flags;      /* CRCP_H_* */
	int32_t fint;        /* Fortran index; -1 none yet. The same after a restart */
	int32_t refs;
};
#define CRCP_H_PREDEFINED 1u
#define CRCP_H_NULL 2u /* MPI_COMM_NULL, MPI_REQUEST_NULL, ... */

struct crcp_log_message; /* p2p/log.h */
struct crcp_comm_recipe; /* abi/: how the communicator was made */

/* Offsets at which Open MPI's Fortran and C++ libraries, which run unchanged above us, read our records: see abi/ompi_layout.h. For a request:
 * an int at 0x68 (Fortran index, kept equal to h.fint by c2f) and a byte at 0xc0 that is written after MPI_Grequest_start: records are
 * at least CRCP_REQUEST_BYTES long and leave both places free. ompi_request_null has its index there too. */
#define CRCP_REQUEST_BYTES 0xd0
#define CRCP_REQUEST_FINT_OFFSET 0x68
#define CRCP_REQUEST_GREQ_C_OFFSET 0xc0

struct crcp_comm {
	struct crcp_handle h;
	int rank, size;           /* in the (local) group */
	int remote_size;          /* inter-communicators; else 0 */
	const int *world_ranks;   /* [size], or [remote_size] for an inter-communicator: peer -> rank in MPI_COMM_WORLD */
	uint64_t clock_id;        /* equal on all members */
	volatile uint64_t *clock_count; /* -> board->clocks[...].count */
	uint64_t sent, received;  /* messages on this communicator since MPI_Init; never reset */
	bool counted;             /* has point-to-point messages */
	bool coming;              /* the real one is not made yet (MPI_Comm_idup), though its handle may be there: nothing may be asked of it */
	bool outside;             /* has members that are not of this MPI_COMM_WORLD: while it lives there is no checkpoint */
	struct crcp_log_message *log_head, *log_tail; /* drained messages in arrival order; NULL nearly always */
	struct crcp_comm *prev, *next; /* all live communicators, in order of creation */
	struct crcp_comm_recipe *recipe;
	MPI_Errhandler errhandler; /* program's handle */
	uint64_t children;        /* collectives on this communicator that made a new one: part of the clock id of the next */
};

/* Program's handle <-> record. */
static inline struct crcp_comm *crcp_comm(MPI_Comm c) { return (struct crcp_comm *)(void *)c; }
static inline void *crcp_real(void *handle) { return ((struct crcp_handle *)handle)->real; }

/* A datatype's record begins like this; abi/ has the whole. */
struct crcp_datatype_head {
	struct crcp_handle h;
	uint64_t size_plus_1; /* packed size of one element in bytes, plus one; 0: not known (then the slower path is taken) */
};

/* CRCP_API(int, MPI_Foo, (args)) { ... } defines PMPI_Foo; the weak MPI_Foo beside it is made by abi/entry.c. */
#define CRCP_EXPORT __attribute__((visibility("default")))
#define CRCP_API(ret, name, args) CRCP_EXPORT ret P##name args

/* One static struct for the library (style.md rule 9). */
struct crcp_state {
	struct cr_board board;
	volatile int multiple;      /* granted level >= MPI_THREAD_SERIALIZED: several threads may be in wrappers; set by crcp_p2p_init */
	volatile int initialized;   /* MPI_Init has returned */
	volatile int finalized;     /* MPI_Finalize was entered */
	volatile int restarting;    /* after a restart, until rebuild is done */
	int thread_level;           /* granted */
	int required_level;
	volatile int inside;        /* threads that are in a wrapper now and not parked; kept only when @multiple */
	struct crcp_comm *comms;    /* list of live communicators */
	void *real_private_comm;    /* dup of MPI_COMM_WORLD in the lower library, for bookmarks; made by MPI_Init and again by a restart */
	void *libmpi;               /* lower_open handle */
	uint64_t epoch;             /* gate epoch for which the lower table is valid */
};
extern struct crcp_state crcp;

/* The lower table: one pointer to the real function per MPI call, filled by crcp_lower_load(). Generated from mpi_calls.def.
 * Real handles are passed as void * converted to the MPI handle type. Use only between cr_cross_enter and cr_cross_leave (CR_LOWER). */
#include "crcp/upper/lower_table.h"
extern struct crcp_lower_table crcp_lower;
int crcp_lower_load(char *err, size_t err_bytes); /* dlopen the real libmpi below and fill the table: at first use and after a restart */
void crcp_lower_need(void); /* load it now or end the process with a message */

/* ---- provided by abi/, used by p2p/ ---- */
/* Turn a lower return code into what the program gets: MPI_SUCCESS passes; else the communicator's error handler runs (a real handler of
 * kind FATAL has already aborted below). comm may be NULL (MPI_COMM_WORLD's handler). Also for an error that no lower call has raised: the program's handler
 * runs, a fatal one aborts with Open MPI's own message. */
int crcp_error(struct crcp_comm *comm, int code, const char *function);
void crcp_datatype_get(MPI_Datatype t); /* reference for a pending operation that may be posted again after a restart */
void crcp_datatype_put(MPI_Datatype t);
int crcp_fint_assign(struct crcp_handle *h); /* the handle's Fortran index, assigned at the first call; -1: out of memory */
void crcp_fint_release(struct crcp_handle *h); /* when a record is recycled */
struct crcp_handle *crcp_fint_handle(uint32_t kind, int fint); /* NULL: no such index */
void crcp_pcoll_drop(MPI_Request request); /* a request of kind 'C' is recycled: forget how it was made. Inside a call, not under a lock */
int crcp_grequest_free(MPI_Request request); /* MPI_Request_free of a pending generalized request (kind 'g'): the record stays until it is completed */
int crcp_grequest_rebuild(MPI_Request request); /* after a restart: start it again. 0 or a negative errno */
void crcp_wtime_note(void); /* remember how late it is by MPI_Wtime, so that it goes on from here after a restart */
int crcp_rebuild_objects(void); /* after a restart: real handles of every object but requests. Collective over the job. */
int crcp_wins_drain(void);  /* every rank is stopped: wait for what one-sided operations have under way. 0 or a negative errno */
int crcp_files_drain(void); /* every rank is stopped, no request is left: end split collectives, note pointers. Sets board.error_text */
void crcp_comm_world_ranks(struct crcp_comm *c); /* fills world_ranks, rank, size, clock id */

/* ---- provided by p2p/, used by abi/ ---- */
/* Before and after every collective call on @c, blocking or not (also communicator creation, file and window collectives). enter may wait
 * (it takes part in a checkpoint while it waits) and returns 0. */
void crcp_collective_enter(struct crcp_comm *c);
static inline void crcp_collective_leave(struct crcp_comm *c) { (void)c; }
/* As above for a collective over a group that has no communicator (MPI_Comm_create_group, MPI_Intercomm_create): own clock. */
void crcp_group_collective_enter(uint64_t clock_id, const int *world_ranks, int n);
/* A slot for the collectives of @c, by its clock id; none when it has one member. For what has a clock of its own: size and clock_id will do. */
void crcp_clock_attach(struct crcp_comm *c);
void crcp_clock_detach(struct crcp_comm *c);
/* Entry and exit of every wrapper that touches the lower library: a STOP that arrived meanwhile is served at exit. */
static inline void crcp_call_begin(void);
static inline void crcp_call_end(void);
/* Wrap a lower request of a non-blocking (kind 'c'ollective, 'f'ile, 'w'indow, 'g'eneralized, 'i'dup) or persistent collective operation. */
MPI_Request crcp_request_wrap(void *real, int kind, struct crcp_comm *comm);
MPI_Request crcp_request_done(int kind, const MPI_Status *status); /* a wrapped request whose operation is over */
void crcp_request_unwrap(MPI_Request request); /* a wrapped request that nobody will wait for is over: its record goes back */
void crcp_comm_init_counters(struct crcp_comm *c); /* clock slot, counters of messages */
void crcp_comm_fini_counters(struct crcp_comm *c); /* at MPI_Comm_free; delivers nothing: the log must be empty or is dropped with the communicator */
void crcp_p2p_init(void);     /* at the end of MPI_Init: board, stop_client */
void crcp_p2p_finalize(void); /* at the start of MPI_Finalize */
int crcp_p2p_rebuild(void);   /* after crcp_rebuild_objects: persistent requests, pending receives in order */

/* Completion hook of a wrapped request: runs once, in upper-half code, when the operation has completed (it may be inside a drain). */
void crcp_request_set_hook(MPI_Request request, void (*fn)(void *arg), void *arg);
/* Clock ids, equal on all members. Use the first for an intra-communicator, the second for an inter-communicator (symmetric in its groups). */
#define CRCP_CLOCK_WORLD 0x574f524c44ULL
uint64_t crcp_clock_id(uint64_t parent_id, uint64_t child, const int *world_ranks, int n);
uint64_t crcp_clock_id_inter(uint64_t seed, const int *ranks_a, int n_a, const int *ranks_b, int n_b);

/* Depth of wrappers on the calling thread. */
struct crcp_thread_state {
	int depth;
	int counted; /* in crcp.inside: while the depth is not 0 */
};
extern __thread struct crcp_thread_state crcp_tls __attribute__((tls_model("initial-exec")));

bool crcp_stop_is_main(void);   /* stop.c: is this the thread that called MPI_Init? */
void crcp_serve_order(void);    /* stop.c: called at depth 0 when board.order is STOP or later */
void crcp_multiple_begin(void); /* stop.c: entry when several threads may be inside; parks while a stop is being served */
void crcp_multiple_end(void);
int crcp_reinit(void);          /* abi/: after a restart: lower table, MPI_Init_thread below, objects, crcp_p2p_rebuild(). 0 or a negative errno */

static inline void crcp_call_begin(void)
{
	int depth;

	if (__builtin_expect(crcp.libmpi == NULL, 0))
		crcp_lower_need();
	depth = crcp_tls.depth++;

	__asm__ volatile("" : : : "memory"); /* a signal handler on this thread sees the depth before anything of the call */
	if (__builtin_expect(crcp.multiple, 0) && depth == 0)
		crcp_multiple_begin();
}
static inline void crcp_call_end(void)
{
	__asm__ volatile("" : : : "memory");
	if (__builtin_expect(crcp_tls.counted, 0) && crcp_tls.depth == 1)
		crcp_multiple_end();
	else if (--crcp_tls.depth == 0 && __builtin_expect(crcp.board.order >= CR_ORDER_STOP, 0))
		crcp_serve_order();
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the agent thread of a process and its coordinator (snapcd's local role, or cr_checkpoint), over a unix stream
 * socket.  docs/protocol.md is the specification.  Both ends are on one node: native byte order, fixed-size heads.
 *
 * A message is struct cr_msg_head followed by head.bytes of payload.  Larger than CR_MSG_MAX_BYTES is refused.
 * Dialogue of one checkpoint (coordinator -> agent above, agent -> coordinator below):
 *   BEGIN            DRAIN-less programs answer STOP with ARRIVED and DRAIN with DRAINED at once, CLOCKS has n = 0
 *     (the program's callbacks in thread context)
 *     CLOCKS*        repeated whenever state, ask or a count changed, until STOP
 *   PERMIT*
 *   STOP ... ARRIVED, DRAIN ... DRAINED, FREEZE ... FROZEN, DUMP ... SNAPPED ... DUMPED, RESUME ... RESUMED
 *   RESUME in any phase undoes back to running. FAILED{text} from the agent in any phase: the agent has already undone its own part
 *   and is waiting for RESUME.
 */
#ifndef CR_PROTO_H
#define CR_PROTO_H

#include <stdint.h>

#define CR_PROTO_VERSION 1
#define CR_PROTO_MAGIC 0x4352u /* "RC" */
#define CR_MSG_MAX_BYTES (1u << 20)
#define CR_PATH_BYTES 1024
#define CR_TEXT_BYTES 1024

/* Abstract unix socket of a process's own agent (no leading NUL here): printf(CR_AGENT_SOCKET_FMT, pid as the kernel knows it). */
#define CR_AGENT_SOCKET_FMT "ompi-cr-agent-%d"
/* Environment of a rank: abstract name of the local snapcd's socket to which the agent connects at start. */
#define CR_ENV_SNAPC_SOCKET "OMPI_CR_SNAPC_SOCKET"
/* Environment of a node's snapcd, given by mpirun through its launcher: where the job's coordinator is. One line as in docs/protocol.md, section 5. */
#define CR_ENV_COORDINATOR "OMPI_CR_COORDINATOR"
/* Environment of a rank, for cr_run: the file of the program, as the launcher has found it (the working directory, mpirun --path), when it is named without a slash. */
#define CR_ENV_PROGRAM "OMPI_CR_PROGRAM"

enum cr_msg_type {
	CR_MSG_HELLO = 1,   /* A->S  struct cr_msg_hello; first message on a connection */
	CR_MSG_MPI_STATE,   /* A->S  struct cr_msg_mpi_state; MPI_Init returned (ready=1), MPI_Finalize entered (ready=0) */
	CR_MSG_CHECK,       /* S->A  no payload: can you be checkpointed? */
	CR_MSG_CHECK_REPLY, /* A->S  text: one reason per line; empty = yes */
	CR_MSG_BEGIN,       /* S->A  struct cr_msg_begin */
	CR_MSG_CLOCKS,      /* A->S  struct cr_msg_clocks + n * struct cr_msg_clock */
	CR_MSG_PERMIT,      /* S->A  struct cr_msg_permit */
	CR_MSG_STOP,        /* S->A */
	CR_MSG_ARRIVED,     /* A->S */
	CR_MSG_DRAIN,       /* S->A */
	CR_MSG_DRAINED,     /* A->S  struct cr_msg_drained */
	CR_MSG_FREEZE,      /* S->A */
	CR_MSG_FROZEN,      /* A->S  struct cr_msg_frozen */
	CR_MSG_DUMP,        /* S->A  struct cr_msg_dump */
	CR_MSG_SNAPPED,     /* A->S  memory is captured: the process may be resumed while the file is still being written */
	CR_MSG_DUMPED,      /* A->S  struct cr_msg_dumped: file complete and fsync'ed under the name that DUMP gave */
	CR_MSG_RESUME,      /* S->A  go on (or undo); struct cr_msg_resume, or nothing, which is flags 0 */
	CR_MSG_RESUMED,     /* A->S  struct cr_msg_resumed */
	CR_MSG_FAILED,      /* A->S  struct cr_msg_failed */
	CR_MSG_EXIT,        /* S->A  struct cr_msg_exit: after a committed checkpoint with --term: leave now */
	CR_MSG_NOCR,        /* S->A  struct cr_msg_nocr: a mark on behalf of the process; no checkpoint needs to be running */
	CR_MSG_NOCR_REPLY,  /* A->S  struct cr_msg_nocr_reply */
	CR_MSG_ALIVE,       /* S->A  nothing is to be done: the coordinator is there (silence_s of BEGIN) */
	CR_MSG_MEMBERS,     /* A->S  n * int32_t: the processes of the set as the kernel knows them, the leader among them; before FROZEN */
	/* between the leader of a set and the other members, which are its agents: docs/protocol.md, section 7 */
	CR_MSG_GIVE,        /* S->A  struct cr_msg_give + n * int32_t: the set, + n_left * int32_t: who is left out; what do you hold? */
	CR_MSG_GIVEN,       /* A->S  struct cr_msg_given + n_fds * int32_t + n_ended * struct cr_msg_ended; then the descriptors, CR_GIVE_FDS at a time with one byte */
	CR_MSG_SHARE,       /* S->A  n * struct cr_msg_share: descriptors whose description is saved by the leader */
	CR_MSG_CHECK_SET,   /* S->A  struct cr_msg_check_set: can you be checkpointed with those who are meant? Nobody is stopped */
	CR_MSG_CHECKED,     /* A->S  the answer: for each of them struct cr_msg_checked + bytes of text, one reason per line */
	CR_MSG_CHECK_MEMBER, /* S->A  from the leader: struct cr_msg_give + pids as in GIVE + n * struct cr_msg_share: the answer is CHECK_REPLY */
};

struct cr_msg_head {
	uint16_t magic;
	uint16_t version;
	uint32_t type;
	uint32_t bytes;
	uint32_t checkpoint; /* number that BEGIN gave; 0 outside of a checkpoint */
};

struct cr_msg_hello {
	int32_t pid;          /* as the kernel knows it */
	int32_t program_pid;  /* as the program sees it */
	int32_t rank;         /* OMPI_COMM_WORLD_RANK, or PMIX_RANK, or -1 */
	int32_t size;         /* OMPI_COMM_WORLD_SIZE, or -1 */
	uint32_t epoch;       /* 1 at launch, +1 per restart */
	uint32_t reserved;
	uint64_t start_time;  /* field 22 of /proc/PID/stat */
	char exe[CR_PATH_BYTES];
	char engine[16];      /* "user", "kmod" */
};

struct cr_msg_mpi_state {
	int32_t ready;
	int32_t rank;
	int32_t size;
	int32_t thread_level;
};

struct cr_msg_begin {
	uint32_t checkpoint; /* > 0 */
	uint32_t silence_s;  /* a coordinator that says nothing for so long in this checkpoint is taken for dead; 0: the agent's own limit */
	uint32_t flags;      /* CR_BEGIN_* */
	uint32_t limit_ms;   /* callbacks of the program must be ready within; 0: the agent's own limit */
	/* for callbacks that ask what the checkpoint is for */
	int32_t signal, scope, target;
	char dest[CR_PATH_BYTES]; /* empty: not known yet */
};

/* What to save besides the process itself. At most one of the first four; the agent that is asked is the leader of the set. */
#define CR_BEGIN_TREE 1u    /* its descendants */
#define CR_BEGIN_FAMILY 2u  /* the tree of the outermost of its ancestors that cr_run started */
#define CR_BEGIN_GROUP 4u   /* its process group */
#define CR_BEGIN_SESSION 8u /* its session */
#define CR_BEGIN_MEMBER 16u /* from the leader: be a part of its checkpoint */
#define CR_BEGIN_TRACED_ERROR 32u  /* fail when one of them is traced; without it, it is saved */
#define CR_BEGIN_TRACED_SKIP 64u   /* leave those out that are traced, with TREE their descendants too */
#define CR_BEGIN_TRACER_ERROR 128u /* likewise for those who trace others */
#define CR_BEGIN_TRACER_SKIP 256u
#define CR_BEGIN_TRACE (CR_BEGIN_TRACED_ERROR | CR_BEGIN_TRACED_SKIP | CR_BEGIN_TRACER_ERROR | CR_BEGIN_TRACER_SKIP)

#define CR_MSG_CLOCK_OBJECT 1u /* of an object that all members have or none: to be waited for also when nobody has entered a collective on it */

struct cr_msg_clock {
	uint64_t id;
	uint64_t count;
	uint32_t size;
	uint32_t flags; /* CR_MSG_CLOCK_... */
};

struct cr_msg_clocks {
	uint32_t state; /* enum cr_rank_state of cr_board.h; RUNNING for a program without MPI */
	uint32_t n;
	uint32_t asking;
	uint32_t reserved;
	uint64_t ask_clock;
	uint64_t ask_count;
};

struct cr_msg_permit {
	uint64_t clock;
	uint64_t count;
};

struct cr_msg_drained {
	uint64_t messages;
	uint64_t bytes;
};

struct cr_msg_frozen {
	uint64_t stop_begin_ns; /* CLOCK_MONOTONIC */
	uint64_t frozen_ns;
	uint32_t threads;
	uint32_t reserved;
};

struct cr_msg_dump {
	uint32_t flags; /* CR_DUMP_* */
	uint32_t reserved;
	char path[CR_PATH_BYTES]; /* created with O_EXCL, mode 0600; removed again on failure */
};
#define CR_DUMP_STOPPED 1u /* do not use copy-on-write: stay frozen until the file is written */
#define CR_DUMP_NOSYNC 2u
/* fault injection: writing the memory fails with this error */
#define CR_DUMP_FAULT_ENOSPC 4u
#define CR_DUMP_FAULT_EIO 8u
#define CR_DUMP_SAVE_EXE 16u    /* store the content of the executable */
#define CR_DUMP_SAVE_PRIVATE 32u /* of every other file that is mapped privately */
#define CR_DUMP_SAVE_SHARED 64u /* of every file that is mapped shared */

struct cr_msg_dumped {
	uint64_t file_bytes;
	uint64_t pages;
	uint64_t checksum;
	uint64_t dump_ns; /* from DUMP to file complete */
};

struct cr_msg_resume {
	uint32_t flags; /* CR_RESUME_* */
	uint32_t reserved;
};
#define CR_RESUME_STOPPED 1u /* the process is stopped as by SIGSTOP before it could do anything, and goes on at SIGCONT */

struct cr_msg_resumed {
	uint64_t stopped_ns; /* how long the program's threads stood still, 0 when they never did */
};

struct cr_msg_failed {
	uint32_t phase; /* message type that was being served */
	int32_t error;  /* errno, positive */
	char text[CR_TEXT_BYTES];
};

struct cr_msg_nocr {
	uint64_t id;
	uint32_t set; /* 1 set, 0 clear */
	uint32_t reserved;
	char text[200];
};

struct cr_msg_nocr_reply {
	int32_t error; /* 0 or a negative errno */
	int32_t reserved;
};

#define CR_GIVE_FDS 200

struct cr_msg_give {
	uint32_t n, n_left;
	int32_t skip; /* who asked, when it is one of the family: left out; 0 none */
};

struct cr_msg_given {
	int32_t pid, ppid, pgid, sid; /* as the program knows them */
	int32_t kernel_pid;
	uint32_t coordinated;         /* connected to the coordinator of the job */
	uint32_t n_fds;
	uint32_t n_ended;
	int32_t foreground;           /* of the controlling terminal; 0 none */
	int32_t fd_floor;
	uint32_t omits;               /* cr_run --omit started it */
	char name[16];
};

/* A child that has ended and was not waited for. */
struct cr_msg_ended {
	int32_t pid, pgid, sid; /* as the program knows them */
	int32_t status;
	char name[16];
};

struct cr_msg_share {
	int32_t fd;
	uint32_t number;
};

struct cr_msg_check_set {
	uint32_t flags; /* CR_BEGIN_* */
};

enum cr_checked { CR_CHECKED_MEMBER = 0, CR_CHECKED_LEFT_OUT = 1 };

struct cr_msg_checked {
	int32_t pid; /* as the kernel knows it */
	uint32_t state; /* enum cr_checked */
	uint32_t bytes;
	char name[16];
};

struct cr_msg_exit {
	int32_t status; /* exit status; negative: die by that signal */
	int32_t reserved;
};

#endif

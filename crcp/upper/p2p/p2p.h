/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the point-to-point part share: the request record, the lists of what is in flight, and the steps of a call.
 *
 * A request of the program is a record from a pool. It is ACTIVE from the moment the operation was started until the operation is
 * known to be complete; every ACTIVE record is on one of the lists of struct crcp_p2p when a stop is served, so that the drain finds
 * it. Records of blocking calls lie on the caller's stack and are put on the list only then.
 */
#ifndef CRCP_P2P_H
#define CRCP_P2P_H

#include <stddef.h>

#include "crcp/upper/crcp.h"
#include "crcp/upper/mem.h"

/* Sends up to this packed size go to the real MPI_Send: well below every transport's eager limit, so they end without the receiver. */
#define CRCP_EAGER_BYTES 512

enum crcp_request_op {
	CRCP_OP_NONE = 0,
	CRCP_OP_RECV,
	CRCP_OP_MRECV, /* of a matched message: completes without anything from the program */
	CRCP_OP_SEND,
	CRCP_OP_SSEND,
	CRCP_OP_RSEND,
	CRCP_OP_BSEND, /* as the program sees it: complete at once */
	CRCP_OP_COPY,  /* the copy of a buffered send that is on its way */
	CRCP_OP_WRAP,  /* not point-to-point: @wrap_kind */
};

enum crcp_request_state {
	CRCP_INACTIVE = 0, /* also MPI_REQUEST_NULL */
	CRCP_ACTIVE,
	CRCP_LANDED,       /* the lower library has completed it; not yet booked */
	CRCP_COMPLETE,     /* booked; status and code are here; the program has yet to fetch it */
};

#define CRCP_R_LINKED 1u     /* on the list of active requests */
#define CRCP_R_ORPHAN 2u     /* MPI_Request_free was called: nobody will fetch it */
#define CRCP_R_TYPE_HELD 4u
#define CRCP_R_STACK 8u      /* record of a blocking call */
#define CRCP_R_FROM_LOG 32u  /* completed by a message of the log: its error has not been raised */
#define CRCP_R_STRAY 64u     /* its communicator was freed: it cannot be made again */
#define CRCP_R_BUFFERED 16u  /* on the list of buffered sends */
#define CRCP_R_OUTSIDE 128u  /* its communicator was freed and is not counted */

struct crcp_request {
	struct crcp_handle h;
	struct crcp_request *next, *prev; /* active or buffered list; free list */
	struct crcp_comm *comm;           /* NULL: none, or freed meanwhile */
	void *buf;
	MPI_Datatype type;                /* program's handle */
	int count;
	int peer;
	int tag;
	uint8_t op;                       /* enum crcp_request_op */
	uint8_t persistent;
	uint8_t wrap_kind;
	uint8_t flags;                    /* CRCP_R_* */
	MPI_Status status;
	int32_t fortran_index;            /* h.fint once more, where the Fortran library reads it */
	int32_t code;
	uint32_t state;                   /* enum crcp_request_state */
	uint32_t reserved;
	struct crcp_request *persistent_next, *persistent_prev;
	void (*hook)(void *);
	void *hook_arg;
	void *copy;                       /* CRCP_OP_COPY: packed bytes, freed at completion */
	size_t copy_bytes;
	uint64_t pad[(CRCP_REQUEST_BYTES - 168) / 8]; /* the Fortran library writes a byte here after MPI_Grequest_start */
};
_Static_assert(offsetof(struct crcp_request, fortran_index) == CRCP_REQUEST_FINT_OFFSET, "the Fortran library reads the index there");
_Static_assert(offsetof(struct crcp_request, pad) <= CRCP_REQUEST_GREQ_C_OFFSET, "the Fortran library writes a byte there");
_Static_assert(sizeof(struct crcp_request) >= CRCP_REQUEST_BYTES, "the Fortran library looks that far");

/* MPI_Message of the program. */
struct crcp_message {
	struct crcp_handle h;
	struct crcp_message *next, *prev; /* live messages */
	struct crcp_comm *comm;
	struct crcp_log_message *logged;  /* not NULL: the message is in the log and h.real is stale */
	int32_t peer;
	int32_t tag;
	uint64_t bytes;
};

struct crcp_request_list {
	struct crcp_request *head, *tail;
};

struct crcp_p2p {
	struct crcp_request *free_requests;
	struct crcp_request_list active;   /* in order of start */
	struct crcp_request_list buffered; /* copies of buffered sends; sends whose request was freed stay among the active ones */
	struct crcp_request *persistent;   /* every persistent request, newest first */
	struct crcp_message *messages;
	struct crcp_message *free_messages;
	unsigned int orphans;     /* active records with CRCP_R_ORPHAN */
	unsigned int reap_from;   /* how many of them the reaper passes over in its next look */
	unsigned int strays[2];   /* records with CRCP_R_STRAY: receives; persistent requests */
	unsigned int gets;

	uint64_t gone_sent, gone_received; /* on communicators that have been freed */

	void *bsend_buffer;
	uint64_t bsend_bytes, bsend_used;

	uint32_t clock_hint;      /* no free slot of the clocks below this one */
	int ask_lock, ask_waiters; /* several threads that ask for permission take turns */
	int waiters;              /* threads that have told the board that they wait for a message */

	uint64_t drains;          /* begun */
	int exchange_left;        /* the present drain left a send behind when it was taken back */
	uint32_t attempt;         /* board.attempt that is being served, equal on all ranks */

	uint64_t idle_since_ns;   /* first of a row of unsuccessful polls in CONVERGE; 0: none */
	int reaping;              /* a thread is in crcp_request_reap */
	int deliver_lock;         /* one message of the log is delivered at a time */
	volatile int lock;        /* only used when crcp.multiple */
};
extern struct crcp_p2p crcp_p2p;

/* ---- lock: lists, pools, tables, logs ---- */
static inline void crcp_p2p_lock(void)
{
	if (__builtin_expect(crcp.multiple, 0))
		while (__atomic_exchange_n(&crcp_p2p.lock, 1, __ATOMIC_ACQUIRE))
			__builtin_ia32_pause();
}
static inline void crcp_p2p_unlock(void)
{
	if (__builtin_expect(crcp.multiple, 0))
		__atomic_store_n(&crcp_p2p.lock, 0, __ATOMIC_RELEASE);
}
static inline void crcp_count(uint64_t *counter, int64_t n)
{
	if (__builtin_expect(crcp.multiple, 0))
		__atomic_fetch_add(counter, (uint64_t)n, __ATOMIC_RELAXED);
	else
		*counter += (uint64_t)n;
}
static inline void crcp_count_sent(struct crcp_comm *c, int peer, int64_t n)
{
	if (__builtin_expect(peer >= 0, 1))
		crcp_count(&c->sent, n);
}

/* ---- request.c ---- */
struct crcp_request *crcp_request_refill(void);
void crcp_no_memory(const char *what) __attribute__((noreturn)); /* says so and ends the process */
/* A record from the pool with op, comm, buf, count, type, peer, tag set; state INACTIVE, no real request. Never NULL. */
static inline struct crcp_request *crcp_request_get(int op, struct crcp_comm *c, const void *buf, int count, MPI_Datatype type, int peer, int tag)
{
	struct crcp_request *r;

	crcp_p2p_lock();
	r = crcp_p2p.free_requests;
	if (__builtin_expect(!r || crcp_p2p.orphans, 0))
		r = crcp_request_refill();
	crcp_p2p.free_requests = r->next;
	crcp_p2p_unlock();
	r->h.real = NULL;
	r->comm = c;
	r->buf = (void *)(uintptr_t)buf;
	r->type = type;
	r->count = count;
	r->peer = peer;
	r->tag = tag;
	r->op = (uint8_t)op;
	r->persistent = 0;
	r->flags = 0;
	r->code = MPI_SUCCESS;
	r->state = CRCP_INACTIVE;
	r->status.MPI_SOURCE = MPI_ANY_SOURCE; /* should the library fail without saying anything */
	r->status._cancelled = 0;
	return r;
}
void crcp_request_persist(struct crcp_request *r); /* enter @r in the list of persistent requests */
void crcp_request_put(struct crcp_request *r); /* back to the pool; gives up the Fortran index, the datatype and the place on any list */

static inline void crcp_list_add(struct crcp_request_list *l, struct crcp_request *r)
{
	r->next = NULL;
	r->prev = l->tail;
	if (l->tail)
		l->tail->next = r;
	else
		l->head = r;
	l->tail = r;
}
static inline void crcp_list_del(struct crcp_request_list *l, struct crcp_request *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		l->head = r->next;
	if (r->next)
		r->next->prev = r->prev;
	else
		l->tail = r->prev;
}
static inline void crcp_request_link(struct crcp_request *r)
{
	crcp_p2p_lock();
	crcp_list_add(&crcp_p2p.active, r);
	r->flags |= CRCP_R_LINKED;
	crcp_p2p_unlock();
}
static inline void crcp_request_hold_type(struct crcp_request *r)
{
	if (!(((struct crcp_handle *)(void *)r->type)->flags & CRCP_H_PREDEFINED)) {
		crcp_datatype_get(r->type);
		r->flags |= CRCP_R_TYPE_HELD;
	}
}
/* The record of a blocking call, on its stack. */
static inline void crcp_request_stack(struct crcp_request *r, int op, struct crcp_comm *c, const void *buf, int count, MPI_Datatype type, int peer, int tag)
{
	r->h.kind = CRCP_REQUEST;
	r->h.real = NULL;
	r->comm = c;
	r->buf = (void *)(uintptr_t)buf;
	r->type = type;
	r->count = count;
	r->peer = peer;
	r->tag = tag;
	r->op = (uint8_t)op;
	r->persistent = 0;
	r->wrap_kind = 0;
	r->flags = CRCP_R_STACK;
	r->code = MPI_SUCCESS;
	r->state = CRCP_INACTIVE;
	r->status.MPI_SOURCE = MPI_ANY_SOURCE; /* should the library fail without saying anything */
	r->status._cancelled = 0;
	r->h.fint = -1;
	r->hook = NULL;
}
/* Book a LANDED request: counters, lists, hook; state COMPLETE; a record that nobody holds goes back to the pool. */
void crcp_request_finish(struct crcp_request *r);
/* Give a COMPLETE request's result to the program: status (MPI_STATUS_IGNORE allowed; MPI_ERROR is not touched), *request set to
 * MPI_REQUEST_NULL and the record returned unless persistent. Returns its code. */
int crcp_request_deliver(MPI_Request *request, MPI_Status *status);
void crcp_request_reap(void); /* collect buffered sends and freed requests that have completed */
static inline struct crcp_request *crcp_request(MPI_Request q)
{
	return (struct crcp_request *)(void *)q;
}
static inline MPI_Request crcp_request_handle(struct crcp_request *r)
{
	return (MPI_Request)(void *)r;
}
static inline void crcp_status_copy(MPI_Status *to, const MPI_Status *from)
{
	if (to != MPI_STATUS_IGNORE) {
		to->MPI_SOURCE = from->MPI_SOURCE;
		to->MPI_TAG = from->MPI_TAG;
		to->_cancelled = from->_cancelled;
		to->_ucount = from->_ucount;
	}
}
void crcp_status_empty(MPI_Status *s);

static inline void *crcp_real_or_null(void *handle)
{
	return handle ? crcp_real(handle) : NULL;
}
static inline bool crcp_has_log(const struct crcp_comm *c)
{
	return c && c->log_head;
}

/* ---- progress.c ---- */
/* Turns between two looks at the clock while a checkpoint converges. */
#define CRCP_TURNS 128
/* What a wait loop remembers between turns. */
struct crcp_wait {
	uint64_t since_ns;
	bool told;
};
/* Complete every ACTIVE request of @v (NULLs and others are passed over): takes part in stops. All are COMPLETE afterwards. */
void crcp_wait_requests(struct crcp_request **v, int n);
/* One look at an ACTIVE request. */
void crcp_test_request(struct crcp_request *r);
/* Between turns of a wait loop, when board.order is not RUN. ACTIVE records of @v are put on the list before a stop is served. */
void crcp_wait_pause(struct crcp_wait *w, struct crcp_request **v, int n);
void crcp_wait_done(struct crcp_wait *w);
/* A poll of the program (Test, Iprobe) found nothing / something: tells the board when a rank only polls. */
void crcp_poll_idle(void);
static inline void crcp_poll_none(void)
{
	if (__builtin_expect(crcp.board.order == CR_ORDER_CONVERGE, 0))
		crcp_poll_idle();
}
void crcp_poll_busy(void);
static inline void crcp_poll_some(void)
{
	if (__builtin_expect(crcp_p2p.idle_since_ns != 0, 0))
		crcp_poll_busy();
}
static inline void crcp_poll_result(int found)
{
	if (found)
		crcp_poll_some();
	else
		crcp_poll_none();
}
/* One look at the ACTIVE requests of @v, in order, up to the first that is not complete. True: none is left. */
bool crcp_test_requests(struct crcp_request **v, int n);
/* Some progress in the lower library. */
void crcp_lower_progress(void);
/* May a stop be served here? Not inside a callback from the lower library. */
bool crcp_stop_allowed(void);

/* ---- board.c ---- */
/* Reasons against a checkpoint, as ids of the gate's nocr_set. */
#define CRCP_NOCR_CLOCKS 0x70327001u
#define CRCP_NOCR_STRAY 0x70327003u /* a receive; the next one: a persistent request */
void crcp_board_state(uint32_t state); /* set and tell the agent, when it changes */
/* ---- stop.c ---- */
void crcp_stop_serve(void);
/* The checkpoint that is being served was taken back, perhaps so long ago that the next one is under way. */
static inline bool crcp_stop_over(uint32_t order)
{
	return crcp.board.order != order || crcp.board.attempt != crcp_p2p.attempt;
}

/* ---- send.c, recv.c: start @r below; state ACTIVE. 0 or the lower library's error ---- */
int crcp_send_post(struct crcp_request *r);
int crcp_recv_post(struct crcp_request *r);
/* Complete @r with a message of the log, if one matches. */
bool crcp_recv_from_log(struct crcp_request *r);
/* Report an error to the program: raised natively first when no lower call has done so. */
int crcp_request_error(struct crcp_comm *c, int code, bool raise, const char *name);
/* ---- buffer.c ---- */
struct crcp_packed {
	void *data; /* crcp_free */
	int bytes;
};
int crcp_pack(struct crcp_packed *p, const void *buf, int count, MPI_Datatype type, struct crcp_comm *c);
/* A buffered send. *ret_raise: the error has not been raised below. */
int crcp_bsend_start(struct crcp_comm *c, const void *buf, int count, MPI_Datatype type, int dest, int tag, bool *ret_raise);
void crcp_buffered_wait(void); /* until every buffered send has left */
/* ---- persistent.c, message.c: after a restart ---- */
int crcp_persistent_rebuild(void);
/* ---- message.c ---- */
struct crcp_message *crcp_message_get(struct crcp_comm *c, void *real, struct crcp_log_message *logged, const MPI_Status *status);
void crcp_message_put(struct crcp_message *m);
/* ---- bookmark.c ---- */
/* Every rank is stopped: take in all messages in flight. 0, -ECANCELED when the order was taken back, or an error with board.error_text. */
int crcp_bookmark_drain(void);
/* ---- exchange.c ---- */
#define CRCP_EXCHANGE_WORDS 3
struct crcp_exchange {
	uint64_t mark;                       /* attempt and step */
	uint64_t words[CRCP_EXCHANGE_WORDS];
};
/* Sum of @e->words over all ranks of the world, result on every rank; at most 2 + log2(ranks) messages of this size for any rank. @e is memory of
 * crcp_alloc(). -ECANCELED: the order was taken back; then @e and @scratch may still be read by the library. */
int crcp_exchange_sum(unsigned int step, struct crcp_exchange *e, struct crcp_exchange *scratch);
/* ---- stop.c ---- */
void crcp_stop_client(void);
void crcp_stop_init(void);

#endif

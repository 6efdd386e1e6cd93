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

enum crcp_op {
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
#define CRCP_R_BUFFERED 16u  /* on the list of sends nobody waits for */

struct crcp_request {
	struct crcp_handle h;
	struct crcp_request *next, *prev; /* active or buffered list; free list */
	struct crcp_comm *comm;           /* NULL: none, or freed meanwhile */
	void *buf;
	MPI_Datatype type;                /* program's handle */
	int count;
	int peer;
	int tag;
	uint8_t op;                       /* enum crcp_op */
	uint8_t persistent;
	uint8_t wrap_kind;
	uint8_t flags;                    /* CRCP_R_* */
	MPI_Status status;
	int32_t fortran_index;            /* where Debian's Fortran library reads it: struct ompi_request_t.req_f_to_c_index */
	int32_t code;
	uint32_t state;                   /* enum crcp_request_state */
	uint32_t reserved;
	struct crcp_request *persistent_next, *persistent_prev;
	void (*hook)(void *);
	void *hook_arg;
	void *copy;                       /* CRCP_OP_COPY: packed bytes, freed at completion */
	size_t copy_bytes;
};
_Static_assert(offsetof(struct crcp_request, fortran_index) == 104, "the Fortran library reads the index there");

/* MPI_Message of the program. */
struct crcp_message {
	struct crcp_handle h;
	struct crcp_message *next, *prev; /* live messages */
	struct crcp_comm *comm;
	struct crcp_log_message *logged;  /* not NULL: the message is in the log and h.real is stale */
	int32_t fortran_index;
	int32_t peer;
};

struct crcp_request_list {
	struct crcp_request *head, *tail;
};

/* Fortran handle table: index -> record. */
struct crcp_fortran_table {
	void **slots;
	int used, capacity;
	int first_free; /* free slots are chained through their value; 0 ends */
};

struct crcp_p2p {
	struct crcp_request *free_requests;
	struct crcp_request_list active;   /* in order of start */
	struct crcp_request_list buffered; /* sends nobody waits for: copies of buffered sends, freed sends */
	struct crcp_request *persistent;   /* every persistent request, newest first */
	struct crcp_message *messages;
	struct crcp_message *free_messages;
	unsigned int orphan_receives;
	unsigned int gets;

	struct crcp_fortran_table request_table, message_table;

	uint64_t *gone_sent;      /* [world] sent on communicators that have been freed */
	uint64_t gone_received;

	void *bsend_buffer;
	size_t bsend_bytes, bsend_used;

	uint64_t idle_since_ns;   /* first of a row of unsuccessful polls in CONVERGE; 0: none */
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
		crcp_count(&c->sent[peer], n);
}

/* ---- request.c ---- */
struct crcp_request *crcp_request_refill(void);
/* A record from the pool with op, comm, buf, count, type, peer, tag set; state INACTIVE, no real request. Never NULL. */
static inline struct crcp_request *crcp_request_get(int op, struct crcp_comm *c, const void *buf, int count, MPI_Datatype type, int peer, int tag)
{
	struct crcp_request *r;

	crcp_p2p_lock();
	r = crcp_p2p.free_requests;
	if (__builtin_expect(!r || crcp_p2p.orphan_receives, 0))
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
	return r;
}
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
/* Book a LANDED request: counters, lists, hook; state COMPLETE. */
void crcp_request_finish(struct crcp_request *r);
/* Give a COMPLETE request's result to the program: status (MPI_STATUS_IGNORE allowed; MPI_ERROR is not touched), *request set to
 * MPI_REQUEST_NULL and the record returned unless persistent. Returns its code. */
int crcp_request_deliver(MPI_Request *request, MPI_Status *status);
void crcp_request_reap(void); /* collect buffered sends and freed receives that have completed */
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

/* ---- fortran.c ---- */
int crcp_fortran_add(struct crcp_fortran_table *t, void *record);
void crcp_fortran_del(struct crcp_fortran_table *t, int index);
void *crcp_fortran_get(const struct crcp_fortran_table *t, int index);

/* ---- progress.c ---- */
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
/* Some progress in the lower library. */
void crcp_lower_progress(void);
/* May a stop be served here? Not inside a callback from the lower library. */
bool crcp_stop_allowed(void);

/* ---- board.c ---- */
void crcp_board_state(uint32_t state); /* set and tell the agent, when it changes */

/* ---- recv.c ---- */
/* Start a receive below for @r (fresh record): 0 or the lower library's error. */
int crcp_recv_post(struct crcp_request *r);
/* ---- bookmark.c ---- */
/* Every rank is stopped: take in all messages in flight. 0, -ECANCELED when the order was taken back, or an error with board.error_text. */
int crcp_bookmark_drain(void);
/* ---- exchange.c ---- */
/* Element-wise sum of @v[n] over all ranks of the world, result on every rank. @scratch: n + 1 words. -ECANCELED: order taken back. */
int crcp_exchange_sum(unsigned int step, uint64_t *v, int n, uint64_t *scratch);
/* ---- stop.c ---- */
void crcp_stop_client(void);
void crcp_stop_init(void);

#endif

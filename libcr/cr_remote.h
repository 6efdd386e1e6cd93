/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a rank on another node, for the MPI layer's windows: what the upper half asks of the lower half.
 *
 * Every rank that needs it has a service thread in its lower half (lower/remote_serve.c), which works on the memory of its own process for
 * ranks that prove that they belong to the job (lower/remote_wire.h has the messages). Requests are made by lower/remote_call.c on the
 * thread that calls. Nothing of it is saved: a restart starts the services again and tells the endpoints again.
 */
#ifndef CR_REMOTE_H
#define CR_REMOTE_H

#include <stddef.h>
#include <stdint.h>

#define CR_REMOTE_ADDRESSES 8
#define CR_REMOTE_SECRET_BYTES 16

/* Where the service of a rank is, and the secret by which both ends know each other. The ranks tell it to each other by MPI. */
struct cr_remote_endpoint {
	uint32_t ok;                                /* 0: this rank has no service */
	uint16_t port;                              /* host order */
	uint16_t n;
	uint32_t address[CR_REMOTE_ADDRESSES];      /* IPv4, network order */
	uint8_t secret[CR_REMOTE_SECRET_BYTES];
};

/* A piece of memory of the target. */
struct cr_remote_run {
	uint64_t at, bytes;
};

enum cr_remote_type {
	CR_REMOTE_PUT = 1,  /* data into the runs */
	CR_REMOTE_GET,      /* the runs' content */
	CR_REMOTE_COMBINE,  /* data and the runs' content into the runs, under the lock word */
	CR_REMOTE_SWAP,     /* compare and swap of one run: data is the comparand, then the new value; under the lock word */
	CR_REMOTE_ADD,      /* value[0] to a word; gives the sum */
	CR_REMOTE_EXCHANGE, /* value[1] into a word that is value[0]; gives what was there */
	CR_REMOTE_SYNC,     /* nothing: what was asked for before is done when the answer comes */
};

/* Bits of cr_remote_head.flags. */
#define CR_REMOTE_REPLY 1u /* an answer is wanted; without it the request is posted: done at the next one with an answer */
#define CR_REMOTE_FETCH 2u /* COMBINE: the former content */

enum cr_remote_op {
	CR_REMOTE_OP_NONE = 1, CR_REMOTE_OP_REPLACE, CR_REMOTE_OP_MAX, CR_REMOTE_OP_MIN, CR_REMOTE_OP_SUM, CR_REMOTE_OP_PROD, CR_REMOTE_OP_LAND,
	CR_REMOTE_OP_LOR, CR_REMOTE_OP_LXOR, CR_REMOTE_OP_BAND, CR_REMOTE_OP_BOR, CR_REMOTE_OP_BXOR, CR_REMOTE_OP_MAXLOC, CR_REMOTE_OP_MINLOC,
	CR_REMOTE_OPS
};

/* What elements are; NONE for CR_REMOTE_OP_NONE and REPLACE. */
enum cr_remote_kind {
	CR_REMOTE_KIND_NONE = 0, CR_REMOTE_I8, CR_REMOTE_I16, CR_REMOTE_I32, CR_REMOTE_I64, CR_REMOTE_U8, CR_REMOTE_U16, CR_REMOTE_U32, CR_REMOTE_U64,
	CR_REMOTE_FLOAT, CR_REMOTE_DOUBLE, CR_REMOTE_LONG_DOUBLE, CR_REMOTE_COMPLEX_FLOAT, CR_REMOTE_COMPLEX_DOUBLE, CR_REMOTE_COMPLEX_LONG_DOUBLE,
	CR_REMOTE_SHORT_INT, CR_REMOTE_INT_INT, CR_REMOTE_LONG_INT, CR_REMOTE_FLOAT_INT, CR_REMOTE_DOUBLE_INT, CR_REMOTE_LONG_DOUBLE_INT,
	CR_REMOTE_FLOAT_FLOAT, CR_REMOTE_DOUBLE_DOUBLE,
	CR_REMOTE_KINDS
};

#define CR_REMOTE_RUNS_MAX 8192u           /* of one request */
#define CR_REMOTE_COMBINE_MAX (1u << 20)   /* bytes of one COMBINE */
#define CR_REMOTE_SWAP_MAX 64u
#define CR_REMOTE_BYTES_MAX (1ULL << 46)
#define CR_REMOTE_ADDRESS_END (1ULL << 47)

struct cr_remote_head {
	uint32_t magic;
	uint16_t type;     /* enum cr_remote_type */
	uint16_t flags;    /* CR_REMOTE_REPLY, ... */
	uint32_t runs;     /* 0: @at and @bytes are the only one; else so many follow the head */
	uint32_t op;       /* COMBINE: enum cr_remote_op */
	uint32_t datatype; /* COMBINE: enum cr_remote_kind */
	uint32_t zero;
	uint64_t at;       /* of the only run, or of the word */
	uint64_t bytes;    /* of all runs together */
	uint64_t lock;     /* COMBINE, SWAP: address of the 32-bit lock word */
	uint64_t value[2];
};
_Static_assert(sizeof(struct cr_remote_head) == 64, "on the wire");

struct cr_remote_setup {
	int rank, size; /* of the world */
};

/*
 * All of these: lower %fs, inside a call; 0 or a negative errno. The upper half finds them by name.
 *
 * start: the service, if it does not run yet; tells where it is.
 * expose: the words of requests lie in memory of this kind, and data in it is known to be there. hide: not any more.
 * call: one request to @rank. @data follows the head and the runs. With CR_REMOTE_REPLY: waits for the answer, whose data of @want bytes
 *       goes to @into. What was posted before is then done, or its error is the result.
 * push: what has been posted to @rank leaves now.
 * sync: what has been posted to @rank (-1: to all) is done.
 */
int cr_remote_start(const struct cr_remote_setup *setup, struct cr_remote_endpoint *ret);
int cr_remote_expose(uint64_t at, uint64_t bytes);
void cr_remote_hide(uint64_t at);
int cr_remote_call(int rank, const struct cr_remote_endpoint *endpoint, struct cr_remote_head *head, const struct cr_remote_run *runs,
		   const void *data, uint64_t data_bytes, void *into, uint64_t want, uint64_t *ret_value);
int cr_remote_push(int rank);
int cr_remote_sync(int rank);
void cr_remote_forget(void); /* in a forked child */

#endif

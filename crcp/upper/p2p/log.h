/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The message log: messages that a drain took out of the network before the program asked for them.
 *
 * Per communicator, in order of arrival. A message is in the log because no receive that was posted at the cut matches it, so every
 * receive posted before the cut stays with the lower library, and every later receive or probe looks in the log first: that keeps
 * MPI's order per source and communicator, wildcards included.
 */
#ifndef CRCP_P2P_LOG_H
#define CRCP_P2P_LOG_H

#include "crcp/upper/crcp.h"

struct crcp_log_message {
	struct crcp_log_message *next, *prev;
	int source; /* rank in the communicator (remote group of an inter-communicator) */
	int tag;
	uint64_t bytes;
	uint8_t *data; /* packed */
};

/**
 * crcp_log_create - memory for a message of the network
 * @source: rank of the sender in the communicator
 * @tag: its tag
 * @bytes: packed size
 *
 * Context: upper half; signal-safe as crcp_alloc() is.
 * Return: the message, on no list, data not filled in; given to the caller. NULL: out of memory.
 */
struct crcp_log_message *crcp_log_create(int source, int tag, uint64_t bytes);
/** crcp_log_destroy - free a message that is on no list; NULL is allowed */
void crcp_log_destroy(struct crcp_log_message *m);
/** crcp_log_append - put @m at the end of the log of @c; the log owns it */
void crcp_log_append(struct crcp_comm *c, struct crcp_log_message *m);
/**
 * crcp_log_match - the first message in order of arrival that a receive of (@source, @tag) matches
 * @source: rank or MPI_ANY_SOURCE
 * @tag: tag or MPI_ANY_TAG
 *
 * Return: the message, still in the log; NULL: none.
 */
struct crcp_log_message *crcp_log_match(const struct crcp_comm *c, int source, int tag);
/** crcp_log_take - take @m out of the log of @c; the caller owns it */
void crcp_log_take(struct crcp_comm *c, struct crcp_log_message *m);
/** crcp_log_clear - destroy what is left in the log of @c */
void crcp_log_clear(struct crcp_comm *c);
/** crcp_log_status - what a probe of @m reports; MPI_STATUS_IGNORE allowed, MPI_ERROR not touched */
void crcp_log_status(const struct crcp_log_message *m, MPI_Status *status);

/**
 * crcp_log_deliver - receive a message of the log into the program's buffer
 * @m: the message, on no list; destroyed
 * @c: its communicator
 * @buf: program's buffer
 * @count: number of elements that fit
 * @type: program's datatype
 * @ret_status: source, tag, size, as a native receive reports them
 *
 * The bytes go through the real library as a message of this process to itself, so that partial elements, gaps and truncation come out
 * exactly as they would have.
 *
 * Context: upper half, inside a wrapper.
 * Return: MPI_SUCCESS or the real library's error, MPI_ERR_TRUNCATE for instance. No handler has been called.
 */
int crcp_log_deliver(struct crcp_log_message *m, struct crcp_comm *c, void *buf, int count, MPI_Datatype type, MPI_Status *ret_status);

/* A run of bytes longer than an int can count, as (count, real datatype). real type freed by crcp_bytes_fini. */
struct crcp_bytes {
	MPI_Datatype real;
	int count;
	bool made;
};
int crcp_bytes_init(struct crcp_bytes *b, uint64_t bytes);
void crcp_bytes_fini(struct crcp_bytes *b);

#endif

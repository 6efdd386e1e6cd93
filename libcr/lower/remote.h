/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two ends of the memory service of one process.
 *
 *   remote_wire.c    messages             remote_address.c  where this node can be reached, and the way to another
 *   remote_serve.c   the service thread   remote_memory.c   what a request does to memory
 *   remote_conn.c    one connection of it remote_combine.c  operations on elements
 *   remote_call.c    requests to others
 */
#ifndef CR_REMOTE_PRIVATE_H
#define CR_REMOTE_PRIVATE_H

#include <stdbool.h>

#include "libcr/lower/remote_wire.h"

/* ---- remote_address.c ---- */
/* IPv4 addresses of this node's interfaces that are up; loopback when there is nothing else. Returns their number. */
int cr_remote_addresses(uint32_t *ret_address, uint32_t *ret_mask, int max);
/* A connection to one of the addresses, those of a network that is ours first, at most @patience_ms for each. @prove: is it the right one there?
 * Returns a descriptor or a negative errno. */
int cr_remote_connect(const struct cr_remote_endpoint *e, int patience_ms, int (*prove)(int fd, void *arg), void *arg);

/* ---- remote_memory.c ---- */
/* Lies all of it in memory that was exposed? */
bool cr_remote_is_exposed(uint64_t at, uint64_t bytes);
/* Memory of the program, without a fault. 0 or -EFAULT. */
int cr_remote_store(uint64_t at, const void *from, uint64_t bytes);
int cr_remote_load(void *to, uint64_t at, uint64_t bytes);
/* @data: what came with it; @old (FETCH): room for h->bytes. 0 or a negative errno. */
int cr_remote_combine(const struct cr_remote_head *h, const struct cr_remote_run *runs, const void *data, void *old);
int cr_remote_swap(const struct cr_remote_head *h, const void *data, void *old);
int cr_remote_word(const struct cr_remote_head *h, uint64_t *ret_value);

/* ---- remote_combine.c ---- */
uint32_t cr_remote_kind_bytes(uint32_t kind); /* of an element; 0: no such kind */
int cr_remote_reduce(const void *in, void *inout, uint64_t n, uint32_t kind, uint32_t op); /* 0 or -EPROTO: not defined */

/* ---- remote_call.c ---- */
int cr_remote_calls_init(const struct cr_remote_setup *setup);
void cr_remote_calls_forget(void);

#endif

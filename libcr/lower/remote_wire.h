/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the ranks say to each other's memory service (cr_remote.h), in the machine's byte order.
 *
 *   service  challenge: a nonce                        caller   proof: its nonce, and a tag over both by the service's secret
 *   service  welcome: a tag over both, the other way   caller   requests: head, runs, data; one after the other
 *   service  for each that wants one an answer: reply, then, if it has data, the data and a tail
 *
 * The secret goes from rank to rank by MPI alone. Requests of a connection are done in their order.
 */
#ifndef CR_REMOTE_WIRE_H
#define CR_REMOTE_WIRE_H

#include "libcr/cr_remote.h"

#define CR_REMOTE_MAGIC 0x31524d52u
#define CR_REMOTE_NONCE_BYTES 16

struct cr_remote_challenge {
	uint32_t magic, version;
	uint8_t nonce[CR_REMOTE_NONCE_BYTES];
};
#define CR_REMOTE_VERSION 1u

struct cr_remote_proof {
	uint32_t magic, rank;
	uint8_t nonce[CR_REMOTE_NONCE_BYTES];
	uint64_t tag;
};

struct cr_remote_welcome {
	uint32_t magic, zero;
	uint64_t tag;
};

struct cr_remote_reply {
	uint32_t magic;
	int32_t error;  /* 0 or a negative errno: of this request, or of one that was posted before it */
	uint64_t value;
	uint64_t bytes; /* of data behind this */
};

struct cr_remote_tail {
	uint32_t magic;
	int32_t error;  /* the memory could not be read to the end: the rest of the data is zeros */
};

/* A request's head as it came from outside: 0 or -EPROTO. */
int cr_remote_head_check(const struct cr_remote_head *h);
/* Its runs. 0 or -EPROTO. */
int cr_remote_runs_check(const struct cr_remote_head *h, const struct cr_remote_run *runs);
/* Bytes of data that follow the runs. */
uint64_t cr_remote_data_bytes(const struct cr_remote_head *h);

/* SipHash-2-4. */
uint64_t cr_remote_mac(const uint8_t key[CR_REMOTE_SECRET_BYTES], const void *data, size_t bytes);
/* The tag of a proof (@service false) or a welcome. */
uint64_t cr_remote_tag(const uint8_t secret[CR_REMOTE_SECRET_BYTES], int service, uint32_t rank, const uint8_t challenge[CR_REMOTE_NONCE_BYTES],
		       const uint8_t nonce[CR_REMOTE_NONCE_BYTES]);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Link messages as bytes of a TCP stream between nodes: what may arrive from another node is judged here and nowhere else.
 *
 * A frame is {magic, version, struct snapc_link_msg} and the payload, little-endian (the only byte order that ompi-cr runs on).  A frame that
 * snapc_link_parse() returns has a known kind of the right side, the size that its kind asks for, NUL-terminated texts, and an agent's
 * message in it that snapc_wire_check() accepts.  No function here keeps state.
 */
#ifndef SNAPC_LINK_WIRE_H
#define SNAPC_LINK_WIRE_H

#include <stddef.h>

#include "snapc/link.h"

#define SNAPC_LINK_MAGIC 0x4e43524fu /* "ORCN" */
#define SNAPC_LINK_VERSION 2u
#define SNAPC_LINK_NONCE_BYTES 32
#define SNAPC_LINK_CREDENTIAL_BYTES 4096
#define SNAPC_LINK_TOPOLOGY_BYTES (8u << 20)
#define SNAPC_LINK_BATCH_BYTES (1u << 20)
#define SNAPC_LINK_ADDRESSES_BYTES 1024
#define SNAPC_LINK_NO_NODE UINT32_MAX

struct snapc_link_frame {
	uint32_t magic;
	uint32_t version;
	struct snapc_link_msg msg;
};

/* Coordinator to node, first. */
struct snapc_link_challenge {
	uint32_t method; /* enum snapc_auth_method */
	uint32_t reserved;
	unsigned char nonce[SNAPC_LINK_NONCE_BYTES];
};

/* Node to coordinator. */
struct snapc_link_proof {
	unsigned char nonce[SNAPC_LINK_NONCE_BYTES];
	uint64_t instance; /* of the node's daemon: the same when it connects again */
	uint32_t node;     /* number that a REDIRECT has given, or SNAPC_LINK_NO_NODE */
	uint32_t reserved;
	char host[SNAPC_HOST_BYTES];
	char addresses[SNAPC_LINK_ADDRESSES_BYTES]; /* where it takes nodes below it; "" nowhere */
	char credential[SNAPC_LINK_CREDENTIAL_BYTES];
};

/* In the place of a node's number: no node but a tool, whose lines follow the welcome (docs/protocol.md, section 2). */
#define SNAPC_LINK_TOOL 0xfffffffeu

/* Coordinator to node: it proves that it is no other either. */
struct snapc_link_welcome {
	uint32_t node;
	uint32_t reserved;
	char credential[SNAPC_LINK_CREDENTIAL_BYTES];
};

/* Coordinator to node: instead of WELCOME; the connection ends. */
struct snapc_link_redirect {
	uint32_t node;
	uint32_t reserved;
	char addresses[SNAPC_LINK_ADDRESSES_BYTES]; /* of the node that is to be above */
	char credential[SNAPC_LINK_CREDENTIAL_BYTES];
};

struct snapc_link_refused {
	char text[CR_TEXT_BYTES];
};

/* What a receiver takes at its place in the conversation. */
enum snapc_link_stage {
	SNAPC_LINK_AT_NODE_FIRST,   /* the node waits for CHALLENGE */
	SNAPC_LINK_AT_NODE_PROVEN,  /* ... for WELCOME */
	SNAPC_LINK_AT_NODE,         /* ... for messages of the coordinator */
	SNAPC_LINK_AT_GLOBAL_FIRST, /* the coordinator waits for PROOF */
	SNAPC_LINK_AT_GLOBAL,       /* ... for messages of a node */
};

/**
 * snapc_link_parse - take one frame from the front of a buffer
 * @ret_msg: its head, when the result is > 0
 * @ret_payload: borrowed from the buffer; no alignment promised
 *
 * Return: bytes that the frame takes; 0: more is needed; -EPROTO or -EMSGSIZE with words: the stream cannot be trusted any more.  The head is
 * judged as soon as it is there, so that nobody is made to wait for what is too large.
 */
int64_t snapc_link_parse(const void *buf, size_t bytes, enum snapc_link_stage stage, struct snapc_link_msg *ret_msg, const void **ret_payload,
			 struct cr_err *err);

/**
 * snapc_link_batch_next - take the next message out of the payload of a BATCH
 * @at: where to look, moved on; 0 at first
 *
 * Each message is struct snapc_link_msg and its payload, filled up to a multiple of 8 bytes.
 * Return: 1 there is one; 0 the end; -EPROTO or -EMSGSIZE with words.
 */
int snapc_link_batch_next(const void *batch, size_t bytes, size_t *at, enum snapc_link_stage stage, struct snapc_link_msg *ret_msg,
			  const void **ret_payload, struct cr_err *err);
/* Bytes that a message takes in a BATCH. */
size_t snapc_link_batch_room(const struct snapc_link_msg *msg);

/* Bytes that the frame at the front of @buf will take in all; 0 while its head is not complete. Only for frames that parse does not refuse. */
size_t snapc_link_expected(const void *buf, size_t bytes);

void snapc_link_frame_make(const struct snapc_link_msg *msg, struct snapc_link_frame *ret_frame);

#endif

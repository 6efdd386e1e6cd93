/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of include/cr_proto.h as bytes: what may arrive from an agent is judged here and nowhere else.
 *
 * A message that snapc_wire_parse() returns has a known type of the right direction, the exact size that its type asks for, and
 * NUL-terminated texts; everything else is an error that ends the connection.  No function here keeps state.
 */
#ifndef SNAPC_WIRE_H
#define SNAPC_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "cr_proto.h"
#include "libcr/cr_err.h"

enum snapc_wire_direction {
	SNAPC_WIRE_TO_AGENT = 1,
	SNAPC_WIRE_TO_COORDINATOR = 2,
};

struct snapc_wire_msg {
	uint32_t type;
	uint32_t checkpoint;
	uint32_t bytes;
	const void *payload; /* borrowed from the buffer; no alignment promised */
};

/**
 * snapc_wire_parse - take one message from the front of a buffer
 * @buf: bytes as they arrived
 * @bytes: how many
 * @direction: the only direction that is accepted
 * @ret_msg: the message, when the result is > 0
 *
 * Return: bytes that the message takes; 0: more is needed; -EPROTO or -EMSGSIZE with words: the stream cannot be trusted any more.
 */
int64_t snapc_wire_parse(const void *buf, size_t bytes, enum snapc_wire_direction direction, struct snapc_wire_msg *ret_msg,
			 struct cr_err *err);

/**
 * snapc_wire_check - judge a message whose head and payload are apart, as in a link message
 * Return: 0, -EPROTO or -EMSGSIZE with words.
 */
int snapc_wire_check(uint32_t type, const void *payload, uint32_t bytes, enum snapc_wire_direction direction, struct cr_err *err);

/* Bytes that the message at the front of @buf will take in all, head included; 0 while the head is not complete. */
size_t snapc_wire_expected(const void *buf, size_t bytes);

void snapc_wire_head(uint32_t type, uint32_t checkpoint, uint32_t payload_bytes, struct cr_msg_head *ret_head);

/* "CLOCKS"; "?" for an unknown number. */
const char *snapc_wire_name(uint32_t type);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages as bytes. One table (messages.def) says what each type may look like. */
#include "snapc/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct wire_type {
	const char *name;
	enum snapc_wire_direction direction;
	uint32_t bytes;
	bool variable;
};

static const struct wire_type wire_types[] = {
#define MESSAGE(name_, direction_, bytes_, variable_) \
	[CR_MSG_##name_] = { #name_, SNAPC_WIRE_##direction_, (uint32_t)(bytes_), (variable_) != 0 },
#include "snapc/messages.def"
#undef MESSAGE
};

#define WIRE_TYPES (sizeof(wire_types) / sizeof(wire_types[0]))

static const struct wire_type *wire_type_find(uint32_t type)
{
	return type < WIRE_TYPES && wire_types[type].name ? &wire_types[type] : NULL;
}

const char *snapc_wire_name(uint32_t type)
{
	const struct wire_type *t = wire_type_find(type);

	return t ? t->name : "?";
}

size_t snapc_wire_expected(const void *buf, size_t bytes)
{
	struct cr_msg_head head;

	if (bytes < sizeof(head))
		return 0;
	memcpy(&head, buf, sizeof(head));
	return sizeof(head) + (head.bytes > CR_MSG_MAX_BYTES ? 0 : head.bytes);
}

static int wire_check_head(const struct cr_msg_head *head, enum snapc_wire_direction direction, struct cr_err *err)
{
	const struct wire_type *t;

	if (head->magic != CR_PROTO_MAGIC)
		return cr_err_set(err, EPROTO, "the peer does not speak this protocol: its message begins with 0x%04x", head->magic);
	if (head->version != CR_PROTO_VERSION)
		return cr_err_set(err, EPROTO, "the peer speaks version %u of the protocol, this program version %u: install the same ompi-cr everywhere",
				  head->version, CR_PROTO_VERSION);
	if (head->bytes > CR_MSG_MAX_BYTES)
		return cr_err_set(err, EMSGSIZE, "a message of %u bytes is larger than the limit of %u", head->bytes, CR_MSG_MAX_BYTES);
	t = wire_type_find(head->type);
	if (!t)
		return cr_err_set(err, EPROTO, "message type %u is not known", head->type);
	if (t->direction != direction)
		return cr_err_set(err, EPROTO, "message %s came from the wrong side", t->name);
	if (head->bytes < t->bytes || (!t->variable && head->bytes != t->bytes))
		return cr_err_set(err, EPROTO, "message %s has %u bytes of payload instead of %s%u", t->name, head->bytes,
				  t->variable ? "at least " : "", t->bytes);
	return 0;
}

static bool wire_terminated(const void *payload, size_t offset, size_t bytes)
{
	return memchr((const char *)payload + offset, 0, bytes) != NULL;
}

/* What the size alone cannot tell. */
static int wire_check_payload(const struct cr_msg_head *head, const void *payload, struct cr_err *err)
{
	struct cr_msg_clocks clocks;

	switch (head->type) {
	case CR_MSG_HELLO:
		if (!wire_terminated(payload, offsetof(struct cr_msg_hello, exe), CR_PATH_BYTES) ||
		    !wire_terminated(payload, offsetof(struct cr_msg_hello, engine), sizeof(((struct cr_msg_hello *)0)->engine)))
			return cr_err_set(err, EPROTO, "a text in HELLO has no end");
		return 0;
	case CR_MSG_FAILED:
		if (!wire_terminated(payload, offsetof(struct cr_msg_failed, text), CR_TEXT_BYTES))
			return cr_err_set(err, EPROTO, "the text in FAILED has no end");
		return 0;
	case CR_MSG_DUMP:
		if (!wire_terminated(payload, offsetof(struct cr_msg_dump, path), CR_PATH_BYTES))
			return cr_err_set(err, EPROTO, "the path in DUMP has no end");
		return 0;
	case CR_MSG_CLOCKS:
		memcpy(&clocks, payload, sizeof(clocks));
		if (clocks.n > (CR_MSG_MAX_BYTES - sizeof(clocks)) / sizeof(struct cr_msg_clock) ||
		    head->bytes != sizeof(clocks) + clocks.n * sizeof(struct cr_msg_clock))
			return cr_err_set(err, EPROTO, "CLOCKS announces %u clocks in %u bytes", clocks.n, head->bytes);
		return 0;
	default:
		return 0;
	}
}

int64_t snapc_wire_parse(const void *buf, size_t bytes, enum snapc_wire_direction direction, struct snapc_wire_msg *ret_msg,
			 struct cr_err *err)
{
	struct cr_msg_head head;
	const void *payload;
	int rc;

	if (bytes < sizeof(head))
		return 0;
	memcpy(&head, buf, sizeof(head));
	rc = wire_check_head(&head, direction, err);
	if (rc < 0)
		return rc;
	if (bytes - sizeof(head) < head.bytes)
		return 0;
	payload = (const char *)buf + sizeof(head);
	rc = wire_check_payload(&head, payload, err);
	if (rc < 0)
		return rc;
	ret_msg->type = head.type;
	ret_msg->checkpoint = head.checkpoint;
	ret_msg->bytes = head.bytes;
	ret_msg->payload = payload;
	return (int64_t)sizeof(head) + head.bytes;
}

int snapc_wire_check(uint32_t type, const void *payload, uint32_t bytes, enum snapc_wire_direction direction, struct cr_err *err)
{
	struct cr_msg_head head;
	int rc;

	snapc_wire_head(type, 0, bytes, &head);
	rc = wire_check_head(&head, direction, err);
	return rc < 0 ? rc : wire_check_payload(&head, payload, err);
}

void snapc_wire_head(uint32_t type, uint32_t checkpoint, uint32_t payload_bytes, struct cr_msg_head *ret_head)
{
	*ret_head = (struct cr_msg_head){
		.magic = CR_PROTO_MAGIC,
		.version = CR_PROTO_VERSION,
		.type = type,
		.bytes = payload_bytes,
		.checkpoint = checkpoint,
	};
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames between nodes. One table says what each kind may look like, and when. */
#include "snapc/link_wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "snapc/wire.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are little-endian");
_Static_assert(sizeof(struct snapc_link_frame) == 40, "no padding in a frame");

struct link_kind {
	const char *name;
	enum snapc_link_stage stage;
	uint32_t least;
	uint32_t most;
};

#define EXACT(type) sizeof(type), sizeof(type)

static const struct link_kind link_kinds[] = {
	[SNAPC_LINK_NODE_UP] = { "NODE_UP", SNAPC_LINK_AT_GLOBAL, EXACT(struct snapc_link_node) },
	[SNAPC_LINK_RANK_UP] = { "RANK_UP", SNAPC_LINK_AT_GLOBAL, EXACT(struct snapc_link_rank) },
	[SNAPC_LINK_RANK_DOWN] = { "RANK_DOWN", SNAPC_LINK_AT_GLOBAL, 0, 0 },
	[SNAPC_LINK_FROM_AGENT] = { "FROM_AGENT", SNAPC_LINK_AT_GLOBAL, 0, CR_MSG_MAX_BYTES },
	[SNAPC_LINK_SURVEY] = { "SURVEY", SNAPC_LINK_AT_GLOBAL, EXACT(struct snapc_link_survey) },
	[SNAPC_LINK_TOPOLOGY] = { "TOPOLOGY", SNAPC_LINK_AT_GLOBAL, 1, SNAPC_LINK_TOPOLOGY_BYTES },
	[SNAPC_LINK_NODE_DOWN] = { "NODE_DOWN", SNAPC_LINK_AT_GLOBAL, 0, 0 },
	[SNAPC_LINK_TO_AGENT] = { "TO_AGENT", SNAPC_LINK_AT_NODE, 0, CR_MSG_MAX_BYTES },
	[SNAPC_LINK_ASK_SURVEY] = { "ASK_SURVEY", SNAPC_LINK_AT_NODE, 0, 0 },
	[SNAPC_LINK_ASK_TOPOLOGY] = { "ASK_TOPOLOGY", SNAPC_LINK_AT_NODE, 0, 0 },
	[SNAPC_LINK_BLOW] = { "BLOW", SNAPC_LINK_AT_NODE, 0, 0 },
	[SNAPC_LINK_LEAVE] = { "LEAVE", SNAPC_LINK_AT_NODE, 0, 0 },
	[SNAPC_LINK_CHALLENGE] = { "CHALLENGE", SNAPC_LINK_AT_NODE_FIRST, EXACT(struct snapc_link_challenge) },
	[SNAPC_LINK_PROOF] = { "PROOF", SNAPC_LINK_AT_GLOBAL_FIRST, EXACT(struct snapc_link_proof) },
	[SNAPC_LINK_WELCOME] = { "WELCOME", SNAPC_LINK_AT_NODE_PROVEN, EXACT(struct snapc_link_welcome) },
	[SNAPC_LINK_REFUSED] = { "REFUSED", SNAPC_LINK_AT_NODE_PROVEN, EXACT(struct snapc_link_refused) },
	[SNAPC_LINK_REDIRECT] = { "REDIRECT", SNAPC_LINK_AT_NODE_PROVEN, EXACT(struct snapc_link_redirect) },
	[SNAPC_LINK_BATCH] = { "BATCH", SNAPC_LINK_AT_NODE, sizeof(struct snapc_link_msg), SNAPC_LINK_BATCH_BYTES },
};

#define LINK_KINDS (sizeof(link_kinds) / sizeof(link_kinds[0]))

/* Texts with a fixed place, and where they end. */
static const struct {
	uint32_t kind;
	size_t offset;
	size_t bytes;
} link_texts[] = {
#define TEXT(kind, type, field) { SNAPC_LINK_##kind, offsetof(struct type, field), sizeof(((struct type *)0)->field) }
	TEXT(NODE_UP, snapc_link_node, host),
	TEXT(RANK_UP, snapc_link_rank, exe),
	TEXT(RANK_UP, snapc_link_rank, engine),
	TEXT(SURVEY, snapc_link_survey, cpus),
	TEXT(PROOF, snapc_link_proof, host),
	TEXT(PROOF, snapc_link_proof, addresses),
	TEXT(PROOF, snapc_link_proof, credential),
	TEXT(REDIRECT, snapc_link_redirect, addresses),
	TEXT(REDIRECT, snapc_link_redirect, credential),
	TEXT(WELCOME, snapc_link_welcome, credential),
	TEXT(REFUSED, snapc_link_refused, text),
#undef TEXT
};

/* What may come when it is not the one stage that the table names. */
static bool link_also(uint32_t kind, enum snapc_link_stage stage)
{
	return (kind == SNAPC_LINK_REFUSED && stage == SNAPC_LINK_AT_NODE_FIRST) || (kind == SNAPC_LINK_BATCH && stage == SNAPC_LINK_AT_GLOBAL);
}

static int link_check_msg(const struct snapc_link_msg *msg, enum snapc_link_stage stage, struct cr_err *err)
{
	const struct link_kind *k = msg->kind < LINK_KINDS && link_kinds[msg->kind].name ? &link_kinds[msg->kind] : NULL;

	if (!k)
		return cr_err_set(err, EPROTO, "message kind %u is not known", msg->kind);
	if (k->stage != stage && !link_also(msg->kind, stage))
		return cr_err_set(err, EPROTO, "message %s came at the wrong time or from the wrong side", k->name);
	if (msg->bytes > k->most)
		return cr_err_set(err, EMSGSIZE, "message %s of %u bytes is larger than the limit of %u", k->name, msg->bytes, k->most);
	if (msg->bytes < k->least)
		return cr_err_set(err, EPROTO, "message %s has %u bytes instead of %u", k->name, msg->bytes, k->least);
	return 0;
}

static int link_check_head(const struct snapc_link_frame *frame, enum snapc_link_stage stage, struct cr_err *err)
{
	if (frame->magic != SNAPC_LINK_MAGIC)
		return cr_err_set(err, EPROTO, "the peer does not speak this protocol: its message begins with 0x%08x", frame->magic);
	if (frame->version != SNAPC_LINK_VERSION)
		return cr_err_set(err, EPROTO, "the peer speaks version %u of the protocol between nodes, this program version %u: install the same ompi-cr everywhere",
				  frame->version, SNAPC_LINK_VERSION);
	return link_check_msg(&frame->msg, stage, err);
}

/* Payloads arrive at any address, so they are looked at bytewise or through copies. */
static int link_check_payload(const struct snapc_link_msg *msg, const void *payload, struct cr_err *err)
{
	const char *bytes = payload;

	for (size_t i = 0; i < sizeof(link_texts) / sizeof(link_texts[0]); i++)
		if (link_texts[i].kind == msg->kind && !memchr(bytes + link_texts[i].offset, 0, link_texts[i].bytes))
			return cr_err_set(err, EPROTO, "a text in %s has no end", link_kinds[msg->kind].name);
	switch (msg->kind) {
	case SNAPC_LINK_TOPOLOGY:
		return bytes[msg->bytes - 1] ? cr_err_set(err, EPROTO, "the text in TOPOLOGY has no end") : 0;
	case SNAPC_LINK_FROM_AGENT:
		if (msg->type == CR_MSG_HELLO || msg->type == CR_MSG_MPI_STATE)
			return cr_err_set(err, EPROTO, "message %s is for the local role", snapc_wire_name(msg->type));
		return snapc_wire_check(msg->type, payload, msg->bytes, SNAPC_WIRE_TO_COORDINATOR, err);
	case SNAPC_LINK_TO_AGENT:
		return snapc_wire_check(msg->type, payload, msg->bytes, SNAPC_WIRE_TO_AGENT, err);
	default:
		return 0;
	}
}

int64_t snapc_link_parse(const void *buf, size_t bytes, enum snapc_link_stage stage, struct snapc_link_msg *ret_msg, const void **ret_payload,
			 struct cr_err *err)
{
	struct snapc_link_frame frame;
	const void *payload;
	int rc;

	if (bytes < sizeof(frame))
		return 0;
	memcpy(&frame, buf, sizeof(frame));
	rc = link_check_head(&frame, stage, err);
	if (rc < 0)
		return rc;
	if (bytes - sizeof(frame) < frame.msg.bytes)
		return 0;
	payload = (const char *)buf + sizeof(frame);
	rc = link_check_payload(&frame.msg, payload, err);
	if (rc < 0)
		return rc;
	*ret_msg = frame.msg;
	*ret_payload = payload;
	return (int64_t)sizeof(frame) + frame.msg.bytes;
}

size_t snapc_link_batch_room(const struct snapc_link_msg *msg)
{
	return sizeof(*msg) + (((size_t)msg->bytes + 7) & ~(size_t)7);
}

int snapc_link_batch_next(const void *batch, size_t bytes, size_t *at, enum snapc_link_stage stage, struct snapc_link_msg *ret_msg,
			  const void **ret_payload, struct cr_err *err)
{
	struct snapc_link_msg msg;
	const void *payload;
	int rc;

	if (*at == bytes)
		return 0;
	if (bytes - *at < sizeof(msg))
		return cr_err_set(err, EPROTO, "a BATCH ends inside a message");
	memcpy(&msg, (const char *)batch + *at, sizeof(msg));
	if (msg.kind == SNAPC_LINK_BATCH)
		return cr_err_set(err, EPROTO, "a BATCH in a BATCH");
	rc = link_check_msg(&msg, stage, err);
	if (rc < 0)
		return rc;
	if (snapc_link_batch_room(&msg) > bytes - *at)
		return cr_err_set(err, EPROTO, "a BATCH ends inside a message");
	payload = (const char *)batch + *at + sizeof(msg);
	rc = link_check_payload(&msg, payload, err);
	if (rc < 0)
		return rc;
	*at += snapc_link_batch_room(&msg);
	*ret_msg = msg;
	*ret_payload = payload;
	return 1;
}

size_t snapc_link_expected(const void *buf, size_t bytes)
{
	struct snapc_link_frame frame;

	if (bytes < sizeof(frame))
		return 0;
	memcpy(&frame, buf, sizeof(frame));
	return sizeof(frame) + frame.msg.bytes;
}

void snapc_link_frame_make(const struct snapc_link_msg *msg, struct snapc_link_frame *ret_frame)
{
	*ret_frame = (struct snapc_link_frame){ .magic = SNAPC_LINK_MAGIC, .version = SNAPC_LINK_VERSION, .msg = *msg };
}

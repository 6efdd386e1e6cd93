/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bytes from an agent, from a tool, from another node, and of CLOCKS messages into the cut.  A minute by hand:
 *	make tests/fuzz/fuzz_proto && tests/fuzz/fuzz_proto -max_total_time=60 tests/fuzz/fuzz_proto.corpus
 *
 * -make_corpus=DIR writes one good message of every type to start from.
 *
 * Besides what the sanitizers see: a message that is taken is no longer than the bytes, and the cut never permits beyond its own target.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/cut.h"
#include "snapc/fault.h"
#include "snapc/line.h"
#include "snapc/link_wire.h"
#include "snapc/wire.h"

#define RANKS 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void fuzz_permit(void *arg, uint32_t rank, uint64_t clock, uint64_t count)
{
	(void)arg;
	if (rank >= RANKS || !clock || !count)
		abort();
}

static void fuzz_stream(const uint8_t *data, size_t bytes, enum snapc_wire_direction direction)
{
	struct snapc_cut *cut = snapc_cut_create(RANKS);
	struct snapc_wire_msg msg;
	struct cr_msg_clocks head;
	struct cr_err err;
	uint64_t now_ns = 1, wake_ns;
	char text[128];
	int64_t taken;

	while (cut && (taken = snapc_wire_parse(data, bytes, direction, &msg, &err)) > 0) {
		if ((size_t)taken > bytes || snapc_wire_expected(data, bytes) != (size_t)taken)
			abort();
		now_ns += 20000000;
		if (msg.type == CR_MSG_CLOCKS) {
			memcpy(&head, msg.payload, sizeof(head));
			snapc_cut_report(cut, msg.checkpoint % (RANKS + 1), &head, (const char *)msg.payload + sizeof(head), now_ns, &err);
			snapc_cut_step(cut, now_ns, fuzz_permit, NULL, &wake_ns);
			snapc_cut_explain(cut, text, sizeof(text));
		}
		data += taken;
		bytes -= (size_t)taken;
	}
	snapc_cut_destroy(cut);
}

static void fuzz_batch(const uint8_t *data, size_t bytes, enum snapc_link_stage stage)
{
	struct snapc_link_msg msg;
	const void *payload;
	struct cr_err err;
	size_t at = 0, before = 0;

	for (; snapc_link_batch_next(data, bytes, &at, stage, &msg, &payload, &err) > 0; before = at)
		if (at <= before || at > bytes || (const uint8_t *)payload + msg.bytes > data + bytes || msg.kind == SNAPC_LINK_BATCH)
			abort();
}

/* What one end of a connection between nodes takes, at every point of the conversation. */
static void fuzz_link(const uint8_t *data, size_t bytes)
{
	struct snapc_link_msg msg;
	const void *payload;
	struct cr_err err;
	int64_t taken;

	for (int stage = SNAPC_LINK_AT_NODE_FIRST; stage <= SNAPC_LINK_AT_GLOBAL; stage++) {
		const uint8_t *at = data;
		size_t left = bytes;

		while ((taken = snapc_link_parse(at, left, (enum snapc_link_stage)stage, &msg, &payload, &err)) > 0) {
			if ((size_t)taken > left || snapc_link_expected(at, left) != (size_t)taken ||
			    (const uint8_t *)payload + msg.bytes > at + left)
				abort();
			if (msg.kind == SNAPC_LINK_BATCH)
				fuzz_batch(payload, msg.bytes, (enum snapc_link_stage)stage);
			at += taken;
			left -= (size_t)taken;
		}
		fuzz_batch(data, bytes, (enum snapc_link_stage)stage);
	}
}

static void fuzz_line(const uint8_t *data, size_t bytes)
{
	struct snapc_words words;
	struct snapc_fault fault;
	struct cr_err err;
	char *text = malloc(bytes + 1);

	if (!text)
		return;
	memcpy(text, data, bytes);
	text[bytes] = 0;
	snapc_fault_parse(text, &fault, &err);
	if (snapc_line_parse(text, &words) == 0) {
		snapc_words_get(&words, "version", NULL);
		snapc_words_number(&words, "timeout", 1000, 0);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	/* a copy of the exact size, so that a read beyond the end is seen */
	uint8_t *copy = malloc(bytes ? bytes : 1);

	if (!copy)
		return 0;
	memcpy(copy, data, bytes);
	fuzz_stream(copy, bytes, SNAPC_WIRE_TO_COORDINATOR);
	fuzz_stream(copy, bytes, SNAPC_WIRE_TO_AGENT);
	fuzz_link(copy, bytes);
	fuzz_line(copy, bytes);
	free(copy);
	return 0;
}

static void corpus_message(const char *dir, uint32_t type, uint32_t payload_bytes)
{
	unsigned char buf[4096];
	struct cr_msg_head head;
	struct cr_msg_clocks clocks = { .n = 2, .asking = 1, .ask_clock = 1, .ask_count = 3 };
	struct cr_msg_clock table[2] = { { .id = 1, .count = 3, .size = 4 }, { .id = 2, .count = 1, .size = 2 } };
	char path[4096];
	FILE *file;

	memset(buf, 0, sizeof(buf));
	if (type == CR_MSG_CLOCKS) {
		memcpy(buf + sizeof(head), &clocks, sizeof(clocks));
		memcpy(buf + sizeof(head) + sizeof(clocks), table, sizeof(table));
		payload_bytes += (uint32_t)sizeof(table);
	}
	snapc_wire_head(type, type % RANKS, payload_bytes, &head);
	memcpy(buf, &head, sizeof(head));
	snprintf(path, sizeof(path), "%s/good-%s", dir, snapc_wire_name(type));
	file = fopen(path, "wb");
	if (!file || fwrite(buf, sizeof(head) + payload_bytes, 1, file) != 1 || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static void corpus_link(const char *dir, uint32_t kind, uint32_t type, uint32_t bytes)
{
	static const unsigned char zeros[1 << 14];
	const struct snapc_link_msg msg = { .kind = kind, .rank = 1, .type = type, .bytes = bytes, .proc = 1 };
	struct snapc_link_frame frame;
	char path[4096];
	FILE *file;

	snapc_link_frame_make(&msg, &frame);
	snprintf(path, sizeof(path), "%s/good-link-%u-%u", dir, kind, type);
	file = fopen(path, "wb");
	if (!file || fwrite(&frame, sizeof(frame), 1, file) != 1 || (bytes && fwrite(zeros, bytes, 1, file) != 1) || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static void corpus_links(const char *dir)
{
	corpus_link(dir, SNAPC_LINK_NODE_UP, 0, sizeof(struct snapc_link_node));
	corpus_link(dir, SNAPC_LINK_RANK_UP, 0, sizeof(struct snapc_link_rank));
	corpus_link(dir, SNAPC_LINK_RANK_DOWN, 0, 0);
	corpus_link(dir, SNAPC_LINK_FROM_AGENT, CR_MSG_ARRIVED, 0);
	corpus_link(dir, SNAPC_LINK_FROM_AGENT, CR_MSG_CLOCKS, sizeof(struct cr_msg_clocks));
	corpus_link(dir, SNAPC_LINK_SURVEY, 0, sizeof(struct snapc_link_survey));
	corpus_link(dir, SNAPC_LINK_TOPOLOGY, 0, 1);
	corpus_link(dir, SNAPC_LINK_TO_AGENT, CR_MSG_DUMP, sizeof(struct cr_msg_dump));
	corpus_link(dir, SNAPC_LINK_ASK_SURVEY, 0, 0);
	corpus_link(dir, SNAPC_LINK_BLOW, 0, 0);
	corpus_link(dir, SNAPC_LINK_CHALLENGE, 0, sizeof(struct snapc_link_challenge));
	corpus_link(dir, SNAPC_LINK_PROOF, 0, sizeof(struct snapc_link_proof));
	corpus_link(dir, SNAPC_LINK_WELCOME, 0, sizeof(struct snapc_link_welcome));
	corpus_link(dir, SNAPC_LINK_REFUSED, 0, sizeof(struct snapc_link_refused));
	corpus_link(dir, SNAPC_LINK_REDIRECT, 0, sizeof(struct snapc_link_redirect));
	corpus_link(dir, SNAPC_LINK_NODE_DOWN, 0, 0);
	corpus_link(dir, SNAPC_LINK_LEAVE, 0, 0);
	corpus_link(dir, SNAPC_LINK_BATCH, 0, 96);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char option[] = "-make_corpus=";

	if (*argc < 2 || strncmp((*argv)[1], option, sizeof(option) - 1) != 0)
		return 0;
#define MESSAGE(name, direction, bytes, variable) corpus_message((*argv)[1] + sizeof(option) - 1, CR_MSG_##name, (uint32_t)(bytes));
#include "snapc/messages.def"
#undef MESSAGE
	corpus_links((*argv)[1] + sizeof(option) - 1);
	exit(0);
}

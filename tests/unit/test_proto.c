/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages as bytes: what is taken, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/wire.h"

static unsigned char buf[CR_MSG_MAX_BYTES + 4096];

static size_t make(uint32_t type, const void *payload, uint32_t bytes)
{
	struct cr_msg_head head;

	snapc_wire_head(type, 7, bytes, &head);
	memcpy(buf, &head, sizeof(head));
	if (payload)
		memcpy(buf + sizeof(head), payload, bytes);
	else
		memset(buf + sizeof(head), 0, bytes);
	return sizeof(head) + bytes;
}

static int64_t parse(size_t bytes, struct snapc_wire_msg *msg)
{
	/* exactly as large as it says, so that a sanitizer sees a read beyond the end */
	unsigned char *copy = malloc(bytes ? bytes : 1);
	struct cr_err err = { "" };
	int64_t rc;

	memcpy(copy, buf, bytes);
	rc = snapc_wire_parse(copy, bytes, SNAPC_WIRE_TO_COORDINATOR, msg, &err);
	assert_true(rc >= 0 || err.text[0]);
	free(copy);
	return rc;
}

static void whole_message_is_taken(void **state)
{
	struct cr_msg_drained drained = { 3, 4096 };
	size_t bytes = make(CR_MSG_DRAINED, &drained, sizeof(drained));
	struct snapc_wire_msg msg;
	struct cr_err err;

	(void)state;
	assert_int_equal(snapc_wire_parse(buf, bytes + 100, SNAPC_WIRE_TO_COORDINATOR, &msg, &err), bytes);
	assert_int_equal(msg.type, CR_MSG_DRAINED);
	assert_int_equal(msg.checkpoint, 7);
	assert_int_equal(msg.bytes, sizeof(drained));
	assert_memory_equal(msg.payload, &drained, sizeof(drained));
	assert_int_equal(snapc_wire_expected(buf, bytes), bytes);
}

static void part_of_a_message_waits_for_more(void **state)
{
	struct cr_msg_hello hello;
	struct snapc_wire_msg msg;
	size_t bytes;

	(void)state;
	memset(&hello, 0, sizeof(hello));
	bytes = make(CR_MSG_HELLO, &hello, sizeof(hello));
	for (size_t n = 0; n < bytes; n++)
		assert_int_equal(parse(n, &msg), 0);
	assert_int_equal(parse(bytes, &msg), bytes);
	assert_int_equal(snapc_wire_expected(buf, 3), 0);
}

static void strangers_are_refused_by_their_first_bytes(void **state)
{
	struct snapc_wire_msg msg;

	(void)state;
	make(CR_MSG_ARRIVED, NULL, 0);
	buf[0] ^= 1;
	assert_int_equal(parse(sizeof(struct cr_msg_head), &msg), -EPROTO);
	make(CR_MSG_ARRIVED, NULL, 0);
	buf[2] ^= 1;
	assert_int_equal(parse(sizeof(struct cr_msg_head), &msg), -EPROTO);
	memcpy(buf, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_int_equal(parse(18, &msg), -EPROTO);
}

static void unknown_types_and_wrong_directions_are_refused(void **state)
{
	static const uint32_t from_us[] = { CR_MSG_CHECK, CR_MSG_BEGIN,	 CR_MSG_PERMIT, CR_MSG_STOP, CR_MSG_DRAIN,
					    CR_MSG_FREEZE, CR_MSG_DUMP, CR_MSG_RESUME, CR_MSG_EXIT };
	struct snapc_wire_msg msg;

	(void)state;
	assert_int_equal(parse(make(0, NULL, 0), &msg), -EPROTO);
	assert_int_equal(parse(make(CR_MSG_EXIT + 1, NULL, 0), &msg), -EPROTO);
	assert_int_equal(parse(make(UINT32_MAX, NULL, 0), &msg), -EPROTO);
	for (size_t i = 0; i < sizeof(from_us) / sizeof(from_us[0]); i++)
		assert_int_equal(parse(make(from_us[i], NULL, 2000), &msg), -EPROTO);
}

static void every_type_has_exactly_its_size(void **state)
{
	static const struct {
		uint32_t type, bytes;
	} types[] = { { CR_MSG_HELLO, sizeof(struct cr_msg_hello) },   { CR_MSG_MPI_STATE, sizeof(struct cr_msg_mpi_state) },
		      { CR_MSG_ARRIVED, 0 },			       { CR_MSG_DRAINED, sizeof(struct cr_msg_drained) },
		      { CR_MSG_FROZEN, sizeof(struct cr_msg_frozen) }, { CR_MSG_SNAPPED, 0 },
		      { CR_MSG_DUMPED, sizeof(struct cr_msg_dumped) }, { CR_MSG_RESUMED, sizeof(struct cr_msg_resumed) },
		      { CR_MSG_FAILED, sizeof(struct cr_msg_failed) } };
	struct snapc_wire_msg msg;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		size_t bytes = make(types[i].type, NULL, types[i].bytes);

		assert_int_equal(parse(bytes, &msg), bytes);
		assert_int_equal(parse(make(types[i].type, NULL, types[i].bytes + 1), &msg), -EPROTO);
		if (types[i].bytes)
			assert_int_equal(parse(make(types[i].type, NULL, types[i].bytes - 1), &msg), -EPROTO);
	}
}

static void texts_must_end(void **state)
{
	struct cr_msg_hello hello;
	struct cr_msg_failed failed;
	struct snapc_wire_msg msg;

	(void)state;
	memset(&hello, 0, sizeof(hello));
	memset(hello.exe, 'x', sizeof(hello.exe));
	assert_int_equal(parse(make(CR_MSG_HELLO, &hello, sizeof(hello)), &msg), -EPROTO);
	memset(&hello, 0, sizeof(hello));
	memset(hello.engine, 'x', sizeof(hello.engine));
	assert_int_equal(parse(make(CR_MSG_HELLO, &hello, sizeof(hello)), &msg), -EPROTO);
	memset(&failed, 'x', sizeof(failed));
	assert_int_equal(parse(make(CR_MSG_FAILED, &failed, sizeof(failed)), &msg), -EPROTO);
}

static void number_of_clocks_must_agree_with_the_size(void **state)
{
	unsigned char payload[sizeof(struct cr_msg_clocks) + 3 * sizeof(struct cr_msg_clock)];
	struct cr_msg_clocks head = { .n = 3 };
	struct snapc_wire_msg msg;
	size_t bytes;

	(void)state;
	memset(payload, 0, sizeof(payload));
	memcpy(payload, &head, sizeof(head));
	bytes = make(CR_MSG_CLOCKS, payload, sizeof(payload));
	assert_int_equal(parse(bytes, &msg), bytes);
	for (uint32_t n = 0; n < 8; n++) {
		head.n = n;
		memcpy(payload, &head, sizeof(head));
		bytes = make(CR_MSG_CLOCKS, payload, sizeof(payload));
		assert_int_equal(parse(bytes, &msg), n == 3 ? (int64_t)bytes : -EPROTO);
	}
	/* n * size wraps around in 32 bits */
	head.n = 0x0aaaaaab;
	memcpy(payload, &head, sizeof(head));
	assert_int_equal(parse(make(CR_MSG_CLOCKS, payload, sizeof(payload)), &msg), -EPROTO);
}

static void too_large_is_refused_before_it_has_arrived(void **state)
{
	struct cr_msg_head head;
	struct snapc_wire_msg msg;
	size_t bytes;

	(void)state;
	snapc_wire_head(CR_MSG_CHECK_REPLY, 1, CR_MSG_MAX_BYTES + 1, &head);
	memcpy(buf, &head, sizeof(head));
	assert_int_equal(parse(sizeof(head), &msg), -EMSGSIZE);
	assert_int_equal(snapc_wire_expected(buf, sizeof(head)), sizeof(head));
	bytes = make(CR_MSG_CHECK_REPLY, NULL, CR_MSG_MAX_BYTES);
	assert_int_equal(parse(bytes, &msg), bytes);
}

static void messages_have_names(void **state)
{
	(void)state;
	assert_string_equal(snapc_wire_name(CR_MSG_HELLO), "HELLO");
	assert_string_equal(snapc_wire_name(CR_MSG_EXIT), "EXIT");
	assert_string_equal(snapc_wire_name(0), "?");
	assert_string_equal(snapc_wire_name(999), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_message_is_taken),
		cmocka_unit_test(part_of_a_message_waits_for_more),
		cmocka_unit_test(strangers_are_refused_by_their_first_bytes),
		cmocka_unit_test(unknown_types_and_wrong_directions_are_refused),
		cmocka_unit_test(every_type_has_exactly_its_size),
		cmocka_unit_test(texts_must_end),
		cmocka_unit_test(number_of_clocks_must_agree_with_the_size),
		cmocka_unit_test(too_large_is_refused_before_it_has_arrived),
		cmocka_unit_test(messages_have_names),
	};

	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames between nodes, addresses, proofs by the job's secret. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "snapc/auth.h"
#include "snapc/link_address.h"
#include "snapc/link_wire.h"

static unsigned char buffer[1 << 14];

static size_t frame_put(uint32_t kind, uint32_t type, uint32_t bytes, int fill)
{
	const struct snapc_link_msg msg = { .kind = kind, .rank = 3, .type = type, .bytes = bytes, .proc = 7 };
	struct snapc_link_frame frame;

	snapc_link_frame_make(&msg, &frame);
	memcpy(buffer, &frame, sizeof(frame));
	memset(buffer + sizeof(frame), fill, bytes);
	return sizeof(frame) + bytes;
}

static int64_t frame_take(size_t bytes, enum snapc_link_stage stage)
{
	struct snapc_link_msg msg;
	const void *payload;
	struct cr_err err;
	int64_t rc = snapc_link_parse(buffer, bytes, stage, &msg, &payload, &err);

	if (rc > 0)
		assert_true(msg.rank == 3 && msg.proc == 7 && payload == buffer + sizeof(struct snapc_link_frame));
	else if (rc < 0)
		assert_true(err.text[0]);
	return rc;
}

static const struct {
	uint32_t kind;
	enum snapc_link_stage stage;
	uint32_t bytes;
} kinds[] = {
	{ SNAPC_LINK_NODE_UP, SNAPC_LINK_AT_GLOBAL, sizeof(struct snapc_link_node) },
	{ SNAPC_LINK_RANK_UP, SNAPC_LINK_AT_GLOBAL, sizeof(struct snapc_link_rank) },
	{ SNAPC_LINK_RANK_DOWN, SNAPC_LINK_AT_GLOBAL, 0 },
	{ SNAPC_LINK_SURVEY, SNAPC_LINK_AT_GLOBAL, sizeof(struct snapc_link_survey) },
	{ SNAPC_LINK_ASK_SURVEY, SNAPC_LINK_AT_NODE, 0 },
	{ SNAPC_LINK_ASK_TOPOLOGY, SNAPC_LINK_AT_NODE, 0 },
	{ SNAPC_LINK_BLOW, SNAPC_LINK_AT_NODE, 0 },
	{ SNAPC_LINK_CHALLENGE, SNAPC_LINK_AT_NODE_FIRST, sizeof(struct snapc_link_challenge) },
	{ SNAPC_LINK_PROOF, SNAPC_LINK_AT_GLOBAL_FIRST, sizeof(struct snapc_link_proof) },
	{ SNAPC_LINK_WELCOME, SNAPC_LINK_AT_NODE_PROVEN, sizeof(struct snapc_link_welcome) },
	{ SNAPC_LINK_REDIRECT, SNAPC_LINK_AT_NODE_PROVEN, sizeof(struct snapc_link_redirect) },
	{ SNAPC_LINK_NODE_DOWN, SNAPC_LINK_AT_GLOBAL, 0 },
	{ SNAPC_LINK_LEAVE, SNAPC_LINK_AT_NODE, 0 },
};

static void frames_have_their_time_and_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t whole = frame_put(kinds[i].kind, 0, kinds[i].bytes, 0);

		for (size_t part = 0; part < whole; part += part < 64 ? 1 : 97)
			assert_int_equal(frame_take(part, kinds[i].stage), 0);
		assert_int_equal(frame_take(whole, kinds[i].stage), whole);
		for (int stage = SNAPC_LINK_AT_NODE_FIRST; stage <= SNAPC_LINK_AT_GLOBAL; stage++)
			if (stage != (int)kinds[i].stage)
				assert_int_equal(frame_take(whole, (enum snapc_link_stage)stage), -EPROTO);
		frame_put(kinds[i].kind, 0, kinds[i].bytes + 1, 0);
		assert_int_equal(frame_take(sizeof(struct snapc_link_frame), kinds[i].stage), -EMSGSIZE);
		if (kinds[i].bytes) {
			frame_put(kinds[i].kind, 0, kinds[i].bytes - 1, 0);
			assert_int_equal(frame_take(sizeof(struct snapc_link_frame), kinds[i].stage), -EPROTO);
		}
	}
}

static void frames_of_others_are_refused(void **state)
{
	size_t whole;

	(void)state;
	whole = frame_put(SNAPC_LINK_RANK_DOWN, 0, 0, 0);
	buffer[0] ^= 1;
	assert_int_equal(frame_take(whole, SNAPC_LINK_AT_GLOBAL), -EPROTO);
	whole = frame_put(SNAPC_LINK_RANK_DOWN, 0, 0, 0);
	buffer[4] = SNAPC_LINK_VERSION + 1;
	assert_int_equal(frame_take(whole, SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(0, 0, 0, 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(99, 0, 0, 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_PROOF, 0, sizeof(struct snapc_link_proof), 'x'), SNAPC_LINK_AT_GLOBAL_FIRST), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_RANK_UP, 0, sizeof(struct snapc_link_rank), 'x'), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_TOPOLOGY, 0, 10, 'x'), SNAPC_LINK_AT_GLOBAL), -EPROTO);
}

static void an_agents_message_inside_is_judged(void **state)
{
	(void)state;
	assert_true(frame_take(frame_put(SNAPC_LINK_FROM_AGENT, CR_MSG_ARRIVED, 0, 0), SNAPC_LINK_AT_GLOBAL) > 0);
	assert_true(frame_take(frame_put(SNAPC_LINK_TO_AGENT, CR_MSG_STOP, 0, 0), SNAPC_LINK_AT_NODE) > 0);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_FROM_AGENT, CR_MSG_STOP, 0, 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_TO_AGENT, CR_MSG_ARRIVED, 0, 0), SNAPC_LINK_AT_NODE), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_FROM_AGENT, CR_MSG_HELLO, sizeof(struct cr_msg_hello), 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_FROM_AGENT, 9999, 8, 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_TO_AGENT, CR_MSG_DUMP, sizeof(struct cr_msg_dump), 'x'), SNAPC_LINK_AT_NODE), -EPROTO);
}

/* Puts a message behind what is there; @room: how much it claims. Return: bytes. */
static size_t batch_put(size_t used, uint32_t kind, uint32_t type, uint32_t claims, uint32_t bytes)
{
	const struct snapc_link_msg msg = { .kind = kind, .rank = 3, .type = type, .bytes = claims, .proc = 7 };

	memcpy(buffer + used, &msg, sizeof(msg));
	memset(buffer + used + sizeof(msg), 0, bytes);
	return used + sizeof(msg) + bytes;
}

static int batch_take(size_t bytes, enum snapc_link_stage stage)
{
	struct snapc_link_msg msg;
	const void *payload;
	struct cr_err err;
	size_t at = 0;
	int rc, n = 0;

	while ((rc = snapc_link_batch_next(buffer, bytes, &at, stage, &msg, &payload, &err)) > 0) {
		assert_true((const unsigned char *)payload + msg.bytes <= buffer + bytes && msg.proc == 7);
		n++;
	}
	return rc < 0 ? rc : n;
}

static void several_messages_in_one(void **state)
{
	const uint32_t bytes = sizeof(struct cr_msg_resumed);
	size_t used;

	(void)state;
	used = batch_put(0, SNAPC_LINK_FROM_AGENT, CR_MSG_ARRIVED, 0, 0);
	used = batch_put(used, SNAPC_LINK_FROM_AGENT, CR_MSG_RESUMED, bytes, bytes);
	used = batch_put(used, SNAPC_LINK_TOPOLOGY, 0, 3, 8);
	assert_int_equal(batch_take(used, SNAPC_LINK_AT_GLOBAL), 3);
	assert_int_equal(batch_take(used, SNAPC_LINK_AT_NODE), -EPROTO);
	for (size_t cut = used - 1; cut > used - 40; cut--)
		assert_int_equal(batch_take(cut, SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(batch_take(batch_put(0, SNAPC_LINK_FROM_AGENT, CR_MSG_RESUMED, bytes, bytes - 8), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(batch_take(batch_put(0, SNAPC_LINK_BATCH, 0, 32, 32), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(batch_take(batch_put(0, SNAPC_LINK_PROOF, 0, 0, 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
	assert_int_equal(batch_take(batch_put(0, SNAPC_LINK_FROM_AGENT, CR_MSG_ARRIVED, UINT32_MAX, 0), SNAPC_LINK_AT_GLOBAL), -EMSGSIZE);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_BATCH, 0, 64, 0), SNAPC_LINK_AT_GLOBAL_FIRST), -EPROTO);
	assert_int_equal(frame_take(frame_put(SNAPC_LINK_BATCH, 0, 8, 0), SNAPC_LINK_AT_GLOBAL), -EPROTO);
}

static void addresses(void **state)
{
	const char *list = "10.1.2.3:80,[fd00::1:2]:4711,127.0.0.1:65535";
	char text[2048], one[SNAPC_LINK_ADDRESS_BYTES];
	struct sockaddr_storage address;
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(5) };
	struct cr_err err;

	(void)state;
	assert_int_equal(snapc_link_address_next(&list, &address), sizeof(struct sockaddr_in));
	snapc_link_address_text((struct sockaddr *)&address, sizeof(address), one);
	assert_string_equal(one, "10.1.2.3:80");
	assert_int_equal(snapc_link_address_next(&list, &address), sizeof(struct sockaddr_in6));
	snapc_link_address_text((struct sockaddr *)&address, sizeof(address), one);
	assert_string_equal(one, "[fd00::1:2]:4711");
	assert_int_equal(snapc_link_address_next(&list, &address), sizeof(struct sockaddr_in));
	assert_int_equal(snapc_link_address_next(&list, &address), 0);
	assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &mapped.sin6_addr), 1);
	snapc_link_address_text((struct sockaddr *)&mapped, sizeof(mapped), one);
	assert_string_equal(one, "10.1.2.3:5");
	static const char *const bad[] = { "10.1.2.3", "10.1.2.3:0", "10.1.2.3:65536", "host:1", "1.2.3.4:1x", "fd00::1:80", "[fd00::1]", "[fd00::1:80", "[]:80",
					   "[fd00::g]:80", "[10.1.2.3]:80" };
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		list = bad[i];
		assert_int_equal(snapc_link_address_next(&list, &address), -EINVAL);
	}
	assert_int_equal(snapc_link_addresses(4711, "127.0.0.0/8", AF_INET6, text, sizeof(text), &err), 0);
	assert_string_equal(text, "127.0.0.1:4711");
	assert_int_equal(snapc_link_addresses(4711, "lo", AF_INET, text, sizeof(text), &err), 0);
	assert_null(strchr(text, '['));
	assert_int_equal(snapc_link_addresses(4711, "127.0.0.0/33", AF_INET6, text, sizeof(text), &err), -EINVAL);
	assert_int_equal(snapc_link_addresses(4711, "fd00::/129", AF_INET6, text, sizeof(text), &err), -EINVAL);
	assert_int_equal(snapc_link_addresses(4711, "fe80::/10", AF_INET6, text, sizeof(text), &err), -ENODEV);
	assert_int_equal(snapc_link_addresses(4711, "none0", AF_INET6, text, sizeof(text), &err), -ENODEV);
}

static void proofs_by_secret(void **state)
{
	char dir[] = "/tmp/ompi-cr-test-link.XXXXXX", method[PATH_MAX], proof[SNAPC_LINK_CREDENTIAL_BYTES];
	unsigned char a[SNAPC_LINK_NONCE_BYTES] = { 1 }, b[SNAPC_LINK_NONCE_BYTES] = { 2 };
	struct snapc_auth_scene scene = { .global_nonce = a, .node_nonce = b, .instance = 5, .host = "n1", .node = 3, .addresses = "10.0.0.1:5" }, other;
	struct snapc_auth auth, node;
	struct cr_err err;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(snapc_auth_create("neither", dir, &auth, &err), -EINVAL);
	assert_int_equal(snapc_auth_create("secret", dir, &auth, &err), 0);
	assert_int_equal(stat(auth.secret_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snapc_auth_method_text(&auth, method, sizeof(method));
	assert_int_equal(snapc_auth_join(auth.key, method, &node, &err), 0);
	assert_int_equal(snapc_auth_prove(&node, 0, &scene, proof, &err), 0);
	assert_int_equal(snapc_auth_check(&auth, 0, &scene, proof, &err), 0);
	assert_int_equal(snapc_auth_check(&auth, 1, &scene, proof, &err), -EACCES); /* the other side's */
	other = scene;
	other.host = "n2";
	assert_int_equal(snapc_auth_check(&auth, 0, &other, proof, &err), -EACCES);
	other = scene;
	other.node = 4;
	assert_int_equal(snapc_auth_check(&auth, 0, &other, proof, &err), -EACCES);
	other = scene;
	other.addresses = "10.0.0.2:5";
	assert_int_equal(snapc_auth_check(&auth, 0, &other, proof, &err), -EACCES);
	other = scene;
	other.global_nonce = b;
	assert_int_equal(snapc_auth_check(&auth, 0, &other, proof, &err), -EACCES);
	assert_int_equal(snapc_auth_check(&auth, 0, &scene, "", &err), -EACCES);
	node.key[0] = node.key[0] == '0' ? '1' : '0';
	assert_int_equal(snapc_auth_prove(&node, 0, &scene, proof, &err), 0);
	assert_int_equal(snapc_auth_check(&auth, 0, &scene, proof, &err), -EACCES);
	assert_int_equal(chmod(auth.secret_path, 0644), 0);
	assert_int_equal(snapc_auth_join(auth.key, method, &node, &err), -EPERM);
	snapc_auth_destroy(&auth);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_have_their_time_and_size), cmocka_unit_test(frames_of_others_are_refused),
		cmocka_unit_test(an_agents_message_inside_is_judged), cmocka_unit_test(several_messages_in_one),
		cmocka_unit_test(addresses), cmocka_unit_test(proofs_by_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

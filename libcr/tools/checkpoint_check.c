/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The answer to cr_checkpoint --check, for people and for programs. */
#include "libcr/tools/checkpoint_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/tools/json.h"
#include "libcr/tools/process_stat.h"

struct answer {
	bool json, several;
	unsigned int n;
};

/* @reasons: lines, not ended by a zero byte. */
static void print_json(const struct answer *out, const struct cr_msg_checked *m, const char *reasons)
{
	const char *end = reasons + m->bytes;

	printf("%s{\"pid\": %d, \"name\": ", out->n ? ", " : "", m->pid);
	cr_json_string(stdout, m->name, strnlen(m->name, sizeof(m->name)));
	printf(", \"left_out\": %s, \"checkpointable\": %s, \"reasons\": [", m->state == CR_CHECKED_LEFT_OUT ? "true" : "false", m->bytes ? "false" : "true");
	for (const char *at = reasons; at < end;) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		size_t bytes = line ? (size_t)(line - at) : (size_t)(end - at);

		if (at != reasons)
			fputs(", ", stdout);
		cr_json_string(stdout, at, bytes);
		at += bytes + 1;
	}
	fputs("]}", stdout);
}

static void print_one(struct answer *out, const struct cr_msg_checked *m, const char *reasons)
{
	char who[64];

	snprintf(who, sizeof(who), out->several ? "%d (%.16s)" : "%d", m->pid, m->name);
	if (out->json)
		print_json(out, m, reasons);
	else if (m->state == CR_CHECKED_LEFT_OUT)
		printf("%s: is left out\n", who);
	else if (m->bytes)
		printf("%s: cannot be checkpointed:\n%.*s\n", who, (int)m->bytes, reasons);
	else
		printf("%s: can be checkpointed\n", who);
	out->n++;
}

/* Calls print_one() for each, when @out is not NULL. 1: something stands against it; 0; -EPROTO. */
static int each(const char *payload, size_t bytes, struct answer *out)
{
	int against = 0;

	for (size_t at = 0; at < bytes;) {
		struct cr_msg_checked m;

		if (bytes - at < sizeof(m))
			return -EPROTO;
		memcpy(&m, payload + at, sizeof(m));
		at += sizeof(m);
		if (m.bytes > bytes - at)
			return -EPROTO;
		if (out)
			print_one(out, &m, payload + at);
		against |= m.bytes > 0;
		at += m.bytes;
	}
	return against;
}

static int print_all(int pid, const char *payload, size_t bytes, struct answer *out, bool quiet, struct cr_err *err)
{
	int against = each(payload, bytes, NULL);

	if (against < 0)
		return cr_err_set(err, EPROTO, "process %d: its answer makes no sense; it is of another version", pid);
	if (out->json)
		printf("{\"pid\": %d, \"checkpointable\": %s, \"processes\": [", pid, against ? "false" : "true");
	if (out->json || against || !quiet)
		each(payload, bytes, out);
	if (out->json)
		puts("]}");
	return against;
}

static int check_set(struct checkpoint_agent *a, uint32_t flags, struct answer *out, bool quiet, int timeout_ms, struct cr_err *err)
{
	struct cr_msg_check_set m = { .flags = flags };
	int n = checkpoint_agent_ask(a, CR_MSG_CHECK_SET, &m, sizeof(m), err);

	if (!n)
		n = checkpoint_agent_expect(a, CR_MSG_CHECKED, timeout_ms, err);
	return n < 0 ? n : print_all(a->pid, a->payload, (size_t)n, out, quiet, err);
}

int checkpoint_check(struct checkpoint_agent *a, uint32_t flags, bool json, bool quiet, int timeout_ms, struct cr_err *err)
{
	struct answer out = { .json = json, .several = flags != 0 };
	struct cr_msg_checked head = { .pid = a->pid };
	struct cr_process_stat st;
	char *one;
	int n, rc;

	if (flags)
		return check_set(a, flags, &out, quiet, timeout_ms, err);
	n = checkpoint_agent_ask(a, CR_MSG_CHECK, NULL, 0, err);
	if (!n)
		n = checkpoint_agent_expect(a, CR_MSG_CHECK_REPLY, timeout_ms, err);
	if (n < 0)
		return n;
	one = malloc(sizeof(head) + (size_t)n);
	if (!one)
		return cr_err_set(err, ENOMEM, "out of memory");
	head.bytes = (uint32_t)n;
	if (cr_process_stat(a->pid, &st))
		memcpy(head.name, st.name, sizeof(head.name));
	memcpy(one, &head, sizeof(head));
	memcpy(one + sizeof(head), a->payload, (size_t)n);
	rc = print_all(a->pid, one, sizeof(head) + (size_t)n, &out, quiet, err);
	free(one);
	return rc;
}

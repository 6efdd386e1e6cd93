/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's answers to "could this be checkpointed?", for a program that runs: nobody is stopped, and nothing is begun.
 *
 * Context: agent thread.
 */
#include "libcr/lower/agent_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "libcr/lower/message.h"
#include "libcr/lower/set.h"
#include "libcr/lower/tree.h"

void cr_agent_text_add(void *arg, const char *reason)
{
	struct cr_agent_text *t = arg;
	int n = snprintf(t->buf + t->used, t->room - t->used, "%s%s", t->used ? "\n" : "", reason);

	if (n > 0)
		t->used = t->used + (size_t)n < t->room ? t->used + (size_t)n : t->room - 1;
}

#define FAMILY_LOOKS 3

int cr_agent_check_running(bool family, struct cr_agent_text *t)
{
	bool gathering = cr_set.gathering;
	size_t before = t->used;
	int n;

	cr_set.family = family && !cr_set.active;
	for (int i = 1;; i++) {
		cr_set.gathering = gathering || (cr_set.family && cr_procs_family());
		n = cr_dump_check(cr_agent.dumping ? cr_agent.dump.pid : 0, cr_agent_text_add, t);
		if (!n || !cr_set.family || cr_set.gathering || i == FAMILY_LOOKS)
			break;
		t->used = before;
		t->buf[before] = '\0';
	}
	cr_set.gathering = gathering;
	cr_set.family = false;
	return n;
}

int cr_agent_peer(int index)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return index == 0 || getsockopt(cr_agent.conn[index], SOL_SOCKET, SO_PEERCRED, &c, &len) ? 0 : c.pid;
}

void cr_agent_check(int index)
{
	struct cr_agent_text t = { cr_agent.buf, 0, CR_MSG_MAX_BYTES };

	cr_agent.buf[0] = '\0';
	/* A coordinator that asks before it begins: what callbacks may take away does not count yet. */
	if (index == 0 && cr_agent_callbacks_registered())
		cr_nocr_list(cr_agent_text_add, &t);
	else
		cr_agent_check_running(index == 0, &t);
	cr_message_send(cr_agent.conn[index], CR_MSG_CHECK_REPLY, 0, cr_agent.buf, t.used);
}

/* Not while a checkpoint is under way, which has a set of its own. */
static bool check_busy(int index)
{
	struct cr_msg_failed f = { .phase = CR_MSG_BEGIN, .error = EBUSY, .text = "a checkpoint of this process is under way: try again" };

	if (cr_agent.phase == IDLE && !cr_lead_active() && !cr_agent.dumping)
		return false;
	cr_message_send(cr_agent.conn[index], CR_MSG_FAILED, 0, &f, sizeof(f));
	return true;
}

void cr_agent_check_set(int index, uint32_t flags)
{
	struct cr_msg_failed f = { .phase = CR_MSG_BEGIN };
	struct cr_err err = { "" };
	size_t bytes;
	char *reply;
	int rc;

	if (check_busy(index))
		return;
	rc = cr_lead_check(flags, cr_agent_peer(index), &reply, &bytes, &err);
	if (rc < 0) {
		f.error = -rc;
		snprintf(f.text, sizeof(f.text), "%s", err.text);
		cr_message_send(cr_agent.conn[index], CR_MSG_FAILED, 0, &f, sizeof(f));
		return;
	}
	cr_message_send(cr_agent.conn[index], CR_MSG_CHECKED, 0, reply, bytes);
	free(reply);
}

/* A leader asks, who has seen copies of all descriptors: @m is in the buffer that the answer takes. */
void cr_agent_check_member(int index, const struct cr_msg_give *m, size_t bytes)
{
	struct cr_agent_text t = { cr_agent.buf, 0, CR_MSG_MAX_BYTES };
	const struct cr_msg_give give = *m;
	size_t pids = ((size_t)give.n + give.n_left) * sizeof(int32_t);
	const char *at = (const char *)(m + 1);
	int rc;

	if (check_busy(index))
		return;
	if (bytes < sizeof(give) + pids) {
		cr_message_send(cr_agent.conn[index], CR_MSG_CHECK_REPLY, 0, NULL, 0);
		return;
	}
	rc = cr_member_know(&give, (const int32_t *)(const void *)at);
	if (!rc)
		rc = cr_member_share((const struct cr_msg_share *)(const void *)(at + pids), (uint32_t)((bytes - sizeof(give) - pids) / sizeof(struct cr_msg_share)));
	cr_agent.buf[0] = '\0';
	if (rc)
		cr_agent_text_add(&t, "out of memory: try again");
	else
		cr_agent_check_running(false, &t);
	cr_member_clear();
	cr_message_send(cr_agent.conn[index], CR_MSG_CHECK_REPLY, 0, cr_agent.buf, t.used);
}


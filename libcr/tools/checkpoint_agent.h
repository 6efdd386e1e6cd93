/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_checkpoint's connection to the agent of the process that it saves: requests, and the answers to them. */
#ifndef CR_CHECKPOINT_AGENT_H
#define CR_CHECKPOINT_AGENT_H

#include <stdbool.h>

#include "libcr/cr_err.h"
#include "libcr/lower/message.h"

struct checkpoint_agent {
	int pid, fd;
	struct cr_msg_hello hello;
	/* DUMPED may come before the answer that is waited for: the file can be complete before the process runs again. */
	struct cr_msg_dumped early_dumped;
	bool have_dumped;
	/* The processes of the set, when there are several. */
	int32_t members[CR_MSG_MAX_BYTES / sizeof(int32_t)];
	uint32_t n_members;
	/* Called ten times a second while an answer is waited for; NULL: nothing is. */
	void (*idle)(void *arg);
	void *idle_arg;
	char payload[CR_MSG_MAX_BYTES + 1]; /* of the last answer, and a zero byte after it */
};

/**
 * checkpoint_agent_open - connect to the agent of a process
 * @a: zeroed
 * @pid: the process, or a cr_restart that has become several: their root is meant then
 * @timeout_ms: for its greeting
 *
 * Return: 0; -EAGAIN: the process is just starting, -CR_ENOSUPPORT: it is not protected, or another negative errno; with words.
 */
int checkpoint_agent_open(struct checkpoint_agent *a, int pid, int timeout_ms, struct cr_err *err);

/* 0 or a negative errno with words. */
int checkpoint_agent_ask(struct checkpoint_agent *a, uint32_t type, const void *data, size_t bytes, struct cr_err *err);

/* Waits for a message of @want, which is in @a then; others are noted or passed over. Return: its bytes; a negative errno with words, those of FAILED too. */
int checkpoint_agent_expect(struct checkpoint_agent *a, uint32_t want, int timeout_ms, struct cr_err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Can this be checkpointed? Marks with a reason, for this process and for others, and the question at any time. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "libcr/cr_crossing.h"
#include "libcr/lower/message.h"
#include "libcr/upper/upper.h"

#define ANSWER_MS 10000

/* Length of the answer or -errno. While we wait for it we can be checkpointed ourselves: the answer comes to the life that asks. */
static int ask(int pid, uint32_t type, uint32_t answer, const void *payload, uint64_t bytes, char *buf, uint64_t room)
{
	struct pollfd p = { .events = POLLIN };
	uint64_t epoch;
	int n, fd;

	if (!cr_gate_present()) {
		fd = cr_ask_send(pid, type, payload, bytes);
		return fd < 0 ? fd : cr_ask_receive(fd, answer, buf, room);
	}
	do {
		epoch = CR_GATE->epoch;
		fd = CR_LOWER(CR_GATE->ask_send(pid, epoch, type, payload, bytes));
		if (fd < 0 && fd != -ESTALE)
			return fd;
		n = fd;
		if (fd >= 0) {
			p.fd = fd;
			(void)poll(&p, 1, ANSWER_MS);
			n = CR_LOWER(CR_GATE->ask_receive(fd, epoch, answer, buf, room));
		}
	} while (n == -ESTALE);
	return n;
}

static int target(pid_t pid)
{
	if (cr_gate_present() && (pid == 0 || pid == getpid()))
		return 0;
	return pid > 0 ? (int)pid : pid < 0 ? -EINVAL : -CR_ENOSUPPORT;
}

static int mark(pid_t pid, unsigned long id, const char *reason)
{
	struct cr_msg_nocr m = { .id = id, .set = reason != NULL };
	struct cr_msg_nocr_reply r = { .error = -EPROTO };
	int to = target(pid), n;

	if (to < 0)
		return to;
	snprintf(m.text, sizeof(m.text), "%s", reason ? reason : "");
	n = ask(to, CR_MSG_NOCR, CR_MSG_NOCR_REPLY, &m, sizeof(m), (char *)&r, sizeof(r));
	return n < 0 ? n : r.error;
}

EXPORT int cr_nocr_set_for(pid_t pid, unsigned long id, const char *reason)
{
	return reason ? mark(pid, id, reason) : -EINVAL;
}

EXPORT int cr_nocr_clear_for(pid_t pid, unsigned long id)
{
	return mark(pid, id, NULL);
}

EXPORT int cr_nocr_query(pid_t pid, char *buf, size_t bytes)
{
	static const char none;
	int to = target(pid), n, lines = 0;

	if (to < 0)
		return to;
	if (!bytes)
		return -EINVAL;
	n = ask(to, CR_MSG_CHECK, CR_MSG_CHECK_REPLY, &none, 0, buf, bytes);
	if (n < 0)
		return n;
	buf[bytes - 1] = '\0';
	for (const char *p = buf; *p; p = *p ? p + 1 : p) {
		p += strcspn(p, "\n");
		lines++;
		if (!*p)
			break;
	}
	return lines;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One question to the agent of a process. Used by the lower half, and by libcr.so in programs that have none. */
#include "libcr/lower/message.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "libcr.h"

#define ANSWER_S 10

int cr_ask_send(int pid, uint32_t type, const void *payload, uint64_t bytes)
{
	struct timeval tv = { .tv_sec = ANSWER_S };
	struct ucred c;
	socklen_t len = sizeof(c);
	char name[64];
	int fd, rc;

	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, pid);
	fd = cr_message_connect(name, NULL);
	if (fd == -ECONNREFUSED)
		return kill(pid, 0) && errno == ESRCH ? -ESRCH : -CR_ENOSUPPORT;
	if (fd < 0)
		return fd;
	/* Anybody may bind an abstract name. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) || c.pid != pid) {
		close(fd);
		return -EPERM;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	rc = cr_message_send(fd, type, 0, payload, bytes);
	if (rc) {
		close(fd);
		return rc == -EPIPE ? -EPERM : rc;
	}
	return fd;
}

int cr_ask_receive(int fd, uint32_t type, char *buf, uint64_t bytes)
{
	char *all = malloc(CR_MSG_MAX_BYTES + 1);
	struct cr_msg_head h;
	int n;

	if (!all) {
		close(fd);
		return -ENOMEM;
	}
	do
		n = cr_message_recv(fd, &h, all);
	while (n >= 0 && h.type != type);
	close(fd);
	if (n >= 0 && bytes) {
		uint64_t take = (uint64_t)n < bytes ? (uint64_t)n : bytes;

		memcpy(buf, all, take);
		if (take < bytes)
			buf[take] = '\0';
	}
	free(all);
	/* An agent that does not serve this user closes the connection. */
	return n == -EPIPE || n == -ECONNRESET ? -EPERM : n == -EAGAIN ? -ETIMEDOUT : n;
}

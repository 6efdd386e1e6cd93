/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local socket protocol's transport: heads and payloads whole, peers checked. */
#include "libcr/lower/message.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

int cr_message_send2(int fd, uint32_t type, uint32_t checkpoint, const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
	struct cr_msg_head h = { CR_PROTO_MAGIC, CR_PROTO_VERSION, type, (uint32_t)(a_bytes + b_bytes), checkpoint };
	struct iovec iov[3] = { { &h, sizeof(h) }, { (void *)(uintptr_t)a, a_bytes }, { (void *)(uintptr_t)b, b_bytes } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 3 };
	size_t left = sizeof(h) + a_bytes + b_bytes;

	if (a_bytes + b_bytes > CR_MSG_MAX_BYTES)
		return -EMSGSIZE;
	while (left) {
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		left -= (size_t)n;
		for (int i = 0; i < 3 && n > 0; i++) {
			size_t take = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + take;
			iov[i].iov_len -= take;
			n -= (ssize_t)take;
		}
	}
	return 0;
}

int cr_message_send(int fd, uint32_t type, uint32_t checkpoint, const void *payload, size_t bytes)
{
	return cr_message_send2(fd, type, checkpoint, payload, bytes, NULL, 0);
}

static int recv_all(int fd, void *buf, size_t bytes)
{
	size_t got = 0;

	while (got < bytes) {
		ssize_t n = recv(fd, (char *)buf + got, bytes - got, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPIPE;
		got += (size_t)n;
	}
	return 0;
}

int cr_message_recv(int fd, struct cr_msg_head *ret_head, void *buf)
{
	int rc = recv_all(fd, ret_head, sizeof(*ret_head));

	if (rc)
		return rc;
	if (ret_head->magic != CR_PROTO_MAGIC || ret_head->version != CR_PROTO_VERSION || ret_head->bytes > CR_MSG_MAX_BYTES)
		return -EPROTO;
	rc = recv_all(fd, buf, ret_head->bytes);
	return rc ? rc : (int)ret_head->bytes;
}

static socklen_t abstract_addr(struct sockaddr_un *sa, const char *name)
{
	size_t n = strlen(name);

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (n > sizeof(sa->sun_path) - 2)
		n = sizeof(sa->sun_path) - 2;
	memcpy(sa->sun_path + 1, name, n);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n);
}

int cr_message_peer_check(int fd)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len))
		return -errno;
	return c.uid == geteuid() || c.uid == 0 ? 0 : -EPERM;
}

int cr_message_connect(const char *abstract_name, struct cr_err *err)
{
	struct sockaddr_un sa;
	socklen_t len = abstract_addr(&sa, abstract_name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return cr_err_set(err, errno, "socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&sa, len)) {
		rc = cr_err_set(err, errno, "cannot connect to @%s: %s", abstract_name, strerror(errno));
		close(fd);
		return rc;
	}
	if (geteuid() != 0 && cr_message_peer_check(fd)) {
		close(fd);
		return cr_err_set(err, EPERM, "@%s is served by another user", abstract_name);
	}
	return fd;
}

int cr_message_listen(const char *abstract_name, struct cr_err *err)
{
	struct sockaddr_un sa;
	socklen_t len = abstract_addr(&sa, abstract_name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return cr_err_set(err, errno, "socket: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&sa, len) || listen(fd, 16)) {
		rc = cr_err_set(err, errno, "cannot listen on @%s: %s", abstract_name, strerror(errno));
		close(fd);
		return rc;
	}
	return fd;
}

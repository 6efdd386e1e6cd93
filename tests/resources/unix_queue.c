/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in UNIX sockets: connections to be accepted, in their order; descriptors under way, with the very byte that they came with; datagrams with
 * and without a sender's name.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "resource.h"

static int server, first, second, stream[2], packets[2], receiver, sender, shared, other;
static const struct sockaddr_un service = { .sun_family = AF_UNIX, .sun_path = "service" }, box = { .sun_family = AF_UNIX, .sun_path = "box" },
				me = { .sun_family = AF_UNIX, .sun_path = "me" };

static int socket_at(int type, const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0 && (!at || bind(fd, (const void *)at, sizeof(*at)) == 0));
	return fd;
}

static void connect_two(void)
{
	CHECK((first = socket_at(SOCK_STREAM, NULL)) >= 0 && connect(first, (const void *)&service, sizeof(service)) == 0);
	CHECK((second = socket_at(SOCK_STREAM, NULL)) >= 0 && connect(second, (const void *)&service, sizeof(service)) == 0);
}

static void send_fds(int by, const char *text, int a, int b)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} c = { .h = { .cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { .iov_base = (void *)(size_t)text, .iov_len = strlen(text) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	int fds[2] = { a, b };

	memcpy(CMSG_DATA(&c.h), fds, sizeof(fds));
	CHECK(sendmsg(by, &m, 0) == (ssize_t)strlen(text));
}

static void send_all(void)
{
	CHECK(write(stream[0], "before ", 7) == 7);
	send_fds(stream[0], "with", shared, other);
	CHECK(write(stream[0], " after", 6) == 6);
	send_fds(packets[0], "packet", other, shared);
	CHECK(send(packets[0], "plain", 5, 0) == 5);
}

static void send_datagrams(void)
{
	int nobody = socket_at(SOCK_DGRAM, NULL);

	CHECK(sendto(sender, "named", 5, 0, (const void *)&box, sizeof(box)) == 5 && sendto(nobody, "unnamed", 7, 0, (const void *)&box, sizeof(box)) == 7);
	CHECK(close(nobody) == 0);
}

static void setup(void)
{
	CHECK((shared = open("file", O_RDWR | O_CREAT, 0600)) >= 0 && write(shared, "0123456789", 10) == 10 && lseek(shared, 2, SEEK_SET) == 2);
	CHECK((other = open("/dev/null", O_WRONLY)) >= 0);
	server = socket_at(SOCK_STREAM, &service);
	CHECK(listen(server, 5) == 0);
	connect_two();
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets) == 0);
	send_all();
	receiver = socket_at(SOCK_DGRAM, &box);
	sender = socket_at(SOCK_DGRAM, &me);
	send_datagrams();
}

/* Reads at most @room bytes, which are @text, with descriptors as @fds says; closes those. */
static void receive(int fd, size_t room, const char *text, int fds)
{
	char got[64], control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec iov = { .iov_base = got, .iov_len = room };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	int have[2];

	CHECK(recvmsg(fd, &m, MSG_DONTWAIT) == (ssize_t)strlen(text) && memcmp(got, text, strlen(text)) == 0);
	c = CMSG_FIRSTHDR(&m);
	CHECK(!fds == !c);
	if (!c)
		return;
	CHECK(c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(2 * sizeof(int)));
	memcpy(have, CMSG_DATA(c), sizeof(have));
	/* the same description: one position */
	CHECK(lseek(have[fds - 1], 0, SEEK_CUR) == 2 && lseek(have[fds - 1], 5, SEEK_SET) == 5 && lseek(shared, 0, SEEK_CUR) == 5);
	CHECK(lseek(shared, 2, SEEK_SET) == 2 && write(have[2 - fds], "x", 1) == 1 && close(have[0]) == 0 && close(have[1]) == 0);
}

static void verify(void)
{
	struct sockaddr_un from;
	socklen_t len = sizeof(from);
	char got[64];
	int a, b;

	CHECK((a = accept(server, NULL, NULL)) >= 0 && (b = accept(server, NULL, NULL)) >= 0);
	CHECK(write(first, "1", 1) == 1 && write(second, "2", 1) == 1 && read(a, got, 9) == 1 && got[0] == '1' && read(b, got, 9) == 1 && got[0] == '2');
	CHECK(close(a) == 0 && close(b) == 0 && close(first) == 0 && close(second) == 0);
	connect_two();

	receive(stream[1], 4, "befo", 0);
	receive(stream[1], 2, "re", 0);
	receive(stream[1], 3, " wi", 1);
	receive(stream[1], 60, "th after", 0);
	receive(packets[1], 60, "packet", 2);
	receive(packets[1], 60, "plain", 0);
	CHECK(recv(packets[1], got, 9, MSG_DONTWAIT) == -1 && errno == EAGAIN && recv(stream[1], got, 9, MSG_DONTWAIT) == -1);
	send_all();

	CHECK(recvfrom(receiver, got, 9, MSG_DONTWAIT, (void *)&from, &len) == 5 && memcmp(got, "named", 5) == 0 && strcmp(from.sun_path, "me") == 0);
	len = sizeof(from);
	CHECK(recvfrom(receiver, got, 9, MSG_DONTWAIT, (void *)&from, &len) == 7 && memcmp(got, "unnamed", 7) == 0 && len <= sizeof(sa_family_t));
	CHECK(recv(receiver, got, 9, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	send_datagrams();
}

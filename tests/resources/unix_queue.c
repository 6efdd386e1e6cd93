/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in UNIX sockets: connections to be accepted, in their order; datagrams with and without a sender's name.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "resource.h"

static int server, first, second, receiver, sender;
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

static void send_datagrams(void)
{
	int nobody = socket_at(SOCK_DGRAM, NULL);

	CHECK(sendto(sender, "named", 5, 0, (const void *)&box, sizeof(box)) == 5 && sendto(nobody, "unnamed", 7, 0, (const void *)&box, sizeof(box)) == 7);
	CHECK(close(nobody) == 0);
}

static void setup(void)
{
	server = socket_at(SOCK_STREAM, &service);
	CHECK(listen(server, 5) == 0);
	connect_two();
	receiver = socket_at(SOCK_DGRAM, &box);
	sender = socket_at(SOCK_DGRAM, &me);
	send_datagrams();
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

	CHECK(recvfrom(receiver, got, 9, MSG_DONTWAIT, (void *)&from, &len) == 5 && memcmp(got, "named", 5) == 0 && strcmp(from.sun_path, "me") == 0);
	len = sizeof(from);
	CHECK(recvfrom(receiver, got, 9, MSG_DONTWAIT, (void *)&from, &len) == 7 && memcmp(got, "unnamed", 7) == 0 && len <= sizeof(sa_family_t));
	CHECK(recv(receiver, got, 9, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	send_datagrams();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening UNIX sockets with a path and with an abstract name, a connection to one of them with both ends here, one whose client has
 * gone, a bound datagram socket, sockets that were only made.
 */
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "resource.h"

static struct sockaddr_un later = { .sun_family = AF_UNIX, .sun_path = "later" };
static struct sockaddr_un path = { .sun_family = AF_UNIX, .sun_path = "service" }, hidden = { .sun_family = AF_UNIX }, mail = { .sun_family = AF_UNIX, .sun_path = "mail" };
static socklen_t hidden_len;
static int by_path, by_name, client, server, left, box, fresh[2], named;

static void make_left(void)
{
	int gone = socket(AF_UNIX, SOCK_STREAM, 0);

	CHECK(connect(gone, (void *)&path, sizeof(path)) == 0 && (left = accept(by_path, NULL, NULL)) >= 0);
	CHECK(write(gone, "last words", 10) == 10 && close(gone) == 0);
}

static void setup(void)
{
	hidden_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)snprintf(hidden.sun_path + 1, 50, "cr-test-%d", (int)getpid()));
	CHECK((by_path = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && bind(by_path, (void *)&path, sizeof(path)) == 0 && listen(by_path, 7) == 0);
	CHECK(chmod("service", 0620) == 0);
	CHECK((by_name = socket(AF_UNIX, SOCK_SEQPACKET, 0)) >= 0 && bind(by_name, (void *)&hidden, hidden_len) == 0 && listen(by_name, 3) == 0);
	CHECK((client = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && connect(client, (void *)&path, sizeof(path)) == 0);
	CHECK((server = accept(by_path, NULL, NULL)) >= 0);
	CHECK(write(client, "asked", 5) == 5);
	make_left();
	CHECK((box = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0 && bind(box, (void *)&mail, sizeof(mail)) == 0);
	CHECK((fresh[0] = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && (fresh[1] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) >= 0);
	CHECK((named = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && bind(named, (void *)&later, sizeof(later)) == 0);
}

static void talk(int listening, void *to, socklen_t len, int type)
{
	int c = socket(AF_UNIX, type, 0), s;
	char got[8];

	CHECK(c >= 0 && connect(c, to, len) == 0 && (s = accept(listening, NULL, NULL)) >= 0);
	CHECK(write(c, "ping", 4) == 4 && read(s, got, 8) == 4 && memcmp(got, "ping", 4) == 0);
	close(c);
	close(s);
}

static void verify(void)
{
	struct sockaddr_un un = { 0 };
	socklen_t len = sizeof(un);
	struct stat st;
	char got[16];
	int fd;

	talk(by_path, &path, sizeof(path), SOCK_STREAM);
	talk(by_name, &hidden, hidden_len, SOCK_SEQPACKET);
	CHECK(stat("service", &st) == 0 && (st.st_mode & 0777) == 0620);
	CHECK(getpeername(client, (void *)&un, &len) == 0 && strcmp(un.sun_path, "service") == 0);
	len = sizeof(un);
	CHECK(getsockname(server, (void *)&un, &len) == 0 && strcmp(un.sun_path, "service") == 0);
	CHECK(read(server, got, 8) == 5 && memcmp(got, "asked", 5) == 0);
	CHECK(write(server, "reply", 5) == 5 && read(client, got, 8) == 5);
	CHECK(write(client, "asked", 5) == 5);
	len = sizeof(un);
	CHECK(getsockname(left, (void *)&un, &len) == 0 && strcmp(un.sun_path, "service") == 0);
	CHECK(read(left, got, 16) == 10 && memcmp(got, "last words", 10) == 0 && read(left, got, 16) == 0 && close(left) == 0);
	make_left();
	CHECK((fd = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0 && sendto(fd, "m", 1, 0, (void *)&mail, sizeof(mail)) == 1);
	CHECK(read(box, got, 8) == 1 && got[0] == 'm');
	close(fd);
	for (int i = 0; i < 2; i++) {
		len = sizeof(un);
		CHECK(getpeername(fresh[i], (void *)&un, &len) == -1 && errno == ENOTCONN);
	}
	len = sizeof(un);
	CHECK(getsockname(named, (void *)&un, &len) == 0 && strcmp(un.sun_path, "later") == 0);
	CHECK((fd = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && connect(fd, (void *)&later, sizeof(later)) == -1 && errno == ECONNREFUSED);
	close(fd);
}

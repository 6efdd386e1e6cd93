/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pairs of UNIX sockets: stream, datagram, sequenced packets; what waits in them, directions that were shut down, an end that is closed, options.
 */
#include <fcntl.h>
#include <sys/socket.h>

#include "resource.h"

static int stream[2], dgram[2], packet[2], half[2], widow;

static void fill(void)
{
	static char big[20000];

	memset(big, 'b', sizeof(big));
	CHECK(write(stream[0], "hello", 5) == 5 && write(stream[0], big, sizeof(big)) == sizeof(big));
	CHECK(write(stream[1], "back", 4) == 4);
	CHECK(send(dgram[0], "one", 3, 0) == 3 && send(dgram[0], "two two", 7, 0) == 7);
	CHECK(send(packet[1], "first", 5, 0) == 5 && send(packet[1], big, 9000, 0) == 9000 && send(packet[1], "z", 1, 0) == 1);
}

static void setup(void)
{
	int p[2], size = 100000;
	struct timeval tv = { .tv_sec = 12 };

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, dgram) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packet) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0);
	CHECK(write(half[0], "last", 4) == 4 && shutdown(half[0], SHUT_WR) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, p) == 0);
	CHECK(write(p[1], "will", 4) == 4 && close(p[1]) == 0);
	widow = p[0];
	CHECK(setsockopt(stream[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	CHECK(setsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	fill();
}

static void verify(void)
{
	static char got[30000];
	struct timeval tv = { 0 };
	socklen_t len = sizeof(int);
	int size = 0;

	CHECK(recv(stream[1], got, sizeof(got), MSG_DONTWAIT | MSG_WAITALL) == 20005 && memcmp(got, "hellobbb", 8) == 0 && got[20004] == 'b');
	CHECK(recv(stream[1], got, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(recv(stream[0], got, 100, MSG_DONTWAIT) == 4 && memcmp(got, "back", 4) == 0);
	CHECK(recv(dgram[1], got, 100, 0) == 3 && memcmp(got, "one", 3) == 0);
	CHECK(recv(dgram[1], got, 100, 0) == 7 && memcmp(got, "two two", 7) == 0);
	CHECK(recv(dgram[1], got, 100, 0) == -1 && errno == EAGAIN);
	CHECK(recv(packet[0], got, 100, 0) == 5 && recv(packet[0], got, sizeof(got), 0) == 9000 && recv(packet[0], got, 100, 0) == 1 && got[0] == 'z');
	CHECK(recv(half[1], got, 100, MSG_PEEK) == 4 && memcmp(got, "last", 4) == 0);
	CHECK(send(half[0], "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	CHECK(write(half[1], "y", 1) == 1 && read(half[0], got, 1) == 1 && got[0] == 'y');
	CHECK(recv(widow, got, 100, MSG_PEEK) == 4 && memcmp(got, "will", 4) == 0);
	CHECK(send(widow, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	CHECK(getsockopt(stream[1], SOL_SOCKET, SO_SNDBUF, &size, &len) == 0 && size == 200000);
	len = sizeof(tv);
	CHECK(getsockopt(stream[1], SOL_SOCKET, SO_RCVTIMEO, &tv, &len) == 0 && tv.tv_sec == 12);
	CHECK(fcntl(stream[0], F_GETFD) == FD_CLOEXEC && fcntl(dgram[0], F_GETFL) & O_NONBLOCK && !(fcntl(packet[0], F_GETFL) & O_NONBLOCK));
	fill();
}

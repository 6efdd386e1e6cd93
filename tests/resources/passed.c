/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors under way in UNIX sockets (SCM_RIGHTS): of a stream with the byte that they came with, of datagrams and packets; some that no number refers to,
 * some that share a position; a socket that is under way with more in it, also with itself; what a closed end has sent; who has sent it (SO_PASSCRED).
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "resource.h"

#define BYTES 8192

static int stream[2], datagrams[2], packets[2], orphan, box, file, held, reading;
static char *memory;

union control {
	struct cmsghdr h;
	char room[CMSG_SPACE(4 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static void pass(int to, const char *text, size_t bytes, const int *fds, size_t n)
{
	union control c = { .h = { .cmsg_len = CMSG_LEN(n * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { .iov_base = (void *)text, .iov_len = bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	memcpy(CMSG_DATA(&c.h), fds, n * sizeof(int));
	CHECK(sendmsg(to, &m, 0) == (ssize_t)bytes);
}

/* @bytes at most: their number; how many descriptors came with them */
static ssize_t receive(int from, char *text, size_t bytes, int *fds, size_t *n, struct ucred *who)
{
	union control c;
	struct iovec iov = { .iov_base = text, .iov_len = bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	ssize_t got = recvmsg(from, &m, MSG_DONTWAIT);

	CHECK(got >= 0 && !(m.msg_flags & MSG_CTRUNC));
	*n = 0;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		if (h->cmsg_type == SCM_RIGHTS) {
			*n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(h), *n * sizeof(int));
		} else if (who) {
			memcpy(who, CMSG_DATA(h), sizeof(*who));
		}
	}
	return got;
}

static void pair(int type, int ret[2])
{
	CHECK(socketpair(AF_UNIX, type, 0, ret) == 0);
}

static void setup_stream(void)
{
	int p[2], other;

	pair(SOCK_STREAM, stream);
	CHECK(pipe(p) == 0 && write(p[1], "in the pipe", 11) == 11);
	CHECK((file = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0 && (other = open("file", O_RDONLY)) >= 0);
	CHECK(write(file, "0123456789", 10) == 10 && lseek(file, 3, SEEK_SET) == 3 && lseek(other, 5, SEEK_SET) == 5);
	CHECK(write(stream[0], "before", 6) == 6);
	pass(stream[0], "with", 4, (int[]){ p[1], file, other, 1 }, 4);
	CHECK(write(stream[0], "after", 5) == 5);
	pass(stream[0], "more", 4, &other, 1);
	CHECK(close(p[1]) == 0 && close(other) == 0);
	reading = p[0];
	/* Of the process: closing any descriptor of the file gives it up. */
	CHECK(fcntl(file, F_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_start = 2, .l_len = 4 }) == 0);
}

static void setup_datagrams(void)
{
	int count = eventfd(7, 0), mapped = memfd_create("passed", MFD_CLOEXEC), on = 1;
	const struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "box" };
	int sender;

	pair(SOCK_DGRAM, datagrams);
	CHECK(setsockopt(datagrams[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	CHECK(count >= 0 && mapped >= 0 && ftruncate(mapped, BYTES) == 0);
	CHECK((memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0)) != MAP_FAILED);
	strcpy(memory, "mapped and passed");
	pass(datagrams[0], "", 0, &count, 1);
	CHECK(send(datagrams[0], "plain", 5, 0) == 5);
	pass(datagrams[0], "memory", 6, &mapped, 1);
	CHECK(close(count) == 0 && close(mapped) == 0);

	unlink("box");
	CHECK((box = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0 && bind(box, (const void *)&at, sizeof(at)) == 0);
	CHECK((sender = socket(AF_UNIX, SOCK_DGRAM, 0)) >= 0 && connect(sender, (const void *)&at, sizeof(at)) == 0);
	held = open(".", O_RDONLY | O_DIRECTORY);
	pass(sender, "directory", 9, &held, 1);
	CHECK(close(sender) == 0);
}

static void setup_packets(void)
{
	int inner[2], closed[2], null = open("/dev/null", O_WRONLY);

	pair(SOCK_SEQPACKET, packets);
	pair(SOCK_STREAM, inner);
	pair(SOCK_STREAM, closed);
	/* One that is under way, with a descriptor in it that is itself. */
	pass(inner[0], "inner", 5, (int[]){ null, inner[1] }, 2);
	pass(packets[0], "a socket", 8, &inner[1], 1);
	pass(packets[0], "both", 4, inner, 2);
	CHECK(send(packets[0], "last", 4, 0) == 4 && close(inner[0]) == 0 && close(inner[1]) == 0);

	pass(closed[0], "gone", 4, (int[]){ null, closed[0] }, 2);
	CHECK(close(closed[0]) == 0);
	orphan = closed[1];
	CHECK(null >= 0 && close(null) == 0);
}

static void setup(void)
{
	setup_stream();
	setup_datagrams();
	setup_packets();
}

static int lock_of_parent(void)
{
	struct flock l = { .l_type = F_WRLCK };
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(fcntl(file, F_GETLK, &l) == 0 && l.l_type == F_WRLCK && l.l_start == 2 && l.l_len == 4 ? 0 : 1);
	return waitpid(child, &status, 0) == child && status == 0;
}

static void verify_stream(void)
{
	char text[64];
	int fd[4], again;
	size_t n;

	CHECK(lock_of_parent());
	CHECK(recv(stream[1], text, 4, 0) == 4 && receive(stream[1], text, 2, fd, &n, NULL) == 2 && memcmp(text, "re", 2) == 0 && n == 0);
	CHECK(receive(stream[1], text, 3, fd, &n, NULL) == 3 && memcmp(text, "wit", 3) == 0 && n == 4);
	CHECK(write(fd[0], "!", 1) == 1 && close(fd[0]) == 0 && read(reading, text, 64) == 12 && memcmp(text, "in the pipe!", 12) == 0);
	CHECK(read(reading, text, 1) == 0 && close(reading) == 0); /* nobody else has that end */
	CHECK(lseek(fd[1], 1, SEEK_CUR) == 4 && lseek(file, 0, SEEK_CUR) == 4 && read(fd[2], text, 2) == 2 && memcmp(text, "56", 2) == 0);
	CHECK(write(fd[3], "", 0) == 0 && close(fd[3]) == 0);
	CHECK(receive(stream[1], text, 64, &again, &n, NULL) == 10 && memcmp(text, "haftermore", 10) == 0 && n == 1 && lseek(again, 0, SEEK_CUR) == 7);
	CHECK(close(again) == 0 && close(fd[1]) == 0 && close(fd[2]) == 0 && close(file) == 0 && close(stream[0]) == 0 && close(stream[1]) == 0);
}

static void verify_datagrams(void)
{
	struct ucred first = { 0 }, second = { 0 }, now = { 0 };
	char text[64], *map;
	uint64_t count;
	int fd;
	size_t n;

	CHECK(send(datagrams[0], "now", 3, 0) == 3);
	CHECK(receive(datagrams[1], text, 64, &fd, &n, &first) == 0 && n == 1 && read(fd, &count, 8) == 8 && count == 7 && close(fd) == 0);
	CHECK(receive(datagrams[1], text, 64, &fd, &n, &second) == 5 && n == 0 && memcmp(text, "plain", 5) == 0);
	CHECK(receive(datagrams[1], text, 64, &fd, &n, NULL) == 6 && n == 1 && memcmp(text, "memory", 6) == 0);
	CHECK((map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED && strcmp(map, "mapped and passed") == 0);
	strcpy(map, "the same");
	CHECK(strcmp(memory, "the same") == 0 && munmap(map, BYTES) == 0 && munmap(memory, BYTES) == 0 && close(fd) == 0);
	/* By this process, whatever its id is now. */
	CHECK(receive(datagrams[1], text, 64, &fd, &n, &now) == 3 && now.pid > 0 && memcmp(&first, &now, sizeof(now)) == 0 && memcmp(&second, &now, sizeof(now)) == 0);

	CHECK(receive(box, text, 64, &fd, &n, NULL) == 9 && n == 1 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && fcntl(held, F_GETFL) & O_NONBLOCK);
	CHECK(close(fd) == 0 && close(held) == 0 && close(box) == 0 && close(datagrams[0]) == 0 && close(datagrams[1]) == 0);
}

static void verify_packets(void)
{
	char text[64];
	int one, both[2], in[2];
	size_t n;

	CHECK(receive(packets[1], text, 64, &one, &n, NULL) == 8 && n == 1 && receive(packets[1], text, 64, both, &n, NULL) == 4 && n == 2);
	CHECK(recv(packets[1], text, 64, 0) == 4 && memcmp(text, "last", 4) == 0 && recv(packets[1], text, 64, MSG_DONTWAIT) == -1 && errno == EAGAIN);
	CHECK(receive(one, text, 64, in, &n, NULL) == 5 && n == 2 && write(in[0], "x", 1) == 1);
	CHECK(write(both[0], "through", 7) == 7 && read(in[1], text, 64) == 7 && close(in[0]) == 0 && close(in[1]) == 0);
	CHECK(close(one) == 0 && close(both[0]) == 0 && close(both[1]) == 0 && close(packets[0]) == 0 && close(packets[1]) == 0);

	CHECK(receive(orphan, text, 64, in, &n, NULL) == 4 && n == 2 && write(in[0], "x", 1) == 1 && write(in[1], "again", 5) == 5);
	CHECK(read(orphan, text, 64) == 5 && close(in[0]) == 0 && close(in[1]) == 0 && read(orphan, text, 1) == 0 && close(orphan) == 0);
}

static void verify(void)
{
	verify_stream();
	verify_datagrams();
	verify_packets();
	setup();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pipes and FIFOs: content, size, packets, a closed end; a FIFO that was removed, one that nobody has written to.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "resource.h"

static int plain[2], packets[2], widow, fifo, gone, unread;

static void setup(void)
{
	int p[2];

	CHECK(pipe2(plain, O_NONBLOCK | O_CLOEXEC) == 0 && fcntl(plain[0], F_SETPIPE_SZ, 131072) == 131072);
	CHECK(write(plain[1], "waiting", 7) == 7);
	CHECK(pipe2(packets, O_DIRECT | O_NONBLOCK) == 0 && write(packets[1], "one", 3) == 3 && write(packets[1], "three", 5) == 5);
	CHECK(pipe(p) == 0 && write(p[1], "left", 4) == 4 && close(p[1]) == 0);
	widow = p[0];
	CHECK(mkfifo("fifo", 0600) == 0 && (fifo = open("fifo", O_RDWR | O_NONBLOCK)) >= 0 && write(fifo, "named", 5) == 5);
	CHECK(mkfifo("gone", 0600) == 0 && chmod("gone", 0640) == 0 && (gone = open("gone", O_RDWR | O_NONBLOCK)) >= 0 && write(gone, "kept", 4) == 4);
	CHECK(unlink("gone") == 0);
	CHECK(mkfifo("unread", 0600) == 0 && (unread = open("unread", O_RDONLY | O_NONBLOCK)) >= 0);
}

static void verify(void)
{
	struct stat st;
	char got[64];
	int p[2], writer;

	CHECK(fcntl(plain[0], F_GETPIPE_SZ) == 131072 && fcntl(plain[1], F_GETFD) == FD_CLOEXEC);
	CHECK(read(plain[0], got, 64) == 7 && memcmp(got, "waiting", 7) == 0 && read(plain[0], got, 1) == -1 && errno == EAGAIN);
	CHECK(write(plain[1], "waiting", 7) == 7);
	CHECK(read(packets[0], got, 64) == 3 && read(packets[0], got, 64) == 5 && memcmp(got, "three", 5) == 0);
	CHECK(write(packets[1], "one", 3) == 3 && write(packets[1], "three", 5) == 5);
	CHECK(read(widow, got, 64) == 4 && memcmp(got, "left", 4) == 0 && read(widow, got, 64) == 0 && close(widow) == 0);
	CHECK(pipe(p) == 0 && write(p[1], "left", 4) == 4 && close(p[1]) == 0);
	widow = p[0];
	CHECK(read(fifo, got, 64) == 5 && memcmp(got, "named", 5) == 0 && write(fifo, "named", 5) == 5);
	CHECK(read(gone, got, 64) == 4 && memcmp(got, "kept", 4) == 0 && read(gone, got, 1) == -1 && errno == EAGAIN && write(gone, "kept", 4) == 4);
	CHECK(fstat(gone, &st) == 0 && S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0640 && st.st_nlink == 0 && access("gone", F_OK) == -1);
	CHECK(read(unread, got, 1) == 0 && (writer = open("unread", O_WRONLY)) >= 0 && write(writer, "w", 1) == 1 && read(unread, got, 64) == 1);
	CHECK(close(writer) == 0 && read(unread, got, 1) == 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks: flock, POSIX record locks, locks of the open file description, a lease; and signals about a descriptor. Children that do not share
 * them look whether they are held.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "resource.h"

static int whole, record, ofd, leased, unlinked, asyn[2];
static volatile sig_atomic_t signalled;

static void handler(int sig)
{
	signalled = sig;
}

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	CHECK(fd >= 0 && ftruncate(fd, 1000) == 0);
	return fd;
}

static struct flock lock(int type, long start, long len)
{
	return (struct flock){ .l_type = (short)type, .l_start = start, .l_len = len };
}

static void setup(void)
{
	struct flock l;

	signal(SIGRTMIN + 1, handler);
	whole = make("whole");
	CHECK(flock(whole, LOCK_EX) == 0);
	record = make("record");
	l = lock(F_WRLCK, 100, 50);
	CHECK(fcntl(record, F_SETLK, &l) == 0);
	l = lock(F_RDLCK, 400, 0);
	CHECK(fcntl(record, F_SETLK, &l) == 0);
	ofd = make("ofd");
	l = lock(F_WRLCK, 10, 5);
	CHECK(fcntl(ofd, F_OFD_SETLK, &l) == 0);
	leased = make("leased");
	CHECK(close(leased) == 0 && (leased = open("leased", O_RDONLY)) >= 0 && fcntl(leased, F_SETLEASE, F_RDLCK) == 0);
	unlinked = make("unlinked");
	CHECK(unlink("unlinked") == 0 && pwrite(unlinked, "kept", 4, 500) == 4);
	l = lock(F_WRLCK, 0, 1);
	CHECK(fcntl(unlinked, F_SETLK, &l) == 0);
	CHECK(pipe(asyn) == 0 && fcntl(asyn[0], F_SETOWN, getpid()) == 0 && fcntl(asyn[0], F_SETSIG, SIGRTMIN + 1) == 0);
	CHECK(fcntl(asyn[0], F_SETFL, O_ASYNC) == 0);
}

/* In a child, which has none of the process's record locks and opens the files anew. */
static int others_see(void)
{
	struct flock l = lock(F_RDLCK, 0, 0);
	int fd;

	if ((fd = open("whole", O_RDWR)) < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 1;
	if ((fd = open("record", O_RDWR)) < 0 || fcntl(fd, F_GETLK, &l) < 0 || l.l_type != F_WRLCK || l.l_start != 100 || l.l_len != 50)
		return 2;
	l = lock(F_WRLCK, 200, 0);
	if (fcntl(fd, F_GETLK, &l) < 0 || l.l_type != F_RDLCK || l.l_start != 400 || l.l_len != 0)
		return 3;
	l = lock(F_RDLCK, 12, 1);
	if ((fd = open("ofd", O_RDWR)) < 0 || fcntl(fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_WRLCK || l.l_start != 10)
		return 4;
	l = lock(F_RDLCK, 0, 0);
	if (fcntl(unlinked, F_GETLK, &l) < 0 || l.l_type != F_WRLCK || l.l_len != 1)
		return 5;
	return 0;
}

static void verify(void)
{
	int status = -1;
	char c[4];
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		_exit(others_see());
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(fcntl(leased, F_GETLEASE) == F_RDLCK);
	CHECK(pread(unlinked, c, 4, 500) == 4 && memcmp(c, "kept", 4) == 0);
	signalled = 0;
	CHECK(fcntl(asyn[0], F_GETOWN) > 0 && fcntl(asyn[0], F_GETSIG) == SIGRTMIN + 1 && fcntl(asyn[0], F_GETFL) & O_ASYNC);
	CHECK(write(asyn[1], "x", 1) == 1 && read(asyn[0], c, 1) == 1);
	CHECK(signalled == SIGRTMIN + 1);
}

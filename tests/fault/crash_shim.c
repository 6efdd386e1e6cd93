/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * LD_PRELOAD: every call that changes the tree CRASH_ROOT is counted; CRASH_AT=N: SIGKILL in the place of the N-th; CRASH_LOG=FILE: each one
 * is written down, with its data, for tests/fault/crash_replay.py; CRASH_EIO=N: the N-th fails with EIO.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int number(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

static int below(const char *path)
{
	const char *root = getenv("CRASH_ROOT");

	return root && path && strncmp(path, root, strlen(root)) == 0;
}

static const char *fd_path(int fd, char *path)
{
	char name[64];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = 0;
	return path;
}

/* One operation is about to be done. Return: 0, or -1 with errno: it fails. */
static int step(const char *what, const char *path, const char *other, const void *data, size_t bytes)
{
	static int count;
	const char *log = getenv("CRASH_LOG");

	if (!below(path))
		return 0;
	count++;
	if (count == number("CRASH_AT"))
		kill(getpid(), SIGKILL);
	if (count == number("CRASH_EIO")) {
		errno = EIO;
		return -1;
	}
	if (log) {
		int fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		size_t room = strlen(path) + strlen(other) + 64 + 2 * bytes;
		char *line = malloc(room);
		int n = snprintf(line, room, "%s\t%s\t%s\t", what, path, other);

		for (size_t i = 0; i < bytes; i++)
			n += sprintf(line + n, "%02x", ((const unsigned char *)data)[i]);
		line[n++] = '\n';
		if (REAL(write)(fd, line, (size_t)n) != n)
			abort();
		close(fd);
		free(line);
	}
	return 0;
}

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	if ((flags & O_CREAT) && step("create", path, flags & O_TRUNC ? "truncate" : "", NULL, 0) < 0)
		return -1;
	return REAL(open)(path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
	char path[PATH_MAX];

	return step("write", fd_path(fd, path), "", data, bytes) < 0 ? -1 : REAL(write)(fd, data, bytes);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	char path[PATH_MAX], *all;
	size_t bytes = 0;
	int rc;

	for (int i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	all = malloc(bytes + 1);
	bytes = 0;
	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(all + bytes, iov[i].iov_base, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	rc = step("write", fd_path(fd, path), "", all, bytes);
	free(all);
	return rc < 0 ? -1 : REAL(writev)(fd, iov, n);
}

/* Positioned writes are not modelled: the test would notice that nothing is valid. */
int fsync(int fd)
{
	char path[PATH_MAX];

	return step("fsync", fd_path(fd, path), "", NULL, 0) < 0 ? -1 : REAL(fsync)(fd);
}

int rename(const char *from, const char *to)
{
	return step("rename", from, to, NULL, 0) < 0 ? -1 : REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
	struct stat st;

	/* one that exists already changes nothing */
	return stat(path, &st) < 0 && step("mkdir", path, "", NULL, 0) < 0 ? -1 : REAL(mkdir)(path, mode);
}

int unlink(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && step("unlink", path, "", NULL, 0) < 0 ? -1 : REAL(unlink)(path);
}

int rmdir(const char *path)
{
	return step("rmdir", path, "", NULL, 0) < 0 ? -1 : REAL(rmdir)(path);
}

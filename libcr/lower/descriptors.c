/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of the lower half live at or above the floor; the program keeps the small numbers.
 *
 * The launcher comes first in the lower half's symbol search, so the calls of Open MPI, PMIx and libevent that make descriptors arrive
 * here and are moved up at once. All are close-on-exec.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/fd_limit.h"
#include "libcr/arch/x86_64/raw.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

int cr_fd_raise(int fd)
{
	int up, saved;

	if (fd < 0 || cr_lower.fd_floor <= 0 || fd >= cr_lower.fd_floor)
		return fd;
	up = cr_fd_dup_at(fd, cr_lower.fd_floor);
	if (up < 0)
		return fd; /* out of descriptors above: still usable */
	saved = errno;
	syscall(SYS_close, fd);
	errno = saved;
	return up;
}

/* A system call that makes descriptors. The program may have used up all of its own numbers: then it gets them above at once. */
static int made(long nr, long a, long b, long c, long d)
{
	struct rlimit was;
	int r = (int)syscall(nr, a, b, c, d);

	if (r >= 0 || errno != EMFILE || cr_lower.fd_floor <= 0 || cr_fd_limit_raise(&was))
		return r;
	r = (int)syscall(nr, a, b, c, d);
	cr_fd_limit_put_back(&was);
	return r;
}

/*
 * A fork of the program between the making of a descriptor and its move would leave the small number in the child, open for good: it waits. Signals are
 * blocked, because a handler of the program may fork. Not for what may block for long: accept().
 */
static pthread_mutex_t moving = PTHREAD_MUTEX_INITIALIZER;

static void moving_begin(uint64_t *was)
{
	uint64_t all = ~0UL;

	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, was, 8);
	pthread_mutex_lock(&moving);
}

static void moving_end(const uint64_t *was)
{
	pthread_mutex_unlock(&moving);
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, was, 0, 8);
}

static void fork_begins(void)
{
	pthread_mutex_lock(&moving);
}

static void fork_ends(void)
{
	pthread_mutex_unlock(&moving);
}

static void at_start(void) __attribute__((constructor));
static void at_start(void)
{
	pthread_atfork(fork_begins, fork_ends, fork_ends);
}

static int moved(long nr, long a, long b, long c, long d)
{
	uint64_t was;
	int fd;

	moving_begin(&was);
	fd = cr_fd_raise(made(nr, a, b, c, d));
	moving_end(&was);
	return fd;
}

static int moved_pair(long nr, long a, long b, long c, long d, int fd[2])
{
	uint64_t was;
	int rc;

	moving_begin(&was);
	rc = made(nr, a, b, c, d);
	if (!rc) {
		fd[0] = cr_fd_raise(fd[0]);
		fd[1] = cr_fd_raise(fd[1]);
	}
	moving_end(&was);
	return rc;
}

EXPORT int socket(int domain, int type, int protocol)
{
	return moved(SYS_socket, domain, type, protocol, 0);
}

EXPORT int socketpair(int domain, int type, int protocol, int fd[2])
{
	return moved_pair(SYS_socketpair, domain, type, protocol, (long)fd, fd);
}

/* The move alone: two threads that raise the limit of the process at once would lower it for each other, and the number would stay small. */
static int accepted(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int r = made(SYS_accept4, fd, (long)addr, (long)len, flags);
	uint64_t was;

	if (r < 0)
		return r;
	moving_begin(&was);
	r = cr_fd_raise(r);
	moving_end(&was);
	return r;
}

EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return accepted(fd, addr, len, 0);
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return accepted(fd, addr, len, flags);
}

EXPORT int pipe(int fd[2])
{
	return moved_pair(SYS_pipe2, (long)fd, 0, 0, 0, fd);
}

EXPORT int pipe2(int fd[2], int flags)
{
	return moved_pair(SYS_pipe2, (long)fd, flags, 0, 0, fd);
}

EXPORT int epoll_create(int size)
{
	return size <= 0 ? (errno = EINVAL, -1) : moved(SYS_epoll_create1, 0, 0, 0, 0);
}

EXPORT int epoll_create1(int flags)
{
	return moved(SYS_epoll_create1, flags, 0, 0, 0);
}

EXPORT int eventfd(unsigned int value, int flags)
{
	return moved(SYS_eventfd2, value, flags, 0, 0);
}

EXPORT int timerfd_create(int clock, int flags)
{
	return moved(SYS_timerfd_create, clock, flags, 0, 0);
}

EXPORT int memfd_create(const char *name, unsigned int flags)
{
	return moved(SYS_memfd_create, (long)name, flags, 0, 0);
}

EXPORT int dup(int fd)
{
	return moved(SYS_dup, fd, 0, 0, 0);
}

#define OPEN_MODE(flags, last)                                                            \
	mode_t mode = 0;                                                                  \
	if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) {                  \
		va_list ap;                                                               \
		va_start(ap, last);                                                       \
		mode = va_arg(ap, mode_t);                                                \
		va_end(ap);                                                               \
	}

EXPORT int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return moved(SYS_openat, AT_FDCWD, (long)path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return moved(SYS_openat, AT_FDCWD, (long)path, flags, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return moved(SYS_openat, dir, (long)path, flags, mode);
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return moved(SYS_openat, dir, (long)path, flags, mode);
}

/* These are made inside libc, out of reach of the ones above: the real function, then the move. */
#define NEXT(name, type)                                                \
	static __typeof__(type) *next;                                  \
	if (!next)                                                      \
		next = (__typeof__(type) *)(uintptr_t)dlsym(RTLD_NEXT, name);

EXPORT int shm_open(const char *name, int flags, mode_t mode)
{
	NEXT("shm_open", int(const char *, int, mode_t))
	return next ? cr_fd_raise(next(name, flags, mode)) : (errno = ENOSYS, -1);
}

EXPORT int mkstemp(char *template)
{
	NEXT("mkstemp", int(char *))
	return next ? cr_fd_raise(next(template)) : (errno = ENOSYS, -1);
}

EXPORT int inotify_init1(int flags)
{
	return moved(SYS_inotify_init1, flags, 0, 0, 0);
}

EXPORT int signalfd(int fd, const sigset_t *mask, int flags)
{
	return moved(SYS_signalfd4, fd, (long)mask, 8, flags);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors of the lower half live at or above the floor; the program keeps the small numbers.
 *
 * The launcher comes first in the lower half's symbol search, so the calls of Open MPI, PMIx and libevent that make descriptors arrive
 * here and are moved up at once. All are close-on-exec.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/fd_limit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
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

static int raise_pair(int fd[2])
{
	fd[0] = cr_fd_raise(fd[0]);
	fd[1] = cr_fd_raise(fd[1]);
	return 0;
}

EXPORT int socket(int domain, int type, int protocol)
{
	return cr_fd_raise((int)syscall(SYS_socket, domain, type, protocol));
}

EXPORT int socketpair(int domain, int type, int protocol, int fd[2])
{
	return syscall(SYS_socketpair, domain, type, protocol, fd) ? -1 : raise_pair(fd);
}

EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return cr_fd_raise((int)syscall(SYS_accept4, fd, addr, len, 0));
}

EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return cr_fd_raise((int)syscall(SYS_accept4, fd, addr, len, flags));
}

EXPORT int pipe(int fd[2])
{
	return syscall(SYS_pipe2, fd, 0) ? -1 : raise_pair(fd);
}

EXPORT int pipe2(int fd[2], int flags)
{
	return syscall(SYS_pipe2, fd, flags) ? -1 : raise_pair(fd);
}

EXPORT int epoll_create(int size)
{
	return size <= 0 ? (errno = EINVAL, -1) : cr_fd_raise((int)syscall(SYS_epoll_create1, 0));
}

EXPORT int epoll_create1(int flags)
{
	return cr_fd_raise((int)syscall(SYS_epoll_create1, flags));
}

EXPORT int eventfd(unsigned int value, int flags)
{
	return cr_fd_raise((int)syscall(SYS_eventfd2, value, flags));
}

EXPORT int timerfd_create(int clock, int flags)
{
	return cr_fd_raise((int)syscall(SYS_timerfd_create, clock, flags));
}

EXPORT int memfd_create(const char *name, unsigned int flags)
{
	return cr_fd_raise((int)syscall(SYS_memfd_create, name, flags));
}

EXPORT int dup(int fd)
{
	return cr_fd_raise((int)syscall(SYS_dup, fd));
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
	return cr_fd_raise((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

EXPORT int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return cr_fd_raise((int)syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return cr_fd_raise((int)syscall(SYS_openat, dir, path, flags, mode));
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags, flags)
	return cr_fd_raise((int)syscall(SYS_openat, dir, path, flags, mode));
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
	return cr_fd_raise((int)syscall(SYS_inotify_init1, flags));
}

EXPORT int signalfd(int fd, const sigset_t *mask, int flags)
{
	return cr_fd_raise((int)syscall(SYS_signalfd4, fd, mask, 8, flags));
}

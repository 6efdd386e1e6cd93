/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's soft limit of open files is the floor, so the kernel gives it no descriptor of the lower half's range. The lower half
 * raises the limit for the moment in which it makes one of its own.
 */
#ifndef CR_FD_LIMIT_H
#define CR_FD_LIMIT_H

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Raises the limit to the hard one. The former one in *ret_was; 0 or -1. The limit is the process's: until it is put back another thread may
 * get a number above the floor, which needs all of the numbers below to be in use. */
static inline int cr_fd_limit_raise(struct rlimit *ret_was)
{
	struct rlimit high;

	if (syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, (void *)0, ret_was))
		return -1;
	high.rlim_cur = high.rlim_max = ret_was->rlim_max;
	return (int)syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &high, (void *)0);
}

/* errno is kept. */
static inline void cr_fd_limit_put_back(const struct rlimit *was)
{
	int saved = errno;

	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, was, (void *)0);
	errno = saved;
}

/* A duplicate of @fd with the lowest free number >= @floor, close-on-exec. -1 with errno. */
static inline int cr_fd_dup_at(int fd, int floor)
{
	struct rlimit was;
	int up;

	up = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, floor);
	if (up >= 0 || (errno != EINVAL && errno != EMFILE))
		return up;
	if (cr_fd_limit_raise(&was))
		return -1;
	up = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, floor);
	cr_fd_limit_put_back(&was);
	return up;
}

#endif

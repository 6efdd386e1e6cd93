/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pidfd of the process itself.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "resource.h"

static int fd;
static volatile sig_atomic_t got;

static void handler(int sig)
{
	got = sig;
}

static void setup(void)
{
	signal(SIGUSR1, handler);
	CHECK((fd = (int)syscall(SYS_pidfd_open, getpid(), 0)) >= 0);
}

static void verify(void)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	got = 0;
	CHECK(poll(&p, 1, 0) == 0);
	CHECK(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0) == 0 && got == SIGUSR1);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signalfd: its set, and a signal that waits with its value.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "resource.h"

static int fd;

static void setup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 3);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK((fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) >= 0);
	CHECK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 4711 }) == 0);
}

static void verify(void)
{
	struct signalfd_siginfo si;

	CHECK(read(fd, &si, sizeof(si)) == sizeof(si));
	CHECK((int)si.ssi_signo == SIGRTMIN + 3 && si.ssi_int == 4711);
	CHECK(read(fd, &si, sizeof(si)) == -1 && errno == EAGAIN);
	CHECK(raise(SIGUSR2) == 0 && read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR2);
	CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 4711 }) == 0);
}

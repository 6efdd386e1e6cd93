/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the test programs of the kernel module share: TAP, processes under test, requests. */
#ifndef CRMOD_H
#define CRMOD_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "include/cr_ioctl.h"

#define UNUSED __attribute__((unused))
#define SECOND 1000000000ull

static int tap_n, tap_failed;

static UNUSED bool __attribute__((format(printf, 2, 3))) ok(bool good, const char *words, ...)
{
	va_list ap;

	printf("%s %d - ", good ? "ok" : "not ok", ++tap_n);
	va_start(ap, words);
	vprintf(words, ap);
	va_end(ap);
	printf("\n");
	tap_failed += !good;
	fflush(stdout);
	return good;
}

/* A result: 0, or the negative errno that was expected. */
static UNUSED bool is(long got, long want, const char *words)
{
	bool good = ok(got == want, "%s", words);

	if (!good)
		printf("# got %ld (%s), expected %ld\n", got, got < 0 ? strerror((int)-got) : "", want);
	return good;
}

static UNUSED int tap_end(void)
{
	printf("1..%d\n", tap_n);
	return tap_failed != 0;
}

static UNUSED uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static UNUSED void nap(void)
{
	usleep(10000);
}

static UNUSED int dev_open(void)
{
	int fd = open(CR_IOC_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		printf("Bail out! %s: %s\n", CR_IOC_DEVICE, strerror(errno));
		exit(2);
	}
	return fd;
}

static UNUSED long dev_call(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) ? -errno : 0;
}

#endif

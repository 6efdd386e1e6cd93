/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eventfd: count, semaphore mode, flags, a descriptor shared by dup, one that is full.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include "resource.h"

static int plain, twin, semaphore, full;

static void setup(void)
{
	uint64_t most = UINT64_MAX - 1;

	CHECK((plain = eventfd(7, EFD_NONBLOCK | EFD_CLOEXEC)) >= 0);
	CHECK((twin = dup(plain)) >= 0);
	CHECK((semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK)) >= 0);
	CHECK((full = eventfd(0, EFD_NONBLOCK)) >= 0 && write(full, &most, 8) == 8);
}

static void verify(void)
{
	struct pollfd p = { .fd = full, .events = POLLIN | POLLOUT };
	uint64_t v = 0, one = 1;

	CHECK(fcntl(plain, F_GETFD) == FD_CLOEXEC && fcntl(twin, F_GETFD) == 0);
	CHECK(read(plain, &v, 8) == 8 && v == 7);
	CHECK(read(twin, &v, 8) == -1 && errno == EAGAIN);
	v = 7;
	CHECK(write(twin, &v, 8) == 8);
	for (int i = 0; i < 3; i++)
		CHECK(read(semaphore, &v, 8) == 8 && v == 1);
	CHECK(read(semaphore, &v, 8) == -1 && errno == EAGAIN);
	v = 3;
	CHECK(write(semaphore, &v, 8) == 8);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	CHECK(write(full, &one, 8) == -1 && errno == EAGAIN);
}

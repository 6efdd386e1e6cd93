/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timerfd: time left, interval, expirations that were not read, a timer that is off, clocks.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <sys/timerfd.h>

#include "resource.h"

static int distant, expired, off, real;

static void setup(void)
{
	struct itimerspec s = { { 500, 0 }, { 5000, 0 } };
	struct pollfd p;

	CHECK((distant = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) >= 0);
	CHECK(timerfd_settime(distant, 0, &s, NULL) == 0);
	CHECK((off = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK)) >= 0);
	CHECK((expired = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)) >= 0);
	s = (struct itimerspec){ { 0, 0 }, { 0, 1000 } };
	CHECK(timerfd_settime(expired, 0, &s, NULL) == 0);
	p = (struct pollfd){ .fd = expired, .events = POLLIN };
	CHECK(poll(&p, 1, -1) == 1);
	CHECK((real = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK)) >= 0);
	CHECK(clock_gettime(CLOCK_REALTIME, &s.it_value) == 0);
	s.it_value.tv_sec += 7000;
	CHECK(timerfd_settime(real, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &s, NULL) == 0);
}

static void verify(void)
{
	struct itimerspec s, again = { { 0, 0 }, { 0, 1000 } };
	struct pollfd p = { .fd = expired, .events = POLLIN };
	uint64_t n = 0;

	CHECK(timerfd_gettime(distant, &s) == 0 && s.it_interval.tv_sec == 500 && s.it_value.tv_sec <= 5000 && s.it_value.tv_sec > 3000);
	CHECK(read(distant, &n, 8) == -1 && errno == EAGAIN && fcntl(distant, F_GETFD) == FD_CLOEXEC);
	CHECK(timerfd_gettime(off, &s) == 0 && s.it_value.tv_sec == 0 && s.it_value.tv_nsec == 0);
	CHECK(timerfd_gettime(real, &s) == 0 && s.it_value.tv_sec <= 7000 && s.it_value.tv_sec > 5000);
	CHECK(poll(&p, 1, 0) == 1);
	CHECK(read(expired, &n, 8) == 8 && n == 1);
	CHECK(read(expired, &n, 8) == -1 && errno == EAGAIN);
	CHECK(timerfd_settime(expired, 0, &again, NULL) == 0 && poll(&p, 1, -1) == 1);
}

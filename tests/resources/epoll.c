/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoll: watches with their data, edge-triggered and one-shot ones, an instance in an instance, and a watch whose number now means something else.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "resource.h"

static int ep, outer, level, edge, once, p[2], moved, other;

static void add(int e, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	CHECK(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev) == 0);
}

/* What is reported now, as a sum of bits: the data are powers of two. */
static uint64_t reported(int e)
{
	struct epoll_event ev[16];
	uint64_t sum = 0;
	int n = epoll_wait(e, ev, 16, 0);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++)
		sum |= ev[i].data.u64;
	return sum;
}

static void setup(void)
{
	uint64_t one = 1;

	CHECK((ep = epoll_create1(EPOLL_CLOEXEC)) >= 0 && (outer = epoll_create1(0)) >= 0);
	CHECK((level = eventfd(0, EFD_NONBLOCK)) >= 0 && (edge = eventfd(0, EFD_NONBLOCK)) >= 0 && (once = eventfd(1, EFD_NONBLOCK)) >= 0);
	CHECK(pipe(p) == 0);
	add(ep, level, EPOLLIN, 1ULL << 40);
	add(ep, edge, EPOLLIN | EPOLLET, 2);
	add(ep, once, EPOLLIN | EPOLLONESHOT, 4);
	add(ep, p[0], EPOLLIN, 8);
	add(outer, ep, EPOLLIN, 64);
	CHECK(reported(ep) == 4); /* now it is off */
	/* A watch stays with the description when its number is closed and used again. */
	CHECK((other = eventfd(0, EFD_NONBLOCK)) >= 0);
	add(ep, other, EPOLLIN, 16);
	CHECK((moved = dup(other)) >= 0 && close(other) == 0);
	CHECK(eventfd(5, EFD_NONBLOCK) == other);
	CHECK(write(moved, &one, 8) == 8 && reported(ep) == 16 && read(moved, &one, 8) == 8);
}

static void verify(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 4 };
	uint64_t one = 1, v;
	char c;

	reported(ep); /* an edge may come once more */
	CHECK(reported(ep) == 0 && reported(outer) == 0);
	CHECK(write(level, &one, 8) == 8 && reported(ep) == 1ULL << 40 && reported(ep) == 1ULL << 40 && reported(outer) == 64);
	CHECK(read(level, &v, 8) == 8 && v == 1 && reported(ep) == 0);
	CHECK(write(edge, &one, 8) == 8 && reported(ep) == 2 && reported(ep) == 0);
	CHECK(read(edge, &v, 8) == 8);
	CHECK(epoll_ctl(ep, EPOLL_CTL_MOD, once, &ev) == 0 && reported(ep) == 4 && reported(ep) == 0);
	CHECK(write(p[1], "x", 1) == 1 && reported(ep) == 8 && read(p[0], &c, 1) == 1);
	CHECK(write(moved, &one, 8) == 8 && reported(ep) == 16 && read(moved, &v, 8) == 8 && v == 1);
	CHECK(read(other, &v, 8) == 8 && v == 5 && write(other, &v, 8) == 8 && reported(ep) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, level, &ev) == -1 && errno == EEXIST);
	CHECK(fcntl(ep, F_GETFD) == FD_CLOEXEC && fcntl(outer, F_GETFD) == 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inotify: watches with their numbers and masks; a number that is free stays free.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "resource.h"

static int fd, dir, file;

static void setup(void)
{
	int gone;

	CHECK(mkdir("watched", 0700) == 0 && mkdir("short", 0700) == 0);
	CHECK(close(open("single", O_WRONLY | O_CREAT, 0600)) == 0);
	CHECK((fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) >= 0);
	CHECK((dir = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE)) == 1);
	CHECK((gone = inotify_add_watch(fd, "short", IN_CREATE)) == 2);
	CHECK((file = inotify_add_watch(fd, "single", IN_CLOSE_WRITE)) == 3);
	CHECK(inotify_rm_watch(fd, gone) == 0);
	char events[512];
	CHECK(read(fd, events, sizeof(events)) > 0); /* IN_IGNORED */
}

static void expect(int wd, unsigned int mask, const char *name)
{
	_Alignas(struct inotify_event) char events[512];
	struct inotify_event *e = (void *)events;

	CHECK(read(fd, events, sizeof(*e) + (name ? 16 : 0)) == (ssize_t)(sizeof(*e) + e->len));
	CHECK(e->wd == wd && e->mask == mask && (!name || strcmp(e->name, name) == 0));
}

static void verify(void)
{
	int waiting = -1;

	CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0);
	CHECK(close(open("watched/new", O_WRONLY | O_CREAT, 0600)) == 0);
	expect(dir, IN_CREATE, "new");
	CHECK(unlink("watched/new") == 0);
	expect(dir, IN_DELETE, "new");
	CHECK(close(open("short/new", O_WRONLY | O_CREAT, 0600)) == 0);
	CHECK(close(open("single", O_WRONLY)) == 0);
	expect(file, IN_CLOSE_WRITE, NULL);
	CHECK(unlink("short/new") == 0);
	CHECK(ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0);
}

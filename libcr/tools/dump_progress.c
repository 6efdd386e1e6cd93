/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libcr/tools/dump_progress.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Looking may take this part of the time: many files on a slow file system are looked at less often. */
#define LOOK_SHARE 10
/* Files that have not grown for so long are written. */
#define STILL_NS 300000000u

/* cachestat(2) of Linux 6.5, which Debian's headers do not know yet. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct cache_range {
	uint64_t offset, bytes; /* 0: to the end */
};
struct cache_pages {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void cr_dump_progress_begin(struct cr_dump_progress *p, const char *what, uint64_t expected_bytes, bool quiet)
{
	if (quiet || !cr_progress_wanted())
		return;
	*p = (struct cr_dump_progress){ .running = true, .grown_ns = now_ns() };
	cr_progress_begin(&p->bar, what, expected_bytes, quiet);
}

/* Bytes of a file that are not on the storage yet; false: this kernel or file system does not say. */
static bool unflushed(const char *path, uint64_t *ret)
{
	struct cache_range whole = { 0, 0 };
	struct cache_pages pages = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool told = fd >= 0 && syscall(SYS_cachestat, fd, &whole, &pages, 0) == 0;

	if (fd >= 0)
		close(fd);
	*ret = (pages.dirty + pages.writeback) * (uint64_t)sysconf(_SC_PAGESIZE);
	return told;
}

/* The kernel has the rest to do. Without its figures the bar has no end: how much there is, and that it takes time. */
static void flush_show(struct cr_dump_progress *p, uint64_t waiting, bool told)
{
	if (!p->flushing) {
		cr_progress_end(&p->bar);
		cr_progress_begin(&p->bar, "flush", told ? p->bytes : 0, false);
		p->flushing = true;
	}
	cr_progress_set(&p->bar, told && waiting < p->bytes ? p->bytes - waiting : told ? 0 : p->bytes);
}

void cr_dump_progress_look(struct cr_dump_progress *p, bool (*file)(void *arg, uint32_t i, char *path, size_t bytes), void *arg)
{
	uint64_t begin = now_ns(), bytes = 0, waiting = 0, part;
	bool told = true;
	char path[PATH_MAX];
	struct stat st;

	if (!p->running || begin < p->again_ns)
		return;
	for (uint32_t i = 0; file(arg, i, path, sizeof(path)); i++) {
		if (!path[0] || stat(path, &st) != 0)
			continue;
		bytes += (uint64_t)st.st_size;
		told = unflushed(path, &part) && told;
		waiting += part;
	}
	if (bytes != p->bytes)
		p->grown_ns = begin;
	p->bytes = bytes;
	if (p->flushing || (bytes && begin - p->grown_ns > STILL_NS))
		flush_show(p, waiting, told);
	else
		cr_progress_set(&p->bar, bytes);
	p->again_ns = begin + LOOK_SHARE * (now_ns() - begin);
}

void cr_dump_progress_end(struct cr_dump_progress *p)
{
	if (p->running)
		cr_progress_end(&p->bar);
	p->running = false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the pages that hold content of the process, without touching any of them.
 *
 * With PAGEMAP_SCAN (Linux 6.7) the kernel walks; before that the pagemap file is read entry by entry.
 * Runs where mem_save.c runs: no malloc, no stdio, no locale.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/lower/mem_private.h"

/* linux/fs.h of newer kernels; stated here because the build machine's headers may be older than the kernel. */
struct scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE (1u << 2)
#define SCAN_PRESENT (1u << 3)
#define SCAN_SWAPPED (1u << 4)
#define SCAN_PFNZERO (1u << 5)
#define SCAN_GUARD (1u << 8)

#define MAP_PRESENT (1ull << 63)
#define MAP_SWAPPED (1ull << 62)
#define MAP_FILE (1ull << 61)
#define MAP_EXCLUSIVE (1ull << 56)

#define SCAN_REGIONS 256
#define MAP_ENTRIES 1024 /* on the stack, which may be small */

static int scan(const struct cr_mem_pages *pages, struct scan_arg *arg)
{
	int n;

	arg->size = sizeof(*arg);
	do {
		n = ioctl(pages->fd, SCAN_IOCTL, arg);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void probe_scan(struct cr_mem_pages *pages)
{
	struct scan_region region;
	struct scan_arg arg = {
		.start = (uintptr_t)pages & ~(CR_PAGE_BYTES - 1),
		.end = ((uintptr_t)pages & ~(CR_PAGE_BYTES - 1)) + CR_PAGE_BYTES,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_SWAPPED,
	};

	pages->have_scan = scan(pages, &arg) >= 0;
	arg.category_anyof_mask |= SCAN_GUARD;
	pages->have_guard = pages->have_scan && scan(pages, &arg) >= 0;
}

int cr_mem_pages_open(struct cr_mem_pages *pages, struct cr_err *err)
{
	pages->fd = open(CR_MEM_PROC "/pagemap", O_RDONLY | O_CLOEXEC);
	if (pages->fd < 0)
		return cr_err_set(err, errno, CR_MEM_PROC "/pagemap cannot be opened: %s; the kernel needs CONFIG_PROC_PAGE_MONITOR, and the program's file must be readable by its user",
				  strerrordesc_np(errno));
	probe_scan(pages);
	return 0;
}

void cr_mem_pages_close(struct cr_mem_pages *pages)
{
	if (pages->fd >= 0)
		close(pages->fd);
	pages->fd = -1;
}

static int walk_scan(const struct cr_mem_pages *pages, uint64_t start, uint64_t end, cr_mem_run_fn run, void *run_arg, struct cr_err *err)
{
	struct scan_region regions[SCAN_REGIONS];

	while (start < end) {
		uint64_t guard = pages->have_guard ? SCAN_GUARD : 0;
		struct scan_arg arg = {
			.start = start,
			.end = end,
			.vec = (uintptr_t)regions,
			.vec_len = SCAN_REGIONS,
			.category_inverted = SCAN_FILE | SCAN_PFNZERO | guard,
			.category_mask = SCAN_FILE | SCAN_PFNZERO | guard,
			.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
			.return_mask = SCAN_SWAPPED,
		};
		int n = scan(pages, &arg);

		if (n < 0)
			return cr_err_set(err, n, "the pages at 0x%llx-0x%llx cannot be listed: %s", (unsigned long long)start,
					  (unsigned long long)end, strerrordesc_np(-n));
		for (int i = 0; i < n; i++) {
			int rc = run(run_arg, regions[i].start, regions[i].end,
				     regions[i].categories & SCAN_SWAPPED ? CR_MEM_RUN_SWAPPED : 0, err);

			if (rc < 0)
				return rc;
		}
		if (arg.walk_end <= start)
			return cr_err_set(err, EIO, "the pages at 0x%llx-0x%llx cannot be listed: the kernel stopped", (unsigned long long)start,
					  (unsigned long long)end);
		start = arg.walk_end;
	}
	return 0;
}

/* Reads the entries of up to MAP_ENTRIES pages from @start on; returns how many. */
static int map_read(const struct cr_mem_pages *pages, uint64_t start, uint64_t end, uint64_t *ret_entries, struct cr_err *err)
{
	uint64_t n = (end - start) / CR_PAGE_BYTES;
	ssize_t got;

	if (n > MAP_ENTRIES)
		n = MAP_ENTRIES;
	do {
		got = pread(pages->fd, ret_entries, n * sizeof(*ret_entries), (off_t)(start / CR_PAGE_BYTES * sizeof(*ret_entries)));
	} while (got < 0 && errno == EINTR);
	if (got < (ssize_t)sizeof(*ret_entries))
		return cr_err_set(err, got < 0 ? errno : EIO, "the pages at 0x%llx-0x%llx cannot be listed: %s", (unsigned long long)start,
				  (unsigned long long)end, got < 0 ? strerrordesc_np(errno) : "the list is short");
	return (int)((size_t)got / sizeof(*ret_entries));
}

static int walk_map(const struct cr_mem_pages *pages, uint64_t start, uint64_t end, cr_mem_run_fn run, void *run_arg, struct cr_err *err)
{
	static const uint64_t state_mask = MAP_PRESENT | MAP_SWAPPED;
	uint64_t entries[MAP_ENTRIES], begin = start, state = 0;

	while (start < end) {
		int n = map_read(pages, start, end, entries, err);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++, start += CR_PAGE_BYTES) {
			uint64_t now = entries[i] & MAP_FILE ? 0 : entries[i] & state_mask;
			int rc = 0;

			if (now == state)
				continue;
			if (state)
				rc = run(run_arg, begin, start, state & MAP_SWAPPED ? CR_MEM_RUN_SWAPPED : 0, err);
			if (rc < 0)
				return rc;
			begin = start;
			state = now;
		}
	}
	return state ? run(run_arg, begin, end, state & MAP_SWAPPED ? CR_MEM_RUN_SWAPPED : 0, err) : 0;
}

int cr_mem_pages_walk(const struct cr_mem_pages *pages, uint64_t start, uint64_t end, cr_mem_run_fn run, void *arg, struct cr_err *err)
{
	return pages->have_scan ? walk_scan(pages, start, end, run, arg, err) : walk_map(pages, start, end, run, arg, err);
}

unsigned int cr_mem_pages_guards(const struct cr_mem_pages *pages, uint64_t *at, uint64_t end, struct cr_guard_range *ret, unsigned int max)
{
	struct scan_region regions[SCAN_REGIONS];
	struct scan_arg arg = {
		.start = *at,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = max < SCAN_REGIONS ? max : SCAN_REGIONS,
		.category_mask = SCAN_GUARD,
		.return_mask = SCAN_GUARD,
	};
	int n = pages->have_guard ? scan(pages, &arg) : 0;

	*at = n > 0 && arg.walk_end > *at ? arg.walk_end : end;
	for (int i = 0; i < n; i++)
		ret[i] = (struct cr_guard_range){ regions[i].start, regions[i].end };
	return n > 0 ? (unsigned int)n : 0;
}

bool cr_mem_pages_others(const struct cr_mem_pages *pages, uint64_t start, uint64_t end)
{
	uint64_t entries[MAP_ENTRIES];

	while (start < end) {
		int n = map_read(pages, start, end, entries, NULL);

		if (n < 0)
			return false;
		for (int i = 0; i < n; i++)
			if ((entries[i] & MAP_PRESENT) && !(entries[i] & MAP_EXCLUSIVE))
				return true;
		start += (uint64_t)n * CR_PAGE_BYTES;
	}
	return false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files mem_*.c share.
 */
#ifndef CR_MEM_PRIVATE_H
#define CR_MEM_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "libcr/image/cr_vma.h"
#include "libcr/lower/cr_mem.h"

/* The agent is never the first thread, and the first thread may have ended: its /proc/self would be empty. */
#define CR_MEM_PROC "/proc/thread-self"

struct cr_mem_area {
	struct cr_vma vma;
	char *name;             /* NULL: none; else vma.name_bytes long with its end */
	const char *nocr;       /* static text: why this area cannot be saved; NULL: it can */
	uint64_t present_bytes; /* in memory, mapped here */
	uint64_t swap_bytes;
	bool in_parts;          /* CR_SHARED_OBJECT: what is marked MADV_DONTDUMP is saved by another process, which will share it again */
};

struct cr_mem_areas {
	struct cr_mem_area *area;
	size_t n;
	size_t max;
};

/* --- mem_areas.c --- */

/* fopen for reading, but through open(), which cr_run replaces to keep its descriptors above the program's; fopen would pass that by. */
FILE *cr_mem_proc_open(const char *path);

/* --- mem_pages.c: which pages have content --- */

struct cr_mem_pages {
	int fd;          /* pagemap */
	bool have_scan;  /* PAGEMAP_SCAN, Linux 6.7 */
	bool have_guard; /* it tells guard pages, Linux 6.15 */
};

#define CR_MEM_RUN_SWAPPED 1u /* not in memory now: reading it may fail */

typedef int (*cr_mem_run_fn)(void *arg, uint64_t start, uint64_t end, unsigned int flags, struct cr_err *err);

int cr_mem_pages_open(struct cr_mem_pages *pages, struct cr_err *err);
void cr_mem_pages_close(struct cr_mem_pages *pages);
/* Calls @run for every run of pages that are the process's own: private, present or swapped out, and not of a file. Stops when @run fails. */
int cr_mem_pages_walk(const struct cr_mem_pages *pages, uint64_t start, uint64_t end, cr_mem_run_fn run, void *arg, struct cr_err *err);
/* First page made inaccessible with MADV_GUARD_INSTALL in the range: 1 and its address, or 0. */
int cr_mem_pages_find_guard(const struct cr_mem_pages *pages, uint64_t start, uint64_t end, uint64_t *ret_addr);
/* True when a page of the shared range is mapped by somebody else too. */
bool cr_mem_pages_others(const struct cr_mem_pages *pages, uint64_t start, uint64_t end);

/* --- mem_plan.c: the areas of an image, checked --- */

struct cr_mem_plan_area {
	struct cr_vma vma; /* a copy */
	const char *name;  /* borrowed from the image; "" when it has none */
	bool has_pages;    /* the image has pages of it */
};

struct cr_mem_plan {
	struct cr_mem_plan_area *area; /* by address, not overlapping */
	size_t n;
};

/* Every area is sound, and every run of pages lies within one that may have pages. */
int cr_mem_plan_create(const struct cr_image *img, struct cr_mem_plan **ret, struct cr_err *err);
void cr_mem_plan_destroy(struct cr_mem_plan *plan);
/* The area that contains @addr, or NULL. */
const struct cr_mem_plan_area *cr_mem_plan_find(const struct cr_mem_plan *plan, uint64_t addr);

#endif

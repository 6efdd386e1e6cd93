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
#include <sys/stat.h>

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

/* --- mem_flags.c: for engines that know them --- */

struct cr_mem_flags;
struct cr_ioc_area;

int cr_mem_flags_create(struct cr_mem_flags **ret);
void cr_mem_flags_destroy(struct cr_mem_flags *flags);
/* The area from @start to @end, asked for in order of addresses; NULL: there is none, the list is of another moment. */
const struct cr_ioc_area *cr_mem_flags_find(struct cr_mem_flags *flags, uint64_t start, uint64_t end);
/* As in VmFlags of smaps: " gd lo ". */
void cr_mem_flags_text(uint64_t flags, char *ret, size_t bytes);

/* --- mem_objects.c: shared memory that has an object behind it --- */

/* Sizes and owners of the objects behind shared areas, or the reason why one cannot be saved: 0 or a negative errno. */
int cr_mem_objects_find(struct cr_mem_areas *areas);
struct cr_mem_plan;
struct cr_mem_plan_area;
bool cr_mem_same_object(const struct cr_mem_plan_area *a, const struct cr_mem_plan_area *b);
/* Before anything is changed: can the segments and the huge pages of the image be had? */
int cr_mem_objects_check(const struct cr_mem_plan *plan, struct cr_err *err);
/* A descriptor of the object behind the areas like plan->area[first], new or from @source: closed by the caller when *ret_given. */
int cr_mem_object_open(const struct cr_mem_plan *plan, size_t first, const struct cr_mem_object_source *source, bool *ret_given, struct cr_err *err);
/* Attaches every area of the segment of plan->area[first]. */
int cr_mem_segment_attach(const struct cr_mem_plan *plan, size_t first, struct cr_err *err);

/* --- mem_identity.c --- */

/* Is @path, of the same size, the file that @vma was a mapping of? 1, 0, -EFBIG (no sum is taken of it), or another negative errno. */
int cr_mem_same_content(const struct cr_vma *vma, const char *path, const struct stat *st);

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
/* Up to @max runs of pages made inaccessible with MADV_GUARD_INSTALL (Linux 6.13; told since 6.15), from *@at on, which is moved behind what was
 * looked at: their number. */
unsigned int cr_mem_pages_guards(const struct cr_mem_pages *pages, uint64_t *at, uint64_t end, struct cr_guard_range *ret, unsigned int max);
/* True when a page of the shared range is mapped by somebody else too. */
bool cr_mem_pages_others(const struct cr_mem_pages *pages, uint64_t start, uint64_t end);

/* --- mem_plan.c: the areas of an image, checked --- */

struct cr_mem_plan_area {
	struct cr_vma vma; /* a copy */
	const char *name;  /* borrowed from the image, or relocated; "" when it has none */
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

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Says which areas cannot be saved, and whether fork() captures them.
 */
#include <stdio.h>

#include "libcr/lower/cr_mem.h"
#include "libcr/lower/mem_private.h"

struct cr_mem_set cr_mem_set;

static void check_report(const struct cr_mem_area *area, uint64_t addr, const char *reason, cr_nocr_fn report, void *arg)
{
	char text[CR_ERR_TEXT_BYTES];

	snprintf(text, sizeof(text), "memory at 0x%llx-0x%llx%s%s: %s", (unsigned long long)addr, (unsigned long long)area->vma.end,
		 area->name ? ", " : "", area->name ? area->name : "", reason);
	if (report)
		report(arg, text);
}

/* Is the object mapped more than once in this process? Then its pages always look shared. */
static bool mapped_twice(const struct cr_mem_areas *areas, const struct cr_mem_area *area)
{
	for (size_t i = 0; i < areas->n; i++) {
		const struct cr_mem_area *other = &areas->area[i];

		if (other != area && other->vma.kind == CR_VMA_ANON_SHARED && other->vma.ino == area->vma.ino)
			return true;
	}
	return false;
}

/* What lies under a guard in shared memory cannot be seen, and is still there. */
static bool has_guard(const struct cr_mem_area *area, const struct cr_mem_pages *pages, uint64_t *ret_addr)
{
	uint64_t at = area->vma.start;
	struct cr_guard_range guard;

	while (at < area->vma.end)
		if (cr_mem_pages_guards(pages, &at, area->vma.end, &guard, 1)) {
			*ret_addr = guard.start;
			return true;
		}
	return false;
}

/* Memory is made once for all processes of the set; huge pages are not. */
static bool is_special(const struct cr_vma *vma)
{
	return vma->kind == CR_VMA_ANON_SHARED && vma->flags & CR_VMA_F_HUGETLB;
}

static bool within_set(const struct cr_vma *vma)
{
	return !is_special(vma) && cr_mem_set.shared_within && cr_mem_set.shared_within(vma);
}

static int check_area(const struct cr_mem_areas *areas, const struct cr_mem_area *area, const struct cr_mem_pages *pages, cr_nocr_fn report,
		      void *arg)
{
	uint64_t addr;

	if (area->nocr) {
		check_report(area, area->vma.start, area->nocr, report, arg);
		return 1;
	}
	if (is_special(&area->vma) && cr_mem_set.used_within && cr_mem_set.used_within(&area->vma)) {
		check_report(area, area->vma.start, "memory of huge pages that several processes share cannot be saved; unmap it in all but one before the checkpoint", report, arg);
		return 1;
	}
	if (!pages)
		return 0;
	if (area->vma.kind == CR_VMA_ANON_SHARED && has_guard(area, pages, &addr)) {
		check_report(area, addr, "guard pages (MADV_GUARD_INSTALL) in shared memory cannot be saved; remove them with MADV_GUARD_REMOVE", report, arg);
		return 1;
	}
	if (area->vma.kind == CR_VMA_ANON_SHARED && !area->in_parts && !(area->vma.flags & CR_VMA_F_SYSV) && !mapped_twice(areas, area) &&
	    cr_mem_pages_others(pages, area->vma.start, area->vma.end) && !within_set(&area->vma)) {
		check_report(area, area->vma.start, "memory that is shared with another process cannot be saved", report, arg);
		return 1;
	}
	return 0;
}

int cr_mem_check(const struct cr_mem_areas *areas, cr_nocr_fn report, void *arg)
{
	struct cr_mem_pages pages;
	struct cr_err err;
	bool have_pages;
	int n = 0;

	have_pages = cr_mem_pages_open(&pages, &err) == 0;
	if (!have_pages) {
		if (report)
			report(arg, err.text);
		n++;
	}
	for (size_t i = 0; i < areas->n; i++)
		n += check_area(areas, &areas->area[i], have_pages ? &pages : NULL, report, arg);
	if (have_pages)
		cr_mem_pages_close(&pages);
	return n;
}

bool cr_mem_forkable(const struct cr_mem_areas *areas)
{
	for (size_t i = 0; i < areas->n; i++) {
		const struct cr_vma *vma = &areas->area[i].vma;

		/* What memory does not have to save. */
		if (vma->kind == CR_VMA_FILE_SHARED || vma->flags & CR_VMA_F_OBJECT_FD)
			continue;
		/* Shared memory goes on changing under the child; a huge page that is written to is taken away from it when there is no other. */
		if (vma->kind == CR_VMA_ANON_SHARED || vma->flags & CR_VMA_F_HUGETLB || (vma->flags & (CR_VMA_F_DONTFORK | CR_VMA_F_WIPEONFORK)))
			return false;
	}
	return true;
}

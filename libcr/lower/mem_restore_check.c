/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before a restart changes anything: can every area of the image be put back in this process?
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/mem_private.h"

/* The first area that begins at or after @addr, or contains it. */
static const struct cr_mem_plan_area *area_from(const struct cr_mem_plan *plan, uint64_t addr)
{
	for (size_t i = 0; i < plan->n; i++)
		if (plan->area[i].vma.end > addr)
			return &plan->area[i];
	return NULL;
}

static int check_free(const struct cr_mem_plan *plan, struct cr_err *err)
{
	FILE *maps = cr_mem_proc_open(CR_MEM_PROC "/maps");
	size_t line_max = 0;
	char *line = NULL;
	int rc = 0;

	if (!maps)
		return cr_err_set(err, errno, CR_MEM_PROC "/maps cannot be opened: %s", strerror(errno));
	while (rc == 0 && getline(&line, &line_max, maps) > 0) {
		const struct cr_mem_plan_area *area;
		unsigned long long start, end;
		int name_at = 0;

		if (sscanf(line, "%llx-%llx %*s %*x %*s %*u %n", &start, &end, &name_at) != 2)
			continue;
		area = area_from(plan, start);
		if (!area || area->vma.start >= end)
			continue;
		line[strcspn(line, "\n")] = '\0';
		rc = cr_err_set(err, EADDRINUSE,
				"the program's memory at 0x%llx-0x%llx cannot be put back: 0x%llx-0x%llx is taken by %s; try again (addresses are chosen at random), or with setarch -R",
				(unsigned long long)area->vma.start, (unsigned long long)area->vma.end, start, end,
				name_at && line[name_at] ? line + name_at : "memory without a name");
	}
	free(line);
	fclose(maps);
	return rc;
}

static int check_file_private(const struct cr_mem_plan_area *area, const struct stat *st, struct cr_err *err)
{
	const struct cr_vma *vma = &area->vma;

	if ((uint64_t)st->st_size != vma->file_bytes)
		return cr_err_set(err, ESTALE,
				  "file %s, which the program has in its memory at 0x%llx, has changed: it has %lld bytes, at the checkpoint it had %llu; put back the file as it was",
				  area->name, (unsigned long long)vma->start, (long long)st->st_size, (unsigned long long)vma->file_bytes);
	if (vma->content_sum) {
		int same = cr_mem_same_content(vma, area->name, st);

		if (same != 1)
			return cr_err_set(err, same < 0 ? same : ESTALE,
					  "file %s, which the program has in its memory at 0x%llx, %s%s; put back the file as it was, or relocate it", area->name,
					  (unsigned long long)vma->start, same < 0 ? "cannot be read: " : "has changed: its content is not that of the checkpoint",
					  same < 0 ? strerror(-same) : "");
		return 0;
	}
	if (st->st_mtim.tv_sec != vma->mtime_s || (uint32_t)st->st_mtim.tv_nsec != vma->mtime_ns)
		return cr_err_set(err, ESTALE,
				  "file %s, which the program has in its memory at 0x%llx, has changed: it was written at %lld.%09ld, at the checkpoint that was %lld.%09u; put back the file as it was (with cp -p, rsync -t or the package manager)",
				  area->name, (unsigned long long)vma->start, (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
				  (long long)vma->mtime_s, vma->mtime_ns);
	return 0;
}

static int check_file_shared(const struct cr_mem_plan_area *area, const struct stat *st, struct cr_err *err)
{
	const struct cr_vma *vma = &area->vma;
	uint64_t need = vma->offset + (vma->end - vma->start);

	if (need > vma->file_bytes)
		need = vma->file_bytes;
	if ((uint64_t)st->st_size < need)
		return cr_err_set(err, ESTALE,
				  "file %s, which the program shares as its memory at 0x%llx, is too short: it has %lld bytes, %llu are needed; put back the file",
				  area->name, (unsigned long long)vma->start, (long long)st->st_size, (unsigned long long)need);
	return 0;
}

static int check_file(const struct cr_mem_plan_area *area, struct cr_err *err)
{
	bool shared = area->vma.kind == CR_VMA_FILE_SHARED;
	bool writes = shared && ((area->vma.prot & PROT_WRITE) || (area->vma.flags & CR_VMA_F_MAYWRITE));
	struct stat st;

	if (shared && cr_mem_set.made && cr_mem_set.made(area->name))
		return 0;
	if (stat(area->name, &st) < 0)
		return cr_err_set(err, errno, "file %s, which the program has in its memory at 0x%llx, is not there: %s; put back the file", area->name,
				  (unsigned long long)area->vma.start, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cr_err_set(err, ESTALE, "%s, which the program has in its memory at 0x%llx, is not a regular file any more; put back the file",
				  area->name, (unsigned long long)area->vma.start);
	if (faccessat(AT_FDCWD, area->name, writes ? R_OK | W_OK : R_OK, AT_EACCESS) < 0)
		return cr_err_set(err, errno, "file %s, which the program has in its memory at 0x%llx, cannot be opened for %s: %s; give access to it",
				  area->name, (unsigned long long)area->vma.start, writes ? "writing" : "reading", strerror(errno));
	return shared ? check_file_shared(area, &st, err) : check_file_private(area, &st, err);
}

static int check_files(const struct cr_mem_plan *plan, struct cr_err *err)
{
	for (size_t i = 0; i < plan->n; i++) {
		uint32_t kind = plan->area[i].vma.kind;
		int rc;

		if (kind != CR_VMA_FILE_PRIVATE && kind != CR_VMA_FILE_SHARED)
			continue;
		rc = check_file(&plan->area[i], err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int check_locked(const struct cr_mem_plan *plan, struct cr_err *err)
{
	uint64_t locked = 0;
	struct rlimit limit;

	for (size_t i = 0; i < plan->n; i++)
		if (plan->area[i].vma.flags & CR_VMA_F_LOCKED)
			locked += plan->area[i].vma.end - plan->area[i].vma.start;
	if (locked == 0 || geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || locked <= limit.rlim_cur)
		return 0;
	return cr_err_set(err, EPERM, "the program had locked %llu KiB of memory; here %llu KiB are allowed: raise the limit (ulimit -l)",
			  (unsigned long long)(locked / 1024), (unsigned long long)(limit.rlim_cur / 1024));
}

int cr_mem_restore_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_mem_plan *plan;
	int rc;

	rc = cr_mem_plan_create(img, &plan, err);
	if (rc < 0)
		return rc;
	rc = check_free(plan, err);
	if (rc == 0)
		rc = check_files(plan, err);
	if (rc == 0)
		rc = check_locked(plan, err);
	if (rc == 0)
		rc = cr_mem_objects_check(plan, err);
	cr_mem_plan_destroy(plan);
	return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory areas of a context file, checked before anything relies on them: checksums find damage, this finds nonsense.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libcr/cr_layout.h"
#include "libcr/image/relocate.h"
#include "libcr/lower/mem_private.h"

#define PLAN_ADDR_END 0x7ffffffff000ull /* x86_64 user addresses */
#define PLAN_ADDR_MIN 0x1000ull

static int plan_bad(const struct cr_image *img, const struct cr_image_record *rec, const char *what, struct cr_err *err)
{
	return cr_err_set(err, EBADMSG, "context file %s: record %s at offset 0x%llx: %s; the file was not written correctly, use another snapshot",
			  cr_image_name(img), cr_image_type_name(rec->type), (unsigned long long)rec->file_offset, what);
}

static bool vma_has_file(const struct cr_vma *vma)
{
	return vma->kind == CR_VMA_FILE_PRIVATE || vma->kind == CR_VMA_FILE_SHARED;
}

static const char *vma_fault(const struct cr_vma *vma, const struct cr_image_record *rec, const char *name)
{
	if (vma->start >= vma->end || (vma->start | vma->end | vma->offset) % CR_PAGE_BYTES)
		return "the range is not one of whole pages";
	if (vma->start < PLAN_ADDR_MIN || vma->end > PLAN_ADDR_END)
		return "the range is outside of a program's addresses";
	if (vma->offset + (vma->end - vma->start) < vma->offset)
		return "the offset is too large";
	if (vma->prot & ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC))
		return "the protection is unknown";
	if (vma->kind < CR_VMA_ANON || vma->kind > CR_VMA_ANON_SHARED)
		return "the kind is unknown";
	if ((vma->flags & ~(uint64_t)CR_VMA_F_ALL))
		return "a flag is unknown";
	if (vma->name_bytes != rec->bytes - sizeof(*vma) || (vma->name_bytes && strnlen(name, vma->name_bytes) != vma->name_bytes - 1))
		return "the name has the wrong length";
	if (vma->flags & (CR_VMA_F_OBJECT | CR_VMA_F_OBJECT_FD | CR_VMA_F_SYSV) && vma->kind != CR_VMA_ANON_SHARED)
		return "a flag does not fit the kind";
	if (vma->flags & CR_VMA_F_HUGETLB && (vma->file_bytes < CR_PAGE_BYTES || vma->file_bytes & (vma->file_bytes - 1)))
		return "huge pages of this size are unknown";
	if (vma_has_file(vma) && name[0] != '/')
		return "the name of the file is missing";
	return NULL;
}

static int plan_add(const struct cr_image *img, const struct cr_image_record *rec, struct cr_mem_plan_area *area, struct cr_err *err)
{
	const char *fault;

	if (rec->bytes < sizeof(area->vma))
		return plan_bad(img, rec, "it is too short", err);
	memcpy(&area->vma, rec->data, sizeof(area->vma));
	area->name = area->vma.name_bytes ? (const char *)rec->data + sizeof(area->vma) : "";
	if (rec->bytes == sizeof(area->vma) && area->vma.name_bytes)
		return plan_bad(img, rec, "the name has the wrong length", err);
	fault = vma_fault(&area->vma, rec, area->name);
	if (vma_has_file(&area->vma))
		area->name = cr_relocate(area->name);
	return fault ? plan_bad(img, rec, fault, err) : 0;
}

static int area_compare(const void *a, const void *b)
{
	const struct cr_mem_plan_area *x = a, *y = b;

	return x->vma.start < y->vma.start ? -1 : x->vma.start > y->vma.start;
}

static int plan_fill(const struct cr_image *img, struct cr_mem_plan *plan, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	size_t n = 0;

	while (cr_image_next(img, &rec) > 0)
		n += rec.type == CR_REC_VMA;
	plan->area = calloc(n ? n : 1, sizeof(*plan->area));
	if (!plan->area)
		return cr_err_set(err, ENOMEM, "context file %s: no memory for a list of %zu areas", cr_image_name(img), n);
	rec.cursor = 0;
	while (cr_image_next(img, &rec) > 0) {
		int rc;

		if (rec.type != CR_REC_VMA)
			continue;
		rc = plan_add(img, &rec, &plan->area[plan->n], err);
		if (rc < 0)
			return rc;
		plan->n++;
	}
	qsort(plan->area, plan->n, sizeof(*plan->area), area_compare);
	for (size_t i = 1; i < plan->n; i++)
		if (plan->area[i].vma.start < plan->area[i - 1].vma.end)
			return cr_err_set(err, EBADMSG, "context file %s: two areas overlap at 0x%llx; the file was not written correctly, use another snapshot",
					  cr_image_name(img), (unsigned long long)plan->area[i].vma.start);
	return 0;
}

static int plan_check_runs(const struct cr_image *img, struct cr_mem_plan *plan, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };

	while (cr_image_next(img, &rec) > 0) {
		const struct cr_mem_plan_area *area;

		if (rec.type != CR_REC_PAGES)
			continue;
		area = cr_mem_plan_find(plan, rec.addr);
		if (!area || rec.bytes > area->vma.end - rec.addr)
			return plan_bad(img, &rec, "pages outside of every area", err);
		if (area->vma.kind == CR_VMA_FILE_SHARED || area->vma.flags & CR_VMA_F_OBJECT_FD)
			return plan_bad(img, &rec, "pages in a shared mapping of a file", err);
		plan->area[area - plan->area].has_pages = true;
	}
	return 0;
}

/* Every range of guard pages lies within one area. */
static int plan_check_guards(const struct cr_image *img, const struct cr_mem_plan *plan, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_guard_range guard;

	while (cr_image_next(img, &rec) > 0) {
		if (rec.type == CR_REC_GUARD && rec.bytes % sizeof(guard))
			return plan_bad(img, &rec, "it is no list of ranges", err);
		for (uint64_t at = 0; rec.type == CR_REC_GUARD && at < rec.bytes; at += sizeof(guard)) {
			const struct cr_mem_plan_area *area;

			memcpy(&guard, (const char *)rec.data + at, sizeof(guard));
			area = cr_mem_plan_find(plan, guard.start);
			if (!area || guard.start >= guard.end || guard.end > area->vma.end || (guard.start | guard.end) % CR_PAGE_BYTES)
				return plan_bad(img, &rec, "guard pages outside of every area", err);
		}
	}
	return 0;
}

int cr_mem_plan_create(const struct cr_image *img, struct cr_mem_plan **ret, struct cr_err *err)
{
	struct cr_mem_plan *plan;
	int rc;

	plan = calloc(1, sizeof(*plan));
	if (!plan)
		return cr_err_set(err, ENOMEM, "context file %s: no memory for the list of areas", cr_image_name(img));
	rc = plan_fill(img, plan, err);
	if (rc == 0)
		rc = plan_check_runs(img, plan, err);
	if (rc == 0)
		rc = plan_check_guards(img, plan, err);
	if (rc < 0) {
		cr_mem_plan_destroy(plan);
		return rc;
	}
	*ret = plan;
	return 0;
}

void cr_mem_plan_destroy(struct cr_mem_plan *plan)
{
	if (!plan)
		return;
	free(plan->area);
	free(plan);
}

const struct cr_mem_plan_area *cr_mem_plan_find(const struct cr_mem_plan *plan, uint64_t addr)
{
	size_t low = 0, high = plan->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (plan->area[middle].vma.end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < plan->n && plan->area[low].vma.start <= addr ? &plan->area[low] : NULL;
}

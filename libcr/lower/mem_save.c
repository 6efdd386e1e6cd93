/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes the program's memory areas and the pages in them that hold content.
 *
 * Order: every VMA record, then the pages of all areas, so that scattered pages share PAGES records.
 * A child writes pages from where they are; only what cannot be read there goes through a buffer. In the process itself everything does: a
 * thread that has said that it is parked may still be on the way into its wait, and change its stack between checksum and write.
 * Another engine than "user" reads private memory into the same buffer.
 *
 * May run in a child made by a bare clone of a process with threads, where any lock may be held forever: no malloc, no stdio, no locale.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/mem_private.h"

#define SAVE_BUFFER_BYTES (1u << 20)
#define SAVE_MINCORE_PAGES 4096u
#define SAVE_GUARDS 64u
#define SAVE_RUNS 168u

struct mem_save {
	struct cr_image_writer *w;
	struct cr_mem_pages pages;
	int mem;      /* /proc/.../mem: reads what the protection forbids, and fails where a plain read would kill */
	char *buffer; /* for what is read through @mem, or copied */
	size_t filled; /* of the buffer, with pages that the writer has not written yet */
	bool in_child;
	/* the area being saved */
	const struct cr_mem_area *area;
	bool readable;
	bool skip_unreadable; /* pages beyond the end of a file have no content */
	uint32_t put_flags;
};

static int save_vma(struct mem_save *s, const struct cr_mem_area *area, struct cr_err *err)
{
	size_t bytes = sizeof(area->vma) + area->vma.name_bytes;

	if (area->nocr)
		return cr_err_set(err, EOPNOTSUPP, "memory at 0x%llx-0x%llx%s%s: %s", (unsigned long long)area->vma.start,
				  (unsigned long long)area->vma.end, area->name ? ", " : "", area->name ? area->name : "", area->nocr);
	if (bytes > SAVE_BUFFER_BYTES)
		return cr_err_set(err, ENAMETOOLONG, "memory at 0x%llx: the name of its file is too long", (unsigned long long)area->vma.start);
	memcpy(s->buffer, &area->vma, sizeof(area->vma));
	if (area->name)
		memcpy(s->buffer + sizeof(area->vma), area->name, area->vma.name_bytes);
	return cr_image_put(s->w, CR_REC_VMA, s->buffer, bytes, err);
}

/* One buffer full through @mem; *ret_bytes is a whole number of pages, 0 when the first page cannot be read. */
static int save_read(struct mem_save *s, uint64_t start, size_t want, size_t *ret_bytes, struct cr_err *err)
{
	ssize_t got;

	do {
		got = pread(s->mem, s->buffer, want, (off_t)start);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && !(s->skip_unreadable && (errno == EIO || errno == EFAULT)))
		return cr_err_set(err, errno, "memory at 0x%llx cannot be read: %s", (unsigned long long)start, strerrordesc_np(errno));
	*ret_bytes = got < 0 ? 0 : (size_t)got & ~(CR_PAGE_BYTES - 1);
	if (*ret_bytes == 0 && !s->skip_unreadable)
		return cr_err_set(err, EIO, "memory at 0x%llx cannot be read", (unsigned long long)start);
	return 0;
}

static int buffer_flush(struct mem_save *s, struct cr_err *err)
{
	s->filled = 0;
	return cr_image_flush(s->w, err);
}

static int save_buffered(struct mem_save *s, uint64_t start, uint64_t end, struct cr_err *err)
{
	int rc = buffer_flush(s, err);

	while (rc == 0 && start < end) {
		size_t want = end - start < SAVE_BUFFER_BYTES ? end - start : SAVE_BUFFER_BYTES;
		size_t got = 0;

		rc = save_read(s, start, want, &got, err);
		if (rc < 0)
			return rc;
		if (got == 0) {
			start += CR_PAGE_BYTES;
			continue;
		}
		rc = cr_image_put_pages(s->w, start, s->buffer, got, s->put_flags, err);
		/* The buffer is used again. */
		if (rc == 0)
			rc = buffer_flush(s, err);
		start += got;
	}
	return rc;
}

static int save_copied(struct mem_save *s, uint64_t start, uint64_t end, struct cr_err *err)
{
	int rc = 0;

	while (rc == 0 && start < end) {
		char *copy = s->buffer + s->filled;
		size_t n = SAVE_BUFFER_BYTES - s->filled;

		if (n == 0) {
			rc = buffer_flush(s, err);
			continue;
		}
		if (n > end - start)
			n = end - start;
		memcpy(copy, (const void *)(uintptr_t)start, n);
		s->filled += n;
		rc = cr_image_put_pages(s->w, start, copy, n, s->put_flags, err);
		start += n;
	}
	return rc;
}

static int save_run(void *arg, uint64_t start, uint64_t end, unsigned int flags, struct cr_err *err)
{
	struct mem_save *s = arg;

	if (!s->readable || (flags & CR_MEM_RUN_SWAPPED))
		return save_buffered(s, start, end, err);
	if (!s->in_child)
		return save_copied(s, start, end, err);
	return cr_image_put_pages(s->w, start, (const void *)(uintptr_t)start, end - start, s->put_flags, err);
}

/* By the engine. What it does not read is read as without one. */
static int save_engine(struct mem_save *s, uint64_t start, uint64_t end, struct cr_err *err)
{
	struct cr_ioc_run runs[SAVE_RUNS];
	struct cr_engine_read got;
	int rc = 0;

	while (rc == 0 && start < end) {
		const char *page = s->buffer + s->filled;

		if (SAVE_BUFFER_BYTES - s->filled < CR_PAGE_BYTES) {
			rc = buffer_flush(s, err);
			continue;
		}
		rc = cr_engine->read(start, end, s->buffer + s->filled, SAVE_BUFFER_BYTES - s->filled, runs, SAVE_RUNS, &got);
		if (rc == -EOPNOTSUPP)
			return cr_mem_pages_walk(&s->pages, got.next, end, save_run, s, err);
		if (rc == 0 && got.next <= start)
			rc = -EIO;
		if (rc < 0)
			return cr_err_set(err, rc, "memory at 0x%llx cannot be read by the engine %s: %s; " CR_ENV_ENGINE "=user does without it", (unsigned long long)start,
					  cr_engine->name, strerrordesc_np(-rc));
		s->filled += got.bytes;
		for (uint32_t i = 0; rc == 0 && i < got.runs; page += runs[i++].ret_bytes)
			rc = cr_image_put_pages(s->w, runs[i].ret_addr, page, runs[i].ret_bytes, CR_PAGES_KEEP_ZERO, err);
		start = got.next;
	}
	return rc;
}

/* Shared memory: the page tables of one process do not tell which pages the object has; asking for residence does, without making any. */
static int save_shared(struct mem_save *s, struct cr_err *err)
{
	unsigned char resident[SAVE_MINCORE_PAGES];
	uint64_t end = s->area->vma.end;

	/* Huge pages are told as resident only where this process has touched them. */
	if (s->area->swap_bytes || s->area->vma.flags & CR_VMA_F_HUGETLB)
		return save_run(s, s->area->vma.start, end, 0, err);
	for (uint64_t at = s->area->vma.start; at < end;) {
		size_t n = (end - at) / CR_PAGE_BYTES, i = 0;
		uint64_t base = at;

		if (n > SAVE_MINCORE_PAGES)
			n = SAVE_MINCORE_PAGES;
		if (mincore((void *)(uintptr_t)at, n * CR_PAGE_BYTES, resident) < 0)
			return cr_err_set(err, errno, "the pages of the shared memory at 0x%llx cannot be listed: %s", (unsigned long long)at,
					  strerrordesc_np(errno));
		while (i < n) {
			size_t begin = i;
			int rc;

			while (i < n && (resident[i] & 1))
				i++;
			rc = i > begin ? save_run(s, base + begin * CR_PAGE_BYTES, base + i * CR_PAGE_BYTES, 0, err) : 0;
			if (rc < 0)
				return rc;
			while (i < n && !(resident[i] & 1))
				i++;
		}
		at = base + n * CR_PAGE_BYTES;
	}
	return 0;
}

static int save_pages(struct mem_save *s, const struct cr_mem_area *area, struct cr_err *err)
{
	const struct cr_vma *vma = &area->vma;

	s->area = area;
	s->readable = (vma->prot & PROT_READ) != 0;
	s->skip_unreadable = false;
	s->put_flags = 0;
	if (vma->kind == CR_VMA_FILE_SHARED || vma->flags & CR_VMA_F_OBJECT_FD || (area->in_parts && (vma->flags & CR_VMA_F_DONTDUMP)))
		return 0;
	if (vma->kind == CR_VMA_ANON_SHARED && !area->in_parts && cr_mem_set.saved_before && cr_mem_set.saved_before(vma))
		return 0;
	if (vma->flags & CR_VMA_F_WAS_FILE) {
		s->skip_unreadable = true;
		return save_buffered(s, vma->start, vma->end, err);
	}
	if (vma->kind != CR_VMA_ANON_SHARED && area->present_bytes == 0 && area->swap_bytes == 0)
		return 0;
	if (!s->readable && s->in_child && (!cr_engine->read || vma->kind == CR_VMA_ANON_SHARED))
		s->readable = mprotect((void *)(uintptr_t)vma->start, vma->end - vma->start, PROT_READ) == 0;
	if (vma->kind == CR_VMA_ANON_SHARED)
		return save_shared(s, err);
	if (vma->kind == CR_VMA_FILE_PRIVATE)
		s->put_flags = CR_PAGES_KEEP_ZERO;
	if (cr_engine->read)
		return save_engine(s, vma->start, vma->end, err);
	return cr_mem_pages_walk(&s->pages, vma->start, vma->end, save_run, s, err);
}

/* Ranges that nobody may touch. What is under them in private memory is gone; in a file it is the file's. */
static int save_guards(struct mem_save *s, const struct cr_mem_area *area, struct cr_err *err)
{
	struct cr_guard_range guards[SAVE_GUARDS];
	uint64_t at = area->vma.start;
	unsigned int n;
	int rc = 0;

	while (rc == 0 && at < area->vma.end) {
		n = cr_mem_pages_guards(&s->pages, &at, area->vma.end, guards, SAVE_GUARDS);
		if (n && area->vma.kind == CR_VMA_ANON_SHARED)
			return cr_err_set(err, EOPNOTSUPP, "memory at 0x%llx: guard pages (MADV_GUARD_INSTALL) in shared memory cannot be saved",
					  (unsigned long long)guards[0].start);
		if (n)
			rc = cr_image_put(s->w, CR_REC_GUARD, guards, n * sizeof(guards[0]), err);
	}
	return rc;
}

static int save_all(struct mem_save *s, const struct cr_mem_areas *areas, struct cr_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < areas->n; i++)
		rc = save_vma(s, &areas->area[i], err);
	for (size_t i = 0; rc == 0 && i < areas->n; i++)
		rc = save_guards(s, &areas->area[i], err);
	for (size_t i = 0; rc == 0 && i < areas->n; i++)
		rc = save_pages(s, &areas->area[i], err);
	/* The memory is borrowed only until here. */
	return rc < 0 ? rc : cr_image_flush(s->w, err);
}

int cr_mem_save(const struct cr_mem_areas *areas, struct cr_image_writer *w, bool in_child, struct cr_err *err)
{
	struct mem_save s = { .w = w, .in_child = in_child };
	int rc;

	rc = cr_mem_pages_open(&s.pages, err);
	if (rc < 0)
		return rc;
	s.mem = open(CR_MEM_PROC "/mem", O_RDONLY | O_CLOEXEC);
	if (s.mem < 0) {
		rc = cr_err_set(err, errno, CR_MEM_PROC "/mem cannot be opened: %s", strerrordesc_np(errno));
		goto close_pages;
	}
	s.buffer = mmap(NULL, SAVE_BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s.buffer == MAP_FAILED) {
		rc = cr_err_set(err, errno, "no memory for a buffer of %u bytes", SAVE_BUFFER_BYTES);
		goto close_mem;
	}
	rc = save_all(&s, areas, err);
	munmap(s.buffer, SAVE_BUFFER_BYTES);
close_mem:
	close(s.mem);
close_pages:
	cr_mem_pages_close(&s.pages);
	return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts the program's memory back: maps every area, fills it from the image, gives it its last protection and advice.
 *
 * Areas are mapped with the protection they end with. One that has pages but may not be written is opened while it is filled: as a whole, since
 * opening parts of it would leave it in many pieces. A reservation without pages is never writable, so it never counts as memory that is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/mem_private.h"

#define RESTORE_SPLIT_BYTES (64ull << 20) /* from here on a second thread pays */
#define RESTORE_THREADS 2

#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static void *vma_addr(const struct cr_vma *vma)
{
	return (void *)(uintptr_t)vma->start;
}

static size_t vma_bytes(const struct cr_vma *vma)
{
	return vma->end - vma->start;
}

static int huge_flags(const struct cr_vma *vma)
{
	return vma->flags & CR_VMA_F_HUGETLB ? MAP_HUGETLB | (__builtin_ctzll(vma->file_bytes) << MAP_HUGE_SHIFT) : 0;
}

static int map_error(const struct cr_mem_plan_area *area, int error, struct cr_err *err)
{
	const char *remedy = "";

	if (error == ENOMEM)
		remedy = "; more memory, a higher limit (ulimit -v) or a higher vm.max_map_count is needed";
	else if (error == EPERM && area->name[0] == '/' && (area->vma.prot & PROT_EXEC))
		remedy = "; its file system must be mounted without noexec";
	return cr_err_set(err, error, "the program's memory at 0x%llx-0x%llx%s%s cannot be mapped: %s%s", (unsigned long long)area->vma.start,
			  (unsigned long long)area->vma.end, area->name[0] ? ", " : "", area->name, strerror(error), remedy);
}

static int map_at(const struct cr_mem_plan_area *area, int flags, int fd, uint64_t offset, struct cr_err *err)
{
	void *got;

	flags |= MAP_FIXED_NOREPLACE;
	if (area->vma.flags & CR_VMA_F_GROWSDOWN)
		flags |= MAP_GROWSDOWN;
	if (area->vma.flags & CR_VMA_F_NORESERVE)
		flags |= MAP_NORESERVE;
	got = mmap(vma_addr(&area->vma), vma_bytes(&area->vma), (int)area->vma.prot, flags, fd, (off_t)offset);
	if (got == MAP_FAILED)
		return map_error(area, errno, err);
	/* Before Linux 4.17 the flag was only a wish. */
	if (got != vma_addr(&area->vma)) {
		munmap(got, vma_bytes(&area->vma));
		return map_error(area, EEXIST, err);
	}
	return 0;
}

static int map_file(const struct cr_mem_plan_area *area, struct cr_err *err)
{
	bool shared = area->vma.kind == CR_VMA_FILE_SHARED;
	bool writes = shared && ((area->vma.prot & PROT_WRITE) || (area->vma.flags & CR_VMA_F_MAYWRITE));
	int fd, rc;

	fd = open(area->name, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return cr_err_set(err, errno, "file %s, which the program has in its memory at 0x%llx, cannot be opened: %s", area->name,
				  (unsigned long long)area->vma.start, strerror(errno));
	rc = map_at(area, shared ? MAP_SHARED : MAP_PRIVATE, fd, area->vma.offset, err);
	close(fd);
	return rc;
}

/* --- shared anonymous memory: areas of one object are windows into one mapping --- */

static int map_window(const struct cr_mem_plan_area *area, char *object, struct cr_err *err)
{
	int rc;

	/* Reserves the place: mremap replaces what it finds. */
	rc = map_at(area, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, err);
	if (rc < 0)
		return rc;
	/* Length 0 of a shared mapping: one more mapping of the same pages. */
	if (mremap(object + area->vma.offset, 0, vma_bytes(&area->vma), MREMAP_MAYMOVE | MREMAP_FIXED, vma_addr(&area->vma)) == MAP_FAILED ||
	    mprotect(vma_addr(&area->vma), vma_bytes(&area->vma), (int)area->vma.prot) < 0)
		return map_error(area, errno, err);
	return 0;
}

/* One descriptor for all areas of the object. Memory that may never be written is mapped from one that is for reading only, or seals would not fit. */
static int map_behind(const struct cr_mem_plan *plan, size_t first, const struct cr_mem_object_source *source, struct cr_err *err)
{
	const struct cr_mem_plan_area *head = &plan->area[first];
	int fd, read_fd = -1, rc = 0;
	char path[64];
	bool given;

	fd = cr_mem_object_open(plan, first, source, &given, err);
	if (fd < 0)
		return fd;
	for (size_t i = first; rc == 0 && i < plan->n; i++) {
		const struct cr_mem_plan_area *area = &plan->area[i];
		bool reads = area->vma.flags & CR_VMA_F_OBJECT_FD && !(area->vma.flags & CR_VMA_F_MAYWRITE);

		if (!cr_mem_same_object(head, area))
			continue;
		if (reads && read_fd < 0) {
			snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
			read_fd = open(path, O_RDONLY | O_CLOEXEC);
			if (read_fd < 0)
				rc = map_error(area, errno, err);
		}
		if (rc == 0)
			rc = map_at(area, MAP_SHARED, reads ? read_fd : fd, area->vma.offset, err);
	}
	if (read_fd >= 0)
		close(read_fd);
	if (given)
		close(fd);
	return rc;
}

static int map_object(const struct cr_mem_plan *plan, size_t first, const struct cr_mem_object_source *source, struct cr_err *err)
{
	const struct cr_mem_plan_area *head = &plan->area[first];
	int flags = MAP_SHARED | MAP_ANONYMOUS;
	uint64_t bytes = 0;
	unsigned int n = 0;
	char *object = cr_mem_set.object ? cr_mem_set.object(&head->vma) : NULL;
	int rc = 0;

	for (size_t i = first; object && rc == 0 && i < plan->n; i++)
		if (cr_mem_same_object(head, &plan->area[i]))
			rc = map_window(&plan->area[i], object, err);
	if (object)
		return rc;
	if (head->vma.flags & CR_VMA_F_SYSV)
		return cr_mem_segment_attach(plan, first, err);
	if (head->vma.flags & CR_VMA_F_OBJECT_FD || (head->vma.flags & CR_VMA_F_OBJECT && !(head->vma.flags & CR_VMA_F_WAS_FILE)))
		return map_behind(plan, first, source, err);
	if (head->vma.flags & CR_VMA_F_HUGETLB)
		flags |= huge_flags(&head->vma);
	for (size_t i = first; i < plan->n; i++) {
		const struct cr_vma *vma = &plan->area[i].vma;

		if (!cr_mem_same_object(head, &plan->area[i]))
			continue;
		n++;
		if (vma->offset + vma_bytes(vma) > bytes)
			bytes = vma->offset + vma_bytes(vma);
	}
	if (n == 1 && head->vma.offset == 0)
		return map_at(head, flags, -1, 0, err);
	if (head->vma.flags & CR_VMA_F_NORESERVE)
		flags |= MAP_NORESERVE;
	object = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (object == MAP_FAILED)
		return map_error(head, errno, err);
	for (size_t i = first; rc == 0 && i < plan->n; i++)
		if (cr_mem_same_object(head, &plan->area[i]))
			rc = map_window(&plan->area[i], object, err);
	munmap(object, bytes);
	return rc;
}

static bool object_seen(const struct cr_mem_plan *plan, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (cr_mem_same_object(&plan->area[at], &plan->area[i]))
			return true;
	return false;
}

/* --- map, advise, fill --- */

static int map_all(const struct cr_mem_plan *plan, const struct cr_mem_object_source *source, struct cr_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->n; i++) {
		const struct cr_mem_plan_area *area = &plan->area[i];

		if (area->vma.kind == CR_VMA_ANON)
			rc = map_at(area, MAP_PRIVATE | MAP_ANONYMOUS | huge_flags(&area->vma), -1, 0, err);
		else if (area->vma.kind != CR_VMA_ANON_SHARED)
			rc = map_file(area, err);
	}
	/* Last, so that the object, whose place is chosen by the kernel, is in nobody's way. */
	for (size_t i = 0; rc == 0 && i < plan->n; i++)
		if (plan->area[i].vma.kind == CR_VMA_ANON_SHARED && !object_seen(plan, i))
			rc = map_object(plan, i, source, err);
	return rc;
}

struct restore_advice {
	uint64_t flag;
	int advice;
	bool hint; /* a kernel without it changes nothing that the program can see */
};

static const struct restore_advice advice_before_fill[] = {
	{ CR_VMA_F_HUGEPAGE, MADV_HUGEPAGE, true },
	{ CR_VMA_F_NOHUGEPAGE, MADV_NOHUGEPAGE, true },
};

static const struct restore_advice advice_after_fill[] = {
	{ CR_VMA_F_RANDOM, MADV_RANDOM, true },          { CR_VMA_F_SEQUENTIAL, MADV_SEQUENTIAL, true },
	{ CR_VMA_F_MERGEABLE, MADV_MERGEABLE, true },    { CR_VMA_F_DONTDUMP, MADV_DONTDUMP, true },
	{ CR_VMA_F_DONTFORK, MADV_DONTFORK, false },     { CR_VMA_F_WIPEONFORK, MADV_WIPEONFORK, false },
};

static int advise(const struct cr_mem_plan_area *area, const struct restore_advice *table, size_t n, struct cr_err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (!(area->vma.flags & table[i].flag))
			continue;
		if (madvise(vma_addr(&area->vma), vma_bytes(&area->vma), table[i].advice) < 0 && !table[i].hint)
			return cr_err_set(err, errno, "memory at 0x%llx: advice %d cannot be given again: %s", (unsigned long long)area->vma.start,
					  table[i].advice, strerror(errno));
	}
	return 0;
}

static int lock_area(const struct cr_mem_plan_area *area, struct cr_err *err)
{
	unsigned int flags = area->vma.flags & CR_VMA_F_LOCKONFAULT ? MLOCK_ONFAULT : 0;

	if (!(area->vma.flags & CR_VMA_F_LOCKED))
		return 0;
	/* Memory without access is locked too, only not read in: the call says ENOMEM and has done its work. */
	if (mlock2(vma_addr(&area->vma), vma_bytes(&area->vma), flags) < 0 && !(errno == ENOMEM && !(area->vma.prot & PROT_READ)))
		return cr_err_set(err, errno, "memory at 0x%llx-0x%llx cannot be locked again: %s; raise the limit (ulimit -l)",
				  (unsigned long long)area->vma.start, (unsigned long long)area->vma.end, strerror(errno));
	return 0;
}

static bool must_open(const struct cr_mem_plan_area *area)
{
	return area->has_pages && !(area->vma.prot & PROT_WRITE);
}

static int protect(const struct cr_mem_plan_area *area, uint32_t prot, struct cr_err *err)
{
	if (mprotect(vma_addr(&area->vma), vma_bytes(&area->vma), (int)prot) < 0)
		return map_error(area, errno, err);
	return 0;
}

static int prepare(const struct cr_mem_plan_area *area, struct cr_err *err)
{
	int rc = advise(area, advice_before_fill, sizeof(advice_before_fill) / sizeof(advice_before_fill[0]), err);

	if (rc == 0 && must_open(area))
		rc = protect(area, PROT_READ | PROT_WRITE, err);
	return rc;
}

static int settle(const struct cr_mem_plan_area *area, struct cr_err *err)
{
	int rc;

	if (area->vma.flags & CR_VMA_F_NAMED) {
		const char *name = strchr(area->name, ':');
		char text[80];

		/* "[anon:NAME]"; only for people who read maps, so a kernel without it is fine */
		if (name && strlen(name) > 2 && strlen(name) - 2 < sizeof(text)) {
			memcpy(text, name + 1, strlen(name) - 2);
			text[strlen(name) - 2] = '\0';
			prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, area->vma.start, vma_bytes(&area->vma), text);
		}
	}
	rc = must_open(area) ? protect(area, area->vma.prot, err) : 0;
	if (rc == 0)
		rc = advise(area, advice_after_fill, sizeof(advice_after_fill) / sizeof(advice_after_fill[0]), err);
	if (rc == 0)
		rc = lock_area(area, err);
	if (rc == 0 && (area->vma.flags & CR_VMA_F_SEALED))
		syscall(SYS_mseal, area->vma.start, vma_bytes(&area->vma), 0);
	return rc;
}

static int fill_run(const struct cr_image *img, const struct cr_image_record *rec, struct cr_err *err)
{
	void *mem = (void *)(uintptr_t)rec->addr;

	/* One call for all page faults of the run; where the kernel has it not, they are taken one by one. */
	madvise(mem, rec->bytes, MADV_POPULATE_WRITE);
	return cr_image_read_pages(img, rec, mem, err);
}

struct restore_fill {
	const struct cr_image *img;
	unsigned int share, shares; /* this thread takes every @shares-th piece of the image */
	atomic_int *failed;
	struct cr_err err;
	int rc;
};

/* Pieces of 8 MiB of the file: neighbours in memory go to one thread. */
static bool is_mine(const struct restore_fill *fill, const struct cr_image_record *rec)
{
	return (rec->file_offset >> 23) % fill->shares == fill->share;
}

static void *fill_share(void *arg)
{
	struct restore_fill *fill = arg;
	struct cr_image_record rec = { .cursor = 0 };

	while (fill->rc == 0 && !atomic_load(fill->failed) && cr_image_next(fill->img, &rec) > 0)
		if (rec.type == CR_REC_PAGES && is_mine(fill, &rec))
			fill->rc = fill_run(fill->img, &rec, &fill->err);
	if (fill->rc < 0)
		atomic_store(fill->failed, 1);
	return NULL;
}

static unsigned int fill_threads(const struct cr_image *img)
{
	struct cr_image_totals totals;
	cpu_set_t cpus;

	cr_image_totals(img, &totals);
	if (totals.pages * CR_PAGE_BYTES < RESTORE_SPLIT_BYTES || sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) < 2)
		return 1;
	return RESTORE_THREADS;
}

static int fill_all(const struct cr_image *img, struct cr_err *err)
{
	struct restore_fill fill[RESTORE_THREADS];
	pthread_t thread[RESTORE_THREADS];
	bool started[RESTORE_THREADS] = { false };
	unsigned int shares = fill_threads(img);
	atomic_int failed = 0;
	int rc = 0;

	for (unsigned int i = 0; i < shares; i++)
		fill[i] = (struct restore_fill){ .img = img, .share = i, .shares = shares, .failed = &failed };
	for (unsigned int i = 1; i < shares; i++)
		started[i] = pthread_create(&thread[i], NULL, fill_share, &fill[i]) == 0;
	for (unsigned int i = 0; i < shares; i++)
		if (!started[i])
			fill_share(&fill[i]);
	for (unsigned int i = 0; i < shares; i++) {
		if (started[i])
			pthread_join(thread[i], NULL);
		if (fill[i].rc < 0 && rc == 0) {
			rc = fill[i].rc;
			if (err)
				*err = fill[i].err;
		}
	}
	return rc;
}

/* Before memory is sealed or locked. */
static int restore_guards(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_guard_range guard;

	while (cr_image_next(img, &rec) > 0) {
		for (uint64_t at = 0; rec.type == CR_REC_GUARD && at + sizeof(guard) <= rec.bytes; at += sizeof(guard)) {
			memcpy(&guard, (const char *)rec.data + at, sizeof(guard));
			if (madvise((void *)(uintptr_t)guard.start, guard.end - guard.start, MADV_GUARD_INSTALL) < 0)
				return cr_err_set(err, errno, "memory at 0x%llx-0x%llx: guard pages cannot be made again: %s%s", (unsigned long long)guard.start,
						  (unsigned long long)guard.end, strerror(errno), errno == EINVAL ? "; they need Linux 6.13" : "");
		}
	}
	return 0;
}

int cr_mem_restore(const struct cr_image *img, const struct cr_mem_object_source *source, struct cr_err *err)
{
	struct cr_mem_plan *plan;
	int rc;

	rc = cr_mem_plan_create(img, &plan, err);
	if (rc < 0)
		return rc;
	rc = map_all(plan, source, err);
	for (size_t i = 0; rc == 0 && i < plan->n; i++)
		rc = prepare(&plan->area[i], err);
	if (rc == 0)
		rc = fill_all(img, err);
	if (rc == 0)
		rc = restore_guards(img, err);
	for (size_t i = 0; rc == 0 && i < plan->n; i++)
		rc = settle(&plan->area[i], err);
	cr_mem_plan_destroy(plan);
	return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared memory with an object behind it: memfd, file without a name, System V segment, and the reserve of huge pages.
 *
 * An object that a descriptor refers to is stored by the FILE record, and mapped again from what that makes; any other is stored as memory.
 * A segment keeps its number, which the program may have anywhere: one that is left from before is taken again, else it is made under that number.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/mem_private.h"

#define NEXT_ID "/proc/sys/kernel/shm_next_id"
#define HUGE_DIR "/sys/kernel/mm/hugepages/hugepages-%llukB/%s"
#define MODE_BITS 0777u

/* --- what they are --- */

static bool is_object(const struct cr_vma *vma, const struct stat *st)
{
	return st->st_ino == vma->ino && ((major(st->st_dev) == vma->dev_major && minor(st->st_dev) == vma->dev_minor) || vma->dev_major == 0 ||
					  major(st->st_dev) == 0);
}

/* Does a descriptor refer to the object? */
static int find_fd(const struct cr_vma *vma, struct stat *ret)
{
	int found = 0, fd = open(CR_MEM_PROC "/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* not opendir: see cr_mem_proc_open() */
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	char path[300];

	if (!dir) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return -error;
	}
	while (!found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), CR_MEM_PROC "/fd/%s", entry->d_name);
		found = entry->d_name[0] != '.' && stat(path, ret) == 0 && S_ISREG(ret->st_mode) && is_object(vma, ret);
	}
	closedir(dir);
	return found;
}

static int find_object(struct cr_mem_area *area)
{
	struct cr_vma *vma = &area->vma;
	struct stat st;
	char path[100];
	int rc = find_fd(vma, &st);

	if (rc < 0)
		return rc;
	vma->file_bytes = vma->offset + (vma->end - vma->start);
	if (rc > 0) {
		vma->flags |= CR_VMA_F_OBJECT_FD;
		vma->file_bytes = (uint64_t)st.st_size;
		return 0;
	}
	if (cr_mem_set.held_within && cr_mem_set.held_within(vma)) {
		vma->flags |= CR_VMA_F_OBJECT_FD;
		return 0;
	}
	/* Only for the privileged. */
	snprintf(path, sizeof(path), CR_MEM_PROC "/map_files/%llx-%llx", (unsigned long long)vma->start, (unsigned long long)vma->end);
	if (stat(path, &st) == 0) {
		if (st.st_nlink > 0)
			area->nocr = "a shared mapping of a file that has lost the name under which it was opened, and has another, cannot be saved; open it under that one";
		vma->file_bytes = (uint64_t)st.st_size;
	}
	return 0;
}

/* One line of /proc/sysvipc/shm. */
struct segment {
	int key, id;
	unsigned int mode;
	unsigned long bytes, attached;
};

static bool find_segment(uint64_t id, struct segment *ret)
{
	FILE *f = cr_mem_proc_open("/proc/sysvipc/shm");
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%d %d %o %lu %*u %*u %lu", &ret->key, &ret->id, &ret->mode, &ret->bytes, &ret->attached) == 5 && (uint64_t)ret->id == id;
	if (f)
		fclose(f);
	return found;
}

static unsigned long attached_here(const struct cr_mem_areas *areas, uint64_t id)
{
	unsigned long n = 0;

	for (size_t i = 0; i < areas->n; i++)
		n += areas->area[i].vma.flags & CR_VMA_F_SYSV && areas->area[i].vma.ino == id;
	return n;
}

static void find_sysv(const struct cr_mem_areas *areas, struct cr_mem_area *area)
{
	struct cr_vma *vma = &area->vma;
	struct segment s;

	if (!find_segment(vma->ino, &s))
		area->nocr = "a System V shared memory segment of another namespace cannot be saved";
	else if (s.attached > attached_here(areas, vma->ino))
		area->nocr = "a System V shared memory segment that another process has attached too cannot be saved";
	else if (vma->offset || vma->end - vma->start < s.bytes)
		area->nocr = "a part of a System V shared memory segment cannot be saved";
	vma->file_bytes = s.bytes;
	vma->mtime_s = s.key;
	vma->mtime_ns = s.mode;
}

int cr_mem_objects_find(struct cr_mem_areas *areas)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < areas->n; i++) {
		struct cr_mem_area *area = &areas->area[i];

		if (area->nocr)
			continue;
		if (area->vma.flags & CR_VMA_F_OBJECT)
			rc = find_object(area);
		else if (area->vma.flags & CR_VMA_F_SYSV)
			find_sysv(areas, area);
	}
	return rc;
}

/* --- may they come back? --- */

bool cr_mem_same_object(const struct cr_mem_plan_area *a, const struct cr_mem_plan_area *b)
{
	return b->vma.kind == CR_VMA_ANON_SHARED && a->vma.ino == b->vma.ino && a->vma.dev_major == b->vma.dev_major &&
	       a->vma.dev_minor == b->vma.dev_minor && (a->vma.flags & CR_VMA_F_SYSV) == (b->vma.flags & CR_VMA_F_SYSV);
}

/* The segment of before, if it is still there and nobody's: its number, or -ENOENT, or why it cannot be taken. */
static int old_segment(const struct cr_vma *vma, struct cr_err *err)
{
	int id = (int)vma->ino;
	struct segment s;

	if (!find_segment(vma->ino, &s))
		return -ENOENT;
	if (s.key != (int)vma->mtime_s || s.bytes != vma->file_bytes)
		return cr_err_set(err, EEXIST, "System V shared memory segment %d is another one now; the program knows its own by that number: remove that one (ipcrm -m %d)", id, id);
	if (s.attached)
		return cr_err_set(err, EBUSY, "System V shared memory segment %d, which the program had attached alone, is attached by %lu processes now; end them", id,
				  s.attached);
	return id;
}

static int check_segment(const struct cr_vma *vma, struct cr_err *err)
{
	int rc, other;

	if (vma->mtime_ns & SHM_DEST)
		return 0;
	rc = old_segment(vma, err);
	if (rc != -ENOENT)
		return rc < 0 ? rc : 0;
	other = vma->mtime_s ? shmget((key_t)vma->mtime_s, 0, 0) : -1;
	if (other >= 0)
		return cr_err_set(err, EEXIST, "System V shared memory with the key %#x is segment %d now and was %d; remove it (ipcrm -m %d)", (unsigned int)vma->mtime_s,
				  other, (int)vma->ino, other);
	if (access(NEXT_ID, W_OK) < 0)
		return cr_err_set(err, EPERM, "System V shared memory segment %d is gone, and its number, which the program knows, can be given again only with the capability CAP_CHECKPOINT_RESTORE (" NEXT_ID ": %s); restart with that, or while the segment is still there",
				  (int)vma->ino, strerror(errno));
	return 0;
}

static uint64_t huge_number(uint64_t page_bytes, const char *name)
{
	unsigned long long n = 0;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), HUGE_DIR, (unsigned long long)page_bytes / 1024, name);
	f = cr_mem_proc_open(path);
	if (f && fscanf(f, "%llu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

static int check_huge(const struct cr_mem_plan *plan, uint64_t page_bytes, struct cr_err *err)
{
	uint64_t need = 0, have, reserved, more, surplus;

	if (page_bytes < CR_PAGE_BYTES || page_bytes & (page_bytes - 1))
		return cr_err_set(err, EBADMSG, "huge pages of %llu bytes make no sense", (unsigned long long)page_bytes);
	for (size_t i = 0; i < plan->n; i++)
		if (plan->area[i].vma.flags & CR_VMA_F_HUGETLB && plan->area[i].vma.file_bytes == page_bytes)
			need += (plan->area[i].vma.end - plan->area[i].vma.start) / page_bytes;
	have = huge_number(page_bytes, "free_hugepages");
	reserved = huge_number(page_bytes, "resv_hugepages");
	more = huge_number(page_bytes, "nr_overcommit_hugepages");
	surplus = huge_number(page_bytes, "surplus_hugepages");
	have = (have > reserved ? have - reserved : 0) + (more > surplus ? more - surplus : 0);
	if (need <= have)
		return 0;
	return cr_err_set(err, ENOMEM, "the program had %llu huge pages of %llu KiB, and here %llu are free; reserve more (sysctl vm.nr_hugepages)",
			  (unsigned long long)need, (unsigned long long)page_bytes / 1024, (unsigned long long)have);
}

void cr_mem_objects_passed(struct cr_mem_areas *areas, uint64_t dev, uint64_t ino, uint64_t bytes)
{
	const struct stat st = { .st_dev = dev, .st_ino = ino };

	for (size_t i = 0; i < areas->n; i++) {
		struct cr_vma *vma = &areas->area[i].vma;

		if (!(vma->flags & CR_VMA_F_OBJECT) || !is_object(vma, &st))
			continue;
		vma->flags |= CR_VMA_F_OBJECT_FD;
		vma->file_bytes = bytes;
	}
}

int cr_mem_objects_check(const struct cr_mem_plan *plan, struct cr_err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < plan->n; i++) {
		const struct cr_vma *vma = &plan->area[i].vma;

		if (vma->flags & CR_VMA_F_SYSV)
			rc = check_segment(vma, err);
		else if (vma->flags & CR_VMA_F_HUGETLB)
			rc = check_huge(plan, vma->file_bytes, err);
	}
	return rc;
}

/* --- they come back --- */

int cr_mem_object_open(const struct cr_mem_plan *plan, size_t first, const struct cr_mem_object_source *source, bool *ret_given, struct cr_err *err)
{
	const struct cr_mem_plan_area *head = &plan->area[first];
	uint64_t bytes = head->vma.file_bytes;
	const char *name;
	int fd, error;

	*ret_given = false;
	if (head->vma.flags & CR_VMA_F_OBJECT_FD && source)
		return source->fd(source->arg, head->vma.dev_major, head->vma.dev_minor, head->vma.ino, err);
	if (head->vma.flags & CR_VMA_F_OBJECT_FD)
		return cr_err_set(err, ENOTSUP, "%s: is mapped and open, and nobody has it", head->name);
	for (size_t i = first; i < plan->n; i++)
		if (cr_mem_same_object(head, &plan->area[i]) && plan->area[i].vma.file_bytes > bytes)
			bytes = plan->area[i].vma.file_bytes;
	name = strncmp(head->name, "/memfd:", 7) == 0 ? head->name + 7 : "";
	fd = memfd_create(name, MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)bytes) < 0) {
		error = errno;
		if (fd >= 0)
			close(fd);
		return cr_err_set(err, error, "%s: a memfd of %llu bytes cannot be made: %s", head->name, (unsigned long long)bytes, strerror(error));
	}
	*ret_given = true;
	return fd;
}

/* A new segment with the old number. */
static int make_segment(const struct cr_vma *vma, struct cr_err *err)
{
	int want = (int)vma->ino, id, error, fd;
	char text[16];

	fd = open(NEXT_ID, O_WRONLY | O_CLOEXEC);
	snprintf(text, sizeof(text), "%d", want);
	if (fd < 0 || write(fd, text, strlen(text)) < 0) {
		error = errno;
		if (fd >= 0)
			close(fd);
		return cr_err_set(err, error, NEXT_ID ": %s", strerror(error));
	}
	close(fd);
	id = shmget((key_t)vma->mtime_s, vma->file_bytes, IPC_CREAT | IPC_EXCL | (int)(vma->mtime_ns & MODE_BITS));
	if (id < 0)
		return cr_err_set(err, errno, "System V shared memory of %llu bytes cannot be made: %s", (unsigned long long)vma->file_bytes, strerror(errno));
	if (id != want) {
		shmctl(id, IPC_RMID, NULL);
		return cr_err_set(err, EBUSY, "System V shared memory segment %d cannot be made under its number: it became %d; try again", want, id);
	}
	return id;
}

int cr_mem_segment_attach(const struct cr_mem_plan *plan, size_t first, struct cr_err *err)
{
	const struct cr_vma *vma = &plan->area[first].vma;
	bool doomed = vma->mtime_ns & SHM_DEST;
	int id = doomed ? -ENOENT : old_segment(vma, err), rc = 0;
	bool old = id >= 0;

	if (doomed)
		id = shmget(IPC_PRIVATE, vma->file_bytes, IPC_CREAT | (int)(vma->mtime_ns & MODE_BITS));
	else if (id == -ENOENT)
		id = make_segment(vma, err);
	if (id < 0)
		return doomed ? cr_err_set(err, errno, "System V shared memory of %llu bytes cannot be made: %s", (unsigned long long)vma->file_bytes, strerror(errno)) : id;
	for (size_t i = first; rc == 0 && i < plan->n; i++) {
		const struct cr_vma *at = &plan->area[i].vma;
		void *addr = (void *)(uintptr_t)at->start;

		if (!cr_mem_same_object(&plan->area[first], &plan->area[i]))
			continue;
		if (shmat(id, addr, 0) == (void *)-1)
			rc = cr_err_set(err, errno, "System V shared memory segment %d cannot be attached at 0x%llx: %s", id, (unsigned long long)at->start,
					strerror(errno));
		/* What is stored are the pages that are not zero. */
		if (rc == 0 && old)
			memset(addr, 0, at->file_bytes);
		old = false;
		if (rc == 0 && mprotect(addr, at->end - at->start, (int)at->prot) < 0)
			rc = cr_err_set(err, errno, "memory at 0x%llx: %s", (unsigned long long)at->start, strerror(errno));
	}
	if (doomed)
		shmctl(id, IPC_RMID, NULL);
	return rc;
}

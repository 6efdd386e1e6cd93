/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that the ranks of a window share, and memory of another rank.
 *
 * The shared object is a memfd of the first rank; the others open it through /proc, so there is no name that a killed job would leave
 * behind. libcr knows it by its name and saves it like shared anonymous memory, without the parts that are marked MADV_DONTDUMP: each rank
 * saves an equal share of the pages of a shared window, whose addresses the program knows on all ranks, and its own part of any other object.
 */
#include "crcp/upper/abi/win.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>

#include "libcr/cr_layout.h"

/* Of the lower half: there, ids are the kernel's, and descriptors are out of the program's way. */
static struct {
	uint64_t epoch; /* for which the rest is valid */
	int (*getpid)(void);
	int (*open)(const char *path, int flags, ...);
	int (*close)(int fd);
	int (*memfd_create)(const char *name, unsigned int flags);
	int (*ftruncate)(int fd, long bytes);
	ssize_t (*pwrite)(int fd, const void *from, size_t bytes, long at);
	int (*prctl)(int what, ...);
	ssize_t (*readv)(int pid, const struct iovec *to, unsigned long n_to, const struct iovec *from, unsigned long n_from, unsigned long flags);
	ssize_t (*writev)(int pid, const struct iovec *from, unsigned long n_from, const struct iovec *to, unsigned long n_to, unsigned long flags);
} os;

void *crcp_lower_find(const char *name)
{
	void *(*lower_sym)(void *, const char *) = CR_GATE->lower_sym;

	return CR_LOWER(lower_sym(NULL, name)); /* the launcher's own open() and its like come first */
}

bool crcp_win_os_init(void)
{
	if (os.epoch != crcp.epoch) {
		os.getpid = (int (*)(void))crcp_lower_find("getpid");
		os.open = (int (*)(const char *, int, ...))crcp_lower_find("open");
		os.close = (int (*)(int))crcp_lower_find("close");
		os.memfd_create = (int (*)(const char *, unsigned int))crcp_lower_find("memfd_create");
		os.ftruncate = (int (*)(int, long))crcp_lower_find("ftruncate");
		os.pwrite = (ssize_t (*)(int, const void *, size_t, long))crcp_lower_find("pwrite");
		os.prctl = (int (*)(int, ...))crcp_lower_find("prctl");
		os.readv = (ssize_t (*)(int, const struct iovec *, unsigned long, const struct iovec *, unsigned long, unsigned long))crcp_lower_find("process_vm_readv");
		os.writev = (ssize_t (*)(int, const struct iovec *, unsigned long, const struct iovec *, unsigned long, unsigned long))crcp_lower_find("process_vm_writev");
		if (!os.getpid || !os.open || !os.close || !os.memfd_create || !os.ftruncate || !os.pwrite || !os.prctl || !os.readv || !os.writev)
			return false;
		/* Where a process may only be looked into by its parents (yama), let the other ranks. */
		CR_LOWER(os.prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0));
		os.epoch = crcp.epoch;
	}
	return true;
}

int crcp_win_os_pid(void)
{
	return CR_LOWER(os.getpid());
}

bool crcp_win_all_agree(MPI_Comm real, bool ok)
{
	MPI_Datatype type = (MPI_Datatype)crcp_real(MPI_INT);
	MPI_Op min = (MPI_Op)crcp_real(MPI_MIN);
	int mine = ok, all = 0;

	return CR_LOWER(crcp_lower.MPI_Allreduce(&mine, &all, 1, type, min, real)) == MPI_SUCCESS && all;
}

/* The pages that @rank saves: [*ret_begin, *ret_end) in bytes. */
static void share_of(int rank, int size, size_t bytes, size_t *ret_begin, size_t *ret_end)
{
	size_t pages = bytes / CR_PAGE_BYTES;

	*ret_begin = pages * (size_t)rank / (size_t)size * CR_PAGE_BYTES;
	*ret_end = pages * ((size_t)rank + 1) / (size_t)size * CR_PAGE_BYTES;
}

/* -1: it failed. */
static int object_open(MPI_Comm real, int rank, size_t bytes)
{
	MPI_Datatype type = (MPI_Datatype)crcp_real(MPI_INT);
	int where[2] = { -1, -1 }, fd = -1;
	char path[64];

	if (rank == 0) {
		fd = CR_LOWER(os.memfd_create(CR_SHARED_OBJECT, MFD_CLOEXEC));
		if (fd >= 0 && CR_LOWER(os.ftruncate(fd, (long)bytes)) < 0) {
			CR_LOWER(os.close(fd));
			fd = -1;
		}
		where[0] = crcp_win_os_pid();
		where[1] = fd;
	}
	if (CR_LOWER(crcp_lower.MPI_Bcast(where, 2, type, 0, real)) != MPI_SUCCESS || rank == 0 || where[1] < 0)
		return fd;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", where[0], where[1]);
	return CR_LOWER(os.open(path, O_RDWR | O_CLOEXEC));
}

static bool write_at(int fd, const char *from, size_t bytes, size_t at)
{
	while (bytes > 0) {
		ssize_t done = CR_LOWER(os.pwrite(fd, from, bytes, (long)at));

		if (done <= 0)
			return false;
		from += done;
		at += (size_t)done;
		bytes -= (size_t)done;
	}
	return true;
}

/* The others save the rest. */
static void mark_shares(char *map, size_t begin, size_t end, size_t bytes)
{
	if (begin > 0)
		madvise(map, begin, MADV_DONTDUMP);
	if (end < bytes)
		madvise(map + end, bytes - end, MADV_DONTDUMP);
}

void *crcp_win_map(MPI_Comm real, int rank, int size, size_t bytes, void *at)
{
	size_t begin, end;
	int fd = object_open(real, rank, bytes);
	bool ok = fd >= 0;
	char *map = MAP_FAILED;

	share_of(rank, size, bytes, &begin, &end);
	if (ok && at)
		ok = write_at(fd, (char *)at + begin, end - begin, begin);
	if (crcp_win_all_agree(real, ok)) { /* the content is there */
		map = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | (at ? MAP_FIXED : 0), fd, 0);
		ok = map != MAP_FAILED;
		if (!crcp_win_all_agree(real, ok)) {
			if (ok)
				munmap(map, bytes);
			ok = false;
		}
	} else {
		ok = false;
	}
	if (fd >= 0)
		CR_LOWER(os.close(fd)); /* everybody has opened it */
	if (!ok)
		return NULL;
	mark_shares(map, begin, end, bytes);
	return map;
}

/* ---- a part of each rank ---- */
/* Bytes of all parts of @node, and where ours begins. False: it failed. */
static bool parts_of(MPI_Comm node, size_t mine, size_t *ret_offset, size_t *ret_all)
{
	MPI_Datatype type = (MPI_Datatype)crcp_real(MPI_UINT64_T);
	MPI_Op sum = (MPI_Op)crcp_real(MPI_SUM);
	uint64_t bytes = mine, upto = 0, all = 0;

	if (CR_LOWER(crcp_lower.MPI_Scan(&bytes, &upto, 1, type, sum, node)) != MPI_SUCCESS ||
	    CR_LOWER(crcp_lower.MPI_Allreduce(&bytes, &all, 1, type, sum, node)) != MPI_SUCCESS)
		return false;
	*ret_offset = upto - bytes;
	*ret_all = all;
	return true;
}

bool crcp_win_map_parts(struct crcp_win_own *o, MPI_Comm node, size_t *ret_offset)
{
	const int how = MAP_SHARED | MAP_NORESERVE, access = PROT_READ | PROT_WRITE;
	char *part = MAP_FAILED, *whole = MAP_FAILED;
	size_t offset = 0, all = 0;
	int rank = 0, fd = -1;
	bool ok;

	CR_LOWER(crcp_lower.MPI_Comm_rank(node, &rank));
	ok = parts_of(node, o->part_bytes, &offset, &all);
	if (crcp_win_all_agree(node, ok))
		fd = object_open(node, rank, all);
	ok = fd >= 0 && (!o->part || write_at(fd, o->part, o->part_bytes, offset));
	if (crcp_win_all_agree(node, ok)) { /* the contents are there */
		whole = mmap(NULL, all, access, how, fd, 0);
		if (whole != MAP_FAILED)
			part = mmap(o->part, o->part_bytes, access, how | (o->part ? MAP_FIXED : 0), fd, (off_t)offset);
		ok = crcp_win_all_agree(node, part != MAP_FAILED);
	} else {
		ok = false;
	}
	if (fd >= 0)
		CR_LOWER(os.close(fd)); /* everybody has opened it */
	if (!ok) {
		if (whole != MAP_FAILED)
			munmap(whole, all);
		if (part != MAP_FAILED && !o->part)
			munmap(part, o->part_bytes);
		return false;
	}
	madvise(whole, all, MADV_DONTDUMP); /* everybody saves the own part */
	o->part = part;
	o->node = whole;
	o->node_bytes = all;
	*ret_offset = offset;
	return true;
}

#define PART_BYTES (1UL << 30) /* the kernel moves a little less than 2^31 bytes at once */

int crcp_win_fetch(int pid, uint64_t from, void *to, size_t bytes)
{
	while (bytes > 0) {
		size_t n = bytes < PART_BYTES ? bytes : PART_BYTES;
		struct iovec here = { to, n }, there = { (void *)(uintptr_t)from, n };
		ssize_t done = CR_LOWER(os.readv(pid, &here, 1, &there, 1, 0));

		if (done <= 0)
			return MPI_ERR_RMA_RANGE;
		from += (size_t)done;
		to = (char *)to + done;
		bytes -= (size_t)done;
	}
	return MPI_SUCCESS;
}

int crcp_win_store(int pid, uint64_t to, const void *from, size_t bytes)
{
	while (bytes > 0) {
		size_t n = bytes < PART_BYTES ? bytes : PART_BYTES;
		struct iovec here = { (void *)(uintptr_t)from, n }, there = { (void *)(uintptr_t)to, n };
		ssize_t done = CR_LOWER(os.writev(pid, &here, 1, &there, 1, 0));

		if (done <= 0)
			return MPI_ERR_RMA_RANGE;
		to += (size_t)done;
		from = (const char *)from + done;
		bytes -= (size_t)done;
	}
	return MPI_SUCCESS;
}

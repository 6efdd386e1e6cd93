/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's memory calls, kept inside the window.
 *
 * Addresses are given out by a counter that only goes up and starts again at the top: MAP_FIXED_NOREPLACE finds the free ranges, so
 * there is no list to lock and nothing to undo when a signal comes at any instruction.
 * Context: upper %fs, any signal state; no libc.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <sys/mman.h>

#include "libcr/arch/x86_64/raw.h"

#define HUGE_BYTES (2UL << 20)
#define TRIES 100000
#define SHM_REMAP_ 040000 /* of linux/shm.h */

static uint64_t page_up(uint64_t v)
{
	return (v + CR_PAGE_BYTES - 1) & ~(CR_PAGE_BYTES - 1);
}

/* A range that nobody else is given; may be occupied since an earlier round. 0: larger than the window. */
static uint64_t range_take(uint64_t bytes, uint64_t align)
{
	struct cr_private *p = CR_PRIVATE;
	uint64_t old = p->mmap_next, start;

	do {
		start = (old + align - 1) & ~(align - 1);
		if (start + bytes > CR_WINDOW_END || start + bytes < start) {
			start = (CR_MMAP_ADDR + align - 1) & ~(align - 1);
			if (start + bytes > CR_WINDOW_END || start + bytes < start)
				return 0;
		}
	} while (!__atomic_compare_exchange_n(&p->mmap_next, &old, start + bytes, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return start;
}

int cr_extra_add(uint64_t start, uint64_t end)
{
	struct cr_private *p = CR_PRIVATE;
	uint32_t i;

	for (i = 0; i < p->n_extra; i++) {
		struct cr_range *r = &p->extra[i];

		if (start >= r->start && end <= r->end)
			return 0;
		if (start <= r->end && end >= r->start) {
			if (start < r->start)
				r->start = start;
			if (end > r->end)
				r->end = end;
			return 0;
		}
	}
	i = __atomic_fetch_add(&p->n_extra, 1, __ATOMIC_RELAXED);
	if (i >= CR_EXTRA_MAX) {
		__atomic_fetch_sub(&p->n_extra, 1, __ATOMIC_RELAXED);
		return -ENOMEM;
	}
	p->extra[i].start = start;
	p->extra[i].end = end;
	return 0;
}

static int in_extra(uint64_t start, uint64_t end)
{
	for (uint32_t i = 0; i < CR_PRIVATE->n_extra; i++)
		if (start >= CR_PRIVATE->extra[i].start && end <= CR_PRIVATE->extra[i].end)
			return 1;
	return 0;
}

/* What lies outside of the window is the program's from now on: the address, or -ENOMEM and it is gone again. */
static long extra_keep(long addr, uint64_t bytes)
{
	uint64_t start = (uint64_t)addr, end = start + bytes;

	if (cr_in_window(start))
		start = CR_WINDOW_END; /* only what is beyond it */
	if (start < end && cr_extra_add(start, end)) {
		cr_sys2(SYS_munmap, addr, bytes);
		return -ENOMEM;
	}
	return addr;
}

static long map_extra(uint64_t addr, uint64_t len, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t off)
{
	long r = cr_sys6(SYS_mmap, addr, len, prot, flags, fd, off);

	return r < 0 ? r : extra_keep(r, page_up(len));
}

/* MAP_FIXED over memory of the program at the end of the window, and beyond it. */
static long map_over_end(uint64_t addr, uint64_t bytes, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t off)
{
	uint64_t beyond = addr + bytes - CR_WINDOW_END;
	long r = cr_sys6(SYS_mmap, CR_WINDOW_END, beyond, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);

	if (r < 0 && !in_extra(CR_WINDOW_END, CR_WINDOW_END + beyond))
		return -ENOMEM;
	r = cr_sys6(SYS_mmap, addr, bytes, prot, flags, fd, off);
	return r < 0 ? r : extra_keep(r, bytes);
}

long cr_emul_mmap(uint64_t addr, uint64_t len, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t off)
{
	uint64_t bytes = page_up(len), align = CR_PAGE_BYTES;
	long r;

	if (flags & MAP_FIXED) {
		/* Over memory of the program: as asked. Elsewhere it must not hit the lower half. */
		if ((cr_in_window(addr) && addr + bytes <= CR_WINDOW_END) || in_extra(addr, addr + bytes))
			return cr_sys6(SYS_mmap, addr, len, prot, flags, fd, off);
		if (cr_in_window(addr) && addr + bytes > addr)
			return map_over_end(addr, bytes, prot, flags, fd, off);
		r = map_extra(addr, len, prot, (flags & ~(uint64_t)MAP_FIXED) | MAP_FIXED_NOREPLACE, fd, off);
		return r == -EEXIST ? -ENOMEM : r;
	}
	if (flags & (MAP_FIXED_NOREPLACE | MAP_32BIT))
		return map_extra(addr, len, prot, flags, fd, off);
	if (!len || bytes < len)
		return cr_sys6(SYS_mmap, 0, len, prot, flags, fd, off);
	/* A hint outside of the window is not followed: the place may be taken where the program is restarted. */
	if (cr_in_window(addr) && cr_in_window(addr + bytes)) {
		r = cr_sys6(SYS_mmap, addr & ~(CR_PAGE_BYTES - 1), len, prot, flags | MAP_FIXED_NOREPLACE, fd, off);
		if (r >= 0)
			return r;
	}
	if (flags & MAP_HUGETLB) {
		uint64_t shift = (flags >> 26) & 63;

		align = shift ? 1UL << shift : HUGE_BYTES;
		bytes = (bytes + align - 1) & ~(align - 1);
	} else if (bytes % HUGE_BYTES == 0) {
		align = HUGE_BYTES; /* as the kernel: other sizes all aligned alike would compete for the same sets of the TLB */
	}
	for (int i = 0; i < TRIES; i++) {
		uint64_t at = range_take(bytes, align);

		if (!at)
			return -ENOMEM;
		r = cr_sys6(SYS_mmap, at, len, prot, flags | MAP_FIXED_NOREPLACE, fd, off);
		if (r != -EEXIST)
			return r;
	}
	return -ENOMEM;
}

long cr_emul_mremap(uint64_t old, uint64_t old_len, uint64_t new_len, uint64_t flags, uint64_t new_addr)
{
	uint64_t bytes = page_up(new_len);
	long r;

	if (flags & MREMAP_FIXED) {
		if (!cr_in_window(new_addr) && !in_extra(new_addr, new_addr + bytes))
			return -ENOMEM;
		return cr_sys6(SYS_mremap, old, old_len, new_len, flags, new_addr, 0);
	}
	/* Where it is, unless that leads out of the window. */
	if (!(flags & 4 /* MREMAP_DONTUNMAP */) && !(cr_in_window(old) && old + bytes > CR_WINDOW_END)) {
		r = cr_sys6(SYS_mremap, old, old_len, new_len, flags & ~(uint64_t)MREMAP_MAYMOVE, 0, 0);
		if (r != -ENOMEM || !(flags & MREMAP_MAYMOVE))
			return r;
	}
	for (int i = 0; i < TRIES; i++) {
		uint64_t at = range_take(bytes, bytes % HUGE_BYTES == 0 ? HUGE_BYTES : CR_PAGE_BYTES);

		if (!at)
			return -ENOMEM;
		/* Reserve first: MREMAP_FIXED replaces what is there. */
		r = cr_sys6(SYS_mmap, at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
		if (r == -EEXIST)
			continue;
		if (r < 0)
			return r;
		r = cr_sys6(SYS_mremap, old, old_len, new_len, flags | MREMAP_MAYMOVE | MREMAP_FIXED, at, 0);
		if (r < 0)
			cr_sys2(SYS_munmap, at, bytes);
		return r;
	}
	return -ENOMEM;
}

/* As the kernel's brk: returns the break, old when it cannot be moved. */
long cr_emul_brk(uint64_t addr)
{
	struct cr_private *p = CR_PRIVATE;
	uint64_t old_end = page_up(p->brk_current), new_end = page_up(addr);

	if (addr < CR_BRK_ADDR || addr > CR_BRK_END)
		return (long)p->brk_current;
	if (new_end > old_end &&
	    cr_sys6(SYS_mmap, old_end, new_end - old_end, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0) < 0)
		return (long)p->brk_current;
	if (new_end < old_end)
		cr_sys2(SYS_munmap, new_end, old_end - new_end);
	p->brk_current = addr;
	return (long)addr;
}

long cr_emul_shmat(uint64_t id, uint64_t addr, uint64_t flags)
{
	/* Attached where the kernel likes and then moved would need the size; a range of the window large enough for any segment is
	 * not needed when the segment is mapped by hint: ask shmctl for its size. */
	struct {
		uint64_t words[16];
	} ds;
	uint64_t at, bytes;
	long r;

	if (cr_in_window(addr))
		return cr_sys3(SYS_shmat, id, addr, flags);
	r = cr_sys3(SYS_shmctl, id, 2 /* IPC_STAT */, &ds);
	if (r < 0)
		return r;
	if (addr) {
		bytes = page_up(ds.words[6]);
		/* Outside of the window it must not replace what is the lower half's. */
		if (flags & SHM_REMAP_ && !in_extra(addr, addr + bytes))
			return -EINVAL;
		r = cr_sys3(SYS_shmat, id, addr, flags);
		if (r >= 0 && cr_extra_add((uint64_t)r, (uint64_t)r + bytes)) {
			cr_sys1(SYS_shmdt, r);
			return -ENOMEM;
		}
		return r;
	}
	for (int i = 0; i < TRIES; i++) {
		at = range_take(page_up(ds.words[6]), CR_PAGE_BYTES); /* struct shmid64_ds: shm_segsz after the 48-byte ipc_perm */
		if (!at)
			return -ENOMEM;
		r = cr_sys3(SYS_shmat, id, at, flags);
		if (r != -EINVAL)
			return r;
	}
	return r;
}

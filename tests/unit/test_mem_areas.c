/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The areas that the tests of memory build in one process and look at in another: anonymous, of files, shared, with flags. */
#include "tests/unit/test_mem_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

void build_anon(void)
{
	unsigned char *mem = map_anon(AT(1), 64 * PAGE);

	fill(mem, 3 * PAGE, 1);                /* pages 0-2 */
	fill(mem + 10 * PAGE, PAGE, 2);        /* page 10 */
	NEED(is_zero(mem + 20 * PAGE, PAGE));  /* read, never written */
	memset(mem + 30 * PAGE, 0, PAGE);      /* written with zeros */
	/* read-only, no access, execute only */
	mem = map_anon(AT(2), 8 * PAGE);
	fill(mem, 8 * PAGE, 3);
	NEED(mprotect(mem, 4 * PAGE, PROT_READ) == 0);
	NEED(mprotect(mem + 4 * PAGE, 4 * PAGE, PROT_NONE) == 0);
	mem = map_anon(AT(3), PAGE);
	fill(mem, PAGE, 4);
	NEED(mprotect(mem, PAGE, PROT_EXEC) == 0);
	/* a reservation far larger than memory, with a page in it */
	mem = map_at(AT(0x1000), 1ul << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	NEED(mprotect(mem + (1ul << 39), PAGE, PROT_READ | PROT_WRITE) == 0);
	fill(mem + (1ul << 39), PAGE, 5);
	NEED(mprotect(mem + (1ul << 39), PAGE, PROT_NONE) == 0);
	/* the first and the last page of the window */
	fill(map_anon((unsigned char *)CR_WINDOW_BASE, PAGE), PAGE, 6);
	fill(map_anon((unsigned char *)CR_WINDOW_END - PAGE, PAGE), PAGE, 7);
	/* outside of the window */
	fill(map_anon(EXTRA, 2 * PAGE), 2 * PAGE, 8);
}

void look_anon(void)
{
	unsigned char *mem = AT(1);

	NEED(is_filled(mem, 3 * PAGE, 1) && is_zero(mem + 3 * PAGE, 7 * PAGE));
	NEED(is_filled(mem + 10 * PAGE, PAGE, 2) && is_zero(mem + 11 * PAGE, 53 * PAGE));
	NEED(area_has(AT(1), "rw-p"));
	NEED(area_has(AT(2), "r--p") && area_has(AT(2) + 4 * PAGE, "---p") && area_has(AT(3), "--xp"));
	NEED(is_filled(AT(2), 4 * PAGE, 3));
	NEED(mprotect(AT(2) + 4 * PAGE, 4 * PAGE, PROT_READ) == 0 && is_filled(AT(2), 8 * PAGE, 3));
	NEED(mprotect(AT(3), PAGE, PROT_READ) == 0 && is_filled(AT(3), PAGE, 4));
	mem = AT(0x1000) + (1ul << 39);
	NEED(area_has(AT(0x1000), "---p") && area_has(AT(0x1000), " nr "));
	NEED(mprotect(mem, PAGE, PROT_READ) == 0 && is_filled(mem, PAGE, 5));
	NEED(is_filled((unsigned char *)CR_WINDOW_BASE, PAGE, 6));
	NEED(is_filled((unsigned char *)CR_WINDOW_END - PAGE, PAGE, 7));
	NEED(is_filled(EXTRA, 2 * PAGE, 8));
}

void build_files(void)
{
	unsigned char *mem;
	int fd;

	/* private: two pages written, one of them with zeros */
	fd = make_file(file_path, 6 * PAGE + 100, 11);
	mem = map_at(AT(10), 7 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill(mem + PAGE, PAGE, 12);
	memset(mem + 2 * PAGE, 0, PAGE);
	NEED(is_filled(mem, PAGE, 11));
	/* written, then made read-only, as a linker does; with an offset */
	mem = map_at(AT(11), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE);
	fill(mem, PAGE, 13);
	NEED(mprotect(mem, 2 * PAGE, PROT_READ | PROT_EXEC) == 0);
	close(fd);
	/* private mapping of a file that is gone; the area is longer than the file */
	fd = make_file(gone_path, 2 * PAGE + 10, 14);
	mem = map_at(AT(12), 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill(mem + PAGE, PAGE, 15);
	NEED(unlink(gone_path) == 0);
	close(fd);
	/* shared */
	fd = make_file(shared_path, 2 * PAGE, 16);
	mem = map_at(AT(13), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(mem, PAGE, 17);
	map_at(AT(14), PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	close(fd);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	NEED(fd >= 0);
	fill(map_at(AT(15), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), PAGE, 18);
	close(fd);
}

void look_files(void)
{
	unsigned char want[7 * PAGE];

	fill(want, 6 * PAGE + 100, 11);
	memset(want + 6 * PAGE + 100, 0, PAGE - 100);
	fill(want + PAGE, PAGE, 12);
	memset(want + 2 * PAGE, 0, PAGE);
	NEED(memcmp(AT(10), want, 7 * PAGE) == 0 && area_has(AT(10), "rw-p"));
	fill(want, 6 * PAGE, 11);
	NEED(is_filled(AT(11), PAGE, 13) && memcmp(AT(11) + PAGE, want + 3 * PAGE, PAGE) == 0 && area_has(AT(11), "r-xp"));
	fill(want, 2 * PAGE + 10, 14);
	memset(want + 2 * PAGE + 10, 0, PAGE);
	fill(want + PAGE, PAGE, 15);
	NEED(memcmp(AT(12), want, 3 * PAGE) == 0);
	NEED(is_filled(AT(13), PAGE, 17) && area_has(AT(13), "rw-s") && area_has(AT(14), "r--s"));
	*(volatile unsigned char *)(AT(13) + PAGE) = 0xee;
	NEED(*(volatile unsigned char *)AT(14) == 0xee);
	NEED(mprotect(AT(14), PAGE, PROT_READ | PROT_WRITE) == 0);
	NEED(is_filled(AT(15), PAGE, 18) && is_zero(AT(15) + PAGE, PAGE));
}

static void build_shared(void)
{
	unsigned char *mem = map_at(AT(20), 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	fill(mem + PAGE, PAGE, 21);
	fill(mem + 5 * PAGE, PAGE, 22);
	NEED(mprotect(mem + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	/* the same pages again, at another place */
	NEED(mremap(mem + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT(21)) == AT(21));
	NEED(is_filled(AT(21), PAGE, 21));
	fill(map_at(AT(22), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), PAGE, 23);
}

static void look_shared(void)
{
	NEED(is_zero(AT(20), PAGE) && is_filled(AT(20) + PAGE, PAGE, 21) && is_filled(AT(20) + 5 * PAGE, PAGE, 22));
	NEED(area_has(AT(20), "rw-s") && area_has(AT(20) + 4 * PAGE, "r--s"));
	/* Two addresses, one byte: the compiler must not know better. */
	*(volatile unsigned char *)(AT(21) + 1) = 0x77;
	NEED(*(volatile unsigned char *)(AT(20) + PAGE + 1) == 0x77);
	NEED(is_filled(AT(22), PAGE, 23));
}

static void build_flags(void)
{
	unsigned char *mem = map_anon(AT(30), 16 * PAGE);

	fill(mem, 16 * PAGE, 31);
	NEED(madvise(mem, 2 * PAGE, MADV_DONTDUMP) == 0);
	madvise(mem + 2 * PAGE, 2 * PAGE, MADV_HUGEPAGE);
	madvise(mem + 4 * PAGE, 2 * PAGE, MADV_NOHUGEPAGE);
	/* past a sanitizer, which makes mlock do nothing */
	NEED(syscall(SYS_mlock, mem + 6 * PAGE, 2 * PAGE) == 0);
	madvise(mem + 8 * PAGE, 2 * PAGE, MADV_SEQUENTIAL);
	prctl(0x53564d41, 0, mem + 10 * PAGE, 2 * PAGE, "a name");
	fill(map_at(AT(31), 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), 4 * PAGE, 32);
}

static void look_flags(void)
{
	NEED(is_filled(AT(30), 16 * PAGE, 31));
	NEED(area_has(AT(30), " dd ") && !area_has(AT(30) + 15 * PAGE, " dd "));
	NEED(area_has(AT(30) + 2 * PAGE, " hg ") || access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0);
	NEED(area_has(AT(30) + 4 * PAGE, " nh ") || access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0);
	NEED(area_has(AT(30) + 6 * PAGE, " lo ") && !area_has(AT(30), " lo "));
	NEED(area_has(AT(30) + 8 * PAGE, " sr "));
	NEED(area_has(AT(31), " gd ") && is_filled(AT(31), 4 * PAGE, 32));
}

void build_all(void)
{
	build_anon();
	build_files();
	build_shared();
	build_flags();
}

void look_all(void)
{
	look_anon();
	look_files();
	look_shared();
	look_flags();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory at addresses of the program's own choice: as low as allowed, in the first 2 GiB, just below what ompi-cr takes for itself, across the end of that,
 * at the end of all, and so much of where the kernel puts libraries that those of a restart get in the way time and again.
 */
#include <sys/mman.h>

#include "resource.h"

#define PAGE 4096ul
#define WINDOW_BASE 0x200000000000ul
#define WINDOW_END 0x400000000000ul
#define CHUNK (48ul << 30)
#define CHUNKS 10

static char *at[8 + CHUNKS];
static int n;

static void put(void *addr, size_t bytes, int flags)
{
	char *got = mmap(addr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	CHECK(got != MAP_FAILED && (!addr || got == addr));
	for (size_t i = 0; i < bytes; i += PAGE, n++) {
		at[n] = got + i;
		memset(at[n], 'a' + n, PAGE);
	}
}

static void setup(void)
{
	put((void *)0x10000, PAGE, MAP_FIXED_NOREPLACE);
	put(NULL, PAGE, MAP_32BIT);
	put((void *)(WINDOW_BASE - PAGE), PAGE, MAP_FIXED_NOREPLACE);
	put((void *)(WINDOW_END - PAGE), 2 * PAGE, MAP_FIXED);
	put((void *)0x7fffffffe000ul, PAGE, MAP_FIXED_NOREPLACE);
	for (unsigned long addr = 0x7f0000000000ul; addr + CHUNK < 0x7ff000000000ul && n < 6 + CHUNKS; addr += 2 * CHUNK) {
		char *got = mmap((void *)addr, CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if (got == MAP_FAILED)
			continue; /* something of ours is there */
		CHECK(got == (char *)addr && mprotect(got + CHUNK / 2, PAGE, PROT_READ | PROT_WRITE) == 0);
		at[n] = got + CHUNK / 2;
		memset(at[n], 'a' + n, PAGE);
		n++;
	}
}

static void verify(void)
{
	CHECK(n > 6);
	for (int i = 0; i < n; i++)
		for (size_t j = 0; j < PAGE; j++)
			CHECK(at[i][j] == 'a' + i);
}

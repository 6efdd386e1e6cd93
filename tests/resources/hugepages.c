/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Huge TLB pages (MAP_HUGETLB), private and shared. Without any in reserve: transparent ones, which are asked for in another way.
 */
#include <sys/mman.h>

#include "resource.h"

#define BYTES (4 << 20)

static volatile char *private_map, *shared_map;
static int have;

static char *map(int flags)
{
	void *got = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | (have ? MAP_HUGETLB : 0), -1, 0);

	CHECK(got != MAP_FAILED);
	return got;
}

static void setup(void)
{
	void *probe = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	have = probe != MAP_FAILED;
	if (have)
		CHECK(munmap(probe, 2 * BYTES) == 0);
	private_map = map(MAP_PRIVATE);
	shared_map = map(MAP_SHARED);
	private_map[0] = 'p';
	private_map[(2 << 20) - 1] = 'q';
	shared_map[3 << 20] = 's';
	if (!have)
		madvise((void *)(size_t)private_map, BYTES, MADV_HUGEPAGE);
}

/* Is the area at @addr of huge TLB pages? */
static int is_huge(const volatile char *addr)
{
	char line[512], begin[32];
	FILE *f = fopen("/proc/self/smaps", "r");
	int in = 0, huge = 0;

	snprintf(begin, sizeof(begin), "%lx-", (unsigned long)addr);
	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, begin, strlen(begin)) == 0)
			in = 1;
		else if (in && strncmp(line, "VmFlags:", 8) == 0) {
			huge = strstr(line, " ht") != NULL;
			break;
		}
	}
	CHECK(fclose(f) == 0);
	return huge;
}

static void verify(void)
{
	CHECK(private_map[0] == 'p' && private_map[(2 << 20) - 1] == 'q' && private_map[1] == 0 && private_map[3 << 20] == 0);
	CHECK(shared_map[3 << 20] == 's' && shared_map[0] == 0);
	CHECK(is_huge(private_map) == have && is_huge(shared_map) == have);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guard pages (MADV_GUARD_INSTALL, Linux 6.13): nobody may touch them, and what is beside them is kept. Where the kernel has none: an area without access.
 */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "resource.h"

#define PAGE 4096

static char *map;
static int have;

static void setup(void)
{
	CHECK((map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
	memset(map, 'g', 8 * PAGE);
	have = madvise(map, PAGE, 102) == 0 && madvise(map + 4 * PAGE, 2 * PAGE, 102) == 0;
	if (!have)
		CHECK(mprotect(map, PAGE, PROT_NONE) == 0 && mprotect(map + 4 * PAGE, 2 * PAGE, PROT_NONE) == 0);
}

static sigjmp_buf back;

static void fault(int sig)
{
	siglongjmp(back, sig);
}

static int touches(volatile const char *at)
{
	struct sigaction act = { .sa_handler = fault }, old;
	volatile int ok = 0;

	CHECK(sigaction(SIGSEGV, &act, &old) == 0);
	if (!sigsetjmp(back, 1)) {
		(void)*at;
		ok = 1;
	}
	CHECK(sigaction(SIGSEGV, &old, NULL) == 0);
	return ok;
}

static void verify(void)
{
	for (int i = 0; i < 8; i++) {
		CHECK(touches(map + i * PAGE) == !(i == 0 || i == 4 || i == 5));
		CHECK(i == 0 || i == 4 || i == 5 || (map[i * PAGE] == 'g' && map[i * PAGE + PAGE - 1] == 'g'));
	}
}

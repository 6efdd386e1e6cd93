/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State of the process: working directory, umask, limits, personality, priority, settings of prctl.
 */
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "resource.h"

static char cwd[4096];

static void setup(void)
{
	struct rlimit core = { 4096, 8192 }, stack;

	CHECK(mkdir("here", 0700) == 0 && chdir("here") == 0 && getcwd(cwd, sizeof(cwd)));
	umask(0137);
	CHECK(setrlimit(RLIMIT_CORE, &core) == 0 && getrlimit(RLIMIT_STACK, &stack) == 0);
	stack.rlim_cur = 6 << 20;
	CHECK(setrlimit(RLIMIT_STACK, &stack) == 0);
	CHECK(personality(ADDR_NO_RANDOMIZE) >= 0);
	CHECK(setpriority(PRIO_PROCESS, 0, 3) == 0);
	CHECK(prctl(PR_SET_NAME, "renamed") == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
}

static void verify(void)
{
	char now[4096], name[16];
	struct rlimit l;
	mode_t mask;
	int on = 0;

	CHECK(getcwd(now, sizeof(now)) && strcmp(now, cwd) == 0);
	mask = umask(0);
	umask(mask);
	CHECK(mask == 0137);
	CHECK(getrlimit(RLIMIT_CORE, &l) == 0 && l.rlim_cur == 4096 && l.rlim_max == 8192);
	CHECK(getrlimit(RLIMIT_STACK, &l) == 0 && l.rlim_cur == 6 << 20);
	CHECK(personality(0xffffffff) == ADDR_NO_RANDOMIZE);
	CHECK(getpriority(PRIO_PROCESS, 0) == 3);
	CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") == 0);
	CHECK(prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0) == 0 && on == 1);
}

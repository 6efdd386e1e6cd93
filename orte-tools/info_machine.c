/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/info_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cr_ioctl.h"
#include "libcr/arch/x86_64/fs.h"
#include "libcr/lower/engine.h"

#define NOFILE_LEAST 4096u /* 1024 for the lower half, and as many as programs usually expect, without squeezing */

/* PAGEMAP_SCAN of <linux/fs.h> since 6.7; older headers do not have it. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_PAGEMAP _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (1u << 3)

void info_ask_kernel(struct info_probe *p)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	p->good = sscanf(u.release, "%d.%d", &major, &minor) == 2 && (major > 5 || (major == 5 && minor >= 9)) && !strcmp(u.machine, "x86_64");
	snprintf(p->found, sizeof(p->found), "%s %s %s", u.sysname, u.release, u.machine);
	p->remedy = "Linux 5.9 or newer on x86-64 is needed";
}

/* Trying the instructions proves nothing: on a kernel that does not announce them they may run, and lose their effect at the next switch of threads. */
void info_ask_fsgsbase(struct info_probe *p)
{
	p->good = getauxval(AT_HWCAP2) & CR_HWCAP2_FSGSBASE;
	snprintf(p->found, sizeof(p->found), p->good ? "instructions rdfsbase and wrfsbase for programs" : "the kernel does not announce FSGSBASE");
	p->remedy = "every MPI call costs two system calls more; a processor (or virtual machine) with FSGSBASE, and no kernel parameter nofsgsbase, avoid them";
}

void info_ask_seccomp(struct info_probe *p)
{
	unsigned int action = SECCOMP_RET_TRAP;

	p->good = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
	snprintf(p->found, sizeof(p->found), "filters of system calls that send SIGSYS%s%s", p->good ? "" : ": ", p->good ? "" : strerror(errno));
	p->remedy = "a kernel with CONFIG_SECCOMP_FILTER is needed; in a container its profile must allow seccomp()";
}

void info_ask_pagemap(struct info_probe *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	p->good = fd >= 0;
	snprintf(p->found, sizeof(p->found), "/proc/self/pagemap, which tells touched memory from untouched%s%s", p->good ? "" : ": ", p->good ? "" : strerror(errno));
	p->remedy = "a kernel with CONFIG_PROC_PAGE_MONITOR and a mounted /proc are needed";
	if (fd >= 0)
		close(fd);
}

void info_ask_pagemap_scan(struct info_probe *p)
{
	uint64_t region[3], page = (uint64_t)(uintptr_t)&region & ~4095ull;
	struct scan_arg arg = { .size = sizeof(arg), .start = page, .end = page + 4096, .vec = (uintptr_t)region, .vec_len = 1,
				.category_anyof_mask = SCAN_PRESENT, .return_mask = SCAN_PRESENT };
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	p->good = fd >= 0 && ioctl(fd, SCAN_PAGEMAP, &arg) >= 0;
	snprintf(p->found, sizeof(p->found), "%s", p->good ? "the kernel looks for touched pages (PAGEMAP_SCAN)" : "PAGEMAP_SCAN: not in this kernel");
	p->remedy = "Linux 6.7 or newer has it; until then touched pages are looked for one by one, which makes freezing large programs slower";
	if (fd >= 0)
		close(fd);
}

void info_ask_module(struct info_probe *p)
{
	const char *want = getenv(CR_ENV_ENGINE);
	struct cr_err err = { "" };
	int rc = cr_engine_start(true, &err);

	p->good = rc == 0 && cr_engine_kmod.probe(&err) == 0;
	if (rc)
		snprintf(p->found, sizeof(p->found), "%.200s", err.text);
	else
		snprintf(p->found, sizeof(p->found), "memory is read by the engine %s (" CR_ENV_ENGINE "%s%s)%s%.160s", cr_engine->name, want ? "=" : " is not set", want ? want : "",
			 p->good ? "; " CR_IOC_DEVICE " answers" : "; ", p->good ? "" : err.text);
	p->remedy = "nothing is lost: the user-level engine saves the same resources. The administrator may load the module (docs/kmod.md), which reads memory without "
		    "looking for its pages first; users must be in the group crmod";
}

static void limit_text(rlim_t n, unsigned int shift, const char *unit, char *text, size_t bytes)
{
	if (n == RLIM_INFINITY)
		snprintf(text, bytes, "unlimited");
	else
		snprintf(text, bytes, "%llu%s", (unsigned long long)n >> shift, unit);
}

static struct rlimit limit_ask(struct info_probe *p, int resource, const char *what, unsigned int shift, const char *unit)
{
	struct rlimit rl = { RLIM_INFINITY, RLIM_INFINITY };
	char soft[32], hard[32];

	getrlimit(resource, &rl);
	limit_text(rl.rlim_cur, shift, unit, soft, sizeof(soft));
	limit_text(rl.rlim_max, shift, unit, hard, sizeof(hard));
	snprintf(p->found, sizeof(p->found), "%s: %s (hard limit %s)", what, soft, hard);
	return rl;
}

void info_ask_nofile(struct info_probe *p)
{
	p->good = limit_ask(p, RLIMIT_NOFILE, "open files", 0, "").rlim_max >= NOFILE_LEAST;
	p->remedy = "raise the hard limit to 4096 or more (/etc/security/limits.conf: nofile): ompi-cr keeps descriptors of its own above the program's";
}

void info_ask_memory_limit(struct info_probe *p)
{
	p->good = limit_ask(p, RLIMIT_AS, "address space", 20, " MiB").rlim_cur == RLIM_INFINITY;
	p->remedy = "ulimit -v unlimited: the program's memory lives in a window of its own beside the MPI library's, and a restart maps the whole of it";
}

void info_ask_locked_memory(struct info_probe *p)
{
	p->good = limit_ask(p, RLIMIT_MEMLOCK, "locked memory", 10, " KiB").rlim_cur >= 64 * 1024;
	p->remedy = "programs that lock memory may fail to lock it again at a restart (limits.conf: memlock); others lose nothing";
}

void info_ask_processes(struct info_probe *p)
{
	p->good = limit_ask(p, RLIMIT_NPROC, "processes and threads", 0, "").rlim_cur >= 1024;
	p->remedy = "raise it (limits.conf: nproc): each thread that calls MPI has a companion, and a checkpoint starts some for writing";
}

void info_ask_file_size(struct info_probe *p)
{
	p->good = limit_ask(p, RLIMIT_FSIZE, "file size", 20, " MiB").rlim_cur == RLIM_INFINITY;
	p->remedy = "ulimit -f unlimited: a context file is as large as the memory of its rank";
}

void info_ask_core(struct info_probe *p)
{
	p->good = limit_ask(p, RLIMIT_CORE, "core files", 10, " KiB").rlim_cur > 0;
	p->remedy = "no loss for checkpoints; `ulimit -c unlimited` keeps a core file when a rank crashes, for a report";
}

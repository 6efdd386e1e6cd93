/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who of a set of processes is traced (ptrace(2)), and who traces; what the user wants done about it. */
#include "libcr/lower/tree.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/mem_private.h"

/* A number that /proc/.../status has under @name; 0: none. */
static int status_number(const char *path, const char *name)
{
	FILE *f = cr_mem_proc_open(path);
	size_t len = strlen(name);
	char line[256];
	int number = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':') {
			number = atoi(line + len + 1);
			break;
		}
	if (f)
		fclose(f);
	return number;
}

/* The process that traces one of @pid's threads; 0: none does. The kernel names the thread that does. */
static int tracer_of(int pid)
{
	char path[64 + 256];
	struct dirent *e;
	int tracer = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = cr_file_opendir_high(path, cr_lower.fd_floor);
	while (tasks && !tracer && (e = readdir(tasks))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", pid, e->d_name);
		tracer = status_number(path, "TracerPid");
	}
	if (tasks)
		closedir(tasks);
	if (!tracer)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", tracer);
	pid = status_number(path, "Tgid");
	return pid ? pid : tracer;
}

/* A process that @pid traces; 0: none. */
static int traced_by(int pid)
{
	DIR *proc = cr_file_opendir_high("/proc", cr_lower.fd_floor);
	struct dirent *e;
	int traced = 0;

	while (proc && !traced && (e = readdir(proc))) {
		int other = atoi(e->d_name);

		if (other > 0 && tracer_of(other) == pid)
			traced = other;
	}
	if (proc)
		closedir(proc);
	return traced;
}

/* Descendants of those that are marked. Parents come before children. */
static void mark_below(struct cr_proc *procs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (unsigned int k = 0; k < i && !procs[i].left_out; k++)
			procs[i].left_out = procs[k].left_out && procs[k].pid == procs[i].ppid;
}

int cr_traced_mark(uint32_t flags, struct cr_proc *procs, unsigned int n, struct cr_err *err)
{
	for (unsigned int i = 0; i < n; i++) {
		struct cr_proc *p = &procs[i];
		int tracer = flags & (CR_BEGIN_TRACED_ERROR | CR_BEGIN_TRACED_SKIP) ? tracer_of(p->pid) : 0;
		int traced = flags & (CR_BEGIN_TRACER_ERROR | CR_BEGIN_TRACER_SKIP) ? traced_by(p->pid) : 0;

		if (tracer && flags & CR_BEGIN_TRACED_ERROR)
			return cr_err_set(err, CR_EPTRACED, "process %d is traced by process %d; end that, or let it be left out (--ptraced-skip)", p->pid, tracer);
		if (traced && flags & CR_BEGIN_TRACER_ERROR)
			return cr_err_set(err, CR_EPTRACER, "process %d traces process %d; let it end that, or be left out (--ptracer-skip)", p->pid, traced);
		p->left_out = tracer || traced;
	}
	if (flags & CR_BEGIN_TREE)
		mark_below(procs, n);
	for (unsigned int i = 0; i < n; i++)
		if (procs[i].left_out && procs[i].pid == getpid())
			return cr_err_set(err, CR_EOMITTED, "process %d is traced, or traces others, and is left out: nothing is saved", procs[i].pid);
	return 0;
}

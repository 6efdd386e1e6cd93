/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process has around it that one context file cannot hold: children, and threads that do not share the process's tables.
 */
#include "libcr/lower/process_set.h"

#include <dirent.h>
#include <errno.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/lower/files_set.h"
#include "libcr/lower/set.h"

/* /proc/PID/stat: "pid (name) state ppid ..."; the name may hold spaces and parentheses. */
static bool read_stat(pid_t pid, int floor, char *ret_name, size_t bytes, char *ret_state, pid_t *ret_parent)
{
	char path[64], line[512], *open, *close;
	int parent;
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = cr_file_fopen_high(path, floor);
	if (!f)
		return false;
	ok = fgets(line, sizeof(line), f) != NULL;
	fclose(f);
	if (!ok)
		return false;
	open = strchr(line, '(');
	close = strrchr(line, ')');
	if (!open || !close || sscanf(close + 1, " %c %d", ret_state, &parent) != 2)
		return false;
	*close = '\0';
	snprintf(ret_name, bytes, "%s", open + 1);
	*ret_parent = parent;
	return true;
}

/*
 * The writer of a dump ends with the agent that made it, and execve ends the agent: then nobody has waited for the writer. It was made without
 * an exit signal, which no child of the program's fork() is.
 */
static void refuse_child(pid_t pid, int floor, struct cr_process_refusals *refusals)
{
	char name[64] = "", state = '?';
	pid_t parent;

	if (cr_set_has(pid) || cr_set_left_out(pid))
		return;
	if (!read_stat(pid, floor, name, sizeof(name), &state, &parent))
		return; /* gone meanwhile */
	if (!strcmp(name, CR_AGENT_NAME)) {
		pid_t reaped = waitpid(pid, NULL, __WCLONE | WNOHANG);

		if (reaped == 0)
			cr_process_refuse(refusals, "process %d, which wrote a context file before an execve, is just ending: try again", (int)pid);
		if (reaped >= 0)
			return;
	}
	if (state == 'Z' && cr_set.active)
		return; /* the leader notes its status */
	if (state == 'Z')
		cr_process_refuse(refusals, "child process %d (%s) has ended and was not waited for; save it with its children (cr_checkpoint --tree)", (int)pid, name);
	else
		cr_process_refuse(refusals, "child process %d (%s) is running; save it with its children (cr_checkpoint --tree)", (int)pid, name);
}

/* The kernel's list of children per thread; absent without CONFIG_PROC_CHILDREN. */
static bool check_children_files(int own_child, int floor, struct cr_process_refusals *refusals)
{
	DIR *tasks = cr_file_opendir_high("/proc/self/task", floor);
	struct dirent *entry;
	bool there = false;
	char path[64];
	FILE *f;
	int pid;

	if (!tasks)
		return false;
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/children", entry->d_name);
		f = cr_file_fopen_high(path, floor);
		if (!f)
			continue;
		there = true;
		while (fscanf(f, "%d", &pid) == 1) {
			if (pid != own_child)
				refuse_child(pid, floor, refusals);
		}
		fclose(f);
	}
	closedir(tasks);
	return there;
}

static void check_all_processes(int own_child, int floor, struct cr_process_refusals *refusals)
{
	DIR *proc = cr_file_opendir_high("/proc", floor);
	struct dirent *entry;
	char name[64], state;
	pid_t pid, parent;

	if (!proc) {
		cr_process_refuse(refusals, "/proc: cannot be listed: %s; whether there are child processes is unknown", strerror(errno));
		return;
	}
	while ((entry = readdir(proc))) {
		pid = atoi(entry->d_name);
		if (pid > 0 && pid != own_child && read_stat(pid, floor, name, sizeof(name), &state, &parent) && parent == getpid())
			refuse_child(pid, floor, refusals);
	}
	closedir(proc);
}

void cr_process_check_children(int own_child, struct cr_process_refusals *refusals)
{
	int floor = cr_process_floor();

	if (cr_set.family || (cr_set.gathering && !cr_set.active))
		return; /* who belongs to it is not known yet */
	if (!check_children_files(own_child, floor, refusals))
		check_all_processes(own_child, floor, refusals);
}

/* A thread that is ending has given up its tables one after the other, its memory first; what has an address space of its own is no thread. */
static bool differs(long self, long tid, int table)
{
	return syscall(SYS_kcmp, self, tid, table, 0, 0) > 0 && syscall(SYS_kcmp, self, tid, KCMP_VM, 0, 0) == 0;
}

/* unshare(CLONE_FILES) or unshare(CLONE_FS) in one thread. Where kcmp is not allowed, unshare(2) of a thread is not either, mostly. */
void cr_process_check_threads(struct cr_process_refusals *refusals)
{
	DIR *tasks = cr_file_opendir_high("/proc/self/task", cr_process_floor());
	long self = syscall(SYS_gettid);
	struct dirent *entry;
	long tid;

	if (!tasks)
		return;
	while ((entry = readdir(tasks))) {
		tid = atol(entry->d_name);
		if (tid <= 0 || tid == self)
			continue;
		if (differs(self, tid, KCMP_FILES))
			cr_process_refuse(refusals, "thread %ld has a descriptor table of its own (unshare), which a checkpoint cannot save", tid);
		if (differs(self, tid, KCMP_FS))
			cr_process_refuse(refusals, "thread %ld has a working directory of its own (unshare), which a checkpoint cannot save", tid);
	}
	closedir(tasks);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The batch shell is kept from dying of the scheduler's warning while it waits for us: see batch.h. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "orte-tools/sched/batch.h"

/* Of the signals of the zero-terminated list: does the process handle or ignore each? */
static bool prepared(pid_t pid, const int *signals)
{
	unsigned long long ignored = 0, caught = 0;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return true; /* gone: nothing to guard */
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "SigIgn: %llx", &ignored);
		sscanf(line, "SigCgt: %llx", &caught);
	}
	fclose(f);
	for (; *signals; signals++)
		if (!((ignored | caught) >> (*signals - 1) & 1))
			return false;
	return true;
}

pid_t batch_shell_guard(pid_t pid, const int *signals)
{
	if (prepared(pid, signals))
		return 0;
	return ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 ? pid : -errno;
}

int batch_shell_poll(pid_t pid, const int *signals)
{
	int status;

	while (pid > 0 && waitpid(pid, &status, __WALL | WNOHANG) == pid) {
		int sig, event = status >> 16, kept = 0;

		if (!WIFSTOPPED(status))
			return 0;
		sig = WSTOPSIG(status);
		if (event == PTRACE_EVENT_STOP) {
			/* Job control, not a signal on its way: a stopped shell stays stopped. */
			ptrace(sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU ? PTRACE_LISTEN : PTRACE_CONT, pid, 0, 0);
			continue;
		}
		for (const int *s = signals; *s; s++)
			if (*s == sig)
				kept = sig;
		ptrace(PTRACE_CONT, pid, 0, (void *)(intptr_t)(kept ? 0 : sig));
		if (kept)
			return kept;
	}
	return 0;
}

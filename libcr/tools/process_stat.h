/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What /proc/PID/stat says of a process, for tools and daemons. (A protected process reads it above its descriptor floor: libcr/lower/tree_find.c.) */
#ifndef CR_TOOLS_PROCESS_STAT_H
#define CR_TOOLS_PROCESS_STAT_H

#include <stdbool.h>
#include <sys/types.h>

struct cr_process_stat {
	uid_t uid;
	char name[16]; /* of its program */
	char state;    /* as ps(1) says it: R S D Z T t X ... */
	pid_t parent, group, session;
	unsigned long long start; /* in clock ticks since the machine started; with the pid it names a process for ever */
};

/* false: there is no such process. Context: any thread. */
bool cr_process_stat(pid_t pid, struct cr_process_stat *ret);

/* It exists, and is more than an exit status that nobody has fetched. */
bool cr_process_runs(pid_t pid);

#endif

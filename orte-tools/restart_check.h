/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `ompi-restart --dry-run` asks besides the checksums: would the job start here? Nothing is started, nothing is changed. */
#ifndef RESTART_CHECK_H
#define RESTART_CHECK_H

#include <stdbool.h>

#include "snapc/snapshot.h"

/**
 * restart_check - everything that a restart would find out too late
 * @s: the sequence; its checksums have been checked
 * @launcher: mpirun, or ompi-cr-srun: found by PATH
 * @restorer: path of cr_restart
 * @elsewhere: ranks may start on other hosts: what those have is not asked
 * @quiet: no progress bars
 *
 * Each rank's context file goes through `cr_restart --check`: this processor, kernel and engine, the files that the program had open.
 * Prints what is wrong, with the rank.
 *
 * Return: 0; -ENOENT (launcher or restorer), -EBADMSG (a rank cannot be restarted here), other -errno.
 */
int restart_check(const struct snapc_snapshot *s, const char *launcher, const char *restorer, bool elsewhere, bool quiet);

/* Did all ranks run on one host? */
bool restart_one_host(const struct snapc_snapshot *s);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A bar while ranks are brought back. ompi-restart becomes mpirun, so a process beside it asks the new job's coordinator how many ranks run again. */
#ifndef RESTART_PROGRESS_H
#define RESTART_PROGRESS_H

#include "snapc/snapshot.h"

/* To be called just before exec: the caller's pid is the pid of the mpirun to come. Does nothing when there is no terminal. */
void restart_progress_start(const struct snapc_snapshot *s);

#endif

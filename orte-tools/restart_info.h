/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-restart --info, and whether a checkpointed job still runs. */
#ifndef RESTART_INFO_H
#define RESTART_INFO_H

#include <stdbool.h>

#include "snapc/meta.h"

/* Print every sequence (or the one that is asked for). Return: 0 or -errno, said on stderr. */
int restart_info(const struct snapc_meta *meta, int64_t seq, bool verbose, bool json);

/* Does the mpirun that was checkpointed live on this host? */
bool restart_job_runs(const struct snapc_job *job);

#endif

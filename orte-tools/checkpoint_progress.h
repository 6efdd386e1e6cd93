/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far the ranks of a job are with their context files. The coordinator is not asked. */
#ifndef ORTE_TOOLS_CHECKPOINT_PROGRESS_H
#define ORTE_TOOLS_CHECKPOINT_PROGRESS_H

#include <limits.h>

#include "libcr/tools/dump_progress.h"
#include "snapc/line.h"

struct checkpoint_progress {
	struct cr_dump_progress dump;
	char dir[PATH_MAX];
	uint32_t seq, np;
};

/* The phase dump has begun. Does nothing when there is no terminal, or the coordinator did not say what is needed. */
void checkpoint_progress_begin(struct checkpoint_progress *p, const struct snapc_words *words, bool quiet);
void checkpoint_progress_look(struct checkpoint_progress *p);
void checkpoint_progress_end(struct checkpoint_progress *p);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far the ranks are with writing, and then the kernel with bringing it to the storage, as seen from the files: for a person at a terminal. The
 * coordinator is not asked, so that a storage that hangs holds up nobody but this tool.
 */
#ifndef ORTE_TOOLS_CHECKPOINT_PROGRESS_H
#define ORTE_TOOLS_CHECKPOINT_PROGRESS_H

#include <limits.h>

#include "libcr/tools/progress.h"
#include "snapc/line.h"

struct checkpoint_progress {
	struct cr_progress bar;
	char dir[PATH_MAX];
	uint32_t seq, np;
	bool running;
	bool flushing;        /* no file grows any more */
	uint64_t bytes;       /* of the files, at the last look */
	uint64_t grown_ns;    /* when they grew last */
	uint64_t again_ns; /* CLOCK_MONOTONIC: not before */
};

/* The phase dump has begun. Does nothing when there is no terminal, or the coordinator did not say what is needed. */
void checkpoint_progress_begin(struct checkpoint_progress *p, const struct snapc_words *words, bool quiet);
void checkpoint_progress_look(struct checkpoint_progress *p);
void checkpoint_progress_end(struct checkpoint_progress *p);

#endif

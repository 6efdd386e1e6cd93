/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far the process, or each of several, is with its context file: for a person at a terminal. */
#ifndef CR_CHECKPOINT_WATCH_H
#define CR_CHECKPOINT_WATCH_H

#include "libcr/tools/checkpoint_agent.h"
#include "libcr/tools/dump_progress.h"

struct checkpoint_watch {
	struct cr_dump_progress dump;
	struct checkpoint_agent *agent; /* borrowed */
	const char *temporary;          /* what is written; borrowed */
	bool measured, merging;
};

/*
 * DUMP is about to be asked: from here on there is a bar while @agent makes us wait, which goes away with checkpoint_watch_end(). What is expected is
 * found out when the waiting has begun, so that nobody stands still for it. Without a terminal, or when @quiet, nothing is done.
 */
void checkpoint_watch_begin(struct checkpoint_watch *w, struct checkpoint_agent *agent, const char *temporary, bool quiet);
/* For a line of text: the bar is away until it is drawn again. */
void checkpoint_watch_hide(struct checkpoint_watch *w);
/* Takes zeroed storage. May be called twice. */
void checkpoint_watch_end(struct checkpoint_watch *w);

#endif

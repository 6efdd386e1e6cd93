/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A progress bar on the standard error of a tool: "dump  [#####     ]  51%  1.2 of 2.3 GiB  420 MiB/s  0:02 left".
 *
 * Invariant: nothing is written unless standard error is a terminal that can go back to the start of a line. NO_COLOR (no-color.org) leaves the colour out.
 * Safe to call from several threads.
 */
#ifndef CR_TOOLS_PROGRESS_H
#define CR_TOOLS_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct cr_progress {
	pthread_mutex_t lock;
	const char *what; /* borrowed */
	uint64_t total;
	uint64_t done;
	uint64_t begin_ns;
	uint64_t drawn_ns;
	uint64_t delay_ns;
	unsigned int columns;
	bool on, colour, drawn;
};

/* Would a bar be seen? */
bool cr_progress_wanted(void);

/**
 * cr_progress_begin - get ready; nothing is drawn yet
 * @what: one word for what is being done; borrowed until the end
 * @total_bytes: 0: not known; the bar then shows amount and rate alone
 * @quiet: the user wants no words
 */
void cr_progress_begin(struct cr_progress *p, const char *what, uint64_t total_bytes, bool quiet);
/* After the begin: what takes no longer shows nothing. */
void cr_progress_delay(struct cr_progress *p, uint64_t delay_ns);
/* Draws at once, then at most ten times a second. */
void cr_progress_set(struct cr_progress *p, uint64_t done_bytes);
void cr_progress_add(struct cr_progress *p, uint64_t more_bytes);
/* For a line of text: the bar is away until it is drawn again. */
void cr_progress_hide(struct cr_progress *p);
/* Takes the bar away, so that the next line of text begins on an empty one. May be called twice. */
void cr_progress_end(struct cr_progress *p);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far the writing of context files is, and then the kernel with bringing them to the storage, as seen from the files: for a person at a terminal. Who
 * writes is not asked, so that a storage that hangs holds up nobody but the tool that shows it.
 */
#ifndef CR_TOOLS_DUMP_PROGRESS_H
#define CR_TOOLS_DUMP_PROGRESS_H

#include <stddef.h>

#include "libcr/tools/progress.h"

struct cr_dump_progress {
	struct cr_progress bar;
	bool running;
	bool flushing;     /* no file grows any more */
	uint64_t bytes;    /* of the files, at the last look */
	uint64_t grown_ns; /* when they grew last */
	uint64_t again_ns; /* CLOCK_MONOTONIC: not before */
};

/* The writing begins; nothing is drawn yet. @what: one word for it; borrowed. @expected_bytes: about so much; 0: not known. Does nothing when there is no terminal. */
void cr_dump_progress_begin(struct cr_dump_progress *p, const char *what, uint64_t expected_bytes, bool quiet);

/**
 * cr_dump_progress_look - look at the files, unless that would take a large part of the time, and draw
 * @file: writes the name of file @i, 0 first, to @path; false: there are no more. A file that does not exist yet is no mistake.
 * @arg: for @file
 */
void cr_dump_progress_look(struct cr_dump_progress *p, bool (*file)(void *arg, uint32_t i, char *path, size_t bytes), void *arg);

/* Takes the bar away. May be called twice, and without a begin on zeroed storage. */
void cr_dump_progress_end(struct cr_dump_progress *p);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is a sequence whole? Every context file against the metadata and against its own checksums. */
#ifndef TOOL_VERIFY_H
#define TOOL_VERIFY_H

#include "snapc/snapshot.h"

#define TOOL_VERIFY_PAGES 1u /* page data too; without it structure, totals and all records but page data */
#define TOOL_VERIFY_QUIET 2u /* no progress bar */

/* One rank's result; @text is empty when the file is good. */
struct tool_verdict {
	int rank;
	char path[4096];
	struct cr_err err;
};

/**
 * tool_verify - check every context file of a sequence, several at a time
 * @s: a loaded sequence
 * @flags: TOOL_VERIFY_*
 * @ret_bad: array of the bad ones in order of rank; given, free()
 *
 * Return: number of bad files, or -ENOMEM.
 */
int tool_verify(const struct snapc_snapshot *s, unsigned int flags, struct tool_verdict **ret_bad);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two texts in an exported snapshot: what it holds (first member), and the checksums of the members before (last member).
 *
 *   ompi-cr export 1             <XXH3-64, 16 hex digits> <bytes> <name>
 *   reference NAME               ...
 *   sequence N                   end <XXH3-64 of the lines above>
 *   ranks N
 */
#ifndef SNAPSHOT_MANIFEST_H
#define SNAPSHOT_MANIFEST_H

#include <stdint.h>
#include <stdio.h>

#include "orte-tools/snapshot_transfer.h"

#define MANIFEST_NAME "ompi-cr-export"
#define MANIFEST_SUMS "ompi-cr-checksums"
#define MANIFEST_BYTES 1024

struct manifest_sums {
	FILE *stream; /* the text, growing */
	char *text;
	size_t bytes;
};

int manifest_sums_init(struct manifest_sums *m);
void manifest_sums_add(struct manifest_sums *m, const char *name, uint64_t bytes, uint64_t sum);
/* Adds the last line. Return: 0 or -ENOMEM; @m->text and @m->bytes are complete then. */
int manifest_sums_end(struct manifest_sums *m);
void manifest_sums_fini(struct manifest_sums *m);

/* Return: length. */
int manifest_write(const struct snapshot_transfer *t, char *ret_text, size_t bytes);
/* @text: NUL-terminated. Return: 0 or -EINVAL; then the archive is none of ours. */
int manifest_read(const char *text, struct snapshot_transfer *ret_t);
/* "REF/SEQ/opal_snapshot_R.ckpt/cr_context" */
int manifest_context_name(const struct snapshot_transfer *t, uint32_t rank, char *ret_name, size_t bytes);

#endif

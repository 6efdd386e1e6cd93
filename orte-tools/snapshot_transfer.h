/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-snapshot export and import: one sequence as one file, to be carried to a machine that does not see the snapshot directory.
 *
 * The file is a tar archive (POSIX pax; docs/metadata.md, "Export"). Its last member holds the checksums of all the others: an archive that is cut, damaged
 * or changed is not imported, and nothing is left of the attempt.
 */
#ifndef SNAPSHOT_TRANSFER_H
#define SNAPSHOT_TRANSFER_H

#include <limits.h>
#include <stdbool.h>

#include "snapc/meta.h"

struct snapshot_transfer {
	char ref[NAME_MAX + 1];
	uint32_t seq, np;
	uint64_t bytes; /* of the archive's members */
	char where[PATH_MAX];
	bool quiet; /* no progress bar */
};

/**
 * snapshot_export - write a sequence into an archive
 * @s: borrowed; its files are read once, and are not locked: when one is removed meanwhile the export fails
 * @file: replaced when the new one is complete; "-" is standard output
 *
 * Return: 0, or -errno with words; no file is left then.
 */
int snapshot_export(const struct snapc_snapshot *s, const char *file, struct snapshot_transfer *t, struct cr_err *err);

/**
 * snapshot_import - make a snapshot of an archive
 * @file: "-" is standard input; gzip, xz and zstd are undone
 * @dir: snapshot directory; the reference must not be there yet
 *
 * Return: 0: whole, on stable storage; -EEXIST; -EBADMSG: damaged, or no archive of ours; other -errno. Nothing is left on failure.
 */
int snapshot_import(const char *file, const char *dir, struct snapshot_transfer *t, struct cr_err *err);

#endif

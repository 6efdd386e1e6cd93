/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * global_snapshot_meta.h5: writing and reading.  docs/metadata.md is the specification.
 *
 * The HDF5 data begin at byte 512; the first 512 bytes (HDF5's "user block") hold the length of the file and the XXH3-64 of the rest.
 * A file that does not agree with its user block is never given to the HDF5 library.
 */
#ifndef SNAPC_META_H
#define SNAPC_META_H

#include "snapc/snapshot.h"

#define SNAPC_META_FORMAT 1u
#define SNAPC_META_BLOCK_BYTES 512u

struct snapc_meta;

/**
 * snapc_meta_open - open the metadata of a reference
 * @dir: reference directory
 * @ret_meta: result; given, snapc_meta_close()
 *
 * Return: 0; -ENOENT: no snapshot was ever committed here; -EBADMSG: damaged, with what is wrong; other -errno.
 */
int snapc_meta_open(const char *dir, struct snapc_meta **ret_meta, struct cr_err *err);
void snapc_meta_close(struct snapc_meta *meta);

/* The committed sequences in ascending order; borrowed from @meta. Return: how many. */
uint32_t snapc_meta_sequences(const struct snapc_meta *meta, const uint32_t **ret_seqs);
/* Lowest number that was never given to a sequence of this reference. */
uint32_t snapc_meta_next_seq(const struct snapc_meta *meta);
/* The job, without its sequences. Return: 0 or -errno; free with snapc_job_destroy(). */
int snapc_meta_job(const struct snapc_meta *meta, struct snapc_job **ret_job, struct cr_err *err);

/**
 * snapc_meta_load - read one sequence
 * @seq: its number, or -1 for the newest
 * @ret_s: result; given, snapc_snapshot_destroy()
 *
 * Return: 0; -ENOENT when there is no such sequence; -EBADMSG; other -errno.
 */
int snapc_meta_load(const struct snapc_meta *meta, int64_t seq, struct snapc_snapshot **ret_s, struct cr_err *err);
void snapc_snapshot_destroy(struct snapc_snapshot *s);

/**
 * snapc_meta_write - write the metadata of a reference anew, under a temporary name, and rename it into place
 * @dir: reference directory
 * @add: a sequence to add, or NULL; its job must be the file's job
 * @drop: numbers to leave out
 * @ndrop: how many
 * @sync: fsync the file before and the directory after the rename
 *
 * Return: 0 or -errno; the old file is untouched then.
 */
int snapc_meta_write(const char *dir, const struct snapc_snapshot *add, const uint32_t *drop, uint32_t ndrop, int sync, struct cr_err *err);

#endif

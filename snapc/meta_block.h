/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The user block of global_snapshot_meta.h5: 512 bytes of text before the HDF5 data, by which damage is seen before HDF5 sees the file.
 *
 *   "ompi-cr global snapshot metadata 1\n" "bytes <length of the file>\n" "xxh3-64 <16 hex digits over bytes 512 .. end>\n" zeros
 *
 * A reader makes the block that the file should have and compares all 512 bytes: any flipped bit, in the block or after it, is found.
 */
#ifndef SNAPC_META_BLOCK_H
#define SNAPC_META_BLOCK_H

#include <stddef.h>

#include "libcr/cr_err.h"

/* Fill the first SNAPC_META_BLOCK_BYTES of @image, whose HDF5 data are complete. @bytes: of the whole file. */
void snapc_meta_block_fill(unsigned char *image, size_t bytes);

/* Return: 0; -EBADMSG with the reason (@name is the file's, for the words). */
int snapc_meta_block_check(const unsigned char *image, size_t bytes, const char *name, struct cr_err *err);

#endif

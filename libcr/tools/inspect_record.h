/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What cr_inspect says about one record, for people or as members of a JSON object.
 */
#ifndef CR_INSPECT_RECORD_H
#define CR_INSPECT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/cr_vma.h"

/* Copies the fixed part of a VMA record; *ret_name_bytes without the final zero. False when the record is too short for it. */
bool inspect_get_vma(const struct cr_image_record *rec, struct cr_vma *ret, const char **ret_name, size_t *ret_name_bytes);

/* Prints the content of a record to standard output; JSON: ", \"key\": value" per member. @stored: bytes of pages in the file, for VMA records. */
void inspect_record(const struct cr_image_record *rec, uint64_t stored, bool json);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checksum of the context file: XXH3-64, seed 0, with the widest vectors that this CPU has.
 */
#ifndef CR_IMAGE_SUM_H
#define CR_IMAGE_SUM_H

#include <stddef.h>
#include <stdint.h>

#include <xxhash.h>
#ifdef __x86_64__
#include <xxh_x86dispatch.h>
#endif

static inline uint64_t cr_image_sum(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}

#endif

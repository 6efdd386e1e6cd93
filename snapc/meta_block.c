/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The checksummed head of global_snapshot_meta.h5. */
#include "snapc/meta_block.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "snapc/meta.h"

#define BLOCK_MAGIC "ompi-cr global snapshot metadata "

static void block_make(unsigned char *block, const unsigned char *data, size_t data_bytes)
{
	unsigned long long sum = XXH3_64bits(data, data_bytes);

	memset(block, 0, SNAPC_META_BLOCK_BYTES);
	snprintf((char *)block, SNAPC_META_BLOCK_BYTES, BLOCK_MAGIC "%u\nbytes %llu\nxxh3-64 %016llx\n", SNAPC_META_FORMAT,
		 (unsigned long long)(SNAPC_META_BLOCK_BYTES + data_bytes), sum);
}

void snapc_meta_block_fill(unsigned char *image, size_t bytes)
{
	block_make(image, image + SNAPC_META_BLOCK_BYTES, bytes - SNAPC_META_BLOCK_BYTES);
}

int snapc_meta_block_check(const unsigned char *image, size_t bytes, const char *name, struct cr_err *err)
{
	unsigned char want[SNAPC_META_BLOCK_BYTES];
	char head[SNAPC_META_BLOCK_BYTES + 1];
	unsigned long long said;
	unsigned int format;

	if (bytes <= SNAPC_META_BLOCK_BYTES)
		return cr_err_set(err, EBADMSG, "%s: only %zu bytes long: the file was cut short; restore it from a copy", name, bytes);
	if (memcmp(image, BLOCK_MAGIC, sizeof(BLOCK_MAGIC) - 1) != 0)
		return cr_err_set(err, EBADMSG, "%s: does not begin like snapshot metadata: damaged, or not written by ompi-cr", name);
	block_make(want, image + SNAPC_META_BLOCK_BYTES, bytes - SNAPC_META_BLOCK_BYTES);
	if (memcmp(image, want, sizeof(want)) == 0)
		return 0;

	memcpy(head, image, SNAPC_META_BLOCK_BYTES);
	head[SNAPC_META_BLOCK_BYTES] = '\0';
	if (sscanf(head, BLOCK_MAGIC "%u\nbytes %llu\n", &format, &said) != 2)
		return cr_err_set(err, EBADMSG, "%s: its first 512 bytes are damaged; restore it from a copy", name);
	if (format != SNAPC_META_FORMAT)
		return cr_err_set(err, EBADMSG, "%s: format %u, this program reads format %u; use the ompi-cr that wrote it", name, format,
				  SNAPC_META_FORMAT);
	if (said != bytes)
		return cr_err_set(err, EBADMSG, "%s: %zu bytes long, written with %llu: cut short or grown; restore it from a copy", name, bytes,
				  said);
	return cr_err_set(err, EBADMSG, "%s: its checksum does not match: damaged; restore it from a copy", name);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The context file as it lies on disk; docs/context-file-format.md is the specification.
 *
 * For the writer, the reader, their tests and the fuzz target. Everybody else uses cr_image.h.
 */
#ifndef CR_IMAGE_FORMAT_H
#define CR_IMAGE_FORMAT_H

#include <stdint.h>

#define CR_IMAGE_MAGIC "\x89\x43\x52\x43\x46\x0d\x0a\x1a"
#define CR_IMAGE_BYTE_ORDER 0x01020304u
#define CR_IMAGE_VERSION 1u
#define CR_IMAGE_PAGE_BYTES 4096u
#define CR_IMAGE_MACHINE 62u /* EM_X86_64 */
#define CR_IMAGE_ALIGN 16u
#define CR_IMAGE_FLAG_OPTIONAL 1u

/* What the writer does; a reader takes anything within the format. */
#define CR_IMAGE_RECORD_PAGE_BYTES (1u << 20)
#define CR_IMAGE_RECORD_RUNS 168u

#define CR_IMAGE_RUNS_MAX 65535u

struct cr_image_header {
	uint8_t magic[8];
	uint32_t byte_order;
	uint32_t version;
	uint32_t header_bytes;
	uint32_t head_bytes;
	uint32_t page_bytes;
	uint32_t machine;
	uint64_t window_base;
	uint64_t window_end;
	uint64_t reserved;
	uint64_t checksum;
};

struct cr_image_head {
	uint32_t type;
	uint32_t flags;
	uint64_t payload_bytes;
	uint64_t file_offset;
	uint32_t runs;
	uint32_t reserved;
	uint64_t payload_checksum;
	uint64_t head_checksum;
};

struct cr_image_run {
	uint64_t addr;
	uint64_t bytes;
	uint64_t checksum;
};

struct cr_image_end {
	uint64_t file_bytes;
	uint64_t records;
	uint64_t pages;
	uint64_t checksum;
};

struct cr_image_part {
	uint64_t file_bytes; /* of the file inside */
	uint64_t checksum;   /* of its END record */
	uint32_t number;     /* 0: what is shared; the others from 1 on, in order */
	uint32_t reserved;
};

_Static_assert(sizeof(struct cr_image_part) == 24, "part of the format");
_Static_assert(sizeof(struct cr_image_header) == 64, "part of the format");
_Static_assert(sizeof(struct cr_image_head) == 48, "part of the format");
_Static_assert(sizeof(struct cr_image_run) == 24, "part of the format");
_Static_assert(sizeof(struct cr_image_end) == 32, "part of the format");
_Static_assert(sizeof(struct cr_image_head) + CR_IMAGE_RECORD_RUNS * sizeof(struct cr_image_run) <= CR_IMAGE_PAGE_BYTES,
	       "head and table of a record fit into one page");

/* @bytes rounded up to a multiple of @to, a power of two. */
static inline uint64_t cr_image_round_up(uint64_t bytes, uint64_t to)
{
	return (bytes + to - 1) & ~(to - 1);
}

/* Where the pages of a PAGES record begin whose head lies at @head_offset. */
static inline uint64_t cr_image_pages_offset(uint64_t head_offset, uint32_t runs)
{
	return cr_image_round_up(head_offset + sizeof(struct cr_image_head) + (uint64_t)runs * sizeof(struct cr_image_run),
				 CR_IMAGE_PAGE_BYTES);
}

/* Where the file inside of a PART record begins whose head lies at @head_offset. */
static inline uint64_t cr_image_part_offset(uint64_t head_offset)
{
	return cr_image_round_up(head_offset + sizeof(struct cr_image_head) + sizeof(struct cr_image_part), CR_IMAGE_PAGE_BYTES);
}

#endif

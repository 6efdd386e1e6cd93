/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The context file: one process, written once, read many times.  docs/context-file-format.md is the specification.
 *
 * Typed, length-prefixed records, a checksum (XXH3-64) per record and per page run, page data aligned to 4096 bytes so that it
 * can be mapped, an end record with the totals.  A file without a valid end record is never restarted.
 */
#ifndef CR_IMAGE_H
#define CR_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "libcr/cr_err.h"

/* Record types; image/record_types.def states each once: number, name, struct of the payload, what a reader may do without it. */
enum cr_image_record_type {
#define CR_RECORD(number, name, text) CR_REC_##name = number,
#include "libcr/image/record_types.def"
#undef CR_RECORD
};

struct cr_image_writer;
struct cr_image;

struct cr_image_totals {
	uint64_t file_bytes;
	uint64_t records;
	uint64_t pages;      /* 4096-byte pages stored */
	uint64_t checksum;   /* XXH3-64 over all record headers, in order: stands for the whole file */
};

/* One record as the reader sees it. */
struct cr_image_record {
	uint32_t type;
	uint64_t bytes;       /* of @data */
	const void *data;     /* borrowed from the mapping of the file */
	uint64_t file_offset; /* of @data */
	uint64_t addr;        /* CR_REC_PAGES: virtual address of the first page */
	uint64_t cursor;      /* private to cr_image_next; 0 starts */
};

/* fd: open for writing, positioned at 0; borrowed.  Writes the header at once. */
int cr_image_writer_create(int fd, struct cr_image_writer **ret_w, struct cr_err *err);
int cr_image_put(struct cr_image_writer *w, uint32_t type, const void *data, size_t bytes, struct cr_err *err);
/* A run of whole pages: @addr virtual address, @mem where the bytes are readable now, @bytes a multiple of 4096.
 * Zero pages inside the run are left out by splitting it. */
int cr_image_put_pages(struct cr_image_writer *w, uint64_t addr, const void *mem, size_t bytes, struct cr_err *err);
/* Writes the end record. Does not fsync. */
int cr_image_finish(struct cr_image_writer *w, struct cr_image_totals *ret_totals, struct cr_err *err);
void cr_image_writer_destroy(struct cr_image_writer *w);

/* Maps the file read-only and checks header, structure, end record, totals and the checksum of every record but page data. */
int cr_image_open(int fd, const char *name, struct cr_image **ret_img, struct cr_err *err);
/* Checks the checksum of every page run. progress may be NULL. */
int cr_image_verify_pages(struct cr_image *img, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg,
			  struct cr_err *err);
/* Next record; rec->cursor = 0 to start. Returns 1 with a record, 0 at the end record, <0 never after a good open. */
int cr_image_next(const struct cr_image *img, struct cr_image_record *rec);
/* First record of a type: 0, or -ENOENT. */
int cr_image_find(const struct cr_image *img, uint32_t type, struct cr_image_record *rec);
void cr_image_totals(const struct cr_image *img, struct cr_image_totals *ret_totals);
void cr_image_close(struct cr_image *img);

#endif

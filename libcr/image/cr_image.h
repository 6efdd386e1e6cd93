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
	uint64_t pages;      /* 4096-byte pages stored, in parts too */
	uint64_t checksum;   /* XXH3-64 over the header and all record heads, in order: stands for the whole file */
};

/* One record as the reader sees it. A PAGES record is seen as one of these per run of pages. */
struct cr_image_record {
	uint32_t type;
	uint64_t bytes;       /* of @data */
	const void *data;     /* borrowed from the mapping of the file */
	uint64_t file_offset; /* of @data */
	uint64_t addr;        /* CR_REC_PAGES: virtual address of the first page */
	uint64_t checksum;    /* of @data, as the file states it */
	uint64_t cursor;      /* private to cr_image_next; 0 starts */
};

/**
 * cr_image_writer_create - begin a context file
 * @fd: open for writing, positioned at 0; borrowed until destroy
 * @ret_w: the writer; destroy with cr_image_writer_destroy()
 * @err: words of a failure, or NULL
 *
 * Writes the header at once.
 * Context: lower half or a tool. Only create and destroy allocate memory; the other calls may also be made in a child of a bare clone. With a limit on file sizes the caller blocks or ignores SIGXFSZ.
 * Return: 0, or the negative errno of the write. The caller knows the file's name and adds it.
 */
int cr_image_writer_create(int fd, struct cr_image_writer **ret_w, struct cr_err *err);

/**
 * cr_image_put - write one record other than PAGES and END
 * @type: enum cr_image_record_type
 * @data: the payload, in one piece; borrowed for the call
 * @bytes: its length; 0 is allowed
 *
 * Return: 0 or a negative errno. After a failure nothing more can be written: every later call fails with the same errno.
 */
int cr_image_put(struct cr_image_writer *w, uint32_t type, const void *data, size_t bytes, struct cr_err *err);

/**
 * cr_image_put_part - put a complete context file inside
 * @number: 0 for the first, then 1, 2, ...
 * @fd: the file, open for reading; borrowed for the call
 *
 * Copies within the kernel where the file systems can.
 * Return: 0 or a negative errno, like cr_image_put().
 */
int cr_image_put_part(struct cr_image_writer *w, uint32_t number, int fd, struct cr_err *err);

#define CR_PAGES_KEEP_ZERO 1u /* write zero pages too: they replace the content of a file */

/**
 * cr_image_put_pages - write a run of whole pages
 * @addr: virtual address of the first page, a multiple of 4096
 * @mem: where the bytes are readable now. Borrowed, unchanged, until the next cr_image_flush(), cr_image_put() or cr_image_finish(): runs are
 *	gathered and written without a copy.
 * @bytes: a multiple of 4096
 * @flags: CR_PAGES_KEEP_ZERO or 0. Without it zero pages inside the run are left out by splitting it.
 *
 * Return: 0 or a negative errno, like cr_image_put().
 */
int cr_image_put_pages(struct cr_image_writer *w, uint64_t addr, const void *mem, size_t bytes, uint32_t flags, struct cr_err *err);

/* Write what cr_image_put_pages() has gathered: its memory may be used again. 0 or a negative errno. */
int cr_image_flush(struct cr_image_writer *w, struct cr_err *err);

/**
 * cr_image_finish - write the end record
 * @ret_totals: the totals of the file, or NULL
 *
 * Does not fsync. Nothing can be put afterwards.
 * Return: 0 or a negative errno.
 */
int cr_image_finish(struct cr_image_writer *w, struct cr_image_totals *ret_totals, struct cr_err *err);

/* Fault injection: from here on every write meets @error (an errno). */
void cr_image_writer_fault(struct cr_image_writer *w, int error);

/* Takes NULL. A writer that was not finished leaves an incomplete file, which no reader accepts. */
void cr_image_writer_destroy(struct cr_image_writer *w);

/**
 * cr_image_open - map a context file and check all of it but the pages
 * @fd: open for reading; borrowed for the call. The image keeps a duplicate with a higher number than @fd, so a lower half passes one above its
 *	floor.
 * @name: for the messages; copied
 * @ret_img: the image; close with cr_image_close()
 *
 * Checks header, structure, padding, end record, totals and the checksum of every payload except page data.
 * Context: lower half or a tool. Nobody may shorten the file while it is open.
 * Return: 0; -EINVAL not a context file; -ENOTSUP another version, machine or a record type that this reader does not know; -EBADMSG damaged;
 * -ENODATA incomplete; another negative errno when the file cannot be read.
 */
int cr_image_open(int fd, const char *name, struct cr_image **ret_img, struct cr_err *err);

/**
 * cr_image_verify_pages - check the checksum of every run of pages
 * @progress: called now and then with the bytes done so far; may be NULL
 * @arg: for @progress
 *
 * Return: 0; -EBADMSG with the address and file offset of the damaged run; -EIO and others when the file cannot be read.
 */
int cr_image_verify_pages(struct cr_image *img, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg,
			  struct cr_err *err);

/**
 * cr_image_read_pages - read one run of pages into memory and check its checksum
 * @rec: a record of type PAGES from cr_image_next()
 * @mem: @rec->bytes, writable
 *
 * Context: any thread; several at once are fine.
 * Return: like cr_image_verify_pages().
 */
int cr_image_read_pages(const struct cr_image *img, const struct cr_image_record *rec, void *mem, struct cr_err *err);

/* Next record; rec->cursor = 0 to start. Returns 1 with a record, 0 at the end record. Cannot fail after a good open. */
int cr_image_next(const struct cr_image *img, struct cr_image_record *rec);
/* First record of a type: 0, or -ENOENT. cr_image_next() goes on after it. */
int cr_image_find(const struct cr_image *img, uint32_t type, struct cr_image_record *rec);
/* The files inside of this one: their number, and each as an image of its own, which ends with @img. Offsets in it count from its own beginning. */
uint32_t cr_image_parts(const struct cr_image *img);
struct cr_image *cr_image_part(const struct cr_image *img, uint32_t number);
/* Where it begins in the file. */
uint64_t cr_image_base(const struct cr_image *img);

void cr_image_totals(const struct cr_image *img, struct cr_image_totals *ret_totals);
/* The name given to cr_image_open(). Borrowed. */
const char *cr_image_name(const struct cr_image *img);
/* "VMA", "PAGES", ...; "unknown" for a number that is not in record_types.def. Static. */
const char *cr_image_type_name(uint32_t type);
/* Takes NULL. */
void cr_image_close(struct cr_image *img);

#endif

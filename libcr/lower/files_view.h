/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FILE and FILE_DATA records as a reader sees them.  Private to libcr/lower/files_*.c and the tools that print context files.
 */
#ifndef CR_FILES_VIEW_H
#define CR_FILES_VIEW_H

#include <stdbool.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/file_payload.h"

/* Borrowed from the image. */
struct cr_file_view {
	struct cr_file_payload head; /* copied: records need not be aligned */
	const struct cr_file_fd *fds; /* [head.n_fds] */
	const char *path;            /* absolute; NULL: none */
};

/**
 * cr_file_view_parse - check a FILE record and take it apart
 * @rec: the record, borrowed
 * @ret: the parts, borrowed from the image
 * @err: says what is wrong with the record
 *
 * Context: lower half or a tool.
 * Return: 0, or -EBADMSG.
 */
int cr_file_view_parse(const struct cr_image_record *rec, struct cr_file_view *ret, struct cr_err *err);

/* Is it the memfd or the file without a name that has this inode, which memory is mapped from? */
bool cr_file_is_object(const struct cr_file_payload *head, uint32_t dev_major, uint32_t dev_minor, uint64_t ino);

/* The same for FILE_DATA; *ret_content is borrowed. */
int cr_file_data_parse(const struct cr_image_record *rec, struct cr_file_data_payload *ret, const void **ret_content, struct cr_err *err);

/**
 * cr_file_data_next - the next FILE_DATA record with the attributes @attrs (PACKET aside) of the description whose FILE record @rec was
 * @rec: where to go on from; moved
 * @view: the description
 * @ret, @ret_content: the record's parts, borrowed from the image
 *
 * Return: 1, or 0: there is none before the next FILE record.
 */
int cr_file_data_next(const struct cr_image *img, struct cr_image_record *rec, const struct cr_file_view *view, uint32_t attrs,
		      struct cr_file_data_payload *ret, const void **ret_content);

/* Copies the content of that record, which must be @bytes long: 0 or -EBADMSG. @rec stays where it is. */
int cr_file_state_get(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, uint32_t attrs, void *ret,
		      size_t bytes, struct cr_err *err);

#endif

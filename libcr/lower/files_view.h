/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FILE and FILE_DATA records as a reader sees them.  Private to libcr/lower/files_*.c and the tools that print context files.
 */
#ifndef CR_FILES_VIEW_H
#define CR_FILES_VIEW_H

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

/* The same for FILE_DATA; *ret_content is borrowed. */
int cr_file_data_parse(const struct cr_image_record *rec, struct cr_file_data_payload *ret, const void **ret_content, struct cr_err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Put open files back under their old numbers.  Private to libcr/lower/files_*.c.
 */
#ifndef CR_FILES_PLACE_H
#define CR_FILES_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "libcr/lower/files_view.h"

/* The object whose descriptions are being opened: a pipe's two ends, or the new unlinked file. Numbers at or above the floor, -1: none. */
struct cr_file_object {
	bool open;
	uint32_t number;
	uint32_t kind;
	uint32_t mode;
	int read_end;
	int write_end; /* also the unlinked file, the memfd, the message queue */
	int seals;     /* of the memfd, set when everything is in it */
	bool read_used; /* the end itself became the program's; the next description of that direction is opened anew */
	bool write_used;
};

/* An end of a pair of sockets whose own record has not come yet. */
struct cr_file_kept {
	uint32_t object;
	int fd;
};

struct cr_file_restore {
	const struct cr_image *img;
	int floor;
	int stream[3];  /* the new standard streams, moved up; -1: closed */
	int low[3];     /* what goes to 0, 1, 2 at the end; -1: nothing */
	int low_flags[3];
	struct cr_file_object object;
	struct cr_file_kept *kept;
	unsigned int n_kept;
	unsigned char *taken; /* [floor] */
};

/* Makes the pipe, the unlinked file, or holds the FIFO open; closes what was open for another object. */
int cr_file_object_open(struct cr_file_object *obj, const struct cr_file_view *view, int floor, struct cr_err *err);
/* Writes one FILE_DATA record into it. */
int cr_file_object_fill(struct cr_file_object *obj, const struct cr_file_data_payload *data, const void *content, struct cr_err *err);
/* A description of the object with the flags of @view: a number at or above @floor, given; or a negative errno. */
int cr_file_object_describe(struct cr_file_object *obj, const struct cr_file_view *view, int floor, struct cr_err *err);
void cr_file_object_close(struct cr_file_object *obj);

/* Directory for an unlinked file that was called @path: its own, else $TMPDIR, else /tmp; the first that can be written. */
int cr_file_unlinked_dir(const char *path, char *ret_dir, size_t bytes);

#endif

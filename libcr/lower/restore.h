/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A saved process becomes this one. */
#ifndef CR_RESTORE_H
#define CR_RESTORE_H

#include "libcr/lower/lower.h"

/* The descriptor floor that the saved process needs (> 0), or -errno: the lower half must know it before it opens anything. */
int cr_restore_floor(const char *path, struct cr_err *err);

/**
 * cr_restore_check - could this context file be restarted here?
 * @path: the file
 * @ret_img: opened and fully verified image; close with cr_image_close()
 *
 * Changes nothing. Checks structure, every checksum, processor, address ranges, files.
 */
int cr_restore_check(const char *path, struct cr_image **ret_img, struct cr_err *err);

/* The same of one part of a file that holds several processes; pages are not looked at. */
int cr_restore_check_process(struct cr_image *img, struct cr_err *err);

/**
 * cr_restore_run - become the saved process
 * @img: from cr_restore_check()
 *
 * Context: main thread of a fresh process, nothing mapped in the window.
 * Return: only on failure; the process is then to exit.
 */
int cr_restore_run(struct cr_image *img, struct cr_err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps on the disk that commit is made of. Every step that changes what a crash would leave calls snapc_disk_step() afterwards, so that
 * a test can stop the process at each boundary.
 */
#ifndef SNAPC_SNAPSHOT_DISK_H
#define SNAPC_SNAPSHOT_DISK_H

#include <stddef.h>

#include "libcr/cr_err.h"

/* Tests only: @hook is called with the name of every step just taken. NULL: none. */
void snapc_disk_set_hook(void (*hook)(const char *step));
void snapc_disk_step(const char *step);

/* Fault injection: ENOSPC: nothing new can be made or written; EIO: nor made or brought to the disk; 0: as it is. */
void snapc_disk_fault(int error);
/* mkdir(2) with mode 0700. */
int snapc_disk_mkdir(const char *path);

/* fsync a regular file or a directory by path; @nosync: do nothing. */
int snapc_disk_sync(const char *path, int directory, int nosync, struct cr_err *err);
/* Write a whole file of mode 0600 under @path (replaced when it exists), fsync'ed unless @nosync. Removed again on failure. */
int snapc_disk_write(const char *path, const void *data, size_t bytes, int nosync, struct cr_err *err);
int snapc_disk_rename(const char *from, const char *to, struct cr_err *err);
/* Remove a file or a tree. Never follows a symbolic link. 0 also when there is nothing. */
int snapc_disk_remove_tree(const char *path, struct cr_err *err);
/* Take the lock of a reference directory; @wait 0: -EAGAIN when somebody has it. Return: descriptor, close() to give it back; or -errno. */
int snapc_disk_lock(const char *dir, int wait, struct cr_err *err);
/* snprintf of "<a>/<b>" that refuses what does not fit PATH_MAX. */
int snapc_disk_join(char *ret_path, const char *a, const char *b, struct cr_err *err);

#endif

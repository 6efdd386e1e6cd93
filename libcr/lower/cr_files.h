/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files of the program, and the process state that belongs to no thread.
 *
 * The program owns the descriptors below the floor; the lower half owns the rest and is never saved.
 */
#ifndef CR_FILES_H
#define CR_FILES_H

#include <stdint.h>

#include "libcr/image/cr_image.h"
#include "libcr/lower/cr_mem.h" /* cr_nocr_fn */

/* What stdin, stdout and stderr were when the process was launched or restarted: descriptors of the program that still refer to the same
 * object are connected to the new standard streams by a restart. */
struct cr_stdio {
	struct {
		int present;
		uint64_t dev, ino, rdev;
		uint32_t mode; /* st_mode */
		int flags;     /* F_GETFL */
	} fd[3];
};

void cr_stdio_record(struct cr_stdio *ret);

/* Reasons why descriptors below @floor cannot be saved; each names the descriptor and what it is. Returns their number. */
int cr_files_check(int floor, const struct cr_stdio *stdio, cr_nocr_fn report, void *arg);
/* FILE and FILE_DATA records. Reads pipe contents without consuming them. Every thread of the program is stopped, and in a job every
 * rank: the recorded sizes of files that several ranks write must agree. Refuses (-ENOTSUP) what cr_files_check would report. */
int cr_files_save(int floor, const struct cr_stdio *stdio, struct cr_image_writer *w, struct cr_err *err);
/* After that: calls @each for every memfd and file without a name that is under way in a UNIX socket. */
void cr_files_each_passed(void (*each)(void *arg, uint64_t dev, uint64_t ino, uint64_t bytes), void *arg);
/* Nothing changed yet: files there, readable or writable as they were? */
int cr_files_restore_check(const struct cr_image *img, struct cr_err *err);
/* The memfd or unlinked file of the image with this inode number, for memory that is mapped from it: empty, of its full size, for reading and writing.
 * Borrowed: cr_files_restore() fills it. Or a negative errno. */
int cr_files_object_fd(const struct cr_image *img, int floor, uint32_t dev_major, uint32_t dev_minor, uint64_t ino, struct cr_err *err);
/* Open everything under its old number. This process's own 0, 1, 2 are the new standard streams; other descriptors of the lower half are >= floor. */
int cr_files_restore(const struct cr_image *img, int floor, struct cr_err *err);

/*
 * What several processes share. Saved from descriptors of this one, which are copies of theirs (files_set.h, a set that is shared); restored into
 * @ret_fds[n], descriptors of the lower half, by their numbers. This process's own 0, 1, 2 stay; all others below the floor are closed.
 */
struct cr_file_set;
int cr_files_save_shared(const struct cr_file_set *set, struct cr_image_writer *w, struct cr_err *err);
int cr_files_restore_shared(const struct cr_image *img, int floor, unsigned int n, int *ret_fds, struct cr_err *err);

/* Thread ids in timers are stored as the program sees them. NULL, or a NULL member, stands for the identity. Both return <= 0 for an unknown id. */
struct cr_tid_map {
	int (*to_program)(int real_tid);
	int (*to_real)(int program_tid);
};

/* PROCESS (the part that is not memory layout): cwd, umask, rlimits, ITIMER_*, dumpable, no_new_privs, and TIMER records. */

/* At launch and restart: which directory is the root. */
void cr_process_root_record(void);
/* Name of the agent thread, and of the process that it makes to write a context file. */
#define CR_AGENT_NAME "cr-agent"

/* @own_child: a child process of the lower half (a forked dump writer), 0 for none; every other child is a reason. */
int cr_process_check(int own_child, cr_nocr_fn report, void *arg);
/* Every thread of the program is stopped and the lower half has no child. Refuses (-ENOTSUP) what cr_process_check would report. */
int cr_process_save(struct cr_image_writer *w, const struct cr_tid_map *tids, struct cr_err *err);
int cr_process_restore_check(const struct cr_image *img, struct cr_err *err);
/* All but timers and dumpable. */
int cr_process_restore(const struct cr_image *img, struct cr_err *err);
/* Interval timers, POSIX timers, dumpable: last thing before the threads go on; they exist already, for timers that signal one thread. */
int cr_process_restore_timers(const struct cr_image *img, const struct cr_tid_map *tids, struct cr_err *err);

#endif

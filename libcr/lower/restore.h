/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A saved process becomes this one. */
#ifndef CR_RESTORE_H
#define CR_RESTORE_H

#include "libcr/lower/lower.h"

/* What a restart must know of a file before it opens anything else. */
struct cr_restore_needs {
	int fd_floor;
	int program_pid; /* the process's id, as the program knows it; of a tree: its root's */
	int program_pgid, program_sid; /* likewise; 0: made outside of its PID namespace, -1: the file does not say */
	bool tree;       /* several processes */
};

/* 0 or a negative errno. */
int cr_restore_needs(const char *path, struct cr_restore_needs *ret, struct cr_err *err);

/* Process group and session. */
enum cr_restore_ids {
	CR_IDS_AUTO,    /* one process: the restarting command's; several: their own, the root only where the command's will not do */
	CR_IDS_RESTORE, /* those that they had, or the restart fails */
	CR_IDS_LEAVE,   /* the command's */
};

/* What is done at the very end, when nothing can fail any more, before the program's threads run. */
struct cr_restore_how {
	int signo;    /* sent to the process; 0: none */
	int ready_fd; /* @ready is written to it, and it is closed; -1: none */
	unsigned char ready;
	int other_fd;  /* closed likewise; -1: none */
	bool keep_ids; /* of a tree: a process that cannot have its id fails the restart */
	enum cr_restore_ids pgid, sid; /* of a tree */
};

/**
 * cr_restore_check - could this context file be restarted here?
 * @path: the file
 * @progress: called now and then with the bytes of pages checked so far; may be NULL
 * @arg: for @progress
 * @ret_img: opened and fully verified image; close with cr_image_close()
 *
 * Changes nothing. Checks structure, every checksum, processor, address ranges, files.
 */
int cr_restore_check(const char *path, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg, struct cr_image **ret_img,
		     struct cr_err *err);

/* Something that a check has found: one word for what of the process it is about, the process's id as its program knows it (0: no one process), and why. */
typedef void cr_restore_found_fn(void *arg, const char *what, int pid, const struct cr_err *why);

/**
 * cr_restore_check_all - what speaks against a restart of this context file here?
 * @path: the file
 * @found: called for each thing that is missing or wrong: of each process the first of its kind
 * @progress: as for cr_restore_check()
 * @arg: for both
 *
 * Changes nothing.
 * Return: 0; the first negative errno, with its words; -EADDRINUSE when that is one: it may be gone in a new process.
 */
int cr_restore_check_all(const char *path, cr_restore_found_fn *found, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg,
			 struct cr_err *err);

/* The same of one part of a file that holds several processes; pages are not looked at. */
int cr_restore_check_process(struct cr_image *img, struct cr_err *err);

/**
 * cr_restore_run - become the saved process
 * @img: from cr_restore_check()
 * @how: what is done before it runs on
 *
 * Context: main thread of a fresh process, nothing mapped in the window.
 * Return: only on failure; the process is then to exit.
 */
int cr_restore_run(struct cr_image *img, const struct cr_restore_how *how, struct cr_err *err);

#endif

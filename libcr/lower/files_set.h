/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's open file descriptions at one moment.  Private to libcr/lower/files_*.c.
 *
 * Every descriptor of the lower half that is opened here lies at or above the floor before the program can see it in its own range
 * for longer than one system call.
 */
#ifndef CR_FILES_SET_H
#define CR_FILES_SET_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "libcr/image/file_payload.h"
#include "libcr/lower/cr_files.h"

#define CR_FILE_MQUEUE_MAGIC 0x19800202 /* statfs of a POSIX message queue */

/* One open file description. */
struct cr_open_file {
	struct cr_file_fd *fds;
	unsigned int n_fds;
	struct stat st;
	int flags; /* F_GETFL */
	int64_t pos;
	struct cr_file_lock *locks;
	unsigned int n_locks;
	bool lock_waits; /* a lease that is being taken away, or a lock that this version does not know */
	char *link;      /* what /proc says it is */
	uint32_t object; /* same number: same pipe or same file */
	/* set by cr_open_file_classify */
	uint32_t kind; /* 0: refused */
	uint32_t attrs;
	char *path; /* NULL: none */
	struct cr_file_socket *socket; /* SOCKET; set by its check */
	uint32_t number;  /* SHARED, and in a set of what processes share: which description */
	bool apart;       /* in such a set: one process's alone, which saves it */
	/* files_passed.c */
	unsigned int n_under_way; /* UNIX socket: so many descriptors are under way in it */
	struct cr_file_queue *queue; /* what waits in such a one; NULL: not looked at */
	bool passed;              /* no descriptor refers to it: @fds[0] is a copy from a queue */
	int carrier_fd;           /* PASSED: a descriptor of the socket, or of the one in which that is under way itself */
	int passed_fd;            /* PASSED: the number that the context file gives it */
};

struct cr_file_set {
	struct cr_open_file *files;
	unsigned int n;
	unsigned int capacity;
	int floor;
	bool stopped; /* no thread of the program runs */
	bool shared;  /* descriptors of several processes, all of them above the program's own: what they share is to be saved */
	bool under_way; /* descriptors are under way and were not looked at: who holds an end of what is not known */
	const char *table; /* directory of proc of the thread with the program's descriptors */
};

struct cr_file_refusals {
	cr_nocr_fn report;
	void *arg;
	int count;
	/* In a shared set: what descriptor @fd is in words that somebody knows, "descriptor 3 of process 812 (sh)". NULL: "descriptor @fd" */
	void (*name)(void *name_arg, int fd, char *ret_text, size_t bytes);
	void *name_arg;
};

/* The set of what several processes hold: @fds, which are descriptors of this one now. @stopped: none of them runs. */
int cr_file_set_create_shared(const int *fds, unsigned int n, int floor, bool stopped, struct cr_file_set **ret, struct cr_err *err);
/* Marks what is one process's alone; @owner[fd] is the process that fd came from. Numbers the others. Returns how many those are. */
int cr_file_set_share(struct cr_file_set *set, const struct cr_stdio *stdio, const uint32_t *owner, struct cr_file_refusals *refusals);

/* Takes stock of the descriptors below @floor. */
int cr_file_set_create(int floor, bool stopped, struct cr_file_set **ret, struct cr_err *err);
/* The same on a thread with a copy of the descriptor table; @table is the directory in proc of one that has the table itself, which owns the record locks. */
int cr_file_set_create_in(const char *table, int floor, struct cr_file_set **ret, struct cr_err *err);
/* A copy of a descriptor that is under way in the socket of @carrier: @fd is given, at or above the floor. Returns the index of its description. */
int cr_file_set_add_passed(struct cr_file_set *set, int fd, unsigned int carrier);
void cr_file_set_destroy(struct cr_file_set *set);

/* Do two descriptors share one open file description? @stopped allows a test that changes O_NONBLOCK for a moment where kcmp is not allowed. */
bool cr_file_same_description(int fd_a, int fd_b, bool stopped);

/* Decides the kind, the path and the streams of every description, or reports why one cannot be saved. */
void cr_file_set_classify(struct cr_file_set *set, const struct cr_stdio *stdio, struct cr_file_refusals *refusals);

/* Reports one reason about @file: "descriptor N ..." followed by the formatted text. */
__attribute__((format(printf, 3, 4))) void cr_file_refuse(struct cr_file_refusals *refusals, const struct cr_open_file *file, const char *fmt, ...);

/* Does the reason end with "try again": does it pass by itself? EAGAIN then, else ENOTSUP. */
int cr_file_refusal_code(const char *reason);

/* Words for an object that is not saved: "an eventfd", "a TCP socket connected to 10.0.0.1:80". */
void cr_file_describe(const struct cr_open_file *file, char *ret_text, size_t bytes);

/* The text behind "lock:" in fdinfo; 0 or -ENOMEM. */
int cr_file_lock_parse(const char *text, struct cr_open_file *file);
bool cr_file_has_posix_lock(const struct cr_open_file *file);

/* Is the pipe behind @file held by this process alone? NULL: yes; else the reason, static text. */
const char *cr_file_pipe_outside(const struct cr_file_set *set, const struct cr_open_file *file);

/* FILE_DATA records: of a pipe, without consuming it; of a file without a name. */
int cr_file_pipe_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_unlinked_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);

/* open(2) to a descriptor at or above @floor, close-on-exec; negative errno. */
int cr_file_open_high(const char *path, int flags, mode_t mode, int floor);
/* Another descriptor for @fd at or above @floor, close-on-exec; negative errno. */
int cr_file_dup_high(int fd, int floor);
/* Moves @fd, which is given away, to a number at or above @floor; negative errno. */
int cr_file_move_high(int fd, int floor);

/* fopen(3) for reading and opendir(3) on such a descriptor; NULL with errno. */
FILE *cr_file_fopen_high(const char *path, int floor);
DIR *cr_file_opendir_high(const char *path, int floor);

/* The length of what proc says, without its mark for a name that is gone. */
size_t cr_file_name_bytes(const char *link);
/* Another name of the file @st, which was opened as @link, in the same directory: malloc'ed, or NULL. */
char *cr_file_other_name(const char *link, const struct stat *st, int floor);

static inline bool cr_file_reads(int flags)
{
	return (flags & 3) == 0 || (flags & 3) == 2;
}

static inline bool cr_file_writes(int flags)
{
	return (flags & 3) == 1 || (flags & 3) == 2;
}

#endif

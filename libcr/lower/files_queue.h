/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in a UNIX socket, message by message.  Private to libcr/lower/files_*.c.
 *
 * The descriptors that are under way are looked at on a thread with a descriptor table of its own: closing a copy of a file in the program's table would
 * give up the record locks that the program has on that file.
 */
#ifndef CR_FILES_QUEUE_H
#define CR_FILES_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "libcr/lower/files_set.h"

/* One message; of a stream the bytes that came without descriptors, or those that came with the same ones. */
struct cr_queue_piece {
	struct cr_file_message from; /* address_bytes 0: nobody */
	struct ucred who;
	bool has_who; /* the receiver wants to know, and the kernel knows */
	const char *content; /* borrowed */
	size_t bytes;
	int fds[CR_FILE_MAX_RIGHTS]; /* at or above the floor, given */
	unsigned int n_fds;
};

/* What was found in one socket, its descriptors by the indices of their descriptions. */
struct cr_file_queue {
	struct cr_queue_kept {
		struct cr_file_message from;
		struct ucred who;
		bool has_who;
		char *content;
		size_t bytes;
		unsigned int *files;
		unsigned int n_files;
	} *kept;
	unsigned int n;
};

/**
 * cr_file_queue_walk - everything that waits in a UNIX socket, in order
 * @fd: the socket; nobody uses it meanwhile
 * @rights: take copies of the descriptors that are under way; false: they are an error
 * @bytes: how long a message may be
 * @each: is called with every piece; a negative errno ends the walk
 *
 * Nothing is taken out of the queue.
 * Return: 0 or a negative errno.
 */
int cr_file_queue_walk(int fd, bool rights, size_t bytes, int floor, int (*each)(void *arg, const struct cr_queue_piece *piece, struct cr_err *err), void *arg,
		       struct cr_err *err);

/* Takes NULL. */
void cr_file_queue_destroy(struct cr_file_queue *queue);

/* files_passed.c */
/* Are descriptors under way in a socket of the set that this process saves itself? */
bool cr_file_passed_any(const struct cr_file_set *set);
/* Adds what is under way in sockets of the set, also in those that are themselves. On a thread with a descriptor table of its own. */
int cr_file_passed_take(struct cr_file_set *set, struct cr_err *err);
/* Numbers for those that no descriptor refers to: free ones. */
int cr_file_passed_number(struct cr_file_set *set, struct cr_err *err);
/* The number by which a FILE record knows description @index. */
int cr_file_passed_known(const struct cr_file_set *set, unsigned int index);
/* Calls @join for every socket and each description that is under way in it. */
void cr_file_passed_relate(const struct cr_file_set *set, void (*join)(void *arg, unsigned int a, unsigned int b), void *arg);

#endif

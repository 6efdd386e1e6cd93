/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is done with an open file description of each kind: one table.  Private to libcr/lower/files_*.c.
 *
 * A kind that is added gets a number in file_payload.h, a row in files_ops.c, and a file of its own with the functions of the row.
 */
#ifndef CR_FILES_OPS_H
#define CR_FILES_OPS_H

#include "libcr/lower/files_place.h"
#include "libcr/lower/files_set.h"

struct cr_file_ops {
	/* How /proc begins the name of such an object; NULL: files_kind.c tells it by its type. */
	const char *link;
	/* Last word before it is taken: refuses with a reason, or returns true. NULL: always taken. Changes nothing: the program may be running. */
	bool (*check)(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
	/* FILE_DATA records behind the FILE record. The program is stopped. */
	int (*save)(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
	/* Before anything is changed: can it be made again? @rec is the FILE record. */
	int (*restore_check)(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
	/* Makes it: a descriptor at or above the floor, given; or a negative errno. NULL: STREAM, which is not made. */
	int (*open)(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
	/* When every descriptor is in place: what refers to others or starts to run. */
	int (*finish)(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
	/* Only the first of several descriptions of one object has content. */
	bool save_once;
};

/* Borrowed; NULL for a number that is no kind. */
const struct cr_file_ops *cr_file_ops_of(uint32_t kind);

/* files_anon.c */
bool cr_file_anon_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_eventfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_eventfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_timerfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_timerfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_timerfd_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_signalfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_signalfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
bool cr_file_pidfd_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_pidfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_epoll.c */
bool cr_file_epoll_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_epoll_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_epoll_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_epoll_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_inotify.c */
bool cr_file_inotify_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_inotify_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_inotify_restore_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_inotify_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_inotify_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_socket.c, files_socket_restore.c */
/* Calls @join for every two sockets of the set that a restart must make together. */
void cr_file_socket_relate(const struct cr_file_set *set, void (*join)(void *arg, unsigned int a, unsigned int b), void *arg);
bool cr_file_socket_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_socket_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_socket_restore_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_socket_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
/* An end that is made by connecting to a listening socket. */
bool cr_file_socket_late(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view);
/* Its place in the queue of those that wait to be accepted, from 0; -1: it is none of them. */
int cr_file_socket_place(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view);
int cr_file_socket_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_memfd.c */
bool cr_file_memfd_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_memfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
/* A new one, empty: a descriptor, given; or a negative errno. */
int cr_file_memfd_create(const struct cr_file_view *view, int floor, struct cr_err *err);

/* files_mqueue.c */
/* Before a thread gets a table of its own: when that is closed what the process has registered with mq_notify is gone. 0, or -ENOTSUP: there is such. */
int cr_file_mqueue_quiet(int floor, struct cr_err *err);
bool cr_file_mqueue_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
int cr_file_mqueue_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_mqueue_restore_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_mqueue_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_queue_save.c, files_queue_restore.c: what waits in a UNIX socket. @sndbuf: the largest send buffer of those who write into it. */
int cr_file_queue_save(const struct cr_file_set *set, const struct cr_open_file *file, int sndbuf, struct cr_image_writer *w, struct cr_err *err);
/* Where datagrams go that are not sent by a connected socket. */
struct cr_file_queue_to {
	const void *address;
	uint32_t address_bytes;
	int (*sender)(void *arg, const void *address, uint32_t bytes); /* the program's socket with this name, or -1 */
	void *arg;
};
/* Sends it again by @from, or to @to when that is not NULL. */
int cr_file_queue_send(const struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, int from,
		       const struct cr_file_queue_to *to, struct cr_err *err);

/* files_nameless.c: directories and FIFOs that were removed */
int cr_file_nameless_check(const char *path, struct cr_err *err);
/* A new one, removed: a descriptor at or above @floor, given; or a negative errno. */
int cr_file_nameless_dir(const char *path, uint32_t mode, int flags, int floor, struct cr_err *err);
int cr_file_nameless_fifo(const char *path, uint32_t mode, int flags, int floor, struct cr_err *err);

/* files_lock.c: locks, leases and the receiver of signals; of any kind. */
bool cr_file_lock_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals);
/* Of a description that others hold too: what belongs to this process alone. */
void cr_file_lock_keep_own(struct cr_open_file *file);
int cr_file_lock_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err);
int cr_file_lock_restore(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_shared.c */
int cr_file_shared_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_restore_check.c */
int cr_file_named_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_streams_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_tty_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_unlinked_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* files_restore.c, files_object.c */
int cr_file_named_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);
int cr_file_object_make(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err);

/* One FILE_DATA record of @bytes. */
int cr_file_data_put(const struct cr_open_file *file, uint32_t attrs, const void *content, size_t bytes, struct cr_image_writer *w,
		     struct cr_err *err);

/* Calls @line for each line of fdinfo of @fd, without its line feed; 0 or a negative errno. */
int cr_file_fdinfo(int fd, int floor, void (*line)(void *arg, const char *text), void *arg);

/* Does a process that this one descends from have @file's description open too? */
bool cr_file_ancestor_holds(const struct cr_file_set *set, const struct cr_open_file *file);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of the kinds, and what several of them need.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct cr_file_ops ops[CR_FILE_KINDS] = {
	[CR_FILE_REGULAR] = { .restore_check = cr_file_named_check, .open = cr_file_named_open },
	[CR_FILE_UNLINKED] = { .save = cr_file_unlinked_save, .restore_check = cr_file_unlinked_check, .open = cr_file_object_make, .save_once = true },
	[CR_FILE_DIRECTORY] = { .restore_check = cr_file_named_check, .open = cr_file_named_open },
	[CR_FILE_PIPE] = { .save = cr_file_pipe_save, .open = cr_file_object_make, .save_once = true },
	[CR_FILE_FIFO] = { .save = cr_file_pipe_save, .restore_check = cr_file_named_check, .open = cr_file_object_make, .save_once = true },
	[CR_FILE_STREAM] = { .restore_check = cr_file_streams_check },
	[CR_FILE_TTY] = { .restore_check = cr_file_tty_check, .open = cr_file_named_open },
	[CR_FILE_DEVICE] = { .restore_check = cr_file_named_check, .open = cr_file_named_open },
	[CR_FILE_PATH] = { .restore_check = cr_file_named_check, .open = cr_file_named_open },
	[CR_FILE_EVENTFD] = { .link = "anon_inode:[eventfd]", .check = cr_file_anon_check, .save = cr_file_eventfd_save, .open = cr_file_eventfd_open },
	[CR_FILE_TIMERFD] = { .link = "anon_inode:[timerfd]", .check = cr_file_anon_check, .save = cr_file_timerfd_save, .open = cr_file_timerfd_open,
			      .finish = cr_file_timerfd_finish },
	[CR_FILE_SIGNALFD] = { .link = "anon_inode:[signalfd]", .check = cr_file_anon_check, .save = cr_file_signalfd_save, .open = cr_file_signalfd_open },
	[CR_FILE_EPOLL] = { .link = "anon_inode:[eventpoll]", .check = cr_file_epoll_check, .save = cr_file_epoll_save, .open = cr_file_epoll_open,
			    .finish = cr_file_epoll_finish },
	[CR_FILE_INOTIFY] = { .link = "anon_inode:inotify", .check = cr_file_inotify_check, .save = cr_file_inotify_save,
			      .restore_check = cr_file_inotify_restore_check, .open = cr_file_inotify_open, .finish = cr_file_inotify_finish },
	[CR_FILE_PIDFD] = { .check = cr_file_pidfd_check, .open = cr_file_pidfd_open },
	[CR_FILE_SOCKET] = { .check = cr_file_socket_check, .save = cr_file_socket_save, .restore_check = cr_file_socket_restore_check,
			     .open = cr_file_socket_open, .finish = cr_file_socket_finish },
	[CR_FILE_MEMFD] = { .link = "/memfd:", .check = cr_file_memfd_check, .save = cr_file_memfd_save, .open = cr_file_object_make, .save_once = true },
	[CR_FILE_MQUEUE] = { .check = cr_file_mqueue_check, .save = cr_file_mqueue_save, .restore_check = cr_file_mqueue_restore_check, .open = cr_file_mqueue_open,
			     .save_once = true },
	[CR_FILE_SHARED] = { .open = cr_file_shared_open },
};

const struct cr_file_ops *cr_file_ops_of(uint32_t kind)
{
	return kind > 0 && kind < CR_FILE_KINDS ? &ops[kind] : NULL;
}

int cr_file_data_put(const struct cr_open_file *file, uint32_t attrs, const void *content, size_t bytes, struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_file_data_payload *data = malloc(sizeof(*data) + bytes);
	int r;

	if (!data)
		return cr_err_set(err, ENOMEM, "out of memory for the record of descriptor %d", file->fds[0].fd);
	*data = (struct cr_file_data_payload){ .object = file->object, .attrs = attrs, .bytes = bytes };
	if (bytes)
		memcpy(data + 1, content, bytes);
	r = cr_image_put(w, CR_REC_FILE_DATA, data, sizeof(*data) + bytes, err);
	free(data);
	return r;
}

int cr_file_fdinfo(int fd, int floor, void (*line)(void *arg, const char *text), void *arg)
{
	char path[64], text[1024];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	f = cr_file_fopen_high(path, floor);
	if (!f)
		return -errno;
	while (fgets(text, sizeof(text), f)) {
		text[strcspn(text, "\n")] = '\0';
		line(arg, text);
	}
	fclose(f);
	return 0;
}

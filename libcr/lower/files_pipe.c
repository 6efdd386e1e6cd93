/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pipes: who else holds one, and what is in it.
 *
 * Invariant: the content is copied with tee(2), so the program's pipe is as full after a checkpoint as before.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A reader that no writer ever had sees no hang-up. tee(2) says the same as read(2), and takes nothing. */
static bool never_written(int fd, int floor)
{
	int available = 0, p[2];
	ssize_t n;

	if (ioctl(fd, FIONREAD, &available) < 0 || available || pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	p[0] = cr_file_move_high(p[0], floor);
	p[1] = cr_file_move_high(p[1], floor);
	n = p[1] < 0 ? -1 : tee(fd, p[1], 1, SPLICE_F_NONBLOCK);
	if (p[0] >= 0)
		close(p[0]);
	if (p[1] >= 0)
		close(p[1]);
	return n == 0;
}

/* The far end may be closed everywhere (then the kernel reports a hang-up), but not open elsewhere. */
static const char *far_end_outside(const struct cr_file_set *set, const struct cr_open_file *file)
{
	bool reads = false, writes = false;
	struct pollfd p = { .fd = file->fds[0].fd };
	unsigned int i;

	for (i = 0; i < set->n; i++) {
		if (set->files[i].object != file->object)
			continue;
		reads |= cr_file_reads(set->files[i].flags);
		writes |= cr_file_writes(set->files[i].flags);
	}
	if ((reads && writes) || set->under_way)
		return NULL;
	if (poll(&p, 1, 0) < 0)
		return "its state cannot be asked for";
	if (reads)
		return p.revents & POLLHUP || never_written(p.fd, set->floor) ? NULL : "its writing end is held by another process";
	return p.revents & POLLERR ? NULL : "its reading end is held by another process";
}

const char *cr_file_pipe_outside(const struct cr_file_set *set, const struct cr_open_file *file)
{
	const char *reason = far_end_outside(set, file);

	if (!reason && file->link[0] != '/' && cr_file_ancestor_holds(set, file))
		reason = "the process that launched this one holds it too";
	return reason;
}

/* A spare pipe of the same size, both ends above the floor. */
static int make_spare(int fd, int floor, int ret_spare[2], struct cr_err *err)
{
	int bytes = fcntl(fd, F_GETPIPE_SZ);
	int p[2], r;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return cr_err_set(err, errno, "descriptor %d: no second pipe to copy its content to: %s", fd, strerror(errno));
	p[0] = cr_file_move_high(p[0], floor);
	p[1] = cr_file_move_high(p[1], floor);
	if (p[0] < 0 || p[1] < 0) {
		r = cr_err_set(err, p[0] < 0 ? p[0] : p[1], "descriptor %d: no descriptor at or above %d is free", fd, floor);
		goto close_spare;
	}
	if (bytes > 0 && fcntl(p[1], F_GETPIPE_SZ) < bytes && fcntl(p[1], F_SETPIPE_SZ, bytes) < 0) {
		r = cr_err_set(err, errno, "descriptor %d: no second pipe of %d bytes to copy its content to: %s; raise /proc/sys/fs/pipe-user-pages-soft",
			       fd, bytes, strerror(errno));
		goto close_spare;
	}
	ret_spare[0] = p[0];
	ret_spare[1] = p[1];
	return 0;

close_spare:
	if (p[0] >= 0)
		close(p[0]);
	if (p[1] >= 0)
		close(p[1]);
	return r;
}

/*
 * A read that ends before the buffer is full and before the pipe is empty ended at a packet. The last one is a packet when the
 * writing end is in packet mode.
 */
static int put_content(int spare, uint32_t object, size_t bytes, bool packets, struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_file_data_payload *data = malloc(sizeof(*data) + bytes);
	size_t left = bytes;
	ssize_t n;
	int r = 0;

	if (!data)
		return cr_err_set(err, ENOMEM, "out of memory for %zu bytes of a pipe", bytes);
	while (left > 0 && r >= 0) {
		n = read(spare, data + 1, left);
		if (n <= 0) {
			r = cr_err_set(err, n < 0 ? errno : EIO, "content of a pipe: %zu of %zu bytes could not be read", left, bytes);
			break;
		}
		*data = (struct cr_file_data_payload){ .object = object, .offset = bytes - left, .bytes = (uint64_t)n };
		if (packets || (size_t)n < left)
			data->attrs = CR_FILE_DATA_PACKET;
		left -= (size_t)n;
		r = cr_image_put(w, CR_REC_FILE_DATA, data, sizeof(*data) + (size_t)n, err);
	}
	free(data);
	return r;
}

int cr_file_pipe_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	int reader = -1, available = 0, spare[2] = { -1, -1 }, r;
	bool packets = false;
	unsigned int i;
	ssize_t n;

	for (i = 0; i < set->n; i++) {
		const struct cr_open_file *end = &set->files[i];

		if (end->object != file->object)
			continue;
		if (reader < 0 && cr_file_reads(end->flags))
			reader = end->fds[0].fd;
		if (cr_file_writes(end->flags) && end->flags & O_DIRECT)
			packets = true;
	}
	/* Nobody can read what is in a pipe without a reading end. */
	if (reader < 0)
		return 0;
	if (ioctl(reader, FIONREAD, &available) < 0)
		return cr_err_set(err, errno, "descriptor %d: the content of the pipe cannot be asked for: %s", reader, strerror(errno));
	if (available == 0)
		return 0;
	r = make_spare(reader, set->floor, spare, err);
	if (r < 0)
		return r;
	n = tee(reader, spare[1], (size_t)available, SPLICE_F_NONBLOCK);
	if (n != available)
		r = cr_err_set(err, n < 0 ? errno : EIO, "descriptor %d: %d bytes are in the pipe, %zd could be copied", reader, available, n);
	else
		r = put_content(spare[0], file->object, (size_t)available, packets, w, err);
	close(spare[0]);
	close(spare[1]);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open the program's files again, each under its old number.
 *
 * Invariant: 0, 1 and 2 stay what they are until everything else is in place, so that an error can still be printed; descriptors at
 * or above the floor are never touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/image/tree_payload.h"
#include "libcr/lower/cr_files.h"
#include "libcr/lower/files_ops.h"
#include "libcr/lower/set.h"

/* F_GETFL shows these only by accident of the first open; they must not act a second time. */
#define NOT_REOPENED (O_CREAT | O_EXCL | O_TRUNC)
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)
#define STREAM_FLAGS (O_APPEND | O_NONBLOCK)

static int restore_init(struct cr_file_restore *x, const struct cr_image *img, int floor, struct cr_err *err)
{
	int i;

	*x = (struct cr_file_restore){ .img = img, .floor = floor, .low = { -1, -1, -1 }, .stream = { -1, -1, -1 } };
	x->taken = calloc((size_t)floor, 1);
	if (!x->taken)
		return cr_err_set(err, ENOMEM, "out of memory for a table of %d descriptors", floor);
	for (i = 0; i < 3; i++) {
		x->stream[i] = cr_file_dup_high(i, floor);
		if (x->stream[i] < 0 && x->stream[i] != -EBADF)
			return cr_err_set(err, x->stream[i], "no descriptor at or above %d is free: %s; raise the limit (ulimit -n)", floor,
					  strerror(-x->stream[i]));
	}
	/* Whatever the launcher left open below the floor is not the program's. */
	if (floor > 3 && close_range(3, (unsigned int)floor - 1, 0) < 0) {
		for (i = 3; i < floor; i++)
			close(i);
	}
	return 0;
}

static void close_all(struct cr_file_restore *x)
{
	int i;

	cr_file_object_close(&x->object);
	for (i = 0; i < 3; i++) {
		if (x->stream[i] >= 0)
			close(x->stream[i]);
		if (x->low[i] >= 0)
			close(x->low[i]);
		x->stream[i] = x->low[i] = -1;
	}
}

static void restore_fini(struct cr_file_restore *x)
{
	close_all(x);
	/* Ends whose record never came: an image that was not written correctly. */
	while (x->n_kept)
		close(x->kept[--x->n_kept].fd);
	free(x->kept);
	free(x->taken);
}

static int place_one(struct cr_file_restore *x, int high, const struct cr_file_fd *to, struct cr_err *err)
{
	int fd = to->fd;

	if (fd >= x->floor)
		return cr_err_set(err, EMFILE, "descriptor %d was in use at the checkpoint, and only numbers below %d are the program's here; raise the limit (ulimit -n)",
				  fd, x->floor);
	if (x->taken[fd]++)
		return cr_err_set(err, EBADMSG, "descriptor %d is in two FILE records", fd);
	if (fd < 3) {
		x->low[fd] = cr_file_dup_high(high, x->floor);
		x->low_flags[fd] = to->fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0;
		if (x->low[fd] < 0)
			return cr_err_set(err, x->low[fd], "descriptor %d: no number at or above %d is free: %s", fd, x->floor, strerror(-x->low[fd]));
		return 0;
	}
	if (dup3(high, fd, to->fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		return cr_err_set(err, errno, "descriptor %d: cannot be put in place: %s", fd, strerror(errno));
	return 0;
}

/* @high is given away. */
static int place(struct cr_file_restore *x, int high, const struct cr_file_view *view, struct cr_err *err)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < view->head.n_fds && r >= 0; i++)
		r = place_one(x, high, &view->fds[i], err);
	close(high);
	return r;
}

static int place_streams(struct cr_file_restore *x, const struct cr_file_view *view, struct cr_err *err)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < view->head.n_fds && r >= 0; i++) {
		int stream = x->stream[view->fds[i].stream];
		int changed = (int)view->fds[i].stream_flags & STREAM_FLAGS, now;

		if (stream < 0)
			return cr_err_set(err, EBADF, "descriptor %d was connected to standard stream %u, which is closed now", view->fds[i].fd, view->fds[i].stream);
		now = fcntl(stream, F_GETFL);
		if (changed && fcntl(stream, F_SETFL, (now & ~changed) | ((int)view->head.open_flags & changed)) < 0)
			return cr_err_set(err, errno, "descriptor %d: flags of standard stream %u cannot be set: %s", view->fds[i].fd, view->fds[i].stream,
					  strerror(errno));
		r = place_one(x, stream, &view->fds[i], err);
	}
	return r;
}

/*
 * A file that grew after the checkpoint holds what the program will write again: cut it back. A reader of a file that grew sees the
 * longer file, as it would have without a restart.
 */
static int cut_back(int fd, const struct cr_file_view *view, struct cr_err *err)
{
	uint64_t size = view->head.size;
	struct stat st;

	if (view->head.attrs & CR_FILE_PSEUDO)
		return 0;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return cr_err_set(err, EINVAL, "descriptor %d: %s is no regular file any more", view->fds[0].fd, view->path);
	if ((uint64_t)st.st_size < size)
		return cr_err_set(err, EINVAL, "descriptor %d: %s had %llu bytes at the checkpoint and has %llu now; put the file of that time back",
				  view->fds[0].fd, view->path, (unsigned long long)size, (unsigned long long)st.st_size);
	if (cr_file_writes((int)view->head.open_flags) && (uint64_t)st.st_size > size && ftruncate(fd, (off_t)size) < 0)
		return cr_err_set(err, errno, "descriptor %d: %s grew after the checkpoint and cannot be cut back to %llu bytes: %s", view->fds[0].fd, view->path,
				  (unsigned long long)size, strerror(errno));
	return 0;
}

int cr_file_named_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	int flags = (int)view->head.open_flags & ~O_ASYNC, fd, now, r = 0;

	(void)rec;
	if (view->head.attrs & CR_FILE_NAMELESS)
		return cr_file_nameless_dir(view->path, view->head.mode, flags, x->floor, err);
	/* A terminal whose line is down blocks an open without O_NONBLOCK. */
	fd = cr_file_open_high(view->path, (flags & ~NOT_REOPENED) | O_NOCTTY | (view->head.kind == CR_FILE_TTY ? O_NONBLOCK : 0), 0, x->floor);
	if (fd < 0)
		return cr_err_set(err, fd, "descriptor %d: %s cannot be opened as it was at the checkpoint: %s", view->fds[0].fd, view->path, strerror(-fd));
	if (flags & O_PATH)
		return fd;
	now = fcntl(fd, F_GETFL);
	if ((now ^ flags) & SETTABLE && fcntl(fd, F_SETFL, flags) < 0)
		r = cr_err_set(err, errno, "descriptor %d: flags %#o of %s cannot be set: %s", view->fds[0].fd, (unsigned int)flags, view->path, strerror(errno));
	if (r >= 0 && view->head.kind == CR_FILE_REGULAR)
		r = cut_back(fd, view, err);
	if (r >= 0 && view->head.kind == CR_FILE_TTY && !isatty(fd))
		r = cr_err_set(err, ENOTTY, "descriptor %d: %s is no terminal any more", view->fds[0].fd, view->path);
	if (r >= 0 && view->head.pos > 0 && lseek(fd, view->head.pos, SEEK_SET) < 0 && errno != ESPIPE)
		r = cr_err_set(err, errno, "descriptor %d: %s cannot be set to position %lld: %s", view->fds[0].fd, view->path, (long long)view->head.pos,
			       strerror(errno));
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static int restore_file(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	const struct cr_file_ops *ops = cr_file_ops_of(view->head.kind);
	int r;

	if (view->head.kind == CR_FILE_STREAM)
		return place_streams(x, view, err);
	r = ops->open(x, rec, view, err);
	return r < 0 ? r : place(x, r, view, err);
}

/* Sockets that were accepted are made by connecting to one that listens: after all others. */
static bool is_late(const struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view)
{
	return view->head.kind == CR_FILE_SOCKET && cr_file_socket_late(x->img, rec, view);
}

/* @place: of those that wait to be accepted the one with this place in the queue, -1: all others. *ret_some: there was one. */
static int restore_records(struct cr_file_restore *x, bool late, int place, bool *ret_some, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };
	struct cr_file_data_payload data;
	struct cr_file_view view;
	const void *content;
	int r = 0;

	while (r >= 0 && cr_image_next(x->img, &rec) > 0) {
		if (rec.type == CR_REC_FILE) {
			r = cr_file_view_parse(&rec, &view, err);
			if (r >= 0 && is_late(x, &rec, &view) == late && (!late || cr_file_socket_place(x->img, &rec, &view) == place)) {
				*ret_some = true;
				r = restore_file(x, &rec, &view, err);
			}
		} else if (rec.type == CR_REC_FILE_DATA && !late) {
			r = cr_file_data_parse(&rec, &data, &content, err);
			if (r >= 0 && !(data.attrs & ~CR_FILE_DATA_PACKET) && view.head.kind != CR_FILE_SOCKET)
				r = cr_file_object_fill(&x->object, &data, content, err);
		}
	}
	return r < 0 ? r : 0;
}

/* In this order. Watches of files come after all that they would see. */
enum finish_pass { FINISH, FINISH_WATCHES, LOCK_PASSED, CLOSE_PASSED, LOCK, FINISH_PASSES };

static int finish_record(struct cr_file_restore *x, enum finish_pass pass, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	const struct cr_file_ops *ops = cr_file_ops_of(view->head.kind);
	bool passed = view->head.attrs & CR_FILE_PASSED;

	switch (pass) {
	case FINISH:
	case FINISH_WATCHES:
		return ops->finish && (view->head.kind == CR_FILE_INOTIFY) == (pass == FINISH_WATCHES) ? ops->finish(x, rec, view, err) : 0;
	case LOCK_PASSED:
	case LOCK:
		return passed == (pass == LOCK_PASSED) ? cr_file_lock_restore(x->img, rec, view, err) : 0;
	case CLOSE_PASSED:
		/* It is under way now. Before record locks are taken: closing any descriptor of a file gives those up. */
		if (passed)
			close(view->fds[0].fd);
		return 0;
	case FINISH_PASSES:
		break;
	}
	return 0;
}

/* Everything is in place. */
static int finish_records(struct cr_file_restore *x, struct cr_err *err)
{
	struct cr_image_record rec;
	struct cr_file_view view;
	int r = 0;

	for (enum finish_pass pass = FINISH; pass < FINISH_PASSES; pass++) {
		rec = (struct cr_image_record){ 0 };
		while (r >= 0 && cr_image_next(x->img, &rec) > 0) {
			if (rec.type != CR_REC_FILE)
				continue;
			r = cr_file_view_parse(&rec, &view, err);
			if (r >= 0)
				r = finish_record(x, pass, &rec, &view, err);
		}
	}
	return r < 0 ? r : 0;
}

static int place_low(struct cr_file_restore *x, struct cr_err *err)
{
	int i;

	for (i = 0; i < 3; i++) {
		if (x->low[i] < 0)
			close(i);
		else if (dup3(x->low[i], i, x->low_flags[i]) < 0)
			return cr_err_set(err, errno, "descriptor %d: cannot be put in place: %s", i, strerror(errno));
	}
	return 0;
}

/* @low: 0, 1, 2 become the program's too. */
static int restore_all(const struct cr_image *img, int floor, bool low, struct cr_err *err)
{
	struct cr_file_restore x;
	int r, place;
	bool some;

	r = restore_init(&x, img, floor, err);
	if (r >= 0)
		r = restore_records(&x, false, -1, &some, err);
	/* The pipe or file of the last object is complete. */
	cr_file_object_close(&x.object);
	/* Those that were accepted, then in their order those that wait. */
	for (place = -1, some = true; r >= 0 && (some || place <= 0); place++) {
		some = false;
		r = restore_records(&x, true, place, &some, err);
	}
	if (r >= 0 && low)
		r = place_low(&x, err);
	/* All others are closed before: closing one of a file would give up its locks. */
	close_all(&x);
	cr_set_shared_close();
	if (r >= 0)
		r = finish_records(&x, err);
	restore_fini(&x);
	return r;
}

int cr_files_restore(const struct cr_image *img, int floor, struct cr_err *err)
{
	return restore_all(img, floor, true, err);
}

int cr_files_restore_shared(const struct cr_image *img, int floor, unsigned int n, int *ret_fds, struct cr_err *err)
{
	unsigned int i;
	int r;

	if ((unsigned int)floor < CR_TREE_FIRST_FD + n)
		return cr_err_set(err, EMFILE, "%u descriptions that processes share are more than the %d descriptors that are free; raise the limit (ulimit -n)", n,
				  floor);
	r = restore_all(img, floor, false, err);
	for (i = 0; i < n && r >= 0; i++) {
		ret_fds[i] = cr_file_dup_high((int)(CR_TREE_FIRST_FD + i), floor);
		if (ret_fds[i] < 0)
			r = cr_err_set(err, ret_fds[i], "description %u of what the processes share: %s", i, strerror(-ret_fds[i]));
	}
	if (floor > 3)
		close_range(3, (unsigned int)floor - 1, 0);
	return r < 0 ? r : 0;
}

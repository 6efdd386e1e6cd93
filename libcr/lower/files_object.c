/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Objects with stored content: pipes, named pipes and unlinked files.
 *
 * Invariant: until cr_file_object_close both ends of a pipe are held here, so no open blocks and no content is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libcr/lower/files_ops.h"

/* Flags of F_GETFL that mean nothing, or the wrong thing, when the object is opened through /proc. */
#define NOT_REOPENED (O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE | O_DIRECT)
#define SETTABLE (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME)

/* Objects that were made before their records' turn, because memory is mapped from them. */
static struct early_object {
	struct early_object *next;
	uint32_t number;
	int fd;
} *early;

/* Not a pipe: it has positions. */
static bool is_file(const struct cr_file_object *obj)
{
	return obj->kind == CR_FILE_UNLINKED || obj->kind == CR_FILE_MEMFD;
}

int cr_file_unlinked_dir(const char *path, char *ret_dir, size_t bytes)
{
	const char *slash = strrchr(path, '/');
	const char *tmpdir = getenv("TMPDIR");
	const char *candidates[] = { NULL, tmpdir, "/tmp" };
	char own[CR_FILE_MAX_PATH_BYTES];
	size_t i;

	snprintf(own, sizeof(own), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	candidates[0] = own;
	for (i = 0; i < 3; i++) {
		if (candidates[i] && candidates[i][0] && faccessat(AT_FDCWD, candidates[i], W_OK | X_OK, AT_EACCESS) == 0) {
			snprintf(ret_dir, bytes, "%s", candidates[i]);
			return 0;
		}
	}
	return -EACCES;
}

static int create_unlinked(const struct cr_file_view *view, int floor, struct cr_err *err)
{
	char dir[CR_FILE_MAX_PATH_BYTES], name[CR_FILE_MAX_PATH_BYTES + 32];
	int fd, r;

	r = cr_file_unlinked_dir(view->path, dir, sizeof(dir));
	if (r < 0)
		return cr_err_set(err, r, "no directory for the unlinked file %s; set TMPDIR", view->path);
	fd = cr_file_open_high(dir, O_TMPFILE | O_RDWR, 0600, floor);
	if (fd < 0) {
		/* Not every file system has O_TMPFILE. */
		snprintf(name, sizeof(name), "%s/.cr-unlinked-XXXXXX", dir);
		fd = mkostemp(name, O_CLOEXEC);
		if (fd < 0)
			return cr_err_set(err, errno, "%s: cannot be created: %s", name, strerror(errno));
		unlink(name);
		fd = cr_file_move_high(fd, floor);
	}
	if (fd < 0)
		return cr_err_set(err, fd, "unlinked file %s: no descriptor at or above %d is free", view->path, floor);
	if (ftruncate(fd, (off_t)view->head.size) < 0) {
		r = cr_err_set(err, errno, "unlinked file %s: cannot be made %llu bytes long in %s: %s", view->path, (unsigned long long)view->head.size, dir,
			       strerror(errno));
		close(fd);
		return r;
	}
	return fd;
}

bool cr_file_is_object(const struct cr_file_payload *head, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	return (head->kind == CR_FILE_MEMFD || head->kind == CR_FILE_UNLINKED) && head->ino == ino && ((major(head->dev) == dev_major && minor(head->dev) == dev_minor) || dev_major == 0 || major(head->dev) == 0);
}

static int make_early(const struct cr_file_view *view, int floor, struct cr_err *err)
{
	struct early_object *e;
	int fd;

	for (e = early; e; e = e->next)
		if (e->number == view->head.object)
			return e->fd;
	e = malloc(sizeof(*e));
	fd = !e ? cr_err_set(err, ENOMEM, "out of memory") : view->head.kind == CR_FILE_MEMFD ? cr_file_memfd_create(view, floor, err) : create_unlinked(view, floor, err);
	if (fd < 0) {
		free(e);
		return fd;
	}
	*e = (struct early_object){ early, view->head.object, fd };
	early = e;
	return fd;
}

int cr_files_object_fd(const struct cr_image *img, int floor, uint32_t dev_major, uint32_t dev_minor, uint64_t ino, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };
	struct cr_file_view view;

	while (cr_image_next(img, &rec) > 0) {
		if (rec.type != CR_REC_FILE || cr_file_view_parse(&rec, &view, NULL) < 0)
			continue;
		if (cr_file_is_object(&view.head, dev_major, dev_minor, ino))
			return make_early(&view, floor, err);
	}
	return cr_err_set(err, EBADMSG, "memory of a file without a name (inode %llu), and no FILE record has that", (unsigned long long)ino);
}

/* Its turn has come: given; -1 when it is none of them. */
static int take_early(uint32_t number)
{
	for (struct early_object **at = &early; *at; at = &(*at)->next) {
		struct early_object *e = *at;
		int fd = e->fd;

		if (e->number != number)
			continue;
		*at = e->next;
		free(e);
		return fd;
	}
	return -1;
}

static int create_pipe(struct cr_file_object *obj, int floor, struct cr_err *err)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return cr_err_set(err, errno, "a pipe cannot be made: %s", strerror(errno));
	obj->read_end = cr_file_move_high(p[0], floor);
	obj->write_end = cr_file_move_high(p[1], floor);
	if (obj->read_end < 0 || obj->write_end < 0)
		return cr_err_set(err, EMFILE, "a pipe: no descriptor at or above %d is free", floor);
	return 0;
}

/* O_RDWR on a FIFO never blocks and gives both ends. */
static int hold_fifo(struct cr_file_object *obj, const struct cr_file_view *view, int floor, struct cr_err *err)
{
	if (view->head.attrs & CR_FILE_NAMELESS) {
		obj->write_end = cr_file_nameless_fifo(view->path, view->head.mode, O_RDWR | O_NONBLOCK, floor, err);
		if (obj->write_end < 0)
			return obj->write_end;
	} else {
		obj->write_end = cr_file_open_high(view->path, O_RDWR | O_NONBLOCK, 0, floor);
	}
	if (obj->write_end < 0)
		return cr_err_set(err, obj->write_end, "%s: cannot be opened: %s", view->path, strerror(-obj->write_end));
	obj->read_used = true;
	obj->write_used = true;
	return 0;
}

static int resize_pipe(const struct cr_file_object *obj, const struct cr_file_view *view, struct cr_err *err)
{
	int want = (int)view->head.pipe_bytes;

	if (want > 0 && fcntl(obj->write_end, F_GETPIPE_SZ) != want && fcntl(obj->write_end, F_SETPIPE_SZ, want) < 0)
		return cr_err_set(err, errno, "descriptor %d: a pipe of %d bytes cannot be made: %s; raise /proc/sys/fs/pipe-max-size or pipe-user-pages-soft",
				  view->fds[0].fd, want, strerror(errno));
	return 0;
}

int cr_file_object_open(struct cr_file_object *obj, const struct cr_file_view *view, int floor, struct cr_err *err)
{
	int r = 0;

	if (obj->open && obj->number == view->head.object)
		return 0;
	cr_file_object_close(obj);
	*obj = (struct cr_file_object){ .open = true, .number = view->head.object, .kind = view->head.kind, .mode = view->head.mode, .read_end = -1, .write_end = -1 };
	switch (obj->kind) {
	case CR_FILE_UNLINKED:
	case CR_FILE_MEMFD:
		r = take_early(obj->number);
		if (r < 0)
			r = obj->kind == CR_FILE_MEMFD ? cr_file_memfd_create(view, floor, err) : create_unlinked(view, floor, err);
		if (r >= 0)
			obj->write_end = r;
		break;
	case CR_FILE_PIPE:
		r = create_pipe(obj, floor, err);
		break;
	case CR_FILE_FIFO:
		r = hold_fifo(obj, view, floor, err);
		break;
	}
	if (r >= 0 && !is_file(obj))
		r = resize_pipe(obj, view, err);
	if (r < 0)
		cr_file_object_close(obj);
	return r < 0 ? r : 0;
}

static int fill_file(struct cr_file_object *obj, const struct cr_file_data_payload *data, const char *content, struct cr_err *err)
{
	uint64_t done = 0;
	ssize_t n;

	while (done < data->bytes) {
		n = pwrite(obj->write_end, content + done, data->bytes - done, (off_t)(data->offset + done));
		if (n <= 0)
			return cr_err_set(err, n < 0 ? errno : EIO, "content of an unlinked file cannot be written: %s; make room or set TMPDIR",
					  n < 0 ? strerror(errno) : "no progress");
		done += (uint64_t)n;
	}
	return 0;
}

/* The size was set before, so what fitted then fits now; a full pipe is an error, not a wait. */
static int fill_pipe(struct cr_file_object *obj, const struct cr_file_data_payload *data, const char *content, struct cr_err *err)
{
	int flags = fcntl(obj->write_end, F_GETFL), e;
	ssize_t n;

	if (fcntl(obj->write_end, F_SETFL, O_NONBLOCK | (data->attrs & CR_FILE_DATA_PACKET ? O_DIRECT : 0)) < 0)
		return cr_err_set(err, errno, "flags of a pipe cannot be set: %s", strerror(errno));
	n = write(obj->write_end, content, data->bytes);
	e = errno;
	if (fcntl(obj->write_end, F_SETFL, flags) < 0)
		return cr_err_set(err, errno, "flags of a pipe cannot be set: %s", strerror(errno));
	if (n < 0 || (uint64_t)n != data->bytes)
		return cr_err_set(err, n < 0 ? e : ENOSPC, "content of a pipe: %zd of %llu bytes could be written", n, (unsigned long long)data->bytes);
	return 0;
}

int cr_file_object_fill(struct cr_file_object *obj, const struct cr_file_data_payload *data, const void *content, struct cr_err *err)
{
	if (!obj->open || obj->number != data->object)
		return cr_err_set(err, EBADMSG, "FILE_DATA of object %u belongs to no FILE record", data->object);
	return is_file(obj) ? fill_file(obj, data, content, err) : fill_pipe(obj, data, content, err);
}

/* A pipe's own end, the first time: F_GETFL then shows what pipe(2) shows. */
static int own_end(struct cr_file_object *obj, int flags, int floor)
{
	bool reads = (flags & O_ACCMODE) == O_RDONLY, writes = (flags & O_ACCMODE) == O_WRONLY;

	if (obj->kind != CR_FILE_PIPE)
		return -1;
	if (reads && !obj->read_used) {
		obj->read_used = true;
		return cr_file_dup_high(obj->read_end, floor);
	}
	if (writes && !obj->write_used) {
		obj->write_used = true;
		return cr_file_dup_high(obj->write_end, floor);
	}
	return -1;
}

int cr_file_object_describe(struct cr_file_object *obj, const struct cr_file_view *view, int floor, struct cr_err *err)
{
	int flags = (int)view->head.open_flags, now, fd, r;
	char path[64];

	fd = own_end(obj, flags, floor);
	if (fd < 0) {
		snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", obj->write_end);
		fd = cr_file_open_high(path, flags & ~NOT_REOPENED, 0, floor);
	}
	if (fd < 0)
		return cr_err_set(err, fd, "descriptor %d: cannot be opened again: %s", view->fds[0].fd, strerror(-fd));
	now = fcntl(fd, F_GETFL);
	if ((now ^ flags) & SETTABLE && fcntl(fd, F_SETFL, flags & ~O_ASYNC) < 0) {
		r = cr_err_set(err, errno, "descriptor %d: its flags %#o cannot be set: %s", view->fds[0].fd, (unsigned int)flags, strerror(errno));
		goto close_fd;
	}
	if (is_file(obj) && lseek(fd, view->head.pos, SEEK_SET) < 0) {
		r = cr_err_set(err, errno, "descriptor %d: cannot be positioned: %s", view->fds[0].fd, strerror(errno));
		goto close_fd;
	}
	return fd;

close_fd:
	close(fd);
	return r;
}

int cr_file_object_make(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	bool first = !x->object.open || x->object.number != view->head.object;
	struct cr_file_memfd memfd;
	int r = cr_file_object_open(&x->object, view, x->floor, err);

	if (r >= 0 && first && view->head.kind == CR_FILE_MEMFD) {
		r = cr_file_state_get(x->img, rec, view, CR_FILE_DATA_STATE, &memfd, sizeof(memfd), err);
		if (r >= 0)
			x->object.seals = (int)memfd.seals;
	}
	return r < 0 ? r : cr_file_object_describe(&x->object, view, x->floor, err);
}

void cr_file_object_close(struct cr_file_object *obj)
{
	if (!obj->open)
		return;
	/* Last, because the program's own mode may forbid what was needed here. */
	if ((is_file(obj) || obj->kind == CR_FILE_MQUEUE) && obj->write_end >= 0)
		(void)!fchmod(obj->write_end, obj->mode & 07777);
	if (obj->seals && obj->write_end >= 0)
		(void)!fcntl(obj->write_end, F_ADD_SEALS, obj->seals);
	if (obj->read_end >= 0)
		close(obj->read_end);
	if (obj->write_end >= 0)
		close(obj->write_end);
	obj->open = false;
}

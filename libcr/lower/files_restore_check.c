/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Before anything is changed: is every file of the image there, of the same type, long enough, and may it be opened as it was?
 */
#include "libcr/lower/files_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libcr/lower/cr_files.h"
#include "libcr/lower/files_ops.h"
#include "libcr/lower/shm_file.h"

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "regular file";
	case S_IFDIR:
		return "directory";
	case S_IFIFO:
		return "named pipe";
	case S_IFCHR:
		return "character device";
	case S_IFBLK:
		return "block device";
	case S_IFLNK:
		return "symbolic link";
	case S_IFSOCK:
		return "socket";
	}
	return "object of another kind";
}

static int check_access(const struct cr_file_view *view, struct cr_err *err)
{
	int flags = (int)view->head.open_flags;
	int mode = 0;

	if (flags & O_PATH)
		return 0;
	if (cr_file_reads(flags))
		mode |= R_OK;
	if (cr_file_writes(flags))
		mode |= W_OK;
	if (mode && faccessat(AT_FDCWD, view->path, mode, AT_EACCESS) < 0)
		return cr_err_set(err, errno, "descriptor %d: %s cannot be opened for %s as it was at the checkpoint: %s; give the permission back",
				  view->fds[0].fd, view->path, mode & W_OK ? (mode & R_OK ? "reading and writing" : "writing") : "reading", strerror(errno));
	return 0;
}

int cr_file_named_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	const struct cr_file_payload *head = &view->head;
	struct stat st;

	(void)img;
	(void)rec;
	if (head->attrs & CR_FILE_NAMELESS)
		return cr_file_nameless_check(view->path, err);
	if (cr_shm_makes(view->path))
		return 0;
	if (lstat(view->path, &st) < 0)
		return cr_err_set(err, errno, "descriptor %d: %s, open at the checkpoint: %s; put it back under this name", view->fds[0].fd, view->path,
				  strerror(errno));
	if ((st.st_mode & S_IFMT) != (head->mode & S_IFMT))
		return cr_err_set(err, EINVAL, "descriptor %d: %s was a %s at the checkpoint and is a %s now; put the old one back", view->fds[0].fd, view->path,
				  type_name(head->mode), type_name(st.st_mode));
	if (S_ISREG(st.st_mode) && head->kind == CR_FILE_REGULAR && !(head->attrs & CR_FILE_PSEUDO) && (uint64_t)st.st_size < head->size)
		return cr_err_set(err, EINVAL, "descriptor %d: %s had %llu bytes at the checkpoint and has %llu now; put the file of that time back",
				  view->fds[0].fd, view->path, (unsigned long long)head->size, (unsigned long long)st.st_size);
	if (head->kind == CR_FILE_DEVICE && st.st_rdev != head->rdev)
		return cr_err_set(err, EINVAL, "descriptor %d: %s was device %u:%u at the checkpoint and is %u:%u now", view->fds[0].fd, view->path,
				  major((dev_t)head->rdev), minor((dev_t)head->rdev), major(st.st_rdev), minor(st.st_rdev));
	return check_access(view, err);
}

int cr_file_tty_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	int fd, r;

	r = cr_file_named_check(img, rec, view, err);
	if (r < 0)
		return r;
	fd = open(view->path, ((int)view->head.open_flags & O_ACCMODE) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return cr_err_set(err, errno, "descriptor %d: the terminal %s cannot be opened: %s; restart from a terminal", view->fds[0].fd, view->path,
				  strerror(errno));
	r = isatty(fd) ? 0 : cr_err_set(err, ENOTTY, "descriptor %d: %s is no terminal any more", view->fds[0].fd, view->path);
	close(fd);
	return r;
}

int cr_file_streams_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	static const char *const names[] = { "standard input", "standard output", "standard error" };
	uint32_t i;

	(void)img;
	(void)rec;
	for (i = 0; i < view->head.n_fds; i++) {
		if (fcntl((int)view->fds[i].stream, F_GETFD) < 0)
			return cr_err_set(err, EBADF, "descriptor %d was connected to %s, which is closed now; restart with it open (</dev/null, >file)",
					  view->fds[i].fd, names[view->fds[i].stream]);
	}
	return 0;
}

int cr_file_unlinked_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	char dir[CR_FILE_MAX_PATH_BYTES];
	int r = cr_file_unlinked_dir(view->path, dir, sizeof(dir));

	(void)img;
	(void)rec;
	if (r < 0)
		return cr_err_set(err, r, "descriptor %d: no place for the unlinked file %s: neither its directory, nor $TMPDIR, nor /tmp can be written; set TMPDIR",
				  view->fds[0].fd, view->path);
	return 0;
}

static int check_file(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	const struct cr_file_ops *ops = cr_file_ops_of(view->head.kind);

	return ops->restore_check ? ops->restore_check(img, rec, view, err) : 0;
}

int cr_files_restore_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };
	struct cr_file_data_payload data;
	struct cr_file_view view = { 0 };
	bool seen = false;
	const void *content;
	int r = 0;

	while (r >= 0 && cr_image_next(img, &rec) > 0) {
		if (rec.type == CR_REC_FILE) {
			r = cr_file_view_parse(&rec, &view, err);
			if (r >= 0)
				r = check_file(img, &rec, &view, err);
			seen = true;
		} else if (rec.type == CR_REC_FILE_DATA) {
			r = cr_file_data_parse(&rec, &data, &content, err);
			if (r >= 0 && (!seen || data.object != view.head.object))
				r = cr_err_set(err, EBADMSG, "FILE_DATA record at offset %llu belongs to no FILE record", (unsigned long long)rec.file_offset);
		}
	}
	return r < 0 ? r : 0;
}

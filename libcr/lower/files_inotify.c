/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inotify instances: the watches are made again under their numbers.
 *
 * The kernel tells what is watched by a file handle (open_by_handle_at(2)), not by a name: the name is looked up through it, and must lead back to the
 * same file. A restart watches what has that name then.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libcr/image/relocate.h"

#define SET_NEXT_WD _IOW('I', 0, int32_t) /* INOTIFY_IOC_SETNEXTWD */
#define HANDLE_BYTES 128
#define WD_TRIES 100000

struct inotify_watch {
	struct cr_file_inotify_item item;
	uint64_t ino;
	unsigned int dev; /* as the kernel numbers devices inside */
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + HANDLE_BYTES];
	} handle;
};

struct inotify_list {
	struct inotify_watch *watches;
	unsigned int n;
	int error;
};

static void watch_line(void *arg, const char *text)
{
	struct inotify_watch watch = { .ino = 0 }, *more;
	struct inotify_list *list = arg;
	unsigned int bytes = 0, type = 0, i;
	int at = 0;

	if (list->error || sscanf(text, "inotify wd:%x ino:%" SCNx64 " sdev:%x mask:%x ignored_mask:%*x%n", (unsigned int *)&watch.item.wd, &watch.ino,
				  &watch.dev, &watch.item.mask, &at) != 4)
		return;
	text += at;
	at = 0;
	if (sscanf(text, " fhandle-bytes:%x fhandle-type:%x f_handle:%n", &bytes, &type, &at) == 2 && at && bytes <= HANDLE_BYTES) {
		watch.handle.h.handle_bytes = bytes;
		watch.handle.h.handle_type = (int)type;
		for (i = 0; i < bytes; i++)
			sscanf(text + at + 2 * i, "%2hhx", &watch.handle.h.f_handle[i]);
	}
	more = reallocarray(list->watches, list->n + 1, sizeof(watch));
	if (!more) {
		list->error = -ENOMEM;
		return;
	}
	list->watches = more;
	list->watches[list->n++] = watch;
}

/* A descriptor of any directory of the device's file system; negative errno. */
static int open_mount(unsigned int device, int floor)
{
	FILE *f = cr_file_fopen_high("/proc/thread-self/mountinfo", floor);
	unsigned int major_number, minor_number;
	char line[PATH_MAX + 512], point[PATH_MAX];
	int fd = -ENOENT;

	if (!f)
		return -errno;
	while (fd < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &major_number, &minor_number, point) == 3 && (major_number << 20 | minor_number) == device)
			fd = cr_file_open_high(point, O_RDONLY | O_DIRECTORY, 0, floor);
	}
	fclose(f);
	return fd;
}

/* NULL: no name leads there, or it may not be asked; *ret_errno says why. Given. */
static char *find_name(struct inotify_watch *watch, int floor, int *ret_errno)
{
	char link[64], name[PATH_MAX];
	int mount, fd;
	struct stat st;
	ssize_t n;

	*ret_errno = EOPNOTSUPP;
	if (!watch->handle.h.handle_bytes)
		return NULL;
	mount = open_mount(watch->dev, floor);
	if (mount < 0) {
		*ret_errno = -mount;
		return NULL;
	}
	fd = open_by_handle_at(mount, &watch->handle.h, O_PATH | O_CLOEXEC);
	*ret_errno = errno;
	close(mount);
	fd = cr_file_move_high(fd, floor);
	if (fd < 0)
		return NULL;
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
	n = readlink(link, name, sizeof(name) - 1);
	close(fd);
	*ret_errno = ENOENT;
	if (n <= 0)
		return NULL;
	name[n] = '\0';
	if (name[0] != '/' || stat(name, &st) < 0 || st.st_ino != watch->ino)
		return NULL;
	return strdup(name);
}

static int read_watches(const struct cr_file_set *set, const struct cr_open_file *file, struct inotify_list *list)
{
	int r = cr_file_fdinfo(file->fds[0].fd, set->floor, watch_line, list);

	return r < 0 ? r : list->error;
}

bool cr_file_inotify_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	struct inotify_list list = { .n = 0 };
	int waiting = 0, error = 0, r;
	bool ok = cr_file_anon_check(set, file, refusals);
	unsigned int i;

	if (!ok)
		return false;
	if (ioctl(file->fds[0].fd, FIONREAD, &waiting) == 0 && waiting > 0) {
		cr_file_refuse(refusals, file, "is an inotify instance in which %d bytes of events wait, which a checkpoint cannot save; read them before the checkpoint",
			       waiting);
		return false;
	}
	r = read_watches(set, file, &list);
	if (r < 0) {
		cr_file_refuse(refusals, file, "is an inotify instance whose watches cannot be read: %s; close it before the checkpoint", strerror(-r));
		ok = false;
	}
	for (i = 0; ok && i < list.n; i++) {
		char *name = find_name(&list.watches[i], set->floor, &error);

		if (!name) {
			cr_file_refuse(refusals, file, "is an inotify instance, and the name of what its watch %d watches (inode %" PRIu64 ") cannot be found out: %s%s; remove the watch before the checkpoint",
				       list.watches[i].item.wd, list.watches[i].ino, strerror(error), error == EPERM ? " (CAP_DAC_READ_SEARCH is needed)" : "");
			ok = false;
		}
		free(name);
	}
	free(list.watches);
	return ok;
}

static int put_watch(const struct cr_file_set *set, const struct cr_open_file *file, struct inotify_watch *watch, struct cr_image_writer *w,
		     struct cr_err *err)
{
	struct {
		struct cr_file_inotify_item item;
		char name[PATH_MAX];
	} content = { .item = watch->item };
	int error;
	char *name = find_name(watch, set->floor, &error);

	if (!name)
		return cr_err_set(err, error, "descriptor %d: what inotify watch %d watches cannot be found out: %s", file->fds[0].fd, watch->item.wd,
				  strerror(error));
	snprintf(content.name, sizeof(content.name), "%s", name);
	free(name);
	return cr_file_data_put(file, CR_FILE_DATA_ITEM, &content, sizeof(content.item) + strlen(content.name) + 1, w, err);
}

int cr_file_inotify_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct inotify_list list = { .n = 0 };
	unsigned int i;
	int r = read_watches(set, file, &list);

	if (r < 0)
		r = cr_err_set(err, r, "descriptor %d: the watches of inotify cannot be read: %s", file->fds[0].fd, strerror(-r));
	/* The kernel lists the newest first. */
	for (i = list.n; r >= 0 && i > 0; i--)
		r = put_watch(set, file, &list.watches[i - 1], w, err);
	free(list.watches);
	return r;
}

/* 1 with the next watch, 0 at the end, -EBADMSG. @ret_name is borrowed. */
static int next_watch(const struct cr_image *img, struct cr_image_record *at, const struct cr_file_view *view, struct cr_file_inotify_item *ret,
		      const char **ret_name, struct cr_err *err)
{
	struct cr_file_data_payload data;
	const char *content;

	if (!cr_file_data_next(img, at, view, CR_FILE_DATA_ITEM, &data, (const void **)&content))
		return 0;
	if (data.bytes < sizeof(*ret) + 2 || content[data.bytes - 1] != '\0')
		return cr_err_set(err, EBADMSG, "descriptor %d: a watch of inotify has no name", view->fds[0].fd);
	memcpy(ret, content, sizeof(*ret));
	*ret_name = cr_relocate(content + sizeof(*ret));
	return 1;
}

int cr_file_inotify_restore_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_inotify_item item;
	const char *name;
	struct stat st;
	int r;

	while ((r = next_watch(img, &at, view, &item, &name, err)) > 0) {
		if (lstat(name, &st) < 0)
			return cr_err_set(err, errno, "descriptor %d: %s, which inotify watched at the checkpoint: %s; put it back under this name",
					  view->fds[0].fd, name, strerror(errno));
	}
	return r;
}

int cr_file_inotify_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	int fd = inotify_init1(IN_CLOEXEC | ((int)view->head.open_flags & O_NONBLOCK ? IN_NONBLOCK : 0)), r;

	(void)rec;
	if (fd < 0)
		return cr_err_set(err, errno, "descriptor %d: an inotify instance cannot be made: %s", view->fds[0].fd, strerror(errno));
	r = cr_file_move_high(fd, x->floor);
	return r < 0 ? cr_err_set(err, r, "descriptor %d: no number at or above %d is free", view->fds[0].fd, x->floor) : r;
}

/* Numbers only go up; a kernel that cannot be told the next one is asked until it comes to it. */
static int add_watch(int fd, const struct cr_file_inotify_item *item, const char *name)
{
	int32_t next = item->wd;
	int wd, tries;

	ioctl(fd, SET_NEXT_WD, next);
	for (tries = 0; tries < WD_TRIES; tries++) {
		wd = inotify_add_watch(fd, name, item->mask & ~(uint32_t)(IN_IGNORED | IN_Q_OVERFLOW | IN_UNMOUNT));
		if (wd == item->wd)
			return 0;
		if (wd < 0)
			return -errno;
		inotify_rm_watch(fd, wd);
		if (wd > item->wd)
			return -EEXIST;
	}
	return -ERANGE;
}

int cr_file_inotify_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_inotify_item item;
	int fd = view->fds[0].fd, waiting = 0, r;
	char events[4096];
	const char *name;

	while ((r = next_watch(x->img, &at, view, &item, &name, err)) > 0) {
		r = add_watch(fd, &item, name);
		if (r < 0)
			return cr_err_set(err, r, "descriptor %d: %s cannot be watched again with number %d: %s", fd, name, item.wd, strerror(-r));
	}
	/* What making the watches has caused. */
	while (r >= 0 && ioctl(fd, FIONREAD, &waiting) == 0 && waiting > 0 && read(fd, events, sizeof(events)) > 0)
		;
	return r;
}

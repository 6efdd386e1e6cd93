/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * epoll instances with what they watch.
 *
 * The kernel keeps a watch under the pair of a number and the open file description that the number stood for when it was added. The number may be
 * closed and used again while another descriptor keeps the description open; kcmp(2) tells which descriptor of the program it is.
 * A watch with EPOLLET reports once more after a restart, as the kernel does when a watch is added; a one-shot watch that has fired stays off.
 */
#include "libcr/lower/files_ops.h"
#include "libcr/lower/files_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel keeps of a one-shot watch that has fired. */
#define EVENTS_OFF (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

struct watch_list {
	struct cr_file_epoll_item *items;
	unsigned int n;
	int error;
};

static void watch_line(void *arg, const char *text)
{
	struct watch_list *list = arg;
	struct cr_file_epoll_item item = { .source = -1 }, *more;

	if (list->error || sscanf(text, "tfd: %" SCNd32 " events: %" SCNx32 " data: %" SCNx64, &item.fd, &item.events, &item.data) != 3)
		return;
	more = reallocarray(list->items, list->n + 1, sizeof(item));
	if (!more) {
		list->error = -ENOMEM;
		return;
	}
	list->items = more;
	list->items[list->n++] = item;
}

static bool is_watched(int epoll_fd, const struct watch_list *list, unsigned int which, int fd)
{
	struct kcmp_epoll_slot slot = { .efd = (uint32_t)epoll_fd, .tfd = (uint32_t)list->items[which].fd };
	pid_t tid = gettid();
	unsigned int i;
	long r;

	for (i = 0; i < which; i++)
		slot.toff += list->items[i].fd == list->items[which].fd;
	r = syscall(SYS_kcmp, tid, tid, KCMP_EPOLL_TFD, fd, &slot);
	/* Where it may not be asked, the number is believed. */
	return r == 0 || (r < 0 && errno != ENOENT && errno != EBADF && fd == list->items[which].fd && fcntl(fd, F_GETFD) >= 0);
}

static int find_source(const struct cr_file_set *set, int epoll_fd, const struct watch_list *list, unsigned int which)
{
	unsigned int i;

	if (list->items[which].fd < set->floor && is_watched(epoll_fd, list, which, list->items[which].fd))
		return list->items[which].fd;
	for (i = 0; i < set->n; i++) {
		if (is_watched(epoll_fd, list, which, set->files[i].fds[0].fd))
			return cr_file_passed_known(set, i);
	}
	return -1;
}

/* @list is to be freed also after a failure. A watch of what nobody has open any more has the source -1. */
static int read_watches(const struct cr_file_set *set, const struct cr_open_file *file, struct watch_list *list)
{
	unsigned int i;
	int r = cr_file_fdinfo(file->fds[0].fd, set->floor, watch_line, list);

	if (r == 0)
		r = list->error;
	for (i = 0; r == 0 && i < list->n; i++)
		list->items[i].source = find_source(set, file->fds[0].fd, list, i);
	return r;
}

bool cr_file_epoll_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	struct watch_list list = { .n = 0 };
	unsigned int i;
	bool ok = cr_file_anon_check(set, file, refusals);
	int r;

	if (!ok)
		return false;
	r = read_watches(set, file, &list);
	if (r < 0) {
		cr_file_refuse(refusals, file, "is an epoll instance whose watches cannot be read: %s; close it before the checkpoint", strerror(-r));
		ok = false;
	}
	for (i = 0; ok && i < list.n; i++) {
		if (list.items[i].source >= 0 || set->under_way)
			continue;
		cr_file_refuse(refusals, file, "is an epoll instance that watches something added as descriptor %d, which no descriptor refers to any more; remove it with EPOLL_CTL_DEL before its descriptor is closed",
			       list.items[i].fd);
		ok = false;
	}
	free(list.items);
	return ok;
}

int cr_file_epoll_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct watch_list list = { .n = 0 };
	unsigned int i;
	int r = read_watches(set, file, &list);

	if (r < 0)
		r = cr_err_set(err, r, "descriptor %d: the watches of the epoll instance cannot be read: %s", file->fds[0].fd, strerror(-r));
	for (i = 0; r >= 0 && i < list.n; i++)
		r = cr_file_data_put(file, CR_FILE_DATA_ITEM, &list.items[i], sizeof(list.items[i]), w, err);
	free(list.items);
	return r;
}

int cr_file_epoll_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	int fd = epoll_create1(EPOLL_CLOEXEC), r;

	(void)rec;
	if (fd < 0)
		return cr_err_set(err, errno, "descriptor %d: an epoll instance cannot be made: %s", view->fds[0].fd, strerror(errno));
	r = cr_file_move_high(fd, x->floor);
	return r < 0 ? cr_err_set(err, r, "descriptor %d: no number at or above %d is free", view->fds[0].fd, x->floor) : r;
}

/* The number that is watched is not the source's: lend it the source's description while it is added. */
static int add_under(struct cr_file_restore *x, int epoll_fd, const struct cr_file_epoll_item *item, struct epoll_event *event)
{
	int flags = fcntl(item->fd, F_GETFD), spare = -1, r;

	if (flags >= 0) {
		spare = cr_file_dup_high(item->fd, x->floor);
		if (spare < 0)
			return spare;
	}
	r = dup2(item->source, item->fd) < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, item->fd, event) < 0 ? -errno : 0;
	if (spare < 0) {
		close(item->fd);
		return r;
	}
	dup3(spare, item->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
	close(spare);
	return r;
}

static int add_watches(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, bool off, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	struct cr_file_epoll_item item;
	const void *content;
	int fd = view->fds[0].fd, r = 0;

	while (r >= 0 && cr_file_data_next(x->img, &at, view, CR_FILE_DATA_ITEM, &data, &content)) {
		struct epoll_event event;

		if (data.bytes != sizeof(item))
			return cr_err_set(err, EBADMSG, "descriptor %d: a watch of %llu bytes", fd, (unsigned long long)data.bytes);
		memcpy(&item, content, sizeof(item));
		if (off != !(item.events & ~(uint32_t)EVENTS_OFF))
			continue;
		if (item.fd < 0 || item.fd >= x->floor || item.source < 0 || item.source >= x->floor)
			return cr_err_set(err, EBADMSG, "descriptor %d: a watch of descriptor %d makes no sense", fd, item.fd);
		event = (struct epoll_event){ .events = item.events, .data.u64 = item.data };
		if (item.fd == item.source)
			r = epoll_ctl(fd, EPOLL_CTL_ADD, item.fd, &event) < 0 ? -errno : 0;
		else
			r = add_under(x, fd, &item, &event);
		if (r < 0)
			return cr_err_set(err, r, "descriptor %d: descriptor %d cannot be watched again: %s", fd, item.fd, strerror(-r));
	}
	return r;
}

int cr_file_epoll_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct epoll_event fired[16];
	int r = add_watches(x, rec, view, true, err);

	/* Adding turns errors and hang-ups on again; what has one to report fires and is off as before. */
	while (r >= 0 && epoll_wait(view->fds[0].fd, fired, 16, 0) > 0)
		;
	return r < 0 ? r : add_watches(x, rec, view, false, err);
}

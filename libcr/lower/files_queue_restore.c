/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waited in a UNIX socket, sent again: by its other end, or by whoever had sent it.
 */
#include <errno.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/lower/files_ops.h"

#define ROOM_BYTES (4 << 20)

struct piece {
	struct cr_file_message from;
	struct cr_file_credentials who;
	bool has_who;
	const char *rights; /* borrowed, not aligned */
	uint64_t rights_bytes;
	const char *content; /* borrowed */
	uint64_t bytes;
};

static int make_no_sense(const struct cr_file_view *view, struct cr_err *err)
{
	return cr_err_set(err, EBADMSG, "descriptor %d: a message in a socket makes no sense", view->fds[0].fd);
}

/* What belongs to the content that follows: 0 or -EBADMSG. */
static int take_attribute(const struct cr_file_data_payload *data, const char *content, struct piece *ret)
{
	switch (data->attrs) {
	case CR_FILE_DATA_MESSAGE:
		if (data->bytes != sizeof(ret->from))
			return -EBADMSG;
		memcpy(&ret->from, content, sizeof(ret->from));
		return ret->from.address_bytes > sizeof(ret->from.address) ? -EBADMSG : 0;
	case CR_FILE_DATA_CREDENTIALS:
		if (data->bytes != sizeof(ret->who))
			return -EBADMSG;
		memcpy(&ret->who, content, sizeof(ret->who));
		ret->has_who = true;
		return 0;
	case CR_FILE_DATA_RIGHTS:
		ret->rights = content;
		ret->rights_bytes = data->bytes;
		return data->bytes % sizeof(int32_t) || data->bytes > CR_FILE_MAX_RIGHTS * sizeof(int32_t) ? -EBADMSG : 0;
	}
	return 0;
}

/* The next piece of content and what belongs to it: 1, 0 at the end, or -EBADMSG. */
static int next_piece(const struct cr_image *img, struct cr_image_record *at, const struct cr_file_view *view, struct piece *ret, struct cr_err *err)
{
	struct cr_file_data_payload data;
	const char *content;

	*ret = (struct piece){ .bytes = 0 };
	while (cr_image_next(img, at) > 0 && at->type == CR_REC_FILE_DATA) {
		if (cr_file_data_parse(at, &data, (const void **)&content, err) < 0)
			return -EBADMSG;
		if (data.object != view->head.object)
			return 0;
		if (!(data.attrs & ~CR_FILE_DATA_PACKET)) {
			ret->content = content;
			ret->bytes = data.bytes;
			return 1;
		}
		if (take_attribute(&data, content, ret) < 0)
			return make_no_sense(view, err);
	}
	return 0;
}

/* The descriptors of a message, in place: none of the lower half's. */
static size_t put_rights(const struct cr_file_restore *x, const struct piece *p, struct cmsghdr *c)
{
	int fd;

	for (uint64_t i = 0; i < p->rights_bytes; i += sizeof(fd)) {
		memcpy(&fd, p->rights + i, sizeof(fd));
		if (fd < 0 || fd >= x->floor)
			return 0;
		memcpy(CMSG_DATA(c) + i, &fd, sizeof(fd));
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(p->rights_bytes);
	return CMSG_SPACE(p->rights_bytes);
}

static size_t put_who(const struct piece *p, struct cmsghdr *c)
{
	struct ucred who = { .pid = getpid(), .uid = p->who.uid, .gid = p->who.gid };

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof(who));
	memcpy(CMSG_DATA(c), &who, sizeof(who));
	return CMSG_SPACE(sizeof(who));
}

/* The whole of it, or what fits of a stream; the descriptors go with the first bytes. */
static ssize_t send_some(const struct cr_file_restore *x, int from, const struct cr_file_queue_to *to, const struct piece *p, uint64_t done)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(CR_FILE_MAX_RIGHTS * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)(p->content + done), .iov_len = p->bytes - done };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (to && to->address_bytes) {
		h.msg_name = (void *)(uintptr_t)to->address;
		h.msg_namelen = to->address_bytes;
	}
	if (p->has_who)
		h.msg_controllen += put_who(p, (void *)control);
	if (p->rights_bytes && !done) {
		size_t n = put_rights(x, p, (void *)(control + h.msg_controllen));

		if (!n) {
			errno = EBADMSG;
			return -1;
		}
		h.msg_controllen += n;
	}
	h.msg_control = h.msg_controllen ? control : NULL;
	return sendmsg(from, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int send_all(const struct cr_file_restore *x, int from, const struct cr_file_queue_to *to, const struct piece *p)
{
	uint64_t done = 0;
	ssize_t n;

	do {
		n = send_some(x, from, to, p, done);
		done += n > 0 ? (uint64_t)n : 0;
	} while (n > 0 && done < p->bytes);
	return n < 0 ? -errno : 0;
}

/*
 * By a process with the id of the sender, which ends at once: the kernel keeps the id in the message. Where it may not be chosen, or somebody has it,
 * the id is this process's.
 */
static int send_as(const struct cr_file_restore *x, pid_t pid, int from, const struct cr_file_queue_to *to, const struct piece *p)
{
	struct clone_args a = { .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1 };
	long child = syscall(SYS_clone3, &a, sizeof(a));
	int status;

	if (child < 0)
		return send_all(x, from, to, p);
	if (child == 0)
		_exit(-send_all(x, from, to, p));
	while (waitpid((pid_t)child, &status, __WALL) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static int send_piece(const struct cr_file_restore *x, int from, const struct cr_file_queue_to *to, const struct piece *p)
{
	return p->has_who && p->who.pid ? send_as(x, p->who.pid, from, to, p) : send_all(x, from, to, p);
}

static void set_room(int fd, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int get_room(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len) < 0 ? 0 : value / 2;
}

int cr_file_queue_send(const struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, int from,
		       const struct cr_file_queue_to *to, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct piece p;
	int r;

	while ((r = next_piece(x->img, &at, view, &p, err)) > 0) {
		int by = to && p.from.address_bytes ? to->sender(to->arg, p.from.address, p.from.address_bytes) : from, old;

		if (by < 0)
			return cr_err_set(err, EBADMSG, "descriptor %d: the sender of a datagram in a socket is missing", view->fds[0].fd);
		old = get_room(by);
		/* In larger pieces, or with other overhead, than the program sent them. */
		set_room(by, ROOM_BYTES);
		r = send_piece(x, by, to, &p);
		set_room(by, old);
		if (r < 0)
			return cr_err_set(err, r, "descriptor %d: %llu bytes that waited in the socket%s cannot be sent again: %s", view->fds[0].fd,
					  (unsigned long long)p.bytes, p.rights_bytes ? ", with descriptors (SCM_RIGHTS)," : "", strerror(-r));
	}
	return r;
}

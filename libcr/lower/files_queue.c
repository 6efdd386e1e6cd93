/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in UNIX sockets: bytes, messages, and who sent a datagram.
 *
 * Invariant: looking at a queue takes nothing out of it.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcr/lower/files_socket.h"

#define QUEUE_MIN_BYTES (256U << 10)
#define ROOM_BYTES (4 << 20)

struct queue {
	const struct cr_file_set *set;
	const struct cr_open_file *file;
	struct cr_image_writer *w;
	bool stream;
	char *buffer;
	size_t bytes;
};

static int get_int(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

/* One message, or what fits into @bytes of a stream, from the place that SO_PEEK_OFF has reached: its length, -EAGAIN at the end, or another errno. */
static ssize_t peek(const struct queue *q, size_t bytes, struct cr_file_message *ret, struct cr_err *err)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
	struct iovec iov = { .iov_base = q->buffer, .iov_len = bytes };
	int fd = q->file->fds[0].fd;
	/* Room for the sender's identity, when that was asked for, and for nothing else: descriptors are not taken, but leave a mark. */
	struct msghdr m = {
		.msg_name = ret->address, .msg_namelen = sizeof(ret->address), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = get_int(fd, SO_PASSCRED) ? sizeof(control) : 0,
	};
	ssize_t n = recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	ret->address_bytes = 0;
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : cr_err_set(err, errno, "descriptor %d: what waits in the socket cannot be read: %s", fd, strerror(errno));
	if (m.msg_flags & MSG_CTRUNC)
		return cr_err_set(err, ENOTSUP, "descriptor %d is a UNIX socket in which descriptors are under way (SCM_RIGHTS), which a checkpoint cannot save; receive them before the checkpoint",
				  fd);
	if (m.msg_flags & MSG_TRUNC && bytes == q->bytes)
		return cr_err_set(err, EMSGSIZE, "descriptor %d: a message in the socket is longer than %zu bytes; receive it before the checkpoint", fd, bytes);
	if (m.msg_namelen > sizeof(sa_family_t) && m.msg_namelen <= sizeof(ret->address) && q->file->socket->state == CR_FILE_SOCKET_OPEN)
		ret->address_bytes = m.msg_namelen;
	return n;
}

static bool has_socket_at(const struct cr_file_set *set, const struct cr_file_message *m)
{
	for (unsigned int i = 0; i < set->n; i++) {
		const struct cr_file_socket *s = set->files[i].socket;

		if (s && s->address_bytes == m->address_bytes && memcmp(s->address, m->address, m->address_bytes) == 0)
			return true;
	}
	return false;
}

static int put(const struct queue *q, const struct cr_file_message *m, const char *content, size_t bytes, struct cr_err *err)
{
	int r = 0;

	if (m->address_bytes && !has_socket_at(q->set, m))
		return cr_err_set(err, ENOTSUP, "descriptor %d: a datagram waits in the socket that another process has sent under a name, which a checkpoint cannot save; receive it before the checkpoint",
				  q->file->fds[0].fd);
	if (m->address_bytes)
		r = cr_file_data_put(q->file, CR_FILE_DATA_MESSAGE, m, sizeof(*m), q->w, err);
	return r < 0 ? r : cr_file_data_put(q->file, q->stream ? 0 : CR_FILE_DATA_PACKET, content, bytes, q->w, err);
}

static int save_all(const struct queue *q, struct cr_err *err)
{
	const struct cr_file_socket *s = q->file->socket;
	int r = 0;
	struct cr_file_message m;

	while (r >= 0) {
		ssize_t n = peek(q, q->bytes, &m, err);

		/* An empty packet is one, except at the end of what was shut down. */
		if (n == -EAGAIN || (n == 0 && (s->type != SOCK_DGRAM && s->shut & 1)))
			break;
		if (n < 0)
			r = (int)n;
		else
			r = put(q, &m, q->buffer, (size_t)n, err);
	}
	return r;
}

int cr_file_queue_save(const struct cr_file_set *set, const struct cr_open_file *file, int sndbuf, struct cr_image_writer *w, struct cr_err *err)
{
	int fd = file->fds[0].fd, from = 0, old = get_int(fd, SO_PEEK_OFF), r = 0;
	struct queue q = {
		.set = set, .file = file, .w = w, .stream = file->socket->type == SOCK_STREAM,
		.bytes = (unsigned int)sndbuf > QUEUE_MIN_BYTES ? (size_t)sndbuf : QUEUE_MIN_BYTES,
	};

	q.buffer = malloc(q.bytes);
	if (!q.buffer)
		return cr_err_set(err, ENOMEM, "descriptor %d: out of memory for what waits in the socket", fd);
	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)) < 0)
		r = cr_err_set(err, errno, "descriptor %d: SO_PEEK_OFF: %s", fd, strerror(errno));
	if (r >= 0)
		r = save_all(&q, err);
	setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &old, sizeof(old));
	free(q.buffer);
	return r;
}

/* --- restart --- */

/* The next piece of content and what belongs to it: 1, 0 at the end, or -EBADMSG. */
static int next_piece(const struct cr_image *img, struct cr_image_record *at, const struct cr_file_view *view, struct cr_file_message *ret,
		      struct cr_file_data_payload *ret_data, const char **ret_content, struct cr_err *err)
{
	memset(ret, 0, sizeof(*ret));
	while (cr_image_next(img, at) > 0 && at->type == CR_REC_FILE_DATA) {
		if (cr_file_data_parse(at, ret_data, (const void **)ret_content, err) < 0)
			return -EBADMSG;
		if (ret_data->object != view->head.object)
			return 0;
		if (ret_data->attrs == CR_FILE_DATA_MESSAGE) {
			if (ret_data->bytes == sizeof(*ret))
				memcpy(ret, *ret_content, sizeof(*ret));
			if (ret_data->bytes != sizeof(*ret) || ret->address_bytes > sizeof(ret->address))
				return cr_err_set(err, EBADMSG, "descriptor %d: a message in a socket makes no sense", view->fds[0].fd);
		} else if (!(ret_data->attrs & ~CR_FILE_DATA_PACKET)) {
			return 1;
		}
	}
	return 0;
}

static ssize_t send_piece(int from, const struct cr_file_queue_to *to, const char *content, size_t bytes)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)content, .iov_len = bytes };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (to && to->address_bytes) {
		h.msg_name = (void *)(uintptr_t)to->address;
		h.msg_namelen = to->address_bytes;
	}
	return sendmsg(from, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void set_room(int fd, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

int cr_file_queue_send(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, int from,
		       const struct cr_file_queue_to *to, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	const char *content;
	struct cr_file_message m;
	int r;

	while ((r = next_piece(img, &at, view, &m, &data, &content, err)) > 0) {
		int by = to && m.address_bytes ? to->sender(to->arg, m.address, m.address_bytes) : from, old;
		uint64_t done = 0;
		ssize_t n = 0;

		if (by < 0)
			return cr_err_set(err, EBADMSG, "descriptor %d: the sender of a datagram in a socket is missing", view->fds[0].fd);
		old = get_int(by, SO_SNDBUF) / 2;
		/* In larger pieces, or with other overhead, than the program sent them. */
		set_room(by, ROOM_BYTES);
		do {
			n = send_piece(by, to, content + done, data.bytes - done);
			done += n > 0 ? (uint64_t)n : 0;
		} while (n > 0 && done < data.bytes);
		if (n < 0)
			r = cr_err_set(err, errno, "descriptor %d: %llu bytes that waited in the socket cannot be sent again: %s", view->fds[0].fd,
				       (unsigned long long)data.bytes, strerror(errno));
		set_room(by, old);
		if (r < 0)
			return r;
	}
	return r;
}

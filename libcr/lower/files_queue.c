/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in UNIX sockets: bytes, messages, who sent a datagram, descriptors that are under way.
 *
 * Invariant: looking at a queue takes nothing out of it.
 */
#include "libcr/lower/files_queue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcr/lower/files_ops.h"

#define QUEUE_MIN_BYTES (256U << 10)
#define SCM_PIDFD_TYPE 4
#define ROOM_WHO CMSG_SPACE(sizeof(struct ucred))
#define ROOM_ALL (2 * ROOM_WHO + CMSG_SPACE(CR_FILE_MAX_RIGHTS * sizeof(int)))

struct walk {
	int fd;
	int floor;
	bool rights;
	bool stream;
	bool named; /* the sender's name is asked for: it is of interest where it is not the same for all */
	int passcred;
	char *buffer;
	size_t bytes;
	struct cr_queue_piece piece;
};

static int get_int(int fd, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? 0 : value;
}

static int peek_from(const struct walk *k, size_t offset, struct cr_err *err)
{
	int from = (int)offset;

	return setsockopt(k->fd, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)) < 0
		       ? cr_err_set(err, errno, "descriptor %d: SO_PEEK_OFF: %s", k->fd, strerror(errno)) : 0;
}

static void close_fds(struct cr_queue_piece *piece)
{
	while (piece->n_fds)
		close(piece->fds[--piece->n_fds]);
}

/* Moved above the program's numbers: those are looked up among the program's descriptors. */
static int take_control(struct walk *k, struct msghdr *m)
{
	struct cr_queue_piece *p = &k->piece;
	int fd, r = 0;

	p->n_fds = 0;
	p->has_who = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && c->cmsg_len == CMSG_LEN(sizeof(p->who))) {
			memcpy(&p->who, CMSG_DATA(c), sizeof(p->who));
			p->has_who = p->who.pid != 0; /* sent before anybody asked */
		}
		for (size_t i = 0; i < n && (c->cmsg_type == SCM_RIGHTS || c->cmsg_type == SCM_PIDFD_TYPE); i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (c->cmsg_type == SCM_PIDFD_TYPE || p->n_fds == CR_FILE_MAX_RIGHTS) {
				close(fd);
				continue;
			}
			fd = cr_file_move_high(fd, k->floor);
			if (fd < 0)
				r = fd;
			else
				p->fds[p->n_fds++] = fd;
		}
	}
	if (r < 0)
		close_fds(p);
	return r;
}

/* One message, or what fits into @bytes of a stream, from the place that SO_PEEK_OFF has reached: its length, -EAGAIN at the end, or another errno. */
static ssize_t peek(struct walk *k, struct cr_err *err)
{
	_Alignas(struct cmsghdr) char control[ROOM_ALL];
	struct cr_file_message *from = &k->piece.from;
	struct iovec iov = { .iov_base = k->buffer, .iov_len = k->bytes };
	/* Without @rights: room for the sender's identity, when that was asked for, and for nothing else. */
	struct msghdr m = {
		.msg_name = from->address, .msg_namelen = sizeof(from->address), .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = k->rights ? sizeof(control) : k->passcred ? ROOM_WHO : 0,
	};
	ssize_t n = recvmsg(k->fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int r;

	from->address_bytes = 0;
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : cr_err_set(err, errno, "descriptor %d: what waits in the socket cannot be read: %s", k->fd, strerror(errno));
	r = take_control(k, &m);
	if (r < 0)
		return cr_err_set(err, r, "descriptor %d: no number is free for what is under way in the socket (SCM_RIGHTS): %s; raise the limit (ulimit -n)", k->fd, strerror(-r));
	if (m.msg_flags & MSG_CTRUNC)
		r = k->rights ? cr_err_set(err, EMFILE, "descriptor %d: what is under way in the socket (SCM_RIGHTS) cannot be looked at; raise the limit of open files (ulimit -n)", k->fd)
			      : cr_err_set(err, ENOTSUP, "descriptor %d is a UNIX socket in which descriptors are under way (SCM_RIGHTS), and the kernel does not tell how many (Linux 5.6 does); receive them before the checkpoint",
					   k->fd);
	else if (m.msg_flags & MSG_TRUNC && !k->stream)
		r = cr_err_set(err, EMSGSIZE, "descriptor %d: a message in the socket is longer than %zu bytes; receive it before the checkpoint", k->fd, k->bytes);
	if (r < 0) {
		close_fds(&k->piece);
		return r;
	}
	if (k->named && m.msg_namelen > sizeof(sa_family_t) && m.msg_namelen <= sizeof(from->address))
		from->address_bytes = m.msg_namelen;
	return n;
}

/*
 * Looking at a stream ends behind what came with descriptors, but begins with bytes that came before those, however few are asked for. Who reads gets the
 * descriptors with the first of the bytes that were sent with them: which is it, of the @n at @offset? The kernel copies what was sent together as a whole
 * or not at all: with no room for the last byte it ends where that begins.
 */
static ssize_t first_carrying(const struct walk *k, size_t offset, size_t n, struct cr_err *err)
{
	void *nowhere = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov[2] = { { .iov_base = k->buffer, .iov_len = n - 1 }, { .iov_base = nowhere, .iov_len = 1 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t before = -ENOMEM;

	if (nowhere != MAP_FAILED) {
		before = peek_from(k, offset, err);
		if (before == 0)
			before = recvmsg(k->fd, &m, MSG_PEEK | MSG_DONTWAIT);
		if (before < 0)
			before = errno == EFAULT ? 0 : -errno;
		munmap(nowhere, 1);
	}
	return before >= 0 ? before : cr_err_set(err, (int)before, "descriptor %d: what waits in the socket cannot be read: %s", k->fd, strerror((int)-before));
}

static int give_stream(struct walk *k, size_t offset, size_t n, int (*each)(void *arg, const struct cr_queue_piece *piece, struct cr_err *err), void *arg, struct cr_err *err)
{
	struct cr_queue_piece plain = k->piece;
	ssize_t before = k->piece.n_fds ? first_carrying(k, offset, n, err) : 0;
	int r = before < 0 ? (int)before : 0;

	if (before > 0) {
		/* The buffer was written again, with the same bytes. */
		plain.n_fds = 0;
		plain.content = k->buffer;
		plain.bytes = (size_t)before;
		r = each(arg, &plain, err);
	}
	if (r < 0) {
		close_fds(&k->piece);
		return r;
	}
	k->piece.content = k->buffer + before;
	k->piece.bytes = n - (size_t)before;
	return each(arg, &k->piece, err);
}

static int walk_all(struct walk *k, int (*each)(void *arg, const struct cr_queue_piece *piece, struct cr_err *err), void *arg, struct cr_err *err)
{
	struct pollfd end = { .fd = k->fd, .events = POLLRDHUP };
	bool datagrams = get_int(k->fd, SO_TYPE) == SOCK_DGRAM, shut = poll(&end, 1, 0) > 0 && end.revents & POLLRDHUP;
	size_t offset = 0;
	int r = peek_from(k, 0, err);

	while (r >= 0) {
		ssize_t n = peek(k, err);

		/* An empty packet is one, except at the end of what was shut down. */
		if (n == -EAGAIN || (n == 0 && (k->stream || (!datagrams && shut && !k->piece.n_fds && !k->piece.has_who))))
			break;
		if (n < 0)
			return (int)n;
		if (k->stream) {
			r = give_stream(k, offset, (size_t)n, each, arg, err);
		} else {
			k->piece.content = k->buffer;
			k->piece.bytes = (size_t)n;
			r = each(arg, &k->piece, err);
		}
		offset += (size_t)n;
		/* The look for the first byte has moved it. */
		if (r >= 0 && k->stream && k->piece.n_fds)
			r = peek_from(k, offset, err);
	}
	return r < 0 ? r : 0;
}

int cr_file_queue_walk(int fd, bool rights, size_t bytes, int floor, int (*each)(void *arg, const struct cr_queue_piece *piece, struct cr_err *err), void *arg,
		       struct cr_err *err)
{
	int old = get_int(fd, SO_PEEK_OFF), waiting = 0, r;
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	struct walk k = {
		.fd = fd, .floor = floor, .rights = rights, .stream = get_int(fd, SO_TYPE) == SOCK_STREAM, .named = getpeername(fd, (void *)&peer, &len) < 0,
		.passcred = get_int(fd, SO_PASSCRED), .bytes = bytes > QUEUE_MIN_BYTES ? bytes : QUEUE_MIN_BYTES,
	};

	/* All of a stream at once: a piece that comes with descriptors is not cut. */
	if (k.stream && ioctl(fd, FIONREAD, &waiting) == 0 && (size_t)waiting >= k.bytes)
		k.bytes = (size_t)waiting + 1;
	k.buffer = malloc(k.bytes);
	if (!k.buffer)
		return cr_err_set(err, ENOMEM, "descriptor %d: out of memory for what waits in the socket", fd);
	r = walk_all(&k, each, arg, err);
	setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &old, sizeof(old));
	free(k.buffer);
	return r;
}

void cr_file_queue_destroy(struct cr_file_queue *queue)
{
	if (!queue)
		return;
	for (unsigned int i = 0; i < queue->n; i++) {
		free(queue->kept[i].content);
		free(queue->kept[i].files);
	}
	free(queue->kept);
	free(queue);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets made again.
 *
 * Both ends of a pair are made when the first of them is met; the other one is kept until its own record comes. Ends that were accepted are made
 * by a second pass, by connecting to the listening socket. What waits in a socket is sent by its other end when everything is in place.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcr/lower/files_socket.h"

static const struct cr_socket_option options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, true },	{ SOL_SOCKET, SO_REUSEPORT, true },	{ SOL_SOCKET, SO_KEEPALIVE, true },
	{ SOL_SOCKET, SO_BROADCAST, true },	{ SOL_SOCKET, SO_OOBINLINE, true },	{ SOL_SOCKET, SO_DONTROUTE, true },
	{ SOL_SOCKET, SO_LINGER, true },	{ SOL_SOCKET, SO_RCVTIMEO, true },	{ SOL_SOCKET, SO_SNDTIMEO, true },
	{ SOL_SOCKET, SO_RCVLOWAT, true },	{ SOL_SOCKET, SO_PASSCRED, true },	{ SOL_SOCKET, SO_TIMESTAMP, true },
	{ SOL_SOCKET, SO_TIMESTAMPNS, true },	{ SOL_SOCKET, SO_PRIORITY, false },	{ SOL_SOCKET, SO_MARK, true },
	{ SOL_SOCKET, SO_BINDTODEVICE, true },	{ SOL_SOCKET, SO_SNDBUF, false },	{ SOL_SOCKET, SO_RCVBUF, false },
	{ SOL_SOCKET, SO_PEEK_OFF, true },	{ IPPROTO_IPV6, IPV6_V6ONLY, true },	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS, true },
	{ IPPROTO_IPV6, IPV6_TCLASS, true },	{ IPPROTO_IPV6, IPV6_RECVPKTINFO, true }, { IPPROTO_IP, IP_TOS, true },
	{ IPPROTO_IP, IP_TTL, true },		{ IPPROTO_IP, IP_PKTINFO, true },	{ IPPROTO_IP, IP_RECVERR, true },
	{ IPPROTO_IP, IP_FREEBIND, true },	{ IPPROTO_IP, IP_TRANSPARENT, true },	{ IPPROTO_IP, IP_MULTICAST_TTL, true },
	{ IPPROTO_IP, IP_MULTICAST_LOOP, true }, { IPPROTO_TCP, TCP_NODELAY, true },	{ IPPROTO_TCP, TCP_KEEPIDLE, true },
	{ IPPROTO_TCP, TCP_KEEPINTVL, true },	{ IPPROTO_TCP, TCP_KEEPCNT, true },	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, true },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, true }, { IPPROTO_TCP, TCP_FASTOPEN, true },	{ IPPROTO_TCP, TCP_MAXSEG, false },
	{ SOL_SOCKET, SO_NO_CHECK, true },	{ SOL_SOCKET, SO_RXQ_OVFL, true },	{ IPPROTO_IP, IP_RECVTTL, true },
	{ IPPROTO_IP, IP_RECVTOS, true },	{ IPPROTO_IP, IP_MTU_DISCOVER, true },	{ IPPROTO_IP, IP_MINTTL, true },
	{ IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, true }, { IPPROTO_IPV6, IPV6_MULTICAST_HOPS, true }, { IPPROTO_IPV6, IPV6_MULTICAST_LOOP, true },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS, true }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT, true }, { IPPROTO_IPV6, IPV6_RECVERR, true },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, true }, { IPPROTO_IPV6, IPV6_DONTFRAG, true }, { IPPROTO_IPV6, IPV6_FREEBIND, true },
	{ IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, true }, { IPPROTO_IPV6, IPV6_MINHOPCOUNT, true }, { IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, true },
	{ IPPROTO_TCP, TCP_CORK, true },	{ IPPROTO_TCP, TCP_SYNCNT, true },	{ IPPROTO_TCP, TCP_LINGER2, true },
	{ IPPROTO_TCP, TCP_WINDOW_CLAMP, false }, { IPPROTO_TCP, TCP_NOTSENT_LOWAT, true }, { IPPROTO_TCP, TCP_CONGESTION, false },
	{ IPPROTO_UDP, UDP_CORK, true },	{ IPPROTO_UDP, UDP_SEGMENT, true },	{ IPPROTO_UDP, UDP_GRO, true },
};

const struct cr_socket_option *cr_socket_options(unsigned int *ret_n)
{
	*ret_n = sizeof(options) / sizeof(options[0]);
	return options;
}

bool cr_socket_option_fits(const struct cr_socket_option *option, const struct cr_file_socket *s)
{
	switch (option->level) {
	case IPPROTO_IPV6:
		return s->family == AF_INET6;
	case IPPROTO_IP:
		return s->family == AF_INET;
	case IPPROTO_TCP:
		return s->family != AF_UNIX && s->type == SOCK_STREAM;
	case IPPROTO_UDP:
		return s->family != AF_UNIX && s->type == SOCK_DGRAM;
	}
	return true;
}

static int get_state(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_file_socket *ret,
		     struct cr_err *err)
{
	int r = cr_file_state_get(img, rec, view, CR_FILE_DATA_STATE, ret, sizeof(*ret), err);

	if (r < 0)
		return r;
	if (ret->state < CR_FILE_SOCKET_OPEN || ret->state > CR_FILE_SOCKET_WAITING || ret->address_bytes > sizeof(ret->address))
		return cr_err_set(err, EBADMSG, "descriptor %d: the state of a socket makes no sense", view->fds[0].fd);
	return 0;
}

static bool has_path(const struct cr_file_socket *s)
{
	return s->family == AF_UNIX && s->address_bytes > offsetof(struct sockaddr_un, sun_path) && ((const struct sockaddr_un *)(const void *)s->address)->sun_path[0];
}

/* The FILE record of the object @object, or of the socket that listens at @address. */
static bool find_socket(const struct cr_image *img, const struct cr_file_socket *listening_at, uint32_t object, struct cr_file_view *ret_view,
			struct cr_file_socket *ret)
{
	struct cr_image_record rec = { 0 };
	struct cr_file_view view;
	struct cr_file_socket s;

	while (cr_image_next(img, &rec) > 0) {
		if (rec.type != CR_REC_FILE || cr_file_view_parse(&rec, &view, NULL) < 0 || view.head.kind != CR_FILE_SOCKET ||
		    get_state(img, &rec, &view, &s, NULL) < 0)
			continue;
		if (listening_at ? s.state == CR_FILE_SOCKET_LISTENING && s.address_bytes == listening_at->address_bytes &&
					   memcmp(s.address, listening_at->address, s.address_bytes) == 0
				 : view.head.object == object) {
			*ret_view = view;
			*ret = s;
			return true;
		}
	}
	return false;
}

int cr_file_socket_restore_check(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct cr_file_view other_view;
	struct cr_file_socket s, other;
	struct stat st;
	int r, fd, busy;

	r = get_state(img, rec, view, &s, err);
	if (r < 0)
		return r;
	if (s.state == CR_FILE_SOCKET_PAIR && (!find_socket(img, NULL, s.peer, &other_view, &other) || other.state != CR_FILE_SOCKET_PAIR ||
					       other.peer != view->head.object || other.type != s.type))
		return cr_err_set(err, EBADMSG, "descriptor %d: the other end of a pair of sockets is missing", view->fds[0].fd);
	if (s.state == CR_FILE_SOCKET_WAITING && (!find_socket(img, NULL, s.peer, &other_view, &other) || other.state != CR_FILE_SOCKET_LISTENING))
		return cr_err_set(err, EBADMSG, "descriptor %d: the listening socket in whose queue it waits is missing", view->fds[0].fd);
	if (!has_path(&s) || s.state == CR_FILE_SOCKET_PAIR || s.state == CR_FILE_SOCKET_CLOSED || !view->path || lstat(view->path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return cr_err_set(err, EEXIST, "descriptor %d: a socket is to be bound to %s, and something else has that name now; move it away",
				  view->fds[0].fd, view->path);
	/* The one of before the restart may still have it. */
	if (strlen(view->path) >= sizeof(un.sun_path))
		return 0;
	strcpy(un.sun_path, view->path);
	fd = socket(AF_UNIX, s.type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	busy = fd >= 0 && (connect(fd, (const void *)&un, sizeof(un)) == 0 || errno == EAGAIN || errno == EPROTOTYPE);
	if (fd >= 0)
		close(fd);
	if (busy)
		return cr_err_set(err, EBUSY, "descriptor %d: a socket is to be bound to %s, and another process uses that name now; end it first",
				  view->fds[0].fd, view->path);
	return 0;
}

bool cr_file_socket_late(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view)
{
	struct cr_file_view other_view;
	struct cr_file_socket s, other;

	if (get_state(img, rec, view, &s, NULL) < 0)
		return false;
	if (s.state == CR_FILE_SOCKET_WAITING)
		return true;
	if (s.state == CR_FILE_SOCKET_CLOSED)
		return s.address_bytes;
	if (s.state != CR_FILE_SOCKET_PAIR)
		return false;
	return s.address_bytes || (find_socket(img, NULL, s.peer, &other_view, &other) && other.address_bytes);
}

int cr_file_socket_place(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view)
{
	struct cr_file_socket s;

	return get_state(img, rec, view, &s, NULL) < 0 || s.state != CR_FILE_SOCKET_WAITING ? -1 : (int)s.backlog;
}

static int set_option(int fd, const struct cr_file_socket_option *o, const struct cr_file_view *view, struct cr_err *err)
{
	unsigned char now[sizeof(o->value)];
	socklen_t len = sizeof(now);
	unsigned int i;
	int half;

	if (o->bytes > sizeof(o->value))
		return cr_err_set(err, EBADMSG, "descriptor %d: an option of %u bytes", view->fds[0].fd, o->bytes);
	if (getsockopt(fd, o->level, o->name, now, &len) == 0 && len == o->bytes && memcmp(now, o->value, len) == 0)
		return 0;
	if (o->level == SOL_SOCKET && (o->name == SO_SNDBUF || o->name == SO_RCVBUF) && o->bytes == sizeof(half)) {
		/* The kernel doubles what it is told. */
		memcpy(&half, o->value, sizeof(half));
		half /= 2;
		if (setsockopt(fd, SOL_SOCKET, o->name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &half, sizeof(half)) < 0)
			setsockopt(fd, SOL_SOCKET, o->name, &half, sizeof(half));
		return 0;
	}
	if (setsockopt(fd, o->level, o->name, o->value, o->bytes) == 0)
		return 0;
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (options[i].level == o->level && options[i].name == o->name && options[i].required)
			return cr_err_set(err, errno, "descriptor %d: option %d of level %d of a socket cannot be set: %s", view->fds[0].fd, o->name, o->level,
					  strerror(errno));
	}
	return 0;
}

static int set_options(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, int fd, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	struct cr_file_socket_option o;
	const void *content;
	int r = 0;

	while (r >= 0 && cr_file_data_next(img, &at, view, CR_FILE_DATA_ITEM, &data, &content)) {
		if (data.bytes != sizeof(o))
			return cr_err_set(err, EBADMSG, "descriptor %d: an option of a socket has the wrong length", view->fds[0].fd);
		memcpy(&o, content, sizeof(o));
		r = set_option(fd, &o, view, err);
	}
	if (r >= 0 && (int)view->head.open_flags & O_NONBLOCK && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		r = cr_err_set(err, errno, "descriptor %d: its flags cannot be set: %s", view->fds[0].fd, strerror(errno));
	return r;
}

/* Where it is bound, or listens, now: a path may have been relocated. 0: the name is too long. */
static socklen_t address_of(const struct cr_file_socket *s, const struct cr_file_view *view, struct sockaddr_un *ret)
{
	const struct sockaddr_un *un = (const void *)s->address;

	memcpy(ret, s->address, s->address_bytes < sizeof(*ret) ? s->address_bytes : sizeof(*ret));
	if (!has_path(s) || un->sun_path[0] != '/' || !view->path)
		return s->address_bytes;
	if (strlen(view->path) >= sizeof(ret->sun_path))
		return 0;
	strcpy(ret->sun_path, view->path);
	/* With the zero byte behind the name, or without, as it was. */
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(view->path) +
			   (((const char *)s->address)[s->address_bytes - 1] == '\0'));
}

/* A relative name is bound from the directory in which it was; the program's own working directory comes later. */
static int bind_path(int fd, const struct cr_file_socket *s, const struct cr_file_view *view)
{
	const struct sockaddr_un *un = (const void *)s->address;
	char dir[CR_FILE_MAX_PATH_BYTES], name[sizeof(un->sun_path) + 1] = "";
	size_t bytes;

	memcpy(name, un->sun_path, s->address_bytes - offsetof(struct sockaddr_un, sun_path));
	unlink(view->path);
	if (name[0] == '/') {
		struct sockaddr_un at;
		socklen_t at_bytes = address_of(s, view, &at);

		return !at_bytes ? -ENAMETOOLONG : bind(fd, (const void *)&at, at_bytes) < 0 || chmod(view->path, view->head.mode & 07777) < 0 ? -errno : 0;
	}
	bytes = strlen(view->path);
	if (bytes <= strlen(name))
		return -EBADMSG;
	snprintf(dir, sizeof(dir), "%.*s", (int)(bytes - strlen(name)), view->path);
	if (chdir(dir) < 0)
		return -errno;
	return bind(fd, (const void *)s->address, s->address_bytes) < 0 || chmod(name, view->head.mode & 07777) < 0 ? -errno : 0;
}

static int bind_socket(int fd, const struct cr_file_socket *s, const struct cr_file_view *view, struct cr_err *err)
{
	int r = 0;

	if (!s->address_bytes)
		return 0;
	if (has_path(s) && view->path)
		r = bind_path(fd, s, view);
	else if (bind(fd, (const void *)s->address, s->address_bytes) < 0)
		r = -errno;
	if (r < 0)
		return cr_err_set(err, r, "descriptor %d: a socket cannot be bound to its address%s%s again: %s; end whoever has it now", view->fds[0].fd,
				  view->path ? " " : "", view->path ? view->path : "", strerror(-r));
	return 0;
}

static int keep_end(struct cr_file_restore *x, uint32_t object, int fd)
{
	struct cr_file_kept *more = reallocarray(x->kept, x->n_kept + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	x->kept = more;
	x->kept[x->n_kept++] = (struct cr_file_kept){ object, fd };
	return 0;
}

static int take_kept(struct cr_file_restore *x, uint32_t object)
{
	unsigned int i;
	int fd;

	for (i = 0; i < x->n_kept; i++) {
		if (x->kept[i].object != object)
			continue;
		fd = x->kept[i].fd;
		x->kept[i] = x->kept[--x->n_kept];
		return fd;
	}
	return -1;
}

/* Accepted by the listening socket, which is in place: ret_fd[0] is the end of @s. */
static int connect_pair(struct cr_file_restore *x, const struct cr_file_socket *s, const struct cr_file_socket *other, int ret_fd[2])
{
	struct cr_file_view view;
	struct cr_file_socket listening;
	bool server = s->address_bytes && find_socket(x->img, s, 0, &view, &listening);
	struct sockaddr_un at;
	socklen_t at_bytes;
	int client;

	if (!server && (!other->address_bytes || !find_socket(x->img, other, 0, &view, &listening)))
		return -ECONNREFUSED;
	client = socket(s->family, s->type | SOCK_CLOEXEC, 0);
	if (client < 0)
		return -errno;
	at_bytes = address_of(&listening, &view, &at);
	if (connect(client, (const void *)&at, at_bytes) < 0) {
		close(client);
		return -errno;
	}
	ret_fd[server ? 1 : 0] = client;
	ret_fd[server ? 0 : 1] = accept4(view.fds[0].fd, NULL, NULL, SOCK_CLOEXEC);
	if (ret_fd[server ? 0 : 1] < 0) {
		close(client);
		return -errno;
	}
	return 0;
}

/* The descriptor of @s, given; that of @other is kept for the socket object @kept. */
static int make_pair(struct cr_file_restore *x, const struct cr_file_socket *s, const struct cr_file_socket *other, uint32_t kept, const struct cr_file_view *view,
		     struct cr_err *err)
{
	int p[2], r;

	if (s->address_bytes || other->address_bytes)
		r = connect_pair(x, s, other, p);
	else
		r = socketpair(s->family, s->type | SOCK_CLOEXEC, s->protocol, p) < 0 ? -errno : 0;
	if (r < 0)
		return cr_err_set(err, r, "descriptor %d: a pair of sockets cannot be made: %s", view->fds[0].fd, strerror(-r));
	p[0] = cr_file_move_high(p[0], x->floor);
	p[1] = cr_file_move_high(p[1], x->floor);
	r = p[0] < 0 ? p[0] : p[1] < 0 ? p[1] : keep_end(x, kept, p[1]);
	if (r < 0)
		return cr_err_set(err, r, "descriptor %d: a pair of sockets: %s", view->fds[0].fd, strerror(-r));
	return p[0];
}

static int open_pair(struct cr_file_restore *x, const struct cr_file_socket *s, const struct cr_file_view *view, struct cr_err *err)
{
	int fd = take_kept(x, view->head.object);
	struct cr_file_view other_view;
	struct cr_file_socket other;

	if (fd >= 0)
		return fd;
	if (!find_socket(x->img, NULL, s->peer, &other_view, &other))
		return cr_err_set(err, EBADMSG, "descriptor %d: the other end of a pair of sockets is missing", view->fds[0].fd);
	return make_pair(x, s, &other, s->peer, view, err);
}

/* It waits in the queue of the listening socket, which is in place. */
static int open_waiting(struct cr_file_restore *x, const struct cr_file_socket *s, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_socket listening;
	struct cr_file_view at_view;
	struct sockaddr_un at;
	socklen_t bytes;
	int fd, r;

	if (!find_socket(x->img, NULL, s->peer, &at_view, &listening))
		return cr_err_set(err, EBADMSG, "descriptor %d: the listening socket in whose queue it waits is missing", view->fds[0].fd);
	bytes = address_of(&listening, &at_view, &at);
	fd = cr_file_move_high(socket(s->family, s->type | SOCK_CLOEXEC, s->protocol), x->floor);
	r = fd < 0 ? fd : connect(fd, (const void *)&at, bytes) < 0 ? -errno : 0;
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return cr_err_set(err, r, "descriptor %d: a socket cannot be connected again to one that listens: %s", view->fds[0].fd, strerror(-r));
	}
	return fd;
}

/* The program's socket with this name. */
static int sender_of(void *arg, const void *address, uint32_t bytes)
{
	const struct cr_file_restore *x = arg;
	struct cr_image_record rec = { 0 };
	struct cr_file_view view;
	struct cr_file_socket s;

	while (cr_image_next(x->img, &rec) > 0)
		if (rec.type == CR_REC_FILE && cr_file_view_parse(&rec, &view, NULL) == 0 && view.head.kind == CR_FILE_SOCKET &&
		    get_state(x->img, &rec, &view, &s, NULL) == 0 && s.address_bytes == bytes && memcmp(s.address, address, bytes) == 0)
			return view.fds[0].fd;
	return -1;
}

/* Datagrams in a socket that is connected to nobody. */
static int send_datagrams(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_socket *s, const struct cr_file_view *view,
			  struct cr_err *err)
{
	struct sockaddr_un at;
	struct cr_file_queue_to to = { .address = &at, .sender = sender_of, .arg = x };
	int from, r;

	to.address_bytes = address_of(s, view, &at);
	if (has_path(s) && view->path && strlen(view->path) < sizeof(at.sun_path)) {
		strcpy(at.sun_path, view->path); /* the working directory is not the program's yet */
		to.address_bytes = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + strlen(view->path) + 1);
	}
	from = cr_file_move_high(socket(AF_UNIX, s->type | SOCK_CLOEXEC, 0), x->floor);
	if (from < 0)
		return cr_err_set(err, from, "descriptor %d: a socket to send its datagrams again cannot be made: %s", view->fds[0].fd, strerror(-from));
	r = cr_file_queue_send(x, rec, view, from, &to, err);
	close(from);
	return r;
}

/* The other end is kept until what it had sent is sent again: descriptors that go with it must be in place. */
static int open_closed(struct cr_file_restore *x, const struct cr_file_socket *s, const struct cr_file_view *view, struct cr_err *err)
{
	const struct cr_file_socket nobody = { .address_bytes = 0 };

	return make_pair(x, s, &nobody, view->head.object, view, err);
}

static int finish_closed(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	int from = take_kept(x, view->head.object), r;

	if (from < 0)
		return 0;
	r = cr_file_queue_send(x, rec, view, from, NULL, err);
	close(from);
	return r;
}

int cr_file_socket_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_socket s;
	int fd, r;

	r = get_state(x->img, rec, view, &s, err);
	if (r < 0)
		return r;
	if (s.state == CR_FILE_SOCKET_PAIR)
		fd = open_pair(x, &s, view, err);
	else if (s.state == CR_FILE_SOCKET_CLOSED)
		fd = open_closed(x, &s, view, err);
	else if (s.state == CR_FILE_SOCKET_WAITING)
		fd = open_waiting(x, &s, view, err);
	else
		fd = cr_file_move_high(socket(s.family, s.type | SOCK_CLOEXEC, s.protocol), x->floor);
	if (fd < 0)
		return s.state >= CR_FILE_SOCKET_PAIR
			       ? fd
			       : cr_err_set(err, errno, "descriptor %d: a socket of family %d cannot be made: %s", view->fds[0].fd, s.family, strerror(errno));
	r = set_options(x->img, rec, view, fd, err);
	if (r >= 0 && (s.state == CR_FILE_SOCKET_OPEN || s.state == CR_FILE_SOCKET_LISTENING))
		r = bind_socket(fd, &s, view, err);
	if (r >= 0 && s.state == CR_FILE_SOCKET_LISTENING && listen(fd, (int)s.backlog) < 0)
		r = cr_err_set(err, errno, "descriptor %d: cannot listen again: %s", view->fds[0].fd, strerror(errno));
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int cr_file_socket_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_view other_view;
	struct cr_file_socket s, other;
	int r = get_state(x->img, rec, view, &s, err);

	if (r >= 0 && s.family == AF_UNIX && s.type == SOCK_DGRAM && s.state == CR_FILE_SOCKET_OPEN && s.address_bytes)
		return send_datagrams(x, rec, &s, view, err);
	if (r >= 0 && s.state == CR_FILE_SOCKET_CLOSED)
		return finish_closed(x, rec, view, err);
	if (r < 0 || s.state != CR_FILE_SOCKET_PAIR)
		return r;
	if (!find_socket(x->img, NULL, s.peer, &other_view, &other))
		return cr_err_set(err, EBADMSG, "descriptor %d: the other end of a pair of sockets is missing", view->fds[0].fd);
	r = cr_file_queue_send(x, rec, view, other_view.fds[0].fd, NULL, err);
	/* After what was sent: the end of this direction. The other direction is the other record's. */
	if (r >= 0 && s.shut & 1)
		shutdown(view->fds[0].fd, SHUT_RD);
	if (r >= 0 && other.shut & 2)
		shutdown(other_view.fds[0].fd, SHUT_WR);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets: which can be made again, and what they hold.
 *
 * Saved: UNIX sockets of which both ends are the program's, or whose other end is closed, with what waits in them; listening UNIX and TCP sockets;
 * sockets that are not connected. A connection to somebody else is refused with the name of the other end.
 * Invariant: looking at a queue takes nothing out of it.
 */
#include "libcr/lower/files_ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libcr/lower/files_socket.h"
#include "libcr/lower/files_unix.h"

#define TCP_STATE_CLOSE 7
#define STATE_ESTABLISHED 1
#define STATE_LISTEN 10
#define SHUT_BOTH 3

static int get_int(int fd, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, level, name, &value, &len) < 0 ? 0 : value;
}

/* "is a TCP socket connected to 10.0.0.1:80, which ..." */
static bool refuse(struct cr_file_refusals *refusals, const struct cr_open_file *file, const char *why)
{
	char words[400];

	cr_file_describe(file, words, sizeof(words));
	cr_file_refuse(refusals, file, "is %s, %s", words, why);
	return false;
}

static bool polls(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 0) > 0 && p.revents & events;
}

static bool readable(int fd)
{
	return polls(fd, POLLIN);
}

/* The file of a bound socket must still be there under its name: a restart binds it again there. */
static bool take_unix_path(struct cr_open_file *file, struct cr_file_socket *s, const struct cr_unix_diag *diag, struct cr_file_refusals *refusals)
{
	const struct sockaddr_un *un = (const void *)s->address;
	char name[sizeof(un->sun_path) + 1] = "", cwd[PATH_MAX];
	struct stat st;

	if (s->address_bytes <= offsetof(struct sockaddr_un, sun_path) || !un->sun_path[0])
		return true;
	memcpy(name, un->sun_path, s->address_bytes - offsetof(struct sockaddr_un, sun_path));
	if (stat(name, &st) < 0 || (diag->vfs_ino && diag->vfs_ino != (uint32_t)st.st_ino))
		return refuse(refusals, file, "whose file can no longer be reached under that name; close it before the checkpoint");
	file->st.st_mode = S_IFSOCK | (st.st_mode & 07777); /* the file's, not the socket's */
	if (name[0] == '/') {
		file->path = strdup(name);
	} else if (getcwd(cwd, sizeof(cwd))) {
		file->path = malloc(strlen(cwd) + strlen(name) + 2);
		if (file->path)
			sprintf(file->path, "%s/%s", cwd, name);
	}
	return file->path || refuse(refusals, file, "and there is no memory for its name; try again");
}

static const struct cr_open_file *file_of_ino(const struct cr_file_set *set, uint32_t ino)
{
	unsigned int i;

	for (i = 0; i < set->n; i++)
		if (S_ISSOCK(set->files[i].st.st_mode) && (uint32_t)set->files[i].st.st_ino == ino)
			return &set->files[i];
	return NULL;
}

/* A listening socket of the program with this very name. */
static bool listens(const struct cr_file_set *set, const void *address, socklen_t bytes)
{
	struct sockaddr_storage ss;
	unsigned int i;

	for (i = 0; i < set->n; i++) {
		socklen_t len = sizeof(ss);
		int fd = set->files[i].fds[0].fd;

		if (S_ISSOCK(set->files[i].st.st_mode) && get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) && getsockname(fd, (void *)&ss, &len) == 0 &&
		    len == bytes && memcmp(&ss, address, len) == 0)
			return true;
	}
	return false;
}

static bool waiters_are_ours(const struct cr_file_set *set, const struct cr_unix_diag *diag)
{
	if (diag->waiting != diag->n_waiters)
		return false;
	for (uint32_t i = 0; i < diag->n_waiters; i++)
		if (!file_of_ino(set, diag->waiters[i]))
			return false;
	return true;
}

/* The listening socket of the program in whose queue @file waits: its object and the place there. */
static bool find_queue(const struct cr_file_set *set, const struct cr_open_file *file, uint32_t *ret_object, uint32_t *ret_place)
{
	struct cr_unix_diag diag;

	for (unsigned int i = 0; i < set->n; i++) {
		int fd = set->files[i].fds[0].fd;

		if (!S_ISSOCK(set->files[i].st.st_mode) || get_int(fd, SOL_SOCKET, SO_DOMAIN) != AF_UNIX || !get_int(fd, SOL_SOCKET, SO_ACCEPTCONN) ||
		    cr_unix_diag_get((uint32_t)set->files[i].st.st_ino, &diag) < 0)
			continue;
		for (uint32_t k = 0; k < diag.n_waiters; k++) {
			if (diag.waiters[k] != (uint32_t)file->st.st_ino)
				continue;
			*ret_object = set->files[i].object;
			*ret_place = k;
			return true;
		}
	}
	return false;
}

/* Nobody has accepted it: the other end is in the queue of the listening socket. */
static bool take_unix_waiting(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_socket *s, struct cr_file_refusals *refusals)
{
	int sent = 0;

	if (!find_queue(set, file, &s->peer, &s->backlog) && !set->under_way)
		return refuse(refusals, file, "which waits to be accepted by another process; close it before the checkpoint");
	if (s->address_bytes > sizeof(sa_family_t))
		return refuse(refusals, file, "which has a name and waits to be accepted, which a checkpoint cannot save; accept it before the checkpoint");
	if (ioctl(file->fds[0].fd, SIOCOUTQ, &sent) < 0 || sent > 0)
		return refuse(refusals, file, set->shared ? "which waits to be accepted by another process, and has sent something; when it is accepted, try again" : "which waits to be accepted, and has sent something, which a checkpoint cannot save; accept it before the checkpoint");
	s->state = CR_FILE_SOCKET_WAITING;
	return true;
}

static bool take_unix_pair(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_socket *s, const struct cr_unix_diag *diag,
			   struct cr_file_refusals *refusals)
{
	const struct cr_open_file *other;
	struct cr_unix_diag theirs;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	bool named = s->address_bytes > sizeof(sa_family_t);

	s->shut = diag->shut & 3;
	/* The end of one that was closed is shut down; that of one which was not accepted is not. */
	if (!diag->peer_ino && s->type != SOCK_DGRAM && (diag->shut & SHUT_BOTH) != SHUT_BOTH)
		return take_unix_waiting(set, file, s, refusals);
	if (!diag->peer_ino) {
		/* One that was accepted is made by connecting to the one that listens. */
		if (named && (s->type == SOCK_DGRAM || !listens(set, s->address, s->address_bytes)))
			return refuse(refusals, file, "whose other end is closed, and a socket with a name cannot be made again in this state; close it before the checkpoint");
		s->state = CR_FILE_SOCKET_CLOSED;
		return true;
	}
	other = file_of_ino(set, diag->peer_ino);
	if (!other && set->under_way)
		return true;
	if (!other)
		return refuse(refusals, file, "whose other end is in another process; close it before the checkpoint");
	if (cr_unix_diag_get(diag->peer_ino, &theirs) < 0 || theirs.peer_ino != (uint32_t)file->st.st_ino)
		return refuse(refusals, file, "whose other end is not connected to it alone, which a checkpoint cannot save; close it before the checkpoint");
	s->state = CR_FILE_SOCKET_PAIR;
	s->peer = other->object;
	if (getsockname(other->fds[0].fd, (void *)&ss, &len) < 0)
		len = 0;
	if (!named && len <= sizeof(sa_family_t))
		return true;
	/* One end came from accept(2) and has the listening socket's name: a restart connects to that again. */
	if (s->type != SOCK_DGRAM && ((named && listens(set, s->address, s->address_bytes)) != (len > sizeof(sa_family_t) && listens(set, &ss, len))))
		return true;
	return refuse(refusals, file, "which was accepted by a socket that listens no more, or has a name of its own; close it before the checkpoint");
}

static bool check_unix(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_socket *s, struct cr_file_refusals *refusals)
{
	struct cr_unix_diag diag;
	int r = cr_unix_diag_get((uint32_t)file->st.st_ino, &diag);

	if (r < 0)
		return refuse(refusals, file, "and the kernel does not tell its state (CONFIG_UNIX_DIAG, module unix_diag); load that, or close it before the checkpoint");
	if (diag.state == STATE_LISTEN) {
		s->state = CR_FILE_SOCKET_LISTENING;
		s->backlog = diag.backlog;
		if (!waiters_are_ours(set, &diag) && !set->under_way)
			return refuse(refusals, file, set->shared ? "and connections that are closed or of other processes wait to be accepted; when they are, try again"
								  : "and connections of other processes wait to be accepted; accept them before the checkpoint");
		return take_unix_path(file, s, &diag, refusals);
	}
	/* Looking at the queue would take the error; urgent data looks like any other there. */
	if (polls(file->fds[0].fd, POLLERR))
		return refuse(refusals, file, "with an error that the program has not seen yet; read it or close the socket before the checkpoint");
	if (polls(file->fds[0].fd, POLLPRI))
		return refuse(refusals, file, "in which urgent data waits (MSG_OOB), which a checkpoint cannot save; receive it before the checkpoint");
	if (diag.has_peer)
		return take_unix_pair(set, file, s, &diag, refusals);
	if (diag.state == STATE_ESTABLISHED && s->type != SOCK_DGRAM)
		return refuse(refusals, file, "in a state that a checkpoint cannot save; close it before the checkpoint");
	s->state = CR_FILE_SOCKET_OPEN;
	if (s->type == SOCK_DGRAM && !s->address_bytes && readable(file->fds[0].fd))
		return refuse(refusals, file, "and datagrams wait to be read in a socket without a name; read them before the checkpoint");
	return take_unix_path(file, s, &diag, refusals);
}

/* Ends of a pair; one that waits to be accepted, and one that was accepted, with the one that listens. */
void cr_file_socket_relate(const struct cr_file_set *set, void (*join)(void *arg, unsigned int a, unsigned int b), void *arg)
{
	unsigned int i, k;

	for (i = 0; i < set->n; i++) {
		const struct cr_open_file *file = &set->files[i], *other;
		struct sockaddr_storage mine, theirs;
		socklen_t len = sizeof(mine);
		uint32_t queue, place;
		struct cr_unix_diag diag;

		if (!S_ISSOCK(file->st.st_mode) || file->flags & O_PATH || get_int(file->fds[0].fd, SOL_SOCKET, SO_DOMAIN) != AF_UNIX)
			continue;
		if (cr_unix_diag_get((uint32_t)file->st.st_ino, &diag) < 0)
			continue;
		if (diag.has_peer) {
			other = diag.peer_ino ? file_of_ino(set, diag.peer_ino) : NULL;
			if (other)
				join(arg, i, (unsigned int)(other - set->files));
			else if (!diag.peer_ino && find_queue(set, file, &queue, &place))
				join(arg, i, queue);
		}
		if (getsockname(file->fds[0].fd, (void *)&mine, &len) < 0 || len <= sizeof(sa_family_t))
			continue;
		for (k = 0; k < i; k++) {
			socklen_t bytes = sizeof(theirs);

			if (S_ISSOCK(set->files[k].st.st_mode) && !(set->files[k].flags & O_PATH) &&
			    getsockname(set->files[k].fds[0].fd, (void *)&theirs, &bytes) == 0 && bytes == len && memcmp(&mine, &theirs, len) == 0)
				join(arg, i, k);
		}
	}
}

static bool check_tcp(struct cr_open_file *file, struct cr_file_socket *s, struct cr_file_refusals *refusals)
{
	struct tcp_info info = { .tcpi_state = 0 };
	socklen_t len = sizeof(info);
	int fd = file->fds[0].fd;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
		return refuse(refusals, file, "and the kernel does not tell its state; close it before the checkpoint");
	if (info.tcpi_state == STATE_LISTEN) {
		s->state = CR_FILE_SOCKET_LISTENING;
		s->backlog = info.tcpi_sacked;
		/* In this state: connections in the queue. */
		if (info.tcpi_unacked)
			return refuse(refusals, file, "and connections wait to be accepted; accept them before the checkpoint");
		return true;
	}
	if (info.tcpi_state != TCP_STATE_CLOSE)
		return refuse(refusals, file, "which a checkpoint cannot save; close it before the checkpoint");
	/* A refused attempt leaves one segment, a connection more. */
	if (info.tcpi_segs_in > 1 || info.tcpi_bytes_acked)
		return refuse(refusals, file, "whose connection has ended; close it before the checkpoint");
	s->state = CR_FILE_SOCKET_OPEN;
	return true;
}

/* Memberships cannot be listed; but a filter can only be asked for by a member. */
static bool in_multicast_group(int fd, int floor)
{
	FILE *f = cr_file_fopen_high("/proc/thread-self/net/igmp", floor);
	unsigned int index = 0, group;
	bool found = false;
	char line[256];

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		struct group_filter filter = { .gf_fmode = 0 };
		struct sockaddr_in *in = (void *)&filter.gf_group;
		socklen_t len = sizeof(filter);

		if (line[0] != '\t' && line[0] != ' ') {
			index = (unsigned int)strtoul(line, NULL, 10);
			continue;
		}
		if (sscanf(line, "%x", &group) != 1)
			continue;
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = group;
		filter.gf_interface = index;
		found = getsockopt(fd, IPPROTO_IP, MCAST_MSFILTER, &filter, &len) == 0;
	}
	fclose(f);
	return found;
}

static bool check_udp(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_socket *s, struct cr_file_refusals *refusals)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = file->fds[0].fd;

	if (getpeername(fd, (void *)&ss, &len) == 0)
		return refuse(refusals, file, "which a checkpoint cannot save; close it before the checkpoint");
	if (readable(fd))
		return refuse(refusals, file, "and datagrams wait to be read; read them before the checkpoint");
	if (in_multicast_group(fd, set->floor))
		return refuse(refusals, file, "which is in a multicast group, and a checkpoint cannot save that; leave the group before the checkpoint");
	s->state = CR_FILE_SOCKET_OPEN;
	return true;
}

static bool is_bound(const struct cr_file_socket *s)
{
	const struct sockaddr_in6 *in6 = (const void *)s->address;
	const struct sockaddr_in *in = (const void *)s->address;
	static const struct in6_addr any6;

	switch (s->family) {
	case AF_UNIX:
		return s->address_bytes > sizeof(sa_family_t);
	case AF_INET:
		return in->sin_port || in->sin_addr.s_addr;
	case AF_INET6:
		return in6->sin6_port || memcmp(&in6->sin6_addr, &any6, sizeof(any6)) != 0;
	}
	return false;
}

static bool check_family(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	struct cr_file_socket *s = file->socket;
	bool inet = s->family == AF_INET || s->family == AF_INET6;

	if (s->family == AF_UNIX)
		return check_unix(set, file, s, refusals);
	if (inet && s->type == SOCK_STREAM && s->protocol == IPPROTO_TCP)
		return check_tcp(file, s, refusals);
	if (inet && s->type == SOCK_DGRAM && s->protocol == IPPROTO_UDP)
		return check_udp(set, file, s, refusals);
	return refuse(refusals, file, "which a checkpoint cannot save; close it before the checkpoint");
}

bool cr_file_socket_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	int fd = file->fds[0].fd;
	struct cr_file_socket *s;
	socklen_t len;

	s = file->socket = calloc(1, sizeof(*s));
	if (!s)
		return refuse(refusals, file, "and there is no memory for its state; try again");
	s->family = get_int(fd, SOL_SOCKET, SO_DOMAIN);
	s->type = get_int(fd, SOL_SOCKET, SO_TYPE);
	s->protocol = get_int(fd, SOL_SOCKET, SO_PROTOCOL);
	len = sizeof(s->address);
	if (getsockname(fd, (void *)s->address, &len) == 0 && len <= sizeof(s->address))
		s->address_bytes = len;
	if (!is_bound(s)) {
		memset(s->address, 0, sizeof(s->address));
		s->address_bytes = 0;
	}
	if (!check_family(set, file, refusals))
		return false;
	len = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len) == 0 && len > 0)
		return refuse(refusals, file, "with a packet filter, which a checkpoint cannot save; remove that with SO_DETACH_FILTER before the checkpoint");
	if (cr_file_ancestor_holds(set, file))
		return refuse(refusals, file, "and the process that launched this one holds it too; close it before the checkpoint");
	return true;
}

/* --- save --- */

static int save_options(const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	unsigned int i, n;
	const struct cr_socket_option *table = cr_socket_options(&n);
	int r = 0;

	for (i = 0; i < n && r >= 0; i++) {
		struct cr_file_socket_option o = { .level = table[i].level, .name = table[i].name };
		socklen_t len = sizeof(o.value);

		if (!cr_socket_option_fits(&table[i], file->socket) || getsockopt(file->fds[0].fd, o.level, o.name, o.value, &len) < 0)
			continue;
		o.bytes = len;
		r = cr_file_data_put(file, CR_FILE_DATA_ITEM, &o, sizeof(o), w, err);
	}
	return r;
}

int cr_file_socket_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	const struct cr_file_socket *s = file->socket;
	int sndbuf = get_int(file->fds[0].fd, SOL_SOCKET, SO_SNDBUF), r;

	r = cr_file_data_put(file, CR_FILE_DATA_STATE, s, sizeof(*s), w, err);
	if (r >= 0)
		r = save_options(file, w, err);
	if (r < 0 || (s->state != CR_FILE_SOCKET_PAIR && s->state != CR_FILE_SOCKET_CLOSED && !(s->family == AF_UNIX && s->type == SOCK_DGRAM && s->state == CR_FILE_SOCKET_OPEN)))
		return r;
	if (s->state == CR_FILE_SOCKET_PAIR) {
		int theirs = get_int(set->files[s->peer].fds[0].fd, SOL_SOCKET, SO_SNDBUF);

		sndbuf = theirs > sndbuf ? theirs : sndbuf;
	}
	return cr_file_queue_save(set, file, sndbuf, w, err);
}

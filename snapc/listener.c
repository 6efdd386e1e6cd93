/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Abstract unix sockets with a check of the peer's user. */
#include "snapc/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "snapc/log.h"

#define LISTENER_QUEUE 512

struct snapc_listener {
	struct evconnlistener *events;
	snapc_accept_fn accepted;
	void *arg;
};

int snapc_address(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_bytes)
{
	size_t length = strlen(name);

	if (!length || length > sizeof(ret_address->sun_path) - 1)
		return -ENAMETOOLONG;
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sun_family = AF_UNIX;
	memcpy(ret_address->sun_path + 1, name, length);
	*ret_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
	return 0;
}

static void listener_accept(struct evconnlistener *events, evutil_socket_t fd, struct sockaddr *address, int bytes, void *arg)
{
	struct snapc_listener *listener = arg;
	struct ucred peer;
	socklen_t length = sizeof(peer);

	(void)events;
	(void)address;
	(void)bytes;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) {
		close(fd);
		return;
	}
	if (peer.uid != geteuid() && peer.uid != 0) {
		snapc_log(SNAPC_LOG_ERROR, "refused: process %d of user %u is not the owner of this job (user %u)", (int)peer.pid,
			  (unsigned)peer.uid, (unsigned)geteuid());
		close(fd);
		return;
	}
	listener->accepted(listener->arg, fd, &peer);
}

int snapc_listener_open(const char *name, int *ret_fd, struct cr_err *err)
{
	struct sockaddr_un address;
	socklen_t bytes;
	int fd, rc;

	rc = snapc_address(name, &address, &bytes);
	if (rc < 0)
		return cr_err_set(err, rc, "socket name \"%s\" is empty or too long", name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, bytes) < 0 || listen(fd, LISTENER_QUEUE) < 0) {
		rc = cr_err_set(err, errno, "cannot listen on the abstract socket \"%s\": %s", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

int snapc_listener_create(struct event_base *base, int fd, snapc_accept_fn accepted, void *arg, struct snapc_listener **ret_listener,
			  struct cr_err *err)
{
	struct snapc_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return cr_err_set(err, ENOMEM, "no memory for a listener");
	listener->accepted = accepted;
	listener->arg = arg;
	listener->events = evconnlistener_new(base, listener_accept, listener, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!listener->events) {
		free(listener);
		return cr_err_set(err, ENOMEM, "no memory for a listener");
	}
	*ret_listener = listener;
	return 0;
}

void snapc_listener_destroy(struct snapc_listener *listener)
{
	if (!listener)
		return;
	evconnlistener_free(listener->events);
	free(listener);
}

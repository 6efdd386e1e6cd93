/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listening on an abstract unix socket: who connects is judged by the kernel's word (SO_PEERCRED) before a byte is read.
 * Served are the user that the daemon runs as, and root.
 */
#ifndef SNAPC_LISTENER_H
#define SNAPC_LISTENER_H

#include <sys/socket.h>
#include <sys/un.h>

#include "libcr/cr_err.h"

struct event_base;
struct snapc_listener;

/* @fd: non-blocking, close-on-exec, given to the callee. @peer: as the kernel says. */
typedef void (*snapc_accept_fn)(void *arg, int fd, const struct ucred *peer);

/**
 * snapc_listener_open - begin to listen on an abstract unix socket, without serving anybody yet
 * @name: without the leading NUL
 *
 * Return: 0, -EADDRINUSE, -ENAMETOOLONG, other -errno.
 */
int snapc_listener_open(const char *name, int *ret_fd, struct cr_err *err);

/* Serve who connects there. @fd: borrowed: it outlives the listener. Return: 0, -ENOMEM. */
int snapc_listener_create(struct event_base *base, int fd, snapc_accept_fn accepted, void *arg, struct snapc_listener **ret_listener,
			  struct cr_err *err);
void snapc_listener_destroy(struct snapc_listener *listener);

/* Address of the abstract socket @name; -ENAMETOOLONG. */
int snapc_address(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_bytes);

#endif

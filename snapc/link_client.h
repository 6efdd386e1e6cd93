/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node's connection upwards: to the coordinator, or to a node that the coordinator sends it to.
 *
 * It tries the coordinator's addresses in turn, proves who it is, asks the other side to do the same, goes where it is sent, and then carries messages.  When
 * the connection ends it begins again at the coordinator, with growing pauses, for ever: the daemon ends with its node's part of the job, not with a
 * connection.  What is sent while there is no connection is dropped; the user of the link says everything anew when up() is called.
 */
#ifndef SNAPC_LINK_CLIENT_H
#define SNAPC_LINK_CLIENT_H

#include "snapc/auth.h"
#include "snapc/link.h"

struct event_base;
struct snapc_link_client;

struct snapc_link_client_user {
	void (*up)(void *arg, uint32_t node);
	void (*down)(void *arg);
	/* A trial has failed, or the coordinator refuses us. */
	void (*failed)(void *arg, const char *why);
	void *arg;
};

/**
 * snapc_link_client_create - begin to connect
 * @auth: borrowed
 * @addresses: of the coordinator, "host:port,host:port", borrowed
 * @own: where this node takes others below it, or ""
 *
 * Return: 0; -EINVAL, -ENOMEM with words.
 */
int snapc_link_client_create(struct event_base *base, const struct snapc_auth *auth, const char *addresses, const char *own,
			     const struct snapc_link_client_user *user, struct snapc_link_client **ret_client, struct cr_err *err);
void snapc_link_client_destroy(struct snapc_link_client *client);
/* Number of this daemon, the same on every connection of its life. */
uint64_t snapc_link_client_instance(const struct snapc_link_client *client);
struct snapc_link *snapc_link_client_link(struct snapc_link_client *client);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node that others are below: takes the connections of nodes that the coordinator has sent here, and passes messages between them and whoever is
 * above, by the number of the node in each.  It looks into no message but NODE_UP and NODE_DOWN.
 *
 * When the connection upwards is lost, those below are let go as well: they come back to the coordinator by themselves.
 */
#ifndef SNAPC_LINK_RELAY_H
#define SNAPC_LINK_RELAY_H

#include "snapc/link_server.h"

struct snapc_link_relay;

struct snapc_link_relay_user {
	void (*up)(void *arg, const struct snapc_link_msg *msg, const void *payload); /* towards the coordinator */
	bool (*connected)(void *arg); /* can it carry anything? */
	void *arg;
};

/* @fanin: with how many others this node may talk, the one above included. @auth, @fd: borrowed. */
int snapc_link_relay_create(struct event_base *base, const struct snapc_auth *auth, int fd, uint32_t fanin, const struct snapc_link_relay_user *user,
			    struct snapc_link_relay **ret_relay, struct cr_err *err);
void snapc_link_relay_destroy(struct snapc_link_relay *relay);

/* A message from above. Dropped when its node is not below us. */
void snapc_link_relay_down(struct snapc_link_relay *relay, const struct snapc_link_msg *msg, const void *payload);
/* The connection upwards is lost. */
void snapc_link_relay_let_go(struct snapc_link_relay *relay);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The upper side of connections between nodes: listens on a TCP port, lets in who proves to be of the job, and hands every such
 * connection out.  The coordinator has one (link_tree.h), and every node that takes others below it (link_relay.h).
 *
 * Whoever connects has said nothing before he has proved who he is: until then a connection costs one of a bounded number of places, a
 * few kilobytes and one look at a credential, and lasts a few seconds.  When the places are taken the oldest is given up.  Connections
 * that have been let in are not touched by any of this.
 */
#ifndef SNAPC_LINK_SERVER_H
#define SNAPC_LINK_SERVER_H

#include <stdbool.h>

#include "snapc/auth.h"
#include "snapc/link.h"

struct bufferevent;
struct event_base;
struct snapc_link_server;
struct snapc_link_peer; /* a connection that was let in */

/* What is to become of a node that has proved that it is of the job. */
struct snapc_link_verdict {
	enum { SNAPC_LINK_WELCOME_IT, SNAPC_LINK_SEND_IT_ON, SNAPC_LINK_REFUSE_IT, SNAPC_LINK_IS_TOOL } what;
	uint32_t node;         /* its number, unless it is refused */
	const char *addresses; /* where to, when it is sent on; borrowed until the return */
	char why[256];         /* when it is refused */
};

struct snapc_link_server_user {
	void (*judge)(void *arg, const struct snapc_link_proof *proof, struct snapc_link_verdict *ret_verdict);
	/* Follows a welcome. @peer is borrowed until gone(). */
	void (*up)(void *arg, struct snapc_link_peer *peer, uint32_t node);
	/* Return: false to end the connection, with @ret_why set; gone() is called. */
	bool (*message)(void *arg, struct snapc_link_peer *peer, const struct snapc_link_msg *msg, const void *payload, const char **ret_why);
	void (*gone)(void *arg, struct snapc_link_peer *peer, const char *why);
	/* A tool was let in: the connection is given. NULL when judge() never says so. */
	void (*tool)(void *arg, struct bufferevent *stream, const char *who);
	void *arg;
};

/**
 * snapc_link_server_listen - listen for nodes, without serving any yet
 * @port: 0: the kernel chooses
 * @network: which addresses to name: interfaces or networks in CIDR notation, separated by commas; NULL or "": all but loopback
 * @ret_addresses: SNAPC_LINK_ADDRESSES_BYTES: "10.0.0.1:4711,[fd00::1]:4711", for snapc_link_client_create()
 *
 * Return: 0 or -errno with words.
 */
int snapc_link_server_listen(unsigned port, const char *network, int *ret_fd, char *ret_addresses, struct cr_err *err);

/* Serve who connects there. @auth, @fd: borrowed. Return: 0, -ENOMEM. */
int snapc_link_server_create(struct event_base *base, const struct snapc_auth *auth, int fd, const struct snapc_link_server_user *user,
			     struct snapc_link_server **ret_server, struct cr_err *err);
/* No further node: ends the listening and the connections that have not proved anything; nodes stay. */
void snapc_link_server_shut(struct snapc_link_server *server);
/* Calls no gone(). */
void snapc_link_server_destroy(struct snapc_link_server *server);

void snapc_link_peer_send(struct snapc_link_peer *peer, const struct snapc_link_msg *msg, const void *payload);
/* gone() is called, now; the memory stays for a moment. */
void snapc_link_peer_end(struct snapc_link_peer *peer, const char *why);
const char *snapc_link_peer_from(const struct snapc_link_peer *peer);

#endif

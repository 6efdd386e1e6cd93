/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The global role's side of the connections to other nodes: listens on a TCP port, lets in who proves to be the job's, and hands every such
 * node out as a struct snapc_link.
 *
 * Whoever connects has said nothing before he has proved who he is: until then a connection costs one of a bounded number of places, a
 * few kilobytes and one look at a credential, and lasts a few seconds.  When the places are taken the oldest is given up.  Connections
 * that have been let in are not touched by any of this.
 */
#ifndef SNAPC_LINK_SERVER_H
#define SNAPC_LINK_SERVER_H

#include "snapc/auth.h"
#include "snapc/link.h"

struct event_base;
struct snapc_link_server;

#define SNAPC_LINK_ADDRESSES_BYTES 2048

struct snapc_link_server_user {
	/* A node is there. Return: its number, or -errno to refuse it. The link is borrowed until node_down. */
	int64_t (*node_up)(void *arg, struct snapc_link *link, const char *host);
	void (*node_down)(void *arg, uint32_t node, const char *why);
	void *arg;
};

/**
 * snapc_link_server_create - listen on a port that the kernel chooses
 * @auth: borrowed
 * @port: 0: the kernel chooses
 * @network: which addresses to name: interfaces or networks in CIDR notation, separated by commas; NULL or "": all but loopback
 *
 * Return: 0 or -errno with words.
 */
int snapc_link_server_create(struct event_base *base, const struct snapc_auth *auth, unsigned port, const char *network,
			     const struct snapc_link_server_user *user, struct snapc_link_server **ret_server, struct cr_err *err);
/* No further node: ends the listening and the connections that have not proved anything; nodes stay. */
void snapc_link_server_shut(struct snapc_link_server *server);
/* Calls no node_down. */
void snapc_link_server_destroy(struct snapc_link_server *server);

/* "10.0.0.1:4711,10.1.0.1:4711": where it listens, for snapc_link_client_create(). */
const char *snapc_link_server_addresses(const struct snapc_link_server *server);

#endif

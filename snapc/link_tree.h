/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All nodes of a job as the coordinator sees them: a tree in which nobody talks to more than a given number of others.
 *
 * Every node knocks here first.  As long as there is room it stays; further ones are given a number and sent on to a node that has room, which passes
 * their messages up and ours down (link_relay.h).  Whoever loses the node above it comes back here and is sent elsewhere.  The global role sees
 * none of this: a node is a struct snapc_link, however far away.
 *
 * Invariant: a message counts only when it comes over the connection by which its node was last announced.
 */
#ifndef SNAPC_LINK_TREE_H
#define SNAPC_LINK_TREE_H

#include "snapc/link_server.h"

struct snapc_link_tree;

struct snapc_link_tree_user {
	/* A node is expected, or there. Return: its number, or -errno to refuse it. The link is borrowed until node_down; it may carry nothing yet. */
	int64_t (*node_up)(void *arg, struct snapc_link *link, const char *host);
	void (*node_down)(void *arg, uint32_t node);
	/* A tool on another node, which has proved who it is. @stream: given */
	void (*tool)(void *arg, struct bufferevent *stream, const char *who);
	void *arg;
};

/* @fanin: with how many others a node may talk. Other arguments as for snapc_link_server_create(). */
int snapc_link_tree_create(struct event_base *base, const struct snapc_auth *auth, int fd, uint32_t fanin, const struct snapc_link_tree_user *user,
			   struct snapc_link_tree **ret_tree, struct cr_err *err);
/* No further node. */
void snapc_link_tree_shut(struct snapc_link_tree *tree);
void snapc_link_tree_destroy(struct snapc_link_tree *tree);

/* Nodes that are there, and how many of them are connected to us. */
void snapc_link_tree_count(const struct snapc_link_tree *tree, uint32_t *ret_nodes, uint32_t *ret_children);

#endif

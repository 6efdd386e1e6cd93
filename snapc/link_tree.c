/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Numbers, places in the tree, and which connection leads where. */
#include "snapc/link_tree.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "snapc/log.h"

/* A node that was sent on has this long to arrive there. */
#define TREE_PATIENCE_NS 30000000000LL
#define TREE_LOOK_SECONDS 5
#define TREE_ROOT UINT32_MAX   /* above the nodes that are connected to us */
#define TREE_NOBODY (UINT32_MAX - 1)

struct tree_node {
	struct snapc_link link; /* first: the user's pointer */
	uint32_t node;
	bool taken;            /* the number is in use */
	struct snapc_link_peer *via; /* NULL: has not arrived */
	uint32_t parent;
	uint32_t children;     /* those that are expected included */
	uint64_t instance;
	int64_t expected_ns;   /* not arrived: until when it may */
	char host[SNAPC_HOST_BYTES];
	char addresses[SNAPC_LINK_ADDRESSES_BYTES];
};

struct snapc_link_tree {
	struct snapc_link_server *server;
	struct snapc_link_tree_user user;
	struct event *look; /* for nodes that do not arrive */
	struct tree_node **nodes; /* by number; NULL: not ours */
	uint32_t nnodes;
	uint32_t fanin;
	uint32_t children; /* of the root, those that are expected included */
	uint32_t hint;     /* no node before this one has room */
};

static int64_t tree_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void tree_send(struct snapc_link *link, const struct snapc_link_msg *msg, const void *payload)
{
	struct tree_node *n = (struct tree_node *)link;
	struct snapc_link_msg stamped = *msg;

	stamped.node = n->node;
	if (n->via)
		snapc_link_peer_send(n->via, &stamped, payload);
}

static struct tree_node *tree_find(const struct snapc_link_tree *tree, uint32_t node)
{
	return node < tree->nnodes && tree->nodes[node] && tree->nodes[node]->taken ? tree->nodes[node] : NULL;
}

/* --- places --- */

static uint32_t *tree_children(struct snapc_link_tree *tree, uint32_t parent)
{
	struct tree_node *above = parent == TREE_ROOT ? NULL : tree_find(tree, parent);

	return parent == TREE_ROOT ? &tree->children : above ? &above->children : NULL;
}

/* The number is free again. Nodes below it have lost their place as well, and will say so themselves. */
static void tree_lose(struct snapc_link_tree *tree, struct tree_node *n)
{
	uint32_t *children = tree_children(tree, n->parent);

	if (children && *children)
		(*children)--;
	n->taken = false;
	n->via = NULL;
	for (uint32_t i = 0; n->children && i < tree->nnodes; i++)
		if (tree->nodes[i] && tree->nodes[i]->taken && tree->nodes[i]->parent == n->node)
			tree->nodes[i]->parent = TREE_NOBODY;
	n->children = 0;
	tree->hint = 0;
	tree->user.node_down(tree->user.arg, n->node);
}

/* One of the connections of an inner node leads upwards. */
static bool tree_room(const struct snapc_link_tree *tree, const struct tree_node *n)
{
	return n && n->taken && n->via && n->addresses[0] && n->children + 1 < tree->fanin;
}

/* Above whom? Those who came first are nearest to the root. @avoid: it did not work there. */
static uint32_t tree_place(struct snapc_link_tree *tree, uint32_t avoid)
{
	if (tree->children < tree->fanin)
		return TREE_ROOT;
	while (tree->hint < tree->nnodes && !tree_room(tree, tree->nodes[tree->hint]))
		tree->hint++;
	for (uint32_t i = tree->hint; i < tree->nnodes; i++)
		if (i != avoid && tree_room(tree, tree->nodes[i]))
			return i;
	return TREE_NOBODY;
}

static int tree_grow(struct snapc_link_tree *tree, uint32_t node)
{
	struct tree_node **nodes;

	if (node < tree->nnodes)
		return 0;
	nodes = realloc(tree->nodes, (node + 1) * sizeof(struct tree_node *));
	if (!nodes)
		return -ENOMEM;
	memset(nodes + tree->nnodes, 0, (node + 1 - tree->nnodes) * sizeof(struct tree_node *));
	tree->nodes = nodes;
	tree->nnodes = node + 1;
	return 0;
}

/* A number, and memory under it. Return: NULL with words. */
static struct tree_node *tree_take(struct snapc_link_tree *tree, const struct snapc_link_proof *proof, struct snapc_link_verdict *v)
{
	struct tree_node *n = calloc(1, sizeof(*n));
	int64_t number;

	if (!n) {
		snprintf(v->why, sizeof(v->why), "out of memory");
		return NULL;
	}
	n->link.send = tree_send;
	number = tree->user.node_up(tree->user.arg, &n->link, proof->host);
	if (number < 0 || tree_grow(tree, (uint32_t)number) < 0) {
		if (number >= 0)
			tree->user.node_down(tree->user.arg, (uint32_t)number);
		snprintf(v->why, sizeof(v->why), "%s", strerror(number < 0 ? (int)-number : ENOMEM));
		free(n);
		return NULL;
	}
	free(tree->nodes[number]); /* of an earlier node with this number */
	tree->nodes[number] = n;
	n->node = (uint32_t)number;
	n->taken = true;
	n->instance = proof->instance;
	memcpy(n->host, proof->host, sizeof(n->host));
	memcpy(n->addresses, proof->addresses, sizeof(n->addresses));
	return n;
}

/* The same daemon again, whether or not its former connection was noticed to be dead. Return: the node above it that it did not reach. */
static uint32_t tree_forget(struct snapc_link_tree *tree, uint64_t instance)
{
	for (uint32_t i = 0; i < tree->nnodes; i++) {
		struct tree_node *n = tree_find(tree, i);
		uint32_t above;

		if (!n || n->instance != instance)
			continue;
		above = n->via ? TREE_NOBODY : n->parent;
		if (n->via && n->parent == TREE_ROOT)
			snapc_link_peer_end(n->via, "it has connected again");
		else
			tree_lose(tree, n);
		return above;
	}
	return TREE_NOBODY;
}

static bool tree_expects(const struct snapc_link_tree *tree)
{
	for (uint32_t i = 0; i < tree->nnodes; i++) {
		const struct tree_node *n = tree_find(tree, i);

		if (n && !n->via)
			return true;
	}
	return false;
}

static void tree_judge(void *arg, const struct snapc_link_proof *proof, struct snapc_link_verdict *v)
{
	static const struct timeval soon = { .tv_sec = TREE_LOOK_SECONDS };
	struct snapc_link_tree *tree = arg;
	uint32_t avoid, parent;
	struct tree_node *n;

	if (proof->node == SNAPC_LINK_TOOL) {
		v->what = SNAPC_LINK_IS_TOOL;
		v->node = SNAPC_LINK_NO_NODE;
		return;
	}
	avoid = tree_forget(tree, proof->instance);
	parent = tree_place(tree, avoid);
	if (parent == TREE_NOBODY && tree_expects(tree)) { /* one of those will have room */
		v->what = SNAPC_LINK_SEND_IT_ON;
		v->node = SNAPC_LINK_NO_NODE;
		v->addresses = "";
		return;
	}
	if (parent == TREE_NOBODY) {
		v->what = SNAPC_LINK_REFUSE_IT;
		snprintf(v->why, sizeof(v->why), "no node has room for one more below it: try again, or raise ompi_cr_fanin (%u)", tree->fanin);
		return;
	}
	n = tree_take(tree, proof, v);
	if (!n) {
		v->what = SNAPC_LINK_REFUSE_IT;
		return;
	}
	n->parent = parent;
	++*tree_children(tree, parent);
	v->node = n->node;
	v->what = SNAPC_LINK_WELCOME_IT;
	if (parent == TREE_ROOT)
		return;
	v->what = SNAPC_LINK_SEND_IT_ON;
	v->addresses = tree->nodes[parent]->addresses;
	n->expected_ns = tree_ns() + TREE_PATIENCE_NS;
	if (!evtimer_pending(tree->look, NULL))
		evtimer_add(tree->look, &soon);
}

static void tree_look(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = { .tv_sec = TREE_LOOK_SECONDS };
	struct snapc_link_tree *tree = arg;
	int64_t now = tree_ns();
	bool more = false;

	(void)fd;
	(void)what;
	for (uint32_t i = 0; i < tree->nnodes; i++) {
		struct tree_node *n = tree_find(tree, i);

		if (!n || n->via)
			continue;
		if (now < n->expected_ns)
			more = true;
		else
			tree_lose(tree, n);
	}
	if (more)
		evtimer_add(tree->look, &again);
}

/* --- traffic --- */

/* It is there, and may have others below it. */
static void tree_arrived(struct snapc_link_tree *tree, struct tree_node *n, struct snapc_link_peer *peer)
{
	n->via = peer;
	if (n->node < tree->hint)
		tree->hint = n->node;
}

static void tree_up(void *arg, struct snapc_link_peer *peer, uint32_t node)
{
	struct snapc_link_tree *tree = arg;
	struct tree_node *n = tree->nodes[node];

	tree_arrived(tree, n, peer);
	snapc_log(SNAPC_LOG_INFO, "node %s (%s) is number %u", n->host, snapc_link_peer_from(peer), node);
}

/* A node that was sent on has arrived; or it is no longer expected, and has to come here once more. Return: false: that. */
static bool tree_arrive(struct snapc_link_tree *tree, struct snapc_link_peer *peer, const struct snapc_link_msg *msg, const struct snapc_link_node *about)
{
	const struct snapc_link_msg leave = { .kind = SNAPC_LINK_LEAVE, .node = msg->node, .rank = -1 };
	struct tree_node *n = tree_find(tree, msg->node), *above;

	if (n && n->via == peer && n->instance == about->instance)
		return true;
	above = n ? tree_find(tree, n->parent) : NULL;
	if (!n || n->via || n->instance != about->instance || !above || above->via != peer) {
		snapc_log(SNAPC_LOG_DEBUG, "node %s is not expected as number %u", about->host, msg->node);
		snapc_link_peer_send(peer, &leave, NULL);
		return false;
	}
	tree_arrived(tree, n, peer);
	snapc_log(SNAPC_LOG_INFO, "node %s is number %u, below node %s", n->host, n->node, above->host);
	return true;
}

static void tree_tool(void *arg, struct bufferevent *stream, const char *who)
{
	struct snapc_link_tree *tree = arg;

	tree->user.tool(tree->user.arg, stream, who);
}

static bool tree_message(void *arg, struct snapc_link_peer *peer, const struct snapc_link_msg *msg, const void *payload, const char **ret_why)
{
	struct snapc_link_tree *tree = arg;
	struct tree_node *n;

	(void)ret_why;
	if (msg->kind == SNAPC_LINK_NODE_UP && !tree_arrive(tree, peer, msg, payload))
		return true;
	n = tree_find(tree, msg->node);
	if (!n || n->via != peer) /* one that we have just lost, or never had */
		return true;
	if (msg->kind == SNAPC_LINK_NODE_DOWN) {
		if (n->parent == TREE_ROOT)
			return true;
		snapc_log(SNAPC_LOG_INFO, "node %s is gone", n->host);
		tree_lose(tree, n);
		return true;
	}
	if (n->link.receive)
		n->link.receive(n->link.arg, msg, payload);
	return true;
}

static void tree_gone(void *arg, struct snapc_link_peer *peer, const char *why)
{
	struct snapc_link_tree *tree = arg;

	for (uint32_t i = 0; i < tree->nnodes; i++) {
		struct tree_node *n = tree_find(tree, i);

		if (!n || n->via != peer)
			continue;
		if (n->parent == TREE_ROOT)
			snapc_log(SNAPC_LOG_INFO, "node %s is gone: %s", n->host, why);
		else
			snapc_log(SNAPC_LOG_INFO, "node %s is gone with a node above it", n->host);
		tree_lose(tree, n);
	}
}

int snapc_link_tree_create(struct event_base *base, const struct snapc_auth *auth, int fd, uint32_t fanin, const struct snapc_link_tree_user *user,
			   struct snapc_link_tree **ret_tree, struct cr_err *err)
{
	struct snapc_link_tree *tree = calloc(1, sizeof(*tree));
	const struct snapc_link_server_user of_server = { .judge = tree_judge, .up = tree_up, .message = tree_message, .gone = tree_gone,
						       .tool = tree_tool, .arg = tree };
	int rc;

	if (!tree)
		return cr_err_set(err, ENOMEM, "no memory for the nodes");
	tree->user = *user;
	tree->fanin = fanin;
	tree->look = evtimer_new(base, tree_look, tree);
	rc = tree->look ? snapc_link_server_create(base, auth, fd, &of_server, &tree->server, err) : cr_err_set(err, ENOMEM, "no memory for the nodes");
	if (rc < 0) {
		snapc_link_tree_destroy(tree);
		return rc;
	}
	*ret_tree = tree;
	return 0;
}

void snapc_link_tree_shut(struct snapc_link_tree *tree)
{
	snapc_link_server_shut(tree->server);
}

void snapc_link_tree_destroy(struct snapc_link_tree *tree)
{
	if (!tree)
		return;
	snapc_link_server_destroy(tree->server);
	if (tree->look)
		event_free(tree->look);
	for (uint32_t i = 0; i < tree->nnodes; i++)
		free(tree->nodes[i]);
	free(tree->nodes);
	free(tree);
}

void snapc_link_tree_count(const struct snapc_link_tree *tree, uint32_t *ret_nodes, uint32_t *ret_children)
{
	*ret_nodes = *ret_children = 0;
	for (uint32_t i = 0; tree && i < tree->nnodes; i++) {
		const struct tree_node *n = tree_find(tree, i);

		*ret_nodes += n && n->via;
		*ret_children += n && n->via && n->parent == TREE_ROOT;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of the nodes below leads to which number. */
#include "snapc/link_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/log.h"

#define RELAY_NODES_MOST (1u << 16) /* as in global_node.c */

struct snapc_link_relay {
	struct snapc_link_server *server;
	struct snapc_link_relay_user user;
	struct snapc_link_peer **routes; /* by number; NULL: not below us */
	uint32_t nroutes;
	uint32_t children;
	uint32_t fanin;
	bool letting_go;
};

static struct snapc_link_peer *relay_route(const struct snapc_link_relay *relay, uint32_t node)
{
	return node < relay->nroutes ? relay->routes[node] : NULL;
}

static int relay_learn(struct snapc_link_relay *relay, uint32_t node, struct snapc_link_peer *peer)
{
	struct snapc_link_peer **routes;

	if (node >= RELAY_NODES_MOST)
		return -ERANGE;
	if (node >= relay->nroutes) {
		routes = realloc(relay->routes, (node + 1) * sizeof(struct snapc_link_peer *));
		if (!routes)
			return -ENOMEM;
		memset(routes + relay->nroutes, 0, (node + 1 - relay->nroutes) * sizeof(struct snapc_link_peer *));
		relay->routes = routes;
		relay->nroutes = node + 1;
	}
	relay->routes[node] = peer;
	return 0;
}

static void relay_refuse(struct snapc_link_verdict *v, const char *why)
{
	v->what = SNAPC_LINK_REFUSE_IT;
	snprintf(v->why, sizeof(v->why), "%s", why);
}

static void relay_judge(void *arg, const struct snapc_link_proof *proof, struct snapc_link_verdict *v)
{
	struct snapc_link_relay *relay = arg;

	v->what = SNAPC_LINK_WELCOME_IT;
	v->node = proof->node;
	if (proof->node >= RELAY_NODES_MOST)
		relay_refuse(v, "the coordinator has not sent it here");
	else if (!relay->user.connected(relay->user.arg))
		relay_refuse(v, "this node has no connection to the coordinator itself");
	else if (relay->children + 1 >= relay->fanin)
		relay_refuse(v, "this node has no room below it");
}

static void relay_up(void *arg, struct snapc_link_peer *peer, uint32_t node)
{
	struct snapc_link_relay *relay = arg;

	relay->children++;
	snapc_log(SNAPC_LOG_DEBUG, "node %u is below this one (%s)", node, snapc_link_peer_from(peer));
	if (relay_learn(relay, node, peer) < 0)
		snapc_link_peer_end(peer, "out of memory");
}

static bool relay_message(void *arg, struct snapc_link_peer *peer, const struct snapc_link_msg *msg, const void *payload, const char **ret_why)
{
	struct snapc_link_relay *relay = arg;

	if (msg->kind == SNAPC_LINK_NODE_UP && relay_learn(relay, msg->node, peer) < 0) {
		*ret_why = "a number that no node has";
		return false;
	}
	if (relay_route(relay, msg->node) != peer)
		return true; /* it has come to us on another way meanwhile */
	if (msg->kind == SNAPC_LINK_NODE_DOWN)
		relay->routes[msg->node] = NULL;
	relay->user.up(relay->user.arg, msg, payload);
	return true;
}

static void relay_gone(void *arg, struct snapc_link_peer *peer, const char *why)
{
	struct snapc_link_relay *relay = arg;
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_NODE_DOWN, .rank = -1 };

	relay->children--;
	for (uint32_t i = 0; i < relay->nroutes; i++) {
		if (relay->routes[i] != peer)
			continue;
		snapc_log(SNAPC_LOG_DEBUG, "node %u is no longer below this one: %s", i, why);
		relay->routes[i] = NULL;
		msg.node = i;
		if (!relay->letting_go)
			relay->user.up(relay->user.arg, &msg, NULL);
	}
}

int snapc_link_relay_create(struct event_base *base, const struct snapc_auth *auth, int fd, uint32_t fanin, const struct snapc_link_relay_user *user,
			    struct snapc_link_relay **ret_relay, struct cr_err *err)
{
	struct snapc_link_relay *relay = calloc(1, sizeof(*relay));
	const struct snapc_link_server_user of_server = { .judge = relay_judge, .up = relay_up, .message = relay_message, .gone = relay_gone, .arg = relay };
	int rc;

	if (!relay)
		return cr_err_set(err, ENOMEM, "no memory for the nodes below this one");
	relay->user = *user;
	relay->fanin = fanin;
	rc = snapc_link_server_create(base, auth, fd, &of_server, &relay->server, err);
	if (rc < 0) {
		free(relay);
		return rc;
	}
	*ret_relay = relay;
	return 0;
}

void snapc_link_relay_destroy(struct snapc_link_relay *relay)
{
	if (!relay)
		return;
	snapc_link_server_destroy(relay->server);
	free(relay->routes);
	free(relay);
}

void snapc_link_relay_down(struct snapc_link_relay *relay, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_link_peer *peer = relay_route(relay, msg->node);

	if (peer)
		snapc_link_peer_send(peer, msg, payload);
}

void snapc_link_relay_let_go(struct snapc_link_relay *relay)
{
	relay->letting_go = true;
	for (uint32_t i = 0; i < relay->nroutes; i++)
		if (relay->routes[i])
			snapc_link_peer_end(relay->routes[i], "this node has lost its connection to the coordinator");
	relay->letting_go = false;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes of a job: places that stay when a node is lost, so that a checkpoint may go on naming them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/global_private.h"

#define GLOBAL_MAX_NODES (1 << 16)

/* Room for one more; the views are made anew because the nodes may have moved. */
static int nodes_grow(struct snapc_global *global)
{
	uint32_t n = global->nnodes + 1;
	struct snapc_checkpoint_node *views;
	struct snapc_global_node *nodes;

	if (n > GLOBAL_MAX_NODES)
		return -ENOSPC;
	views = realloc(global->node_views, n * sizeof(*views));
	if (!views)
		return -ENOMEM;
	global->node_views = views;
	nodes = realloc(global->nodes, n * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	global->nodes = nodes;
	memset(&nodes[n - 1], 0, sizeof(*nodes));
	global->nnodes = n;
	for (uint32_t i = 0; i < n; i++)
		views[i] = (struct snapc_checkpoint_node){ .host = nodes[i].host, .topology = nodes[i].topology ? nodes[i].topology : "" };
	return 0;
}

int64_t snapc_global_node_add(struct snapc_global *global, struct snapc_link *link, const char *host)
{
	uint32_t node = 0;
	int rc;

	while (node < global->nnodes && (global->nodes[node].link || strcmp(global->nodes[node].host, host) != 0))
		node++;
	if (node == global->nnodes) {
		rc = nodes_grow(global);
		if (rc < 0)
			return rc;
	}
	strncpy(global->nodes[node].host, host, SNAPC_HOST_BYTES - 1);
	global->nodes[node].link = link;
	link->receive = snapc_global_receive;
	link->arg = global;
	return node;
}

void snapc_global_node_remove(struct snapc_global *global, uint32_t node)
{
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_RANK_DOWN, .node = node };

	global->nodes[node].link = NULL;
	for (uint32_t r = 0; r < global->nmembers; r++) {
		if (!global->members[r].present || global->members[r].node != node)
			continue;
		/* What is lost is our sight of it; whether it has ended is not known. */
		global->members[r].present = false;
		global->members[r].had_mpi = false;
		msg.rank = (int32_t)r;
		msg.proc = global->members[r].proc;
		if (global->checkpoint)
			snapc_checkpoint_receive(global->checkpoint, &msg, NULL);
	}
}

bool snapc_global_node_message(struct snapc_global *global, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_global_node *node;

	if (msg->node >= global->nnodes)
		return true; /* of nobody */
	node = &global->nodes[msg->node];
	switch (msg->kind) {
	case SNAPC_LINK_NODE_UP:
		memcpy(node->host, ((const struct snapc_link_node *)payload)->host, SNAPC_HOST_BYTES - 1);
		return true;
	case SNAPC_LINK_TOPOLOGY:
		free(node->topology);
		node->topology = strdup(payload);
		global->node_views[msg->node].topology = node->topology ? node->topology : "";
		return true;
	default:
		return false;
	}
}

struct snapc_link *snapc_global_node_link(void *arg, uint32_t node)
{
	struct snapc_global *global = arg;

	return node < global->nnodes ? global->nodes[node].link : NULL;
}

const struct snapc_checkpoint_node *snapc_global_node_views(void *arg, uint32_t *ret_n)
{
	struct snapc_global *global = arg;

	*ret_n = global->nnodes;
	return global->node_views;
}

void snapc_global_nodes_destroy(struct snapc_global *global)
{
	for (uint32_t i = 0; i < global->nnodes; i++)
		free(global->nodes[i].topology);
	free(global->nodes);
	free(global->node_views);
}

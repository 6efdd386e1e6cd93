/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the global role share: global.c (ranks, nodes, the one checkpoint), global_tool.c (connections of tools). */
#ifndef SNAPC_GLOBAL_PRIVATE_H
#define SNAPC_GLOBAL_PRIVATE_H

#include <stdbool.h>
#include <sys/socket.h>

#include "snapc/checkpoint.h"
#include "snapc/global.h"
#include "snapc/line.h"

struct bufferevent;

struct snapc_global_node {
	struct snapc_link *link; /* NULL: lost; the place is kept for the same host */
	char host[SNAPC_HOST_BYTES];
	char *topology;
};

/* A connection of a tool. */
struct snapc_tool {
	struct snapc_tool *next;
	struct snapc_global *global;
	struct bufferevent *stream;
	pid_t pid; /* 0: on another node */
	char who[384]; /* for the log */
	bool closing; /* free it when all is sent */
};

struct snapc_global {
	struct event_base *base;
	const struct snapc_global_settings *settings;
	struct snapc_listener *listener;
	struct snapc_global_node *nodes;
	struct snapc_checkpoint_node *node_views; /* the same, as a checkpoint sees it */
	uint32_t nnodes;
	struct snapc_member *members; /* by rank */
	uint32_t nmembers;
	struct snapc_job *job; /* loaded at the first request */

	struct snapc_checkpoint_world world;
	struct snapc_checkpoint *checkpoint; /* running, or finished and not yet destroyed */
	struct snapc_checkpoint_options options;
	struct snapc_tool *client; /* who asked for it; NULL: nobody waits */
	struct event *cleanup;
	struct event *terminate_timer;
	struct event *interval_timer;
	struct event *restart_timer; /* NULL: not a job that is brought back */
	uint32_t interval;           /* seconds; 0: no checkpoints by interval */
	int terminate_step;
	uint32_t number;
	uint32_t checkpoints; /* committed */
	bool orphan;
	bool leaving;
	bool alone; /* all ranks are here, which was told */

	struct snapc_tool *tools;
};

/* global.c */
/* Return: ranks of the job; 0 when not known yet. */
uint32_t snapc_global_size(const struct snapc_global *global);
/*
 * snapc_global_request - begin a checkpoint for a tool, or for nobody (NULL)
 * Return: 0; -EAGAIN not now, -EBUSY one is running, other -errno; words beside it. Reasons per rank are sent to the tool before.
 */
int snapc_global_request(struct snapc_global *global, struct snapc_tool *tool, const struct snapc_checkpoint_options *options,
			 struct cr_err *err);
void snapc_global_tool_gone(struct snapc_global *global, struct snapc_tool *tool);

/* global_node.c */
/* Takes what concerns a node. Return: false when the message is about a rank. */
bool snapc_global_node_message(struct snapc_global *global, const struct snapc_link_msg *msg, const void *payload);
struct snapc_link *snapc_global_node_link(void *global, uint32_t node);
const struct snapc_checkpoint_node *snapc_global_node_views(void *global, uint32_t *ret_n);
void snapc_global_nodes_destroy(struct snapc_global *global);
/* global.c: a message about a rank; the receive callback of every link */
void snapc_global_receive(void *global, const struct snapc_link_msg *msg, const void *payload);
struct snapc_member *snapc_global_member(struct snapc_global *global, int32_t rank);

/* global_interval.c */
#define SNAPC_GLOBAL_INTERVAL_MOST 100000000 /* as the setting */
int snapc_global_interval_init(struct snapc_global *global);
/* From now on; 0: none any more. The first one begins @seconds from now, or after a checkpoint that runs. */
void snapc_global_interval_set(struct snapc_global *global, uint32_t seconds);
/* Seconds until the next one; -1: none is planned. */
long snapc_global_interval_left(const struct snapc_global *global);
/* A checkpoint has ended. */
void snapc_global_interval_again(struct snapc_global *global);
/* Seconds between checkpoints that cost as much as the last one; 0: not known. */
uint32_t snapc_global_interval_advice(const struct snapc_global *global, uint64_t cost_ns);

/* global.c: end the job, quietly if that can be */
void snapc_global_terminate(void *global);

/* global_restart.c */
int snapc_global_restart_init(struct snapc_global *global);

/* global_fault.c */
void snapc_global_blow(void *global, enum snapc_fault_target target, enum snapc_fault_action action);

/* global_tool.c */
void snapc_tool_accept(void *global, int fd, const struct ucred *peer);
void snapc_tool_send(struct snapc_tool *tool, struct snapc_line *line);
/* Send and close. */
void snapc_tool_end(struct snapc_tool *tool, struct snapc_line *line);
void snapc_tool_error(struct snapc_tool *tool, int code, const char *text);
void snapc_tool_destroy(struct snapc_tool *tool);

#endif

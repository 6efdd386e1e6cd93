/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of snapcd share: snapcd.c (processes, what outlives a daemon), snapcd_global.c and snapcd_node.c (the two kinds of daemon). */
#ifndef SNAPC_SNAPCD_PRIVATE_H
#define SNAPC_SNAPCD_PRIVATE_H

#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>

#include "snapc/auth.h"
#include "snapc/checkpoint.h"
#include "snapc/line.h"
#include "snapc/link_client.h"
#include "snapc/link_gather.h"
#include "snapc/link_relay.h"
#include "snapc/link_tree.h"
#include "snapc/local.h"
#include "snapc/snapcd_options.h"
#include "snapc/supervisor.h"

/* Memory that a daemon and its successors share. */
struct snapcd_shared {
	uint32_t number;  /* of the last checkpoint */
	uint32_t ready;   /* mpirun has been told */
	struct snapc_snapshot_place begun;
	char registry_path[PATH_MAX];
	char contact_path[PATH_MAX]; /* "": there is none */
};

/* Opened by the supervisor, inherited by every daemon. */
struct snapcd_kept {
	int agents;  /* listening sockets */
	int tools;   /* -1 in the local role */
	int nodes;   /* -1: other nodes are not served */
	int pidfd;   /* of mpirun or orted */
	char addresses[SNAPC_LINK_ADDRESSES_BYTES]; /* of @nodes */
	uint32_t fanin; /* with how many others a node talks at most */
	struct snapc_auth auth;
	struct snapcd_shared *shared;
	int list[SNAPC_SUPERVISED_FDS]; /* the descriptors, for the supervisor */
};

struct snapcd {
	struct snapcd_options o;
	struct snapcd_kept kept;
	struct snapc_supervised supervised;

	/* of one daemon */
	struct event_base *base;
	int control;
	struct snapc_link_queue *link;     /* global role: to the local role in this process */
	struct snapc_link_tree *tree;      /* global role: other nodes */
	struct snapc_link_client *client;  /* local role: upwards */
	struct snapc_link_gather *gather;  /* local role: what goes there */
	struct snapc_link_relay *relay;    /* local role: nodes below */
	struct snapc_link node_link;       /* local role: between it and the three above */
	uint32_t node;                     /* local role: number of this node */
	bool connected;
	struct snapc_local *local;
	struct snapc_global *global;
	struct snapc_words coordinator;    /* local role; points into coordinator_text */
	char coordinator_text[SNAPC_LINE_BYTES];
	struct event *events[5]; /* end of mpirun, its socket, SIGTERM, SIGINT, the supervisor */
	struct event *leftover;  /* of a checkpoint that the daemon before us did not finish */
	unsigned leftover_rounds;
	uint32_t leftover_number;
	char registry_path[PATH_MAX];
};

/* snapcd_global.c */
/* In the supervisor. */
int snapcd_global_open(struct snapcd *d, struct cr_err *err);
/* In the daemon. */
int snapcd_global_init(struct snapcd *d, bool again, struct cr_err *err);
/* The line "ready" for mpirun. */
void snapcd_global_ready(const struct snapcd *d);

/* Nobody is to find the job any more, here or on another node. */
void snapcd_global_unregister(struct snapcd *d);

/* snapcd_node.c */
int snapcd_node_open(struct snapcd *d, struct cr_err *err);
int snapcd_node_init(struct snapcd *d, struct cr_err *err);

/* snapcd.c: an abstract socket, as soon as those before us have let go of it */
int snapcd_listen(const struct snapcd *d, const char *name, int *ret_fd, struct cr_err *err);
/* Is @rc worth another try? Pauses before it says so. */
bool snapcd_in_use(const struct snapcd *d, int rc, unsigned *tries);
/* One line to the component that waits for us */
void snapcd_report(const struct snapcd *d, const char *word, const char *text);

#endif

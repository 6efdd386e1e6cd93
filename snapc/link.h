/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the global role (one per job) and the local roles (one per node): flat messages and nothing else.
 *
 * A link message is struct snapc_link_msg followed by @bytes of payload; no pointer, no descriptor crosses.  In one process the
 * queue of link_queue.c carries them; between nodes a tree of TCP streams does (link_tree.h, link_relay.h, link_client.h).  Delivery is in order and never inside
 * the call to send.
 */
#ifndef SNAPC_LINK_H
#define SNAPC_LINK_H

#include <stdint.h>

#include "cr_proto.h"
#include "libcr/cr_err.h"

#define SNAPC_HOST_BYTES 256
#define SNAPC_CPUS_BYTES 512

enum snapc_link_kind {
	/* local -> global */
	SNAPC_LINK_NODE_UP = 1, /* struct snapc_link_node: first message of a node */
	SNAPC_LINK_RANK_UP,     /* struct snapc_link_rank: a process stands for the rank now, or its state has changed */
	SNAPC_LINK_RANK_DOWN,   /* no payload: process @proc of @rank is gone */
	SNAPC_LINK_FROM_AGENT,  /* message of type @type from process @proc of @rank */
	SNAPC_LINK_SURVEY,      /* struct snapc_link_survey: answer to ASK_SURVEY, one per rank */
	SNAPC_LINK_TOPOLOGY,    /* hwloc XML with its NUL, answer to ASK_TOPOLOGY */
	SNAPC_LINK_NODE_DOWN,   /* no payload: the connection over which this node was reached has ended; said by the node above it */
	/* global -> local */
	SNAPC_LINK_TO_AGENT,    /* message of type @type for process @proc */
	SNAPC_LINK_ASK_SURVEY,  /* about process @proc of @rank */
	SNAPC_LINK_ASK_TOPOLOGY,
	SNAPC_LINK_BLOW,        /* fault injection: do @type (enum snapc_link_blow) to process @proc, or to the node's daemon */
	SNAPC_LINK_LEAVE,       /* no payload: begin again at the coordinator; never seen by the local role */
	/* opening of a connection between nodes; never seen by the roles (link_wire.h) */
	SNAPC_LINK_CHALLENGE,
	SNAPC_LINK_PROOF,
	SNAPC_LINK_WELCOME,
	SNAPC_LINK_REFUSED,
	SNAPC_LINK_REDIRECT,
	/* several messages at once, in both directions; never seen by the roles */
	SNAPC_LINK_BATCH,
	SNAPC_LINK_KINDS
};

enum snapc_link_blow {
	SNAPC_BLOW_KILL = 1, /* SIGKILL to the process */
	SNAPC_BLOW_STOP,     /* SIGSTOP */
	SNAPC_BLOW_CUT,      /* the connection of its agent ends */
	SNAPC_BLOW_DAEMON_KILL,
	SNAPC_BLOW_DAEMON_STOP,
	SNAPC_BLOW_DAEMON_CUT, /* the connections to other nodes end */
};

struct snapc_link_msg {
	uint32_t kind;
	uint32_t node;
	int32_t rank;
	uint32_t type;       /* CR_MSG_*, or enum snapc_link_blow */
	uint32_t checkpoint;
	uint32_t bytes;      /* of payload behind this head */
	uint64_t proc;       /* number of a process on its node; never used again */
};

struct snapc_link_node {
	uint64_t instance; /* of its daemon, as in its proof */
	char host[SNAPC_HOST_BYTES];
};

/* What is known of a rank's MPI library. */
enum snapc_mpi_state {
	SNAPC_MPI_NONE = 0,     /* has not passed MPI_Init (yet) */
	SNAPC_MPI_READY = 1,
	SNAPC_MPI_FINALIZED = 2,
};

struct snapc_link_rank {
	int32_t pid;
	int32_t size;     /* of MPI_COMM_WORLD, -1: not known */
	uint32_t mpi;     /* enum snapc_mpi_state */
	uint32_t epoch;
	uint32_t rivals;  /* further processes of this rank with MPI */
	uint32_t reserved;
	char exe[CR_PATH_BYTES];
	char engine[16];
};

struct snapc_link_survey {
	uint64_t private_bytes; /* memory of the program that is its own: the file will not be larger than this, by much */
	char cpus[SNAPC_CPUS_BYTES];
};

/* One end as its user sees it. */
struct snapc_link {
	/* Queue a message for the other end; @payload (@msg->bytes) is copied. Running out of memory ends the process. */
	void (*send)(struct snapc_link *link, const struct snapc_link_msg *msg, const void *payload);
	/* Set by the user of this end; called from the event loop. @payload is borrowed and aligned to 8 bytes. */
	void (*receive)(void *arg, const struct snapc_link_msg *msg, const void *payload);
	void *arg;
};

/* --- link_queue.c: both ends in one process --- */

struct event_base;
struct snapc_link_queue;

struct snapc_link_queue *snapc_link_queue_create(struct event_base *base);
void snapc_link_queue_destroy(struct snapc_link_queue *queue);
struct snapc_link *snapc_link_queue_local(struct snapc_link_queue *queue);
struct snapc_link *snapc_link_queue_global(struct snapc_link_queue *queue);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One checkpoint of one job, from the request to the answer: the phase table and what drives it.
 *
 * Invariant: whatever happens, it ends.  Every phase has a deadline; a failure in any phase runs the undo steps of the phases begun so far, so
 * that the ranks that live run again and no partial file is left; then the client is told, once.
 */
#ifndef SNAPC_CHECKPOINT_H
#define SNAPC_CHECKPOINT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "snapc/fault.h"
#include "snapc/link.h"

struct event_base;
struct snapc_checkpoint;
struct snapc_job;

/* A rank as the global role knows it when the checkpoint begins. */
struct snapc_member {
	bool present;
	bool had_mpi; /* a process of this rank has passed MPI_Init at some time */
	uint32_t node;
	uint64_t proc;
	struct snapc_link_rank facts;
};

struct snapc_checkpoint_node {
	const char *host;
	const char *topology; /* "" when not known yet */
};

struct snapc_checkpoint_options {
	bool check;  /* only ask whether it could be done */
	bool term;   /* end the job after the commit */
	bool stop;   /* the ranks stay stopped after the commit, until SIGCONT comes. Not both */
	bool nosync;
	bool nowait; /* the client does not wait for the end */
	uint32_t timeout_seconds; /* for everything together; 0: none */
	struct snapc_fault fault;
};

/* Where a snapshot is being made. */
struct snapc_snapshot_place {
	char dir[PATH_MAX]; /* reference directory; "" none */
	uint32_t seq;
};

/* What the checkpoint is told of its surroundings; borrowed until it is destroyed. */
struct snapc_checkpoint_world {
	struct event_base *base;
	struct snapc_link *(*node_link)(void *arg, uint32_t node);
	const struct snapc_checkpoint_node *(*nodes)(void *arg, uint32_t *ret_n);
	void (*terminate)(void *arg); /* end the job quietly */
	void (*blow)(void *arg, enum snapc_fault_target target, enum snapc_fault_action action); /* fault injection: not to ranks and nodes */
	void *arg;
	const struct snapc_job *job;
	const char *snapshot_dir;
	const char *ref;
	uint32_t keep;
	uint32_t *number; /* last number given to a checkpoint of this job */
	struct snapc_snapshot_place *begun; /* NULL, or: to be told where files are being written, for whoever comes after us */
};

struct snapc_checkpoint_result {
	int rc;            /* 0 or -errno */
	const char *text;  /* words for rc < 0 */
	uint32_t seq;
	const char *dir;   /* reference directory */
	uint64_t file_bytes;
	uint64_t messages;
	uint64_t message_bytes;
	uint64_t stopped_ns; /* the longest of all ranks */
	uint64_t total_ns;
};

struct snapc_checkpoint_client {
	void (*progress)(void *arg, const char *state, uint64_t since_begin_ns, int64_t seq); /* seq -1: not known yet */
	void (*reason)(void *arg, uint32_t rank, const char *text, size_t bytes);
	void (*finished)(void *arg, const struct snapc_checkpoint_result *result); /* last call; may destroy the checkpoint later, not inside */
	void *arg;
};

/**
 * snapc_checkpoint_create - begin a checkpoint
 * @world: borrowed
 * @members: [np], copied; all present
 * @options: copied
 * @client: copied; called from the event loop, never from here
 *
 * Return: 0, -ENOMEM.  Everything else that goes wrong is told by client->finished.
 */
int snapc_checkpoint_create(const struct snapc_checkpoint_world *world, const struct snapc_member *members, uint32_t np,
			    const struct snapc_checkpoint_options *options, const struct snapc_checkpoint_client *client,
			    struct snapc_checkpoint **ret_checkpoint, struct cr_err *err);
void snapc_checkpoint_destroy(struct snapc_checkpoint *c);

/* A link message about a process: FROM_AGENT, SURVEY, RANK_DOWN. Those of processes that take no part are ignored. */
void snapc_checkpoint_receive(struct snapc_checkpoint *c, const struct snapc_link_msg *msg, const void *payload);

/* Give up and undo. Ignored when the commit has been passed. */
void snapc_checkpoint_abort(struct snapc_checkpoint *c, const char *why);
/* mpirun is gone: nobody will answer any more. Finishes a commit that has begun, gives up otherwise, without waiting for ranks. */
void snapc_checkpoint_orphan(struct snapc_checkpoint *c);
/* Seconds until the client hears something at the latest: the deadline of the phase, and of the undo. */
uint32_t snapc_checkpoint_limit(const struct snapc_checkpoint *c);
bool snapc_checkpoint_finished(const struct snapc_checkpoint *c);
/* Reference directory, borrowed; NULL before it is known. */
const char *snapc_checkpoint_dir(const struct snapc_checkpoint *c);
/* Memory of the ranks that may have to be written: an upper bound, 0 before the ranks have answered. */
uint64_t snapc_checkpoint_expected_bytes(const struct snapc_checkpoint *c);

#endif

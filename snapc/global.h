/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The global role: one per job.  Knows the ranks (from the local roles), runs one checkpoint at a time, serves the tools.
 *
 * It reaches processes by link messages only, so that local roles may be anywhere.
 */
#ifndef SNAPC_GLOBAL_H
#define SNAPC_GLOBAL_H

#include <stdint.h>
#include <sys/types.h>

#include "snapc/link.h"

struct event_base;
struct snapc_global;
struct snapc_line;

struct snapc_global_settings {
	const char *job_id;        /* as users name it */
	pid_t mpirun_pid;
	int mpirun_fd;             /* to the component in mpirun, or -1 */
	const char *tool_socket;
	int tool_fd;               /* listening there; borrowed */
	uint32_t *number;          /* last number of a checkpoint of this job, which outlives the daemon; NULL: counted here */
	struct snapc_snapshot_place *begun; /* where the snapshot goes that is being made; likewise */
	const char *snapshot_dir;
	const char *ref;
	const char *restarted_from; /* or NULL */
	int64_t restarted_seq;
	uint32_t np;               /* 0: the ranks will say */
	uint32_t keep;             /* snapshots to keep, 0: all */
	uint32_t interval;         /* seconds between checkpoints that nobody asks for, 0: none */
	uint32_t mtbf_hours;       /* of the machine, for advice; 0: none is given */
	void (*count)(void *arg, struct snapc_line *line); /* NULL, or: adds what is to be said of other nodes to the answer to "status" */
	void (*alone)(void *arg);  /* NULL, or: every rank of the job is on node 0, so no other node will ever connect. Called once. */
	void *arg;
};

/**
 * snapc_global_create - begin to serve tools
 * @settings: borrowed until destroy
 * @link: to node 0; borrowed; its receive callback is set here
 */
int snapc_global_create(struct event_base *base, const struct snapc_global_settings *settings, struct snapc_link *link,
			struct snapc_global **ret_global, struct cr_err *err);
void snapc_global_destroy(struct snapc_global *global);

/*
 * Another node. @link: borrowed until it is removed; its receive callback is set here.  A host that was lost gets its old place again.
 * Return: its number, or -errno.
 */
int64_t snapc_global_node_add(struct snapc_global *global, struct snapc_link *link, const char *host);
/* A node is lost, and with it the processes there, as far as we can tell. */
void snapc_global_node_remove(struct snapc_global *global, uint32_t node);

/* Give up the checkpoint that runs, if any, undo it, then leave the event loop; the job goes on. */
void snapc_global_leave(struct snapc_global *global);
/* mpirun is gone: finish or give up what runs, answer the tools, then leave the event loop. */
void snapc_global_orphan(struct snapc_global *global);

struct bufferevent;
/* Serve a tool of another node that has proved who it is (protocol.md, section 5). @stream: given */
void snapc_global_tool_adopt(struct snapc_global *global, struct bufferevent *stream, const char *who);

#endif

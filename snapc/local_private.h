/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the local role share: local.c (processes and ranks), local_agent.c (connections), local_survey.c (facts of /proc), local_fault.c. */
#ifndef SNAPC_LOCAL_PRIVATE_H
#define SNAPC_LOCAL_PRIVATE_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "snapc/local.h"
#include "snapc/wire.h"

struct bufferevent;
struct event;

/* A process with an agent. In a list, newest first. */
struct snapc_proc {
	struct snapc_proc *next;
	struct snapc_local *local;
	struct bufferevent *stream;
	struct event *death; /* a child made by fork may hold the connection open when the process is gone */
	int pidfd;
	uint64_t number;
	pid_t pid;
	bool hello;          /* has said HELLO; rank and what follows are valid */
	int32_t rank;
	struct snapc_link_rank facts;
	/* the checkpoint that it is in, for the case that the coordinator is lost */
	uint32_t checkpoint; /* 0: none */
	bool dumping;
	bool dumped;
	bool resumed;
};

struct snapc_local {
	struct event_base *base;
	struct snapc_link *link;
	struct snapc_listener *listener;
	struct snapc_proc *procs;
	uint64_t last_number;
	uint32_t node;
	char *topology;
};

/* local_agent.c */
void snapc_agent_accept(void *local, int fd, const struct ucred *peer);
void snapc_agent_send(struct snapc_proc *proc, uint32_t type, uint32_t checkpoint, const void *payload, uint32_t bytes);
void snapc_agent_destroy(struct snapc_proc *proc);

/* local.c; called by local_agent.c */
void snapc_local_message(struct snapc_proc *proc, const struct snapc_wire_msg *msg);
void snapc_local_gone(struct snapc_proc *proc);

/* local_fault.c: fault injection; @proc may be NULL */
void snapc_local_blow(struct snapc_proc *proc, enum snapc_link_blow blow);

/* local_survey.c */
void snapc_survey(pid_t pid, struct snapc_link_survey *ret_survey);
/* Is the process stopped by a signal (not traced)? */
bool snapc_survey_is_stopped(pid_t pid);

#endif

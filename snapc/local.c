/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes of this node, the ranks that they stand for, and the two directions of traffic. */
#include "snapc/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcr/tools/process_stat.h"
#include "snapc/listener.h"
#include "snapc/local_private.h"
#include "snapc/log.h"
#include "snapc/snapshot.h"

static void local_send(struct snapc_local *local, uint32_t kind, const struct snapc_proc *proc, const void *payload, size_t bytes)
{
	struct snapc_link_msg msg = {
		.kind = kind,
		.node = local->node,
		.rank = proc ? proc->rank : -1,
		.bytes = (uint32_t)bytes,
		.proc = proc ? proc->number : 0,
	};

	local->link->send(local->link, &msg, payload);
}

/* Of processes of one rank that are no MPI programs: the one below which the others are, which stays while they come and go. */
static struct snapc_proc *local_root(const struct snapc_local *local, struct snapc_proc *p)
{
	struct cr_process_stat st;

	for (struct snapc_proc *up = p; up && up->pid > 0 && cr_process_stat(up->pid, &st);) {
		for (up = local->procs; up && !(up->hello && up->rank == p->rank && up->pid == st.parent); up = up->next)
			;
		if (up)
			p = up;
	}
	return p;
}

/* The process that stands for @rank, or NULL. */
static struct snapc_proc *local_rank_process(const struct snapc_local *local, int32_t rank)
{
	struct snapc_proc *first = NULL, *first_mpi = NULL;
	uint32_t with_mpi = 0;

	for (struct snapc_proc *p = local->procs; p; p = p->next) {
		if (!p->hello || p->rank != rank)
			continue;
		if (p->facts.mpi != SNAPC_MPI_NONE) {
			first_mpi = p;
			with_mpi++;
		}
		first = p;
	}
	if (!first_mpi)
		return first ? local_root(local, first) : NULL;
	first_mpi->facts.rivals = with_mpi - 1;
	return first_mpi;
}

static struct snapc_proc *local_process(const struct snapc_local *local, uint64_t number)
{
	struct snapc_proc *p = local->procs;

	while (p && p->number != number)
		p = p->next;
	return p;
}

/* Told after every change; the global role takes the process of the last RANK_UP. */
static void local_announce(struct snapc_local *local, int32_t rank)
{
	const struct snapc_proc *p = local_rank_process(local, rank);

	if (p)
		local_send(local, SNAPC_LINK_RANK_UP, p, &p->facts, sizeof(p->facts));
}

static void local_hello(struct snapc_proc *proc, const struct snapc_wire_msg *msg)
{
	struct cr_msg_hello hello;

	memcpy(&hello, msg->payload, sizeof(hello));
	if (hello.pid != proc->pid && proc->pid > 0)
		snapc_log(SNAPC_LOG_DEBUG, "process %d calls itself %d; the kernel's word counts", (int)proc->pid, hello.pid);
	if (proc->pid <= 0)
		proc->pid = hello.pid;
	if (hello.rank < 0) {
		snapc_log(SNAPC_LOG_DEBUG, "process %d (%s) has no rank: not part of the job", (int)proc->pid, hello.exe);
		return;
	}
	proc->hello = true;
	proc->rank = hello.rank;
	proc->facts.pid = (int32_t)proc->pid;
	proc->facts.size = hello.size;
	proc->facts.epoch = hello.epoch;
	memcpy(proc->facts.exe, hello.exe, sizeof(proc->facts.exe));
	memcpy(proc->facts.engine, hello.engine, sizeof(proc->facts.engine));
	snapc_log(SNAPC_LOG_DEBUG, "process %d (%s) is here for rank %d of %d, epoch %u", (int)proc->pid, hello.exe, hello.rank, hello.size,
		  hello.epoch);
	local_announce(proc->local, proc->rank);
}

static void local_mpi_state(struct snapc_proc *proc, const struct snapc_wire_msg *msg)
{
	struct cr_msg_mpi_state state;

	memcpy(&state, msg->payload, sizeof(state));
	proc->facts.mpi = state.ready ? SNAPC_MPI_READY : SNAPC_MPI_FINALIZED;
	if (state.size > 0)
		proc->facts.size = state.size;
	if (state.rank >= 0 && state.rank != proc->rank)
		snapc_log(SNAPC_LOG_ERROR, "process %d was started as rank %d and is rank %d in MPI; the latter counts", (int)proc->pid,
			  proc->rank, state.rank);
	if (state.rank >= 0)
		proc->rank = state.rank;
	snapc_log(SNAPC_LOG_DEBUG, "process %d rank %d: MPI %s", (int)proc->pid, proc->rank, state.ready ? "is ready" : "is being left");
	local_announce(proc->local, proc->rank);
}

/* How far a process is in a checkpoint, from what passes. */
static void local_track(struct snapc_proc *proc, uint32_t type, uint32_t checkpoint)
{
	switch (type) {
	case CR_MSG_BEGIN:
		proc->checkpoint = checkpoint;
		proc->dumping = proc->dumped = proc->resumed = false;
		break;
	case CR_MSG_DUMP:
		proc->dumping = true;
		break;
	case CR_MSG_FAILED:
		proc->dumping = false;
		break;
	case CR_MSG_DUMPED:
		proc->dumped = true;
		break;
	case CR_MSG_RESUMED:
		proc->resumed = true;
		break;
	default:
		return;
	}
	if (proc->resumed && (proc->dumped || !proc->dumping))
		proc->checkpoint = 0;
}

void snapc_local_message(struct snapc_proc *proc, const struct snapc_wire_msg *msg)
{
	struct snapc_link_msg link = {
		.kind = SNAPC_LINK_FROM_AGENT,
		.node = proc->local->node,
		.rank = proc->rank,
		.type = msg->type,
		.checkpoint = msg->checkpoint,
		.bytes = msg->bytes,
		.proc = proc->number,
	};

	if (msg->type == CR_MSG_HELLO) {
		if (!proc->hello)
			local_hello(proc, msg);
		return;
	}
	if (!proc->hello)
		return;
	if (msg->type == CR_MSG_MPI_STATE) {
		local_mpi_state(proc, msg);
		return;
	}
	local_track(proc, msg->type, msg->checkpoint);
	proc->local->link->send(proc->local->link, &link, msg->payload);
}

void snapc_local_gone(struct snapc_proc *proc)
{
	struct snapc_local *local = proc->local;
	struct snapc_proc **at = &local->procs;
	int32_t rank = proc->rank;
	bool known = proc->hello;

	while (*at != proc)
		at = &(*at)->next;
	*at = proc->next;
	if (known) {
		snapc_log(SNAPC_LOG_DEBUG, "process %d rank %d is gone", (int)proc->pid, rank);
		local_send(local, SNAPC_LINK_RANK_DOWN, proc, NULL, 0);
		local_announce(local, rank);
	}
	snapc_agent_destroy(proc);
}

static void local_survey(struct snapc_local *local, const struct snapc_proc *proc)
{
	struct snapc_link_survey survey;

	memset(&survey, 0, sizeof(survey));
	snapc_survey(proc->pid, &survey);
	if (snapc_snapshot_binding(proc->pid, survey.cpus, sizeof(survey.cpus)) < 0)
		survey.cpus[0] = 0;
	local_send(local, SNAPC_LINK_SURVEY, proc, &survey, sizeof(survey));
}

static void local_topology(struct snapc_local *local)
{
	struct cr_err err = { "" };

	if (!local->topology && snapc_topology_xml(&local->topology, &err) < 0) {
		snapc_log(SNAPC_LOG_ERROR, "the topology of this node is not recorded: %s", err.text);
		local->topology = strdup("");
	}
	if (local->topology)
		local_send(local, SNAPC_LINK_TOPOLOGY, NULL, local->topology, strlen(local->topology) + 1);
}

/* A process that is stopped cannot answer: the answer is ours. */
static bool local_answers_check(struct snapc_local *local, const struct snapc_proc *proc)
{
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_FROM_AGENT, .node = local->node, .rank = proc->rank, .type = CR_MSG_CHECK_REPLY, .proc = proc->number };
	char text[160];

	if (!snapc_survey_is_stopped(proc->pid))
		return false;
	msg.bytes = (uint32_t)snprintf(text, sizeof(text), "process %d is stopped: SIGCONT, to mpirun for all ranks, lets it go on; then try again", (int)proc->pid) + 1;
	local->link->send(local->link, &msg, text);
	return true;
}

static void local_receive(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_local *local = arg;
	struct snapc_proc *proc = local_process(local, msg->proc);

	switch (msg->kind) {
	case SNAPC_LINK_ASK_TOPOLOGY:
		local_topology(local);
		return;
	case SNAPC_LINK_TO_AGENT:
		if (proc && !(msg->type == CR_MSG_CHECK && local_answers_check(local, proc))) {
			local_track(proc, msg->type, msg->checkpoint);
			snapc_agent_send(proc, msg->type, msg->checkpoint, payload, msg->bytes);
		}
		return;
	case SNAPC_LINK_ASK_SURVEY:
		if (proc)
			local_survey(local, proc);
		return;
	case SNAPC_LINK_BLOW:
		snapc_local_blow(proc, (enum snapc_link_blow)msg->type);
		return;
	default:
		snapc_log(SNAPC_LOG_ERROR, "link message %u is not known", msg->kind);
	}
}

int snapc_local_create(struct event_base *base, int fd, struct snapc_link *link, struct snapc_local **ret_local, struct cr_err *err)
{
	struct snapc_local *local = calloc(1, sizeof(*local));
	struct timespec now;
	int rc;

	if (!local)
		return cr_err_set(err, ENOMEM, "no memory for the local role");
	local->base = base;
	local->link = link;
	/* Numbers are never used again, not even by a daemon that takes the place of one that died. */
	clock_gettime(CLOCK_REALTIME, &now);
	local->last_number = (uint64_t)now.tv_sec << 20;
	rc = snapc_listener_create(base, fd, snapc_agent_accept, local, &local->listener, err);
	if (rc < 0) {
		free(local);
		return rc;
	}
	link->receive = local_receive;
	link->arg = local;
	*ret_local = local;
	return 0;
}

void snapc_local_connected(struct snapc_local *local, uint32_t node, uint64_t instance)
{
	struct snapc_link_node about;

	local->node = node;
	memset(&about, 0, sizeof(about));
	about.instance = instance;
	if (gethostname(about.host, sizeof(about.host) - 1) < 0)
		snprintf(about.host, sizeof(about.host), "localhost");
	local_send(local, SNAPC_LINK_NODE_UP, NULL, &about, sizeof(about));
	for (struct snapc_proc *p = local->procs; p; p = p->next)
		if (p->hello && local_rank_process(local, p->rank) == p)
			local_announce(local, p->rank);
}

void snapc_local_disconnected(struct snapc_local *local)
{
	for (struct snapc_proc *p = local->procs; p; p = p->next) {
		if (!p->checkpoint)
			continue;
		snapc_log(SNAPC_LOG_INFO, "rank %d (process %d) is told to go on without the coordinator", p->rank, (int)p->pid);
		snapc_agent_send(p, CR_MSG_RESUME, p->checkpoint, NULL, 0);
		/* A second one: the file is not wanted. A complete one is left to the coordinator, which may be making it valid just now. */
		if (!p->dumped)
			snapc_agent_send(p, CR_MSG_RESUME, p->checkpoint, NULL, 0);
	}
}

void snapc_local_destroy(struct snapc_local *local)
{
	struct snapc_proc *next;

	if (!local)
		return;
	snapc_listener_destroy(local->listener);
	for (struct snapc_proc *p = local->procs; p; p = next) {
		next = p->next;
		snapc_agent_destroy(p);
	}
	free(local->topology);
	free(local);
}

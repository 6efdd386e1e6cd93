/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ranks and nodes of a job, and the one checkpoint that may run. */
#include "snapc/global.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapc/global_private.h"
#include "snapc/listener.h"
#include "snapc/log.h"
#include "snapc/snapshot.h"

#define GLOBAL_MAX_RANKS (1 << 22)
#define TERMINATE_STEP_SECONDS 5

uint32_t snapc_global_size(const struct snapc_global *global)
{
	if (global->settings->np)
		return global->settings->np;
	for (uint32_t r = 0; r < global->nmembers; r++)
		if (global->members[r].facts.size > 0)
			return (uint32_t)global->members[r].facts.size;
	return 0;
}

struct snapc_member *snapc_global_member(struct snapc_global *global, int32_t rank)
{
	uint32_t want = (uint32_t)rank + 1;
	struct snapc_member *members;

	if (rank < 0 || rank >= GLOBAL_MAX_RANKS)
		return NULL;
	if (want > global->nmembers) {
		if (want < global->nmembers * 2)
			want = global->nmembers * 2;
		members = realloc(global->members, want * sizeof(*members));
		if (!members)
			return NULL;
		memset(members + global->nmembers, 0, (want - global->nmembers) * sizeof(*members));
		global->members = members;
		global->nmembers = want;
	}
	return &global->members[rank];
}

/* Nobody else can be expected when all ranks of the job are known to be on this node. */
static void global_look_alone(struct snapc_global *global)
{
	uint32_t np = snapc_global_size(global);

	if (global->alone || !global->settings->alone || global->nnodes > 1 || !np || np > global->nmembers)
		return;
	for (uint32_t r = 0; r < np; r++)
		if (!global->members[r].present)
			return;
	global->alone = true;
	global->settings->alone(global->settings->arg);
}

void snapc_global_receive(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_global *global = arg;
	struct snapc_member *m;

	if (snapc_global_node_message(global, msg, payload))
		return;
	switch (msg->kind) {
	case SNAPC_LINK_RANK_UP:
		m = snapc_global_member(global, msg->rank);
		if (!m)
			return;
		m->present = true;
		m->node = msg->node;
		m->proc = msg->proc;
		memcpy(&m->facts, payload, sizeof(m->facts));
		m->had_mpi = m->had_mpi || m->facts.mpi != SNAPC_MPI_NONE;
		global_look_alone(global);
		return;
	case SNAPC_LINK_RANK_DOWN:
		m = snapc_global_member(global, msg->rank);
		if (m && m->node == msg->node && m->proc == msg->proc)
			m->present = false;
		break;
	default:
		break;
	}
	if (global->checkpoint)
		snapc_checkpoint_receive(global->checkpoint, msg, payload);
}

/* --- what a checkpoint asks of us --- */

static void global_terminate_again(struct snapc_global *global)
{
	struct timeval tv = { .tv_sec = TERMINATE_STEP_SECONDS };

	evtimer_add(global->terminate_timer, &tv);
}

/*
 * End the job: ask the component in mpirun, which ends all ranks without noise and lets mpirun exit with status 0.  Should that not
 * come about: tell the ranks, then mpirun.  The ranks are not told first, because mpirun would take that for a crash of the job.
 */
void snapc_global_terminate(void *arg)
{
	struct snapc_global *global = arg;
	static const char word[] = "terminate\n";
	struct snapc_link *link;

	if (global->orphan)
		return;
	if (global->terminate_step == 0 && global->settings->mpirun_fd >= 0 &&
	    send(global->settings->mpirun_fd, word, sizeof(word) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(word) - 1) {
		global->terminate_step = 1;
		global_terminate_again(global);
		return;
	}
	if (global->terminate_step < 2) {
		snapc_log(global->terminate_step ? SNAPC_LOG_ERROR : SNAPC_LOG_DEBUG, "SIGTERM to mpirun %d", (int)global->settings->mpirun_pid);
		kill(global->settings->mpirun_pid, SIGTERM);
		global->terminate_step = 2;
		global_terminate_again(global);
		return;
	}
	snapc_log(SNAPC_LOG_ERROR, "mpirun does not end the ranks: they are told to leave");
	for (uint32_t r = 0; r < global->nmembers; r++) {
		struct cr_msg_exit leave = { 0 };
		struct snapc_link_msg msg = { .kind = SNAPC_LINK_TO_AGENT, .node = global->members[r].node, .rank = (int32_t)r,
					      .type = CR_MSG_EXIT, .bytes = sizeof(leave), .proc = global->members[r].proc };

		link = global->members[r].present ? snapc_global_node_link(global, msg.node) : NULL;
		if (link)
			link->send(link, &msg, &leave);
	}
}

static void global_terminate_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	snapc_global_terminate(arg);
}

/* --- the one checkpoint --- */

/* The reference's name: not always the one that was asked for, when pids come again (snapshot.h). */
static const char *global_ref(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return slash ? slash + 1 : dir;
}

static void global_progress(void *arg, const char *state, uint64_t since_ns, int64_t seq)
{
	struct snapc_global *global = arg;
	struct snapc_line line;

	if (!global->client)
		return;
	snapc_line_begin(&line, "phase");
	snapc_line_add(&line, "name", "%s", state);
	snapc_line_add(&line, "ns", "%" PRIu64, since_ns);
	snapc_line_add(&line, "limit_s", "%u", snapc_checkpoint_limit(global->checkpoint));
	if (seq >= 0) {
		const char *dir = snapc_checkpoint_dir(global->checkpoint);

		snapc_line_add(&line, "seq", "%" PRId64, seq);
		snapc_line_add(&line, "ref", "%s", global_ref(dir));
		snapc_line_add(&line, "dir", "%s", dir);
		snapc_line_add(&line, "np", "%u", snapc_global_size(global));
		snapc_line_add(&line, "bytes", "%" PRIu64, snapc_checkpoint_expected_bytes(global->checkpoint));
	}
	snapc_tool_send(global->client, &line);
}

static void global_send_reason(struct snapc_tool *tool, uint32_t rank, const char *text, size_t bytes)
{
	struct snapc_line line;

	if (!tool)
		return;
	snapc_line_begin(&line, "reason");
	snapc_line_add(&line, "rank", "%u", rank);
	snapc_line_add_bytes(&line, "text", text, bytes > 2000 ? 2000 : bytes);
	snapc_tool_send(tool, &line);
}

static void global_reason(void *arg, uint32_t rank, const char *text, size_t bytes)
{
	struct snapc_global *global = arg;

	snapc_log(SNAPC_LOG_DEBUG, "rank %u cannot be checkpointed: %.*s", rank, (int)(bytes > 1000 ? 1000 : bytes), text);
	global_send_reason(global->client, rank, text, bytes);
}

static void global_answer(struct snapc_tool *tool, const struct snapc_global *global, const struct snapc_checkpoint_result *result)
{
	struct snapc_line line;

	snapc_line_begin(&line, "ok");
	if (!global->options.check) {
		snapc_line_add(&line, "seq", "%u", result->seq);
		snapc_line_add(&line, "ref", "%s", global_ref(result->dir));
		snapc_line_add(&line, "dir", "%s", result->dir);
	}
	snapc_line_add(&line, "np", "%u", snapc_global_size(global));
	snapc_line_add(&line, "file_bytes", "%" PRIu64, result->file_bytes);
	snapc_line_add(&line, "messages", "%" PRIu64, result->messages);
	snapc_line_add(&line, "message_bytes", "%" PRIu64, result->message_bytes);
	snapc_line_add(&line, "stopped_ns", "%" PRIu64, result->stopped_ns);
	snapc_line_add(&line, "total_ns", "%" PRIu64, result->total_ns);
	if (!global->options.check)
		snapc_line_add(&line, "advice_s", "%u", snapc_global_interval_advice(global, result->total_ns));
	snapc_tool_end(tool, &line);
}

static void global_finished(void *arg, const struct snapc_checkpoint_result *result)
{
	struct snapc_global *global = arg;
	struct snapc_tool *tool = global->client;

	global->client = NULL;
	if (result->rc < 0)
		snapc_log(SNAPC_LOG_INFO, "%s failed after %.3f s: %s", global->options.check ? "check" : "checkpoint",
			  (double)result->total_ns / 1e9, result->text);
	else if (!global->options.check)
		snapc_log(SNAPC_LOG_INFO,
			  "checkpoint: %s sequence %u, %.3f s, %" PRIu64 " bytes, stopped %.3f ms, %" PRIu64 " messages (%" PRIu64
			  " bytes) in flight",
			  global_ref(result->dir), result->seq, (double)result->total_ns / 1e9, result->file_bytes,
			  (double)result->stopped_ns / 1e6, result->messages, result->message_bytes);
	if (result->rc == 0 && !global->options.check) {
		global->checkpoints++;
		snapc_log(SNAPC_LOG_INFO, "at this cost, and a failure every %u h, a checkpoint every %u s loses least time (Daly)",
			  global->settings->mtbf_hours, snapc_global_interval_advice(global, result->total_ns));
	}
	snapc_global_interval_again(global);
	if (tool && result->rc < 0)
		snapc_tool_error(tool, result->rc, result->text);
	else if (tool)
		global_answer(tool, global, result);
	event_active(global->cleanup, EV_TIMEOUT, 0);
}

static void global_loop_leave(struct snapc_global *global)
{
	struct timeval soon = { .tv_usec = 200000 }; /* answers on their way to tools */

	event_base_loopexit(global->base, &soon);
}

static void global_clean(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_global *global = arg;

	(void)fd;
	(void)what;
	if (global->checkpoint && snapc_checkpoint_finished(global->checkpoint)) {
		snapc_checkpoint_destroy(global->checkpoint);
		global->checkpoint = NULL;
	}
	if ((global->orphan || global->leaving) && !global->checkpoint)
		global_loop_leave(global);
}

/* Is every rank there, and in a state that can be saved? Reasons go to the tool. */
static int global_ready(struct snapc_global *global, struct snapc_tool *tool, uint32_t np, struct cr_err *err)
{
	static const char missing[] = "no process of it runs under cr_run (yet)", early[] = "has not passed MPI_Init yet",
			  late[] = "has entered MPI_Finalize", gone[] = "its MPI process has ended",
			  rival[] = "another MPI process has the same rank: a job that has spawned processes cannot be checkpointed";
	bool any_mpi = false;
	uint32_t ended = 0, not_yet = 0, rivals = 0;

	for (uint32_t r = 0; r < np; r++)
		any_mpi = any_mpi || (global->members[r].present && global->members[r].facts.mpi != SNAPC_MPI_NONE);
	for (uint32_t r = 0; r < np; r++) {
		const struct snapc_member *m = &global->members[r];

		if (m->had_mpi && (!m->present || m->facts.mpi == SNAPC_MPI_NONE)) {
			global_send_reason(tool, r, gone, sizeof(gone) - 1);
			ended++;
		} else if (!m->present) {
			global_send_reason(tool, r, missing, sizeof(missing) - 1);
			not_yet++;
		} else if (m->facts.rivals) {
			global_send_reason(tool, r, rival, sizeof(rival) - 1);
			rivals++;
		} else if (m->facts.mpi == SNAPC_MPI_FINALIZED) {
			global_send_reason(tool, r, late, sizeof(late) - 1);
			ended++;
		} else if (any_mpi && m->facts.mpi == SNAPC_MPI_NONE) {
			global_send_reason(tool, r, early, sizeof(early) - 1);
			not_yet++;
		}
	}
	if (rivals)
		return cr_err_set(err, EOPNOTSUPP, "the job cannot be checkpointed now: %u of its ranks are there twice", rivals);
	if (ended)
		return cr_err_set(err, ESHUTDOWN, "the job is ending: %u of its %u ranks have entered MPI_Finalize or ended", ended, np);
	if (not_yet)
		return cr_err_set(err, EAGAIN, "%u of the job's %u ranks are not there yet or have not passed MPI_Init: try again", not_yet, np);
	return 0;
}

int snapc_global_request(struct snapc_global *global, struct snapc_tool *tool, const struct snapc_checkpoint_options *options,
			 struct cr_err *err)
{
	struct snapc_checkpoint_client client = {
		.progress = global_progress, .reason = global_reason, .finished = global_finished, .arg = global
	};
	uint32_t np = snapc_global_size(global);
	int rc;

	if (global->orphan || global->leaving)
		return cr_err_set(err, ESRCH, global->orphan ? "the job has ended" : "the coordinator is ending");
	if (global->checkpoint)
		return cr_err_set(err, EBUSY, "a checkpoint is running: try again when it has ended");
	if (!np)
		return cr_err_set(err, EAGAIN, "no rank of the job has reported yet: try again");
	if (!snapc_global_member(global, (int32_t)np - 1))
		return cr_err_set(err, ENOMEM, "no memory for %u ranks", np);
	rc = global_ready(global, tool, np, err);
	if (rc < 0)
		return rc;
	if (!global->job && !options->check) {
		rc = snapc_job_load(global->settings->mpirun_pid, global->settings->restarted_from, global->settings->restarted_seq,
				    &global->job, err);
		if (rc < 0)
			return rc;
	}
	global->world.job = global->job;
	global->options = *options;
	rc = snapc_checkpoint_create(&global->world, global->members, np, options, &client, &global->checkpoint, err);
	if (rc == 0)
		global->client = tool;
	return rc;
}

void snapc_global_tool_gone(struct snapc_global *global, struct snapc_tool *tool)
{
	if (global->client == tool)
		global->client = NULL; /* the checkpoint goes on: only "abort" ends it */
}

/* A coordinator that takes the place of one that died in a checkpoint. */
static void global_recover(struct snapc_global *global)
{
	const struct snapc_global_settings *s = global->settings;

	if (snapc_job_load(s->mpirun_pid, s->restarted_from, s->restarted_seq, &global->job, NULL) == 0)
		snapc_snapshot_recover(s->snapshot_dir, s->ref, global->job);
}

int snapc_global_create(struct event_base *base, const struct snapc_global_settings *settings, struct snapc_link *link,
			struct snapc_global **ret_global, struct cr_err *err)
{
	struct snapc_global *global = calloc(1, sizeof(*global));
	int rc;

	if (!global)
		return cr_err_set(err, ENOMEM, "no memory for the global role");
	global->base = base;
	global->settings = settings;
	global->cleanup = event_new(base, -1, 0, global_clean, global);
	global->terminate_timer = evtimer_new(base, global_terminate_timer, global);
	if (!global->cleanup || !global->terminate_timer || snapc_global_node_add(global, link, "") < 0) {
		snapc_global_destroy(global);
		return cr_err_set(err, ENOMEM, "no memory for the global role");
	}
	global->world = (struct snapc_checkpoint_world){
		.base = base,
		.node_link = snapc_global_node_link,
		.nodes = snapc_global_node_views,
		.terminate = snapc_global_terminate,
		.blow = snapc_global_blow,
		.arg = global,
		.snapshot_dir = settings->snapshot_dir,
		.ref = settings->ref,
		.keep = settings->keep,
		.number = settings->number ? settings->number : &global->number,
		.begun = settings->begun,
	};
	if (snapc_global_interval_init(global) < 0 || snapc_global_restart_init(global) < 0) {
		snapc_global_destroy(global);
		return cr_err_set(err, ENOMEM, "no memory for a timer");
	}
	global_recover(global);
	rc = snapc_listener_create(base, settings->tool_fd, snapc_tool_accept, global, &global->listener, err);
	if (rc < 0) {
		snapc_global_destroy(global);
		return rc;
	}
	*ret_global = global;
	return 0;
}

void snapc_global_destroy(struct snapc_global *global)
{
	if (!global)
		return;
	snapc_listener_destroy(global->listener);
	snapc_checkpoint_destroy(global->checkpoint);
	while (global->tools)
		snapc_tool_destroy(global->tools);
	if (global->cleanup)
		event_free(global->cleanup);
	if (global->terminate_timer)
		event_free(global->terminate_timer);
	snapc_job_destroy(global->job);
	if (global->interval_timer)
		event_free(global->interval_timer);
	if (global->restart_timer)
		event_free(global->restart_timer);
	snapc_global_nodes_destroy(global);
	free(global->members);
	free(global);
}

void snapc_global_orphan(struct snapc_global *global)
{
	if (global->orphan)
		return;
	global->orphan = true;
	evtimer_del(global->terminate_timer);
	if (global->checkpoint)
		snapc_checkpoint_orphan(global->checkpoint);
	event_active(global->cleanup, EV_TIMEOUT, 0);
}

void snapc_global_leave(struct snapc_global *global)
{
	global->leaving = true;
	if (global->checkpoint)
		snapc_checkpoint_abort(global->checkpoint, "the coordinator was told to end");
	event_active(global->cleanup, EV_TIMEOUT, 0);
}

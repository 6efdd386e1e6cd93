/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Life of a checkpoint: begin, walk through the phase table, fail and undo, answer. */
#include "snapc/checkpoint.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "snapc/checkpoint_private.h"
#include "snapc/log.h"
#include "snapc/snapshot.h"

uint64_t snapc_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t snapc_realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void snapc_checkpoint_send(struct snapc_checkpoint *c, uint32_t rank, uint32_t type, const void *payload, uint32_t bytes)
{
	struct snapc_part *p = &c->parts[rank];
	struct snapc_link *link = c->world->node_link(c->world->arg, p->member.node);
	struct snapc_link_msg msg = {
		.kind = SNAPC_LINK_TO_AGENT,
		.node = p->member.node,
		.rank = (int32_t)rank,
		.type = type,
		.checkpoint = c->number,
		.bytes = bytes,
		.proc = p->member.proc,
	};

	if (!p->alive || !link || snapc_checkpoint_suppressed(c, rank, type))
		return;
	if (type == CR_MSG_RESUME)
		p->resumes++;
	if (type == CR_MSG_BEGIN)
		p->begun = true;
	link->send(link, &msg, payload);
}

void snapc_checkpoint_send_all(struct snapc_checkpoint *c, uint32_t type, const void *payload, uint32_t bytes)
{
	for (uint32_t r = 0; r < c->np; r++)
		snapc_checkpoint_send(c, r, type, payload, bytes);
}

void snapc_checkpoint_ask(struct snapc_checkpoint *c, uint32_t rank, uint32_t kind)
{
	struct snapc_part *p = &c->parts[rank];
	struct snapc_link *link = c->world->node_link(c->world->arg, p->member.node);
	struct snapc_link_msg msg = { .kind = kind, .node = p->member.node, .rank = (int32_t)rank, .proc = p->member.proc };

	if (p->alive && link)
		link->send(link, &msg, NULL);
}

bool snapc_checkpoint_all(const struct snapc_checkpoint *c, size_t offset)
{
	for (uint32_t r = 0; r < c->np; r++)
		if (!*(const bool *)((const char *)&c->parts[r] + offset))
			return false;
	return true;
}

bool snapc_checkpoint_all_resumed(const struct snapc_checkpoint *c)
{
	for (uint32_t r = 0; r < c->np; r++)
		if (c->parts[r].alive && c->parts[r].resumed < c->parts[r].resumes)
			return false;
	return true;
}

void snapc_checkpoint_missing(const struct snapc_checkpoint *c, size_t offset, char *text, size_t bytes)
{
	size_t used = 0;
	uint32_t named = 0, more = 0;
	int n;

	text[0] = 0;
	for (uint32_t r = 0; r < c->np; r++) {
		if (*(const bool *)((const char *)&c->parts[r] + offset))
			continue;
		if (named == 4 || used + 48 > bytes) {
			more++;
			continue;
		}
		n = snprintf(text + used, bytes - used, "%srank %u (process %d)", named ? ", " : "", r, c->parts[r].member.facts.pid);
		used += n > 0 ? (size_t)n : 0;
		named++;
	}
	if (more && used < bytes)
		snprintf(text + used, bytes - used, " and %u more", more);
}

/* Everybody who was told to begin, and has not been told since to go on. */
void snapc_checkpoint_resume_all(struct snapc_checkpoint *c)
{
	for (uint32_t r = 0; r < c->np; r++)
		if (c->parts[r].begun)
			snapc_checkpoint_send(c, r, CR_MSG_RESUME, NULL, 0);
}

void snapc_checkpoint_progress(struct snapc_checkpoint *c, const char *state)
{
	uint64_t since_ns = snapc_monotonic_ns() - c->begin_ns;

	snapc_log(SNAPC_LOG_DEBUG, "checkpoint %u: %s at %.3f ms", c->number, state, (double)since_ns / 1e6);
	if (c->client.progress)
		c->client.progress(c->client.arg, state, since_ns, c->have_seq ? (int64_t)c->seq : -1);
}

static void checkpoint_deadline_set(struct snapc_checkpoint *c, uint32_t seconds)
{
	struct timeval tv = { .tv_sec = (time_t)seconds };

	evtimer_add(c->deadline, &tv);
}

static void checkpoint_kick(struct snapc_checkpoint *c)
{
	event_active(c->kick, EV_TIMEOUT, 0);
}

/* The answer. Sums are made here so that every outcome carries them. */
static void checkpoint_finish(struct snapc_checkpoint *c)
{
	struct snapc_checkpoint_result result = { .rc = c->rc, .text = c->err.text, .seq = c->seq, .dir = c->dir };

	c->finished = true;
	if (c->world->begun)
		c->world->begun->dir[0] = 0;
	evtimer_del(c->deadline);
	evtimer_del(c->alive);
	if (c->overall)
		evtimer_del(c->overall);
	snapc_quiesce_end(c);
	for (uint32_t r = 0; r < c->np; r++) {
		const struct snapc_part *p = &c->parts[r];

		result.file_bytes += p->file.file_bytes;
		result.messages += p->in_flight.messages;
		result.message_bytes += p->in_flight.bytes;
		if (p->stopped_ns > result.stopped_ns)
			result.stopped_ns = p->stopped_ns;
	}
	result.total_ns = snapc_monotonic_ns() - c->begin_ns;
	c->client.finished(c->client.arg, &result);
}

/* All living ranks run again, or we have waited long enough for them. */
static void checkpoint_undone(struct snapc_checkpoint *c)
{
	char late[256] = "";
	size_t used = strlen(c->err.text);

	if (!c->orphan && !snapc_checkpoint_all_resumed(c)) {
		for (uint32_t r = 0; r < c->np && !late[0]; r++)
			if (c->parts[r].alive && c->parts[r].resumed < c->parts[r].resumes)
				snprintf(late, sizeof(late), "; and rank %u (process %d) has not said that it runs again", r,
					 c->parts[r].member.facts.pid);
		snprintf(c->err.text + used, sizeof(c->err.text) - used, "%s", late);
	}
	if (c->committed)
		c->rc = 0; /* the deadline of the commit came a moment too late */
	else if (c->have_seq)
		snapc_snapshot_undo(c->dir, c->seq);
	checkpoint_finish(c);
}

static void checkpoint_undo(struct snapc_checkpoint *c)
{
	c->undoing = true;
	snapc_quiesce_end(c);
	for (int id = (int)c->phase; id >= 0; id--)
		if (snapc_phase_rows[id].undo)
			snapc_phase_rows[id].undo(c);
	checkpoint_deadline_set(c, snapc_phase_seconds(SNAPC_PHASE_RESUME));
	checkpoint_kick(c);
}

void snapc_checkpoint_fail(struct snapc_checkpoint *c, int code, const char *fmt, ...)
{
	va_list ap;

	if (c->finished || c->undoing)
		return; /* the first failure is the one that counts */
	va_start(ap, fmt);
	vsnprintf(c->err.text, sizeof(c->err.text), fmt, ap);
	va_end(ap);
	c->rc = code < 0 ? code : -code;
	snapc_log(SNAPC_LOG_DEBUG, "checkpoint %u fails in phase %s: %s", c->number, snapc_phase_name(c->phase), c->err.text);
	checkpoint_undo(c);
}

static void checkpoint_enter(struct snapc_checkpoint *c, enum snapc_phase_id phase)
{
	struct cr_err err = { "" };
	int rc;

	c->phase = phase;
	c->times[phase].begin_ns = snapc_realtime_ns();
	checkpoint_deadline_set(c, snapc_phase_seconds(phase));
	snapc_checkpoint_progress(c, snapc_phase_name(phase));
	if (c->undoing || c->finished)
		return;
	rc = snapc_phase_rows[phase].start(c, &err);
	if (rc < 0)
		snapc_checkpoint_fail(c, rc, "%s", err.text);
	else
		snapc_checkpoint_inject(c);
}

void snapc_checkpoint_advance(struct snapc_checkpoint *c)
{
	if (!c->finished)
		checkpoint_kick(c);
}

static void checkpoint_step(struct snapc_checkpoint *c)
{
	if (c->undoing) {
		if (c->orphan || snapc_checkpoint_all_resumed(c))
			checkpoint_undone(c);
		return;
	}
	if (!c->started) {
		c->started = true;
		checkpoint_enter(c, SNAPC_PHASE_REQUEST);
	}
	if (c->phase == SNAPC_PHASE_QUIESCE)
		snapc_quiesce_look(c);
	while (!c->undoing && !c->finished && snapc_phase_rows[c->phase].done(c)) {
		c->times[c->phase].end_ns = snapc_realtime_ns();
		if (c->refused) {
			snapc_checkpoint_fail(c, c->refused_for_good ? EOPNOTSUPP : EAGAIN, "the job cannot be checkpointed now: see the reasons of its ranks");
			return;
		}
		if (c->phase == SNAPC_PHASE_RESUME || (c->options.check && c->phase == SNAPC_PHASE_REQUEST)) {
			checkpoint_finish(c);
			return;
		}
		checkpoint_enter(c, c->phase + 1);
	}
}

static void checkpoint_kicked(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_checkpoint *c = arg;

	(void)fd;
	(void)what;
	if (!c->finished)
		checkpoint_step(c);
}

static void checkpoint_late(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_checkpoint *c = arg;
	struct cr_err err = { "" };

	(void)fd;
	(void)what;
	if (c->finished)
		return;
	if (c->undoing) {
		checkpoint_undone(c);
		return;
	}
	if (c->committed) { /* the snapshot is valid whatever the ranks do now */
		snapc_log(SNAPC_LOG_ERROR, "checkpoint %u is complete, but the job did not go on or end in time", c->number);
		checkpoint_finish(c);
		return;
	}
	if (snapc_phase_rows[c->phase].late)
		snapc_phase_rows[c->phase].late(c, &err);
	snapc_checkpoint_fail(c, ETIMEDOUT, "phase %s took longer than %u s%s%s", snapc_phase_name(c->phase), snapc_phase_seconds(c->phase),
			      err.text[0] ? ": " : "", err.text);
}

/* A coordinator that is stopped, or whose node is gone, is told from one that only takes its time. */
static void checkpoint_alive(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_checkpoint *c = arg;
	struct timeval tv = { .tv_sec = (time_t)((snapc_silence_seconds() + 3) / 4) };

	(void)fd;
	(void)what;
	if (c->finished)
		return;
	for (uint32_t r = 0; r < c->np; r++)
		if (c->parts[r].begun)
			snapc_checkpoint_send(c, r, CR_MSG_ALIVE, NULL, 0);
	evtimer_add(c->alive, &tv);
}

static void checkpoint_overall(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_checkpoint *c = arg;

	(void)fd;
	(void)what;
	if (!c->committed)
		snapc_checkpoint_fail(c, ETIMEDOUT, "the checkpoint took longer than the %u s that it was given; it was in phase %s",
				      c->options.timeout_seconds, snapc_phase_name(c->phase));
}

int snapc_checkpoint_create(const struct snapc_checkpoint_world *world, const struct snapc_member *members, uint32_t np,
			    const struct snapc_checkpoint_options *options, const struct snapc_checkpoint_client *client,
			    struct snapc_checkpoint **ret_checkpoint, struct cr_err *err)
{
	struct snapc_checkpoint *c = calloc(1, sizeof(*c));
	struct timeval tv = { .tv_sec = (time_t)options->timeout_seconds };

	if (!c)
		return cr_err_set(err, ENOMEM, "no memory for a checkpoint");
	c->world = world;
	c->options = *options;
	c->client = *client;
	c->np = np;
	c->number = ++*world->number;
	c->begin_ns = snapc_monotonic_ns();
	c->child_fd = -1;
	c->parts = calloc(np ? np : 1, sizeof(*c->parts));
	c->kick = event_new(world->base, -1, 0, checkpoint_kicked, c);
	c->deadline = evtimer_new(world->base, checkpoint_late, c);
	c->overall = evtimer_new(world->base, checkpoint_overall, c);
	c->alive = evtimer_new(world->base, checkpoint_alive, c);
	if (!c->parts || !c->kick || !c->deadline || !c->overall || !c->alive) {
		snapc_checkpoint_destroy(c);
		return cr_err_set(err, ENOMEM, "no memory for a checkpoint");
	}
	for (uint32_t r = 0; r < np; r++) {
		c->parts[r].member = members[r];
		c->parts[r].alive = true;
	}
	if (options->timeout_seconds)
		evtimer_add(c->overall, &tv);
	checkpoint_alive(-1, 0, c);
	checkpoint_kick(c);
	*ret_checkpoint = c;
	return 0;
}

void snapc_checkpoint_destroy(struct snapc_checkpoint *c)
{
	if (!c)
		return;
	snapc_quiesce_end(c);
	snapc_commit_undo(c);
	if (c->kick)
		event_free(c->kick);
	if (c->deadline)
		event_free(c->deadline);
	if (c->overall)
		event_free(c->overall);
	if (c->alive)
		event_free(c->alive);
	free(c->parts);
	free(c);
}

void snapc_checkpoint_abort(struct snapc_checkpoint *c, const char *why)
{
	if (!c->committed)
		snapc_checkpoint_fail(c, ECANCELED, "%s", why);
}

void snapc_checkpoint_orphan(struct snapc_checkpoint *c)
{
	if (c->finished)
		return;
	c->orphan = true;
	for (uint32_t r = 0; r < c->np; r++)
		c->parts[r].alive = false;
	if (c->phase < SNAPC_PHASE_COMMIT || c->undoing)
		snapc_checkpoint_fail(c, ESRCH, "the job ended in phase %s of the checkpoint", snapc_phase_name(c->phase));
	snapc_checkpoint_advance(c);
}

uint32_t snapc_checkpoint_limit(const struct snapc_checkpoint *c)
{
	return snapc_phase_seconds(c->phase) + (c->phase == SNAPC_PHASE_RESUME ? 0 : snapc_phase_seconds(SNAPC_PHASE_RESUME));
}

bool snapc_checkpoint_finished(const struct snapc_checkpoint *c)
{
	return c->finished;
}

const char *snapc_checkpoint_dir(const struct snapc_checkpoint *c)
{
	return c->have_seq ? c->dir : NULL;
}

uint64_t snapc_checkpoint_expected_bytes(const struct snapc_checkpoint *c)
{
	uint64_t bytes = 0;

	for (uint32_t r = 0; r < c->np; r++)
		bytes += c->parts[r].survey.private_bytes;
	return bytes;
}

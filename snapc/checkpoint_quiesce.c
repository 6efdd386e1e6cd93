/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Phase quiesce: converge to the cut, stop, drain.
 *
 * When some ranks have arrived at the cut and others have not for a while, one of them may wait inside a collective for a rank that
 * stopped before it (cut.h, "the rank's part").  Then everybody goes on and the phase begins again, with a new checkpoint number so
 * that late messages are not taken for new ones; each time with more patience, until the deadline of the phase ends it.
 */
#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <string.h>

#include "snapc/checkpoint_private.h"
#include "snapc/log.h"

#define PART(flag) offsetof(struct snapc_part, flag)
#define ARRIVE_FIRST_SECONDS 3u

static void quiesce_timer(struct event *timer, uint64_t ns)
{
	struct timeval tv = { .tv_sec = (time_t)(ns / 1000000000u), .tv_usec = (suseconds_t)(ns % 1000000000u / 1000u) };

	evtimer_add(timer, &tv);
}

static void quiesce_woken(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	snapc_checkpoint_advance(arg);
}

static void quiesce_permit(void *arg, uint32_t rank, uint64_t clock, uint64_t count)
{
	struct cr_msg_permit permit = { .clock = clock, .count = count };

	snapc_checkpoint_send(arg, rank, CR_MSG_PERMIT, &permit, sizeof(permit));
}

static void quiesce_arrive_late(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_checkpoint *c = arg;
	char who[256];

	(void)fd;
	(void)what;
	if (c->undoing || c->finished || c->phase != SNAPC_PHASE_QUIESCE || c->step != SNAPC_QUIESCE_ARRIVE)
		return;
	snapc_checkpoint_missing(c, PART(arrived), who, sizeof(who));
	snapc_log(SNAPC_LOG_INFO, "checkpoint %u: %s did not arrive at the cut: everybody goes on, then again", c->number, who);
	c->step = SNAPC_QUIESCE_AGAIN;
	snapc_checkpoint_resume_all(c);
}

static int quiesce_begin(struct snapc_checkpoint *c)
{
	struct cr_msg_begin begin = { .checkpoint = c->number, .flags = CR_BEGIN_FAMILY, .silence_s = snapc_silence_seconds() };

	snapc_cut_destroy(c->cut);
	c->cut = snapc_cut_create(c->np);
	if (!c->cut)
		return -ENOMEM;
	c->step = SNAPC_QUIESCE_CONVERGE;
	for (uint32_t r = 0; r < c->np; r++)
		c->parts[r].arrived = c->parts[r].drained = false;
	snapc_checkpoint_send_all(c, CR_MSG_BEGIN, &begin, sizeof(begin));
	return 0;
}

int snapc_quiesce_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	c->cut_wake = evtimer_new(c->world->base, quiesce_woken, c);
	c->arrive_wake = evtimer_new(c->world->base, quiesce_arrive_late, c);
	if (!c->cut_wake || !c->arrive_wake || quiesce_begin(c) < 0)
		return cr_err_set(err, ENOMEM, "no memory for the collective clocks");
	return 0;
}

void snapc_quiesce_clocks(struct snapc_checkpoint *c, uint32_t rank, const struct snapc_wire_msg *msg)
{
	struct cr_msg_clocks head;
	struct cr_err err = { "" };
	int rc;

	if (c->phase != SNAPC_PHASE_QUIESCE || c->step != SNAPC_QUIESCE_CONVERGE)
		return; /* sent before the order to stop had arrived */
	memcpy(&head, msg->payload, sizeof(head));
	rc = snapc_cut_report(c->cut, rank, &head, (const char *)msg->payload + sizeof(head), snapc_monotonic_ns(), &err);
	if (rc < 0)
		snapc_checkpoint_fail(c, rc, "%s", err.text);
}

static void quiesce_converge(struct snapc_checkpoint *c)
{
	uint64_t now_ns = snapc_monotonic_ns(), wake_ns;

	if (snapc_cut_step(c->cut, now_ns, quiesce_permit, c, &wake_ns) == SNAPC_CUT_WAIT) {
		if (wake_ns)
			quiesce_timer(c->cut_wake, wake_ns > now_ns ? wake_ns - now_ns : 0);
		return;
	}
	evtimer_del(c->cut_wake);
	c->step = SNAPC_QUIESCE_ARRIVE;
	c->attempts++;
	if (snapc_cut_raises(c->cut))
		snapc_log(SNAPC_LOG_DEBUG, "checkpoint %u: the cut was raised %u times", c->number, snapc_cut_raises(c->cut));
	snapc_checkpoint_progress(c, "stop");
	quiesce_timer(c->arrive_wake, (uint64_t)(ARRIVE_FIRST_SECONDS << (2 * (c->attempts > 5 ? 4 : c->attempts - 1))) * 1000000000u);
	snapc_checkpoint_send_all(c, CR_MSG_STOP, NULL, 0);
}

/* Called after every message of the phase. */
void snapc_quiesce_look(struct snapc_checkpoint *c)
{
	switch (c->step) {
	case SNAPC_QUIESCE_CONVERGE:
		quiesce_converge(c);
		return;
	case SNAPC_QUIESCE_ARRIVE:
		if (!snapc_checkpoint_all(c, PART(arrived)))
			return;
		evtimer_del(c->arrive_wake);
		c->step = SNAPC_QUIESCE_DRAIN;
		snapc_checkpoint_progress(c, "drain");
		snapc_checkpoint_send_all(c, CR_MSG_DRAIN, NULL, 0);
		return;
	case SNAPC_QUIESCE_AGAIN:
		if (!snapc_checkpoint_all_resumed(c))
			return;
		c->number = ++*c->world->number;
		if (quiesce_begin(c) < 0)
			snapc_checkpoint_fail(c, ENOMEM, "no memory for the collective clocks");
		return;
	case SNAPC_QUIESCE_DRAIN:
		return;
	}
}

bool snapc_quiesce_done(const struct snapc_checkpoint *c)
{
	return c->step == SNAPC_QUIESCE_DRAIN && snapc_checkpoint_all(c, PART(drained));
}

void snapc_quiesce_late(const struct snapc_checkpoint *c, struct cr_err *err)
{
	char who[256];

	switch (c->step) {
	case SNAPC_QUIESCE_CONVERGE:
		snapc_cut_explain(c->cut, who, sizeof(who));
		cr_err_set(err, ETIMEDOUT, "the ranks did not come to a common point: %s; try again later or allow more time", who);
		return;
	case SNAPC_QUIESCE_ARRIVE:
		snapc_checkpoint_missing(c, PART(arrived), who, sizeof(who));
		cr_err_set(err, ETIMEDOUT, "%s did not stop", who);
		return;
	case SNAPC_QUIESCE_DRAIN:
		snapc_checkpoint_missing(c, PART(drained), who, sizeof(who));
		cr_err_set(err, ETIMEDOUT, "messages in flight were not taken in by %s", who);
		return;
	case SNAPC_QUIESCE_AGAIN:
		cr_err_set(err, ETIMEDOUT, "a rank did not go on after an attempt to stop it");
		return;
	}
}

void snapc_quiesce_end(struct snapc_checkpoint *c)
{
	if (c->cut_wake)
		event_free(c->cut_wake);
	if (c->arrive_wake)
		event_free(c->arrive_wake);
	c->cut_wake = c->arrive_wake = NULL;
	snapc_cut_destroy(c->cut);
	c->cut = NULL;
}

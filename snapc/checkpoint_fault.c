/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fault injection in a checkpoint: what strikes when a phase has begun. Its messages have been queued then, and none of them has left. */
#include <errno.h>

#include "snapc/checkpoint_private.h"
#include "snapc/log.h"

bool snapc_checkpoint_suppressed(const struct snapc_checkpoint *c, uint32_t rank, uint32_t type)
{
	const struct snapc_fault *f = &c->options.fault;

	return f->action == SNAPC_FAULT_HANG && f->phase == c->phase && f->rank == rank && !c->undoing && type != CR_MSG_RESUME && type != CR_MSG_ALIVE;
}

static void fault_blow(struct snapc_checkpoint *c, uint32_t rank, enum snapc_link_blow blow)
{
	struct snapc_part *p = &c->parts[rank];
	struct snapc_link *link = c->world->node_link(c->world->arg, p->member.node);
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_BLOW, .node = p->member.node, .rank = (int32_t)rank, .type = blow, .proc = p->member.proc };

	if (p->alive && link)
		link->send(link, &msg, NULL);
}

static const struct {
	enum snapc_link_blow rank;
	enum snapc_link_blow daemon;
} fault_blows[] = {
	[SNAPC_FAULT_KILL] = { SNAPC_BLOW_KILL, SNAPC_BLOW_DAEMON_KILL },
	[SNAPC_FAULT_STOP] = { SNAPC_BLOW_STOP, SNAPC_BLOW_DAEMON_STOP },
	[SNAPC_FAULT_CUT] = { SNAPC_BLOW_CUT, SNAPC_BLOW_DAEMON_CUT },
};

void snapc_checkpoint_inject(struct snapc_checkpoint *c)
{
	const struct snapc_fault *f = &c->options.fault;

	if (f->action == SNAPC_FAULT_NONE || f->phase != c->phase || f->rank >= c->np)
		return;
	if (f->action == SNAPC_FAULT_FAIL) {
		snapc_checkpoint_fail(c, EIO, "rank %u: fault injected in phase %s", f->rank, snapc_phase_name(f->phase));
		return;
	}
	if (f->action != SNAPC_FAULT_KILL && f->action != SNAPC_FAULT_STOP && f->action != SNAPC_FAULT_CUT)
		return; /* done where the messages are sent, or the file is written */
	snapc_log(SNAPC_LOG_INFO, "fault injection in phase %s", snapc_phase_name(f->phase));
	if (f->target == SNAPC_FAULT_RANK)
		fault_blow(c, f->rank, fault_blows[f->action].rank);
	else if (f->target == SNAPC_FAULT_DAEMON)
		fault_blow(c, f->rank, fault_blows[f->action].daemon);
	else
		c->world->blow(c->world->arg, f->target, f->action);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ranks say during a checkpoint.  A message counts when it is of this checkpoint, of a process that takes part, and answers
 * what was asked; everything else is noted in the log and dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/checkpoint_private.h"
#include "snapc/log.h"

static struct snapc_part *message_part(struct snapc_checkpoint *c, const struct snapc_link_msg *msg)
{
	struct snapc_part *p;

	if (msg->rank < 0 || (uint32_t)msg->rank >= c->np)
		return NULL;
	p = &c->parts[msg->rank];
	return p->member.node == msg->node && p->member.proc == msg->proc ? p : NULL;
}

static void message_down(struct snapc_checkpoint *c, struct snapc_part *p, uint32_t rank)
{
	uint32_t nnodes;

	if (!p->alive)
		return;
	p->alive = false;
	if (p->dumped && (c->resume_sent || c->phase >= SNAPC_PHASE_COMMIT))
		snapc_log(SNAPC_LOG_DEBUG, "rank %u ended in phase %s; its context file is complete", rank, snapc_phase_name(c->phase));
	else if (!c->world->node_link(c->world->arg, p->member.node))
		snapc_checkpoint_fail(c, EHOSTDOWN, "the connection to node %s, where rank %u is, was lost in phase %s of the checkpoint",
				      c->world->nodes(c->world->arg, &nnodes)[p->member.node].host, rank, snapc_phase_name(c->phase));
	else if (c->phase == SNAPC_PHASE_REQUEST && p->member.facts.mpi == SNAPC_MPI_NONE) /* of a script; another may be the rank now */
		snapc_checkpoint_fail(c, EAGAIN, "process %d of rank %u, which has not passed MPI_Init yet, ended in phase %s of the checkpoint: try again",
				      p->member.facts.pid, rank, snapc_phase_name(c->phase));
	else
		snapc_checkpoint_fail(c, ESRCH, "rank %u (process %d) ended in phase %s of the checkpoint", rank, p->member.facts.pid,
				      snapc_phase_name(c->phase));
}

/* One reason per line; empty: nothing speaks against a checkpoint. */
static void message_check_reply(struct snapc_checkpoint *c, struct snapc_part *p, uint32_t rank, const struct snapc_wire_msg *msg)
{
	static const char passing[] = "try again"; /* reasons that pass by themselves end with these words */
	const char *text = msg->payload, *end = text + msg->bytes, *line;
	bool passes = false, stays = false;
	size_t length;

	if (c->phase != SNAPC_PHASE_REQUEST || p->checked)
		return;
	p->checked = true;
	p->times.checked_ns = snapc_realtime_ns();
	for (line = text; line < end && *line; line += length + 1) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));

		length = stop ? (size_t)(stop - line) : strnlen(line, (size_t)(end - line));
		if (!length)
			continue;
		c->refused = true;
		if (length < sizeof(passing) - 1 || memcmp(line + length - (sizeof(passing) - 1), passing, sizeof(passing) - 1) != 0)
			stays = true;
		else
			passes = true;
		if (c->client.reason)
			c->client.reason(c->client.arg, rank, line, length);
	}
	/* While one reason passes, the others may be of the same passing state (a library that is being brought back): ask again. */
	if (stays && !passes)
		c->refused_for_good = true;
}

static void message_failed(struct snapc_checkpoint *c, struct snapc_part *p, uint32_t rank, const struct snapc_wire_msg *msg)
{
	struct cr_msg_failed failed;

	memcpy(&failed, msg->payload, sizeof(failed));
	if (failed.phase == CR_MSG_BEGIN)
		p->begun = false; /* nothing to resume, and perhaps another coordinator's checkpoint to leave alone */
	snapc_checkpoint_fail(c, failed.error > 0 ? failed.error : EIO, "rank %u (process %d) in phase %s: %.380s", rank, p->member.facts.pid,
			      snapc_phase_name(c->phase), failed.text[0] ? failed.text : strerror(failed.error));
}

static bool message_flag(bool asked, bool *flag, uint64_t *ret_when_ns)
{
	if (!asked || *flag)
		return false;
	*flag = true;
	*ret_when_ns = snapc_realtime_ns();
	return true;
}

/* Return: false when the message answers nothing that was asked. */
static bool message_take(struct snapc_checkpoint *c, struct snapc_part *p, uint32_t rank, const struct snapc_wire_msg *msg)
{
	struct cr_msg_resumed resumed;
	bool in_quiesce = c->phase == SNAPC_PHASE_QUIESCE && !c->undoing;
	bool in_dump = c->phase == SNAPC_PHASE_DUMP && !c->undoing;

	switch (msg->type) {
	case CR_MSG_CHECK_REPLY:
		message_check_reply(c, p, rank, msg);
		return true;
	case CR_MSG_CLOCKS:
		if (!c->undoing)
			snapc_quiesce_clocks(c, rank, msg);
		return true;
	case CR_MSG_ARRIVED:
		return message_flag(in_quiesce && c->step == SNAPC_QUIESCE_ARRIVE, &p->arrived, &p->times.arrived_ns);
	case CR_MSG_DRAINED:
		memcpy(&p->in_flight, msg->payload, sizeof(p->in_flight));
		return message_flag(in_quiesce && c->step == SNAPC_QUIESCE_DRAIN, &p->drained, &p->times.drained_ns);
	case CR_MSG_FROZEN:
		memcpy(&p->freeze, msg->payload, sizeof(p->freeze));
		return message_flag(c->phase == SNAPC_PHASE_FREEZE && !c->undoing, &p->frozen, &p->times.frozen_ns);
	case CR_MSG_SNAPPED:
		return message_flag(in_dump, &p->snapped, &p->times.snapped_ns);
	case CR_MSG_DUMPED:
		memcpy(&p->file, msg->payload, sizeof(p->file));
		p->times.write_ns = p->file.dump_ns;
		if (in_dump && !p->snapped)
			message_flag(true, &p->snapped, &p->times.snapped_ns);
		return message_flag(in_dump, &p->dumped, &p->times.dumped_ns);
	case CR_MSG_RESUMED:
		memcpy(&resumed, msg->payload, sizeof(resumed));
		if (resumed.stopped_ns)
			p->stopped_ns = resumed.stopped_ns;
		if (p->resumed == p->resumes)
			return false;
		p->resumed++;
		p->times.resumed_ns = snapc_realtime_ns();
		if (c->resume_sent && !c->undoing && snapc_checkpoint_all_resumed(c))
			c->times[SNAPC_PHASE_RESUME].end_ns = snapc_realtime_ns();
		return true;
	case CR_MSG_FAILED:
		message_failed(c, p, rank, msg);
		return true;
	default:
		return false;
	}
}

void snapc_checkpoint_receive(struct snapc_checkpoint *c, const struct snapc_link_msg *link, const void *payload)
{
	struct snapc_part *p = message_part(c, link);
	uint32_t rank = (uint32_t)link->rank;
	struct snapc_wire_msg msg = { .type = link->type, .checkpoint = link->checkpoint, .bytes = link->bytes, .payload = payload };

	if (!p || c->finished)
		return;
	switch (link->kind) {
	case SNAPC_LINK_RANK_DOWN:
		message_down(c, p, rank);
		break;
	case SNAPC_LINK_SURVEY:
		memcpy(&p->survey, payload, sizeof(p->survey));
		p->surveyed = true;
		break;
	case SNAPC_LINK_FROM_AGENT:
		if ((msg.checkpoint && msg.checkpoint != c->number) || !message_take(c, p, rank, &msg))
			snapc_log(SNAPC_LOG_DEBUG, "rank %u: %s of checkpoint %u was not expected in phase %s", rank,
				  snapc_wire_name(msg.type), msg.checkpoint, snapc_phase_name(c->phase));
		break;
	default:
		return;
	}
	snapc_checkpoint_advance(c);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The phase table: what each phase sends, when it is done, how it is undone.
 *
 *	request  every rank says whether it can be checkpointed; room is made on the storage. Nobody stops.
 *	quiesce  ranks run to the cut, stop, and take in what is in flight.
 *	freeze   every thread of every rank stands still.
 *	dump     memory is captured (all SNAPPED: the ranks are told to go on), then written.
 *	commit   the metadata are written and renamed into place: from here on the snapshot is valid.
 *	resume   every rank runs again, or (--term) the job has ended.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "snapc/checkpoint_private.h"
#include "snapc/log.h"
#include "snapc/snapshot.h"
#include "snapc/snapshot_disk.h"

#define PART(flag) offsetof(struct snapc_part, flag)

/* --- request --- */

static int request_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	const struct snapc_checkpoint_node *nodes;
	uint32_t nnodes;
	int rc;

	if (!c->options.check) {
		snapc_disk_fault(snapc_fault_disk(&c->options.fault, SNAPC_FAULT_GLOBAL, SNAPC_PHASE_REQUEST));
		rc = snapc_snapshot_begin(c->world->snapshot_dir, c->world->ref, c->world->job, c->np, c->dir, &c->seq, err);
		snapc_disk_fault(0);
		if (rc < 0)
			return rc;
		c->have_seq = true;
		if (c->world->begun) {
			c->world->begun->seq = c->seq;
			memcpy(c->world->begun->dir, c->dir, sizeof(c->dir));
		}
		nodes = c->world->nodes(c->world->arg, &nnodes);
		for (uint32_t i = 0; i < nnodes; i++) {
			struct snapc_link *link = c->world->node_link(c->world->arg, i);
			struct snapc_link_msg msg = { .kind = SNAPC_LINK_ASK_TOPOLOGY, .node = i, .rank = -1 };

			if (!nodes[i].topology[0] && link)
				link->send(link, &msg, NULL);
		}
	}
	for (uint32_t r = 0; r < c->np; r++) {
		snapc_checkpoint_ask(c, r, SNAPC_LINK_ASK_SURVEY);
		snapc_checkpoint_send(c, r, CR_MSG_CHECK, NULL, 0);
	}
	return 0;
}

/* What the programs call their own against what the file system has left. An overestimate of at most the pages that are all zero. */
static bool request_space(const struct snapc_checkpoint *c, uint64_t *ret_need, uint64_t *ret_free)
{
	const char *off = getenv("OMPI_CR_SPACE_CHECK");
	struct statvfs fs;
	uint64_t need = snapc_checkpoint_expected_bytes(c);

	if (off && !strcmp(off, "0"))
		return true;
	if (statvfs(c->dir, &fs) < 0)
		return true; /* the dump will say what is wrong */
	*ret_need = need;
	*ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
	return need <= *ret_free;
}

static bool request_done(const struct snapc_checkpoint *c)
{
	return snapc_checkpoint_all(c, PART(checked)) && snapc_checkpoint_all(c, PART(surveyed));
}

static void request_late(const struct snapc_checkpoint *c, struct cr_err *err)
{
	char who[256];

	snapc_checkpoint_missing(c, PART(checked), who, sizeof(who));
	if (who[0])
		cr_err_set(err, ETIMEDOUT, "no answer from %s", who);
}

/* --- quiesce: begins with what request found out --- */

static int quiesce_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	uint64_t need = 0, left = 0;

	if (!request_space(c, &need, &left))
		return cr_err_set(err, ENOSPC,
				  "%s has %" PRIu64 " MiB left and the job's memory takes up to %" PRIu64
				  " MiB: free some space, or set another snapshot directory",
				  c->dir, left >> 20, need >> 20);
	return snapc_quiesce_start(c, err);
}

/* --- freeze --- */

static int freeze_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	(void)err;
	snapc_checkpoint_send_all(c, CR_MSG_FREEZE, NULL, 0);
	return 0;
}

static bool freeze_done(const struct snapc_checkpoint *c)
{
	return snapc_checkpoint_all(c, PART(frozen));
}

static void freeze_late(const struct snapc_checkpoint *c, struct cr_err *err)
{
	char who[256];

	snapc_checkpoint_missing(c, PART(frozen), who, sizeof(who));
	cr_err_set(err, ETIMEDOUT, "threads still run in %s", who);
}

/* --- dump --- */

/* Until the commit: the program is not to do anything after the snapshot. */
static bool stays_frozen(const struct snapc_checkpoint *c)
{
	return c->options.term || c->options.stop;
}

static int dump_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	struct cr_msg_dump dump;
	int rc, fault;

	for (uint32_t r = 0; r < c->np; r++) {
		memset(&dump, 0, sizeof(dump));
		fault = r == c->options.fault.rank ? snapc_fault_disk(&c->options.fault, SNAPC_FAULT_RANK, SNAPC_PHASE_DUMP) : 0;
		dump.flags = (c->options.nosync ? CR_DUMP_NOSYNC : 0) | (stays_frozen(c) ? CR_DUMP_STOPPED : 0) |
			     (fault == ENOSPC ? CR_DUMP_FAULT_ENOSPC : fault ? CR_DUMP_FAULT_EIO : 0);
		rc = snapc_snapshot_context_path(c->dir, c->seq, (int)r, dump.path, sizeof(dump.path));
		if (rc < 0)
			return cr_err_set(err, rc, "the path of the context file of rank %u under %.200s is too long", r, c->dir);
		snapc_checkpoint_send(c, r, CR_MSG_DUMP, &dump, sizeof(dump));
	}
	return 0;
}

/* Called after every message: the ranks go on as soon as the memory of all of them is captured, unless the job is to end or to stop. */
static bool dump_done(const struct snapc_checkpoint *c)
{
	struct snapc_checkpoint *mine = (struct snapc_checkpoint *)(uintptr_t)c;

	if (!c->resume_sent && !stays_frozen(c) && snapc_checkpoint_all(c, PART(snapped))) {
		mine->resume_sent = true;
		mine->times[SNAPC_PHASE_RESUME].begin_ns = snapc_realtime_ns();
		snapc_checkpoint_resume_all(mine);
		snapc_checkpoint_progress(mine, "running");
	}
	return snapc_checkpoint_all(c, PART(dumped)) && snapc_checkpoint_all_resumed(c);
}

static void dump_late(const struct snapc_checkpoint *c, struct cr_err *err)
{
	char who[256];

	snapc_checkpoint_missing(c, PART(dumped), who, sizeof(who));
	if (who[0])
		cr_err_set(err, ETIMEDOUT, "the context file is not complete of %s", who);
	else
		cr_err_set(err, ETIMEDOUT, "a rank has not said that it runs again");
}

/* --- resume --- */

static int resume_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	const struct cr_msg_resume stopped = { .flags = CR_RESUME_STOPPED };

	(void)err;
	if (c->options.stop) {
		snapc_checkpoint_progress(c, "stopping");
		c->resume_sent = true;
		snapc_checkpoint_send_all(c, CR_MSG_RESUME, &stopped, sizeof(stopped));
	}
	if (c->options.term) {
		snapc_checkpoint_progress(c, "terminating");
		c->world->terminate(c->world->arg);
	}
	return 0;
}

static bool resume_done(const struct snapc_checkpoint *c)
{
	/* With --term the end of mpirun (orphan) is what ends the phase. */
	return c->options.term ? c->orphan : snapc_checkpoint_all_resumed(c);
}

const struct snapc_phase_row snapc_phase_rows[SNAPC_PHASE_COUNT] = {
	[SNAPC_PHASE_REQUEST] = { request_start, request_done, NULL, request_late },
	[SNAPC_PHASE_QUIESCE] = { quiesce_start, snapc_quiesce_done, snapc_checkpoint_resume_all, snapc_quiesce_late },
	[SNAPC_PHASE_FREEZE] = { freeze_start, freeze_done, NULL, freeze_late },
	[SNAPC_PHASE_DUMP] = { dump_start, dump_done, NULL, dump_late },
	[SNAPC_PHASE_COMMIT] = { snapc_commit_start, snapc_commit_done, snapc_commit_undo, NULL },
	[SNAPC_PHASE_RESUME] = { resume_start, resume_done, NULL, NULL },
};

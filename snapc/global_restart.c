/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job that is brought back: every rank must be there again before the deadline, or the job is ended with a reason.  One that hangs before
 * it has joined the others would keep all of them, and whoever waits for them, for ever.
 */
#include <event2/event.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "snapc/global_private.h"
#include "snapc/log.h"
#include "snapc/meta.h"
#include "snapc/settings.h"

/* Ranks of the snapshot. 0: cannot be read any more. */
static uint32_t restart_size(const struct snapc_global *global)
{
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	uint32_t np = 0;

	if (snapc_meta_open(global->settings->restarted_from, &meta, NULL) < 0)
		return 0;
	if (snapc_meta_load(meta, global->settings->restarted_seq, &s, NULL) == 0) {
		np = s->np;
		snapc_snapshot_destroy(s);
	}
	snapc_meta_close(meta);
	return np;
}

static void restart_strike(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_global *global = arg;
	uint32_t np = restart_size(global), missing = 0, first = 0;
	uint32_t seconds = (uint32_t)snapc_setting_number(SNAPC_SETTING_TIMEOUT_RESTART);
	char line[256];
	int n;

	(void)fd;
	(void)what;
	if (global->orphan || global->leaving || !np || !snapc_global_member(global, (int32_t)np - 1))
		return;
	for (uint32_t r = np; r-- > 0;) {
		if (global->members[r].had_mpi)
			return; /* nobody passes MPI_Init without the others */
		if (global->members[r].facts.epoch < 2) {
			missing++;
			first = r;
		}
	}
	if (!missing)
		return;
	n = snprintf(line, sizeof(line), "abort: restart: rank %u%s not back within %u s (setting timeout_restart); the snapshot is unchanged\n", first,
		     missing > 1 ? " and others are" : " is", seconds);
	snapc_log(SNAPC_LOG_ERROR, "%.*s", n - 1, line);
	if (global->settings->mpirun_fd < 0 || send(global->settings->mpirun_fd, line, (size_t)n, MSG_NOSIGNAL) != n)
		snapc_log(SNAPC_LOG_ERROR, "mpirun cannot be told");
	snapc_global_terminate(global);
}

int snapc_global_restart_init(struct snapc_global *global)
{
	struct timeval tv = { 0 };

	if (!global->settings->restarted_from)
		return 0;
	tv.tv_sec = (time_t)snapc_setting_number(SNAPC_SETTING_TIMEOUT_RESTART);
	global->restart_timer = evtimer_new(global->base, restart_strike, global);
	return global->restart_timer && evtimer_add(global->restart_timer, &tv) == 0 ? 0 : -1;
}

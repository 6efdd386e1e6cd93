/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkpoints that nobody has asked for: one interval after the end of the last one, whoever asked for that. */
#include <event2/event.h>

#include "snapc/global_private.h"
#include "snapc/interval.h"
#include "snapc/log.h"

/* A job that is not ready yet, or has a reason that passes, is asked again this soon. */
#define INTERVAL_AGAIN_SECONDS 2

static void interval_arm(struct snapc_global *global, uint32_t seconds)
{
	struct timeval tv = { .tv_sec = (time_t)seconds };

	evtimer_add(global->interval_timer, &tv);
}

static void interval_strike(evutil_socket_t fd, short what, void *arg)
{
	const struct snapc_checkpoint_options options = { 0 };
	struct snapc_global *global = arg;
	struct cr_err err = { "" };
	uint32_t again = global->interval < INTERVAL_AGAIN_SECONDS ? global->interval : INTERVAL_AGAIN_SECONDS;

	(void)fd;
	(void)what;
	if (global->orphan || global->leaving || !global->interval)
		return;
	if (snapc_global_request(global, NULL, &options, &err) == 0) {
		snapc_log(SNAPC_LOG_INFO, "checkpoint by interval");
		return; /* its end arms the timer */
	}
	snapc_log(SNAPC_LOG_DEBUG, "no checkpoint by interval now: %s", err.text);
	interval_arm(global, again);
}

int snapc_global_interval_init(struct snapc_global *global)
{
	global->interval_timer = evtimer_new(global->base, interval_strike, global);
	if (!global->interval_timer)
		return -1;
	global->interval = global->settings->interval;
	snapc_global_interval_again(global);
	return 0;
}

void snapc_global_interval_set(struct snapc_global *global, uint32_t seconds)
{
	global->interval = seconds;
	evtimer_del(global->interval_timer);
	snapc_global_interval_again(global);
}

long snapc_global_interval_left(const struct snapc_global *global)
{
	struct timeval due, now;

	if (!evtimer_pending(global->interval_timer, &due))
		return -1;
	event_base_gettimeofday_cached(global->base, &now);
	return due.tv_sec > now.tv_sec ? (long)(due.tv_sec - now.tv_sec) : 0;
}

void snapc_global_interval_again(struct snapc_global *global)
{
	if (global->interval)
		interval_arm(global, global->interval);
}

uint32_t snapc_global_interval_advice(const struct snapc_global *global, uint64_t cost_ns)
{
	double seconds;

	if (!global->settings->mtbf_hours || !cost_ns)
		return 0;
	seconds = snapc_interval_daly((double)cost_ns / 1e9, global->settings->mtbf_hours * 3600.0);
	return seconds < 1 ? 1 : (uint32_t)seconds;
}

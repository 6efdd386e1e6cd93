/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libcr/tools/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_NS 100000000u
#define BAR_CELLS 24
#define COLUMNS_LEAST 60 /* narrower: no bar, only numbers */

static uint64_t progress_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool cr_progress_wanted(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

void cr_progress_begin(struct cr_progress *p, const char *what, uint64_t total_bytes, bool quiet)
{
	const char *no_colour = getenv("NO_COLOR");
	struct winsize size;

	*p = (struct cr_progress){ .what = what, .total = total_bytes, .begin_ns = progress_now(), .columns = 80 };
	pthread_mutex_init(&p->lock, NULL);
	p->on = !quiet && cr_progress_wanted();
	p->colour = !(no_colour && *no_colour);
	if (p->on && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		p->columns = size.ws_col;
}

void cr_progress_delay(struct cr_progress *p, uint64_t delay_ns)
{
	p->delay_ns = delay_ns;
}

static const char *progress_unit(uint64_t bytes, double *ret_divisor)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	unsigned int unit = 0;

	for (*ret_divisor = 1; (double)bytes / *ret_divisor >= 1000 && unit < 5; unit++)
		*ret_divisor *= 1024;
	return units[unit];
}

/* With the lock held. */
static void progress_draw(struct cr_progress *p, uint64_t now)
{
	double seconds = (double)(now - p->begin_ns) / 1e9, rate = seconds > 0 ? (double)p->done / seconds : 0, divisor, per;
	uint64_t done = p->total && p->done > p->total ? p->total : p->done;
	const char *unit = progress_unit(p->total ? p->total : done, &divisor), *speed = progress_unit((uint64_t)rate, &per);
	char line[256];
	int used, cells = p->total ? (int)((double)done / (double)p->total * BAR_CELLS) : 0;

	used = snprintf(line, sizeof(line), "\r%-8s", p->what);
	if (p->total && p->columns >= COLUMNS_LEAST)
		used += snprintf(line + used, sizeof(line) - (size_t)used, "%s[%.*s%.*s]%s", p->colour ? "\033[32m" : "", cells, "########################",
				 BAR_CELLS - cells, "                        ", p->colour ? "\033[0m" : "");
	if (p->total)
		used += snprintf(line + used, sizeof(line) - (size_t)used, " %3.0f%% %.1f of", (double)done / (double)p->total * 100, (double)done / divisor);
	used += snprintf(line + used, sizeof(line) - (size_t)used, " %.1f %s %.0f %s/s", (double)(p->total ? p->total : done) / divisor, unit, rate / per, speed);
	if (p->total && rate > 0) {
		uint64_t left = (uint64_t)((double)(p->total - done) / rate + 0.5);

		if (left < 360000)
			used += snprintf(line + used, sizeof(line) - (size_t)used, " %llu:%02llu left", (unsigned long long)left / 60, (unsigned long long)left % 60);
	}
	used += snprintf(line + used, sizeof(line) - (size_t)used, "\033[K");
	p->drawn = write(STDERR_FILENO, line, (size_t)used) == used || p->drawn;
	p->drawn_ns = now;
}

static void progress_update(struct cr_progress *p, uint64_t done, bool add)
{
	uint64_t now;

	if (!p->on)
		return;
	now = progress_now();
	pthread_mutex_lock(&p->lock);
	p->done = add ? p->done + done : done;
	if (now - p->begin_ns >= p->delay_ns && (!p->drawn || now - p->drawn_ns >= REDRAW_NS))
		progress_draw(p, now);
	pthread_mutex_unlock(&p->lock);
}

void cr_progress_set(struct cr_progress *p, uint64_t done_bytes)
{
	progress_update(p, done_bytes, false);
}

void cr_progress_add(struct cr_progress *p, uint64_t more_bytes)
{
	progress_update(p, more_bytes, true);
}

/* With the lock held. */
static void progress_clear(struct cr_progress *p)
{
	if (p->drawn && write(STDERR_FILENO, "\r\033[K", 4) == 4)
		p->drawn = false;
}

void cr_progress_hide(struct cr_progress *p)
{
	if (!p->on)
		return;
	pthread_mutex_lock(&p->lock);
	progress_clear(p);
	pthread_mutex_unlock(&p->lock);
}

void cr_progress_end(struct cr_progress *p)
{
	if (!p->on)
		return;
	pthread_mutex_lock(&p->lock);
	p->on = false;
	progress_clear(p);
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_destroy(&p->lock);
}

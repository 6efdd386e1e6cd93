/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timeline of every rank. A step begins for all ranks at one moment, when the last rank has ended the step before; so what a rank does after
 * its own end is waiting for others, and the rank that nobody waits for but everybody waited for is the late one.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "orte-tools/report_html.h"

#define CHART_WIDTH 1120
#define LABEL_WIDTH 130
#define AXIS_HEIGHT 40
#define ROWS_MOST 256 /* more: the slowest of them */

const char *const report_step_names[REPORT_STEPS] = { "to the cut", "take in messages", "stop threads", "capture memory", "write the file" };

static const struct shape {
	const char *colour;
	const char *words;
} shapes[REPORT_STEPS] = {
	[STEP_CUT] = { "--cut", "runs on to the cut" },	      [STEP_DRAIN] = { "--drain", "takes in messages" },
	[STEP_FREEZE] = { "--freeze", "threads are stopped" }, [STEP_CAPTURE] = { "--capture", "memory is captured" },
	[STEP_WRITE] = { "--write", "file is written" },
};

static uint64_t phase_begin(const struct snapc_snapshot *s, const char *name)
{
	for (uint32_t i = 0; i < s->nphases; i++)
		if (!strcmp(s->phases[i].name, name))
			return s->phases[i].begin_ns;
	return 0;
}

void report_steps_find(const struct snapc_snapshot *s, struct report_steps *ret_steps)
{
	uint64_t arrived = 0, running = 0;

	for (uint32_t i = 0; i < s->np; i++) {
		arrived = s->times[i].arrived_ns > arrived ? s->times[i].arrived_ns : arrived;
		running = s->times[i].resumed_ns > running ? s->times[i].resumed_ns : running;
	}
	*ret_steps = (struct report_steps){ .running_ns = running };
	ret_steps->begin_ns[STEP_CUT] = phase_begin(s, "quiesce");
	ret_steps->begin_ns[STEP_DRAIN] = arrived;
	ret_steps->begin_ns[STEP_FREEZE] = phase_begin(s, "freeze");
	ret_steps->begin_ns[STEP_CAPTURE] = phase_begin(s, "dump");
}

uint64_t report_step_begin(const struct report_steps *steps, const struct snapc_rank_times *t, enum report_step step)
{
	return step == STEP_WRITE ? t->snapped_ns : steps->begin_ns[step];
}

uint64_t report_step_end(const struct snapc_rank_times *t, enum report_step step)
{
	const uint64_t ends[REPORT_STEPS] = { t->arrived_ns, t->drained_ns, t->frozen_ns, t->snapped_ns, t->dumped_ns };

	return ends[step];
}

struct chart {
	FILE *f;
	uint64_t from_ns, to_ns;
	double left, width;
};

static double chart_x(const struct chart *c, uint64_t ns)
{
	if (ns <= c->from_ns)
		return c->left;
	if (ns >= c->to_ns)
		return c->left + c->width;
	return c->left + c->width * (double)(ns - c->from_ns) / (double)(c->to_ns - c->from_ns);
}

static void chart_span(const struct chart *c, uint64_t begin, uint64_t end, double y, double height, const char *colour, const char *words, int rank)
{
	double x = chart_x(c, begin), width = chart_x(c, end) - x;

	if (!begin || end <= begin || begin >= c->to_ns || end <= c->from_ns)
		return;
	fprintf(c->f, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"var(%s)\"><title>rank %d: %s, ", x, y, width < 0.6 ? 0.6 : width,
		height, colour, rank, words);
	html_duration(c->f, (double)(end - begin));
	fputs("</title></rect>\n", c->f);
}

/* A round number of ns such that about six of them fit. */
static double tick_ns(double range)
{
	double tick = 1;

	while (tick * 6 < range) {
		if (tick * 12 >= range)
			return tick * 2;
		if (tick * 30 >= range)
			return tick * 5;
		tick *= 10;
	}
	return tick;
}

static void chart_axis(const struct chart *c, const struct snapc_snapshot *s, double height)
{
	double range = (double)(c->to_ns - c->from_ns), tick = tick_ns(range), last = -100;

	for (double at = 0; at <= range; at += tick) {
		double x = c->left + c->width * at / range;

		fprintf(c->f, "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"%d\" y2=\"%.0f\" stroke=\"var(--line)\"/><text x=\"%.2f\" y=\"14\">", x, x, AXIS_HEIGHT - 20,
			height, x + 3);
		html_duration(c->f, at);
		fputs("</text>\n", c->f);
	}
	for (uint32_t i = 0; i < s->nphases; i++) {
		double x = chart_x(c, s->phases[i].begin_ns);

		if (s->phases[i].begin_ns < c->from_ns || s->phases[i].begin_ns >= c->to_ns)
			continue;
		fprintf(c->f, "<line x1=\"%.2f\" x2=\"%.2f\" y1=\"%d\" y2=\"%.0f\" stroke=\"var(--soft)\" stroke-dasharray=\"2 3\"/>", x, x, AXIS_HEIGHT - 12, height);
		if (x - last > 52) {
			fprintf(c->f, "<text x=\"%.2f\" y=\"%d\" class=\"r\">", x + 3, AXIS_HEIGHT - 8);
			html_text(c->f, s->phases[i].name);
			fputs("</text>", c->f);
			last = x;
		}
		putc('\n', c->f);
	}
}

static void chart_row(const struct chart *c, const struct snapc_snapshot *s, const struct report_steps *steps, uint32_t i, double y, double height)
{
	const struct snapc_rank_times *t = &s->times[i];
	double lane = height * 0.55;
	int rank = s->ranks[i].rank;

	fprintf(c->f, "<text x=\"0\" y=\"%.1f\" class=\"r\">%d <tspan fill=\"var(--soft)\">", y + height * 0.75, rank);
	html_text(c->f, s->ranks[i].host);
	fputs("</tspan></text>\n", c->f);
	chart_span(c, t->arrived_ns, t->resumed_ns ? t->resumed_ns : t->dumped_ns, y, lane, "--wait", "waits for others", rank);
	chart_span(c, t->resumed_ns, c->to_ns, y, lane, "--run", "runs again", rank);
	for (int step = STEP_CUT; step < STEP_WRITE; step++)
		chart_span(c, report_step_begin(steps, t, (enum report_step)step), report_step_end(t, (enum report_step)step), y, lane, shapes[step].colour,
			   shapes[step].words, rank);
	chart_span(c, t->snapped_ns, t->dumped_ns, y + lane + 1, height * 0.3, "--write", shapes[STEP_WRITE].words, rank);
}

struct slowness {
	uint32_t row;
	uint64_t ns;
};

static int slower(const void *a, const void *b)
{
	const struct slowness *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : (x->row > y->row) - (x->row < y->row);
}

static int by_row(const void *a, const void *b)
{
	const struct slowness *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

void report_timeline(FILE *f, const struct snapc_snapshot *s, const struct report_steps *steps, uint64_t from_ns, uint64_t to_ns)
{
	struct chart c = { .f = f, .from_ns = from_ns, .to_ns = to_ns, .left = LABEL_WIDTH, .width = CHART_WIDTH - LABEL_WIDTH };
	struct slowness *order = calloc(s->np, sizeof(*order));
	uint32_t rows = s->np < ROWS_MOST ? s->np : ROWS_MOST;
	double row = rows <= 16 ? 22 : rows <= 64 ? 14 : 9, height = AXIS_HEIGHT + row * rows + 4;

	if (!order || to_ns <= from_ns) {
		free(order);
		return;
	}
	for (uint32_t i = 0; i < s->np; i++) {
		order[i].row = i;
		for (int step = 0; step < REPORT_STEPS; step++) {
			uint64_t begin = report_step_begin(steps, &s->times[i], (enum report_step)step), end = report_step_end(&s->times[i], (enum report_step)step);

			order[i].ns += end > begin ? end - begin : 0;
		}
	}
	if (rows < s->np) {
		qsort(order, s->np, sizeof(*order), slower);
		qsort(order, rows, sizeof(*order), by_row);
		fprintf(f, "<p class=\"sub\">The %u slowest of %u ranks.</p>\n", rows, s->np);
	}
	fputs("<div class=\"legend\">", f);
	for (int step = 0; step < REPORT_STEPS; step++)
		fprintf(f, "<span><i style=\"background:var(%s)\"></i>%s</span>", shapes[step].colour, shapes[step].words);
	fputs("<span><i style=\"background:var(--wait)\"></i>waits for others</span><span><i style=\"background:var(--run)\"></i>runs again</span></div>\n", f);
	fprintf(f, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-label=\"timeline of the ranks\">\n", CHART_WIDTH, height);
	chart_axis(&c, s, height);
	for (uint32_t i = 0; i < rows; i++)
		chart_row(&c, s, steps, order[i].row, AXIS_HEIGHT + row * i, row - 2);
	fputs("</svg>\n", f);
	free(order);
}

void report_late(FILE *f, const struct snapc_snapshot *s, const struct report_steps *steps)
{
	struct slowness *took = calloc(s->np, sizeof(*took));

	if (!took)
		return;
	fputs("<table><tr><th>Step</th><th class=\"n\">Fastest</th><th class=\"n\">Median</th><th class=\"n\">Slowest</th><th>Last rank</th><th class=\"n\">The others "
	      "waited up to</th></tr>\n",
	      f);
	for (int step = 0; step < REPORT_STEPS; step++) {
		uint32_t n = 0;
		bool late;

		for (uint32_t i = 0; i < s->np; i++) {
			uint64_t begin = report_step_begin(steps, &s->times[i], (enum report_step)step), end = report_step_end(&s->times[i], (enum report_step)step);

			if (begin && end >= begin)
				took[n++] = (struct slowness){ i, end - begin };
		}
		if (!n)
			continue;
		qsort(took, n, sizeof(*took), slower);
		late = n > 1 && took[0].ns > 2 * took[n / 2].ns && took[0].ns - took[n / 2].ns > 1000000;
		fprintf(f, "<tr><td>%s</td><td class=\"n\">", report_step_names[step]);
		html_duration(f, (double)took[n - 1].ns);
		fputs("</td><td class=\"n\">", f);
		html_duration(f, (double)took[n / 2].ns);
		fputs("</td><td class=\"n\">", f);
		html_duration(f, (double)took[0].ns);
		fprintf(f, "</td><td%s>rank %d, ", late ? " class=\"late\"" : "", s->ranks[took[0].row].rank);
		html_text(f, s->ranks[took[0].row].host);
		fputs(late ? " (late)</td><td class=\"n\">" : "</td><td class=\"n\">", f);
		if (step == STEP_WRITE)
			fputs("nobody waits", f);
		else
			html_duration(f, (double)(took[0].ns - took[n - 1].ns));
		fputs("</td></tr>\n", f);
	}
	fputs("</table>\n", f);
	free(took);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pieces of the page that ompi-snapshot report writes. Whatever comes from a job goes through html_text(): a command line may hold anything. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

#include "snapc/snapshot.h"

/* The text with everything that HTML or SVG would take for its own escaped, and what is not UTF-8 or not printable replaced. NULL: nothing. */
void html_text(FILE *f, const char *text);
void html_words(FILE *f, char *const *words);
/* "12.3 MiB" */
void html_bytes(FILE *f, double bytes);
/* "12.3 ms", "4.2 s" */
void html_duration(FILE *f, double ns);
/* Local time; "unknown" for 0 */
void html_time(FILE *f, uint64_t ns);

/* Begin and end of everything up to the end of the style sheet; @title is escaped. */
void html_head(FILE *f, const char *title);

/* The steps of a checkpoint as the page shows them, from the first that a rank makes to the last. */
enum report_step { STEP_CUT, STEP_DRAIN, STEP_FREEZE, STEP_CAPTURE, STEP_WRITE, REPORT_STEPS };

struct report_steps {
	uint64_t begin_ns[REPORT_STEPS];  /* the same for all ranks; STEP_WRITE: 0, each begins when it is captured */
	uint64_t running_ns;              /* the last rank runs again; 0: the job was ended */
};

extern const char *const report_step_names[REPORT_STEPS];

/* @s has times. */
void report_steps_find(const struct snapc_snapshot *s, struct report_steps *ret_steps);
uint64_t report_step_begin(const struct report_steps *steps, const struct snapc_rank_times *t, enum report_step step);
uint64_t report_step_end(const struct snapc_rank_times *t, enum report_step step);
/* The chart, from @from_ns to @to_ns. */
void report_timeline(FILE *f, const struct snapc_snapshot *s, const struct report_steps *steps, uint64_t from_ns, uint64_t to_ns);
/* Which rank was last in each step, and by how much. */
void report_late(FILE *f, const struct snapc_snapshot *s, const struct report_steps *steps);

#endif

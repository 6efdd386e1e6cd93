/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ompi-checkpoint and a job's coordinator say to each other, and what of it the user sees. */
#ifndef ORTE_TOOLS_CHECKPOINT_DIALOGUE_H
#define ORTE_TOOLS_CHECKPOINT_DIALOGUE_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>

#include "orte-tools/checkpoint_options.h"
#include "orte-tools/checkpoint_progress.h"
#include "snapc/registry.h"

struct tool {
	struct checkpoint_options options;
	struct snapc_registry_entry entry;
	char host[256];
	int fd;
	FILE *out, *words; /* what an attempt says; with --wait only that of the last one is shown */
	double last_s;     /* time of the last status line */
	bool printed_reasons;
	long limit_s;      /* the coordinator says something within */
	char phase[32];    /* what it said last */
	struct checkpoint_progress progress;
};

/* SIGINT and SIGTERM that have come: the first gives the checkpoint up, the second the tool. */
extern volatile sig_atomic_t tool_interrupted;

/* --- checkpoint_dialogue.c --- */

/* Ask for what the options say. Return: 0, or -EPIPE: the coordinator has ended. */
int tool_request(const struct tool *t);

/* Listen until there is an answer. Return: the exit status, everything having been said. */
int tool_dialogue(struct tool *t);

/* --- checkpoint_answer.c --- */

/**
 * tool_line - one line of the coordinator
 * @text: the line, without its end; is changed
 * @reasons_json: where reasons are gathered, NULL: they are printed; *@reasons: its text
 *
 * Return: -1: go on; otherwise the exit status.
 */
int tool_line(struct tool *t, char *text, FILE *reasons_json, char **reasons);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of ompi-checkpoint. */
#ifndef ORTE_TOOLS_CHECKPOINT_OPTIONS_H
#define ORTE_TOOLS_CHECKPOINT_OPTIONS_H

#include <stdbool.h>

enum tool_exit { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_AGAIN = 75 };

struct checkpoint_options {
	bool all, check, term, stop, nosync, nowait, wait, status, list, json, quiet, latest;
	long verbose;
	long timeout_seconds;
	long interval;     /* seconds to set; -1: not asked for */
	const char *pid;   /* of mpirun */
	const char *job;   /* job id */
	const char *name;  /* either */
	const char *host;  /* node of mpirun; NULL: this one */
};

/**
 * checkpoint_options_parse - read the command line
 * @o: zeroed; texts are borrowed from @argv
 * @argv: reordered; MCA parameters in it are put into the environment
 *
 * Return: -1: go on; otherwise the exit status, everything having been said.
 */
int checkpoint_options_parse(struct checkpoint_options *o, int argc, char **argv);
bool checkpoint_number(const char *text, long low, long *ret);

#endif

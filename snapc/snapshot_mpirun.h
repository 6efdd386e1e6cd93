/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mpirun's command line, cut into options and application contexts.
 *
 * Only the options before each context's program are looked at; the table snapshot_mpirun.def says how many words an option takes.
 * An option that is not in the table is taken to have no argument.  The command line of ompi-cr-srun is taken apart too: all of its options are DROP.
 */
#ifndef SNAPC_SNAPSHOT_MPIRUN_H
#define SNAPC_SNAPSHOT_MPIRUN_H

#include <stdbool.h>
#include <stdint.h>

#include "snapc/snapshot.h"

enum snapc_option_class { SNAPC_OPTION_KEEP, SNAPC_OPTION_HOSTS, SNAPC_OPTION_MCA, SNAPC_OPTION_OWN, SNAPC_OPTION_DROP };

struct snapc_option {
	char **words;      /* borrowed from argv: the option and its arguments */
	uint32_t nwords;
	const char *name;  /* without dashes; borrowed from argv */
	enum snapc_option_class class;
};

struct snapc_mpirun {
	struct snapc_option *options; /* of every context, in order */
	uint32_t noptions;
	struct snapc_app *apps;       /* argv of each: array given, words borrowed from mpirun's argv */
	uint32_t napps;
};

/* What stands in mpirun's place when srun starts the ranks; its own line is "options of one word each -- program" (orte-tools/sched/srun_line.h). */
#define SNAPC_SRUN "ompi-cr-srun"
bool snapc_mpirun_is_srun(char *const *argv);

/* @argv: mpirun's, NULL-terminated, argv[0] included; borrowed and must outlive the result. Return: 0 or -ENOMEM. */
int snapc_mpirun_parse(char **argv, struct snapc_mpirun **ret_mpirun);
void snapc_mpirun_destroy(struct snapc_mpirun *m);

#endif

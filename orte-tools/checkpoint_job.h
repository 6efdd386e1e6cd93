/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Running jobs: which one is meant, the list of all of them. */
#ifndef ORTE_TOOLS_CHECKPOINT_JOB_H
#define ORTE_TOOLS_CHECKPOINT_JOB_H

#include <stdio.h>

#include "orte-tools/checkpoint_options.h"
#include "snapc/registry.h"

/**
 * checkpoint_job_find - the job that the command line names
 * @words: what is wrong is said here
 *
 * Return: TOOL_OK; TOOL_AGAIN: it is only just starting; TOOL_FAILED: there is none. *@ret_gone: nor can there be one later.
 */
int checkpoint_job_find(const struct checkpoint_options *o, FILE *words, struct snapc_registry_entry *ret_entry, bool *ret_gone);

/* One line per running job of the caller, for root: of everybody. @json: as members of an array. */
void checkpoint_job_list(bool json);

/**
 * checkpoint_job_find_far - the same for a job whose mpirun is on the node @o->host
 *
 * Return: TOOL_OK, or the exit status, everything having been said.
 */
int checkpoint_job_find_far(const struct checkpoint_options *o, FILE *words, struct snapc_registry_entry *ret_entry);

#endif

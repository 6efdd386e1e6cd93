/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-cr-batch: the last line of a batch script. Starts the job under protection or brings it back from its newest snapshot; when the scheduler
 * warns, takes a checkpoint, ends the job and has it requeued.
 *
 * Files of a job, in the batch directory:  <scheduler>-<job id>/<run>.<start>/ompi_global_snapshot_*.ckpt
 * A run begins with the program's beginning; each start of mpirun in it has a directory of its own, numbered from 1. So "newest" needs no clock.
 * <run>.<start>/ended exists when the program has ended with success: the next run then begins anew.
 */
#ifndef BATCH_H
#define BATCH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "libcr/cr_err.h"

enum { BATCH_FAILED = 1, BATCH_USAGE = 2, BATCH_AGAIN = 75 };

struct batch_scheduler {
	const char *name;
	const char *id_variable;    /* environment: the job's id, the same after a requeue */
	const char *task_variable;  /* environment: number in an array whose members share the id; may be NULL */
	const char *shell_variable; /* environment: pid of the batch shell; may be NULL */
	int requeue_status;         /* exit status that asks for a requeue */
	bool group;                 /* its warnings go to every process of the job */
	int warning;                /* a signal that warns of the end, beside SIGUSR1; 0: none */
	/* Has this job run before? */
	bool (*again)(void);
	/* Did somebody want the job gone for good? Then it is not requeued. */
	bool (*cancelled)(const char *id);
	/* Have the job requeued at once; NULL: by exit status alone. Return: 0; -errno with words. */
	int (*requeue)(const char *id, struct cr_err *err);
	/* For a shell: status 0 when one of the job's nodes is being drained, of which the scheduler says nothing to its jobs; NULL: not known. */
	const char *drained;
};

/* The one whose job we are in, by the environment; outside of any: one that knows nothing, named "job". */
const struct batch_scheduler *batch_scheduler_find(void);

/* --- directories --- */

struct batch_place {
	char job_dir[PATH_MAX]; /* <batch directory>/<scheduler>-<id> */
	char dir[PATH_MAX];     /* of this start: where snapshots are made */
	char ref[PATH_MAX];     /* newest snapshot of this run, made by an earlier start; "" for none */
	unsigned int run, start;
};

/**
 * batch_place_open - choose and make the directory of this start
 * @dir: batch directory, made when missing
 * @name: of the job, without '/'
 * @again: the job was requeued: go on with its run when that has a snapshot and has not ended
 *
 * Return: 0 or -errno with words.
 */
int batch_place_open(const char *dir, const char *name, bool again, struct batch_place *ret_place, struct cr_err *err);
/* The newest snapshot before @place->ref, into @place->ref. Return: 0; -ENOENT: there is none. */
int batch_place_older(struct batch_place *place);
/* Has this start made a snapshot? */
bool batch_place_saved(const struct batch_place *place);
/* Leave the word that the program has ended. */
int batch_place_ended(const struct batch_place *place, struct cr_err *err);
/* Remove the snapshots of all but the newest @keep starts that have some. */
void batch_place_prune(const struct batch_place *place, unsigned int keep);

/* --- the batch shell --- */

/*
 * A batch shell that waits for us in the foreground gets the scheduler's warning in our place and would die of it. Where it neither catches nor
 * ignores the signals of @set we trace it: those are kept from it and given to us. Everything else reaches it.
 * Return: 0: @pid needs no guard; @pid: it is guarded until we exit; -EPERM and others: tracing is not permitted.
 */
pid_t batch_shell_guard(pid_t pid, const int *signals);
/* After SIGCHLD. Return: number of a signal that was kept from the shell; 0: nothing more to tell. */
int batch_shell_poll(pid_t pid, const int *signals);

/* --- the run --- */

struct batch {
	const struct batch_scheduler *sched;
	char id[128];
	struct batch_place place;
	char **command;       /* mpirun and its arguments */
	int grace_s;          /* from the warning to the end */
	int drain_s;          /* seconds between looks for a drained node; 0: none */
	unsigned int keep;
	bool quiet, verbose;
	pid_t shell;          /* guarded; 0: none */
};

/* Run the job to its end or to its requeue. Return: exit status. */
int batch_run(struct batch *b);

#endif

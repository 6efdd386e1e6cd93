/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mpirun command that brings a snapshot back:
 *
 *   mpirun -am ft-enable-cr -np N <placement and output options of the saved job> <its MCA parameters> <nodes> <what the user adds>
 *          cr_restart --rank-file DIR/SEQ/opal_snapshot_%d.ckpt/cr_context
 *
 * or, through srun,
 *
 *   ompi-cr-srun --mpi=pmix -nN <what of the saved options concerns how ranks run> <what the user adds> -- cr_restart --rank-file ...
 *
 * Saved options go to the launcher that they were given to, not to the other one.
 * A parameter that the user gives goes before the saved one of the same name; nodes that the user gives replace the saved ones.
 */
#ifndef RESTART_COMMAND_H
#define RESTART_COMMAND_H

#include <stdbool.h>

#include "snapc/snapshot.h"

struct restart_words {
	char **words; /* NULL-terminated; given */
	size_t n;
	int failed;   /* memory ran out */
};

struct restart_request {
	const struct snapc_snapshot *s;
	bool srun;                /* launcher: ompi-cr-srun, else mpirun */
	const char *mpirun;       /* program */
	const char *restorer;     /* path of cr_restart */
	const char *hostfile;     /* or NULL */
	const char *amca;         /* or NULL: the saved one */
	const char *mpirun_opts;  /* words separated by blanks, quotes allowed; or NULL */
	char *const *extra;       /* NULL-terminated, or NULL */
};

/* Return: 0 or -errno with words. @ret_command: restart_words_free(). */
/* @name: "mpirun", "srun", or NULL: as the job was started. Return: 0; -EINVAL with words. */
int restart_launcher_choose(const char *name, const struct snapc_job *saved, bool *ret_srun, struct cr_err *err);
int restart_command_make(const struct restart_request *r, struct restart_words *ret_command, struct cr_err *err);
void restart_words_add(struct restart_words *w, const char *word);
void restart_words_free(struct restart_words *w);
/* As a line for a shell. */
void restart_words_print(FILE *f, const struct restart_words *w);

/* Put back what mpirun's environment needs: the saved OMPI_MCA_* and snapshot directory that are not set now, where our component is.
 * @timeout_seconds: until all ranks are back; 0: as it is set. */
int restart_environment_set(const struct snapc_snapshot *s, uint32_t timeout_seconds);

#endif

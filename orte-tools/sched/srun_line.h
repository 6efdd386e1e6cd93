/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * srun's command line in a form that needs no table to be read: every option one word ("--nodes=2", "-n4"), then "--", then the program.
 * ompi-cr-srun runs itself again in this form, so that whoever looks at the process (the coordinator, for the snapshot) can tell options and program apart.
 */
#ifndef SRUN_LINE_H
#define SRUN_LINE_H

#include <stdbool.h>

#include "libcr/cr_err.h"

struct srun_line {
	char **options; /* NULL-terminated; given, each word as well */
	char **program; /* NULL-terminated; borrowed from argv; empty when there is none */
};

/**
 * srun_line_parse - take srun's words apart
 * @argv: without argv[0]; borrowed, must outlive @ret_line
 *
 * An option that the table does not know (a SPANK plugin's) is looked up in `srun --help`.
 * Return: 0; -EINVAL (an option that nobody knows, an argument that is missing), -ENOTSUP (several programs, separated by ":"), -ENOMEM, with words.
 */
int srun_line_parse(char *const *argv, struct srun_line *ret_line, struct cr_err *err);
void srun_line_free(struct srun_line *line);

/* Value of an option in one word, "" when it has none; NULL: it is not @name or -@letter. */
const char *srun_option_value(const char *word, const char *name, char letter);
/* Does the line have the option? The value of the last one, else NULL. */
const char *srun_line_get(const struct srun_line *line, const char *name, char letter);
/* Has the word to be given again at a restart? */
bool srun_option_kept(const char *word);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cr_restart --check --json says. */
#ifndef CR_RESTART_REPORT_H
#define CR_RESTART_REPORT_H

#include <stdio.h>

#include "libcr/cr_err.h"

struct restart_report {
	FILE *problems; /* the elements of the array, as text; NULL: none yet */
	char *text;
	size_t bytes;
};

/* @what: one word for what it is about. @pid: of the process, as its program knows it; 0: none. */
void restart_report_add(struct restart_report *r, const char *what, int pid, const struct cr_err *why);

/* One object on standard output. Ends @r. 0 or a negative errno. */
int restart_report_print(struct restart_report *r, const char *path);

#endif

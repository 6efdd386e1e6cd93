/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CR_START_H
#define CR_START_H

#include "libcr/lower/lower.h"

/* @floor: the descriptor floor, 0 to choose one from the limits. @stdio: cr_lower.stdio_text of the process that executed this one, or NULL: the
 * standard streams are what 0, 1, 2 are now. 0 or -errno. */
int cr_start(int floor, const char *stdio, struct cr_err *err);
/* For cr_restart, after cr_start(): remember what the launcher of this life has set. 0 or -ENOMEM. */
int cr_start_launcher_env(struct cr_err *err);
/* Set the soft limit of open files to the floor: when the floor is final, before the program runs. */
void cr_start_limit(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Paths of a context file that are others at this restart: cr_restart --relocate OLD=NEW. */
#ifndef CR_RELOCATE_H
#define CR_RELOCATE_H

#include "libcr/cr_err.h"

#define CR_RELOCATE_MAX 64

/**
 * cr_relocate_add - one rule
 * @rule: "OLD=NEW", both absolute; "\=" and "\\" stand for "=" and "\"
 *
 * OLD stands for whole components at the beginning of a path. Of several rules that fit a path the first is taken.
 * Context: before anything is read from the context file; one thread.
 * Return: 0; -EINVAL the rule makes no sense; -E2BIG there are CR_RELOCATE_MAX already; -ENOMEM.
 */
int cr_relocate_add(const char *rule, struct cr_err *err);

/* @path as this restart is to see it: @path itself, or a text that is kept for the life of the process. NULL stays NULL. */
const char *cr_relocate(const char *path);

/* Forgets all rules; for tests. Texts that were returned are not valid any more. */
void cr_relocate_clear(void);

#endif

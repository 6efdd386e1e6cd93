/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_restart --restore-pid: a child with the old process id becomes the program, cr_restart stays its parent. */
#ifndef CR_RESTART_PARENT_H
#define CR_RESTART_PARENT_H

#include <sys/types.h>

#include "libcr/cr_err.h"

/**
 * restart_child - make a child that has the process id @pid
 *
 * Context: one thread.
 * Return: 0 in the child; its id in the parent; -EBUSY somebody has that id, and who; -EPERM; another negative errno.
 */
pid_t restart_child(pid_t pid, struct cr_err *err);

/* Passes signals on to @child, and ends as it does. */
void restart_parent(pid_t child) __attribute__((noreturn));

#endif

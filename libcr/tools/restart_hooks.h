/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that cr_restart runs when it has succeeded or failed: --run-on-*. */
#ifndef CR_RESTART_HOOKS_H
#define CR_RESTART_HOOKS_H

/* What a restart may end in. */
enum restart_class {
	RESTART_SUCCESS,
	RESTART_FAIL_ARGS, /* wrong arguments, or a context file that cannot be read */
	RESTART_FAIL_TEMP, /* may work later: no memory, something is in use */
	RESTART_FAIL_ENV,  /* a file is missing, forbidden or changed */
	RESTART_FAIL_PERM, /* will never work */
	RESTART_CLASSES
};

/* Commands for sh; NULL: none. */
struct restart_hooks {
	const char *command[RESTART_CLASSES];
	int ask, answer; /* the runner's ends; -1: there is none */
};

/* The class of a negative errno of a restart whose file could be read. */
enum restart_class restart_class_of(int rc);

/**
 * restart_hooks_start - a process that will run one of the commands
 *
 * It is no child of the caller, who may become a program that counts its children, and it waits until it is told, or until the caller is gone.
 * Context: before the process has become a lower half.
 * Return: 0 or a negative errno.
 */
int restart_hooks_start(struct restart_hooks *hooks);

/* Runs the command of @class and waits for it: its exit status; 0 when there is none. */
int restart_hooks_run(struct restart_hooks *hooks, enum restart_class class);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A second process beside the daemon, which puts a new daemon into the place of one that has died.
 *
 * The supervisor is the process that opened the listening sockets; the daemon is its child and inherits them, so nobody who connects meanwhile is turned
 * away: he waits in the sockets' queues for the next daemon.  Between the two is a socket pair on which single bytes travel: the supervisor asks
 * now and then whether the daemon still turns its event loop, and kills one that does not; the daemon says before it leaves on purpose.  When it is
 * the supervisor that dies, the daemon makes itself a new one.  A daemon that dies again and again is given up.
 *
 * Invariant: neither process ever waits for the other; whichever is left goes on alone.
 */
#ifndef SNAPC_SUPERVISOR_H
#define SNAPC_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>

#define SNAPC_SUPERVISED_FDS 8

struct snapc_supervised {
	/* The daemon, in a process of its own. @again: in the place of one that died. Return: exit status. */
	int (*work)(void *arg, int control, bool again);
	/* In the supervisor: the daemon has said that it is alone (snapc_supervisor_tell()). */
	void (*alone)(void *arg);
	/* In the supervisor: nothing will follow the daemon that has just died. */
	void (*given_up)(void *arg);
	void *arg;
	/* In the supervisor: descriptors besides standard ones that the next daemon needs; -1 are skipped. */
	const int *(*keep)(void *arg, size_t *ret_n);
	unsigned watchdog_s; /* a daemon that is silent for so long is killed; 0: never */
};

/* What a daemon tells its supervisor. */
enum snapc_supervisor_word {
	SNAPC_SUPERVISOR_ALIVE = 'p',   /* answer to any byte */
	SNAPC_SUPERVISOR_ALONE = 'A',   /* calls alone() */
	SNAPC_SUPERVISOR_LEAVING = 'L', /* ends on purpose: not to be replaced */
};

/**
 * snapc_supervise - run a daemon and its successors
 *
 * Context: main(), before there are threads or an event loop; blocks the signals SIGTERM and SIGINT, which are passed on to the daemon.
 * Return: exit status of this process, when the last daemon has ended.
 */
int snapc_supervise(const struct snapc_supervised *s);

/**
 * snapc_supervisor_again - in a daemon whose supervisor has died: make a new one
 * @old_control: is closed
 *
 * Return: the new control socket, or -errno: the daemon goes on without.
 */
int snapc_supervisor_again(const struct snapc_supervised *s, int old_control);

/* In the daemon. Nothing happens when the supervisor is gone. */
void snapc_supervisor_tell(int control, enum snapc_supervisor_word word);

#endif

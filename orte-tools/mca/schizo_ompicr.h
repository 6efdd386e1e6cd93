/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mca_schizo_ompicr: the only code of ompi-cr that runs inside mpirun and orted.
 *
 * It repairs `mpirun -am FILE` and, when the parameter ompi_cr_enable is set (by -am ft-enable-cr), has every rank started through
 * cr_run and starts snapcd beside mpirun.  Without -am and without that parameter it does nothing.  In orted it starts this node's snapcd when
 * the job says that it has a coordinator.  In every other program that loads it (ranks, tools) it declines to be used.
 */
#ifndef SCHIZO_OMPICR_H
#define SCHIZO_OMPICR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* amca.c: read the files of -am, which Open MPI 4.0 and 4.1 find but never open, into the environment. */
void ompicr_amca_apply(void);
/* Forget -am: what it said is in the environment now, and the name would only make daemons and ranks look for the file again. */
void ompicr_amca_forget(void);

/* coord.c: snapcd, as long as mpirun runs. */
struct ompicr_coord {
	pid_t mpirun_pid;           /* or orted's */
	bool node;                  /* in orted: the local role alone */
	char **env;                 /* for snapcd; borrowed; NULL: ours */
	const char *job;            /* borrowed */
	const char *snapshot_dir;   /* borrowed; absolute */
	const char *snapcd;         /* borrowed; path of the program */
	const char *keep;           /* borrowed; number in words of the command line */
	const char *restarted_from; /* borrowed, or NULL */
	const char *restarted_seq;  /* borrowed, or NULL */
	const char *auth;           /* borrowed, or NULL */
	const char *network;        /* borrowed, or NULL */
	const char *port;           /* borrowed, or NULL */
	char socket[64];            /* abstract names */
	char tool_socket[64];
	int fd;                     /* to snapcd; -1 when there is none */
	bool again;                 /* it takes the place of one that has died */
	bool leaves;                /* it has said that it ends, and nobody is to follow it */
	unsigned deaths;
	int64_t first_death_ms;     /* of those that count */
	char log[256];
	char words[1024];           /* why it could not be started */
	char coordinator[8192];     /* for CR_ENV_COORDINATOR of other nodes; "" when it serves none */
};
/* Starts snapcd and waits until it listens. Return: 0 or -1 with @words. */
int ompicr_coord_start(struct ompicr_coord *c);
/*
 * Nobody is left of snapcd, neither the daemon nor its supervisor: another one, at the same sockets, for which this does not wait.
 * Return: 0, and @fd is a new one; -1 with @words: it happens too often, or it cannot be started, and there is no @fd.
 */
int ompicr_coord_again(struct ompicr_coord *c);
/* What snapcd says at any time; the caller takes what is for him alone. Return: false: with @words: it cannot go on. */
bool ompicr_coord_heard(struct ompicr_coord *c, const char *text);

/* Absolute path of the directory for snapshots, from the parameter, the environment, or HOME. Return: 0, or -1 when it does not fit. */
int ompicr_snapshot_dir(char *ret_dir, size_t bytes);

#endif

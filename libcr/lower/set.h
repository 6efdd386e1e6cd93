/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The set of processes that are being saved, or made again, together with this one; nothing when it is alone.
 *
 * Written by the agent while the program is frozen, or before it exists; read by what saves and restores files, memory and children.
 */
#ifndef CR_SET_H
#define CR_SET_H

#include <stdbool.h>
#include <stdint.h>

struct stat;

/* A descriptor of the program whose description is saved with what the processes share. */
struct cr_set_fd {
	int32_t fd;
	uint32_t number; /* of the description there */
};

struct cr_set {
	bool active;
	bool gathering;     /* not known yet who shares what: what needs that is looked at later */
	bool family;        /* a rank that runs: its children are saved with it, also those that it makes while we look */
	const int32_t *pids; /* as the kernel knows them, in the order of the file; after them those who are left out */
	uint32_t n, n_left;
	int32_t skip;       /* who asked for the checkpoint, when it is a member of the family: left out; 0 none */
	int (*program_id)(int kernel); /* the id that the processes know; set with @active */
	/* Does a process of the set, other than its @member, map the file @st? Set with @active */
	bool (*file_mapped)(uint32_t member, const struct stat *st);
	const struct cr_set_fd *fds;
	uint32_t n_fds;
	/* restart: descriptors of the lower half for what is shared; closed when this process has taken its own */
	int *shared;
	uint32_t n_shared;
};

extern struct cr_set cr_set;

bool cr_set_has(int pid);
/* Is it left out: who asked for the checkpoint, or what the user did not want in it? */
bool cr_set_left_out(int pid);
/* The number of the shared description that @fd refers to, or -1. */
long cr_set_shared(int fd);
/* Restart: before record locks are taken, as closing any descriptor of a file gives those up. */
void cr_set_shared_close(void);

#endif

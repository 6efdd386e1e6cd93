/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry: which jobs of a user run under protection on this host, and where their coordinators listen.
 *
 * One file per job, <directory>/<pid of mpirun>.job, lines "key=value" (coding of line.h), written under another name and renamed.  The directory is
 * $OMPI_CR_REGISTRY_DIR, else $XDG_RUNTIME_DIR/ompi-cr, else /tmp/ompi-cr-<uid>; it must belong to the user and be closed to everybody else,
 * or it is not used.  Readers look into the latter two, into the first alone when it is set.
 * An entry whose mpirun (pid and start time) is gone is stale: readers skip it, the next writer removes it.
 */
#ifndef SNAPC_REGISTRY_H
#define SNAPC_REGISTRY_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "libcr/cr_err.h"

#define SNAPC_REGISTRY_ENV "OMPI_CR_REGISTRY_DIR"
#define SNAPC_CONTACT_ENV "OMPI_CR_CONTACT_DIR"
#define SNAPC_REGISTRY_TEXT_BYTES 4096
#define SNAPC_REGISTRY_COORDINATOR_BYTES 8192

struct snapc_registry_entry {
	pid_t mpirun_pid;
	uint64_t mpirun_start; /* field 22 of /proc/PID/stat */
	pid_t snapcd_pid;
	uid_t uid;
	int64_t started;       /* seconds of the epoch */
	char job[128];
	char slurm_job[64];    /* "" outside of Slurm; "15", for a member of an array "15,12_3" */
	char host[256];
	char snapc_socket[108];
	char tool_socket[108];
	char snapshot_dir[PATH_MAX];
	char ref[256];
	char coordinator[SNAPC_REGISTRY_COORDINATOR_BYTES]; /* contact files alone: how to reach and believe it, the line of protocol.md, section 5 */
	char command[SNAPC_REGISTRY_TEXT_BYTES]; /* mpirun's arguments, joined with blanks, for people */
};

/* Field 22 of /proc/PID/stat; 0 when there is no such process. */
uint64_t snapc_process_start(pid_t pid);

/* Write the entry of a job. @ret_path: PATH_MAX bytes; hand it to snapc_registry_remove(). */
int snapc_registry_add(const struct snapc_registry_entry *entry, char *ret_path, struct cr_err *err);
void snapc_registry_remove(const char *path);

/*
 * Contact files: the same, for tools on other nodes: <directory>/<host>-<pid of mpirun>.job with @coordinator. The directory is $OMPI_CR_CONTACT_DIR,
 * else ~/.ompi-cr, under the same rules; it helps when nodes share it. Whether the job of an entry of another host still runs is not known.
 */
int snapc_registry_add_far(const struct snapc_registry_entry *entry, char *ret_path, struct cr_err *err);
/* @ret_dir: PATH_MAX: where it looks. Return: as snapc_registry_scan(), or -errno with words when the directory cannot be used. */
int snapc_registry_scan_far(int (*visit)(void *arg, const struct snapc_registry_entry *entry), void *arg, char *ret_dir, struct cr_err *err);

/* Where the log of the job with this mpirun is, on this host; not whether there is one. @ret_path: PATH_MAX bytes */
void snapc_registry_log(pid_t mpirun_pid, char *ret_path);

/*
 * Call @visit for every living job of the caller, for root: of everybody, until it returns something other than 0.
 * Return: what @visit returned last, or 0.
 */
int snapc_registry_scan(int (*visit)(void *arg, const struct snapc_registry_entry *entry), void *arg);

#endif

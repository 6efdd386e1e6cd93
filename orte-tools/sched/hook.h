/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-cr-hook: what batch schedulers call when they want a job saved, ended or brought back.  Each subcommand takes the words that the scheduler's
 * documentation gives; all of them end in the same few steps:
 *
 *	open the place where the scheduler keeps checkpoints    as root only below directories that are root's alone
 *	become the job's user                                    nothing of the user's is touched before
 *	find the mpirun of the job                               by session, process group or ancestor
 *	ompi-checkpoint, or ompi-restart
 *	leave the reference: a small file that says where the snapshot is
 *
 * Snapshots stay in the snapshot directory, which all nodes share; only the reference goes to the scheduler's place.
 */
#ifndef HOOK_H
#define HOOK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "libcr/cr_err.h"

enum { HOOK_FAILED = 1, HOOK_USAGE = 2 };

/* --- words that are no errors --- */

enum hook_words { HOOK_WORDS_NONE, HOOK_WORDS_NOTE, HOOK_WORDS_MORE };

/* For the whole process and its children: what is said. At first: notes. Context: before the first step. */
void hook_words_set(enum hook_words most);
bool hook_words_wanted(enum hook_words level);
/* A line on standard error, if it is wanted. */
__attribute__((format(printf, 2, 3))) void hook_say(enum hook_words level, const char *fmt, ...);

/* --- identity --- */

struct hook_user {
	uid_t uid;
	gid_t gid;
	char name[256], home[PATH_MAX], shell[256];
};

/* @user: name or number; @group: name, number, or NULL for the user's own. Return: 0; -ENOENT, -EINVAL with words. */
int hook_user_find(const char *user, const char *group, struct hook_user *ret_user, struct cr_err *err);
/* For good, with groups and environment. Does nothing to somebody who is that user already. Return: 0; -EPERM with words. */
int hook_user_become(const struct hook_user *user, struct cr_err *err);

/* --- processes --- */

struct hook_process {
	pid_t pid, parent, group, session;
	uid_t uid;
};

struct hook_processes {
	struct hook_process *all; /* given */
	size_t n;
};

int hook_processes_read(struct hook_processes *ret);
void hook_processes_free(struct hook_processes *p);
/* Is @pid the process @top, or below it? */
bool hook_process_below(const struct hook_processes *p, pid_t pid, pid_t top);
/* Does @pid belong to the job that the scheduler calls @id: a session, a process group, or a process and what is below it? */
bool hook_process_of(const struct hook_processes *p, pid_t pid, pid_t id);
/* When @pid began, in clock ticks since the machine did; 0 when it is not there. */
unsigned long long hook_process_since(pid_t pid);

/* --- the job --- */

struct hook_job {
	pid_t id;     /* as the scheduler says */
	pid_t mpirun; /* or ompi-cr-srun */
};

/* As the user. @id is not 0. Return: 0; -ESRCH (nothing of it is under protection), -EMLINK (more than one mpirun), with words. */
int hook_job_find(pid_t id, struct hook_job *ret_job, struct cr_err *err);
/* Send @sig to every process of the job, @rest: but to mpirun and what is below it. Never to ourselves and those above us. */
void hook_job_signal(const struct hook_job *job, bool rest, int sig);

/* --- the reference --- */

struct hook_reference {
	char dir[PATH_MAX];    /* global snapshot */
	long long seq;
	char cwd[PATH_MAX], output[PATH_MAX], error[PATH_MAX]; /* of mpirun; the latter two "" when they are no files */
	char previous[PATH_MAX]; /* global snapshot of the run before the one in @dir, or "" */
	pid_t restarted;         /* the process that brought the job back from here, and when it began, in clock ticks; 0: none */
	unsigned long long since;
};

/* Where it is kept: a file in a directory that belongs to root alone, or a file of the user. */
struct hook_place {
	int dir;              /* root's directory; -1: the user's */
	char path[PATH_MAX];  /* of the directory */
	char name[NAME_MAX + 1];
};

/* To be called first. @path: of the directory, or, with @name NULL, of the file or directory. Return: 0; -EINVAL with words. */
int hook_place_open(const char *path, const char *name, struct hook_place *ret_place, struct cr_err *err);
/* Write @text into the place, by a new file that is renamed; as whoever may. */
int hook_place_write(const struct hook_place *place, const struct hook_user *user, const char *text, struct cr_err *err);
/* Can it be written? Asked before a job is ended. */
int hook_place_check(const struct hook_place *place, struct cr_err *err);
/* Open the reference for reading. As root only in root's directory. Return: descriptor; -errno with words. */
int hook_place_read(const struct hook_place *place, struct cr_err *err);
int hook_place_remove(const struct hook_place *place, struct cr_err *err);

#define HOOK_TEXT_BYTES 8200
int hook_reference_make(const struct hook_reference *r, char *ret_text, size_t room);
int hook_reference_load(int fd, struct hook_reference *ret, struct cr_err *err);

/* --- the steps --- */

enum hook_after { HOOK_GO_ON, HOOK_END, HOOK_STOP };

/**
 * hook_save - checkpoint the job and leave the reference
 * @chain: the place is this job's alone, in every run of it: the snapshots of the last two runs are kept, older ones removed
 * @after: what becomes of the job, after success only. HOOK_END: the whole job is ended, its batch shell too, and no more of the script is run
 *
 * Return: 0; -errno with words, and the job runs as before.
 */
int hook_save(const struct hook_user *user, const struct hook_place *place, bool chain, pid_t id, enum hook_after after, struct cr_err *err);
/* Become the mpirun that brings the job back. @note: leave our process id in the reference. Return: only -errno with words. */
int hook_restart(const struct hook_user *user, const struct hook_place *place, bool note, struct cr_err *err);
/* The process that hook_restart() noted in the reference, if it still runs; else 0. Becomes the user. */
pid_t hook_restarted(const struct hook_user *user, const struct hook_place *place);
/* The job is over: remove the reference and the snapshots that it names. */
int hook_clean(const struct hook_user *user, const struct hook_place *place, struct cr_err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Several processes in one checkpoint: the agent that is asked leads, the agents of the others are its members.
 *
 * The leader drives the members through the same phases that a coordinator drives a single process through, and answers its own coordinator when all
 * have come to the end of a phase. Context: agent thread, unless said otherwise.
 */
#ifndef CR_TREE_H
#define CR_TREE_H

#include "cr_proto.h"
#include "libcr/image/tree_payload.h"
#include "libcr/lower/lower.h"
#include "libcr/lower/restore.h"

/* --- tree_find.c --- */

struct cr_proc {
	int pid, ppid, pgid, sid;
	char state;
	char name[16];
	int foreground; /* process group of the controlling terminal; -1 or 0: none */
	int exit_signal;
	bool left_out; /* cr_traced_mark */
};

/* One process; false: there is none. Any thread. */
bool cr_proc_get(int pid, struct cr_proc *ret);
/* Has it begun, or executed, under cr_run a moment ago, so that its agent comes soon? */
bool cr_proc_is_starting(int pid);
/* The processes that @m names, @self's own among them; without @skip and the writers of context files. Parents before children. *ret is malloc'ed. */
int cr_procs_find(const struct cr_msg_begin *m, int skip, struct cr_proc **ret, unsigned int *ret_n, struct cr_err *err);
/* Would CR_BEGIN_FAMILY find anybody besides this process: a parent of the same rank, a child, also one that has ended? A few system calls. */
bool cr_procs_family(void);
/* Children of this process that have ended, and those that are left out. *ret is malloc'ed. */
int cr_procs_ended(struct cr_proc **ret, unsigned int *ret_n);
/* Does @pid map bytes [@offset, @offset + @bytes) of the object? @bytes 0: any part of it. */
bool cr_proc_maps(int pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino, uint64_t offset, uint64_t bytes);
/* Has @pid a descriptor of the file? */
bool cr_proc_holds(int pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino);

/* --- traced.c --- */

/* Of the @n processes of a set: marks those that the CR_BEGIN_*_SKIP in @flags leave out. 0; -CR_EPTRACED or -CR_EPTRACER as _ERROR says; -CR_EOMITTED: this process is. */
int cr_traced_mark(uint32_t flags, struct cr_proc *procs, unsigned int n, struct cr_err *err);

/* --- tree_member.c: a member's part --- */

/* What to tell the leader; *ret_ended is malloc'ed. The set is known. 0 or -errno with the reason why it cannot be a part. */
int cr_member_describe(struct cr_msg_given *ret, struct cr_msg_ended **ret_ended, struct cr_err *err);
/* Who is saved together: nothing is looked at. 0 or -ENOMEM. */
int cr_member_know(const struct cr_msg_give *give, const int32_t *pids);
int cr_member_set(const struct cr_msg_give *give, const int32_t *pids, struct cr_err *err);
int cr_member_share(const struct cr_msg_share *share, uint32_t n);
void cr_member_clear(void);
/* The program's descriptors; *ret is malloc'ed. Any thread. */
int cr_member_fds(int **ret, uint32_t *ret_n);
/* The answer to GIVE over @fd, with the descriptors. */
int cr_member_give(int fd, uint32_t checkpoint, struct cr_err *err);
/* At process start: memory asks about the set. */
void cr_member_hooks(void);

/* --- tree_lead.c --- */

/* BEGIN came for several processes: cr_agent_tree_ready() will be called, also when there is no other one yet. 0 or -errno. */
int cr_lead_begin(const struct cr_msg_begin *m, int skip, struct cr_err *err);
bool cr_lead_active(void);
int cr_lead_fd(void);      /* readable when a member said something; -1 none */
void cr_lead_events(void); /* take what they said; calls cr_lead_failed() or cr_agent_tree_ready() */
void cr_lead_tick(void);   /* now and then */
void cr_lead_freeze(void); /* members: stop; then cr_agent_tree_frozen() */
/* All are frozen: who shares what. */
int cr_lead_gather(struct cr_err *err);
int cr_lead_dump(const struct cr_msg_dump *m, struct cr_err *err); /* then cr_agent_tree_snapped(), cr_agent_tree_dumped() */
void cr_lead_self_dumped(void);
void cr_lead_self_snapped(void);
void cr_lead_forget(void);   /* in a forked child */
int cr_lead_result_fd(void);
void cr_lead_result(void);
void cr_lead_signal(int signo); /* to all members but this process */
void cr_lead_resume(void);   /* also the undo; the file is finished unless cr_lead_abandon() comes */
void cr_lead_abandon(void);
void cr_lead_exit(const struct cr_msg_exit *m);
/* Where the leader's own part goes. */
const char *cr_lead_self_path(void);

/* --- tree_gather.c, on a thread with a descriptor table of its own --- */

struct cr_lead_member {
	struct cr_proc proc;
	int fd;         /* connection; -1 none; this process itself: -1 */
	int stage;
	bool self;
	struct cr_msg_given given;
	struct cr_msg_ended *ended;
	char path[CR_PATH_BYTES];
};

struct cr_gathered {
	int shared_fd;   /* file with what is shared: part 0 */
	uint32_t n_shared;
	struct cr_tree_payload *tree; /* malloc'ed */
	size_t tree_bytes;
};

/* @pids: @n members, and after them @n_left who are left out. */
int cr_gather(struct cr_lead_member *members, unsigned int n, const int32_t *pids, unsigned int n_left, int skip, uint32_t checkpoint, struct cr_gathered *ret, struct cr_err *err);

/* --- tree_check.c --- */

/* The payload of CHECKED, malloc'ed; @flags: CR_BEGIN_*. 0; -EAGAIN: they came and went; or another negative errno. */
int cr_lead_check(uint32_t flags, int skip, char **ret, size_t *ret_bytes, struct cr_err *err);

/* --- tree_merge.c --- */

/* A thread that puts the parts into @path; its struct cr_dump_result comes through the descriptor that is returned. */
int cr_merge_start(const char *path, const struct cr_lead_member *members, unsigned int n, struct cr_gathered *gathered, bool sync, struct cr_err *err);

/* --- tree_restore.c: cr_restart --- */

bool cr_tree_is(const struct cr_image *img);
int cr_tree_check(struct cr_image *img, struct cr_err *err);
/* Its table of processes makes sense: then cr_image_part() has them. */
int cr_tree_load(struct cr_image *img, struct cr_err *err);
/* Becomes the processes of the file in children; returns their root's exit status as cr_restart's own, or -errno. The signal of @how is sent to each. */
int cr_tree_run(struct cr_image *img, const struct cr_restore_how *how, struct cr_err *err);
/* In a process of the tree, right before its threads go on: all have come so far. */
int cr_tree_wait_all(struct cr_err *err);
/* A process that was alone is connected to the coordinator; one of a tree when it was. */
bool cr_tree_coordinated(void);
/* The parent as the program knows it now, when this is one of a tree. */
void cr_tree_parent(int32_t *program_ppid);
/* In a process that is about to go on: what only the restart needed. */
void cr_tree_done(void);
/* cr_run, executed by a process of a restarted tree: its table of ids. */
void cr_tree_attach(int fd);
/* This process has taken its descriptors from what is shared. */
void cr_tree_shared_close(void);
/* Of what the processes share: the file without a name, or memfd, that is a process's memory. Borrowed, until cr_tree_shared_close(); or a negative errno. */
int cr_tree_object_fd(uint32_t dev_major, uint32_t dev_minor, uint64_t ino);
/* It cannot go on: all others end too. */
void cr_tree_failed(const struct cr_err *err);

#endif

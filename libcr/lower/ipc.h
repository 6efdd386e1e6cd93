/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V message queues and semaphores.
 *
 * They belong to no process, and the kernel tells only who used one last. So the protected processes that descend from one cr_run or cr_restart keep a
 * table in memory that they share, also over fork and exec: who got or used which object, and what each has to undo (SEM_UNDO).
 */
#ifndef CR_IPC_H
#define CR_IPC_H

#include <stdbool.h>
#include <stdint.h>

#include "libcr/cr_err.h"

enum cr_ipc_kind { CR_IPC_NONE = 0, CR_IPC_QUEUE = 1, CR_IPC_SEMAPHORES = 2 };

#define CR_IPC_USES 2048
#define CR_IPC_UNDOS 4096

/* @pid, as the kernel numbers it, has got or used the object. */
struct cr_ipc_use {
	volatile uint32_t kind; /* enum cr_ipc_kind; CR_IPC_WRITING: not for readers yet */
	int32_t id, pid;
	uint32_t reserved;
	uint64_t time_ns; /* CLOCK_BOOTTIME: a process that began later is another one with the same number */
};
#define CR_IPC_WRITING 0xffffffffu

struct cr_ipc_undo {
	volatile uint32_t used; /* 1; CR_IPC_WRITING */
	int32_t id, number, pid;
	volatile int32_t value; /* what the end of @pid adds */
	uint32_t reserved;
	uint64_t time_ns;
};

struct cr_ipc_table {
	volatile uint32_t lost; /* something did not fit: nobody can be saved who uses such objects */
	uint32_t reserved;
	struct cr_ipc_use uses[CR_IPC_USES];
	struct cr_ipc_undo undos[CR_IPC_UNDOS];
};

/* --- ipc_sig.c: any thread, either %fs; @t may be NULL --- */

/* At the start of a process, by fork or execve: CLOCK_BOOTTIME, 0: now. */
void cr_ipc_process_began(uint64_t at_ns);

void cr_ipc_note_use(struct cr_ipc_table *t, enum cr_ipc_kind kind, int id);
/* Adds @value to what this process's end adds to the semaphore. */
void cr_ipc_note_undo(struct cr_ipc_table *t, int id, int number, int value);
/* The semaphore's value was set, by anybody: nobody undoes anything any more. @number -1: all of the set. */
void cr_ipc_note_set(struct cr_ipc_table *t, int id, int number);

/* --- ipc_find.c --- */

/* The table of this process; NULL: there is none. */
extern struct cr_ipc_table *cr_ipc_table;

/* One that exists, whoever it belongs to. */
struct cr_ipc_object {
	enum cr_ipc_kind kind;
	int key, id;
	unsigned int mode, uid, gid, cuid, cgid;
	unsigned long n;        /* semaphores, or messages */
	unsigned long bytes;    /* of all messages */
	int sender, receiver;   /* of a queue, the last ones */
	int64_t used_s;         /* when one was used last; 0: never */
};
/* Calls @fn for each until that returns another number than 0, which is returned; or a negative errno. */
int cr_ipc_each(enum cr_ipc_kind kind, int (*fn)(void *arg, const struct cr_ipc_object *o), void *arg);
bool cr_ipc_get(enum cr_ipc_kind kind, int id, struct cr_ipc_object *ret);

/* What it is to the process, or to the set that it is saved with. */
struct cr_ipc_verdict {
	bool ours;
	int outside; /* somebody else who uses it, 0: nobody; -1: somebody in another PID namespace */
	char name[16]; /* of that one */
};
void cr_ipc_judge(const struct cr_ipc_object *o, struct cr_ipc_verdict *ret);
/* "System V message queue 12 (key 0x1)" */
void cr_ipc_words(const struct cr_ipc_object *o, char *ret, size_t bytes);
/* Does @pid run, and has it since clock tick @start? @start 0: whenever. */
bool cr_ipc_runs(int pid, uint64_t start);
uint64_t cr_ipc_start_of(int pid);
/* The same as CLOCK_BOOTTIME has it. */
uint64_t cr_ipc_start_ns(uint64_t start);

/* --- ipc_save.c; everything that may use them stands still --- */

struct cr_image_writer;
/* The objects of this process, or of the set: once. */
int cr_ipc_save(struct cr_image_writer *w, struct cr_err *err);
/* What this process has to do with semaphores. */
int cr_ipc_save_process(struct cr_image_writer *w, struct cr_err *err);

/* --- ipc_restore.c --- */

struct cr_image;
/* Nothing changed yet: can each be made, or taken again? */
int cr_ipc_restore_check(const struct cr_image *img, struct cr_err *err);
/* The steps of a restart; each is done by all processes before the next begins. The objects, by one of the processes ... */
int cr_ipc_restore(const struct cr_image *img, struct cr_err *err);
/* ... what this process undoes ... */
int cr_ipc_restore_undo(const struct cr_image *img, struct cr_err *err);
/* ... and which semaphores it used last. */
int cr_ipc_restore_last(const struct cr_image *img, struct cr_err *err);

/* --- ipc_table.c --- */

/* @fd: of the table that the process before execve had; -1: a new one. Its descriptor is cr_lower.ipc_fd. 0 or a negative errno. */
int cr_ipc_table_open(int fd, struct cr_err *err);

#endif

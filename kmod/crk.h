/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of crmod share.
 *
 * Locks, outer first:
 *   crk_file.lock  mutex, taken interruptibly: one ioctl of a requester at a time. Only its holder adds processes and tasks to the request, so the holder
 *		    may walk these lists without crk_lock.
 *   crk_lock	    spinlock, bottom halves off: the state of every request, process and task, and the lists of clients and marks. Nothing sleeps under it.
 *
 * A request is referenced by its file, by every task_work that is queued and by every task that waits inside. A queued task_work also holds the module.
 */
#ifndef CRK_H
#define CRK_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/timer.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "cr_ioctl.h"

enum crk_task_state {
	CRK_NEW,       /* found, nothing done yet */
	CRK_CALLED,    /* phase 1: its callbacks run */
	CRK_TRIGGERED, /* its task_work is queued */
	CRK_INSIDE,    /* waits in crk_stop_wait() */
	CRK_GONE,      /* exits, was killed, runs another program, or was omitted */
};

struct crk_task {
	struct list_head entry; /* crk_process.tasks */
	struct crk_process *process;
	struct task_struct *task; /* reference */
	enum crk_task_state state;
	struct callback_head work;
};

struct crk_process {
	struct list_head entry;	 /* crk_request.processes */
	struct list_head member; /* crk_members while the request lives; empty: out of it */
	struct crk_request *request;
	struct pid *pid;      /* of the thread group; reference */
	struct mm_struct *mm; /* what the requester may read; mm_count reference */
	bool omitted;
	bool gone; /* a task that was inside is dying, or it runs another program */
	struct list_head tasks;
};

struct crk_request {
	struct kref ref;
	u64 id;
	struct list_head processes;
	enum cr_ioc_state state;
	unsigned int pending;	     /* tasks CALLED or TRIGGERED */
	unsigned int tasks;	     /* on the lists */
	wait_queue_head_t requester; /* pending is 0, or DONE */
	wait_queue_head_t inside;    /* DONE, or a process is omitted */
	struct timer_list timer;
	unsigned long expires; /* jiffies */
	u64 deadline_ns;
	u64 hold_ns;
	u32 scope;
	u32 flags;
	struct pid *target; /* reference; NULL with a list */
	struct pid **pids;  /* count references; NULL without a list */
	u32 count;
	struct pid *owner; /* thread group of the requester; reference */
	int result;
	enum cr_ioc_why why;
	struct pid *who; /* reference */
	enum cr_ioc_outcome outcome;
	u32 code;
};

/* The phase-1 task of one open file. */
struct crk_client {
	struct list_head entry;	  /* crk_clients */
	struct task_struct *task; /* reference */
	u64 exec_id;		  /* another one: the task runs another program */
	wait_queue_head_t wait;
	struct crk_task *called; /* NULL, or its entry in a request that is not DONE: it owes an answer */
	u64 last_id;		 /* the request that called it last, and how that went */
	int last_result;
};

struct crk_file {
	struct mutex lock;
	struct crk_request *request;
	struct crk_client *client;
	struct list_head marks; /* struct crk_mark of nocr.c */
	unsigned int n_marks;
};

extern spinlock_t crk_lock;
extern struct list_head crk_members; /* processes of all living requests */

/* request.c: a request from REQUEST to its end */
int crk_request_create(struct file *filp, struct cr_ioc_request __user *arg);
int crk_request_wait(struct file *filp, struct cr_ioc_wait __user *arg);
int crk_request_list(struct file *filp, struct cr_ioc_list __user *arg);
int crk_request_resume(struct file *filp);
/* Ends a request once; later calls do nothing. Holds crk_lock. @who is borrowed. */
void crk_request_end(struct crk_request *req, int result, enum cr_ioc_why why, struct pid *who);
/* One pending task less. Holds crk_lock. */
void crk_request_arrived(struct crk_request *req);
void crk_request_get(struct crk_request *req);
void crk_request_put(struct crk_request *req);

/* set.c: which tasks a request names. Returns how many tasks are new, or a negative errno with *ret_why and *ret_who (a reference or NULL). */
int crk_set_scan(struct crk_request *req, enum cr_ioc_why *ret_why, struct pid **ret_who);
void crk_set_destroy(struct crk_request *req);
/* The process entry of a request; NULL. The caller holds crk_file.lock. */
struct crk_process *crk_set_find(struct crk_request *req, struct pid *pid);

/* stop.c: one task. Both with crk_lock held and dropped inside as their comments say. */
void crk_stop_trigger(struct crk_task *t);
void crk_stop_wait(struct crk_task *t);
bool crk_stop_is_gone(struct crk_task *t);

/* phase1.c */
int crk_phase1_register(struct crk_file *f);
int crk_phase1_wait(struct crk_file *f, struct cr_ioc_called __user *arg);
int crk_phase1_ready(struct crk_file *f, struct cr_ioc_ready __user *arg);
/* Calls the callbacks of a task that has registered: true. Holds crk_lock. */
bool crk_phase1_call(struct crk_task *t);
/* No client owes an answer to a request that ends. Holds crk_lock. */
void crk_phase1_forget(struct crk_request *req);
void crk_phase1_release(struct crk_file *f);

/* access.c: may the caller read a process? *ret_mm is a mm_count reference. -ESRCH: it has no memory any more. */
int crk_access_init(void);
void crk_access_exit(void);
int crk_access_get(struct task_struct *task, struct mm_struct **ret_mm);

/* pages.c */
int crk_pages_read(struct file *filp, struct cr_ioc_pages __user *arg);

/* areas.c */
int crk_areas_read(struct cr_ioc_areas __user *arg);

/* nocr.c */
int crk_nocr_set(struct crk_file *f, struct cr_ioc_nocr __user *arg);
int crk_nocr_clear(struct crk_file *f, struct cr_ioc_nocr __user *arg);
int crk_nocr_get(struct cr_ioc_nocr __user *arg);
/* Is a thread of the group marked? Returns a reference to its pid, or NULL. */
struct pid *crk_nocr_find(struct pid *tgid);
void crk_nocr_release(struct crk_file *f);

#endif

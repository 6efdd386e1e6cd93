/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcr: what a program may tell the checkpoint system about itself. Linking to it is never necessary: a program that cr_run started is
 * checkpointed without. The names and rules are those of Berkeley Lab Checkpoint/Restart; docs/blcr-migration.md lists what differs.
 *
 * In a program that cr_run did not start every call that needs the process layer fails: -1 with errno ENOSYS, or as said at the call.
 * libcr(3) is the manual.
 */
#ifndef LIBCR_H
#define LIBCR_H

#include <sys/time.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CR_RELEASE_MAJOR 0
#define CR_RELEASE_MINOR 1
#define CR_RELEASE_PATCH 0
#define CR_RELEASE_VERSION "0.1.0"
#define LIBCR_MAJOR 0
#define LIBCR_MINOR 1
#define LIBCR_PATCH 0
#define LIBCR_VERSION "0.1.0"
#define CR_CHECKPOINT_ARGS_VERSION 1

/* ---- error codes, beside those of errno.h; tools exit with the low eight bits */
#define CR_MIN_ERRCODE 2353
enum {
	CR_ETEMPFAIL = 2354,  /* a callback: not now; the program goes on */
	CR_EPERMFAIL = 2355,  /* a callback: never; the program goes on */
	CR_ENOSUPPORT = 2356, /* a process was not started by cr_run */
	CR_EVERSION = 2357,   /* library and process layer do not fit */
	CR_EOMITTED = 2358,   /* left out, as one of its callbacks asked */
	CR_EBADARCH = 2359,   /* context file of another machine */
	CR_EPTRACED = 2360,   /* a process is traced */
	CR_EPTRACER = 2361,   /* a process traces others */
	CR_ERSTRTABRT = 2362, /* restart given up */
	CR_ERESTARTED = 2363, /* the request belongs to a life before the restart */
	CR_ENOTCB = 2364,     /* only in a callback */
	CR_ENOINIT = 2365,    /* this thread has not called cr_init() */
	CR_MAX_ERRCODE
};

/* As strerror(), with the codes above. Static text. */
const char *cr_strerror(int error);

/* ---- clients and callbacks */

typedef int cr_client_id_t;
typedef int cr_callback_id_t;
/* 0: this callback is done; when it did not call cr_checkpoint(): ready. Anything else without cr_checkpoint(): permanent failure. */
typedef int (*cr_callback_t)(void *arg);

#define CR_ID_CALLBACK (-1)
#define CR_THREAD_CONTEXT 0x4000000 /* runs on libcr's own thread, before any other thread is stopped */
#define CR_SIGNAL_CONTEXT 0x2000000 /* runs on the thread that registered it, in a signal handler */
#define CR_MAX_CALLBACKS 0x1ffffff

/**
 * cr_init - make the calling thread a client
 *
 * Context: any thread, not a signal handler. Again in the same thread: the same answer. A forked child begins anew.
 * Return: client id >= 0; -1 with ENOSYS (not started by cr_run), CR_EVERSION.
 */
cr_client_id_t cr_init(void);

/**
 * cr_register_callback - have a function run at every checkpoint
 * @func: called with @arg; see cr_checkpoint()
 * @context: CR_THREAD_CONTEXT or CR_SIGNAL_CONTEXT
 *
 * Thread context: for the process; may use locks and malloc; begins when no thread is in a critical section. All of them have reached
 * cr_checkpoint() before any other thread is stopped and before any callback in signal context begins.
 * Signal context: for the calling thread, newest first; async-signal-safe functions only.
 *
 * Return: id >= 0; -1 with CR_ENOINIT, EINVAL, ENOMEM, ENOSPC (1024 threads with callbacks in signal context), EBUSY (in a callback).
 */
cr_callback_id_t cr_register_callback(cr_callback_t func, void *arg, int context);

/**
 * cr_replace_callback - another function for a registration
 * @func: NULL: none from now on
 * @context: as registered
 *
 * Return: @id; -1 with CR_ENOINIT, EINVAL (no such id, other context), EBUSY (in a callback).
 */
cr_callback_id_t cr_replace_callback(cr_callback_id_t id, cr_callback_t func, void *arg, int context);
/* The same for the callback that is running. -1 with CR_ENOTCB, EINVAL. */
cr_callback_id_t cr_replace_self(cr_callback_t func, void *arg, int context);

#define CR_CHECKPOINT_READY 0
#define CR_CHECKPOINT_TEMP_FAILURE 1
#define CR_CHECKPOINT_PERM_FAILURE 2
#define CR_CHECKPOINT_OMIT 4
#define CR_CHECKPOINT_TEMP_CODE(code) (CR_CHECKPOINT_TEMP_FAILURE | ((int)((unsigned int)(code) << 16)))
#define CR_CHECKPOINT_PERM_CODE(code) (CR_CHECKPOINT_PERM_FAILURE | ((int)((unsigned int)(code) << 16)))

/**
 * cr_checkpoint - in a callback: the checkpoint happens here
 * @flags: CR_CHECKPOINT_READY: the other callbacks, then the checkpoint; CR_CHECKPOINT_OMIT: this process is left out;
 *	TEMP_FAILURE, PERM_FAILURE, TEMP_CODE(code), PERM_CODE(code) (1 to 65535): the request fails with the code, the program goes on
 *
 * Return: 0: the checkpoint was taken and the program goes on; > 0: the program was restarted (the process id that answers for it);
 * < 0: no checkpoint: -CR_ETEMPFAIL (also for every reason that is no callback's), -CR_EPERMFAIL, -CR_EOMITTED, -code, -CR_ENOTCB.
 */
int cr_checkpoint(int flags);

struct cr_checkpoint_info {
	int signal;      /* to be sent behind the checkpoint, or 0 */
	const char *dest; /* path, or NULL when not known yet (a job's snapshot) */
	pid_t requester;
	pid_t target;
	int scope;
};
struct cr_restart_info {
	pid_t requester;
	const char *src; /* the context file */
};
/* In a callback; NULL elsewhere. The latter only when restarted. */
const struct cr_checkpoint_info *cr_get_checkpoint_info(void);
const struct cr_restart_info *cr_get_restart_info(void);

/* ---- critical sections: no callback runs and no checkpoint is taken inside */

/**
 * cr_enter_cs - begin a critical section
 *
 * Nests. The outermost one waits while a checkpoint is wanted or taken, so neither side can starve the other. In a callback with CR_ID_CALLBACK:
 * returns at once. Signal-safe.
 * Return: 0; -1 with EINVAL, CR_ENOINIT, CR_ENOTCB (CR_ID_CALLBACK outside of a callback).
 */
int cr_enter_cs(cr_client_id_t id);
/* 0 entered, > 0 it would have to wait, -1 as above. */
int cr_tryenter_cs(cr_client_id_t id);
/* When it was the outermost one, and a checkpoint without callbacks in thread context has waited for it: returns behind that checkpoint. */
int cr_leave_cs(cr_client_id_t id);

#define CR_STATE_IDLE 0
#define CR_STATE_PENDING 1 /* asked for, waits for critical sections */
#define CR_STATE_ACTIVE 2  /* callbacks and checkpoint */
int cr_status(void);

/* ---- hooks: one function of the process per event, run once per checkpoint behind all callbacks of its class */

typedef enum {
	CR_HOOK_CONT_THREAD_CONTEXT,
	CR_HOOK_CONT_SIGNAL_CONTEXT,
	CR_HOOK_CONT_NO_CALLBACKS,
	CR_HOOK_RSTRT_THREAD_CONTEXT,
	CR_HOOK_RSTRT_SIGNAL_CONTEXT,
	CR_HOOK_RSTRT_NO_CALLBACKS,
	CR_NUM_HOOKS
} cr_hook_event_t;
typedef void (*cr_hook_fn_t)(cr_hook_event_t event);
#define CR_HOOK_FN_ERROR ((cr_hook_fn_t)(-1L))
/* The function before (NULL: none), or CR_HOOK_FN_ERROR with EINVAL, CR_ENOINIT. */
cr_hook_fn_t cr_register_hook(cr_hook_event_t event, cr_hook_fn_t func);

/* ---- requests */

typedef unsigned long cr_checkpoint_handle_t;
typedef int cr_version_t;
typedef enum { CR_SCOPE_PROC, CR_SCOPE_PGRP, CR_SCOPE_SESS, CR_SCOPE_TREE } cr_scope_t;

#define CR_CHKPT_PROHIBIT_SELF 0x1 /* EDEADLK when the caller is among the processes */
#define CR_CHKPT_PTRACED_ALLOW 0x2 /* save processes that are traced, as is done anyway */
#define CR_CHKPT_PTRACED_SKIP 0x4  /* leave them out, and with CR_SCOPE_TREE what is below them */
#define CR_CHKPT_PTRACER_SKIP 0x8  /* the same for those who trace others */
#define CR_CHKPT_ASYNC_ERR 0x10    /* what the request finds wrong is told by wait and reap */
#define CR_CHKPT_DUMP_EXEC 0x200    /* store the content of the executable, */
#define CR_CHKPT_DUMP_PRIVATE 0x400 /* of other files that are mapped privately, */
#define CR_CHKPT_DUMP_SHARED 0x800  /* of files that are mapped shared: --save-... of cr_checkpoint(1) */
#define CR_CHKPT_DUMP_ALL (CR_CHKPT_DUMP_EXEC | CR_CHKPT_DUMP_PRIVATE | CR_CHKPT_DUMP_SHARED)

typedef struct {
	cr_version_t cr_version;
	cr_scope_t cr_scope;
	pid_t cr_target;      /* 0: the caller, its group, its session */
	int cr_fd;            /* where the context file goes, or -1 when @cr_file is set */
	int cr_signal;        /* sent to the target behind the checkpoint; 0: none */
	unsigned int cr_timeout; /* seconds; 0: 60 */
	unsigned int cr_flags;
	const char *cr_file;  /* path of the context file: complete or not there at all */
} cr_checkpoint_args_t;

void cr_checkpoint_args_init(cr_version_t version, cr_checkpoint_args_t *args);
#define cr_initialize_checkpoint_args_t(args) cr_checkpoint_args_init(CR_CHECKPOINT_ARGS_VERSION, (args))

#define CR_POLL_CHKPT_ERR_PRE (-1)
#define CR_POLL_CHKPT_ERR_POST (-2)
#define CR_POLL_CHKPT_ERR_LOG (-3)

/**
 * cr_request_checkpoint - ask for a checkpoint and go on
 * @ret_handle: for the calls below
 *
 * Return: 0; -1 with EINVAL, ESRCH, EPERM, EBADF, EBUSY (in a callback), EDEADLK, EMFILE, ENOSYS.
 */
int cr_request_checkpoint(cr_checkpoint_args_t *args, cr_checkpoint_handle_t *ret_handle);
/* > 0 it is finished, 0 not within @timeout (NULL: wait for ever), -1 with EINVAL, EINTR. A checkpoint in between does not prolong the wait. */
int cr_wait_checkpoint(cr_checkpoint_handle_t *handle, const struct timeval *timeout);
/* The same with an absolute deadline, CLOCK_MONOTONIC ns. */
int cr_wait_checkpoint_until(cr_checkpoint_handle_t *handle, unsigned long deadline_ns);
/* Words about a finished request: bytes needed with NUL; copies what fits. */
int cr_log_checkpoint(cr_checkpoint_handle_t *handle, unsigned int bytes, char *buf);
/* Takes the result and frees the handle: 0, or -1 with EAGAIN (not finished), ESRCH (all left out or ended), CR_E*, a callback's code, ... */
int cr_reap_checkpoint(cr_checkpoint_handle_t *handle);
/* Wait and reap: > 0 done well, 0 timeout, CR_POLL_CHKPT_ERR_*. @ret_msg: words, to be freed by the caller. */
int cr_poll_checkpoint(cr_checkpoint_handle_t *handle, const struct timeval *timeout);
int cr_poll_checkpoint_msg(cr_checkpoint_handle_t *handle, const struct timeval *timeout, char **ret_msg);

/* More processes for the running request; in a callback before its cr_checkpoint(). 0, or -CR_ENOTCB, -EINVAL, -ESRCH, -CR_ENOSUPPORT. */
int cr_forward_checkpoint(cr_scope_t scope, pid_t target);

/**
 * cr_self_checkpoint - save the calling process and wait for it
 * @file: the context file
 * @timeout_s: 0: 60
 *
 * Return: > 0: it is saved and goes on; 0: this is the restarted process; < 0: -errno, not saved.
 */
int cr_self_checkpoint(const char *file, unsigned int timeout_s);

/* Old names for the same: 0 in both cases, -1 with errno. */
int cr_request(void);
int cr_request_file(const char *file);
int cr_request_fd(int fd);

/* ---- can this be checkpointed? */

/**
 * cr_nocr_set - this process cannot be checkpointed from now on
 * @id: number chosen by the caller; names this reason for cr_nocr_clear()
 * @reason: in words; printed by a refused checkpoint and by `cr_checkpoint --check`. Copied, cut at 199 bytes
 *
 * Context: any thread, signal handlers.
 * Return: 0; -ENOSPC when 256 reasons are set already. 0 and no effect in a program that was not started by cr_run.
 */
int cr_nocr_set(unsigned long id, const char *reason);

/**
 * cr_nocr_clear - the reason has gone
 * @id: as given to cr_nocr_set()
 *
 * Return: 0, or -ENOENT.
 */
int cr_nocr_clear(unsigned long id);

/**
 * cr_nocr_set_for, cr_nocr_clear_for - the same on behalf of another process of this user
 * @pid: as the kernel knows it; was started by cr_run
 *
 * Context: any program, also one that was not started by cr_run; not in a signal handler.
 * Return: 0; -CR_ENOSUPPORT (not started by cr_run), -EPERM, -ESRCH, -ENOSPC, -ENOENT, -ETIMEDOUT.
 */
int cr_nocr_set_for(pid_t pid, unsigned long id, const char *reason);
int cr_nocr_clear_for(pid_t pid, unsigned long id);

/**
 * cr_nocr_query - could this process be checkpointed now? Nothing is stopped
 * @pid: 0: the caller
 * @buf: receives the reasons against it, one per line
 *
 * Return: number of reasons; < 0 as above.
 */
int cr_nocr_query(pid_t pid, char *buf, size_t bytes);

/** cr_protected - 1 when the program was started by cr_run, else 0 */
int cr_protected(void);

/** cr_epoch - 1 since the launch, 2 after the first restart, ...; 0 in a program that was not started by cr_run */
unsigned long cr_epoch(void);

/* ---- spin locks that may be taken in signal handlers */

typedef unsigned int cr_spinlock_t;
#define CR_SPINLOCK_INITIALIZER 0
void cr_spinlock_init(cr_spinlock_t *lock);
void cr_spinlock_lock(cr_spinlock_t *lock);
void cr_spinlock_unlock(cr_spinlock_t *lock);
int cr_spinlock_trylock(cr_spinlock_t *lock); /* 1 taken, 0 not */

/* For static references that force the library to be linked. */
extern int cr_link_me;

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lower half of one process: the one static struct of libcr, and what its files offer each other.
 *
 * Files named *_sig.c hold code that may run in a signal handler, on the program's %fs, or both: no libc, no TLS, no stack protector.
 */
#ifndef CR_LOWER_H
#define CR_LOWER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "libcr/cr_err.h"
#include "libcr/cr_gate.h"
#include "libcr/lower/cr_files.h"
#include "libcr/lower/private.h"

#define CR_SLOT_MAX 4096
#define CR_THREAD_MAX 4096

/* A thread of the program during a stop or freeze. Written by the agent (tid, sent) and by the thread itself (the rest). */
struct cr_slot {
	volatile int32_t tid;      /* as the kernel knows it; 0 = free */
	volatile uint32_t sent;    /* signals sent to it */
	volatile uint32_t acked;   /* handlers finished or parked */
	volatile uint32_t parked;
	uint64_t uc;               /* its signal frame's ucontext: all registers, mask, alternate stack */
	uint64_t fs, gs;
	uint64_t robust_head, robust_bytes;
	uint64_t clear_child_tid;
	uint64_t timer_slack_ns;
	int32_t death_signal;
	uint32_t securebits;
	char name[16];
	/* Set by the agent, cleared by the parked thread: take these signals, pending for it alone, out of its queue (pending.c). */
	volatile uint64_t take;
	struct cr_sigpending_payload *taken;
	uint32_t taken_room;
	volatile uint32_t n_taken;
};

struct cr_sigpending_payload; /* libcr/image/thread_payload.h */

enum cr_stop_mode { CR_STOP_NONE = 0, CR_STOP_CLIENT = 1, CR_STOP_FREEZE = 2, CR_STOP_CALLBACKS = 3 };

struct cr_lower {
	char *self_path;           /* cr_run or cr_restart: to be executed again by exec of descendants */
	char *cr_run_path;
	uint64_t cr_restart_dev, cr_restart_ino; /* a program may execute it: it brings a lower half of its own */
	char *upper_dir;           /* where libcr.so and libmpi.so.40 of the upper half are */
	int fd_floor;
	struct cr_stdio stdio;     /* what 0, 1, 2 were when the first cr_run of this job's process, or cr_restart, began */
	char stdio_text[400];      /* the same, for descendants: a program may have redirected them since */
	uint64_t real_ehdr;        /* AT_SYSINFO_EHDR of this process */

	/* a restarted process: what the launcher of this life has set, for what it executes (exec_env_sig.c) */
	const char **launcher_env;
	uint32_t n_launcher_env;

	/* stop and freeze */
	volatile uint32_t stop_mode; /* enum cr_stop_mode */
	volatile uint32_t release;   /* futex: parked threads wait for a change */
	volatile uint32_t event;     /* futex: a thread acked or parked */
	volatile uint32_t n_slots;
	struct cr_slot *slots;     /* [CR_SLOT_MAX] */

	/* pending signals that a dump has taken out of the queues, or that a context file holds; the thread that they are for, the first one when
	 * they are for the process, puts them back when it is let go, and clears the number */
	struct cr_sigpending_payload *requeue;
	volatile uint32_t n_requeue;
	uint32_t requeue_room;

	/* threads of the program that have entered the lower half */
	struct cr_thread_record *volatile records; /* newest first; entries are reused, never freed */

	/* pids and tids as the program sees them, after a restart */
	volatile uint32_t n_ids;
	struct cr_id {
		int32_t program, kernel;
	} *ids;
	int32_t kernel_pid, kernel_ppid;
	struct cr_tree_shared *tree; /* of a tree that was restarted; else NULL. Shared with all of its processes and their descendants */
	int tree_fd;                 /* the same memory, for programs that they execute; not close-on-exec */

	struct cr_ipc_table *ipc;  /* who uses which System V object; NULL: none */
	int ipc_fd;                /* the same memory, for programs that this one executes */

	int notify_fd;             /* eventfd: the board changed */
	int agent_tid;
	bool omits;                /* cr_run --omit: it leaves itself out of checkpoints */
	bool filter_inherited;
	bool fs_by_kernel;         /* no FSGSBASE here: %fs is read and changed by arch_prctl() */
};

/*
 * Memory of the lower halves of a restarted tree: ids of its processes and groups, and the steps of the restart.
 * An entry belongs to nobody while @kernel is 0; @program is written before.
 */
#define CR_TREE_IDS 8192
#define CR_TREE_GROUPS 1024
struct cr_tree_id {
	volatile int32_t program, kernel;
};
struct cr_tree_shared {
	volatile uint32_t failed;     /* futex */
	volatile uint32_t arrived[3]; /* futexes: processes that have come to the end of a step */
	uint32_t n[3];                /* how many that will be */
	char error[CR_ERR_TEXT_BYTES]; /* of the first that failed */
	volatile uint32_t n_ids, n_groups;
	struct cr_tree_id ids[CR_TREE_IDS];
	struct cr_tree_id groups[CR_TREE_GROUPS]; /* groups and sessions without a process of the same number */
};

struct cr_thread_record {
	struct cr_thread t;        /* first: what the gate gives out */
	struct cr_thread_record *next;
	volatile int32_t tid;      /* 0 = free */
	volatile uint32_t state;   /* futex: 0 wanted, 1 ready, 2 failed */
};

extern struct cr_lower cr_lower;
extern __thread struct cr_thread *cr_self __attribute__((tls_model("initial-exec")));

/* arch/x86_64/lower.S */
__attribute__((noreturn)) void cr_enter_program(uint64_t sp, uint64_t entry);
void cr_upcall_enter(void);
__attribute__((noreturn)) void cr_upcall_no_thread(void);
__attribute__((noreturn)) void cr_sigreturn(void *uc);
long cr_clone_thread(uint64_t flags, void *stack_top, int (*fn)(void *), void *arg);

/* window.c: gate, blob */
int cr_window_create(struct cr_err *err);       /* launch: map gate and blob, fill both */
int cr_window_fill(struct cr_err *err);         /* launch and restart: the lower half's part of the gate, the slots */
uint64_t cr_blob_symbol(const char *name);

/* exec_image.c: what execve does */
struct cr_exec {
	uint64_t phdr, entry, base, start_ip;
	uint32_t phnum;
	bool exec_stack;
};
int cr_exec_load(const char *path, struct cr_exec *ret, struct cr_err *err);
int cr_exec_stack(const struct cr_exec *x, const char *path, char **argv, char **envp, uint64_t *ret_sp, struct cr_err *err);
/* 0: to be started by cr_run (ELF with an interpreter); 1: script, interpreter and its argument returned; -errno: leave it to the kernel */
int cr_exec_probe(const char *path, char *interp, uint64_t interp_bytes, char **ret_interp_arg);

/* memory_sig.c */
long cr_emul_mmap(uint64_t addr, uint64_t len, uint64_t prot, uint64_t flags, uint64_t fd, uint64_t off);
long cr_emul_mremap(uint64_t old, uint64_t old_len, uint64_t new_len, uint64_t flags, uint64_t new_addr);
long cr_emul_brk(uint64_t addr);
long cr_emul_shmat(uint64_t id, uint64_t addr, uint64_t flags);
int cr_extra_add(uint64_t start, uint64_t end);

/* copy_sig.c: memory of the program. 0 (the string: its length) or -EFAULT; a string that does not fit is -ENAMETOOLONG. */
long cr_copy_in(void *to, const void *from, uint64_t bytes);
long cr_copy_out(void *to, const void *from, uint64_t bytes);
long cr_copy_string(char *to, const char *from, uint64_t room);

/* signal_sig.c */
long cr_emul_sigaction(int sig, const struct cr_ksigaction *act, struct cr_ksigaction *old, uint64_t set_bytes);
/* On *@mask, the one that the thread will have when it leaves the lower half. */
long cr_emul_sigprocmask(uint64_t *mask, int how, const uint64_t *set, uint64_t *old, uint64_t set_bytes);
int cr_signals_install(void);                   /* SIGSYS and CR_SIGNUM of this process */
void *cr_stop_entry(int sig, siginfo_t *si, void *uc);
void cr_forward_signal(int sig, siginfo_t *si);
void cr_signal_at_syscall(void *uc);
long cr_over_enter(void *uc);                   /* a mark, or -1: no function of the lower half lies below the handler */
void cr_over_leave(long mark);
long cr_wait_done(uint64_t *frame);
void cr_pending_put_back(int kernel_tid);       /* the calling thread's part of cr_lower.requeue */
#define CR_RESERVED_MASK ((1UL << (SIGSYS - 1)) | (1UL << (CR_SIGNUM - 1)))

/* syscall_sig.c */
void cr_sigsys(int sig, siginfo_t *si, void *uc);
long cr_site_syscall(const uint64_t *regs, uint64_t *mask);

/* ids_sig.c */
int cr_id_to_kernel(int program);
int cr_id_to_program(int kernel);
void cr_id_tree_add(int program, int kernel);
void cr_id_group_add(int program, int kernel);
/* The same for groups and sessions. */
int cr_id_group_to_kernel(int program);
int cr_id_group_to_program(int kernel);
/* A child of the program: its id when that is free, else one that the kernel never gives out. */
void cr_id_child(int kernel);
/* A child was waited for: its id may belong to another process soon. */
void cr_id_forget(int kernel);

/* exec_sig.c */
#define CR_EXEC_NATIVE 1
/* CR_EXEC_NATIVE: to be left to the kernel as it is. @mask: the signal mask of the new image; all signals are blocked. */
long cr_emul_execve(const char *path, char *const *argv, char *const *envp, uint64_t mask);

/* exec_env_sig.c */
/* Pointers of @argv from @first on, up to @room of them or the NULL that ends them. Their number or -EFAULT. */
long cr_args_read(char *const *argv, uint64_t first, const char **ret, uint64_t room);
/* Without the NULL. -EFAULT, -E2BIG. */
long cr_args_count(char *const *argv);
/* Is this "NAME=value" one that launchers set? */
bool cr_exec_env_launchers(const char *variable);
/* Pointers that cr_exec_env() needs for @envp; 0: @envp is passed as it is. -EFAULT, -E2BIG. */
long cr_exec_env_room(char *const *envp);
/* @envp with this life's variables of the launcher, ended by NULL. 0 or -EFAULT. */
long cr_exec_env(char *const *envp, const char **ret, uint64_t room);

/* patch_sig.c */
void cr_patch_text(uint64_t start, uint64_t end, int fd, int prot);

/* seccomp.c */
int cr_filter_install(int floor, bool translate_ids, int *ret_floor, bool *ret_inherited, struct cr_err *err);

/* threads.c */
int cr_threads_init(void);                      /* main thread's record */
void cr_threads_forked(void);                   /* cr_restart: this is another process now */
struct cr_thread *cr_thread_attach(void);       /* upper %fs */
void cr_thread_serve(void);                     /* agent: make lower threads for those who wait */
bool cr_tid_is_lower(int tid);
void cr_tid_lower_add(int tid);
void cr_tid_lower_del(int tid);
struct cr_thread_record *cr_record_find(int tid);
long cr_lower_fork(uint64_t child_tid, uint64_t flags, uint64_t parent_tid); /* on the upper %fs, all signals blocked */

/* thread_state.c: what the program changed of its threads since the launch; the agent has kept it. */
struct cr_thread_state_payload;
/* When the filter is installed and before the program runs: what its threads have then is not the program's doing. */
void cr_thread_state_record(void);
int cr_thread_state_check(cr_nocr_fn report, void *arg);
int cr_thread_state_put(struct cr_image_writer *w, const struct cr_slot *s, struct cr_err *err);
/* The record of thread @tid: 1 and its parts, borrowed; 0: there is none. */
int cr_thread_state_find(const struct cr_image *img, int32_t tid, struct cr_thread_state_payload *ret, const uint32_t **ret_groups);
int cr_thread_state_restore_check(const struct cr_image *img, struct cr_err *err);

/* thread_state_sig.c: to the calling thread; 0 or a negative errno, and what could not be set. */
int cr_thread_state_apply(const struct cr_thread_state_payload *p, const uint32_t *groups, const char **ret_what);

/* thunk.c */
void *cr_thunk_create(cr_upcall_fn fn, void *arg);
void cr_thunk_destroy(void *thunk);

/* nocr.c */
int cr_nocr_set_reason(uint64_t id, const char *text);
int cr_nocr_clear_reason(uint64_t id);
int cr_nocr_list(cr_nocr_fn report, void *arg);

/* freeze.c: agent only. Deadlines: absolute CLOCK_MONOTONIC ns. */
int cr_stop_client_signal(void);                /* one round: make computing threads look at the board */
void cr_stop_callbacks_signal(const struct cr_callbacks *c); /* one round: threads with callbacks in signal context that have not begun */
int cr_freeze(uint64_t deadline_ns, struct cr_err *err);
void cr_thaw(void);
uint64_t cr_now_ns(void);

/* pending.c */
struct cr_image;
struct cr_image_writer;
/* Everything is frozen. What was taken goes back when the threads are let go, also after a failure. */
int cr_pending_save(struct cr_image_writer *w, struct cr_err *err);
int cr_pending_load(const struct cr_image *img, struct cr_err *err); /* restart: for cr_pending_put_back() */

/* dump.c */
struct cr_dump {
	int fd;
	int pid;       /* of the writing child, or 0 */
	int result_fd; /* pipe from it */
	char path[1024];
	bool sync;
	uint64_t begin_ns;
};
struct cr_dump_result {
	int32_t error;
	uint32_t reserved;
	uint64_t file_bytes, pages, checksum;
	char text[CR_ERR_TEXT_BYTES];
};
/* @flags: CR_DUMP_* of cr_proto.h. Everything is frozen. On return the memory is captured (child running) or written. */
int cr_dump_start(struct cr_dump *d, const char *path, uint32_t flags, struct cr_err *err);
int cr_dump_finish(struct cr_dump *d, struct cr_dump_result *ret, struct cr_err *err); /* after result_fd became readable */
int cr_dump_put_host(struct cr_image_writer *w, struct cr_err *err);
/* While the program still runs: what takes long and is remembered, the checksums of mapped files. */
void cr_dump_prepare(void);
/* @own_child: the child that still writes an earlier dump, or 0. */
int cr_dump_check(int own_child, cr_nocr_fn report, void *arg);

/* agent.c */
/* 0: the agent runs; words in @err then say why it can be reached in fewer ways than it should (no coordinator, no socket). -errno: no agent. */
int cr_agent_start(bool connect_snapc, struct cr_err *err);
void cr_agent_wait_ready(void);
/* Is there a connection to the coordinator, when the environment names one? */
bool cr_agent_coordinated(void);
void cr_board_notify(void);

/* helper.c: on the lower %fs */
int cr_helper_start(const char *const *argv);

/* descriptors.c */
int cr_fd_raise(int fd);                        /* move a descriptor of the lower half to or above the floor, close-on-exec */

#endif

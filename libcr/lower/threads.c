/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads on both sides of the border.
 *
 * A thread of the program that enters the lower half borrows the TLS of a parked lower-half thread made for it; the first thread
 * borrows the TLS of the launcher's main thread. The agent makes the parked threads, because only a thread that runs on a
 * lower %fs may call pthread_create. Every thread that the lower half makes (the agent, Open MPI's progress threads) is listed, so
 * that a freeze knows which threads belong to the program, and runs with all signals blocked.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/ipc.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcr/arch/x86_64/fs.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/cr_crossing.h"
#include "libcr/cr_remote.h"
#include "libcr/lower/set.h"

__thread struct cr_thread *cr_self __attribute__((tls_model("initial-exec")));

#define LOWER_TIDS_MAX 4096
static volatile int lower_tids[LOWER_TIDS_MAX];
static volatile int wanted; /* somebody waits for a record */

static int real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (!next)
		next = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))(uintptr_t)dlsym(RTLD_NEXT, "pthread_create");
	return next(t, attr, fn, arg);
}

void cr_tid_lower_add(int tid)
{
	for (int i = 0; i < LOWER_TIDS_MAX; i++) {
		int expect = 0;

		if (lower_tids[i] == 0 && __atomic_compare_exchange_n(&lower_tids[i], &expect, tid, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			return;
	}
}

void cr_tid_lower_del(int tid)
{
	for (int i = 0; i < LOWER_TIDS_MAX; i++)
		if (lower_tids[i] == tid)
			lower_tids[i] = 0;
}

bool cr_tid_is_lower(int tid)
{
	for (int i = 0; i < LOWER_TIDS_MAX; i++)
		if (lower_tids[i] == tid)
			return true;
	return false;
}

struct start {
	void *(*fn)(void *);
	void *arg;
	volatile int listed;
};

static void thread_gone(void *arg)
{
	(void)arg;
	cr_tid_lower_del((int)cr_sys0(SYS_gettid));
}

static void *thread_start(void *p)
{
	struct start *s = p;
	void *(*fn)(void *) = s->fn, *arg = s->arg;
	void *ret;

	cr_tid_lower_add((int)cr_sys0(SYS_gettid));
	__atomic_store_n(&s->listed, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &s->listed, FUTEX_WAKE_PRIVATE, 1);
	pthread_cleanup_push(thread_gone, NULL);
	ret = fn(arg);
	pthread_cleanup_pop(1);
	return ret;
}

/* Interposed for every library of the lower half (the launcher comes first in the symbol search): see the file's head. */
__attribute__((visibility("default"))) int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	struct start s = { fn, arg, 0 };
	uint64_t all = ~0UL, old;
	int rc;

	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	rc = real_pthread_create(t, attr, thread_start, &s);
	/* Return only when it is listed: a freeze must never take it for a thread of the program. */
	while (rc == 0 && !s.listed)
		cr_sys4(SYS_futex, &s.listed, FUTEX_WAIT_PRIVATE, 0, 0);
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0, 8);
	return rc;
}

struct cr_thread_record *cr_record_find(int tid)
{
	for (struct cr_thread_record *r = cr_lower.records; r; r = r->next)
		if (r->tid == tid && r->state == 1)
			return r;
	return NULL;
}

static bool tid_alive(int tid)
{
	return cr_sys3(SYS_tgkill, cr_sys0(SYS_getpid), tid, 0) == 0;
}

int cr_threads_init(void)
{
	struct cr_thread_record *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->t.lower_fs = cr_fs_self();
	r->t.fs_by_kernel = cr_lower.fs_by_kernel;
	r->tid = getpid();
	r->state = 1;
	cr_self = &r->t;
	cr_lower.records = r;
	return 0;
}

static void *parked(void *arg)
{
	struct cr_thread_record *r = arg;
	static volatile int forever;

	cr_self = &r->t;
	r->t.lower_fs = cr_fs_self();
	__atomic_store_n(&r->state, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &r->state, FUTEX_WAKE_PRIVATE, 1);
	for (;;)
		cr_sys4(SYS_futex, &forever, FUTEX_WAIT_PRIVATE, 0, 0);
	return NULL;
}

/* Agent thread. Makes what attach has asked for; a record whose thread of the program has ended is taken over first. */
void cr_thread_serve(void)
{
	pthread_attr_t attr;
	pthread_t t;

	if (!__atomic_exchange_n(&wanted, 0, __ATOMIC_SEQ_CST))
		return;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (struct cr_thread_record *r = cr_lower.records; r; r = r->next)
		if (r->state == 0 && pthread_create(&t, &attr, parked, r)) {
			r->state = 2;
			cr_sys3(SYS_futex, &r->state, FUTEX_WAKE_PRIVATE, 1);
		}
	pthread_attr_destroy(&attr);
}

/*
 * Upper %fs, thread context. No lower libc here: memory by mmap, the list is pushed with one compare-and-swap.
 * All signals are blocked: the wait runs at a lower-half address below no mark.
 */
struct cr_thread *cr_thread_attach(void)
{
	int tid = (int)cr_sys0(SYS_gettid);
	struct cr_thread_record *r = cr_record_find(tid);
	uint64_t all = ~0UL, old;

	if (r) {
		r->t.upper_fs = cr_fs_self();
		return &r->t;
	}
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	for (r = cr_lower.records; r; r = r->next) {
		int dead = r->tid;

		if (r->state == 1 && dead != (int)cr_sys0(SYS_getpid) && !tid_alive(dead) &&
		    __atomic_compare_exchange_n(&r->tid, &dead, tid, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
			r->t.depth = 0;
			break;
		}
	}
	if (!r) {
		long m = cr_sys6(SYS_mmap, 0, CR_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);

		if (m < 0)
			goto out;
		r = (struct cr_thread_record *)m;
		r->t.fs_by_kernel = cr_lower.fs_by_kernel;
		r->tid = tid;
		do
			r->next = cr_lower.records;
		while (!__atomic_compare_exchange_n(&cr_lower.records, &r->next, r, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
		__atomic_store_n(&wanted, 1, __ATOMIC_SEQ_CST);
		cr_board_notify();
		while (r->state == 0)
			cr_sys4(SYS_futex, &r->state, FUTEX_WAIT_PRIVATE, 0, 0);
		if (r->state == 2)
			r = NULL;
	}
	if (r)
		r->t.upper_fs = cr_fs_self();
out:
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0, 8);
	return r ? &r->t : NULL;
}

/* After a fork of cr_restart, whose one thread the program's first becomes. */
void cr_threads_forked(void)
{
	for (int i = 0; i < LOWER_TIDS_MAX; i++)
		lower_tids[i] = 0;
	cr_lower.records->tid = (int)cr_sys0(SYS_gettid);
	cr_ipc_process_began(0);
}

static void child_after_fork(void)
{
	struct cr_thread_record *mine = NULL, *r;
	int tid = (int)cr_sys0(SYS_gettid);

	for (r = cr_lower.records; r; r = r->next)
		if (&r->t == cr_self)
			mine = r;
	for (int i = 0; i < LOWER_TIDS_MAX; i++)
		lower_tids[i] = 0;
	cr_lower.records = mine;
	if (mine) {
		mine->next = NULL;
		mine->tid = tid;
	}
	cr_ipc_process_began(0);
	cr_set = (struct cr_set){ .active = false }; /* what its parent was saved with */
	cr_lower.n_slots = 0;
	cr_lower.stop_mode = CR_STOP_NONE;
	cr_lower.n_ids = 0;
	/* In a restarted process the child is a new process: its id is what the kernel says, unless another one of its family has that. */
	CR_PRIVATE->program_ppid = CR_PRIVATE->program_pid;
	cr_id_child(tid);
	CR_PRIVATE->program_pid = cr_id_to_program(tid);
	cr_lower.kernel_ppid = cr_lower.kernel_pid;
	cr_lower.kernel_pid = tid;
	if (CR_GATE->board)
		CR_GATE->board = NULL; /* MPI stays with the parent */
	CR_GATE->callbacks = NULL; /* and so do callbacks */
	CR_GATE->kernel_pid = tid;
	cr_remote_forget();
	cr_agent_start(false, NULL);
}

/*
 * fork() of the program, by the lower half's own fork() so that both libcs are whole in the child. All signals are blocked.
 * @child_tid, @parent_tid: where the program's libc wants the new id.
 */
long cr_lower_fork(uint64_t child_tid, uint64_t flags, uint64_t parent_tid)
{
	struct cr_thread *t = cr_thread_attach();
	long pid;
	int tid;

	if (!t)
		return -EAGAIN;
	cr_cross_enter(t);
	pid = fork();
	if (pid < 0)
		pid = -errno;
	else if (pid == 0)
		child_after_fork();
	else
		cr_id_child((int)pid);
	cr_cross_leave(t);
	if (pid == 0) {
		tid = CR_PRIVATE->program_pid;
		if (flags & 0x01000000 /* CLONE_CHILD_SETTID */)
			cr_copy_out((void *)child_tid, &tid, sizeof(tid));
		cr_sys1(SYS_set_tid_address, flags & 0x00200000 /* CLONE_CHILD_CLEARTID */ ? child_tid : 0);
	} else if (pid > 0 && (flags & 0x00100000 /* CLONE_PARENT_SETTID */)) {
		tid = cr_id_to_program((int)pid);
		cr_copy_out((void *)parent_tid, &tid, sizeof(tid));
	}
	return pid > 0 ? cr_id_to_program((int)pid) : pid;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's callbacks: registered here, run as a stack, one inside the other, with the checkpoint at its bottom.
 *
 * Those in thread context run on a thread of the program that is made at the first registration and saved and restarted like any other. Those in
 * signal context run in the handler of CR_SIGNUM, with the program's %fs, on the thread that registered them.
 */
#include "libcr/upper/upper.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define NAME_BYTES 160

struct cr_callback {
	struct cr_callback *older;
	cr_callback_t func; /* NULL: disabled */
	void *arg;
	int id;
	int context;
	struct cr_client *owner; /* of one in signal context; NULL when its thread has ended */
	char name[NAME_BYTES];
	struct cr_callback *all; /* list of all registrations */
};

/* One frame per callback that is on the stack. */
struct cr_run {
	struct cr_run *outer;
	struct cr_callback *callback;
	struct cr_callback_place *place;
	uint32_t attempt;
	uint64_t epoch;
	bool called;   /* cr_checkpoint() */
	int *result;   /* shared by the stack: 0, > 0 restarted, < 0 -code */
	bool *over;    /* shared: the bottom was reached, or somebody refused */
};

static cr_spinlock_t lock; /* of the lists, and of func and arg of callbacks in thread context */
static struct cr_callback *all, *newest_thread;
static int n_callbacks;
static bool thread_made;
static cr_hook_fn_t hooks[CR_NUM_HOOKS];
static volatile uint32_t open_stacks[2]; /* in signal context: with callbacks, without */
static struct cr_checkpoint_info checkpoint_info;
static struct cr_restart_info restart_info;

struct cr_run *cr_client_run(void)
{
	return cr_gate_present() && CR_GATE->callbacks == &cr_callbacks ? cr_client_tls.run : NULL;
}

void cr_callbacks_reset(void)
{
	cr_spinlock_init(&lock);
	all = newest_thread = NULL; /* a forked child: what its parent registered is not its own */
	n_callbacks = 0;
	thread_made = false;
	memset(hooks, 0, sizeof(hooks));
	memset((void *)open_stacks, 0, sizeof(open_stacks));
	memset(&cr_callbacks, 0, sizeof(cr_callbacks));
}

static void name_set(struct cr_callback *c)
{
	Dl_info info = { 0 };
	const char *file;

	if (!dladdr((void *)(uintptr_t)c->func, &info) || !info.dli_fname) {
		snprintf(c->name, sizeof(c->name), "callback %d at %p", c->id, (void *)(uintptr_t)c->func);
		return;
	}
	file = strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1 : info.dli_fname;
	if (info.dli_sname && info.dli_saddr == (void *)(uintptr_t)c->func)
		snprintf(c->name, sizeof(c->name), "callback %d, %.60s of %.60s", c->id, info.dli_sname, file);
	else
		snprintf(c->name, sizeof(c->name), "callback %d at %.60s+%#lx", c->id, file, (unsigned long)((uintptr_t)c->func - (uintptr_t)info.dli_fbase));
}

static void place_say(struct cr_callback_place *p, uint32_t state)
{
	__atomic_store_n(&p->state, state, __ATOMIC_SEQ_CST);
	CR_GATE->board_notify();
}

/* Everything that the agent ends with the order RUN ends here; so does the life before a restart. */
static void run_wait(struct cr_run *r)
{
	for (;;) {
		uint32_t order = __atomic_load_n(&cr_callbacks.order, __ATOMIC_SEQ_CST);

		if (CR_GATE->epoch != r->epoch) {
			*r->result = CR_GATE->kernel_pid;
			break;
		}
		if (order == CR_CALLBACK_RUN || cr_callbacks.attempt != r->attempt) {
			*r->result = cr_callbacks.attempt == r->attempt ? -cr_callbacks.outcome : -CR_ETEMPFAIL;
			break;
		}
		cr_futex_wait(&cr_callbacks.order, order);
	}
	*r->over = true;
	place_say(r->place, CR_PLACE_CONTINUING);
}

static void run_refuse(struct cr_run *r, int flags)
{
	if (!__atomic_exchange_n(&cr_callbacks.refused_lock, 1, __ATOMIC_SEQ_CST)) {
		cr_callbacks.refused_flags = flags;
		cr_callbacks.refused_by = r->callback->name;
	}
	place_say(r->place, CR_PLACE_REFUSED);
	run_wait(r);
}

/* The rest of the stack: @c and what is older, then the checkpoint. */
static void run_rest(struct cr_run *outer, struct cr_callback *c)
{
	struct cr_run r = *outer;
	cr_callback_t func = NULL;
	void *arg = NULL;
	int rc;

	for (; c; c = c->older) {
		if (c->context == CR_THREAD_CONTEXT)
			cr_spinlock_lock(&lock);
		func = c->func;
		arg = c->arg;
		if (c->context == CR_THREAD_CONTEXT)
			cr_spinlock_unlock(&lock);
		if (func)
			break;
	}
	if (!func) {
		place_say(r.place, CR_PLACE_AT_CHECKPOINT);
		run_wait(outer);
		return;
	}
	r.outer = cr_client_tls.run;
	r.callback = c;
	r.called = false;
	cr_client_tls.run = &r;
	r.place->running = c->name;
	rc = func(arg);
	if (!r.called && !*r.over) {
		r.called = true;
		if (rc)
			run_refuse(&r, CR_CHECKPOINT_PERM_FAILURE);
		else
			run_rest(&r, c->older);
	}
	cr_client_tls.run = r.outer;
	r.place->running = r.outer ? r.outer->callback->name : NULL;
}

/* All callbacks of one place. */
static void run_stack(struct cr_callback_place *p, struct cr_callback *newest)
{
	bool over = false, signals = p != &cr_callbacks.places[0], restarted;
	int result = 0;
	struct cr_run bottom = {
		.place = p, .attempt = cr_callbacks.attempt, .epoch = CR_GATE->epoch, .result = &result, .over = &over,
	};
	uint32_t which = signals && !p->n;
	bool last = true;
	cr_hook_fn_t hook;
	int event;

	if (signals)
		__atomic_fetch_add(&open_stacks[which], 1, __ATOMIC_SEQ_CST);
	p->state = CR_PLACE_RUNNING;
	__atomic_store_n(&p->served, bottom.attempt, __ATOMIC_SEQ_CST);
	run_rest(&bottom, newest);
	if (signals)
		last = __atomic_sub_fetch(&open_stacks[which], 1, __ATOMIC_SEQ_CST) == 0;
	restarted = result > 0;
	event = restarted ? CR_HOOK_RSTRT_THREAD_CONTEXT : CR_HOOK_CONT_THREAD_CONTEXT;
	event += !signals ? 0 : which ? 2 : 1;
	hook = hooks[event];
	if (hook && last && result >= 0)
		hook((cr_hook_event_t)event);
	p->running = NULL;
	place_say(p, CR_PLACE_DONE);
}

void cr_callback_client(void)
{
	struct cr_client *me = &cr_client_tls;
	struct cr_callback_place *p = me->place;
	int saved = errno;

	if (!cr_client() || !p || me->busy || cr_callbacks.order != CR_CALLBACK_SIGNALS || p->served == cr_callbacks.attempt) {
		errno = saved;
		return;
	}
	run_stack(p, me->newest);
	errno = saved;
}

static void *callback_thread(void *arg)
{
	struct cr_callback_place *p = &cr_callbacks.places[0];

	(void)arg;
	prctl(PR_SET_NAME, "cr-callbacks");
	cr_init();
	cr_client_tls.place = p;
	__atomic_store_n(&p->tid, (int32_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t order = __atomic_load_n(&cr_callbacks.order, __ATOMIC_SEQ_CST);

		if (order == CR_CALLBACK_THREADS && p->served != cr_callbacks.attempt)
			run_stack(p, newest_thread);
		else
			cr_futex_wait(&cr_callbacks.order, order);
	}
	return NULL;
}

/* All signals blocked, so that the program's handlers never run there. Under @lock. */
static int thread_make(void)
{
	sigset_t full, old;
	pthread_attr_t attr;
	pthread_t t;
	int rc;

	if (thread_made)
		return 0;
	sigfillset(&full);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &full, &old);
	rc = pthread_create(&t, &attr, callback_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	thread_made = rc == 0;
	/* From its first registration on it is waited for: the agent must be able to see it. */
	while (!rc && !cr_callbacks.places[0].tid)
		sched_yield();
	return rc;
}

EXPORT cr_callback_id_t cr_register_callback(cr_callback_t func, void *arg, int context)
{
	struct cr_client *me = cr_client();
	struct cr_callback *c;
	int rc = 0;

	if (!me)
		return -1;
	if (me->run)
		return cr_fail(EBUSY);
	if (!func || (context != CR_THREAD_CONTEXT && context != CR_SIGNAL_CONTEXT))
		return cr_fail(EINVAL);
	if (context == CR_SIGNAL_CONTEXT && cr_client_place(me))
		return -1;
	c = calloc(1, sizeof(*c));
	if (!c)
		return cr_fail(ENOMEM);
	c->func = func;
	c->arg = arg;
	c->context = context;
	me->busy = 1; /* our own callbacks must not come upon the lock */
	cr_spinlock_lock(&lock);
	if (n_callbacks == CR_MAX_CALLBACKS)
		rc = ENOSPC;
	else if (context == CR_THREAD_CONTEXT)
		rc = thread_make();
	if (rc) {
		cr_spinlock_unlock(&lock);
		me->busy = 0;
		free(c);
		return cr_fail(rc);
	}
	c->id = n_callbacks++;
	name_set(c);
	c->all = all;
	all = c;
	if (context == CR_THREAD_CONTEXT) {
		c->older = newest_thread;
		__atomic_store_n(&newest_thread, c, __ATOMIC_SEQ_CST);
		__atomic_fetch_add(&cr_callbacks.places[0].n, 1, __ATOMIC_SEQ_CST);
	} else {
		c->owner = me;
		c->older = me->newest;
		me->newest = c;
		me->place->n++;
	}
	cr_spinlock_unlock(&lock);
	me->busy = 0;
	return c->id;
}

static void callback_change(struct cr_callback *c, struct cr_client *me, cr_callback_t func, void *arg)
{
	me->busy = 1;
	cr_spinlock_lock(&lock);
	c->func = func;
	c->arg = arg;
	if (func)
		name_set(c);
	cr_spinlock_unlock(&lock);
	me->busy = 0;
}

EXPORT cr_callback_id_t cr_replace_callback(cr_callback_id_t id, cr_callback_t func, void *arg, int context)
{
	struct cr_client *me = cr_client();
	struct cr_callback *c;

	if (!me)
		return -1;
	if (me->run)
		return cr_fail(EBUSY);
	me->busy = 1;
	cr_spinlock_lock(&lock);
	for (c = all; c && c->id != id; c = c->all)
		;
	cr_spinlock_unlock(&lock);
	me->busy = 0;
	if (!c || c->context != context || (context == CR_SIGNAL_CONTEXT && c->owner != me))
		return cr_fail(EINVAL);
	callback_change(c, me, func, arg);
	return id;
}

EXPORT cr_callback_id_t cr_replace_self(cr_callback_t func, void *arg, int context)
{
	struct cr_run *r = cr_client_run();

	if (!r)
		return cr_fail(cr_gate_present() ? CR_ENOTCB : ENOSYS);
	if (r->callback->context != context)
		return cr_fail(EINVAL);
	callback_change(r->callback, &cr_client_tls, func, arg);
	return r->callback->id;
}

EXPORT int cr_checkpoint(int flags)
{
	struct cr_run *r = cr_client_run();
	int kind = flags & 0xffff;

	if (!r || r->called)
		return -CR_ENOTCB;
	if (kind != CR_CHECKPOINT_READY && kind != CR_CHECKPOINT_TEMP_FAILURE && kind != CR_CHECKPOINT_PERM_FAILURE && kind != CR_CHECKPOINT_OMIT)
		return -EINVAL;
	r->called = true;
	if (kind != CR_CHECKPOINT_READY)
		run_refuse(r, flags);
	else
		run_rest(r, r->callback->older);
	return *r->result;
}

EXPORT const struct cr_checkpoint_info *cr_get_checkpoint_info(void)
{
	if (!cr_client_run())
		return NULL;
	checkpoint_info.signal = cr_callbacks.signal;
	checkpoint_info.dest = cr_callbacks.dest[0] ? cr_callbacks.dest : NULL;
	checkpoint_info.requester = cr_callbacks.requester;
	checkpoint_info.target = cr_callbacks.target;
	checkpoint_info.scope = cr_callbacks.scope;
	return &checkpoint_info;
}

EXPORT const struct cr_restart_info *cr_get_restart_info(void)
{
	struct cr_run *r = cr_client_run();

	if (!r || *r->result <= 0)
		return NULL;
	restart_info.requester = CR_GATE->kernel_pid;
	restart_info.src = cr_callbacks.source[0] ? cr_callbacks.source : NULL;
	return &restart_info;
}

EXPORT cr_hook_fn_t cr_register_hook(cr_hook_event_t event, cr_hook_fn_t func)
{
	struct cr_client *me = cr_client();
	cr_hook_fn_t old;

	if (!me)
		return CR_HOOK_FN_ERROR;
	if ((unsigned int)event >= CR_NUM_HOOKS) {
		errno = EINVAL;
		return CR_HOOK_FN_ERROR;
	}
	/* Somebody without callbacks must be there to run it. */
	if (func && (event == CR_HOOK_CONT_NO_CALLBACKS || event == CR_HOOK_RSTRT_NO_CALLBACKS) && cr_client_place(me))
		return CR_HOOK_FN_ERROR;
	old = hooks[event];
	hooks[event] = func;
	return old;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcr.so, the library that every protected program has loaded: the program's side of the crossing.
 *
 * Its thread-locals are in the static TLS block: their offsets from %fs are the same in every thread.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/cr_crossing.h"
#include "libcr/lower/private.h"
#include "libcr/upper/upper.h"

EXPORT __thread struct cr_crossing cr_crossing_tls __attribute__((tls_model("initial-exec")));

static int gate_present;

EXPORT struct cr_thread *cr_crossing_attach(void)
{
	static const char text[] = "ompi-cr: no lower-half thread for a thread of the program: out of memory or threads\n";
	sigset_t all, old;
	struct cr_thread *t;

	/* No handler above a frame of the lower half: a checkpoint in it would save that frame. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	t = CR_GATE->thread_attach();
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (!t) {
		(void)!write(2, text, sizeof(text) - 1);
		abort();
	}
	cr_crossing_tls.thread = t;
	cr_crossing_tls.epoch = CR_GATE->epoch;
	return t;
}

bool cr_gate_present(void)
{
	return gate_present;
}

struct cr_callbacks cr_callbacks;
__thread struct cr_client cr_client_tls __attribute__((tls_model("initial-exec")));
EXPORT int cr_link_me = 1;

/* Clients of another generation are those of the process that this one was forked from. */
static volatile uint32_t generation, n_clients;
static cr_spinlock_t lock;
static pthread_key_t key;
static bool have_key;

struct cr_client *cr_client(void)
{
	struct cr_client *me = &cr_client_tls;

	if (!gate_present) {
		errno = ENOSYS;
		return NULL;
	}
	if (CR_GATE->callbacks != &cr_callbacks || me->generation != generation) {
		errno = CR_ENOINIT;
		return NULL;
	}
	return me;
}

static void client_gone(void *arg)
{
	struct cr_client *me = arg;

	if (!cr_client())
		return;
	if (me->depth)
		__atomic_fetch_sub(&cr_callbacks.sections, CR_SECTIONS_INSIDE, __ATOMIC_SEQ_CST);
	if (me->place) {
		me->place->n = 0;
		me->place->running = NULL;
		me->place->state = CR_PLACE_DONE;
		__atomic_store_n(&me->place->tid, 0, __ATOMIC_SEQ_CST);
	}
	memset(me, 0, sizeof(*me));
	CR_GATE->board_notify();
}

int cr_client_place(struct cr_client *me)
{
	if (me->place)
		return 0;
	cr_spinlock_lock(&lock);
	for (int i = 1; i < CR_CALLBACK_PLACES && !me->place; i++) {
		struct cr_callback_place *p = &cr_callbacks.places[i];

		if (p->tid)
			continue;
		p->n = 0;
		p->served = cr_callbacks.attempt; /* not of a checkpoint that has begun */
		p->state = CR_PLACE_DONE;
		me->place = p;
		__atomic_store_n(&p->tid, (int32_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	}
	cr_spinlock_unlock(&lock);
	return me->place ? 0 : cr_fail(ENOSPC);
}

EXPORT cr_client_id_t cr_init(void)
{
	struct cr_client *me = &cr_client_tls;
	int id = -1;

	if (!gate_present)
		return cr_fail(ENOSYS);
	if (CR_GATE->version != CR_GATE_VERSION)
		return cr_fail(CR_EVERSION);
	if (cr_client())
		return me->id;
	cr_spinlock_lock(&lock);
	if (!have_key && pthread_key_create(&key, client_gone) == 0)
		have_key = true;
	if (CR_GATE->callbacks != &cr_callbacks) {
		cr_callbacks_reset();
		n_clients = 0;
		generation++;
		CR_GATE->callback_client = cr_callback_client;
		__atomic_store_n(&CR_GATE->callbacks, &cr_callbacks, __ATOMIC_SEQ_CST);
	}
	if (have_key) {
		id = (int)n_clients++;
		memset(me, 0, sizeof(*me));
		me->id = id;
		me->generation = generation;
	}
	cr_spinlock_unlock(&lock);
	if (id < 0 || pthread_setspecific(key, me))
		return cr_fail(ENOMEM);
	return id;
}

EXPORT int cr_nocr_set(unsigned long id, const char *reason)
{
	return gate_present ? CR_GATE->nocr_set(id, reason) : 0;
}

EXPORT int cr_nocr_clear(unsigned long id)
{
	return gate_present ? CR_GATE->nocr_clear(id) : 0;
}

EXPORT int cr_protected(void)
{
	return gate_present;
}

EXPORT unsigned long cr_epoch(void)
{
	return gate_present ? CR_GATE->epoch : 0;
}

extern char **environ;

/* Index in environ, or -1. The program may have a getenv of its own (bash has), so the vector is read directly. */
static int env_find(const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; environ && environ[i]; i++)
		if (!strncmp(environ[i], name, n) && environ[i][n] == '=')
			return i;
	return -1;
}

static void env_remove(int i)
{
	do
		environ[i] = environ[i + 1];
	while (environ[i++]);
}

/* The launcher put our libraries into LD_PRELOAD and the user's own value aside: the program and its children see the user's. */
static int preload_forget(void)
{
	int own = env_find("OMPI_CR_USER_PRELOAD"), preload = env_find("LD_PRELOAD");
	char *value;

	if (own < 0 || preload < 0)
		return 0;
	value = strchr(environ[own], '=') + 1;
	if (*value)
		strcpy(strchr(environ[preload], '=') + 1, value); /* ours ends with it: never longer */
	env_remove(own);
	if (!*value)
		env_remove(env_find("LD_PRELOAD"));
	return 1;
}

/* What cr_run --omit asks for. */
static int leave_out(void *arg)
{
	(void)arg;
	cr_checkpoint(CR_CHECKPOINT_OMIT);
	return 0;
}

__attribute__((constructor)) static void libcr_begin(void)
{
	gate_present = preload_forget();
	if (gate_present && env_find(CR_OMIT_ENV) >= 0 && cr_init() >= 0)
		cr_register_callback(leave_out, NULL, CR_SIGNAL_CONTEXT);
}

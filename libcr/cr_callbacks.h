/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libcr (upper half) and the agent thread (lower half) tell each other about the program's callbacks. Memory of libcr.so, so it is saved
 * with the program; the gate points to it from the first cr_init() on. One writer per field, or compare-and-swap.
 *
 * Life of one checkpoint (order is written by the agent, the places by the threads that run callbacks):
 *   (sections)      the agent sets WANTED and waits until no thread is in a critical section, then sets HELD: nobody enters any more.
 *   order THREADS   libcr's own thread runs the callbacks in thread context, one inside the other; the innermost says AT_CHECKPOINT. No other
 *                   thread has been stopped so far.
 *   order SIGNALS   just before the freeze: each thread with callbacks in signal context is sent CR_SIGNUM and runs its own.
 *   (freeze, dump)  all of them wait in upper-half code until the order is RUN, or the gate's epoch has changed.
 *   order RUN       the rest of the callbacks: @outcome says why. When the last one is done the agent gives up HELD.
 * A callback that refuses says REFUSED and what; its thread waits for the order RUN before it goes on with the callbacks around it.
 */
#ifndef CR_CALLBACKS_H
#define CR_CALLBACKS_H

#include <stdbool.h>
#include <stdint.h>

#define CR_CALLBACK_PLACES 1025

enum cr_callback_order { CR_CALLBACK_RUN = 0, CR_CALLBACK_THREADS = 1, CR_CALLBACK_SIGNALS = 2 };

enum cr_callback_state {
	CR_PLACE_DONE = 0,
	CR_PLACE_RUNNING = 1,
	CR_PLACE_AT_CHECKPOINT = 2,
	CR_PLACE_REFUSED = 3,
	CR_PLACE_CONTINUING = 4,
};

/* One stack of callbacks: the first place is libcr's thread's, the others belong to threads with callbacks in signal context. */
struct cr_callback_place {
	volatile int32_t tid;      /* as the program knows it; 0 free */
	volatile uint32_t n;       /* callbacks */
	volatile uint32_t served;  /* attempt to which @state belongs; written behind it */
	volatile uint32_t state;   /* enum cr_callback_state */
	const char *volatile running; /* the callback that runs, in words; never freed */
};

/* Critical sections in one word: threads inside; threads that wait; those of them who may enter before the next checkpoint. */
#define CR_SECTIONS_WANTED (1ULL << 62)
#define CR_SECTIONS_HELD (1ULL << 63)
#define CR_SECTIONS_INSIDE 1ULL
#define CR_SECTIONS_WAITING (1ULL << 20)
#define CR_SECTIONS_OWED (1ULL << 40)
#define CR_SECTIONS_COUNT 0xfffffULL
#define CR_SECTIONS_N_INSIDE(w) ((w) & CR_SECTIONS_COUNT)
#define CR_SECTIONS_N_WAITING(w) ((w) >> 20 & CR_SECTIONS_COUNT)
#define CR_SECTIONS_N_OWED(w) ((w) >> 40 & CR_SECTIONS_COUNT)

struct cr_callbacks {
	volatile uint32_t order;   /* enum cr_callback_order; futex word */
	volatile uint32_t attempt; /* written by the agent: + 1 whenever HELD is taken */
	volatile int32_t outcome;  /* written by the agent before order RUN: 0 taken, else the code */
	volatile uint32_t event;   /* futex word: + 1 when HELD or WANTED is given up */
	volatile uint64_t sections;
	/* written by the first callback that refuses, before its state */
	volatile uint32_t refused_lock;
	int32_t refused_flags;     /* as cr_checkpoint() got them */
	const char *refused_by;
	/* written by the agent before order THREADS; for cr_get_checkpoint_info() */
	int32_t requester, signal, target, scope;
	char dest[1024];
	char source[1024];         /* by the restart, for cr_get_restart_info() */
	struct cr_callback_place places[CR_CALLBACK_PLACES];
};

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crossing from the upper half into the lower half and back: switch %fs, mark the thread, call, undo.
 *
 * Between cr_cross_enter and cr_cross_leave no thread-local variable may be touched and no function of the upper half called;
 * files that use this are built with -fno-stack-protector. The call runs on the caller's stack.
 */
#ifndef CR_CROSSING_H
#define CR_CROSSING_H

#include "libcr/cr_gate.h"

struct cr_crossing {
	struct cr_thread *thread;
	uint64_t epoch;
};

/* In libcr.so. */
extern __thread struct cr_crossing cr_crossing_tls __attribute__((tls_model("initial-exec")));

/* The calling thread's lower-half record; never NULL (aborts with a message when the lower half can give none). */
struct cr_thread *cr_crossing_attach(void);

static inline struct cr_thread *cr_crossing_thread(void)
{
	struct cr_crossing *c = &cr_crossing_tls;

	if (__builtin_expect(c->epoch == CR_GATE->epoch, 1))
		return c->thread;
	return cr_crossing_attach();
}

static inline void cr_cross_enter(struct cr_thread *t)
{
	uint64_t sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	if (t->depth++ == 0)
		t->enter_sp = sp;
	cr_fs_set(t->lower_fs, t->fs_by_kernel);
}

static inline void cr_cross_leave(struct cr_thread *t)
{
	cr_fs_set(t->upper_fs, t->fs_by_kernel);
	t->depth--;
}

/* CR_LOWER(call): evaluate a call of a lower-half function (arguments must be plain variables) on the lower %fs. */
#define CR_LOWER(call)                                                  \
	__extension__({                                                 \
		struct cr_thread *cr_t_ = cr_crossing_thread();         \
		cr_cross_enter(cr_t_);                                  \
		__typeof__(call) cr_r_ = (call);                        \
		cr_cross_leave(cr_t_);                                  \
		cr_r_;                                                  \
	})

#endif

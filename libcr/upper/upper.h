/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files of libcr.so among themselves. Upper half, or a program that cr_run did not start. */
#ifndef CR_UPPER_H
#define CR_UPPER_H

#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "include/libcr.h"
#include "libcr/cr_callbacks.h"
#include "libcr/cr_gate.h"

#define EXPORT __attribute__((visibility("default")))

struct cr_run; /* callbacks.c: a stack of callbacks that is being worked through */

/* What libcr knows of one thread. */
struct cr_client {
	uint32_t generation;      /* of the process, see cr_client() */
	uint32_t depth;           /* critical sections */
	volatile uint32_t leaving; /* between the two steps of the outermost leave */
	volatile uint32_t busy;   /* its callbacks are being changed: not now */
	int id;
	int persist;
	struct cr_callback *newest; /* in signal context */
	struct cr_callback_place *place;
	struct cr_run *run;       /* in a callback */
};

/* libcr.c */
bool cr_gate_present(void);
/* The calling thread's record when it has called cr_init() in this process, else NULL with errno CR_ENOINIT or ENOSYS. */
struct cr_client *cr_client(void);
extern __thread struct cr_client cr_client_tls __attribute__((tls_model("initial-exec")));
extern struct cr_callbacks cr_callbacks;
/* Gives the thread a place among those that run callbacks in signal context. 0 or -1 with errno. */
int cr_client_place(struct cr_client *me);

/* callbacks.c */
void cr_callbacks_reset(void); /* in a forked child: none any more */
void cr_callback_client(void);
struct cr_run *cr_client_run(void); /* not NULL: the calling thread is in a callback */

static inline int cr_fail(int error)
{
	errno = error;
	return -1;
}

static inline void cr_futex_wait(volatile uint32_t *word, uint32_t value)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL);
	errno = saved;
}

#endif

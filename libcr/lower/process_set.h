/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of the process state.  Private to libcr/lower/process*.c.
 */
#ifndef CR_PROCESS_SET_H
#define CR_PROCESS_SET_H

#include <stdio.h>

#include "libcr/image/process_payload.h"
#include "libcr/lower/cr_files.h"

struct cr_process_refusals {
	cr_nocr_fn report;
	void *arg;
	int count;
};

__attribute__((format(printf, 2, 3))) void cr_process_refuse(struct cr_process_refusals *refusals, const char *fmt, ...);

/* Files of proc are opened at or above this number: where a running program hardly ever is. */
int cr_process_floor(void);

/* process_children.c: living and unreaped children, threads with a descriptor table or working directory of their own. */
void cr_process_check_children(int own_child, struct cr_process_refusals *refusals);
void cr_process_check_threads(struct cr_process_refusals *refusals);

/* ipc_find.c: System V semaphores and message queues that others use too. */
void cr_process_check_ipc(struct cr_process_refusals *refusals);

/* process_limits.c */
int cr_process_limits_save(struct cr_process_payload *p, struct cr_err *err);
int cr_process_limits_check(const struct cr_process_payload *p, struct cr_err *err);
int cr_process_limits_restore(const struct cr_process_payload *p, struct cr_err *err);

/* process_settings.c */
int cr_process_settings_save(struct cr_image_writer *w, struct cr_err *err);
int cr_process_settings_check(const struct cr_image *img, struct cr_err *err);
int cr_process_settings_restore(const struct cr_image *img, struct cr_err *err);

/* process_timers.c */
void cr_process_check_timers(struct cr_process_refusals *refusals);
int cr_process_timers_save(struct cr_image_writer *w, const struct cr_tid_map *tids, struct cr_err *err);
int cr_process_timers_check(const struct cr_image *img, struct cr_err *err);
int cr_process_timers_restore(const struct cr_image *img, const struct cr_tid_map *tids, struct cr_err *err);

/* 0: do as on kernels that cannot be told the id of a new timer. For tests. */
extern int cr_process_timer_restore_ids;

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine: who reads the program's private memory at a checkpoint.
 *
 * "user" looks for pages in pagemap and reads them where they are; it is always there. "kmod" has the kernel module crmod read them from the page tables. Both
 * are handed the same areas and their pages go into the same file, so freezing, shared memory, everything else that is saved, and the restart are common
 * code. Chosen once, at the start of a process, by CR_ENGINE=user|kmod|auto.
 */
#ifndef CR_ENGINE_H
#define CR_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cr_ioctl.h"
#include "libcr/cr_err.h"

#define CR_ENV_ENGINE "CR_ENGINE"

struct cr_engine_read {
	uint64_t next;  /* what begins here has not been looked at */
	uint64_t bytes; /* that are in the buffer now */
	uint32_t runs;
};

struct cr_engine_ops {
	const char *name; /* in the metadata */
	/* Can it be used by this process? 0, with whatever it needs from then on; or a negative errno. */
	int (*probe)(struct cr_err *err);
	/**
	 * read - content of private memory in [@start, @end), which lies in one area; NULL: pages are read where they are
	 *
	 * Pages that are not zero, or that replace a file's, go to @buffer back to back, their addresses to @runs.
	 * Context: as cr_mem_save(): no malloc, no stdio, no lock.
	 * Return: 0; -EOPNOTSUPP: what begins at @ret->next is for the user-level engine; another negative errno.
	 */
	int (*read)(uint64_t start, uint64_t end, void *buffer, size_t room, struct cr_ioc_run *runs, uint32_t max_runs, struct cr_engine_read *ret);
	/* This process's areas from *@start on, which is moved behind them: at most @max, fewer when there are no more. NULL: they are read from smaps. */
	int (*areas)(uint64_t *start, struct cr_ioc_area *ret, uint32_t max, uint32_t *ret_n);
};

extern const struct cr_engine_ops cr_engine_user, cr_engine_kmod;
extern const struct cr_engine_ops *cr_engine;

/**
 * cr_engine_start - choose the engine of this process
 * @must: a choice that cannot be had is an error; else the user-level engine takes its place
 *
 * CR_ENGINE not set, or "auto": kmod where the module answers, else user. Children made by fork have their parent's engine.
 * Context: lower half, when the floor of descriptors is final; or a tool.
 */
int cr_engine_start(bool must, struct cr_err *err);

#endif

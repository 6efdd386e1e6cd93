/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcr: what a program may tell the checkpoint system about itself. Linking to it is never necessary.
 */
#ifndef LIBCR_H
#define LIBCR_H

#ifdef __cplusplus
extern "C" {
#endif

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

/** cr_protected - 1 when the program was started by cr_run, else 0 */
int cr_protected(void);

/** cr_epoch - 1 since the launch, 2 after the first restart, ...; 0 in a program that was not started by cr_run */
unsigned long cr_epoch(void);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot prune. */
#ifndef SNAPSHOT_PRUNE_H
#define SNAPSHOT_PRUNE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Remove all sequences of the reference directory @dir but the @keep newest, and but the newest one that is whole: the last good snapshot
 * is never removed. Leftovers of crashes go as well, when the job does not run on this host. Return: exit status.
 */
int snapshot_prune(const char *dir, uint32_t keep, bool quiet);

#endif

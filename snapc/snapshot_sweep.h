/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a crash may leave in a reference directory, and how it goes away. The caller holds the lock of the directory. */
#ifndef SNAPC_SNAPSHOT_SWEEP_H
#define SNAPC_SNAPSHOT_SWEEP_H

#include <stdint.h>

#include "libcr/cr_err.h"

#define SNAPC_OWNER_NAME "owner"
#define SNAPC_CONTEXT_DIR_FMT "opal_snapshot_%d.ckpt"

/**
 * snapc_sweep - remove "<n>.tmp", temporary metadata, and every directory "<n>" that the metadata do not list
 * @ret_next: number for the next sequence
 *
 * Damaged metadata: nothing is removed and -EBADMSG is returned. Other names in the directory are not ours and stay.
 */
int snapc_sweep(const char *dir, uint32_t *ret_next, struct cr_err *err);

/* Remove the reference directory when no snapshot was ever committed in it and nothing else is there. */
void snapc_sweep_empty(const char *dir);

#endif

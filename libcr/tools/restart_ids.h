/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process group and session of a process that is restarted alone. */
#ifndef CR_RESTART_IDS_H
#define CR_RESTART_IDS_H

#include "libcr/lower/restore.h"

/**
 * restart_ids_join - be in the group and session that the saved process was in, as far as that is wanted
 * @needs: of its file
 *
 * Context: in the process that is about to become it.
 * Return: 0, or a negative errno with words.
 */
int restart_ids_join(const struct cr_restore_needs *needs, enum cr_restore_ids pgid, enum cr_restore_ids sid, struct cr_err *err);

#endif

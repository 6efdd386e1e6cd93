/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_checkpoint --check: asks whether a process, or a set of them, could be saved, and prints the answer. */
#ifndef CR_CHECKPOINT_CHECK_H
#define CR_CHECKPOINT_CHECK_H

#include <stdbool.h>

#include "libcr/tools/checkpoint_agent.h"

/**
 * checkpoint_check - ask, and print what stands against it
 * @a: connected
 * @flags: CR_BEGIN_*: who is meant; 0: the process alone
 * @json: as one JSON object
 * @quiet: no words when nothing stands against it
 *
 * Nobody is stopped.
 * Return: 0: nothing; 1: something does, and is printed; or a negative errno with words: it could not be found out.
 */
int checkpoint_check(struct checkpoint_agent *a, uint32_t flags, bool json, bool quiet, int timeout_ms, struct cr_err *err);

#endif

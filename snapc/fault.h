/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Phases by name, their deadlines, and fault injection: CR_FAULT=phase[:rank][:action].
 *   fail   the phase fails as if the rank had said so (the default)
 *   kill   SIGKILL to the rank's process when the phase has begun
 *   hang   the rank does not get the messages of the phase (commit: the writer of the metadata stands still)
 * Without a rank it is rank 0.
 */
#ifndef SNAPC_FAULT_H
#define SNAPC_FAULT_H

#include <stdint.h>

#include "libcr/cr_err.h"

enum snapc_phase_id {
#define PHASE(id, name, seconds, setting) SNAPC_PHASE_##id,
#include "snapc/phases.def"
#undef PHASE
	SNAPC_PHASE_COUNT
};

enum snapc_fault_action {
	SNAPC_FAULT_NONE = 0,
	SNAPC_FAULT_FAIL,
	SNAPC_FAULT_KILL,
	SNAPC_FAULT_HANG,
};

struct snapc_fault {
	enum snapc_fault_action action;
	enum snapc_phase_id phase;
	uint32_t rank;
};

const char *snapc_phase_name(enum snapc_phase_id id);
/* Seconds, from the phase's setting in the environment or the default. */
uint32_t snapc_phase_seconds(enum snapc_phase_id id);

/* @text: as CR_FAULT; NULL or empty: no fault. -EINVAL with words. */
int snapc_fault_parse(const char *text, struct snapc_fault *ret_fault, struct cr_err *err);

#endif

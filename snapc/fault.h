/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Phases by name, their deadlines, and fault injection: CR_FAULT=phase[:target][:rank][:action].  docs/protocol.md, "Fault injection".
 *
 * The table of what may be asked of whom is fault_allowed in fault.c.
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
	SNAPC_FAULT_FAIL,   /* the phase fails as if the rank had said so */
	SNAPC_FAULT_KILL,   /* SIGKILL */
	SNAPC_FAULT_HANG,   /* the rank does not get the messages of the phase (commit: the writer of the metadata stands still) */
	SNAPC_FAULT_STOP,   /* SIGSTOP */
	SNAPC_FAULT_CUT,    /* its connections end */
	SNAPC_FAULT_ENOSPC, /* what it writes finds no room */
	SNAPC_FAULT_EIO,    /* what it writes meets an error of the device */
};

enum snapc_fault_target {
	SNAPC_FAULT_RANK = 0,
	SNAPC_FAULT_DAEMON, /* the snapcd of the rank's node */
	SNAPC_FAULT_GLOBAL, /* the coordinator */
	SNAPC_FAULT_MPIRUN,
	SNAPC_FAULT_TOOL,   /* who asked for the checkpoint */
};

struct snapc_fault {
	enum snapc_fault_action action;
	enum snapc_fault_target target;
	enum snapc_phase_id phase;
	uint32_t rank;
};

const char *snapc_phase_name(enum snapc_phase_id id);
/* Seconds, from the phase's setting in the environment or the default. */
uint32_t snapc_phase_seconds(enum snapc_phase_id id);
/* A coordinator that says nothing for so many seconds in a checkpoint is taken for dead by the agents. */
uint32_t snapc_silence_seconds(void);

/**
 * snapc_fault_parse - what CR_FAULT asks for
 * @text: NULL or empty: no fault. A fault of the phase "restart" is cr_restart's (libcr/lower/restore.h): none here.
 *
 * Return: 0, -EINVAL with words.
 */
int snapc_fault_parse(const char *text, struct snapc_fault *ret_fault, struct cr_err *err);

/* Does the fault make what the target writes in this phase fail? Return: errno (positive), or 0. */
int snapc_fault_disk(const struct snapc_fault *fault, enum snapc_fault_target target, enum snapc_phase_id phase);

/* Every TCP connection of this process ends, as if its cable had been cut. */
void snapc_fault_cut_network(void);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payloads of the PROCESS, TIMER and SETTINGS records.  docs/context-file-format.md, section 8.
 */
#ifndef CR_IMAGE_PROCESS_PAYLOAD_H
#define CR_IMAGE_PROCESS_PAYLOAD_H

#include <stdint.h>

#define CR_PROCESS_LIMITS 16 /* RLIMIT_CPU ... RLIMIT_RTTIME */
#define CR_PROCESS_MAX_PATH_BYTES 4096U

struct cr_process_limit {
	uint64_t soft; /* UINT64_MAX: unlimited */
	uint64_t hard;
};

struct cr_process_itimer {
	uint64_t value_us; /* until it expires; 0: not armed */
	uint64_t interval_us;
};

/* Followed by cwd_bytes of the absolute path of the working directory with its NUL. */
struct cr_process_payload {
	uint32_t umask;
	int32_t nice; /* of the thread group leader */
	uint32_t dumpable;
	uint32_t no_new_privs; /* for people */
	uint32_t child_subreaper;
	uint32_t thp_disable;
	uint32_t personality;
	uint32_t membarrier; /* commands registered: MEMBARRIER_CMD_GET_REGISTRATIONS; UINT32_MAX: the kernel could not tell */
	uint32_t euid;
	uint32_t egid;
	struct cr_process_limit limits[CR_PROCESS_LIMITS];
	struct cr_process_itimer itimers[3]; /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */
	uint32_t cwd_bytes;
	uint32_t cwd_deleted; /* 1: it was removed; the path is what it was called */
};

struct cr_timer_payload {
	int32_t id;
	int32_t clock;
	int32_t notify; /* SIGEV_SIGNAL, SIGEV_NONE, SIGEV_SIGNAL | SIGEV_THREAD_ID */
	int32_t signo;
	uint64_t sigev_value;
	int32_t tid; /* SIGEV_THREAD_ID: the thread, as the program numbers it; else 0 */
	int32_t reserved; /* 0 */
	uint64_t value_ns; /* until it expires; 0: not armed */
	uint64_t interval_ns;
};

#define CR_SETTINGS_OOM_SCORE_ADJ 0x1U   /* it could be read */
#define CR_SETTINGS_COREDUMP_FILTER 0x2U /* it could be read */
#define CR_SETTINGS_MLOCK_FUTURE 0x4U    /* mlockall(MCL_FUTURE) */
#define CR_SETTINGS_MLOCK_ONFAULT 0x8U   /* with MCL_ONFAULT */
#define CR_SETTINGS_MEMORY_MERGE 0x10U   /* PR_SET_MEMORY_MERGE */
#define CR_SETTINGS_ALL 0x1fU

struct cr_settings_payload {
	int32_t oom_score_adj;
	uint32_t coredump_filter;
	uint32_t flags; /* CR_SETTINGS_... */
	uint32_t mdwe;  /* PR_GET_MDWE */
};

_Static_assert(sizeof(struct cr_settings_payload) == 16, "SETTINGS payload is part of the format");
_Static_assert(sizeof(struct cr_process_payload) == 352, "PROCESS payload is part of the format");
_Static_assert(sizeof(struct cr_timer_payload) == 48, "TIMER payload is part of the format");

#endif

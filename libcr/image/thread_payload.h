/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payloads of the LAYOUT, THREAD, SIGACTION, SIGPENDING, CPU, HOST and BOARD records.  docs/context-file-format.md describes them.
 */
#ifndef CR_IMAGE_THREAD_PAYLOAD_H
#define CR_IMAGE_THREAD_PAYLOAD_H

#include <stdint.h>

/* The rest of the layout (entry tables, program break, extra ranges, executable) lies in the gate and private pages, which are saved as memory. */
struct cr_layout_payload {
	uint64_t window_base, window_end;
	uint32_t gate_version;
	uint32_t fd_floor;
	int32_t program_pid, program_ppid;
	uint64_t epoch;
	uint32_t threads;
	uint32_t n_extra;
	struct {
		uint64_t start, end;
	} extra[64];
	char exe[1024];
};

struct cr_group_payload {
	int32_t pgid, sid; /* as the program sees them */
};

struct cr_thread_payload {
	int32_t tid;      /* as the program sees it */
	uint32_t first;   /* 1: the process's first thread */
	uint64_t uc;      /* address of its signal frame's ucontext, in saved memory */
	uint64_t fs, gs;
	uint64_t robust_head, robust_bytes;
	uint64_t clear_child_tid;
	int32_t policy, priority, nice;
	int32_t reserved;
	char name[16];
};

#define CR_THREAD_PRIVILEGES 0x1U /* groups, capabilities, securebits or no_new_privs differ from those of the launch */
#define CR_THREAD_AFFINITY 0x2U   /* so do the processors */
#define CR_THREAD_MAX_GROUPS 65536U

/* Optional beside a THREAD record. Followed by n_groups numbers of 4 bytes. */
struct cr_thread_state_payload {
	int32_t tid; /* as the program sees it */
	uint32_t flags;
	uint64_t timer_slack_ns;
	int32_t death_signal; /* PR_SET_PDEATHSIG */
	int32_t io_priority;  /* ioprio_get */
	uint32_t securebits;
	uint32_t no_new_privs;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding, cap_ambient;
	uint8_t processors[128]; /* a bit for each */
	uint32_t n_groups;
	uint32_t reserved; /* 0 */
};

_Static_assert(sizeof(struct cr_thread_state_payload) == 208, "THREAD_STATE payload is part of the format");

/* What the kernel held for signal 1..64: 0 default, 1 ignore, 2 the program's handler (actions are in the private page). */
struct cr_sigaction_payload {
	uint8_t kind[65];
	uint8_t reserved[7];
};

struct cr_sigpending_payload {
	int32_t tid; /* as the program sees it; 0: pending for the process */
	int32_t signo;
	uint8_t info[128]; /* siginfo_t */
};

struct cr_cpu_payload {
	char vendor[16];
	uint64_t xcr0;        /* state components that the system enabled */
	uint64_t xcomp_perm;  /* components that the process asked permission for (AMX) */
	uint32_t leaf1_ecx, leaf1_edx, leaf7_ebx, leaf7_ecx, leaf7_edx;
	uint32_t reserved;
};

struct cr_host_payload {
	char host[64];
	char kernel[64];
	char version[32]; /* of ompi-cr */
	uint64_t time_s;  /* since the epoch */
	int32_t kernel_pid;
	uint32_t uid;
	char engine[8]; /* that read the memory: "user", "kmod"; files of earlier versions end before it */
};

struct cr_board_payload {
	uint32_t present;
	int32_t rank, size, thread_level;
	uint32_t state; /* enum cr_rank_state */
	uint32_t exchanged;       /* messages that this rank sent to others to find out that nothing is in flight any more */
	uint64_t messages, bytes; /* in flight, saved in the message log */
};

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libcr's own state that is saved with the program, at CR_PRIVATE_ADDR in the window, and the slots through which the blob (window
 * code) reaches the lower half.  The first part is read by assembly; its offsets are fixed by the context-file format.
 */
#ifndef CR_PRIVATE_H
#define CR_PRIVATE_H

#include "libcr/cr_layout.h"

/* Byte offsets of the slots, for assembly. */
#define CR_P_CLOCK_GETTIME 0
#define CR_P_GETTIMEOFDAY 8
#define CR_P_TIME 16
#define CR_P_GETCPU 24
#define CR_P_CLOCK_GETRES 32
#define CR_P_STOP_ENTRY 40
#define CR_P_SYSCALL_ENTRY 48
#define CR_P_LOWER_TP_OFFSET 56
#define CR_P_FORWARD_SIGNAL 64
#define CR_P_WAIT_DONE 72
#define CR_P_AT_SYSCALL 80
#define CR_P_FS_BY_KERNEL 88
#define CR_P_OVER_ENTER 96
#define CR_P_OVER_LEAVE 104
#define CR_P_HANDLERS 128 /* handler address per signal number, 8 bytes each, [0..64] */

#ifndef __ASSEMBLER__

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define CR_NSIG 65
#define CR_EXTRA_MAX 64

/* The kernel's struct sigaction. */
struct cr_ksigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

struct cr_range {
	uint64_t start, end;
};

struct cr_private {
	/* slots: lower-half addresses, refilled by every launch and restart */
	uint64_t clock_gettime, gettimeofday, time, getcpu, clock_getres;
	uint64_t stop_entry;      /* long (int sig, siginfo_t *, void *uc): 1 = run the gate's stop_client */
	uint64_t syscall_entry;   /* patched system-call sites */
	int64_t lower_tp_offset;  /* of the lower thread-local that holds struct cr_thread * */
	uint64_t forward_signal;  /* void (int sig, siginfo_t *): a program's signal hit a thread of the lower half */
	uint64_t wait_done;       /* long (uint64_t *frame): a restarted process's wait4 or waitid has found something; see cr_blob_wait */
	uint64_t at_syscall;      /* void (void *uc): a program's signal came right before a system call */
	uint64_t fs_by_kernel;    /* %fs is read and changed by arch_prctl() */
	uint64_t over_enter;      /* long (void *uc): a program's signal came outside of the window's code, on the program's %fs */
	uint64_t over_leave;      /* void (long what over_enter has returned): its handler has returned */
	uint64_t reserved[2];
	volatile uint64_t handlers[CR_NSIG];
	/* not read by assembly */
	struct cr_ksigaction actions[CR_NSIG]; /* as the program set them; zero: as it found them */
	volatile uint64_t mmap_next;
	uint64_t brk_current;
	uint32_t n_extra;
	uint32_t fd_floor;
	struct cr_range extra[CR_EXTRA_MAX]; /* the program's memory outside of the window */
	int32_t program_pid, program_ppid;
	char exe[1024];
};

#define CR_PRIVATE ((struct cr_private *)CR_PRIVATE_ADDR)

_Static_assert(offsetof(struct cr_private, stop_entry) == CR_P_STOP_ENTRY, "slot");
_Static_assert(offsetof(struct cr_private, syscall_entry) == CR_P_SYSCALL_ENTRY, "slot");
_Static_assert(offsetof(struct cr_private, lower_tp_offset) == CR_P_LOWER_TP_OFFSET, "slot");
_Static_assert(offsetof(struct cr_private, forward_signal) == CR_P_FORWARD_SIGNAL, "slot");
_Static_assert(offsetof(struct cr_private, wait_done) == CR_P_WAIT_DONE, "slot");
_Static_assert(offsetof(struct cr_private, at_syscall) == CR_P_AT_SYSCALL, "slot");
_Static_assert(offsetof(struct cr_private, fs_by_kernel) == CR_P_FS_BY_KERNEL, "slot");
_Static_assert(offsetof(struct cr_private, over_enter) == CR_P_OVER_ENTER, "slot");
_Static_assert(offsetof(struct cr_private, over_leave) == CR_P_OVER_LEAVE, "slot");
_Static_assert(offsetof(struct cr_private, handlers) == CR_P_HANDLERS, "slot");
_Static_assert(sizeof(struct cr_private) <= CR_GATE_BYTES - (CR_PRIVATE_ADDR - CR_GATE_ADDR), "private area");

static inline int cr_in_window(uint64_t addr)
{
	return addr - CR_WINDOW_BASE < CR_WINDOW_END - CR_WINDOW_BASE;
}

/* Is @addr code of the program (window or extra range)? */
static inline int cr_is_upper(uint64_t addr)
{
	if (cr_in_window(addr))
		return 1;
	for (uint32_t i = 0; i < CR_PRIVATE->n_extra; i++)
		if (addr - CR_PRIVATE->extra[i].start < CR_PRIVATE->extra[i].end - CR_PRIVATE->extra[i].start)
			return 1;
	return 0;
}

#endif
#endif

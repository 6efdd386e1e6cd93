/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The address window of the upper half.  Everything in it is saved; nothing of the lower half is ever mapped in it.
 * The numbers are part of the context-file format: changing one makes old context files unrestartable.
 */
#ifndef CR_LAYOUT_H
#define CR_LAYOUT_H

#define CR_WINDOW_BASE 0x200000000000UL
#define CR_WINDOW_END 0x400000000000UL

#define CR_GATE_ADDR CR_WINDOW_BASE          /* struct cr_gate, read-write */
#define CR_GATE_BYTES 0x10000UL
#define CR_PRIVATE_ADDR (CR_GATE_ADDR + 0x8000UL) /* struct cr_private: libcr's own saved state */
#define CR_BLOB_ADDR (CR_WINDOW_BASE + 0x100000UL) /* vdso image: time functions, signal trampolines, raw system call */
#define CR_BLOB_MAX_BYTES 0x10000UL
#define CR_BRK_ADDR (CR_WINDOW_BASE + 0x100000000UL)  /* the program's heap grows up from here */
#define CR_BRK_END (CR_WINDOW_BASE + 0x7f00000000UL)
#define CR_STACK_END (CR_WINDOW_BASE + 0xff00000000UL) /* the first thread's stack ends here */
#define CR_MMAP_ADDR (CR_WINDOW_BASE + 0x10000000000UL) /* mmap without a fixed address goes up from here */

#define CR_PAGE_BYTES 4096UL

/* Name of a memfd that several processes of a job share and whose pages each of them saves a part of: the MPI layer's windows. */
#define CR_SHARED_OBJECT "ompi-cr-window"

/* The signal that stops a thread; BLCR's number on x86. Never blocked, never seen by the program. */
#define CR_SIGNUM 64

#endif

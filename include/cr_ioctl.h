/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * The interface of /dev/crmod: what the kernel module and user space share, and nothing else. docs/kmod.md explains it.
 *
 * Fixed-width types, pointers as __u64, no implicit padding. Fields named ret_* are written by the module, all others are read. A flag that is not
 * known, or padding that is not zero, is -EINVAL; a command that is not known is -ENOTTY.
 */
#ifndef CR_IOCTL_H
#define CR_IOCTL_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CR_IOC_DEVICE "/dev/crmod"
#define CR_IOC_ABI    1

#define CR_IOC_FEATURE_STOP   (1ull << 0) /* REQUEST, WAIT, LIST, RESUME */
#define CR_IOC_FEATURE_PHASE1 (1ull << 1) /* PHASE1, PHASE1_WAIT, PHASE1_READY */
#define CR_IOC_FEATURE_PAGES  (1ull << 2) /* PAGES */
#define CR_IOC_FEATURE_NOCR   (1ull << 3) /* NOCR_SET, NOCR_CLEAR, NOCR_GET */
#define CR_IOC_FEATURE_SELF   (1ull << 4) /* PAGES with pid 0, AREAS */

struct cr_ioc_version {
	__u32 ret_abi;
	__u32 pad;
	__u64 ret_features;
};

/* Which processes a request names. Numbers 0 to 3 are BLCR's scopes. */
enum cr_ioc_scope {
	CR_IOC_PROC = 0,    /* the process target */
	CR_IOC_PGRP = 1,    /* the process group target */
	CR_IOC_SESSION = 2, /* the session target */
	CR_IOC_TREE = 3,    /* the process target and its descendants */
	CR_IOC_PIDS = 4,    /* the processes of the list */
};

#define CR_IOC_KILL_ON_PERM (1u << 0) /* outcome PERM of one process kills every process of the request */
#define CR_IOC_PIDS_MAX     65536u

struct cr_ioc_request {
	__u32 scope;
	__u32 flags;
	__s32 target;	   /* not PIDS: a positive id in the caller's pid namespace; PIDS: 0 */
	__u32 count;	   /* PIDS: how many; else 0 */
	__u64 pids;	   /* PIDS: address of __s32[count]; else 0 */
	__u64 deadline_ns; /* CLOCK_MONOTONIC, absolute: all must be inside by then */
	__u64 hold_ns;	   /* how long they may be kept inside */
	__u64 ret_request; /* number of the request, never 0 */
};

enum cr_ioc_state {
	CR_IOC_PHASE1_RUNNING = 1, /* callbacks of phase-1 tasks run */
	CR_IOC_STOPPING = 2,	   /* all other tasks are on their way in */
	CR_IOC_STOPPED = 3,	   /* every task of every process is inside */
	CR_IOC_DONE = 4,	   /* over: ret_result, ret_why, ret_outcome say how */
};

enum cr_ioc_outcome {
	CR_IOC_READY = 0,
	CR_IOC_TEMP = 1, /* not now: the request ends, everybody goes on */
	CR_IOC_PERM = 2, /* never: the request ends */
	CR_IOC_OMIT = 4, /* without this process */
};

/* Why a request ended or a set was refused; ret_pid names the process or task. */
enum cr_ioc_why {
	CR_IOC_WHY_NONE = 0,
	CR_IOC_WHY_ACCESS = 1,	  /* -EPERM, -EACCES: no ptrace access */
	CR_IOC_WHY_BUSY = 2,	  /* -EBUSY: in another request */
	CR_IOC_WHY_TRACED = 3,	  /* -EBUSY: traced by a debugger */
	CR_IOC_WHY_JOBCTL = 4,	  /* -EBUSY: stopped by job control: continue it first */
	CR_IOC_WHY_WORKER = 5,	  /* -EOPNOTSUPP: a kernel worker (io_uring, vhost) runs in it */
	CR_IOC_WHY_NOCR = 6,	  /* -EOPNOTSUPP: marked; NOCR_GET has the words */
	CR_IOC_WHY_LIMIT = 7,	  /* -E2BIG: more tasks than the module parameter max_tasks */
	CR_IOC_WHY_KERNEL = 8,	  /* -EPERM: a kernel thread was named */
	CR_IOC_WHY_NOBODY = 9,	  /* -ESRCH: nobody is left */
	CR_IOC_WHY_DEADLINE = 10, /* -ETIMEDOUT: this task did not come in */
	CR_IOC_WHY_HELD = 11,	  /* -ETIMEDOUT: kept longer than hold_ns */
	CR_IOC_WHY_OUTCOME = 12,  /* -ECANCELED: TEMP or PERM of this process */
	CR_IOC_WHY_REQUESTER = 13 /* -ECANCELED: the requester's descriptor is closed or the requester is gone */
};

struct cr_ioc_wait {
	__u32 flags; /* 0 */
	__u32 ret_state;
	__s32 ret_result; /* DONE: 0 or a negative errno */
	__u32 ret_why;
	__s32 ret_pid;
	__u32 ret_outcome;
	__u32 ret_code;	     /* TEMP, PERM: the number that the process gave */
	__u32 ret_processes; /* with at least one task inside */
	__u32 ret_tasks;     /* inside */
	__u32 pad;
};

enum cr_ioc_process_state {
	CR_IOC_P_WAITING = 0, /* not all of its tasks are inside */
	CR_IOC_P_INSIDE = 1,
	CR_IOC_P_OMITTED = 2,
	CR_IOC_P_GONE = 3, /* ended, killed, or another program now */
};

struct cr_ioc_process {
	__s32 ret_pid;
	__u32 ret_state;
	__u32 ret_tasks; /* inside */
	__u32 ret_pad;
};

struct cr_ioc_list {
	__u64 processes; /* address of struct cr_ioc_process[count] */
	__u32 count;
	__u32 ret_count; /* how many there are; at most count were written */
};

/* A run of pages as in a PAGES record of the context file, without its checksum. */
struct cr_ioc_run {
	__u64 ret_addr;
	__u64 ret_bytes;
};

/*
 * Content of the private memory in [start, end): anonymous pages that are not zero, and pages of private file mappings that were written to. Nothing is
 * faulted in that was never there. Pages go back to back to buf, their addresses to runs. A run lies in one area. Begin again at ret_next until it
 * is end. With pid 0 the memory is the caller's own: at any time, without a request.
 */
struct cr_ioc_pages {
	__s32 pid;
	__u32 flags; /* 0 */
	__u64 start;
	__u64 end;
	__u64 buf;
	__u64 buf_bytes;
	__u64 runs; /* address of struct cr_ioc_run[max_runs] */
	__u32 max_runs;
	__u32 ret_runs;
	__u64 ret_bytes;
	__u64 ret_next; /* also set with -EOPNOTSUPP: the area that cannot be read */
};

/* What an area is, in the letters of VmFlags in /proc/PID/smaps: bit, flag of the kernel, letters. */
#define CR_IOC_AREA_FLAGS(X) \
	X(0, VM_GROWSDOWN, "gd") \
	X(1, VM_NORESERVE, "nr") \
	X(2, VM_LOCKED, "lo") \
	X(3, VM_HUGEPAGE, "hg") \
	X(4, VM_NOHUGEPAGE, "nh") \
	X(5, VM_DONTDUMP, "dd") \
	X(6, VM_DONTCOPY, "dc") \
	X(7, VM_WIPEONFORK, "wf") \
	X(8, VM_MERGEABLE, "mg") \
	X(9, VM_RAND_READ, "rr") \
	X(10, VM_SEQ_READ, "sr") \
	X(11, VM_MAYWRITE, "mw") \
	X(12, VM_HUGETLB, "ht") \
	X(13, VM_IO, "io") \
	X(14, VM_PFNMAP, "pf") \
	X(15, VM_UFFD_MISSING, "um") \
	X(16, VM_UFFD_MINOR, "ui") \
	X(17, VM_SHADOW_STACK, "ss") \
	X(18, VM_SEALED, "sl")

#define CR_IOC_AREA_CONTENT (1ull << 63) /* it may have pages of its own */

struct cr_ioc_area {
	__u64 ret_start;
	__u64 ret_end;
	__u64 ret_flags;
	__u32 ret_pkey;
	__u32 ret_pad;
};

/* The caller's own areas that end behind start. Begin again at ret_next until ret_n is less than max. */
struct cr_ioc_areas {
	__u64 start;
	__u64 areas; /* address of struct cr_ioc_area[max] */
	__u32 max;
	__u32 flags; /* 0 */
	__u32 ret_n;
	__u32 pad;
	__u64 ret_next;
};

struct cr_ioc_called {
	__u64 ret_request;
	__u64 ret_deadline_ns;
	__s32 ret_requester; /* pid in the caller's namespace, 0 when it has none there */
	__u32 pad;
};

struct cr_ioc_ready {
	__u64 request; /* from PHASE1_WAIT */
	__u32 outcome; /* enum cr_ioc_outcome */
	__u32 code;    /* TEMP, PERM: 0 to 65535; else 0 */
	__s32 ret_result; /* 0: the checkpoint is made, go on; else why not: -ECANCELED, -ETIMEDOUT, ... */
	__u32 pad;
};

#define CR_IOC_REASON_BYTES 96

struct cr_ioc_nocr {
	__s32 pid;    /* SET, CLEAR: a task, 0 is the caller; GET: a process */
	__u32 index;  /* GET: 0, 1, ... until -ENOENT; else 0 */
	__s32 ret_tid; /* GET: the task */
	__u32 pad;
	char reason[CR_IOC_REASON_BYTES]; /* SET: ends with a zero byte, not empty; GET: written */
};

#define CR_IOC_TYPE	    0xA1
#define CR_IOC_VERSION	    _IOR(CR_IOC_TYPE, 0x40, struct cr_ioc_version)
#define CR_IOC_REQUEST	    _IOWR(CR_IOC_TYPE, 0x41, struct cr_ioc_request)
#define CR_IOC_WAIT	    _IOWR(CR_IOC_TYPE, 0x42, struct cr_ioc_wait)
#define CR_IOC_LIST	    _IOWR(CR_IOC_TYPE, 0x43, struct cr_ioc_list)
#define CR_IOC_RESUME	    _IO(CR_IOC_TYPE, 0x44)
#define CR_IOC_PAGES	    _IOWR(CR_IOC_TYPE, 0x45, struct cr_ioc_pages)
#define CR_IOC_AREAS	    _IOWR(CR_IOC_TYPE, 0x46, struct cr_ioc_areas)
#define CR_IOC_PHASE1	    _IO(CR_IOC_TYPE, 0x48)
#define CR_IOC_PHASE1_WAIT  _IOR(CR_IOC_TYPE, 0x49, struct cr_ioc_called)
#define CR_IOC_PHASE1_READY _IOWR(CR_IOC_TYPE, 0x4a, struct cr_ioc_ready)
#define CR_IOC_NOCR_SET	    _IOW(CR_IOC_TYPE, 0x50, struct cr_ioc_nocr)
#define CR_IOC_NOCR_CLEAR   _IOW(CR_IOC_TYPE, 0x51, struct cr_ioc_nocr)
#define CR_IOC_NOCR_GET	    _IOWR(CR_IOC_TYPE, 0x52, struct cr_ioc_nocr)

#ifdef __KERNEL__
#define CR_IOC_ASSERT(what) static_assert(what)
#else
#define CR_IOC_ASSERT(what) _Static_assert(what, #what)
#endif
CR_IOC_ASSERT(sizeof(struct cr_ioc_version) == 16);
CR_IOC_ASSERT(sizeof(struct cr_ioc_request) == 48);
CR_IOC_ASSERT(sizeof(struct cr_ioc_wait) == 40);
CR_IOC_ASSERT(sizeof(struct cr_ioc_process) == 16);
CR_IOC_ASSERT(sizeof(struct cr_ioc_list) == 16);
CR_IOC_ASSERT(sizeof(struct cr_ioc_run) == 16);
CR_IOC_ASSERT(sizeof(struct cr_ioc_pages) == 72);
CR_IOC_ASSERT(sizeof(struct cr_ioc_area) == 32);
CR_IOC_ASSERT(sizeof(struct cr_ioc_areas) == 40);
CR_IOC_ASSERT(sizeof(struct cr_ioc_called) == 24);
CR_IOC_ASSERT(sizeof(struct cr_ioc_ready) == 24);
CR_IOC_ASSERT(sizeof(struct cr_ioc_nocr) == 112);
#undef CR_IOC_ASSERT

#endif

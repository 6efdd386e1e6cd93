/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The net under the patched sites: a seccomp filter that looks at the address of the system-call instruction first.
 *
 * Only code in the window is concerned; the lower half, and programs that are executed natively later, pass in four instructions.
 * The filter is inherited by execve, so a process may find it installed: cr_filter_install() asks by a probe from the window. The floor
 * travels in the filter's return data.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"

#define DATA(field) ((uint32_t)offsetof(struct seccomp_data, field))
#define WINDOW_HI_FIRST ((uint32_t)(CR_WINDOW_BASE >> 32))
#define WINDOW_HI_LAST ((uint32_t)((CR_WINDOW_END - 1) >> 32))
#define PROGRAM_MAX 256

/* Always trapped when issued in the window. */
static const int trapped[] = {
	SYS_mmap, SYS_mremap, SYS_brk, SYS_shmat, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_execve, SYS_execveat, SYS_fork,
	SYS_readlink, SYS_readlinkat, SYS_close_range, SYS_rt_sigsuspend, SYS_rt_sigtimedwait,
	SYS_msgget, SYS_semget, SYS_semop, SYS_semtimedop,
};

/* Trapped in a restarted process too: they carry ids. */
static const int trapped_ids[] = {
	SYS_getpid, SYS_gettid, SYS_getppid, SYS_kill, SYS_tkill, SYS_tgkill, SYS_getpgid, SYS_setpgid, SYS_getsid, SYS_sched_getparam,
	SYS_sched_setparam, SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_sched_setaffinity, SYS_sched_getaffinity,
	SYS_sched_rr_get_interval, SYS_sched_setattr, SYS_sched_getattr, SYS_prlimit64, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
	SYS_pidfd_open, SYS_process_vm_readv, SYS_process_vm_writev, SYS_getpriority, SYS_setpriority, SYS_get_robust_list,
	SYS_wait4, SYS_waitid, SYS_getpgrp, SYS_setsid,
};

/* Trapped only when the argument that points to a signal mask is not NULL. */
static const struct {
	int nr, arg;
} trapped_masked[] = {
	{ SYS_ppoll, 3 }, { SYS_pselect6, 5 }, { SYS_epoll_pwait, 4 }, { SYS_epoll_pwait2, 4 },
};

/* Trapped only when the argument is NULL: sleeps that give no room for the remainder get some, so that a checkpoint does not lengthen them. */
static const struct {
	int nr, arg;
} trapped_null[] = {
	{ SYS_nanosleep, 1 }, { SYS_clock_nanosleep, 3 },
};

struct program {
	struct sock_filter f[PROGRAM_MAX];
	unsigned int n;
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	p->f[p->n++] = (struct sock_filter){ code, jt, jf, k };
}

#define LOAD(field) emit(p, BPF_LD | BPF_W | BPF_ABS, (field), 0, 0)
#define RET(v) emit(p, BPF_RET | BPF_K, (v), 0, 0)
#define JEQ(v, jt, jf) emit(p, BPF_JMP | BPF_JEQ | BPF_K, (v), (jt), (jf))
#define JGE(v, jt, jf) emit(p, BPF_JMP | BPF_JGE | BPF_K, (v), (jt), (jf))

/* A descriptor argument at or above the floor answers @error: those descriptors do not exist for the program. */
static void emit_fd(struct program *p, int nr, int arg, uint32_t floor, int error)
{
	JEQ((uint32_t)nr, 0, 5);
	LOAD(DATA(args) + (uint32_t)arg * 8);
	JGE(floor, 0, 2);
	JGE(0x80000000u, 1, 0);
	RET(SECCOMP_RET_ERRNO | (uint32_t)error);
	RET(SECCOMP_RET_ALLOW);
}

static void build(struct program *p, int floor, bool ids)
{
	uint32_t trap = SECCOMP_RET_TRAP | (uint32_t)floor;

	LOAD(DATA(arch));
	JEQ(AUDIT_ARCH_X86_64, 1, 0);
	RET(SECCOMP_RET_ALLOW);
	LOAD(DATA(instruction_pointer) + 4);
	JGE(WINDOW_HI_FIRST, 0, 1);
	JGE(WINDOW_HI_LAST + 1, 0, 1);
	RET(SECCOMP_RET_ALLOW);
	/* the blob's own system calls pass */
	JEQ(WINDOW_HI_FIRST, 0, 4);
	LOAD(DATA(instruction_pointer));
	JGE((uint32_t)CR_BLOB_ADDR, 0, 2);
	JGE((uint32_t)(CR_BLOB_ADDR + CR_BLOB_MAX_BYTES), 1, 0);
	RET(SECCOMP_RET_ALLOW);
	LOAD(DATA(nr));
	for (unsigned int i = 0; i < sizeof(trapped) / sizeof(trapped[0]); i++) {
		JEQ((uint32_t)trapped[i], 0, 1);
		RET(trap);
	}
	for (unsigned int i = 0; ids && i < sizeof(trapped_ids) / sizeof(trapped_ids[0]); i++) {
		JEQ((uint32_t)trapped_ids[i], 0, 1);
		RET(trap);
	}
	for (unsigned int i = 0; i < sizeof(trapped_masked) / sizeof(trapped_masked[0]); i++) {
		uint32_t arg = DATA(args) + (uint32_t)trapped_masked[i].arg * 8;

		JEQ((uint32_t)trapped_masked[i].nr, 0, 6);
		LOAD(arg);
		JEQ(0, 0, 2);
		LOAD(arg + 4);
		JEQ(0, 1, 0);
		RET(trap);
		RET(SECCOMP_RET_ALLOW);
	}
	for (unsigned int i = 0; i < sizeof(trapped_null) / sizeof(trapped_null[0]); i++) {
		uint32_t arg = DATA(args) + (uint32_t)trapped_null[i].arg * 8;

		JEQ((uint32_t)trapped_null[i].nr, 0, 6);
		LOAD(arg);
		JEQ(0, 0, 3);
		LOAD(arg + 4);
		JEQ(0, 0, 1);
		RET(trap);
		RET(SECCOMP_RET_ALLOW);
	}
	/* setting semaphores ends what is to be undone; who used one last is an id */
	JEQ(SYS_semctl, 0, 6);
	LOAD(DATA(args) + 16);
	JEQ(SETVAL, 2, 0);
	JEQ(SETALL, 1, 0);
	JEQ(ids ? GETPID : SETALL, 0, 1);
	RET(trap);
	RET(SECCOMP_RET_ALLOW);
	/* job control of a terminal */
	if (ids) {
		JEQ(SYS_ioctl, 0, 6);
		LOAD(DATA(args) + 8);
		JEQ(TIOCSPGRP, 2, 0);
		JEQ(TIOCGPGRP, 1, 0);
		JEQ(TIOCGSID, 0, 1);
		RET(trap);
		RET(SECCOMP_RET_ALLOW);
	}
	/* setting the limit of open files */
	JEQ(SYS_setrlimit, 0, 4);
	LOAD(DATA(args));
	JEQ(RLIMIT_NOFILE, 0, 1);
	RET(trap);
	RET(SECCOMP_RET_ALLOW);
	JEQ(SYS_prlimit64, 0, 4);
	LOAD(DATA(args) + 8);
	JEQ(RLIMIT_NOFILE, 0, 1);
	RET(trap);
	RET(SECCOMP_RET_ALLOW);
	/* a new process, not a thread */
	JEQ(SYS_clone, 0, 4);
	LOAD(DATA(args));
	emit(p, BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0);
	RET(trap);
	RET(SECCOMP_RET_ALLOW);
	/* libc falls back to clone, whose flags can be seen here */
	JEQ(SYS_clone3, 0, 1);
	RET(SECCOMP_RET_ERRNO | ENOSYS);
	JEQ(SYS_rseq, 0, 1);
	RET(SECCOMP_RET_ERRNO | ENOSYS);
	emit_fd(p, SYS_close, 0, (uint32_t)floor, EBADF);
	emit_fd(p, SYS_dup2, 1, (uint32_t)floor, EBADF);
	emit_fd(p, SYS_dup3, 1, (uint32_t)floor, EBADF);
	RET(SECCOMP_RET_ALLOW);
}

static volatile int probe_floor;

static void probe_handler(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;

	(void)sig;
	probe_floor = si->si_errno;
	uc->uc_mcontext.gregs[REG_RAX] = 0;
}

/* Floor of the filter that this process has inherited, or 0. */
static int inherited_floor(void)
{
	static const uint8_t code[] = { 0xb8, SYS_brk, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05, 0xc3 }; /* brk(0); ret */
	struct sigaction sa = { .sa_sigaction = probe_handler, .sa_flags = SA_SIGINFO }, old;
	void *page = mmap((void *)CR_MMAP_ADDR, CR_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	sigset_t set;

	if (page == MAP_FAILED)
		return 0;
	memcpy(page, code, sizeof(code));
	mprotect(page, CR_PAGE_BYTES, PROT_READ | PROT_EXEC);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigaction(SIGSYS, &sa, &old);
	probe_floor = 0;
	((void (*)(void))page)();
	sigaction(SIGSYS, &old, NULL);
	munmap(page, CR_PAGE_BYTES);
	return probe_floor;
}

int cr_filter_install(int floor, bool translate_ids, int *ret_floor, bool *ret_inherited, struct cr_err *err)
{
	struct program p = { .n = 0 };
	struct sock_fprog prog = { .filter = p.f };
	int have = inherited_floor();

	*ret_inherited = have > 0;
	if (ret_floor)
		*ret_floor = have > 0 ? have : floor;
	if (have > 0 && !translate_ids)
		return 0;
	if (have > 0 && have != floor)
		return cr_err_set(err, EINVAL, "this process runs under cr_run with descriptor floor %d, the context file needs %d: restart it from outside",
				  have, floor);
	build(&p, floor, translate_ids);
	prog.len = (unsigned short)p.n;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		return 0;
	/* not privileged: promise not to gain privileges by execve */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return cr_err_set(err, errno, "cannot set no_new_privs: %s", strerror(errno));
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return cr_err_set(err, errno, "cannot install the seccomp filter: %s; the kernel needs CONFIG_SECCOMP_FILTER", strerror(errno));
	return 0;
}

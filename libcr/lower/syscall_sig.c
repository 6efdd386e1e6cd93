/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls of the program that ompi-cr answers: one table of the numbers, entered from patched sites (cr_site_syscall) and from the
 * seccomp net (cr_sigsys).
 * Context: upper %fs, all signals blocked; no libc. Memory of the program is read and written by cr_copy_in and cr_copy_out alone.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/ipc.h"

#define AT_FDCWD_ (-100)
#define GETPID_ 11
#define SETVAL_ 16
#define SETALL_ 17
#define SEM_UNDO_ 0x1000
#define FORK_FLAGS 0x01300000UL /* CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID, CLONE_PARENT_SETTID */

static uint64_t pid_arg(uint64_t v)
{
	return (int)v > 0 ? (uint64_t)(int64_t)cr_id_to_kernel((int)v) : v;
}

/* What a call answers when that is an id. */
static long pid_result(long r)
{
	return r > 0 ? cr_id_to_program((int)r) : r;
}

static long group_result(long r)
{
	return r > 0 ? cr_id_group_to_program((int)r) : r;
}

static uint64_t group_arg(uint64_t v)
{
	return (int)v > 0 ? (uint64_t)(int64_t)cr_id_group_to_kernel((int)v) : v;
}

/* The target of kill(2): a process, or a group when it is negative. */
static uint64_t kill_arg(uint64_t v)
{
	int id = (int)v;

	return id < -1 ? (uint64_t)(int64_t)-cr_id_group_to_kernel(-id) : pid_arg(v);
}

/* Job control of a terminal carries ids of groups and sessions. */
static long emul_ioctl(uint64_t fd, uint64_t request, int32_t *arg)
{
	int32_t id;
	long r;

	if (request == TIOCSPGRP) {
		int32_t group;

		if (cr_copy_in(&group, arg, sizeof(group)) < 0)
			return -EFAULT;
		id = cr_id_group_to_kernel(group);
		return cr_sys3(SYS_ioctl, fd, request, &id);
	}
	r = cr_sys3(SYS_ioctl, fd, request, &id);
	if (r < 0)
		return r;
	id = cr_id_group_to_program(id);
	return cr_copy_out(arg, &id, sizeof(id));
}

static int is_self_exe(const char *path)
{
	static const char self[] = "/proc/self/exe";
	const char *p = path;

	for (int i = 0; self[i] || p[i]; i++)
		if (self[i] != p[i]) {
			/* /proc/<own pid>/exe */
			int pid = 0, k = 6;

			for (int j = 0; j < 6; j++)
				if (path[j] != self[j])
					return 0;
			while (path[k] >= '0' && path[k] <= '9' && k < 16)
				pid = pid * 10 + (path[k++] - '0');
			return pid && pid == CR_PRIVATE->program_pid && path[k] == '/' && path[k + 1] == 'e' && path[k + 2] == 'x' &&
			       path[k + 3] == 'e' && !path[k + 4];
		}
	return 1;
}

/* The program's own path when @path says "this program" in the kernel's words, which would be the launcher. */
static const char *own_path(const char *path)
{
	char name[32]; /* long enough for the names that matter */

	return cr_copy_string(name, path, sizeof(name)) > 0 && is_self_exe(name) && CR_PRIVATE->exe[0] ? CR_PRIVATE->exe : path;
}

static long emul_readlink(uint64_t dir, const char *path, char *buf, uint64_t bytes)
{
	if (own_path(path) != path) {
		uint64_t n = 0;

		if ((int)bytes <= 0)
			return -EINVAL;
		while (n < (uint32_t)bytes && CR_PRIVATE->exe[n])
			n++;
		return cr_copy_out(buf, CR_PRIVATE->exe, n) < 0 ? -EFAULT : (long)n;
	}
	return cr_sys4(SYS_readlinkat, dir, path, buf, bytes);
}

/* The limit of open files cannot go above the floor: what lies there is the lower half's. As if the system had set it so. */
static long emul_prlimit(uint64_t pid, uint64_t resource, const uint64_t *set, uint64_t *old)
{
	uint64_t given[2], capped[2];

	if (resource != 7 /* RLIMIT_NOFILE */ || !set || (pid && (int)pid != CR_PRIVATE->program_pid))
		return cr_sys4(SYS_prlimit64, (uint64_t)(int64_t)cr_id_to_kernel((int)pid), resource, set, old);
	if (cr_copy_in(given, set, sizeof(given)) < 0)
		return -EFAULT;
	capped[0] = given[0] > (uint64_t)cr_lower.fd_floor ? (uint64_t)cr_lower.fd_floor : given[0];
	capped[1] = given[1];
	if (given[0] > given[1])
		return -EINVAL;
	return cr_sys4(SYS_prlimit64, 0, resource, capped, old);
}

static long emul_close_range(uint64_t first, uint64_t last, uint64_t flags)
{
	uint64_t floor = (uint64_t)cr_lower.fd_floor;

	if (first > last)
		return -EINVAL;
	if (first >= floor)
		return 0;
	return cr_sys3(SYS_close_range, first, last >= floor ? floor - 1 : last, flags);
}

static long emul_get(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	long id = cr_sys3(nr, a, b, c);

	if (id >= 0)
		cr_ipc_note_use(cr_lower.ipc, nr == SYS_msgget ? CR_IPC_QUEUE : CR_IPC_SEMAPHORES, (int)id);
	return id;
}

static long emul_semctl(uint64_t id, uint64_t number, uint64_t command, uint64_t arg)
{
	long r = cr_sys4(SYS_semctl, id, number, command, arg);

	if (r >= 0 && ((int)command == SETVAL_ || (int)command == SETALL_)) {
		cr_ipc_note_set(cr_lower.ipc, (int)id, (int)command == SETALL_ ? -1 : (int)number);
		cr_ipc_note_use(cr_lower.ipc, CR_IPC_SEMAPHORES, (int)id);
	}
	return (int)command == GETPID_ ? pid_result(r) : r;
}

/* The call itself, for numbers that cannot block. */
static long dispatch(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	switch (nr) {
	case SYS_mmap: {
		long r = cr_emul_mmap(a, b, c, d, e, f);

		if (r >= 0 && (c & PROT_EXEC) && (int)e >= 0 && (d & MAP_FIXED) && (d & MAP_PRIVATE))
			cr_patch_text((uint64_t)r, ((uint64_t)r + b + CR_PAGE_BYTES - 1) & ~(CR_PAGE_BYTES - 1), (int)e, (int)c);
		return r;
	}
	case SYS_mremap:
		return cr_emul_mremap(a, b, c, d, e);
	case SYS_brk:
		return cr_emul_brk(a);
	case SYS_shmat:
		return cr_emul_shmat(a, b, c);
	case SYS_rt_sigaction:
		return cr_emul_sigaction((int)a, (void *)b, (void *)c, d);
	case SYS_readlink:
		return emul_readlink((uint64_t)AT_FDCWD_, (void *)a, (void *)b, c);
	case SYS_readlinkat:
		return emul_readlink(a, (void *)b, (void *)c, d);
	case SYS_close_range:
		return emul_close_range(a, b, c);
	case SYS_setrlimit:
		return emul_prlimit(0, a, (void *)b, 0);
	case SYS_prlimit64:
		return emul_prlimit(a, b, (void *)c, (void *)d);
	case SYS_msgget:
		return emul_get(nr, a, b, 0);
	case SYS_semget:
		return emul_get(nr, a, b, c);
	case SYS_semctl:
		return emul_semctl(a, b, c, d);
	/* ids */
	case SYS_getpid:
		return CR_PRIVATE->program_pid;
	case SYS_gettid:
		return cr_id_to_program((int)cr_sys0(SYS_gettid));
	case SYS_getppid: {
		long r = cr_sys0(SYS_getppid);

		return r == cr_lower.kernel_ppid ? CR_PRIVATE->program_ppid : pid_result(r);
	}
	case SYS_kill:
		return cr_sys2(nr, kill_arg(a), b);
	case SYS_getpgrp: case SYS_setsid:
		return group_result(cr_sys0(nr));
	case SYS_getpgid: case SYS_getsid:
		return group_result(cr_sys1(nr, pid_arg(a)));
	case SYS_ioctl:
		return b == TIOCSPGRP || b == TIOCGPGRP || b == TIOCGSID ? emul_ioctl(a, b, (void *)c) : cr_sys3(nr, a, b, c);
	case SYS_tkill: case SYS_sched_getparam: case SYS_sched_setparam:
	case SYS_sched_getscheduler: case SYS_sched_setscheduler: case SYS_sched_setaffinity: case SYS_sched_getaffinity:
	case SYS_sched_rr_get_interval: case SYS_sched_setattr: case SYS_sched_getattr: case SYS_rt_sigqueueinfo:
	case SYS_pidfd_open: case SYS_process_vm_readv: case SYS_process_vm_writev: case SYS_get_robust_list:
		return cr_sys6(nr, pid_arg(a), b, c, d, e, f);
	case SYS_setpgid:
		return cr_sys2(nr, pid_arg(a), group_arg(b));
	case SYS_tgkill: case SYS_rt_tgsigqueueinfo:
		return cr_sys6(nr, pid_arg(a), pid_arg(b), c, d, e, f);
	case SYS_getpriority: case SYS_setpriority:
		return cr_sys6(nr, a, a == 0 ? pid_arg(b) : a == 1 /* of a group */ ? group_arg(b) : b, c, d, e, f);
	default:
		return cr_sys6(nr, a, b, c, d, e, f);
	}
}

/* regs: as cr_blob_site pushed them: rbp rbx r9 r8 r10 rdx rsi rdi rax(number) rcx(return address) */
long cr_site_syscall(const uint64_t *regs, uint64_t *mask)
{
	if (regs[8] == SYS_rt_sigprocmask)
		return cr_emul_sigprocmask(mask, (int)regs[7], (void *)regs[6], (void *)regs[5], regs[4]);
	return dispatch((long)regs[8], regs[7], regs[6], regs[5], regs[4], regs[3], regs[2]);
}

/* The trapped context goes on in window code, which issues the call @nr with the registers as they are, behind the net. */
static void by_blob(ucontext_t *uc, long nr, uint64_t mask)
{
	greg_t *g = uc->uc_mcontext.gregs;
	static uint64_t blob_syscall;

	if (!blob_syscall)
		blob_syscall = cr_blob_symbol("cr_blob_syscall");
	g[REG_RCX] = g[REG_RIP];
	g[REG_R11] = (greg_t)mask;
	g[REG_RAX] = nr;
	g[REG_RIP] = (greg_t)blob_syscall;
}

/*
 * Calls that wait with a signal mask must be executed by window code, or a thread in them could not be frozen. The trapped context is
 * rewritten to run cr_blob_syscall on a copy of the mask without our signals. Sleeps without room for the remainder get some there. Stack layout: see cr_blob_syscall.
 */
static void masked_wait(ucontext_t *uc, long nr)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t frame = (uint64_t)g[REG_RSP] - 176; /* made by the blob, see there */
	uint64_t mask = 0, arg[2];
	int reg = -1;

	switch (nr) {
	case SYS_rt_sigsuspend: case SYS_rt_sigtimedwait: /* of the latter: the set that is waited for */
		reg = REG_RDI;
		break;
	case SYS_ppoll:
		reg = REG_R10;
		break;
	case SYS_epoll_pwait: case SYS_epoll_pwait2:
		reg = REG_R8;
		break;
	case SYS_pselect6:
		if (cr_copy_in(arg, (void *)g[REG_R9], sizeof(arg)) < 0 || (arg[0] && arg[1] == 8 && cr_copy_in(&mask, (void *)arg[0], sizeof(mask)) < 0)) {
			g[REG_RAX] = -EFAULT;
			return;
		}
		if (arg[0] && arg[1] == 8)
			g[REG_R9] = (greg_t)(frame + 16);
		break;
	case SYS_nanosleep:
		g[REG_RSI] = (greg_t)(frame + 8);
		break;
	case SYS_clock_nanosleep:
		g[REG_R10] = (greg_t)(frame + 8);
		break;
	default:
		break;
	}
	if (reg >= 0) {
		if (cr_copy_in(&mask, (void *)g[reg], sizeof(mask)) < 0) {
			g[REG_RAX] = -EFAULT;
			return;
		}
		g[reg] = (greg_t)(frame + 8);
	}
	by_blob(uc, nr, mask & ~CR_RESERVED_MASK);
}

/* In cr_blob_wait; an image of a version without it has neither a family nor what there is to undo. @own: see there. */
static void by_blob_wait(ucontext_t *uc, long nr, uint64_t own)
{
	static uint64_t blob_wait;

	if (!blob_wait)
		blob_wait = cr_blob_symbol("cr_blob_wait");
	by_blob(uc, nr, own);
	if (blob_wait)
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)blob_wait;
}

/* wait4 and waitid: the id that is waited for, and what is found, by way of the blob. */
static void wait_child(ucontext_t *uc, long nr)
{
	greg_t *g = uc->uc_mcontext.gregs;
	greg_t own = g[REG_RDI];

	if (nr == SYS_wait4) {
		g[REG_RDI] = (greg_t)kill_arg((uint64_t)g[REG_RDI]);
	} else {
		own = g[REG_RSI];
		if (g[REG_RDI] == 1 /* P_PID */)
			g[REG_RSI] = (greg_t)pid_arg((uint64_t)own);
		else if (g[REG_RDI] == 2 /* P_PGID */)
			g[REG_RSI] = (greg_t)group_arg((uint64_t)own);
	}
	by_blob_wait(uc, nr, (uint64_t)own);
}

/* What a process takes with SEM_UNDO the kernel tells nobody: it is noted when the operation is done. Who only waits uses the set too. */
static void sem_operate(ucontext_t *uc, long nr)
{
	greg_t *g = uc->uc_mcontext.gregs;

	cr_ipc_note_use(cr_lower.ipc, CR_IPC_SEMAPHORES, (int)g[REG_RDI]);
	by_blob_wait(uc, nr, (uint64_t)g[REG_RSI]);
}

/* Operations that were done: struct sembuf is three times 16 bits. */
static void sem_done(int id, const uint16_t *ops, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint16_t op[3];

		if (cr_copy_in(op, ops + 3 * i, sizeof(op)) < 0)
			return;
		if (op[2] & SEM_UNDO_)
			cr_ipc_note_undo(cr_lower.ipc, id, op[0], -(int16_t)op[1]);
	}
}

/* The frame of cr_blob_wait: what the call has found, in the program's words; what it has done to semaphores. */
long cr_wait_done(uint64_t *frame)
{
	long nr = (long)frame[4], found = (long)frame[5];
	int32_t info[5] = { 0 }; /* the head of siginfo_t: si_pid is the last */

	if (found < 0)
		return found;
	if (nr == SYS_semop || nr == SYS_semtimedop) {
		sem_done((int)frame[14], (const uint16_t *)frame[6], frame[7]);
		return found;
	}
	if (nr == SYS_wait4) {
		int kernel = (int)found;

		found = pid_result(found);
		cr_id_forget(kernel);
	} else if (frame[7] && cr_copy_in(info, (void *)frame[7], sizeof(info)) == 0 && info[4] > 0) {
		int kernel = info[4];

		info[4] = cr_id_to_program(kernel);
		cr_copy_out((char *)frame[7] + 16, &info[4], sizeof(info[4]));
		cr_id_forget(kernel);
	}
	return found;
}

void cr_sigsys(int sig, siginfo_t *si, void *ucp)
{
	ucontext_t *uc = ucp;
	greg_t *g = uc->uc_mcontext.gregs;
	long nr = si->si_syscall;

	if (si->si_code != 1 /* SYS_SECCOMP */ || !cr_is_upper((uint64_t)g[REG_RIP])) {
		/* Somebody else's SIGSYS: the program's own action, if it has one. */
		void (*handler)(int, siginfo_t *, void *) = (void *)CR_PRIVATE->actions[SIGSYS].handler;

		if ((uint64_t)handler > 1)
			handler(sig, si, ucp);
		return;
	}
	switch (nr) {
	case SYS_rt_sigsuspend: case SYS_ppoll: case SYS_epoll_pwait: case SYS_epoll_pwait2: case SYS_pselect6: case SYS_rt_sigtimedwait:
	case SYS_nanosleep: case SYS_clock_nanosleep:
		masked_wait(uc, nr);
		return;
	case SYS_wait4: case SYS_waitid:
		wait_child(uc, nr);
		return;
	case SYS_semop: case SYS_semtimedop:
		sem_operate(uc, nr);
		return;
	case SYS_rt_sigprocmask: /* the mask that counts is the one that sigreturn puts back */
		g[REG_RAX] = cr_emul_sigprocmask((uint64_t *)&uc->uc_sigmask, (int)g[REG_RDI], (void *)g[REG_RSI], (void *)g[REG_RDX], (uint64_t)g[REG_R10]);
		return;
	case SYS_clone: case SYS_fork:
		if (nr == SYS_clone && ((uint64_t)g[REG_RDI] & ~FORK_FLAGS) != SIGCHLD) {
			g[REG_RAX] = -EINVAL; /* new namespaces, shared tables: not what fork() can do */
			return;
		}
		g[REG_RAX] = cr_lower_fork(nr == SYS_clone ? (uint64_t)g[REG_R10] : 0, nr == SYS_clone ? (uint64_t)g[REG_RDI] : SIGCHLD,
					   nr == SYS_clone ? (uint64_t)g[REG_RDX] : 0);
		if (nr == SYS_clone && g[REG_RAX] == 0 && g[REG_RSI])
			g[REG_RSP] = g[REG_RSI]; /* clone(fn, stack, ...): the child goes on there */
		return;
	case SYS_execve: case SYS_execveat: {
		uint64_t mask;
		long r = CR_EXEC_NATIVE;

		__builtin_memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
		if (nr == SYS_execve)
			r = cr_emul_execve(own_path((void *)g[REG_RDI]), (void *)g[REG_RSI], (void *)g[REG_RDX], mask);
		else if ((int)g[REG_RDI] == AT_FDCWD_ && !g[REG_R8])
			r = cr_emul_execve(own_path((void *)g[REG_RSI]), (void *)g[REG_RDX], (void *)g[REG_R10], mask);
		/* The new image has the mask of this thread: the program's own is in force again only there. */
		if (r == CR_EXEC_NATIVE)
			by_blob(uc, nr, 0);
		else
			g[REG_RAX] = r;
		return;
	}
	default:
		g[REG_RAX] = dispatch(nr, (uint64_t)g[REG_RDI], (uint64_t)g[REG_RSI], (uint64_t)g[REG_RDX], (uint64_t)g[REG_R10],
				      (uint64_t)g[REG_R8], (uint64_t)g[REG_R9]);
	}
}

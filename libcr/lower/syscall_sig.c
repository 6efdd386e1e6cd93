/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls of the program that ompi-cr answers: one table of the numbers, entered from patched sites (cr_site_syscall) and from the
 * seccomp net (cr_sigsys).
 * Context: upper %fs; no libc. From a patched site signals are open; from SIGSYS all are blocked.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

#include "libcr/arch/x86_64/raw.h"

#define AT_FDCWD_ (-100)
#define FORK_FLAGS 0x01300000UL /* CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID, CLONE_PARENT_SETTID */

static uint64_t pid_arg(uint64_t v)
{
	return (int)v > 0 ? (uint64_t)(int64_t)cr_id_to_kernel((int)v) : v;
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

static long emul_readlink(uint64_t dir, const char *path, char *buf, uint64_t bytes)
{
	if (path && is_self_exe(path) && CR_PRIVATE->exe[0]) {
		uint64_t n = 0;

		if ((int64_t)bytes <= 0)
			return -EINVAL;
		for (; n < bytes && CR_PRIVATE->exe[n]; n++)
			buf[n] = CR_PRIVATE->exe[n];
		return (long)n;
	}
	return cr_sys4(SYS_readlinkat, dir, path, buf, bytes);
}

/* The limit of open files cannot go above the floor: what lies there is the lower half's. As if the system had set it so. */
static long emul_prlimit(uint64_t pid, uint64_t resource, const uint64_t *set, uint64_t *old)
{
	uint64_t capped[2];

	if (resource != 7 /* RLIMIT_NOFILE */ || !set || (pid && (int)pid != CR_PRIVATE->program_pid))
		return cr_sys4(SYS_prlimit64, (uint64_t)(int64_t)cr_id_to_kernel((int)pid), resource, set, old);
	capped[0] = set[0] > (uint64_t)cr_lower.fd_floor ? (uint64_t)cr_lower.fd_floor : set[0];
	capped[1] = set[1];
	if (set[0] > set[1])
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
	case SYS_rt_sigprocmask:
		return cr_emul_sigprocmask((int)a, (void *)b, (void *)c, d);
	case SYS_execve:
		return cr_emul_execve((void *)a, (void *)b, (void *)c);
	case SYS_execveat:
		if ((int)a == AT_FDCWD_ && !e)
			return cr_emul_execve((void *)b, (void *)c, (void *)d);
		return cr_sys6(nr, a, b, c, d, e, f);
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
	/* ids */
	case SYS_getpid:
		return CR_PRIVATE->program_pid;
	case SYS_gettid:
		return cr_id_to_program((int)cr_sys0(SYS_gettid));
	case SYS_getppid: {
		long r = cr_sys0(SYS_getppid);

		return r == cr_lower.kernel_ppid ? CR_PRIVATE->program_ppid : r;
	}
	case SYS_kill: case SYS_tkill: case SYS_getpgid: case SYS_getsid: case SYS_sched_getparam: case SYS_sched_setparam:
	case SYS_sched_getscheduler: case SYS_sched_setscheduler: case SYS_sched_setaffinity: case SYS_sched_getaffinity:
	case SYS_sched_rr_get_interval: case SYS_sched_setattr: case SYS_sched_getattr: case SYS_rt_sigqueueinfo:
	case SYS_pidfd_open: case SYS_process_vm_readv: case SYS_process_vm_writev: case SYS_get_robust_list:
		return cr_sys6(nr, pid_arg(a), b, c, d, e, f);
	case SYS_tgkill: case SYS_rt_tgsigqueueinfo: case SYS_setpgid:
		return cr_sys6(nr, pid_arg(a), pid_arg(b), c, d, e, f);
	case SYS_getpriority: case SYS_setpriority:
		return cr_sys6(nr, a, a == 0 ? pid_arg(b) : b, c, d, e, f);
	default:
		return cr_sys6(nr, a, b, c, d, e, f);
	}
}

/* regs: as cr_blob_site pushed them: rbp rbx r9 r8 r10 rdx rsi rdi rax(number) rcx(return address) */
long cr_site_syscall(uint64_t *regs)
{
	return dispatch((long)regs[8], regs[7], regs[6], regs[5], regs[4], regs[3], regs[2]);
}

/*
 * Calls that wait with a signal mask must be executed by window code, or a thread in them could not be frozen. The trapped context is
 * rewritten to run cr_blob_syscall on a copy of the mask without our signals. Sleeps without room for the remainder get some there. Stack layout: see cr_blob_syscall.
 */
static void masked_wait(ucontext_t *uc, long nr)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t frame = (uint64_t)g[REG_RSP] - 176; /* made by the blob, see there */
	static uint64_t blob_syscall;
	const uint64_t *mask = NULL;

	if (!blob_syscall)
		blob_syscall = cr_blob_symbol("cr_blob_syscall");
	switch (nr) {
	case SYS_rt_sigsuspend: case SYS_rt_sigtimedwait: /* of the latter: the set that is waited for */
		mask = (void *)g[REG_RDI];
		g[REG_RDI] = (greg_t)(frame + 8);
		break;
	case SYS_ppoll:
		mask = (void *)g[REG_R10];
		g[REG_R10] = (greg_t)(frame + 8);
		break;
	case SYS_epoll_pwait: case SYS_epoll_pwait2:
		mask = (void *)g[REG_R8];
		g[REG_R8] = (greg_t)(frame + 8);
		break;
	case SYS_pselect6: {
		const uint64_t *arg = (void *)g[REG_R9];

		if (arg[0] && arg[1] == 8) {
			mask = (void *)arg[0];
			g[REG_R9] = (greg_t)(frame + 16);
		}
		break;
	}
	case SYS_nanosleep:
		g[REG_RSI] = (greg_t)(frame + 8);
		break;
	case SYS_clock_nanosleep:
		g[REG_R10] = (greg_t)(frame + 8);
		break;
	default:
		break;
	}
	g[REG_RCX] = g[REG_RIP];
	g[REG_R11] = mask ? (greg_t)(*mask & ~CR_RESERVED_MASK) : 0;
	g[REG_RAX] = nr;
	g[REG_RIP] = (greg_t)blob_syscall;
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
	case SYS_rt_sigprocmask: {
		/* The mask that counts is the one that sigreturn puts back. */
		const uint64_t *set = (void *)g[REG_RSI];
		uint64_t *old = (void *)g[REG_RDX], *cur = (uint64_t *)&uc->uc_sigmask, before = *cur, new;

		if (g[REG_R10] != 8) {
			g[REG_RAX] = -EINVAL;
			return;
		}
		if (set) {
			new = *set & ~CR_RESERVED_MASK;
			if ((int)g[REG_RDI] == SIG_BLOCK)
				*cur |= new;
			else if ((int)g[REG_RDI] == SIG_UNBLOCK)
				*cur &= ~new;
			else if ((int)g[REG_RDI] == SIG_SETMASK)
				*cur = new;
			else {
				g[REG_RAX] = -EINVAL;
				return;
			}
			*cur &= ~(1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1));
		}
		if (old)
			*old = before;
		g[REG_RAX] = 0;
		return;
	}
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
		/* The new image starts with the mask of this thread: put the program's own one in force for the call. */
		uint64_t all = ~0UL, unused = 0, was;
		int64_t off = CR_PRIVATE->gate_tp_offset;
		uint64_t *mark = off ? (uint64_t *)(cr_rdfsbase() + (uint64_t)off) : &unused;
		long r;

		/* A handler may run meanwhile, above frames of the lower half: as behind a patched site. */
		was = *mark;
		*mark = (uint64_t)&all;
		cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &uc->uc_sigmask, 0, 8);
		r = dispatch(nr, (uint64_t)g[REG_RDI], (uint64_t)g[REG_RSI], (uint64_t)g[REG_RDX], (uint64_t)g[REG_R10], (uint64_t)g[REG_R8],
			     (uint64_t)g[REG_R9]);
		cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
		*mark = was;
		g[REG_RAX] = r;
		return;
	}
	default:
		g[REG_RAX] = dispatch(nr, (uint64_t)g[REG_RDI], (uint64_t)g[REG_RSI], (uint64_t)g[REG_RDX], (uint64_t)g[REG_R10],
				      (uint64_t)g[REG_R8], (uint64_t)g[REG_R9]);
	}
}

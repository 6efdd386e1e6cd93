/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's signal actions and masks, and the handler that stops a thread for a checkpoint.
 *
 * The kernel never holds an address of the program's handler: it holds the blob's trampoline, which looks at %fs first. SIGSYS and
 * CR_SIGNUM are never blocked, ignored or replaced by the program.
 * Context: any %fs, any signal state; no libc.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/prctl.h>

#include "libcr/arch/x86_64/fs.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/image/thread_payload.h"

#define SA_RESTORER_FLAG 0x04000000UL

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

static uint64_t blob_signal, blob_signal_end, blob_stop, blob_restorer, blob_syscall_done;
static uint64_t blob_wait, blob_wait_call, blob_wait_done, blob_wait_mask, blob_wait_out;

long cr_emul_sigaction(int sig, const struct cr_ksigaction *act, struct cr_ksigaction *old, uint64_t set_bytes)
{
	struct cr_private *p = CR_PRIVATE;
	struct cr_ksigaction given, knew, kold, previous;
	uint64_t handler;
	long r;

	if (set_bytes != 8 || sig < 1 || sig >= CR_NSIG)
		return -EINVAL;
	if (act) {
		if (cr_copy_in(&given, act, sizeof(given)) < 0)
			return -EFAULT;
		act = &given;
	}
	previous = p->actions[sig];
	handler = p->handlers[sig];
	if (sig == SIGSYS || sig == CR_SIGNUM) { /* remembered, never installed */
		if (act)
			p->actions[sig] = *act;
		return old ? cr_copy_out(old, &previous, sizeof(previous)) : 0;
	}
	if (act) {
		knew = *act;
		knew.mask &= ~CR_RESERVED_MASK;
		p->actions[sig] = *act;
		if (act->handler > 1) {
			p->handlers[sig] = act->handler;
			knew.handler = blob_signal;
		}
	}
	r = cr_sys4(SYS_rt_sigaction, sig, act ? &knew : 0, old ? &kold : 0, 8);
	if (r < 0) {
		if (act) {
			p->actions[sig] = previous;
			p->handlers[sig] = handler;
		}
		return r;
	}
	return old ? cr_copy_out(old, kold.handler == blob_signal ? &previous : &kold, sizeof(kold)) : 0;
}

long cr_emul_sigprocmask(uint64_t *mask, int how, const uint64_t *set, uint64_t *old, uint64_t set_bytes)
{
	uint64_t before = *mask, given;

	if (set_bytes != 8)
		return -EINVAL;
	if (set) {
		if (cr_copy_in(&given, set, sizeof(given)) < 0)
			return -EFAULT;
		given &= ~(CR_RESERVED_MASK | 1UL << (SIGKILL - 1) | 1UL << (SIGSTOP - 1));
		if (how == SIG_BLOCK)
			*mask |= given;
		else if (how == SIG_UNBLOCK)
			*mask &= ~given;
		else if (how == SIG_SETMASK)
			*mask = given;
		else
			return -EINVAL;
	}
	return old ? cr_copy_out(old, &before, sizeof(before)) : 0;
}

/* A signal of the program was delivered to a thread that belongs to the lower half: the program's first thread takes it. */
void cr_forward_signal(int sig, siginfo_t *si)
{
	long pid = cr_sys0(SYS_getpid);

	cr_sys4(SYS_rt_tgsigqueueinfo, pid, pid, sig, si);
}

static struct cr_slot *slot_find(int tid)
{
	uint32_t n = cr_lower.n_slots;

	for (uint32_t i = 0; i < n; i++)
		if (cr_lower.slots[i].tid == tid)
			return &cr_lower.slots[i];
	return NULL;
}

/* The kernel tells where the alternate stack is, not whether the interrupted code ran on it. */
static bool on_altstack(const ucontext_t *uc)
{
	return (uint64_t)uc->uc_mcontext.gregs[REG_RSP] - (uint64_t)uc->uc_stack.ss_sp < uc->uc_stack.ss_size;
}

/*
 * Handlers of the program that interrupted a function of the lower half which needs no crossing, so no record tells of it: clocks, board_notify.
 * An entry is the thread's until its handler has returned to the function; @sp is the function's.
 */
#define OVER_MAX 1024
static struct {
	volatile int32_t tid;
	volatile uint64_t sp;
} over[OVER_MAX];
static volatile uint32_t over_lost; /* handlers that found no free entry: no thread can be frozen meanwhile */

long cr_over_enter(void *ucp)
{
	const greg_t *g = ((ucontext_t *)ucp)->uc_mcontext.gregs;
	int tid = (int)cr_sys0(SYS_gettid);

	if (cr_is_upper((uint64_t)g[REG_RIP]))
		return -1;
	for (int i = 0; i < OVER_MAX; i++) {
		int32_t nobody = 0;

		if (!over[i].tid && __atomic_compare_exchange_n(&over[i].tid, &nobody, tid, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
			over[i].sp = (uint64_t)g[REG_RSP];
			return i;
		}
	}
	__atomic_fetch_add(&over_lost, 1, __ATOMIC_SEQ_CST);
	return OVER_MAX;
}

void cr_over_leave(long mark)
{
	if (mark == OVER_MAX)
		__atomic_fetch_sub(&over_lost, 1, __ATOMIC_SEQ_CST);
	else
		__atomic_store_n(&over[mark].tid, 0, __ATOMIC_SEQ_CST);
}

static bool over_any(int tid, const ucontext_t *uc)
{
	uint64_t sp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];

	for (int i = 0; i < OVER_MAX; i++) {
		if (over[i].tid != tid)
			continue;
		if (sp <= over[i].sp || on_altstack(uc))
			return true;
		over[i].tid = 0; /* a handler left it by longjmp */
	}
	return over_lost > 0;
}

/* Was the thread interrupted where the program's own code runs and nothing of the lower half lies on its stack? */
static bool freezable(int tid, const ucontext_t *uc, uint64_t fs)
{
	uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP], sp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
	struct cr_thread_record *r;

	if (!cr_is_upper(rip) || !cr_in_window(fs) || rip - blob_signal < blob_signal_end - blob_signal || over_any(tid, uc))
		return false;
	r = cr_record_find(tid);
	if (r && r->t.depth > 0) {
		if (sp <= r->t.enter_sp || on_altstack(uc))
			return false;
		r->t.depth = 0; /* a handler left the lower half by longjmp */
	}
	return true;
}

/* Calls that end with EINTR after any handler, whatever its flags. */
static bool always_eintr(long nr)
{
	switch (nr) {
	case SYS_poll: case SYS_ppoll: case SYS_select: case SYS_pselect6: case SYS_epoll_wait: case SYS_epoll_pwait:
	case SYS_epoll_pwait2: case SYS_nanosleep: case SYS_clock_nanosleep: case SYS_pause: case SYS_rt_sigsuspend:
	case SYS_rt_sigtimedwait: case SYS_semop: case SYS_semtimedop: case SYS_msgrcv: case SYS_msgsnd: case SYS_io_getevents:
		return true;
	default:
		return false;
	}
}

/* Those that do so only in some states: with a timeout set, for one. */
static bool retry_after_eintr(long nr)
{
	switch (nr) {
	case SYS_futex: case SYS_recvfrom: case SYS_recvmsg: case SYS_sendto: case SYS_sendmsg: case SYS_accept: case SYS_accept4:
	case SYS_connect: case SYS_recvmmsg: case SYS_sendmmsg:
		return true;
	default:
		return always_eintr(nr);
	}
}

#define CODE_BYTES 12

/* The instructions that end at @ip, which are executed; what is before them in another page may not be there. */
static void code_before(const uint8_t *ip, uint8_t code[CODE_BYTES])
{
	uint64_t in_page = (((uint64_t)ip - 1) & (CR_PAGE_BYTES - 1)) + 1;
	int have = CODE_BYTES;

	if (in_page < CODE_BYTES && cr_copy_in(code, ip - CODE_BYTES, CODE_BYTES) == 0)
		return;
	if (in_page < CODE_BYTES)
		have = (int)in_page;
	for (int i = 0; i < CODE_BYTES; i++)
		code[i] = i < CODE_BYTES - have ? 0 : ip[i - CODE_BYTES];
}

/*
 * Is @ip right behind a system call of the program's whose number can be known? That number, or -1.
 * Known are: the blob's own calls, and "mov %rax,-16(%rsp); syscall" (the stub of libc's syscall(), patch_sig.c), whose number is in the red zone;
 * "mov $nr,%eax; syscall", also with libc's "mov N(%rsp),%edi" between. 41 b8 is another register.
 */
static long syscall_before(const uint8_t *ip, const greg_t *g)
{
	uint8_t c[CODE_BYTES];
	const uint8_t *nr = NULL;

	if ((uint64_t)ip == blob_syscall_done || (uint64_t)ip == blob_wait_done)
		return (long)((uint64_t *)g[REG_RSP])[4];
	code_before(ip, c);
	if (c[10] != 0x0f || c[11] != 0x05)
		return -1;
	if (c[5] == 0x48 && c[6] == 0x89 && c[7] == 0x44 && c[8] == 0x24 && c[9] == 0xf0)
		return (long)((uint64_t *)g[REG_RSP])[-2];
	if (c[5] == 0xb8 && c[4] != 0x41)
		nr = c + 6;
	else if (c[6] == 0x8b && c[7] == 0x7c && c[8] == 0x24 && c[1] == 0xb8 && c[0] != 0x41)
		nr = c + 2;
	return nr && !nr[2] && !nr[3] ? nr[0] | nr[1] << 8 : -1;
}

/*
 * A handler of the program is about to run.
 *
 * When the interrupted code stands right before a system call that waits, it may have been put back there by eintr_undo; then the signal
 * would not end the wait that it would have ended without a checkpoint. So the wait ends with EINTR, which is what a signal a moment later
 * would have done in any case.
 * An EINTR that belongs to the program is marked by a zero in %rcx, which holds the return address after every system call and is
 * the caller's to lose: eintr_undo leaves it alone.
 */
void cr_signal_at_syscall(void *ucp)
{
	greg_t *g = ((ucontext_t *)ucp)->uc_mcontext.gregs;
	const uint8_t *ip = (const uint8_t *)g[REG_RIP];

	if (!cr_is_upper((uint64_t)ip))
		return;
	if (g[REG_RAX] == -EINTR) {
		g[REG_RCX] = 0;
	} else if (always_eintr(g[REG_RAX]) && syscall_before(ip + 2, g) == g[REG_RAX]) {
		g[REG_RAX] = -EINTR;
		g[REG_RCX] = 0;
		g[REG_RIP] += 2;
	}
}

/*
 * A system call that our signal cut short with EINTR is issued again, so that the program never sees a checkpoint.
 * Sleeps go on with the remainder that the kernel has written where the program gave room for it.
 */
static void eintr_undo(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	const uint8_t *ip = (const uint8_t *)g[REG_RIP];
	long nr;

	if (g[REG_RAX] != -EINTR || g[REG_RCX] != g[REG_RIP])
		return;
	nr = syscall_before(ip, g);
	if (nr < 0 || !retry_after_eintr(nr))
		return;
	if (nr == SYS_nanosleep && g[REG_RSI])
		g[REG_RDI] = g[REG_RSI];
	if (nr == SYS_clock_nanosleep && !(g[REG_RSI] & 1 /* TIMER_ABSTIME */) && g[REG_R10])
		g[REG_RDX] = g[REG_R10];
	g[REG_RAX] = nr;
	g[REG_RIP] -= 2;
}

/*
 * A thread in cr_blob_wait: what has been translated there is the kernel's of this life. Before the call has ended the thread is put back to where
 * the program called, and calls anew; behind it what it has found is translated now.
 */
static void wait_settle(ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;
	uint64_t ip = (uint64_t)g[REG_RIP], *frame = (uint64_t *)g[REG_RSP];

	if (!blob_wait || ip < blob_wait || ip > blob_wait_mask)
		return;
	if (ip > blob_wait_call) {
		if (ip == blob_wait_done)
			frame[5] = (uint64_t)g[REG_RAX];
		frame[5] = (uint64_t)cr_wait_done(frame);
		g[REG_RIP] = (greg_t)blob_wait_out;
		return;
	}
	/* The registers still hold what the frame is being given, until the call has clobbered them. */
	if (ip == blob_wait_call) {
		g[REG_RCX] = (greg_t)frame[0];
		g[REG_R11] = (greg_t)frame[1];
	}
	if (ip > blob_wait)
		g[REG_RSP] += 176;
	g[g[REG_RAX] == SYS_wait4 ? REG_RDI : REG_RSI] = g[REG_R11];
	g[REG_RIP] = g[REG_RCX] - 2;
}

static void slot_event(void)
{
	__atomic_fetch_add(&cr_lower.event, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &cr_lower.event, FUTEX_WAKE_PRIVATE, 1);
}

static void slot_fill(struct cr_slot *s, ucontext_t *uc, uint64_t fs)
{
	s->uc = (uint64_t)uc;
	s->fs = fs;
	s->gs = cr_gs_get(cr_lower.fs_by_kernel);
	s->clear_child_tid = 0;
	cr_sys2(SYS_prctl, PR_GET_TID_ADDRESS, &s->clear_child_tid);
	s->robust_head = s->robust_bytes = 0;
	cr_sys3(SYS_get_robust_list, 0, &s->robust_head, &s->robust_bytes);
	cr_sys2(SYS_prctl, PR_GET_NAME, s->name);
	s->timer_slack_ns = (uint64_t)cr_sys1(SYS_prctl, PR_GET_TIMERSLACK);
	s->securebits = (uint32_t)cr_sys1(SYS_prctl, PR_GET_SECUREBITS);
	s->death_signal = 0;
	cr_sys2(SYS_prctl, PR_GET_PDEATHSIG, &s->death_signal);
}

/* Into s->taken, what s->take names and this thread's queue holds. */
static void pending_take(struct cr_slot *s)
{
	uint64_t set = s->take;
	uint64_t zero[2] = { 0, 0 };
	uint32_t n = 0;
	int tid = cr_id_to_program(s->tid);

	while (n < s->taken_room) {
		struct cr_sigpending_payload *p = &s->taken[n];
		long sig = cr_sys4(SYS_rt_sigtimedwait, &set, p->info, zero, 8);

		if (sig < 0)
			break;
		p->tid = tid;
		p->signo = (int)sig;
		n++;
	}
	s->n_taken = n;
	__atomic_store_n(&s->take, 0, __ATOMIC_SEQ_CST);
	slot_event();
}

/* In the order in which they were taken. Of a thread to itself the kernel takes any origin. */
void cr_pending_put_back(int kernel_tid)
{
	int tid = cr_id_to_program(kernel_tid), pid = cr_lower.kernel_pid;

	for (uint32_t i = 0; i < cr_lower.n_requeue; i++) {
		struct cr_sigpending_payload *p = &cr_lower.requeue[i];

		if (p->signo && !p->tid && kernel_tid == pid)
			cr_sys3(SYS_rt_sigqueueinfo, pid, p->signo, p->info);
		else if (p->signo && p->tid == tid)
			cr_sys4(SYS_rt_tgsigqueueinfo, pid, kernel_tid, p->signo, p->info);
		else
			continue;
		p->signo = 0;
	}
}

/* CR_SIGNUM, on whatever the thread was doing. Returns the function that the blob is to call next, in the program's half, or NULL. */
void *cr_stop_entry(int sig, siginfo_t *si, void *ucp)
{
	uint64_t fs = cr_fs_get(cr_lower.fs_by_kernel);
	int tid = (int)cr_sys0(SYS_gettid);
	ucontext_t *uc = ucp;
	struct cr_slot *s = slot_find(tid);
	uint64_t stop_signal = 1UL << (CR_SIGNUM - 1);
	/* In this order: a thaw that comes between ends the wait at once. */
	uint32_t release = __atomic_load_n(&cr_lower.release, __ATOMIC_SEQ_CST), mode = __atomic_load_n(&cr_lower.stop_mode, __ATOMIC_SEQ_CST);
	void *next = NULL;

	(void)sig;
	(void)si;
	if (!s || mode == CR_STOP_NONE) {
		if (cr_is_upper((uint64_t)uc->uc_mcontext.gregs[REG_RIP]))
			eintr_undo(uc);
		if (s) {
			s->acked = s->sent;
			slot_event();
		}
		return NULL;
	}
	if (!freezable(tid, uc, fs)) {
		s->acked = s->sent;
		slot_event();
		return NULL;
	}
	eintr_undo(uc);
	if (mode == CR_STOP_CLIENT || mode == CR_STOP_CALLBACKS) {
		if (!on_altstack(uc))
			next = mode == CR_STOP_CLIENT ? (void *)CR_GATE->stop_client : (void *)CR_GATE->callback_client;
		if (next) /* it is frozen there by a second one; the program's code lies below */
			cr_sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, &stop_signal, 0, 8);
		s->acked = s->sent;
		slot_event();
		return next;
	}
	wait_settle(uc);
	slot_fill(s, uc, fs);
	__atomic_store_n(&s->parked, 1, __ATOMIC_SEQ_CST);
	s->acked = s->sent;
	slot_event();
	while (cr_lower.release == release) {
		if (__atomic_load_n(&s->take, __ATOMIC_SEQ_CST))
			pending_take(s);
		cr_sys4(SYS_futex, &cr_lower.release, FUTEX_WAIT_PRIVATE, release, 0);
	}
	cr_pending_put_back(tid);
	__atomic_store_n(&s->parked, 0, __ATOMIC_SEQ_CST);
	slot_event();
	return NULL;
}

static int kernel_handler(int sig, uint64_t handler, uint64_t flags, uint64_t mask)
{
	struct cr_ksigaction a = { handler, flags | SA_RESTORER_FLAG, blob_restorer, mask };

	return (int)cr_sys4(SYS_rt_sigaction, sig, &a, 0, 8);
}

int cr_signals_install(void)
{
	uint64_t mask = CR_RESERVED_MASK;
	int rc;

	blob_signal = cr_blob_symbol("cr_blob_signal");
	blob_signal_end = cr_blob_symbol("cr_blob_signal_end");
	blob_stop = cr_blob_symbol("cr_blob_stop");
	blob_restorer = cr_blob_symbol("cr_blob_restorer");
	blob_syscall_done = cr_blob_symbol("cr_blob_syscall_done");
	blob_wait = cr_blob_symbol("cr_blob_wait");
	blob_wait_call = cr_blob_symbol("cr_blob_wait_call");
	blob_wait_done = cr_blob_symbol("cr_blob_wait_done");
	blob_wait_mask = cr_blob_symbol("cr_blob_wait_mask");
	blob_wait_out = cr_blob_symbol("cr_blob_wait_out");
	/* While SIGSYS is served nothing else may run on this stack: a handler of the program above lower-half frames could be frozen. */
	rc = kernel_handler(SIGSYS, (uint64_t)cr_sigsys, SA_SIGINFO, ~0UL);
	/* No second one before the handler has returned: the frame of a thread that answered "not now" may have the lower half's code below, which the
	 * blob's last instructions do not show. Not on the alternate stack: it may be too small for the MPI layer's stop. */
	if (!rc)
		rc = kernel_handler(CR_SIGNUM, blob_stop, SA_SIGINFO | SA_RESTART, ~CR_RESERVED_MASK);
	if (!rc)
		rc = (int)cr_sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, 0, 8);
	return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The blob: code of ours that lives in the window, is saved with the program, and may therefore lie under the program's stack frames
 * at a checkpoint. It is a complete ELF shared object, handed to the program as its vdso.
 *
 * It knows the lower half only through the slots at CR_PRIVATE_ADDR. Nothing here uses the stack protector, TLS or libc.
 */
#define __ASSEMBLER__ 1
#include "libcr/arch/x86_64/fs.h"
#include "libcr/lower/private.h"

	.text

	.macro slot off
	movabs	$(CR_PRIVATE_ADDR + \off), %rax
	jmp	*(%rax)
	.endm

	.macro vdso_fn name, off
	.globl	__vdso_\name
	.type	__vdso_\name, @function
	.p2align 4
__vdso_\name:
	slot	\off
	.size	__vdso_\name, . - __vdso_\name
	.weak	\name
	.set	\name, __vdso_\name
	.endm

	vdso_fn	clock_gettime, CR_P_CLOCK_GETTIME
	vdso_fn	gettimeofday, CR_P_GETTIMEOFDAY
	vdso_fn	time, CR_P_TIME
	vdso_fn	getcpu, CR_P_GETCPU
	vdso_fn	clock_getres, CR_P_CLOCK_GETRES

/* CR_SIGNUM arrives here. The lower half decides; 1 means: run the MPI layer's stop. Every frame left on the stack while the program is
 * frozen is window code. */
	.globl	cr_blob_stop
	.type	cr_blob_stop, @function
	.p2align 4
cr_blob_stop:
	subq	$8, %rsp
	movabs	$(CR_PRIVATE_ADDR + CR_P_STOP_ENTRY), %rax
	call	*(%rax)
	testq	%rax, %rax
	jz	1f
	call	*%rax
1:	addq	$8, %rsp
	ret
	.size	cr_blob_stop, . - cr_blob_stop

	.globl	cr_blob_restorer
	.type	cr_blob_restorer, @function
	.p2align 4
cr_blob_restorer:
	movl	$15, %eax
	syscall
	.size	cr_blob_restorer, . - cr_blob_restorer

/* %fs base := \base. Keeps all registers but %rax, %rcx and %r11. */
	.macro	set_fs base
	movabs	$(CR_PRIVATE_ADDR + CR_P_FS_BY_KERNEL), %rcx
	cmpq	$0, (%rcx)
	jne	71f
	wrfsbase \base
	jmp	72f
71:	pushq	%rdi
	pushq	%rsi
	movq	\base, %rsi
	movl	$CR_ARCH_SET_FS, %edi
	movl	$158, %eax			/* arch_prctl */
	syscall
	popq	%rsi
	popq	%rdi
72:
	.endm

/* Every handler of the program is entered here: (sig, info, uc), %rsp at the return address (the program's restorer). */
	.globl	cr_blob_signal
	.type	cr_blob_signal, @function
	.p2align 4
cr_blob_signal:
	/* Right before or right behind a system call: the lower half looks closer (cr_signal_at_syscall). Not for faults, whose address may
	 * not be readable: ILL TRAP BUS FPE SEGV SYS. */
	movabs	$0x800009b0, %rax
	btq	%rdi, %rax
	jc	1f
	movq	168(%rdx), %rcx			/* uc_mcontext.gregs[REG_RIP] */
	cmpb	$0x0f, (%rcx)			/* the next page may not be there */
	je	4f
	movl	%ecx, %eax
	andl	$0xfff, %eax
	cmpl	$2, %eax
	jb	4f				/* nor the one before */
	cmpw	$0x050f, -2(%rcx)
	jne	1f
4:	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	movq	%rdx, %rdi
	movabs	$(CR_PRIVATE_ADDR + CR_P_AT_SYSCALL), %rax
	call	*(%rax)
	popq	%rdx
	popq	%rsi
	popq	%rdi
1:	movslq	%edi, %rax
	movabs	$(CR_PRIVATE_ADDR + CR_P_HANDLERS), %rcx
	movq	(%rcx,%rax,8), %r8		/* the program's handler */
	movabs	$(CR_PRIVATE_ADDR + CR_P_FS_BY_KERNEL), %rcx
	cmpq	$0, (%rcx)
	jne	5f
	rdfsbase %rax
6:	movabs	$CR_WINDOW_BASE, %rcx
	movq	%rax, %r9
	subq	%rcx, %r9
	shrq	$45, %r9			/* the window is 2^45 bytes at a multiple of its size */
	jnz	2f
	movq	168(%rdx), %r9			/* the interrupted code: in the window too? */
	subq	%rcx, %r9
	shrq	$45, %r9
	jnz	7f
	jmp	*%r8
7:	/* A program at a fixed address, or a function of the lower half that needs no crossing, such as a clock: then the thread cannot be frozen
	 * before that function has returned, which is also behind the handler's return. So this is the last code before it, and is not frozen. */
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%r8
	subq	$8, %rsp
	movq	%rdx, %rdi
	movabs	$(CR_PRIVATE_ADDR + CR_P_OVER_ENTER), %rax
	call	*(%rax)
	addq	$8, %rsp
	popq	%r8
	popq	%rdx
	popq	%rsi
	popq	%rdi
	testq	%rax, %rax
	jns	8f
	jmp	*%r8
8:	movq	%rax, %rbx			/* rt_sigreturn restores it */
	subq	$8, %rsp
	call	*%r8
	movq	%rbx, %rdi
	movabs	$(CR_PRIVATE_ADDR + CR_P_OVER_LEAVE), %rax
	call	*(%rax)
	addq	$16, %rsp			/* with the return address */
	movl	$15, %eax			/* rt_sigreturn */
	syscall
2:	/* inside the lower half */
	testq	%rax, %rax
	jz	3f
	movabs	$(CR_PRIVATE_ADDR + CR_P_LOWER_TP_OFFSET), %rcx
	movq	(%rcx), %rcx
	movq	(%rax,%rcx), %rcx		/* struct cr_thread *; %fs base points to itself on x86-64 */
	testq	%rcx, %rcx
	jz	3f
	pushq	%rbx
	movq	%rax, %rbx			/* the lower %fs */
	movq	8(%rcx), %r9			/* upper_fs */
	set_fs	%r9
	call	*%r8
	set_fs	%rbx
	popq	%rbx
	ret
5:	pushq	%rdi
	pushq	%rsi
	pushq	$0
	movl	$CR_ARCH_GET_FS, %edi
	movq	%rsp, %rsi
	movl	$158, %eax			/* arch_prctl */
	syscall
	popq	%rax
	popq	%rsi
	popq	%rdi
	jmp	6b
3:	movabs	$(CR_PRIVATE_ADDR + CR_P_FORWARD_SIGNAL), %rax
	jmp	*(%rax)
	.globl	cr_blob_signal_end
cr_blob_signal_end:
	.size	cr_blob_signal, . - cr_blob_signal

/* A system call of the program that must be executed by window code because it may block. Entered by rewriting a trapped context: %rax number,
 * %rcx where to go on, %r11 a signal mask, arguments in place; they may point to the frame that is made here, below the red zone:
 * 0 where to go on, 8 the mask, 16 struct of pselect6 (its pointer and size), 32 the number. The handler itself writes nothing below the
 * program's stack pointer: its own signal frame is there. */
	.globl	cr_blob_syscall
	.type	cr_blob_syscall, @function
	.p2align 4
cr_blob_syscall:
	leaq	-176(%rsp), %rsp
	movq	%rcx, (%rsp)
	movq	%r11, 8(%rsp)
	leaq	8(%rsp), %rcx
	movq	%rcx, 16(%rsp)
	movq	$8, 24(%rsp)
	movq	%rax, 32(%rsp)
	syscall
	.globl	cr_blob_syscall_done
cr_blob_syscall_done:
	movq	(%rsp), %rcx
	leaq	176(%rsp), %rsp
	jmp	*%rcx
	.size	cr_blob_syscall, . - cr_blob_syscall

/* wait4 and waitid in a restarted process. Like cr_blob_syscall, but %r11 is the id as the program gave it, in %rdi or %rsi, where the lower half has
 * put the kernel's, and what the call found is translated before the program sees it: with all signals blocked, because that is done by the lower half. A thread that is frozen
 * before the call has ended is put back to its start, and one that is frozen right behind it is finished by the freeze (wait_settle in
 * signal_sig.c): after a restart the ids would be others. Frame: 0 where to go on, 8 the program's id, 32 the number, 40 the result, 48 %rsi, 56 %rdx,
 * 64 %r10, 72 %r8, 80 %r9, 88 and 96 masks, 104 %rbx, 112 %rdi. */
	.globl	cr_blob_wait
	.type	cr_blob_wait, @function
	.p2align 4
cr_blob_wait:
	leaq	-176(%rsp), %rsp
	movq	%rcx, (%rsp)
	movq	%r11, 8(%rsp)
	movq	%rax, 32(%rsp)
	movq	%rsi, 48(%rsp)
	movq	%rdx, 56(%rsp)
	movq	%r10, 64(%rsp)
	movq	%r8, 72(%rsp)
	movq	%r9, 80(%rsp)
	movq	%rdi, 112(%rsp)
	.globl	cr_blob_wait_call
cr_blob_wait_call:
	syscall
	.globl	cr_blob_wait_done
cr_blob_wait_done:
	movq	%rax, 40(%rsp)
	testq	%rax, %rax
	js	cr_blob_wait_out
	movq	$-1, 88(%rsp)
	movl	$14, %eax			/* rt_sigprocmask */
	movl	$2, %edi			/* SIG_SETMASK */
	leaq	88(%rsp), %rsi
	leaq	96(%rsp), %rdx
	movl	$8, %r10d
	.globl	cr_blob_wait_mask
cr_blob_wait_mask:
	syscall
	movq	%rbx, 104(%rsp)
	movq	%rsp, %rbx
	movq	%rsp, %rdi
	andq	$-64, %rsp
	movabs	$(CR_PRIVATE_ADDR + CR_P_WAIT_DONE), %rax
	call	*(%rax)
	movq	%rbx, %rsp
	movq	104(%rsp), %rbx
	movq	%rax, 40(%rsp)
	movl	$14, %eax
	movl	$2, %edi
	leaq	96(%rsp), %rsi
	xorl	%edx, %edx
	movl	$8, %r10d
	syscall
	.globl	cr_blob_wait_out
cr_blob_wait_out:
	movq	8(%rsp), %rdi
	movq	48(%rsp), %rsi
	cmpl	$61, 32(%rsp)			/* wait4 */
	je	1f
	movq	%rdi, %rsi
	movq	112(%rsp), %rdi
1:	movq	40(%rsp), %rax
	movq	56(%rsp), %rdx
	movq	64(%rsp), %r10
	movq	72(%rsp), %r8
	movq	80(%rsp), %r9
	movq	(%rsp), %rcx
	leaq	176(%rsp), %rsp
	jmp	*%rcx
	.size	cr_blob_wait, . - cr_blob_wait

/* A patched system-call site jumps to its stub, which loads the number into %eax and the return address into %rcx and comes here.
 * System-call ABI: all registers but %rax, %rcx, %r11 are kept; the red zone is skipped. */
	.globl	cr_blob_site
	.type	cr_blob_site, @function
	.p2align 4
cr_blob_site:
	leaq	-128(%rsp), %rsp
	pushq	%rcx
	pushq	%rax
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%r10
	pushq	%r8
	pushq	%r9
	pushq	%rbx
	pushq	%rbp
	movq	%rsp, %rbp
	/* All signals wait while the lower half is at work: a handler that runs above its frames could be saved there, or leave by siglongjmp. */
	pushq	$0				/* -8(%rbp): the thread's mask, for the lower half to change */
	pushq	$-1
	movl	$14, %eax			/* rt_sigprocmask */
	movl	$2, %edi			/* SIG_SETMASK */
	movq	%rsp, %rsi
	leaq	-8(%rbp), %rdx
	movl	$8, %r10d
	syscall
	andq	$-64, %rsp
	movq	%rbp, %rdi
	leaq	-8(%rbp), %rsi
	movabs	$(CR_PRIVATE_ADDR + CR_P_SYSCALL_ENTRY), %rax
	call	*(%rax)
	movq	%rax, -16(%rbp)
	leaq	-16(%rbp), %rsp
	movl	$14, %eax
	movl	$2, %edi
	leaq	-8(%rbp), %rsi
	xorl	%edx, %edx
	movl	$8, %r10d
	syscall
	movq	-16(%rbp), %rax
	movq	%rbp, %rsp
	popq	%rbp
	popq	%rbx
	popq	%r9
	popq	%r8
	popq	%r10
	popq	%rdx
	popq	%rsi
	popq	%rdi
	addq	$8, %rsp
	popq	%rcx
	leaq	128(%rsp), %rsp
	jmp	*%rcx
	.size	cr_blob_site, . - cr_blob_site

	.section .note.GNU-stack,"",@progbits

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lower half's own assembly: entering the program, upcalls, thread bootstrap, leaving through a signal frame. */

#define __ASSEMBLER__ 1
#include "libcr/arch/x86_64/fs.h"

	.text

/* %fs base := \base, as struct cr_thread in %rbx says; keeps all registers but %rax, %rcx, %rdi, %rsi, %r11 */
	.macro	set_fs base
	cmpq	$0, 32(%rbx)			/* fs_by_kernel */
	jne	71f
	wrfsbase \base
	jmp	72f
71:	movq	\base, %rsi
	movl	$CR_ARCH_SET_FS, %edi
	movl	$158, %eax			/* arch_prctl */
	syscall
72:
	.endm

/* void cr_enter_program(uint64_t sp, uint64_t entry) __attribute__((noreturn)): as the kernel leaves execve. */
	.globl	cr_enter_program
	.type	cr_enter_program, @function
cr_enter_program:
	movq	%rdi, %rsp
	movq	%rsi, %rbx
	movl	$CR_ARCH_SET_FS, %edi
	xorl	%esi, %esi
	movl	$158, %eax			/* arch_prctl */
	syscall
	movq	%rbx, %rcx
	xorl	%eax, %eax
	xorl	%edi, %edi
	xorl	%esi, %esi
	xorl	%edx, %edx
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r9d, %r9d
	xorl	%r10d, %r10d
	xorl	%r11d, %r11d
	jmp	*%rcx
	.size	cr_enter_program, . - cr_enter_program

/* A thunk puts its record {fn, arg} into %r10 and comes here on the lower %fs: run fn(arg, args) on the thread's upper %fs. */
	.globl	cr_upcall_enter
	.type	cr_upcall_enter, @function
cr_upcall_enter:
	pushq	%rbp
	movq	%rsp, %rbp
	pushq	%rbx
	pushq	%r12
	subq	$64, %rsp
	movq	%rdi, 0(%rsp)
	movq	%rsi, 8(%rsp)
	movq	%rdx, 16(%rsp)
	movq	%rcx, 24(%rsp)
	movq	%r8, 32(%rsp)
	movq	%r9, 40(%rsp)
	movq	16(%rbp), %rax
	movq	%rax, 48(%rsp)
	movq	24(%rbp), %rax
	movq	%rax, 56(%rsp)
	movq	cr_self@gottpoff(%rip), %rcx
	movq	%fs:(%rcx), %rbx
	testq	%rbx, %rbx
	jz	1f
	movq	%fs:0, %r12
	movq	8(%rbx), %rdx
	set_fs	%rdx
	movq	8(%r10), %rdi
	movq	%rsp, %rsi
	call	*(%r10)
	movq	%rax, %rdx
	set_fs	%r12
	movq	%rdx, %rax
	leaq	-16(%rbp), %rsp
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
1:	call	cr_upcall_no_thread@PLT
	ud2
	.size	cr_upcall_enter, . - cr_upcall_enter

/* void cr_sigreturn(void *uc) __attribute__((noreturn)): go on with the registers of a signal frame. */
	.globl	cr_sigreturn
	.type	cr_sigreturn, @function
cr_sigreturn:
	movq	%rdi, %rsp
	movl	$15, %eax
	syscall
	ud2
	.size	cr_sigreturn, . - cr_sigreturn

/* long cr_clone_thread(uint64_t flags, void *stack_top, int (*fn)(void *), void *arg) */
	.globl	cr_clone_thread
	.type	cr_clone_thread, @function
cr_clone_thread:
	andq	$-16, %rsi
	subq	$16, %rsi
	movq	%rdx, 0(%rsi)
	movq	%rcx, 8(%rsi)
	xorl	%edx, %edx
	xorl	%r10d, %r10d
	xorl	%r8d, %r8d
	movl	$56, %eax
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	xorl	%ebp, %ebp
	popq	%rax
	popq	%rdi
	call	*%rax
	movl	%eax, %edi
	movl	$60, %eax
	syscall
	ud2
	.size	cr_clone_thread, . - cr_clone_thread

	.section .note.GNU-stack,"",@progbits

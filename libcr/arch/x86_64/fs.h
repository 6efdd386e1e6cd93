/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The base of %fs: by the FSGSBASE instructions where the kernel allows them (AT_HWCAP2; the processor's word is not enough: a kernel that does not
 * know of them puts its own idea of the base back at the next context switch), else by arch_prctl().
 *
 * Nothing here touches TLS, errno or the stack below the caller's frame; any thread, any signal context, either half.
 */
#ifndef CR_FS_H
#define CR_FS_H

#define CR_ARCH_SET_GS 0x1001
#define CR_ARCH_SET_FS 0x1002
#define CR_ARCH_GET_FS 0x1003
#define CR_ARCH_GET_GS 0x1004
#define CR_HWCAP2_FSGSBASE 2

#ifndef __ASSEMBLER__

#include <stdint.h>
#include <sys/syscall.h>

static inline void cr_arch_prctl(uint64_t code, uint64_t value)
{
	long ret = SYS_arch_prctl;

	__asm__ volatile("syscall" : "+a"(ret) : "D"(code), "S"(value) : "rcx", "r11", "memory");
}

static inline void cr_fs_set(uint64_t base, uint64_t by_kernel)
{
	if (__builtin_expect(by_kernel != 0, 0))
		cr_arch_prctl(CR_ARCH_SET_FS, base);
	else
		__asm__ volatile("wrfsbase %0" : : "r"(base) : "memory");
}

/* Of a thread whatever it does, also before it has a TLS block. */
static inline uint64_t cr_fs_get(uint64_t by_kernel)
{
	uint64_t base = 0;

	if (by_kernel)
		cr_arch_prctl(CR_ARCH_GET_FS, (uint64_t)&base);
	else
		__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

static inline uint64_t cr_gs_get(uint64_t by_kernel)
{
	uint64_t base = 0;

	if (by_kernel)
		cr_arch_prctl(CR_ARCH_GET_GS, (uint64_t)&base);
	else
		__asm__ volatile("rdgsbase %0" : "=r"(base));
	return base;
}

/* Of a thread that has a TLS block: its first word points to itself (ABI). */
static inline uint64_t cr_fs_self(void)
{
	uint64_t base;

	__asm__ volatile("movq %%fs:0, %0" : "=r"(base));
	return base;
}

#endif
#endif

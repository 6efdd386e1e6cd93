/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System calls without libc: no errno, no TLS. Results are >= 0 or a negative errno. */
#ifndef CR_RAW_H
#define CR_RAW_H

#include <stdint.h>
#include <sys/syscall.h>

static inline long cr_sys6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	long ret;
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}

#define cr_sys0(nr) cr_sys6(nr, 0, 0, 0, 0, 0, 0)
#define cr_sys1(nr, a) cr_sys6(nr, (uint64_t)(a), 0, 0, 0, 0, 0)
#define cr_sys2(nr, a, b) cr_sys6(nr, (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define cr_sys3(nr, a, b, c) cr_sys6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define cr_sys4(nr, a, b, c, d) cr_sys6(nr, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)

#endif

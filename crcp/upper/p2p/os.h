/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The few system services of the point-to-point part, usable in a signal handler and on either %fs: no errno, no libc.
 */
#ifndef CRCP_P2P_OS_H
#define CRCP_P2P_OS_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

static inline long crcp_os_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

/* Wait until *word differs from @value, somebody wakes it, a signal comes or @timeout_ns is over (0: no limit). */
static inline void crcp_os_futex_wait(volatile uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000u), .tv_nsec = (long)(timeout_ns % 1000000000u) };

	/* Not FUTEX_PRIVATE_FLAG: a restarted process waits on the same word of a new address space; both ends then agree. */
	crcp_os_call6(SYS_futex, (long)word, FUTEX_WAIT, value, timeout_ns ? (long)&ts : 0, 0, 0);
}

static inline void crcp_os_futex_wake(volatile uint32_t *word)
{
	crcp_os_call6(SYS_futex, (long)word, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
}

static inline void crcp_os_yield(void)
{
	crcp_os_call6(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static inline uint64_t crcp_os_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void crcp_os_relax(void)
{
	__builtin_ia32_pause();
}

#endif

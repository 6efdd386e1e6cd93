/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program's memory as the kernel reads and writes it for a system call: a bad address is -EFAULT, not a fault.
 *
 * The kernel does the copying, by a call on the process itself; what lies on the stack page that is in use needs no such care.
 * Context: any %fs, any signal state; no libc.
 */
#include "libcr/lower/lower.h"

#include <errno.h>

#include "libcr/arch/x86_64/raw.h"

static void bytes_move(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i++)
		to[i] = from[i];
}

static bool in_stack_page(uint64_t addr, uint64_t bytes)
{
	uint64_t page = (uint64_t)__builtin_frame_address(0) & ~(CR_PAGE_BYTES - 1);

	return addr >= page && bytes <= CR_PAGE_BYTES && addr - page <= CR_PAGE_BYTES - bytes;
}

/* -EPERM, -ENOSYS: a sandbox does not let us; then it goes without the check. */
static long copy(long nr, uint64_t local, uint64_t program, uint64_t bytes)
{
	uint64_t here[2] = { local, bytes }, there[2] = { program, bytes };
	long r = cr_sys6(nr, (uint64_t)cr_sys0(SYS_getpid), (uint64_t)here, 1, (uint64_t)there, 1, 0);

	if (r == -EPERM || r == -ENOSYS)
		return -ENOSYS;
	return r == (long)bytes ? 0 : -EFAULT;
}

long cr_copy_in(void *to, const void *from, uint64_t bytes)
{
	if (!in_stack_page((uint64_t)from, bytes)) {
		long r = copy(SYS_process_vm_readv, (uint64_t)to, (uint64_t)from, bytes);

		if (r != -ENOSYS)
			return r;
	}
	bytes_move(to, from, bytes);
	return 0;
}

long cr_copy_out(void *to, const void *from, uint64_t bytes)
{
	if (!in_stack_page((uint64_t)to, bytes)) {
		long r = copy(SYS_process_vm_writev, (uint64_t)from, (uint64_t)to, bytes);

		if (r != -ENOSYS)
			return r;
	}
	bytes_move(to, from, bytes);
	return 0;
}

long cr_copy_string(char *to, const char *from, uint64_t room)
{
	for (uint64_t used = 0; used < room;) {
		uint64_t at = (uint64_t)from + used, part = CR_PAGE_BYTES - (at & (CR_PAGE_BYTES - 1));
		long r;

		if (part > room - used)
			part = room - used;
		r = cr_copy_in(to + used, (const char *)at, part);
		if (r < 0)
			return r;
		for (uint64_t end = used + part; used < end; used++)
			if (!to[used])
				return (long)used;
	}
	return -ENAMETOOLONG;
}

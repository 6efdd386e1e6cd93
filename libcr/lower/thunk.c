/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions of the program that the lower half may call: a thunk loads its record and enters cr_upcall_enter on the lower %fs.
 *
 * Records and code lie in one page each time, taken from the kernel directly: thunks are made on either %fs. A spin lock with all signals
 * blocked guards the free list.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"

struct thunk {
	uint8_t code[32]; /* movabs $record,%r10; movabs $cr_upcall_enter,%r11; jmp *%r11 */
	struct {
		cr_upcall_fn fn;
		void *arg;
	} record; /* cr_upcall_enter reads fn at 0, arg at 8 */
	struct thunk *next;
	uint64_t pad;
};

#define THUNK_PAGE_BYTES 65536UL

static struct thunk *free_list;
static volatile int lock;

static uint64_t list_lock(void)
{
	uint64_t all = ~0UL, old;

	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		cr_sys0(SYS_sched_yield);
	return old;
}

static void list_unlock(uint64_t old)
{
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0, 8);
}

void *cr_thunk_create(cr_upcall_fn fn, void *arg)
{
	uint64_t old = list_lock(), target = (uint64_t)cr_upcall_enter, record;
	struct thunk *t = free_list;

	if (!t) {
		long m = cr_sys6(SYS_mmap, 0, THUNK_PAGE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0);

		if (m < 0) {
			list_unlock(old);
			return NULL;
		}
		t = (struct thunk *)m;
		for (uint64_t i = 0; i < THUNK_PAGE_BYTES / sizeof(*t) - 1; i++)
			t[i].next = &t[i + 1];
	}
	free_list = t->next;
	list_unlock(old);
	t->record.fn = fn;
	t->record.arg = arg;
	record = (uint64_t)&t->record;
	t->code[0] = 0x49;
	t->code[1] = 0xba;
	__builtin_memcpy(t->code + 2, &record, 8);
	t->code[10] = 0x49;
	t->code[11] = 0xbb;
	__builtin_memcpy(t->code + 12, &target, 8);
	t->code[20] = 0x41;
	t->code[21] = 0xff;
	t->code[22] = 0xe3;
	return t;
}

void cr_thunk_destroy(void *thunk)
{
	struct thunk *t = thunk;
	uint64_t old;

	if (!t)
		return;
	old = list_lock();
	t->next = free_list;
	free_list = t;
	list_unlock(old);
}

void cr_upcall_no_thread(void)
{
	static const char text[] = "ompi-cr: the MPI library called a function of the program from a thread of its own; this is not supported\n";

	(void)!write(2, text, sizeof(text) - 1);
	abort();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock of the object lists, and the counted marks "cannot be checkpointed".  Held for a few loads and stores, never over a lower call.
 */
#include "crcp/upper/abi/objects.h"
#include "crcp/upper/p2p/os.h"

static int abi_lock;

void crcp_abi_lock(void)
{
	if (__builtin_expect(crcp.multiple, 0))
		while (__atomic_exchange_n(&abi_lock, 1, __ATOMIC_ACQUIRE))
			__builtin_ia32_pause();
}

void crcp_abi_unlock(void)
{
	if (__builtin_expect(crcp.multiple, 0))
		__atomic_store_n(&abi_lock, 0, __ATOMIC_RELEASE);
}

void crcp_below_lock(int *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		crcp_os_yield();
}

void crcp_below_unlock(int *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* One mark per kind: it stays while any object of the kind lives. The mark changes under the lock, in the order of the counts: else one thread's
 * clearing comes after another's setting. */
#define NOCR_ID(kind) (0x6d706900u + (unsigned int)(kind)) /* "mpi" and the kind */
static int marks[CRCP_NOCR_KINDS];

void crcp_nocr_add(enum crcp_nocr kind, const char *text)
{
	crcp_abi_lock();
	if (marks[kind]++ == 0 && CR_GATE->nocr_set)
		CR_GATE->nocr_set(NOCR_ID(kind), text);
	crcp_abi_unlock();
}

void crcp_nocr_drop(enum crcp_nocr kind)
{
	crcp_abi_lock();
	if (--marks[kind] == 0 && CR_GATE->nocr_clear)
		CR_GATE->nocr_clear(NOCR_ID(kind));
	crcp_abi_unlock();
}

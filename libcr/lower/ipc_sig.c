/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of who uses which System V object: entries are claimed by compare-and-swap and seen by readers when they are complete.
 * Context: upper %fs, all signals blocked; no libc. Several processes at a time.
 */
#include "libcr/lower/ipc.h"

#include <sys/syscall.h>

#include "libcr/arch/x86_64/raw.h"

#define BOOTTIME 7
#define STAT 2 /* IPC_STAT */

/* When this process began: what is older is another one's that had its number. */
static uint64_t begin_ns;

static uint64_t now_ns(void)
{
	int64_t ts[2] = { 0, 0 };

	cr_sys2(SYS_clock_gettime, BOOTTIME, ts);
	return (uint64_t)ts[0] * 1000000000 + (uint64_t)ts[1];
}

void cr_ipc_process_began(uint64_t at_ns)
{
	begin_ns = at_ns ? at_ns : now_ns();
}

static bool exists(enum cr_ipc_kind kind, int id)
{
	uint64_t room[32]; /* more than either structure */
	long r = kind == CR_IPC_QUEUE ? cr_sys3(SYS_msgctl, id, STAT, room) : cr_sys4(SYS_semctl, id, 0, STAT, room);

	return r != -22 /* EINVAL */ && r != -43 /* EIDRM */;
}

/* No room: what is about objects that are gone makes some. */
static void uses_purge(struct cr_ipc_table *t)
{
	for (int i = 0; i < CR_IPC_USES; i++) {
		struct cr_ipc_use *u = &t->uses[i];
		uint32_t kind = u->kind;

		if ((kind == CR_IPC_QUEUE || kind == CR_IPC_SEMAPHORES) && !exists((enum cr_ipc_kind)kind, u->id))
			__atomic_compare_exchange_n(&u->kind, &kind, CR_IPC_NONE, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

static void undos_purge(struct cr_ipc_table *t)
{
	for (int i = 0; i < CR_IPC_UNDOS; i++) {
		struct cr_ipc_undo *u = &t->undos[i];
		uint32_t used = 1;

		if (u->used == 1 && (!u->value || !exists(CR_IPC_SEMAPHORES, u->id)))
			__atomic_compare_exchange_n(&u->used, &used, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
}

static bool claim(volatile uint32_t *word)
{
	uint32_t none = 0;

	return !*word && __atomic_compare_exchange_n(word, &none, CR_IPC_WRITING, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

static bool use_add(struct cr_ipc_table *t, enum cr_ipc_kind kind, int id, int pid)
{
	for (int i = 0; i < CR_IPC_USES; i++) {
		struct cr_ipc_use *u = &t->uses[i];

		if (!claim(&u->kind))
			continue;
		u->id = id;
		u->pid = pid;
		u->time_ns = now_ns();
		__atomic_store_n(&u->kind, kind, __ATOMIC_SEQ_CST);
		return true;
	}
	return false;
}

void cr_ipc_note_use(struct cr_ipc_table *t, enum cr_ipc_kind kind, int id)
{
	int pid = (int)cr_sys0(SYS_getpid);

	if (!t)
		return;
	for (int i = 0; i < CR_IPC_USES; i++) {
		struct cr_ipc_use *u = &t->uses[i];

		if (u->kind == kind && u->id == id && u->pid == pid) {
			u->time_ns = now_ns();
			return;
		}
	}
	if (use_add(t, kind, id, pid))
		return;
	uses_purge(t);
	if (!use_add(t, kind, id, pid))
		t->lost = 1;
}

static bool undo_add(struct cr_ipc_table *t, int id, int number, int pid, int value)
{
	for (int i = 0; i < CR_IPC_UNDOS; i++) {
		struct cr_ipc_undo *u = &t->undos[i];

		if (!claim(&u->used))
			continue;
		u->id = id;
		u->number = number;
		u->pid = pid;
		u->value = value;
		u->time_ns = now_ns();
		__atomic_store_n(&u->used, 1, __ATOMIC_SEQ_CST);
		return true;
	}
	return false;
}

/* Threads of one process may be here at once, for one semaphore too: two entries of a process count together. */
void cr_ipc_note_undo(struct cr_ipc_table *t, int id, int number, int value)
{
	int pid = (int)cr_sys0(SYS_getpid);

	if (!t || !value)
		return;
	for (int i = 0; i < CR_IPC_UNDOS; i++) {
		struct cr_ipc_undo *u = &t->undos[i];

		if (u->used != 1 || u->id != id || u->number != number || u->pid != pid)
			continue;
		if (u->time_ns < begin_ns) {
			u->value = 0;
		} else {
			__atomic_fetch_add(&u->value, value, __ATOMIC_SEQ_CST);
			u->time_ns = now_ns();
			return;
		}
	}
	if (undo_add(t, id, number, pid, value))
		return;
	undos_purge(t);
	if (!undo_add(t, id, number, pid, value))
		t->lost = 1;
}

void cr_ipc_note_set(struct cr_ipc_table *t, int id, int number)
{
	for (int i = 0; t && i < CR_IPC_UNDOS; i++) {
		struct cr_ipc_undo *u = &t->undos[i];

		if (u->used == 1 && u->id == id && (number < 0 || u->number == number))
			__atomic_store_n(&u->value, 0, __ATOMIC_SEQ_CST);
	}
}

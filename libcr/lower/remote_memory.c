/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the memory service does to the memory of its own process.
 *
 * Memory that was exposed is the MPI layer's and mapped as long as it is exposed; other memory is the program's and may be anything, so
 * the kernel copies there. Elements are combined under the lock word that the ranks of the node use too; its holders never wait.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/arch/x86_64/raw.h"

#define PIECE_BYTES 16384u

struct exposed {
	struct exposed *next;
	uint64_t at, bytes;
};

static struct {
	volatile int lock; /* of the list */
	struct exposed *list;
} memory;

static void word_lock(volatile uint32_t *word)
{
	unsigned int turns = 0;

	while (__atomic_exchange_n(word, 1, __ATOMIC_ACQUIRE)) {
		if (++turns % 64 == 0)
			cr_sys0(SYS_sched_yield);
		__builtin_ia32_pause();
	}
}

static void word_unlock(volatile uint32_t *word)
{
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

static void list_lock(void)
{
	while (__atomic_exchange_n(&memory.lock, 1, __ATOMIC_ACQUIRE))
		cr_sys0(SYS_sched_yield);
}

static void list_unlock(void)
{
	__atomic_store_n(&memory.lock, 0, __ATOMIC_RELEASE);
}

int cr_remote_expose(uint64_t at, uint64_t bytes)
{
	struct exposed *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->at = at;
	e->bytes = bytes;
	list_lock();
	e->next = memory.list;
	memory.list = e;
	list_unlock();
	return 0;
}

void cr_remote_hide(uint64_t at)
{
	struct exposed *e, **link;

	list_lock();
	for (link = &memory.list; (e = *link) != NULL && e->at != at; link = &e->next)
		;
	if (e)
		*link = e->next;
	list_unlock();
	free(e);
}

bool cr_remote_is_exposed(uint64_t at, uint64_t bytes)
{
	bool found = false;

	list_lock();
	for (const struct exposed *e = memory.list; e && !found; e = e->next)
		found = at >= e->at && bytes <= e->bytes && at - e->at <= e->bytes - bytes;
	list_unlock();
	return found;
}

int cr_remote_store(uint64_t at, const void *from, uint64_t bytes)
{
	if (!cr_remote_is_exposed(at, bytes))
		return (int)cr_copy_out((void *)at, from, bytes);
	memcpy((void *)at, from, bytes);
	return 0;
}

int cr_remote_load(void *to, uint64_t at, uint64_t bytes)
{
	if (!cr_remote_is_exposed(at, bytes))
		return (int)cr_copy_in(to, (const void *)at, bytes);
	memcpy(to, (const void *)at, bytes);
	return 0;
}

static int piece(const struct cr_remote_head *h, uint64_t at, const char *in, uint64_t bytes)
{
	char copy[PIECE_BYTES] __attribute__((aligned(64)));
	void *inout = cr_remote_is_exposed(at, bytes) ? (void *)at : copy;
	int rc = inout == copy ? cr_remote_load(copy, at, bytes) : 0;

	if (rc == 0)
		rc = cr_remote_reduce(in, inout, bytes / cr_remote_kind_bytes(h->datatype), h->datatype, h->op);
	return rc == 0 && inout == copy ? cr_remote_store(at, copy, bytes) : rc;
}

static int combine_run(const struct cr_remote_head *h, const struct cr_remote_run *run, const char *in)
{
	uint64_t size = cr_remote_kind_bytes(h->datatype), most;
	int rc = 0;

	if (h->op == CR_REMOTE_OP_NONE)
		return 0;
	if (h->op == CR_REMOTE_OP_REPLACE)
		return cr_remote_store(run->at, in, run->bytes);
	most = PIECE_BYTES / size * size;
	for (uint64_t done = 0, n; done < run->bytes && !rc; done += n) {
		n = run->bytes - done < most ? run->bytes - done : most;
		rc = piece(h, run->at + done, in + done, n);
	}
	return rc;
}

/* Is there such an operation, and are the runs made of whole elements? */
static bool is_known(const struct cr_remote_head *h, const struct cr_remote_run *runs, uint32_t n)
{
	uint32_t size = cr_remote_kind_bytes(h->datatype);

	if (h->op == CR_REMOTE_OP_REPLACE || h->op == CR_REMOTE_OP_NONE)
		return true;
	for (uint32_t i = 0; i < n && size; i++)
		if (runs[i].bytes % size)
			return false;
	return size != 0;
}

int cr_remote_combine(const struct cr_remote_head *h, const struct cr_remote_run *runs, const void *data, void *old)
{
	struct cr_remote_run only = { h->at, h->bytes };
	uint32_t n = h->runs ? h->runs : 1;
	uint64_t at = 0;
	int rc = 0;

	if (!h->runs)
		runs = &only;
	if (!is_known(h, runs, n) || !cr_remote_is_exposed(h->lock, 4))
		return -EPROTO;
	word_lock((volatile uint32_t *)h->lock);
	for (uint32_t i = 0; i < n && !rc; at += runs[i].bytes, i++) {
		if (h->flags & CR_REMOTE_FETCH)
			rc = cr_remote_load((char *)old + at, runs[i].at, runs[i].bytes);
		if (!rc)
			rc = combine_run(h, &runs[i], (const char *)data + at);
	}
	word_unlock((volatile uint32_t *)h->lock);
	return rc;
}

int cr_remote_swap(const struct cr_remote_head *h, const void *data, void *old)
{
	int rc;

	if (!cr_remote_is_exposed(h->lock, 4))
		return -EPROTO;
	word_lock((volatile uint32_t *)h->lock);
	rc = cr_remote_load(old, h->at, h->bytes);
	if (!rc && memcmp(old, data, h->bytes) == 0)
		rc = cr_remote_store(h->at, (const char *)data + h->bytes, h->bytes);
	word_unlock((volatile uint32_t *)h->lock);
	return rc;
}

int cr_remote_word(const struct cr_remote_head *h, uint64_t *ret_value)
{
	volatile uint64_t *word = (volatile uint64_t *)h->at;
	uint64_t seen = h->value[0];

	if (!cr_remote_is_exposed(h->at, 8))
		return -EFAULT;
	if (h->type == CR_REMOTE_ADD) {
		*ret_value = __atomic_add_fetch(word, h->value[0], __ATOMIC_SEQ_CST);
	} else {
		__atomic_compare_exchange_n(word, &seen, h->value[1], false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		*ret_value = seen;
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Collective clocks: each rank counts the collectives that it enters, per communicator, and asks before it enters one while a
 * checkpoint converges.
 *
 * The increment and the agent's change of the order meet as in Dekker's algorithm: we increment, fence, then look at the order; the agent
 * changes the order, fences, then reads the counts. So either it sees our count, or we see its order, and no rank enters a
 * collective that the computed cut does not know of.
 */
#include <sys/mman.h>

#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

#define CRCP_CLOCKS_MAX (1u << 18)
/* How long a thread keeps the one place to ask from while another thread wants to ask too. */
#define CRCP_ASK_NS 2000000u

static uint64_t crcp_mix(uint64_t h, uint64_t v)
{
	h ^= v + 0x9e3779b97f4a7c15ULL + (h << 6) + (h >> 2);
	h ^= h >> 30;
	h *= 0xbf58476d1ce4e5b9ULL;
	h ^= h >> 27;
	h *= 0x94d049bb133111ebULL;
	return h ^ (h >> 31);
}

static uint64_t crcp_mix_ranks(uint64_t h, const int *ranks, int n)
{
	int i;

	h = crcp_mix(h, (uint64_t)n);
	for (i = 0; i < n; i++)
		h = crcp_mix(h, (uint64_t)(uint32_t)ranks[i]);
	return h;
}

/* 0 marks a free slot. */
static uint64_t crcp_clock_valid(uint64_t id)
{
	return id ? id : 1;
}

uint64_t crcp_clock_id(uint64_t parent_id, uint64_t child, const int *world_ranks, int n)
{
	return crcp_clock_valid(crcp_mix_ranks(crcp_mix(crcp_mix(1, parent_id), child), world_ranks, n));
}

uint64_t crcp_clock_id_inter(uint64_t seed, const int *ranks_a, int n_a, const int *ranks_b, int n_b)
{
	uint64_t a = crcp_mix_ranks(2, ranks_a, n_a), b = crcp_mix_ranks(2, ranks_b, n_b);

	return crcp_clock_valid(crcp_mix(crcp_mix(crcp_mix(2, seed), a < b ? a : b), a < b ? b : a));
}

/* The array never moves while the agent reads it: all the room there will ever be is reserved at once, untouched. */
static struct cr_clock *crcp_clocks(void)
{
	void *m;

	if (!crcp.board.clocks) {
		m = mmap(NULL, CRCP_CLOCKS_MAX * sizeof(struct cr_clock), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (m != MAP_FAILED)
			crcp.board.clocks = m;
	}
	return crcp.board.clocks;
}

/* With the lock. NULL: no room. */
static struct cr_clock *crcp_clock_open(uint64_t id, uint32_t size)
{
	struct cr_clock *clocks = crcp_clocks();
	uint32_t used = crcp.board.clock_slots, i;

	if (!clocks)
		return NULL;
	for (i = crcp_p2p.clock_hint; i < used; i++)
		if (clocks[i].id == 0)
			break;
	if (i == CRCP_CLOCKS_MAX)
		return NULL;
	crcp_p2p.clock_hint = i + 1;
	clocks[i].count = 0;
	clocks[i].reported = 0;
	clocks[i].size = size;
	__atomic_store_n(&clocks[i].id, id, __ATOMIC_RELEASE);
	if (i == used)
		__atomic_store_n(&crcp.board.clock_slots, used + 1, __ATOMIC_RELEASE);
	return &clocks[i];
}

static struct cr_clock *crcp_clock_of(volatile uint64_t *count)
{
	return (struct cr_clock *)(void *)((char *)(uintptr_t)count - offsetof(struct cr_clock, count));
}

/* Who waits for all members of an object to have it, or none, hears of it. */
static void crcp_clock_tell(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (crcp.board.order != CR_ORDER_RUN)
		CR_GATE->board_notify();
}

void crcp_clock_attach(struct crcp_comm *c)
{
	uint32_t size = (uint32_t)(c->size + c->remote_size);
	struct cr_clock *clock;

	c->clock_count = NULL;
	if (size <= 1 || c->clock_id == 0)
		return;
	crcp_p2p_lock();
	clock = crcp_clock_open(c->clock_id, size | CR_CLOCK_OBJECT);
	crcp_p2p_unlock();
	if (clock)
		c->clock_count = &clock->count;
	else
		CR_GATE->nocr_set(CRCP_NOCR_CLOCKS, "more communicators are alive than ompi-cr counts collectives for");
	crcp_clock_tell();
}

void crcp_clock_detach(struct crcp_comm *c)
{
	struct cr_clock *clock;
	uint32_t index;

	if (!c->clock_count)
		return;
	crcp_p2p_lock();
	clock = crcp_clock_of(c->clock_count);
	index = (uint32_t)(clock - crcp.board.clocks);
	clock->size = 0;
	__atomic_store_n(&clock->id, 0, __ATOMIC_RELEASE);
	if (index < crcp_p2p.clock_hint)
		crcp_p2p.clock_hint = index;
	c->clock_count = NULL;
	crcp_p2p_unlock();
	crcp_clock_tell();
}

/* One thread asks at a time. */
static void crcp_ask_lock(void)
{
	while (crcp.multiple && __atomic_exchange_n(&crcp_p2p.ask_lock, 1, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_add(&crcp_p2p.ask_waiters, 1, __ATOMIC_RELAXED);
		crcp_os_yield();
		__atomic_fetch_sub(&crcp_p2p.ask_waiters, 1, __ATOMIC_RELAXED);
	}
}

static void crcp_ask_unlock(void)
{
	crcp.board.asking = 0;
	if (crcp.multiple)
		__atomic_store_n(&crcp_p2p.ask_lock, 0, __ATOMIC_RELEASE);
}

/* May this rank enter the collective that makes @clock reach @count? What was permitted or reported as entered is entered, whatever the
 * order is by now: others count on it. */
static bool crcp_may_enter(const struct cr_clock *clock, uint64_t count)
{
	if (crcp.board.order == CR_ORDER_RUN)
		return true;
	/* The agent may be writing another one: the clock is the same before and after the count is read. */
	if (__atomic_load_n(&crcp.board.permit_clock, __ATOMIC_SEQ_CST) == clock->id && __atomic_load_n(&crcp.board.permit_count, __ATOMIC_SEQ_CST) >= count &&
	    __atomic_load_n(&crcp.board.permit_clock, __ATOMIC_SEQ_CST) == clock->id)
		return true;
	/* After an increment that it did not see in time for an ask; once the order is STOP the agent reports no more. */
	return crcp.board.order >= CR_ORDER_STOP && clock->reported && (int32_t)(clock->reported - (uint32_t)count) >= 0;
}

/* Ask for (clock, count), with the increment made. True: enter; false: the order is STOP or later, or it is another thread's turn. */
static bool crcp_ask(const struct cr_clock *clock, uint64_t count)
{
	uint64_t begin = crcp_os_now_ns();
	unsigned int turns = 0;
	bool enter;

	crcp_ask_lock();
	enter = crcp_may_enter(clock, count);
	if (!enter) {
		crcp.board.ask_clock = clock->id;
		crcp.board.ask_count = count;
		__atomic_store_n(&crcp.board.asking, 1, __ATOMIC_SEQ_CST);
		crcp.board.state = crcp_p2p.waiters ? CR_RANK_WAITING : CR_RANK_BLOCKED; /* that another thread waits says more */
		CR_GATE->board_notify();
	}
	while (!enter && crcp.board.order < CR_ORDER_STOP) {
		/* Peers may be in the middle of a message with us. */
		crcp_lower_progress();
		if (++turns % 64 == 0) {
			if (crcp_p2p.ask_waiters && crcp_os_now_ns() - begin > CRCP_ASK_NS)
				break;
			crcp_os_yield();
		}
		if (turns > 20000)
			crcp_os_futex_wait(&crcp.board.order, CR_ORDER_CONVERGE, 100000);
		enter = crcp_may_enter(clock, count);
	}
	if (crcp.board.order < CR_ORDER_STOP)
		crcp.board.state = crcp_p2p.waiters ? CR_RANK_WAITING : CR_RANK_RUNNING;
	crcp_ask_unlock();
	if (enter)
		CR_GATE->board_notify(); /* entered: the coordinator waits to hear it */
	return enter;
}

/* @count: what this thread's increment made of @counter; another thread's may have come since. */
static void crcp_collective_slow(volatile uint64_t *counter, uint64_t count)
{
	struct cr_clock *clock = crcp_clock_of(counter);

	crcp_poll_some();
	while (!crcp_may_enter(clock, count)) {
		if (crcp.board.order == CR_ORDER_CONVERGE) {
			if (crcp_ask(clock, count))
				return;
			continue;
		}
		if (!crcp_stop_allowed()) {
			crcp_os_yield();
			continue;
		}
		/* Not entered: the count that is saved must not say so. */
		__atomic_fetch_sub(counter, 1, __ATOMIC_SEQ_CST);
		crcp_stop_serve();
		count = __atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
	}
	if (crcp.board.order != CR_ORDER_RUN)
		CR_GATE->board_notify();
}

void crcp_collective_enter(struct crcp_comm *c)
{
	volatile uint64_t *clock;
	uint64_t count;

	if (!c || !(clock = c->clock_count))
		return;
	count = __atomic_add_fetch(clock, 1, __ATOMIC_SEQ_CST);
	if (__builtin_expect(crcp.board.order != CR_ORDER_RUN, 0))
		crcp_collective_slow(clock, count);
}

void crcp_group_collective_enter(uint64_t clock_id, const int *world_ranks, int n)
{
	struct cr_clock *clock = NULL, *clocks;
	uint64_t count;
	uint32_t i;

	(void)world_ranks;
	if (n <= 1)
		return;
	crcp_p2p_lock();
	clocks = crcp.board.clocks;
	for (i = 0; clocks && i < crcp.board.clock_slots; i++)
		if (clocks[i].id == clock_id)
			break;
	if (clocks && i < crcp.board.clock_slots)
		clock = &clocks[i];
	else
		clock = crcp_clock_open(crcp_clock_valid(clock_id), (uint32_t)n);
	crcp_p2p_unlock();
	if (!clock)
		return;
	count = __atomic_add_fetch(&clock->count, 1, __ATOMIC_SEQ_CST);
	if (__builtin_expect(crcp.board.order != CR_ORDER_RUN, 0))
		crcp_collective_slow(&clock->count, count);
}

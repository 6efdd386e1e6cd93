/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collective cut. The rules and why they hold: cut.h. */
#include "snapc/cut.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/cr_board.h"

/* A communicator, as all reports together show it. */
struct cut_clock {
	uint64_t id;
	uint64_t target;
	uint32_t size;      /* 0: nobody has said it yet */
	bool object;        /* members that have it wait for those that do not, whatever its target */
	uint32_t reporters; /* ranks that report it now */
	uint32_t at_target; /* of them, those that have entered exactly target; counted by cut_count() */
};

struct cut_entry {
	uint32_t clock; /* index */
	uint64_t entered;
	uint64_t allowed; /* the rank cannot have entered more: its first report or a permit */
	uint64_t asked;   /* the last ask; its thread stands there, also while another one asks, until it has entered */
	uint64_t ask_age; /* running number of the report that brought it */
};

struct cut_rank {
	bool reported;
	bool asking; /* the ask that the rank shows now: */
	uint32_t state;
	uint32_t ask_clock; /* index */
	uint64_t ask_count;
	bool permitted;     /* the last permit sent: */
	uint32_t permit_clock;
	uint64_t permit_count;
	struct cut_entry *entries;
	uint32_t n;
};

struct snapc_cut {
	uint32_t nranks;
	struct cut_rank *ranks;
	struct cut_clock *clocks;
	uint32_t nclocks;
	uint32_t clock_room;
	uint32_t *slots; /* open addressing: index + 1 by id */
	uint32_t slot_mask;
	uint64_t reports;
	uint64_t changed_ns; /* last time that anything changed */
	uint32_t raises;
	uint32_t raise_width;
};

struct snapc_cut *snapc_cut_create(uint32_t ranks)
{
	struct snapc_cut *cut = calloc(1, sizeof(*cut));

	if (!cut)
		return NULL;
	cut->nranks = ranks;
	cut->ranks = calloc(ranks ? ranks : 1, sizeof(*cut->ranks));
	cut->slot_mask = 63;
	cut->slots = calloc(cut->slot_mask + 1, sizeof(*cut->slots));
	cut->raise_width = 1;
	if (!cut->ranks || !cut->slots) {
		snapc_cut_destroy(cut);
		return NULL;
	}
	return cut;
}

void snapc_cut_destroy(struct snapc_cut *cut)
{
	if (!cut)
		return;
	for (uint32_t r = 0; cut->ranks && r < cut->nranks; r++)
		free(cut->ranks[r].entries);
	free(cut->ranks);
	free(cut->clocks);
	free(cut->slots);
	free(cut);
}

static uint32_t *cut_slot(struct snapc_cut *cut, uint64_t id)
{
	uint64_t h = id * 0x9e3779b97f4a7c15u;
	uint32_t i = (uint32_t)(h >> 32) & cut->slot_mask;

	while (cut->slots[i] && cut->clocks[cut->slots[i] - 1].id != id)
		i = (i + 1) & cut->slot_mask;
	return &cut->slots[i];
}

static int cut_slots_grow(struct snapc_cut *cut)
{
	uint32_t mask = cut->slot_mask * 2 + 1;
	uint32_t *slots = calloc((size_t)mask + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	free(cut->slots);
	cut->slots = slots;
	cut->slot_mask = mask;
	for (uint32_t i = 0; i < cut->nclocks; i++)
		*cut_slot(cut, cut->clocks[i].id) = i + 1;
	return 0;
}

/* Index of the communicator @id, made when it is new; negative errno. */
static int64_t cut_clock_get(struct snapc_cut *cut, uint64_t id)
{
	uint32_t *slot = cut_slot(cut, id);

	if (*slot)
		return *slot - 1;
	if ((cut->nclocks + 1) * 2 > cut->slot_mask) {
		if (cut_slots_grow(cut) < 0)
			return -ENOMEM;
		slot = cut_slot(cut, id);
	}
	if (cut->nclocks == cut->clock_room) {
		uint32_t room = cut->clock_room ? cut->clock_room * 2 : 32;
		struct cut_clock *clocks = realloc(cut->clocks, room * sizeof(*clocks));

		if (!clocks)
			return -ENOMEM;
		cut->clocks = clocks;
		cut->clock_room = room;
	}
	cut->clocks[cut->nclocks] = (struct cut_clock){ .id = id };
	*slot = ++cut->nclocks;
	return cut->nclocks - 1;
}

static int cut_entry_order(const void *a, const void *b)
{
	const struct cut_entry *x = a, *y = b;

	return x->clock < y->clock ? -1 : x->clock > y->clock;
}

/*
 * What of a reported count has been entered.  The first report is believed.  Later ones may show an increment whose ask has not been
 * seen yet: without a permit it cannot have been entered.
 */
static void cut_judge(const struct cut_rank *r, struct cut_entry *entries, uint32_t n)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct cut_entry *e = &entries[i];

		while (k < r->n && r->entries[k].clock < e->clock)
			k++;
		e->allowed = !r->reported ? e->entered : k < r->n && r->entries[k].clock == e->clock ? r->entries[k].allowed : 0;
		if (r->permitted && r->permit_clock == e->clock && r->permit_count > e->allowed)
			e->allowed = r->permit_count;
		if (e->entered > e->allowed)
			e->entered = e->allowed;
	}
}

/* Read the table of one report into @entries (room for n + 1). Return: how many, or negative errno. */
static int64_t cut_read_entries(struct snapc_cut *cut, uint32_t rank, const struct cr_msg_clocks *head, const void *clocks,
				int64_t ask, struct cut_entry *entries, struct cr_err *err)
{
	struct cr_msg_clock in;
	uint32_t n = 0;
	int64_t index;

	for (uint32_t i = 0; i < head->n; i++) {
		memcpy(&in, (const char *)clocks + (size_t)i * sizeof(in), sizeof(in));
		if (!in.id || !in.size)
			continue;
		if (in.size > cut->nranks)
			return cr_err_set(err, EPROTO, "rank %u reports communicator %016" PRIx64 " with %u members in a job of %u ranks",
					  rank, in.id, in.size, cut->nranks);
		index = cut_clock_get(cut, in.id);
		if (index < 0)
			return cr_err_set(err, ENOMEM, "no memory for the collective clocks");
		if (cut->clocks[index].size && cut->clocks[index].size != in.size)
			return cr_err_set(err, EPROTO, "rank %u reports communicator %016" PRIx64 " with %u members, another rank with %u",
					  rank, in.id, in.size, cut->clocks[index].size);
		cut->clocks[index].size = in.size;
		cut->clocks[index].object = in.flags & CR_MSG_CLOCK_OBJECT;
		entries[n++] = (struct cut_entry){ .clock = (uint32_t)index, .entered = index == ask ? head->ask_count - 1 : in.count };
		if (index == ask)
			ask = -1;
	}
	if (ask >= 0) /* the clock was made after the table was read */
		entries[n++] = (struct cut_entry){ .clock = (uint32_t)ask, .entered = head->ask_count - 1 };
	qsort(entries, n, sizeof(*entries), cut_entry_order);
	for (uint32_t i = 1; i < n; i++)
		if (entries[i].clock == entries[i - 1].clock)
			return cr_err_set(err, EPROTO, "rank %u reports communicator %016" PRIx64 " twice", rank,
					  cut->clocks[entries[i].clock].id);
	return n;
}

/* Carry the asks of earlier reports on, those that have not been entered, and note the present one. */
static void cut_asks(const struct snapc_cut *cut, const struct cut_rank *r, const struct cr_msg_clocks *head, int64_t ask,
		     struct cut_entry *entries, uint32_t n)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct cut_entry *e = &entries[i];

		while (k < r->n && r->entries[k].clock < e->clock)
			k++;
		if (k < r->n && r->entries[k].clock == e->clock && r->entries[k].asked > e->entered) {
			e->asked = r->entries[k].asked;
			e->ask_age = r->entries[k].ask_age;
		}
		if (e->clock == ask && e->asked != head->ask_count) {
			e->asked = head->ask_count;
			e->ask_age = cut->reports;
		}
	}
}

/* Nothing has changed that the rules look at. Threads that ask in turn, each for the same as before, change nothing. */
static bool cut_same(const struct cut_rank *r, uint32_t state, const struct cut_entry *entries, uint32_t n)
{
	if (!r->reported || r->n != n || (r->state == CR_RANK_WAITING) != (state == CR_RANK_WAITING))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (r->entries[i].clock != entries[i].clock || r->entries[i].entered != entries[i].entered || r->entries[i].asked != entries[i].asked)
			return false;
	return true;
}

int snapc_cut_report(struct snapc_cut *cut, uint32_t rank, const struct cr_msg_clocks *head, const void *clocks, uint64_t now_ns,
		     struct cr_err *err)
{
	struct cut_entry *entries;
	struct cut_rank *r;
	int64_t ask = -1, n;
	bool same;

	if (rank >= cut->nranks)
		return cr_err_set(err, EINVAL, "there is no rank %u in a job of %u", rank, cut->nranks);
	if (head->asking) {
		if (!head->ask_clock || !head->ask_count)
			return cr_err_set(err, EPROTO, "rank %u asks for no collective", rank);
		ask = cut_clock_get(cut, head->ask_clock);
		if (ask < 0)
			return cr_err_set(err, ENOMEM, "no memory for the collective clocks");
	}
	entries = calloc((size_t)head->n + 1, sizeof(*entries));
	if (!entries)
		return cr_err_set(err, ENOMEM, "no memory for the collective clocks");
	n = cut_read_entries(cut, rank, head, clocks, ask, entries, err);
	if (n < 0) {
		free(entries);
		return (int)n;
	}
	r = &cut->ranks[rank];
	cut_judge(r, entries, (uint32_t)n);
	cut->reports++;
	cut_asks(cut, r, head, ask, entries, (uint32_t)n);
	same = cut_same(r, head->state, entries, (uint32_t)n);
	for (uint32_t i = 0; i < r->n; i++)
		cut->clocks[r->entries[i].clock].reporters--;
	free(r->entries);
	r->entries = entries;
	r->n = (uint32_t)n;
	r->reported = true;
	r->state = head->state;
	r->asking = ask >= 0;
	r->ask_clock = ask >= 0 ? (uint32_t)ask : 0;
	r->ask_count = ask >= 0 ? head->ask_count : 0;
	for (uint32_t i = 0; i < r->n; i++) {
		struct cut_clock *c = &cut->clocks[entries[i].clock];

		c->reporters++;
		if (entries[i].entered > c->target)
			c->target = entries[i].entered;
	}
	if (!same)
		cut->changed_ns = now_ns;
	return 0;
}

/* An ask beyond the cut. The rank may have several: a thread for each. */
static bool cut_entry_refused(const struct snapc_cut *cut, const struct cut_entry *e)
{
	return e->asked > cut->clocks[e->clock].target;
}

static bool cut_refused(const struct snapc_cut *cut, const struct cut_rank *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (cut_entry_refused(cut, &r->entries[i]))
			return true;
	return false;
}

static bool cut_behind(const struct snapc_cut *cut, const struct cut_rank *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (r->entries[i].entered < cut->clocks[r->entries[i].clock].target)
			return true;
	return false;
}

/* Rule 3, until nothing changes. Terminates: every round turns a refused ask into a permitted one. */
static void cut_close(struct snapc_cut *cut)
{
	bool again = true;

	while (again) {
		again = false;
		for (uint32_t i = 0; i < cut->nranks; i++) {
			struct cut_rank *r = &cut->ranks[i];

			if (!cut_refused(cut, r) || !cut_behind(cut, r))
				continue;
			for (uint32_t k = 0; k < r->n; k++)
				if (cut_entry_refused(cut, &r->entries[k]))
					cut->clocks[r->entries[k].clock].target = r->entries[k].asked;
			again = true;
		}
	}
}

static bool cut_clock_binds(const struct cut_clock *c)
{
	return (c->target || c->object) && c->reporters;
}

static bool cut_clock_even(const struct cut_clock *c)
{
	return !cut_clock_binds(c) || (c->size && c->at_target == c->size);
}

/* Counts at_target. Return: rule 5. */
static bool cut_even(struct snapc_cut *cut)
{
	bool even = true;

	for (uint32_t i = 0; i < cut->nclocks; i++)
		cut->clocks[i].at_target = 0;
	for (uint32_t i = 0; i < cut->nranks; i++) {
		const struct cut_rank *r = &cut->ranks[i];

		even = even && r->reported;
		for (uint32_t k = 0; k < r->n; k++)
			if (r->entries[k].entered == cut->clocks[r->entries[k].clock].target)
				cut->clocks[r->entries[k].clock].at_target++;
	}
	for (uint32_t i = 0; i < cut->nclocks; i++)
		even = even && cut_clock_even(&cut->clocks[i]);
	return even;
}

/* Rule 2. Return: whether anything was sent. */
static bool cut_permit(struct snapc_cut *cut, snapc_cut_permit_fn permit, void *arg)
{
	bool any = false;

	for (uint32_t i = 0; i < cut->nranks; i++) {
		struct cut_rank *r = &cut->ranks[i];

		if (!r->asking || r->ask_count > cut->clocks[r->ask_clock].target)
			continue;
		if (r->permitted && r->permit_clock == r->ask_clock && r->permit_count >= r->ask_count)
			continue;
		r->permitted = true;
		r->permit_clock = r->ask_clock;
		r->permit_count = cut->clocks[r->ask_clock].target;
		for (uint32_t k = 0; k < r->n; k++)
			if (r->entries[k].clock == r->ask_clock)
				r->entries[k].allowed = r->permit_count;
		permit(arg, i, cut->clocks[r->ask_clock].id, r->permit_count);
		any = true;
	}
	return any;
}

/* A rank that runs, and not probably inside a collective that others have yet to enter. */
static bool cut_computes(const struct snapc_cut *cut, const struct cut_rank *r)
{
	if (r->state != CR_RANK_RUNNING || r->asking || cut_refused(cut, r))
		return false;
	for (uint32_t i = 0; i < r->n; i++) {
		const struct cut_clock *c = &cut->clocks[r->entries[i].clock];

		if (!cut_clock_even(c) && r->entries[i].entered == c->target)
			return false;
	}
	return true;
}

/* Whether rule 4 may be needed. *ret_patience_ns: how long to wait first. */
static bool cut_stallable(const struct snapc_cut *cut, uint64_t *ret_patience_ns)
{
	bool refused = false, waits = false, computes = false;

	for (uint32_t i = 0; i < cut->nranks; i++) {
		const struct cut_rank *r = &cut->ranks[i];

		if (!r->reported)
			return false;
		refused = refused || cut_refused(cut, r);
		computes = computes || cut_computes(cut, r);
		waits = waits || (r->state == CR_RANK_WAITING && cut_behind(cut, r));
	}
	for (uint32_t i = 0; !waits && i < cut->nclocks; i++) {
		const struct cut_clock *c = &cut->clocks[i];

		waits = cut_clock_binds(c) && c->reporters < c->size;
	}
	*ret_patience_ns = !waits ? SNAPC_CUT_STALL_BLIND_NS : computes ? SNAPC_CUT_STALL_BUSY_NS : SNAPC_CUT_STALL_NS;
	return refused;
}

static const struct cut_entry *cut_oldest_refused(const struct snapc_cut *cut)
{
	const struct cut_entry *oldest = NULL;

	for (uint32_t i = 0; i < cut->nranks; i++) {
		const struct cut_rank *r = &cut->ranks[i];

		for (uint32_t k = 0; k < r->n; k++)
			if (cut_entry_refused(cut, &r->entries[k]) && (!oldest || r->entries[k].ask_age < oldest->ask_age))
				oldest = &r->entries[k];
	}
	return oldest;
}

/* Rule 4: the oldest refused asks, a doubling number of them, each with everybody who asks for the same. */
static void cut_raise(struct snapc_cut *cut)
{
	for (uint32_t k = 0; k < cut->raise_width; k++) {
		const struct cut_entry *oldest = cut_oldest_refused(cut);

		if (!oldest)
			break;
		cut->clocks[oldest->clock].target = oldest->asked;
	}
	cut->raises++;
	if (cut->raise_width < cut->nranks)
		cut->raise_width *= 2;
}

enum snapc_cut_verdict snapc_cut_step(struct snapc_cut *cut, uint64_t now_ns, snapc_cut_permit_fn permit, void *arg, uint64_t *ret_wake_ns)
{
	uint64_t patience_ns;

	*ret_wake_ns = 0;
	cut_close(cut);
	if (cut_even(cut))
		return SNAPC_CUT_EVEN;
	if (cut_permit(cut, permit, arg))
		cut->changed_ns = now_ns;
	if (!cut_stallable(cut, &patience_ns))
		return SNAPC_CUT_WAIT;
	if (now_ns - cut->changed_ns < patience_ns) {
		*ret_wake_ns = cut->changed_ns + patience_ns;
		return SNAPC_CUT_WAIT;
	}
	cut_raise(cut);
	cut_close(cut);
	cut_permit(cut, permit, arg);
	cut->changed_ns = now_ns;
	*ret_wake_ns = now_ns + patience_ns;
	return SNAPC_CUT_WAIT;
}

static const char *cut_state_text(const struct cut_rank *r)
{
	switch (r->state) {
	case CR_RANK_OUTSIDE:
		return "is outside of MPI";
	case CR_RANK_RUNNING:
		return "computes";
	case CR_RANK_WAITING:
		return "waits for a message";
	case CR_RANK_BLOCKED:
		return "is held at a collective";
	default:
		return "is in an unexpected state";
	}
}

void snapc_cut_explain(const struct snapc_cut *cut, char *text, size_t bytes)
{
	size_t used = 0;
	uint32_t named = 0;
	int n;

	if (bytes)
		text[0] = 0;
	for (uint32_t i = 0; i < cut->nranks && named < 4 && used < bytes; i++) {
		const struct cut_rank *r = &cut->ranks[i];

		if (r->reported && !cut_behind(cut, r))
			continue;
		n = snprintf(text + used, bytes - used, "%srank %u %s", named ? ", " : "", i,
			     r->reported ? cut_state_text(r) : "has not answered");
		used += n > 0 ? (size_t)n : 0;
		named++;
	}
	if (!named)
		snprintf(text, bytes, "%s", "no rank is behind, but a communicator is not known to all of its members: some have freed it (or made it) and the others "
					    "have not yet");
}

uint32_t snapc_cut_raises(const struct snapc_cut *cut)
{
	return cut->raises;
}

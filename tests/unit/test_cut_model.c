/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The collective cut against random programs.
 *
 * A program is made from one global sequence of events (collectives, rooted collectives that let their root go at once, messages, making and freeing
 * communicators), dealt out to the ranks, so it cannot deadlock by itself.  The ranks, their agents and the messages between agent and coordinator
 * move one at a time in random order.  At a random moment a checkpoint begins.  It must come to a stop at which no collective
 * is half done, whatever the order.  Any violation prints the seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/cr_board.h"
#include "snapc/cut.h"

#define RANKS 6
#define COMMS 8
#define OPS 400
#define QUEUE 4096
#define STEP_NS 1000u

enum op_kind { OP_COMPUTE, OP_COLL, OP_ROOTED, OP_SEND, OP_RECV, OP_MAKE, OP_FREE };

struct op {
	enum op_kind kind;
	int comm;  /* collectives; MAKE: the new one, on communicator 0 */
	int peer;  /* messages; root */
	int time;
};

enum where { AT_OP, ASKING, INSIDE, WAITING, COMPUTING };

struct rank {
	struct op ops[OPS];
	int nops, pc;
	enum where where;
	int left;      /* of a computation */
	int patience;  /* until a wait is told */
	bool known[COMMS];
	uint64_t count[COMMS];    /* the board: an ask included */
	uint64_t granted[COMMS]; /* the agent's memory: counted as entered by the first report, or permitted */
	int ask_comm;
	bool told_ask;  /* the board shows the ask; between increment and this lies the window */
	int order;      /* enum cr_order */
	int permit_comm;
	uint64_t permit_count;
	bool arrived;
	/* agent <-> coordinator */
	struct cr_msg_clocks up[QUEUE];
	struct cr_msg_clock up_clocks[QUEUE][COMMS];
	int up_first, up_last;
	struct { int what; int comm; uint64_t count; } down[QUEUE];
	int down_first, down_last;
	struct cr_msg_clocks last;
	struct cr_msg_clock last_clocks[COMMS];
	bool reported_once;
};

struct model {
	struct rank r[RANKS];
	int nranks;
	bool member[COMMS][RANKS];
	int size[COMMS];
	int in_flight[RANKS][RANKS];
	int entered_n[COMMS][OPS]; /* how many have entered the k-th collective */
	bool root_in[COMMS][OPS];
	struct snapc_cut *cut;
	uint64_t now_ns;
	unsigned seed, steps;
	bool begun, stopping;
};

static unsigned rnd(struct model *m, unsigned n)
{
	m->seed = m->seed * 1103515245u + 12345u;
	return (m->seed >> 8) % n;
}

static void add(struct rank *r, enum op_kind kind, int comm, int peer, int time)
{
	if (r->nops < OPS)
		r->ops[r->nops++] = (struct op){ kind, comm, peer, time };
}

static void make_program(struct model *m)
{
	bool alive[COMMS] = { true };

	m->nranks = 2 + (int)rnd(m, RANKS - 1);
	for (int i = 0; i < m->nranks; i++) {
		m->member[0][i] = true;
		m->r[i].known[0] = true;
	}
	m->size[0] = m->nranks;
	for (int e = 0; e < 120; e++) {
		int comm = (int)rnd(m, COMMS), what = (int)rnd(m, 10), root;

		if (comm > 0 && !m->size[comm] && what < 3) { /* made on communicator 0: everybody takes part */
			for (int i = 0; i < m->nranks; i++)
				m->size[comm] += m->member[comm][i] = rnd(m, 2);
			alive[comm] = m->size[comm] > 0;
			for (int i = 0; i < m->nranks; i++)
				add(&m->r[i], OP_MAKE, comm, 0, 0);
			continue;
		}
		if (what < 5 && alive[comm]) {
			enum op_kind kind = comm && what == 0 && rnd(m, 3) == 0 ? OP_FREE : what < 3 ? OP_COLL : OP_ROOTED;

			do
				root = (int)rnd(m, (unsigned)m->nranks);
			while (!m->member[comm][root]);
			for (int i = 0; i < m->nranks; i++)
				if (m->member[comm][i])
					add(&m->r[i], kind, comm, root, 0);
			if (kind == OP_FREE)
				alive[comm] = false;
		} else if (what < 9) {
			int from = (int)rnd(m, (unsigned)m->nranks), to = (int)rnd(m, (unsigned)m->nranks);

			if (from != to) {
				add(&m->r[from], OP_SEND, 0, to, 0);
				add(&m->r[to], OP_RECV, 0, from, 0);
			}
		} else {
			add(&m->r[rnd(m, (unsigned)m->nranks)], OP_COMPUTE, 0, 0, (int)rnd(m, 200));
		}
	}
}

/* --- a rank --- */


static int op_comm(const struct op *o)
{
	return o->kind == OP_MAKE ? 0 : o->comm;
}

static void enter(struct model *m, int rank)
{
	struct rank *r = &m->r[rank];
	const struct op *o = &r->ops[r->pc];
	int comm = op_comm(o);

	r->where = INSIDE;
	r->told_ask = false;
	m->entered_n[comm][r->count[comm]]++;
	if (o->kind == OP_ROOTED && o->peer == rank)
		m->root_in[comm][r->count[comm]] = true;
}

static bool inside_done(const struct model *m, int rank)
{
	const struct rank *r = &m->r[rank];
	const struct op *o = &r->ops[r->pc];
	int comm = op_comm(o);

	if (o->kind == OP_ROOTED)
		return m->root_in[comm][r->count[comm]];
	return m->entered_n[comm][r->count[comm]] == m->size[comm];
}

static void leave(struct model *m, int rank)
{
	struct rank *r = &m->r[rank];
	const struct op *o = &r->ops[r->pc];

	if (o->kind == OP_MAKE && m->member[o->comm][rank])
		r->known[o->comm] = true;
	if (o->kind == OP_FREE)
		r->known[o->comm] = false;
	r->pc++;
	r->where = AT_OP;
}

static bool may_enter(const struct rank *r)
{
	/* the one place for a permit, and behind the order to stop everything that was ever granted */
	return (r->permit_comm == r->ask_comm && r->permit_count >= r->count[r->ask_comm]) || (r->order == CR_ORDER_STOP && r->granted[r->ask_comm] >= r->count[r->ask_comm]);
}

/* One move of a rank. Return: false when it cannot move. */
static bool rank_move(struct model *m, int rank)
{
	struct rank *r = &m->r[rank];
	const struct op *o = &r->ops[r->pc];

	if (r->arrived)
		return false;
	switch (r->where) {
	case AT_OP:
		if (r->order == CR_ORDER_STOP || r->pc == r->nops) {
			if (r->order == CR_ORDER_STOP) {
				r->arrived = true;
				return true;
			}
			return false;
		}
		if (o->kind == OP_COMPUTE) {
			r->where = COMPUTING;
			r->left = o->time;
		} else if (o->kind == OP_SEND) {
			m->in_flight[rank][o->peer]++;
			r->pc++;
		} else if (o->kind == OP_RECV) {
			r->where = WAITING;
			r->patience = 20;
		} else { /* the increment comes first, the look at the order second */
			r->ask_comm = op_comm(o);
			r->count[r->ask_comm]++;
			if (r->order == CR_ORDER_RUN)
				enter(m, rank);
			else
				r->where = ASKING;
		}
		return true;
	case ASKING:
		if (may_enter(r)) {
			enter(m, rank);
		} else if (r->order == CR_ORDER_STOP) {
			r->count[r->ask_comm]--;
			r->where = AT_OP;
			r->arrived = true;
		} else if (!r->told_ask) {
			r->told_ask = true;
		} else {
			return false;
		}
		return true;
	case INSIDE:
		if (!inside_done(m, rank))
			return false;
		leave(m, rank);
		return true;
	case WAITING:
		if (m->in_flight[o->peer][rank]) {
			m->in_flight[o->peer][rank]--;
			r->pc++;
			r->where = AT_OP;
		} else if (r->order == CR_ORDER_STOP) {
			r->arrived = true;
		} else if (r->patience) {
			r->patience--;
		} else {
			return false;
		}
		return true;
	case COMPUTING:
		if (r->order == CR_ORDER_STOP) {
			r->arrived = true;
			return true;
		}
		if (r->left-- == 0) {
			r->pc++;
			r->where = AT_OP;
		}
		return true;
	}
	return false;
}

/* --- its agent --- */

/* Tell what has changed. Return: false when nothing has. */
static bool agent_report(struct model *m, int rank)
{
	struct rank *r = &m->r[rank];
	struct cr_msg_clocks head = { .state = CR_RANK_RUNNING };
	struct cr_msg_clock clocks[COMMS];
	bool asking = r->where == ASKING && r->told_ask;

	if (r->order != CR_ORDER_CONVERGE)
		return false;
	memset(clocks, 0, sizeof(clocks));
	if (asking)
		head = (struct cr_msg_clocks){ .state = CR_RANK_BLOCKED, .asking = 1, .ask_clock = (uint64_t)r->ask_comm + 100,
					       .ask_count = r->count[r->ask_comm] };
	else if (r->where == WAITING && !r->patience)
		head.state = CR_RANK_WAITING;
	for (int c = 0; c < COMMS; c++)
		if (r->known[c])
			clocks[head.n++] = (struct cr_msg_clock){ .id = (uint64_t)c + 100, .count = r->count[c], .size = (uint32_t)m->size[c] };
	if (r->reported_once && !memcmp(&head, &r->last, sizeof(head)) && !memcmp(clocks, r->last_clocks, sizeof(clocks)))
		return false;
	r->last = head;
	memcpy(r->last_clocks, clocks, sizeof(clocks));
	for (int c = 0; c < COMMS && !r->reported_once; c++)
		if (r->known[c])
			r->granted[c] = r->count[c] - (asking && r->ask_comm == c);
	r->reported_once = true;
	assert_true(r->up_last < QUEUE);
	r->up[r->up_last] = head;
	memcpy(r->up_clocks[r->up_last++], clocks, sizeof(clocks));
	return true;
}

static void say(struct rank *r, int what, int comm, uint64_t count)
{
	assert_true(r->down_last < QUEUE);
	r->down[r->down_last].what = what;
	r->down[r->down_last].comm = comm;
	r->down[r->down_last++].count = count;
}

/* Take one message of the coordinator. */
static bool agent_hear(struct rank *r)
{
	if (r->down_first == r->down_last)
		return false;
	if (r->down[r->down_first].what == CR_MSG_BEGIN) {
		r->order = CR_ORDER_CONVERGE;
	} else if (r->down[r->down_first].what == CR_MSG_STOP) {
		r->order = CR_ORDER_STOP;
	} else {
		r->permit_comm = r->down[r->down_first].comm;
		r->permit_count = r->down[r->down_first].count;
		if (r->permit_count > r->granted[r->permit_comm])
			r->granted[r->permit_comm] = r->permit_count;
	}
	r->down_first++;
	return true;
}

/* --- the coordinator --- */

static void send_permit(void *arg, uint32_t rank, uint64_t clock, uint64_t count)
{
	struct model *m = arg;

	say(&m->r[rank], CR_MSG_PERMIT, (int)clock - 100, count);
}

static bool coordinator_hear(struct model *m, int rank)
{
	struct rank *r = &m->r[rank];
	struct cr_err err = { "" };

	if (r->up_first == r->up_last || m->stopping)
		return false;
	if (snapc_cut_report(m->cut, (uint32_t)rank, &r->up[r->up_first], r->up_clocks[r->up_first], m->now_ns, &err) < 0)
		fail_msg("%s", err.text);
	r->up_first++;
	return true;
}

static uint64_t coordinator_step(struct model *m)
{
	uint64_t wake = 0;

	if (m->begun && !m->stopping && snapc_cut_step(m->cut, m->now_ns, send_permit, m, &wake) == SNAPC_CUT_EVEN) {
		m->stopping = true;
		for (int i = 0; i < m->nranks; i++)
			say(&m->r[i], CR_MSG_STOP, 0, 0);
	}
	return wake;
}

static bool move_something(struct model *m)
{
	int first = (int)rnd(m, (unsigned)m->nranks * 4);

	for (int k = 0; k < m->nranks * 4; k++) {
		int which = (first + k) % (m->nranks * 4), rank = which / 4;
		bool moved = which % 4 == 0 ? rank_move(m, rank) :
			     which % 4 == 1 ? agent_report(m, rank) :
			     which % 4 == 2 ? agent_hear(&m->r[rank]) :
					      coordinator_hear(m, rank);

		if (moved)
			return true;
	}
	return false;
}

static void check_cut(const struct model *m, unsigned seed)
{
	for (int c = 0; c < COMMS; c++)
		for (int i = 0; i < m->nranks; i++)
			for (int k = 0; k < m->nranks; k++)
				if (m->member[c][i] && m->member[c][k] && m->r[i].count[c] != m->r[k].count[c])
					fail_msg("seed %u: communicator %d: rank %d at %d, rank %d at %d", seed, c, i, (int)m->r[i].count[c], k,
						 (int)m->r[k].count[c]);
}

/* Return: how often the cut was raised. */
static uint32_t run(unsigned seed)
{
	struct model *m = calloc(1, sizeof(*m));
	unsigned begin_at, steps = 0;
	uint32_t raises;
	uint64_t wake = 0;

	m->seed = seed;
	rnd(m, 2);
	make_program(m);
	begin_at = rnd(m, 600);
	m->cut = snapc_cut_create((uint32_t)m->nranks);
	for (int i = 0; i < m->nranks; i++)
		m->r[i].permit_comm = -1;
	for (;; steps++) {
		int arrived = 0;

		if (!m->begun && steps >= begin_at) {
			m->begun = true;
			for (int i = 0; i < m->nranks; i++)
				say(&m->r[i], CR_MSG_BEGIN, 0, 0);
		}
		m->now_ns += STEP_NS;
		if (rnd(m, 3) == 0)
			wake = coordinator_step(m);
		for (int i = 0; i < m->nranks; i++)
			arrived += m->r[i].arrived;
		if (arrived == m->nranks)
			break;
		if (!move_something(m)) {
			wake = coordinator_step(m);
			if (wake > m->now_ns)
				m->now_ns = wake;
		}
		if (steps > 100000) {
			char text[200];

			for (int i = 0; i < m->nranks; i++)
				print_message("rank %d: where %d, op %d of %d (kind %d comm %d peer %d), order %d, arrived %d\n", i, m->r[i].where,
					      m->r[i].pc, m->r[i].nops, m->r[i].ops[m->r[i].pc].kind, m->r[i].ops[m->r[i].pc].comm,
					      m->r[i].ops[m->r[i].pc].peer, m->r[i].order, m->r[i].arrived);

			snapc_cut_explain(m->cut, text, sizeof(text));
			fail_msg("seed %u: no end (begun %d, stopping %d): %s", seed, m->begun, m->stopping, text);
		}
	}
	check_cut(m, seed);
	raises = snapc_cut_raises(m->cut);
	snapc_cut_destroy(m->cut);
	free(m);
	return raises;
}

static void random_programs_stop_at_an_even_cut(void **state)
{
	const char *text = getenv("CR_TEST_SEED"), *times = getenv("CR_TEST_RUNS");
	unsigned first = text ? (unsigned)strtoul(text, NULL, 0) : 1, n = times ? (unsigned)strtoul(times, NULL, 0) : 4000;
	unsigned raised = 0, most = 0;

	(void)state;
	for (unsigned i = 0; i < n; i++) {
		uint32_t raises = run(first + i);

		raised += raises > 0;
		if (raises > most)
			most = raises;
	}
	print_message("%u programs from seed %u, %u needed a raised cut, at most %u times\n", n, first, raised, most);
	if (n >= 1000)
		assert_true(raised > 0); /* or the model does not test rule 4 */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_programs_stop_at_an_even_cut) };

	return cmocka_run_group_tests_name("cut_model", tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The collective cut, rule by rule. test_cut_model.c runs it against random programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "libcr/cr_board.h"
#include "snapc/cut.h"

#define MS 1000000u

struct permits {
	unsigned n;
	uint32_t rank[64];
	uint64_t clock[64];
	uint64_t count[64];
};

static void take_permit(void *arg, uint32_t rank, uint64_t clock, uint64_t count)
{
	struct permits *p = arg;

	assert_true(p->n < 64);
	p->rank[p->n] = rank;
	p->clock[p->n] = clock;
	p->count[p->n++] = count;
}

#define OBJECT (1ull << 32) /* with a size: of a clock that belongs to an object */

/* A report with up to three clocks {id, count, size}, 0 ends. */
static int report(struct snapc_cut *cut, uint32_t rank, uint32_t state, uint64_t ask_clock, uint64_t ask_count, uint64_t now_ns,
		  const uint64_t (*clocks)[3])
{
	struct cr_msg_clocks head = { .state = state, .asking = ask_clock != 0, .ask_clock = ask_clock, .ask_count = ask_count };
	struct cr_msg_clock table[4];
	struct cr_err err;

	memset(table, 0, sizeof(table));
	for (; clocks[head.n][0]; head.n++)
		table[head.n] = (struct cr_msg_clock){ .id = clocks[head.n][0], .count = clocks[head.n][1], .size = (uint32_t)clocks[head.n][2],
						      .flags = clocks[head.n][2] & OBJECT ? CR_MSG_CLOCK_OBJECT : 0 };
	return snapc_cut_report(cut, rank, &head, table, now_ns, &err);
}

#define CLOCKS(...) ((const uint64_t[][3]){ __VA_ARGS__, { 0, 0, 0 } })

static void ranks_without_mpi_are_even_once_all_have_reported(void **state)
{
	static const uint64_t none[1][3] = { { 0, 0, 0 } };
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	assert_int_equal(report(cut, 0, CR_RANK_RUNNING, 0, 0, 1, none), 0);
	assert_int_equal(snapc_cut_step(cut, 1, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(report(cut, 1, CR_RANK_RUNNING, 0, 0, 1, none), 0);
	assert_int_equal(snapc_cut_step(cut, 1, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	assert_int_equal(p.n, 0);
	snapc_cut_destroy(cut);
}

static void rank_behind_is_permitted_up_to_the_target(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 7, 12, 2 }));
	report(cut, 1, CR_RANK_BLOCKED, 7, 10, 0, CLOCKS({ 7, 10, 2 }));
	assert_int_equal(snapc_cut_step(cut, 1, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.rank[0], 1);
	assert_int_equal(p.clock[0], 7);
	assert_int_equal(p.count[0], 12);
	/* asks for the next: covered by the permit, nothing is sent again */
	report(cut, 1, CR_RANK_BLOCKED, 7, 12, 2, CLOCKS({ 7, 12, 2 }));
	assert_int_equal(snapc_cut_step(cut, 2, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 1);
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 3, CLOCKS({ 7, 12, 2 }));
	assert_int_equal(snapc_cut_step(cut, 3, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	snapc_cut_destroy(cut);
}

static void ask_beyond_the_cut_is_held_and_even(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_BLOCKED, 7, 6, 0, CLOCKS({ 7, 6, 2 }));
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 7, 5, 2 }));
	assert_int_equal(snapc_cut_step(cut, 0, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	assert_int_equal(p.n, 0);
	snapc_cut_destroy(cut);
}

static void ask_in_the_way_of_a_debt_is_permitted_at_once(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(3);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	/* 0 and 1 share clock 1, 1 and 2 share clock 2; 0 has entered 5 on clock 1; 1 has 4 and asks for clock 2 first */
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 5, 2 }));
	report(cut, 1, CR_RANK_BLOCKED, 2, 9, 0, CLOCKS({ 1, 4, 2 }, { 2, 9, 2 }));
	report(cut, 2, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 2, 8, 2 }));
	assert_int_equal(snapc_cut_step(cut, 0, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.rank[0], 1);
	assert_int_equal(p.clock[0], 2);
	assert_int_equal(p.count[0], 9);
	assert_int_equal(snapc_cut_raises(cut), 0);
	snapc_cut_destroy(cut);
}

/* Rank 2 waits for a message that rank 1 sends after the collective at which it is held. */
static void cut_is_raised_for_a_rank_that_waits(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(3);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 3, 2 }, { 2, 6, 2 }));
	report(cut, 1, CR_RANK_BLOCKED, 2, 7, 0, CLOCKS({ 2, 7, 2 }));
	report(cut, 2, CR_RANK_WAITING, 0, 0, 0, CLOCKS({ 1, 2, 2 }));
	assert_int_equal(snapc_cut_step(cut, 1 * MS, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 0);
	assert_int_equal(wake, SNAPC_CUT_STALL_NS); /* rank 0 is in the collective, so nobody computes */
	assert_int_equal(snapc_cut_step(cut, wake, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.rank[0], 1);
	assert_int_equal(p.count[0], 7);
	assert_int_equal(snapc_cut_raises(cut), 1);
	/* 1 enters, sends, 2 comes to the cut, 0 follows on clock 2 */
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 6 * MS, CLOCKS({ 2, 7, 2 }));
	report(cut, 2, CR_RANK_BLOCKED, 1, 3, 6 * MS, CLOCKS({ 1, 3, 2 }));
	snapc_cut_step(cut, 6 * MS, take_permit, &p, &wake);
	assert_int_equal(p.n, 2);
	report(cut, 2, CR_RANK_RUNNING, 0, 0, 7 * MS, CLOCKS({ 1, 3, 2 }));
	report(cut, 0, CR_RANK_BLOCKED, 2, 7, 7 * MS, CLOCKS({ 1, 3, 2 }, { 2, 7, 2 }));
	snapc_cut_step(cut, 7 * MS, take_permit, &p, &wake);
	assert_int_equal(p.n, 3);
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 8 * MS, CLOCKS({ 1, 3, 2 }, { 2, 7, 2 }));
	assert_int_equal(snapc_cut_step(cut, 8 * MS, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	snapc_cut_destroy(cut);
}

static void nobody_is_raised_while_a_rank_computes_except_after_the_long_wait(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(4);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 3, 2 }));
	report(cut, 1, CR_RANK_WAITING, 0, 0, 0, CLOCKS({ 1, 2, 2 }));
	report(cut, 2, CR_RANK_BLOCKED, 2, 7, 0, CLOCKS({ 2, 7, 2 }));
	report(cut, 3, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 2, 6, 2 }));
	snapc_cut_step(cut, 20 * MS, take_permit, &p, &wake);
	assert_int_equal(p.n, 0);
	assert_int_equal(wake, SNAPC_CUT_STALL_BUSY_NS);
	snapc_cut_step(cut, 50 * MS, take_permit, &p, &wake);
	assert_int_equal(p.n, 1);
	snapc_cut_destroy(cut);
}

static void target_does_not_fall_when_an_ask_follows_its_own_count(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	/* rank 0 was on its way to ask for 6 when the agent read its count */
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 7, 6, 2 }));
	report(cut, 1, CR_RANK_BLOCKED, 7, 6, 0, CLOCKS({ 7, 6, 2 }));
	snapc_cut_step(cut, 0, take_permit, &p, &wake);
	assert_int_equal(p.n, 1);
	report(cut, 0, CR_RANK_BLOCKED, 7, 6, 1, CLOCKS({ 7, 6, 2 }));
	assert_int_equal(snapc_cut_step(cut, 1, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.rank[1], 0);
	snapc_cut_destroy(cut);
}

static void permit_is_sent_again_after_another_replaced_it(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(3);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 9, 2 }, { 2, 9, 2 }));
	report(cut, 1, CR_RANK_BLOCKED, 1, 8, 0, CLOCKS({ 1, 8, 2 }, { 2, 8, 2 }));
	report(cut, 2, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 3, 1, 1 }));
	snapc_cut_step(cut, 0, take_permit, &p, &wake);
	report(cut, 1, CR_RANK_BLOCKED, 2, 9, 1, CLOCKS({ 1, 8, 2 }, { 2, 9, 2 }));
	snapc_cut_step(cut, 1, take_permit, &p, &wake);
	report(cut, 1, CR_RANK_BLOCKED, 1, 9, 2, CLOCKS({ 1, 9, 2 }, { 2, 9, 2 }));
	snapc_cut_step(cut, 2, take_permit, &p, &wake);
	assert_int_equal(p.n, 3);
	assert_int_equal(p.clock[2], 1);
	assert_int_equal(p.count[2], 9);
	snapc_cut_destroy(cut);
}

static void communicator_that_a_member_does_not_report_is_not_even(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 4, 2 }, { 5, 1, 2 }));
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 4, 2 }));
	assert_int_equal(snapc_cut_step(cut, 0, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	/* made, and asks for the first collective on it */
	report(cut, 1, CR_RANK_BLOCKED, 5, 1, 1, CLOCKS({ 1, 4, 2 }, { 5, 1, 2 }));
	snapc_cut_step(cut, 1, take_permit, &p, &wake);
	assert_int_equal(p.n, 1);
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 2, CLOCKS({ 1, 4, 2 }, { 5, 1, 2 }));
	assert_int_equal(snapc_cut_step(cut, 2, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	/* freed by one, then by both */
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 3, CLOCKS({ 1, 4, 2 }));
	assert_int_equal(snapc_cut_step(cut, 3, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 4, CLOCKS({ 1, 4, 2 }));
	assert_int_equal(snapc_cut_step(cut, 4, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	snapc_cut_destroy(cut);
}

/* Rank 2 is behind on clock 3 of ranks 0 and 2, and waits for what a thread of rank 0 sends that is held on clock 1; other threads of 0 and 1 are held on
 * clock 2, and all of them ask in turn, every 2 ms. */
static void threads_that_ask_in_turn_do_not_keep_the_cut_from_being_raised(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(3);
	struct permits p = { 0 };
	bool permitted[3] = { false };
	uint64_t now = 0, wake;

	(void)state;
	report(cut, 2, CR_RANK_WAITING, 0, 0, now, CLOCKS({ 3, 8, 2 }));
	for (unsigned turn = 0; turn < 200 && !permitted[1]; turn++) {
		uint64_t id = 1 + turn % 2;

		now += 2 * MS;
		report(cut, 0, CR_RANK_BLOCKED, id, 5, now, CLOCKS({ 1, 5, 2 }, { 2, turn ? 5 : 4, 2 }, { 3, 9, 2 }));
		report(cut, 1, CR_RANK_BLOCKED, id, 5, now, CLOCKS({ 1, 5, 2 }, { 2, turn ? 5 : 4, 2 }));
		snapc_cut_step(cut, now, take_permit, &p, &wake);
		now += MS / 2;
		report(cut, 0, CR_RANK_RUNNING, 0, 0, now, CLOCKS({ 1, 5, 2 }, { 2, turn ? 5 : 4, 2 }, { 3, 9, 2 }));
		snapc_cut_step(cut, now, take_permit, &p, &wake);
		for (unsigned i = 0; i < p.n; i++)
			permitted[p.clock[i] % 3] = true;
	}
	assert_true(permitted[1]);
	assert_true(snapc_cut_raises(cut) >= 1);
	snapc_cut_destroy(cut);
}

static void unused_communicator_binds_nobody(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 4, 2 }, { 5, 0, 2 }));
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 4, 2 }));
	assert_int_equal(snapc_cut_step(cut, 0, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	snapc_cut_destroy(cut);
}

static void unused_object_that_one_member_has_freed_is_not_even(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct permits p = { 0 };
	uint64_t wake;

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 1, CLOCKS({ 1, 4, 2 | OBJECT }, { 5, 0, 2 | OBJECT }));
	report(cut, 1, CR_RANK_RUNNING, 0, 0, 1, CLOCKS({ 1, 4, 2 | OBJECT }));
	assert_int_equal(snapc_cut_step(cut, 1, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 0);
	/* the other wants to free it: it is let through as soon as nothing else moves */
	report(cut, 0, CR_RANK_BLOCKED, 5, 1, 2, CLOCKS({ 1, 4, 2 | OBJECT }, { 5, 1, 2 | OBJECT }));
	assert_int_equal(snapc_cut_step(cut, 2, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(snapc_cut_step(cut, wake, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.clock[0], 5);
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 3, CLOCKS({ 1, 4, 2 | OBJECT }));
	assert_int_equal(snapc_cut_step(cut, 3, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	snapc_cut_destroy(cut);
}

static void contradictions_are_refused(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	struct cr_msg_clocks head = { .asking = 1 };
	struct cr_err err;

	(void)state;
	assert_int_equal(report(cut, 2, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 1, 1 })), -EINVAL);
	assert_int_equal(report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 1, 3 })), -EPROTO);
	assert_int_equal(report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 1, 2 }, { 1, 1, 2 })), -EPROTO);
	assert_int_equal(report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 1, 2 })), 0);
	assert_int_equal(report(cut, 1, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 1, 1 })), -EPROTO);
	assert_int_equal(snapc_cut_report(cut, 0, &head, NULL, 0, &err), -EPROTO);
	snapc_cut_destroy(cut);
}

static void explanation_names_who_is_behind(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(3);
	char text[200];

	(void)state;
	report(cut, 0, CR_RANK_RUNNING, 0, 0, 0, CLOCKS({ 1, 4, 3 }));
	report(cut, 1, CR_RANK_WAITING, 0, 0, 0, CLOCKS({ 1, 3, 3 }));
	snapc_cut_explain(cut, text, sizeof(text));
	assert_string_equal(text, "rank 1 waits for a message, rank 2 has not answered");
	snapc_cut_destroy(cut);
}

static void many_communicators(void **state)
{
	struct snapc_cut *cut = snapc_cut_create(2);
	static struct cr_msg_clock table[2000];
	struct cr_msg_clocks head = { .state = CR_RANK_RUNNING, .n = 2000 };
	struct permits p = { 0 };
	struct cr_err err;
	uint64_t wake;

	(void)state;
	for (uint32_t i = 0; i < 2000; i++)
		table[i] = (struct cr_msg_clock){ .id = ((uint64_t)i + 1) << 32, .count = i, .size = 2 };
	assert_int_equal(snapc_cut_report(cut, 0, &head, table, 0, &err), 0);
	assert_int_equal(snapc_cut_report(cut, 1, &head, table, 0, &err), 0);
	assert_int_equal(snapc_cut_step(cut, 0, take_permit, &p, &wake), SNAPC_CUT_EVEN);
	table[1500].count--;
	assert_int_equal(snapc_cut_report(cut, 1, &head, table, 0, &err), 0);
	assert_int_equal(snapc_cut_step(cut, 0, take_permit, &p, &wake), SNAPC_CUT_WAIT);
	snapc_cut_destroy(cut);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranks_without_mpi_are_even_once_all_have_reported),
		cmocka_unit_test(rank_behind_is_permitted_up_to_the_target),
		cmocka_unit_test(ask_beyond_the_cut_is_held_and_even),
		cmocka_unit_test(ask_in_the_way_of_a_debt_is_permitted_at_once),
		cmocka_unit_test(cut_is_raised_for_a_rank_that_waits),
		cmocka_unit_test(nobody_is_raised_while_a_rank_computes_except_after_the_long_wait),
		cmocka_unit_test(target_does_not_fall_when_an_ask_follows_its_own_count),
		cmocka_unit_test(permit_is_sent_again_after_another_replaced_it),
		cmocka_unit_test(communicator_that_a_member_does_not_report_is_not_even),
		cmocka_unit_test(threads_that_ask_in_turn_do_not_keep_the_cut_from_being_raised),
		cmocka_unit_test(unused_communicator_binds_nobody),
		cmocka_unit_test(unused_object_that_one_member_has_freed_is_not_even),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(explanation_names_who_is_behind),
		cmocka_unit_test(many_communicators),
	};

	return cmocka_run_group_tests_name("cut", tests, NULL, NULL);
}

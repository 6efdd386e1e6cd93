/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests, probes, the drain, the rebuild after a restart and the collective clocks, against a lower library of one process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/test_match_lower.h"

#define W MPI_COMM_WORLD

static int setup(void **state)
{
	(void)state;
	fake_lower_init();
	return 0;
}

static void send_byte(char value, int tag)
{
	assert_int_equal(PMPI_Send(&value, 1, MPI_BYTE, 0, tag, W), MPI_SUCCESS);
}

/* The agent's part of a checkpoint, played while the rank waits: STOP, DRAIN when it has arrived, then RUN (or a restart). */
static int cycle_restart, cycles;
static void play_agent(void)
{
	struct cr_board *b = &crcp.board;

	if (b->order == CR_ORDER_STOP && b->state == CR_RANK_ARRIVED)
		b->order = CR_ORDER_DRAIN;
}
static void play_notify(void)
{
	struct cr_board *b = &crcp.board;

	fake.notifies++;
	if (b->state != CR_RANK_DRAINED && b->state != CR_RANK_FAILED)
		return;
	cycles++;
	if (cycle_restart)
		fake_lower_lose();
	b->order = CR_ORDER_RUN;
}
static void checkpoint(int restart)
{
	int before = cycles;

	fake.on_progress = play_agent;
	CR_GATE->board_notify = play_notify;
	cycle_restart = restart;
	crcp.board.order = CR_ORDER_STOP;
	crcp_serve_order();
	assert_int_equal(cycles, before + 1);
	assert_int_equal(crcp.board.order, CR_ORDER_RUN);
	assert_int_equal(crcp.board.state, CR_RANK_RUNNING);
	assert_string_equal(crcp.board.error_text, "");
}

static void test_errors_of_arguments(void **state)
{
	MPI_Request q = MPI_REQUEST_NULL;
	char c = 0, big[1000] = { 0 };

	(void)state;
	assert_int_equal(PMPI_Wait(NULL, MPI_STATUS_IGNORE), MPI_ERR_REQUEST);
	assert_int_equal(PMPI_Start(&q), MPI_ERR_REQUEST);
	assert_int_equal(PMPI_Cancel(&q), MPI_ERR_REQUEST);
	assert_int_equal(PMPI_Request_free(&q), MPI_ERR_REQUEST);
	assert_int_equal(PMPI_Waitall(-1, &q, MPI_STATUSES_IGNORE), MPI_ERR_ARG);
	assert_int_equal(PMPI_Isend(&c, 1, MPI_BYTE, 5, 0, W, &q), MPI_ERR_RANK);
	assert_ptr_equal(q, MPI_REQUEST_NULL);
	assert_int_equal(PMPI_Bsend(big, sizeof(big), MPI_BYTE, 0, 0, W), MPI_ERR_BUFFER);
	assert_int_equal(crcp_comm(W)->sent, 0);
}

static void test_null_request_gives_the_empty_status(void **state)
{
	MPI_Request v[2] = { MPI_REQUEST_NULL, MPI_REQUEST_NULL };
	MPI_Status s[2] = { { .MPI_SOURCE = 1 } };
	int flag = 0, index, out;

	(void)state;
	assert_int_equal(PMPI_Wait(&v[0], s), MPI_SUCCESS);
	assert_int_equal(s[0].MPI_SOURCE, MPI_ANY_SOURCE);
	assert_int_equal(PMPI_Testall(2, v, &flag, s), MPI_SUCCESS);
	assert_true(flag);
	assert_int_equal(s[1].MPI_TAG, MPI_ANY_TAG);
	assert_int_equal(PMPI_Waitany(2, v, &index, s), MPI_SUCCESS);
	assert_int_equal(index, MPI_UNDEFINED);
	assert_int_equal(PMPI_Waitsome(2, v, &out, &index, s), MPI_SUCCESS);
	assert_int_equal(out, MPI_UNDEFINED);
}

static void test_counts(void **state)
{
	struct crcp_comm *w = crcp_comm(W);
	MPI_Request q;
	MPI_Status s;
	char c;

	(void)state;
	send_byte(1, 3);
	assert_int_equal(w->sent, 1);
	assert_int_equal(w->received, 0);
	PMPI_Recv(&c, 1, MPI_BYTE, 0, 3, W, &s);
	assert_int_equal(w->received, 1);
	PMPI_Irecv(&c, 1, MPI_BYTE, 0, 4, W, &q);
	PMPI_Cancel(&q);
	PMPI_Wait(&q, &s);
	assert_int_equal(w->received, 1);
	assert_int_equal(s._cancelled, 1);
}

static void test_drained_message_has_its_place(void **state)
{
	MPI_Status s;
	int flag;
	char c;

	(void)state;
	send_byte(10, 1);
	send_byte(20, 2);
	send_byte(11, 1);
	checkpoint(1);
	assert_int_equal(fake_lower_unexpected(), 0);
	assert_int_equal(crcp.board.drained_messages, 3);
	assert_int_equal(crcp.board.drained_bytes, 3);
	send_byte(12, 1);
	PMPI_Iprobe(MPI_ANY_SOURCE, 2, W, &flag, &s);
	assert_true(flag);
	assert_int_equal(s.MPI_TAG, 2);
	assert_int_equal(s._ucount, 1);
	PMPI_Recv(&c, 1, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, W, MPI_STATUS_IGNORE);
	assert_int_equal(c, 10);
	PMPI_Recv(&c, 1, MPI_BYTE, 0, 1, W, &s);
	assert_int_equal(c, 11);
	PMPI_Recv(&c, 1, MPI_BYTE, 0, 1, W, &s);
	assert_int_equal(c, 12);
	PMPI_Recv(&c, 1, MPI_BYTE, 0, MPI_ANY_TAG, W, &s);
	assert_int_equal(c, 20);
	assert_null(crcp_comm(W)->log_head);
	assert_int_equal(crcp_comm(W)->received, 4);
}

static void test_a_longer_message_of_the_log_is_truncated(void **state)
{
	MPI_Status s;
	char c[2] = { 1, 2 }, d;

	(void)state;
	PMPI_Send(c, 2, MPI_BYTE, 0, 1, W);
	checkpoint(0);
	assert_int_equal(PMPI_Recv(&d, 1, MPI_BYTE, 0, 1, W, &s), MPI_ERR_TRUNCATE);
	assert_null(crcp_comm(W)->log_head);
}

static void test_pending_receives_keep_their_order(void **state)
{
	MPI_Request q[3];
	char c[3] = { 0 };

	(void)state;
	PMPI_Irecv(&c[0], 1, MPI_BYTE, MPI_ANY_SOURCE, MPI_ANY_TAG, W, &q[0]);
	PMPI_Irecv(&c[1], 1, MPI_BYTE, 0, 5, W, &q[1]);
	checkpoint(1);
	assert_int_equal(fake_lower_posted(), 2);
	PMPI_Irecv(&c[2], 1, MPI_BYTE, 0, MPI_ANY_TAG, W, &q[2]);
	send_byte(1, 5);
	send_byte(2, 6);
	send_byte(3, 5);
	assert_int_equal(PMPI_Waitall(3, q, MPI_STATUSES_IGNORE), MPI_SUCCESS);
	assert_int_equal(c[0], 1);
	assert_int_equal(c[1], 3);
	assert_int_equal(c[2], 2);
}

static void test_persistent_requests_live_on(void **state)
{
	MPI_Request s, r;
	MPI_Status status;
	char from = 7, to = 0;

	(void)state;
	PMPI_Send_init(&from, 1, MPI_BYTE, 0, 9, W, &s);
	PMPI_Recv_init(&to, 1, MPI_BYTE, 0, 9, W, &r);
	PMPI_Start(&r);
	checkpoint(1);
	PMPI_Start(&s);
	checkpoint(1);
	PMPI_Wait(&s, &status);
	PMPI_Wait(&r, &status);
	assert_int_equal(to, 7);
	assert_int_equal(status.MPI_TAG, 9);
	from = 8;
	PMPI_Start(&s);
	checkpoint(1);
	assert_int_equal(crcp.board.drained_messages, 1);
	PMPI_Start(&r);
	PMPI_Wait(&r, &status);
	assert_int_equal(to, 8);
	assert_int_equal(PMPI_Start(&s), MPI_ERR_REQUEST); /* still active for the program */
	PMPI_Wait(&s, &status);
	PMPI_Wait(&s, &status); /* inactive */
	assert_int_equal(status.MPI_SOURCE, MPI_ANY_SOURCE);
	PMPI_Request_free(&s);
	PMPI_Request_free(&r);
	assert_null(crcp_p2p.persistent);
}

static void test_pending_sends_complete_in_the_drain(void **state)
{
	MPI_Request q;
	MPI_Status s;
	char c = 3, d = 0;

	(void)state;
	fake.synchronous = 1;
	PMPI_Issend(&c, 1, MPI_BYTE, 0, 1, W, &q);
	checkpoint(1);
	assert_int_equal(fake.isends, 1);
	assert_int_equal(PMPI_Wait(&q, &s), MPI_SUCCESS);
	PMPI_Recv(&d, 1, MPI_BYTE, 0, 1, W, &s);
	assert_int_equal(d, 3);
}

static void test_matched_message_survives(void **state)
{
	MPI_Message m;
	MPI_Status s;
	int flag;
	char d = 0;

	(void)state;
	send_byte(42, 1);
	send_byte(43, 1);
	PMPI_Improbe(0, 1, W, &flag, &m, &s);
	assert_true(flag);
	checkpoint(1);
	PMPI_Recv(&d, 1, MPI_BYTE, 0, 1, W, &s);
	assert_int_equal(d, 43);
	PMPI_Mrecv(&d, 1, MPI_BYTE, &m, &s);
	assert_int_equal(d, 42);
	assert_ptr_equal(m, MPI_MESSAGE_NULL);
	assert_null(crcp_p2p.messages);
}

static void test_freed_requests_are_drained(void **state)
{
	MPI_Request q;
	char c = 5, d = 0;

	(void)state;
	PMPI_Irecv(&d, 1, MPI_BYTE, 0, 1, W, &q);
	PMPI_Request_free(&q);
	assert_ptr_equal(q, MPI_REQUEST_NULL);
	checkpoint(1);
	assert_int_equal(crcp_p2p.orphans, 1);
	send_byte(c, 1);
	checkpoint(1);
	assert_int_equal(d, 5);
	assert_int_equal(crcp_p2p.orphans, 0);
	assert_null(crcp_p2p.active.head);
}

/* Natively a synchronous send that was freed holds up no buffered one. */
static void test_a_freed_send_does_not_hold_up_buffer_detach(void **state)
{
	char c = 1, d = 0, buffer[64 + MPI_BSEND_OVERHEAD];
	MPI_Request q;
	void *b;
	int n;

	(void)state;
	fake.synchronous = 1;
	PMPI_Issend(&c, 1, MPI_BYTE, 0, 1, W, &q);
	PMPI_Request_free(&q);
	assert_int_equal(crcp_p2p.orphans, 1);
	PMPI_Buffer_attach(buffer, sizeof(buffer));
	PMPI_Buffer_detach(&b, &n);
	assert_ptr_equal(b, buffer);
	PMPI_Recv(&d, 1, MPI_BYTE, 0, 1, W, MPI_STATUS_IGNORE);
	checkpoint(1);
	assert_int_equal(crcp_p2p.orphans, 0);
	assert_null(crcp_p2p.active.head);
}

static void test_a_receive_that_outlives_its_communicator_forbids_checkpoints(void **state)
{
	struct crcp_comm c;
	MPI_Request q;
	char d;

	(void)state;
	fake_comm_init(&c, 0);
	PMPI_Irecv(&d, 1, MPI_BYTE, 0, 1, (MPI_Comm)(void *)&c, &q);
	assert_null(fake.nocr);
	crcp_comm_fini_counters(&c);
	crcp.comms = crcp_comm(W);
	assert_non_null(fake.nocr);
	PMPI_Cancel(&q);
	PMPI_Wait(&q, MPI_STATUS_IGNORE);
	assert_null(fake.nocr);
}

static void test_buffered_sends(void **state)
{
	char buffer[1000], big[600] = { 1 }, d[600];
	void *back;
	int size;

	(void)state;
	fake.synchronous = 1;
	PMPI_Buffer_attach(buffer, sizeof(buffer));
	assert_int_equal(PMPI_Buffer_attach(buffer, sizeof(buffer)), MPI_ERR_BUFFER);
	assert_int_equal(PMPI_Bsend(big, 600, MPI_BYTE, 0, 1, W), MPI_SUCCESS);
	assert_int_equal(PMPI_Bsend(big, 600, MPI_BYTE, 0, 1, W), MPI_ERR_BUFFER);
	checkpoint(1);
	assert_int_equal(crcp_p2p.bsend_used, 0);
	PMPI_Recv(d, 600, MPI_BYTE, 0, 1, W, MPI_STATUS_IGNORE);
	assert_memory_equal(big, d, 600);
	PMPI_Buffer_detach(&back, &size);
	assert_ptr_equal(back, buffer);
	assert_int_equal(size, 1000);
}

static int late_sends;
static void late_agent(void)
{
	play_agent();
	if (crcp.board.order == CR_ORDER_RUN && cycles > 0 && !late_sends++) {
		MPI_Request q;
		static char c = 66;

		crcp_lower.MPI_Isend(&c, 1, MPI_BYTE, 0, 1, (MPI_Comm)crcp_real((void *)W), &q);
		crcp_comm(W)->sent++;
	}
}
static void test_stop_in_a_blocking_receive(void **state)
{
	MPI_Status s;
	char c = 0;

	(void)state;
	cycles = 0;
	late_sends = 0;
	fake.on_progress = late_agent;
	CR_GATE->board_notify = play_notify;
	cycle_restart = 1;
	crcp.board.order = CR_ORDER_STOP;
	PMPI_Recv(&c, 1, MPI_BYTE, 0, 1, W, &s);
	assert_int_equal(c, 66);
	assert_int_equal(cycles, 1);
	assert_null(crcp_p2p.active.head);
}

static void test_drain_taken_back_keeps_what_it_took(void **state)
{
	char c = 0;

	(void)state;
	send_byte(1, 1);
	crcp_comm(W)->sent++; /* one that will not come */
	crcp.board.order = CR_ORDER_RUN;
	assert_int_equal(crcp_bookmark_drain(), -125 /* ECANCELED */);
	assert_non_null(crcp_comm(W)->log_head);
	crcp_comm(W)->sent--;
	PMPI_Recv(&c, 1, MPI_BYTE, 0, 1, W, MPI_STATUS_IGNORE);
	assert_int_equal(c, 1);
}

/* The order to resume and the whole next checkpoint up to its drain come while this rank does not run. */
static int missed_turns;
static void missed_agent(void)
{
	play_agent();
	if (crcp.board.order == CR_ORDER_DRAIN && ++missed_turns == 50) {
		crcp_comm(W)->sent--;
		crcp.board.attempt = 2;
	}
}
static void test_a_missed_resume_is_noticed(void **state)
{
	(void)state;
	crcp_comm(W)->sent++; /* one that will not come */
	cycles = 0;
	missed_turns = 0;
	cycle_restart = 0;
	fake.on_progress = missed_agent;
	CR_GATE->board_notify = play_notify;
	crcp.board.attempt = 1;
	crcp.board.order = CR_ORDER_STOP;
	crcp_serve_order();
	assert_int_equal(cycles, 1);
	assert_int_equal(crcp.board.served, 2);
	assert_int_equal(crcp.board.state, CR_RANK_RUNNING);
}

static void test_wrong_counts_are_found(void **state)
{
	(void)state;
	crcp_comm(W)->received++;
	crcp.board.order = CR_ORDER_DRAIN;
	assert_true(crcp_bookmark_drain() < 0);
	assert_non_null(strstr(crcp.board.error_text, "counts"));
}

/* ---- clocks ---- */
static void test_clock_ids(void **state)
{
	int a[3] = { 0, 1, 2 }, b[3] = { 2, 1, 0 }, c[2] = { 5, 6 };

	(void)state;
	assert_int_equal(crcp_clock_id(1, 0, a, 3), crcp_clock_id(1, 0, a, 3));
	assert_int_not_equal(crcp_clock_id(1, 0, a, 3), crcp_clock_id(1, 0, b, 3));
	assert_int_not_equal(crcp_clock_id(1, 0, a, 3), crcp_clock_id(1, 1, a, 3));
	assert_int_not_equal(crcp_clock_id(1, 0, a, 3), crcp_clock_id(2, 0, a, 3));
	assert_int_not_equal(crcp_clock_id(1, 0, a, 3), crcp_clock_id(1, 0, a, 2));
	assert_int_equal(crcp_clock_id_inter(9, a, 3, c, 2), crcp_clock_id_inter(9, c, 2, a, 3));
	assert_int_not_equal(crcp_clock_id_inter(9, a, 3, c, 2), crcp_clock_id_inter(8, a, 3, c, 2));
	assert_int_not_equal(crcp_clock_id(0, 0, a, 0), 0);
}

static void test_clock_slots_are_used_again(void **state)
{
	struct crcp_comm a, b, c;

	(void)state;
	fake_comm_init(&a, 11);
	fake_comm_init(&b, 12);
	assert_int_equal(crcp.board.clock_slots, 2);
	crcp_collective_enter(&a);
	crcp_collective_enter(&a);
	assert_int_equal(*a.clock_count, 2);
	crcp_comm_fini_counters(&a);
	assert_int_equal(crcp.board.clocks[0].id, 0);
	fake_comm_init(&c, 13);
	assert_int_equal(crcp.board.clock_slots, 2);
	assert_int_equal(crcp.board.clocks[0].id, 13);
	assert_int_equal(*c.clock_count, 0);
}

static struct crcp_comm asked;
static void permit_agent(void)
{
	struct cr_board *b = &crcp.board;

	if (b->order == CR_ORDER_CONVERGE && b->asking) {
		assert_int_equal(b->state, CR_RANK_BLOCKED);
		assert_int_equal(b->ask_clock, 21);
		b->permit_count = b->ask_count;
		b->permit_clock = b->ask_clock;
	}
}
static void test_collective_asks_and_is_permitted(void **state)
{
	(void)state;
	fake_comm_init(&asked, 21);
	fake.on_progress = permit_agent;
	crcp.board.order = CR_ORDER_CONVERGE;
	crcp_collective_enter(&asked);
	assert_int_equal(*asked.clock_count, 1);
	assert_int_equal(crcp.board.asking, 0);
	assert_int_equal(crcp.board.state, CR_RANK_RUNNING);
	assert_int_equal(crcp.board.permit_count, 1);
}

static uint64_t count_in_drain;
static void stop_agent(void)
{
	struct cr_board *b = &crcp.board;

	if (b->order == CR_ORDER_CONVERGE && b->asking)
		b->order = CR_ORDER_STOP;
	play_agent();
	if (b->order == CR_ORDER_DRAIN)
		count_in_drain = *asked.clock_count;
}
static void test_refused_collective_is_not_entered(void **state)
{
	(void)state;
	fake_comm_init(&asked, 21);
	crcp_collective_enter(&asked);
	fake.on_progress = stop_agent;
	CR_GATE->board_notify = play_notify;
	cycle_restart = 1;
	cycles = 0;
	count_in_drain = 99;
	crcp.board.order = CR_ORDER_CONVERGE;
	crcp_collective_enter(&asked);
	assert_int_equal(cycles, 1);
	assert_int_equal(count_in_drain, 1);
	assert_int_equal(*asked.clock_count, 2);
	assert_int_equal(crcp.board.asking, 0);
}

static void test_reported_collective_is_entered_at_stop(void **state)
{
	(void)state;
	fake_comm_init(&asked, 21);
	crcp.board.clocks[0].reported = 1;
	crcp.board.order = CR_ORDER_STOP;
	cycles = 0;
	crcp_collective_enter(&asked);
	assert_int_equal(cycles, 0);
	assert_int_equal(*asked.clock_count, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(test_errors_of_arguments), T(test_wrong_counts_are_found), T(test_a_missed_resume_is_noticed), T(test_drain_taken_back_keeps_what_it_took),
		T(test_a_longer_message_of_the_log_is_truncated), T(test_null_request_gives_the_empty_status), T(test_counts),
		T(test_drained_message_has_its_place), T(test_pending_receives_keep_their_order), T(test_persistent_requests_live_on),
		T(test_pending_sends_complete_in_the_drain), T(test_matched_message_survives), T(test_freed_requests_are_drained),
		T(test_a_freed_send_does_not_hold_up_buffer_detach),
		T(test_buffered_sends), T(test_a_receive_that_outlives_its_communicator_forbids_checkpoints), T(test_stop_in_a_blocking_receive), T(test_clock_ids), T(test_clock_slots_are_used_again),
		T(test_collective_asks_and_is_permitted), T(test_refused_collective_is_not_entered), T(test_reported_collective_is_entered_at_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

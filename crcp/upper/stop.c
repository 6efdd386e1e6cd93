/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Being stopped: where the MPI threads of a rank wait while a checkpoint is taken, and where they go on from.
 *
 * One thread serves the order (the leader): below MPI_THREAD_SERIALIZED it is the only one that may call the library; otherwise the others
 * park until it is done. The leader's wait for the end of the checkpoint is in upper-half code, with the library untouched, so a
 * restarted process goes on there, with a new library.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

struct crcp_stop {
	struct crcp_thread_state *main_thread; /* that called MPI_Init */
	volatile uint32_t leader;              /* futex word: 1 while a thread serves the order */
};
static struct crcp_stop crcp_stop;

__thread struct crcp_thread_state crcp_tls __attribute__((tls_model("initial-exec")));

void crcp_stop_init(void)
{
	crcp_stop.main_thread = &crcp_tls;
	crcp_tls.counted = crcp_tls.depth > 0 && crcp.thread_level >= MPI_THREAD_SERIALIZED;
	crcp.inside = crcp_tls.counted;
	__atomic_store_n(&crcp.multiple, crcp.thread_level >= MPI_THREAD_SERIALIZED, __ATOMIC_SEQ_CST);
}

bool crcp_stop_is_main(void)
{
	return crcp_stop.main_thread == &crcp_tls;
}

/* The program cannot go on: its library could not be brought back. Not by abort(): the library below would print a backtrace of its own over the reason. */
static void crcp_stop_die(int rc)
{
	char text[200];
	int n = snprintf(text, sizeof(text), "ompi-cr: rank %d cannot go on after the restart: the MPI objects of the program could not be made again (%s)\n",
			 crcp.board.world_rank, strerror(-rc));

	(void)!write(2, text, (size_t)n);
	_exit(1);
}

static bool crcp_stop_restarted(void)
{
	return CR_GATE->epoch != crcp.epoch;
}

/* Others are still inside: they come out, or park at their wait loops. */
static bool crcp_stop_alone(void)
{
	while (crcp.multiple && __atomic_load_n(&crcp.inside, __ATOMIC_SEQ_CST) != 0) {
		if (crcp.board.order < CR_ORDER_STOP)
			return false;
		crcp_os_yield();
	}
	return true;
}

static void crcp_stop_tell(uint32_t state)
{
	crcp.board.served = crcp_p2p.attempt;
	__atomic_store_n(&crcp.board.state, state, __ATOMIC_SEQ_CST);
	CR_GATE->board_notify();
}

/* Every rank stops; until all have, peers may need our progress. */
static void crcp_stop_arrive(void)
{
	unsigned int turns = 0;

	crcp_p2p.attempt = crcp.board.attempt;
	crcp_stop_tell(CR_RANK_ARRIVED);
	while (!crcp_stop_over(CR_ORDER_STOP)) {
		crcp_lower_progress();
		if (++turns % 64 == 0)
			crcp_os_yield();
		if (turns > 20000)
			crcp_os_futex_wait(&crcp.board.order, CR_ORDER_STOP, 100000);
	}
}

static void crcp_stop_drain(void)
{
	int rc;

	crcp.board.error_text[0] = '\0';
	rc = crcp_bookmark_drain();
	if (rc == -ECANCELED)
		return;
	crcp_wtime_note();
	crcp_stop_tell(rc == 0 ? CR_RANK_DRAINED : CR_RANK_FAILED);
	while (!crcp_stop_over(CR_ORDER_DRAIN) && !crcp_stop_restarted())
		crcp_os_futex_wait(&crcp.board.order, CR_ORDER_DRAIN, 100000000);
}

static void crcp_stop_lead(void)
{
	int rc;

	crcp_tls.depth++; /* wrappers that the rebuild or a hook calls do not come back here */
	while (crcp.board.order >= CR_ORDER_STOP) {
		if (!crcp_stop_alone())
			break;
		crcp_stop_arrive();
		if (!crcp_stop_over(CR_ORDER_DRAIN))
			crcp_stop_drain();
		if (crcp_stop_restarted()) {
			rc = crcp_reinit();
			if (rc < 0)
				crcp_stop_die(rc);
		}
		crcp_p2p.idle_since_ns = 0;
		if (crcp.board.order < CR_ORDER_STOP)
			crcp_board_state(CR_RANK_RUNNING);
	}
	crcp_tls.depth--;
}

void crcp_stop_serve(void)
{
	bool counted = crcp_tls.counted;

	if (!crcp.initialized || crcp.finalized)
		return;
	if (!crcp.multiple) {
		crcp_stop_lead();
		return;
	}
	if (counted)
		__atomic_fetch_sub(&crcp.inside, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t none = 0;

		if (crcp_stop.leader) {
			/* Until the leader is done, rebuild after a restart included. */
			crcp_os_futex_wait(&crcp_stop.leader, 1, 100000000);
			continue;
		}
		if (crcp.board.order >= CR_ORDER_STOP) {
			if (!__atomic_compare_exchange_n(&crcp_stop.leader, &none, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				continue;
			crcp_stop_lead();
			__atomic_store_n(&crcp_stop.leader, 0, __ATOMIC_SEQ_CST);
			crcp_os_futex_wake(&crcp_stop.leader);
			continue;
		}
		if (!counted)
			return;
		/* Enter again, unless the next stop has begun meanwhile. */
		__atomic_fetch_add(&crcp.inside, 1, __ATOMIC_SEQ_CST);
		if (crcp.board.order < CR_ORDER_STOP && !crcp_stop.leader)
			return;
		__atomic_fetch_sub(&crcp.inside, 1, __ATOMIC_SEQ_CST);
	}
}

void crcp_serve_order(void)
{
	crcp_stop_serve();
}

void crcp_multiple_begin(void)
{
	__atomic_fetch_add(&crcp.inside, 1, __ATOMIC_SEQ_CST);
	crcp_tls.counted = 1;
	if (__builtin_expect(crcp.board.order >= CR_ORDER_STOP || crcp_stop.leader, 0))
		crcp_stop_serve();
}

void crcp_multiple_end(void)
{
	crcp_tls.counted = 0;
	__atomic_fetch_sub(&crcp.inside, 1, __ATOMIC_SEQ_CST);
	/* Not before: a signal that finds the depth 0 leads a stop, which waits until nobody is counted. */
	__asm__ volatile("" : : : "memory");
	crcp_tls.depth = 0;
	__asm__ volatile("" : : : "memory");
	if (__builtin_expect(crcp.board.order >= CR_ORDER_STOP, 0))
		crcp_stop_serve();
}

/* See struct cr_gate. The thread computes: nothing of the layer is on its stack when its depth is 0. */
void crcp_stop_client(void)
{
	if (!crcp.initialized || crcp.finalized || crcp_tls.depth != 0 || crcp.board.order < CR_ORDER_STOP)
		return;
	if (crcp.multiple) {
		/* A thread that has ever used the library leads, or returns when another one does. */
		if (crcp_stop.leader || cr_crossing_tls.epoch == 0)
			return;
	} else if (&crcp_tls != crcp_stop.main_thread) {
		return;
	}
	crcp_stop_serve();
}

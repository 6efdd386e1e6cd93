/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The collective cut: how far every rank runs after a checkpoint was asked for, before all of them stop.
 *
 * The cut is one number per communicator, target[c].  It is reached ("even") when every member has entered exactly target[c] collectives
 * on c: then no collective is half done, and none of its data is in flight.  This file decides; it sends nothing and reads no clock.
 *
 * What a report says.  A rank reports, for every communicator c that it is a member of, the collectives that it has entered, and the one
 * that it asks for, if any.  The count of an asker includes what it asks for.  A count may also be one too high because the agent read it between the
 * rank's increment and its ask.  In a rank's first report such a count is believed (the rank may have entered just before the
 * checkpoint began).  Afterwards nothing is entered without a permit, so
 *	entered[r][c] = ask_count - 1 if r asks on c, else count,	but never more than r's first report and its permits on c allow.
 *
 * Rules:
 *  1. target[c] is the largest entered[r][c] ever reported.  It never falls.
 *  2. r asks for (c, k), k <= target[c]: permit it (up to target[c] at once: several collectives, one message).
 *  3. r asks for (c, k), k > target[c], while r is below the target of some communicator: k is in the way of what r still owes, so
 *     target[c] becomes k.  Repeated until nothing changes.
 *  4. Nothing has changed for a while (no report, no permit), the cut is not even, and a rank below it waits for a message, or a
 *     communicator that binds (below) has members that do not report it: the message may have to come from a rank that rule 2 holds back.
 *     The refused asks become targets, oldest ask first, one of them the first time, then two, four, ...  After a long while this is
 *     done even if nobody is known to wait.
 *  5. Every rank has reported and every communicator is even: stop.
 *
 * A rank with several threads shows one ask at a time, its threads in turn.  A thread that has asked stands there until it is let through, so
 * an ask holds, with the age that it had first, until the rank has entered what it was for: refused asks in the rules are those of all threads.  That
 * they take turns is no change: otherwise two of them would keep rule 4 away for ever.
 *
 * Why the stop is safe.  Reports arrive late, so what matters is that an old report that looks even is still true.  After its first
 * report a rank enters a collective only by a permit, and a permit never exceeds the target.  If entered[r][c] == target[c] for all members
 * then no permit on c lets anyone further, so nobody has entered more since.  A permitted rank that has not entered yet
 * reports entered < target: not even.  So all that can be wrong with an even cut is that a rank has not yet entered what it was
 * counted for: by its first report or by a permit.  Hence
 *
 * The rank's part.  A collective that the first report after BEGIN counted as entered, or that any permit of this checkpoint allowed, is
 * entered, whatever order has come meanwhile; an ask beyond both takes its increment back when the order is to stop.  A rank that breaks this leaves others
 * inside a collective: not all arrive, and the coordinator resumes everybody and begins again (phase quiesce).
 *
 * Why the cut does not deadlock a program that would not deadlock by itself.  A rank is held only at an ask that is
 * beyond the target.  Let the cut be uneven and nothing move.  Some member of an uneven communicator is below its target.  If it asks, rules 2 and 3
 * let it go on.  If it computes, it moves by itself.  If it waits for a message, the sender moves, or waits in turn, or is held; somebody in
 * this chain is held, because the program alone would not be stuck.  Rule 4 lets every refused ask through after finitely many
 * rounds, since asks are raised in the order of their age, so also that one.  Raising is always allowed: the ranks then only do what
 * they would have done without the checkpoint; the price is a later cut.
 *
 * Communicators that come and go.  Making and freeing are themselves collectives of some communicator. A member that does not report a
 * communicator has not made it yet, or has freed it already; either way the others will follow without help (or with rule 4), so a
 * communicator is not even until all members report it or none does: what only some have could not be made again after a restart.
 * Only clocks that are not of an object bind nobody while their target is 0: MPI_Comm_create_group enters a collective that others have
 * not heard of.
 */
#ifndef SNAPC_CUT_H
#define SNAPC_CUT_H

#include <stddef.h>
#include <stdint.h>

#include "cr_proto.h"
#include "libcr/cr_err.h"

/* Rule 4: how long nothing may change before refused asks are raised; the long one while some rank computes, which may be the sender. */
#define SNAPC_CUT_STALL_NS 5000000u
#define SNAPC_CUT_STALL_BUSY_NS 50000000u
/* The same when no rank is known to wait: one that seems to compute may stand in a call that nobody sees into. */
#define SNAPC_CUT_STALL_BLIND_NS 2000000000u

enum snapc_cut_verdict {
	SNAPC_CUT_WAIT = 0,
	SNAPC_CUT_EVEN = 1,
};

struct snapc_cut;

/* Sends a permit; called by snapc_cut_step(). */
typedef void (*snapc_cut_permit_fn)(void *arg, uint32_t rank, uint64_t clock, uint64_t count);

struct snapc_cut *snapc_cut_create(uint32_t ranks);
void snapc_cut_destroy(struct snapc_cut *cut);

/**
 * snapc_cut_report - take in one CLOCKS message
 * @rank: who sent it
 * @head: its head
 * @clocks: head->n entries; no alignment needed; entries with id 0 or size 0 are free slots and skipped
 * @now_ns: CLOCK_MONOTONIC
 *
 * Return: 0; -EINVAL rank; -EPROTO with words when it contradicts itself or another rank; -ENOMEM.
 */
int snapc_cut_report(struct snapc_cut *cut, uint32_t rank, const struct cr_msg_clocks *head, const void *clocks, uint64_t now_ns,
		     struct cr_err *err);

/**
 * snapc_cut_step - apply the rules to what is known
 * @now_ns: CLOCK_MONOTONIC
 * @permit: called for every permit to send
 * @arg: handed to @permit
 * @ret_wake_ns: when to call again if no report arrives before; 0: not needed
 *
 * Return: enum snapc_cut_verdict.
 */
enum snapc_cut_verdict snapc_cut_step(struct snapc_cut *cut, uint64_t now_ns, snapc_cut_permit_fn permit, void *arg, uint64_t *ret_wake_ns);

/* One line that says who keeps the cut from being even: for the message of a deadline. */
void snapc_cut_explain(const struct snapc_cut *cut, char *text, size_t bytes);

/* How often rule 4 was applied. */
uint32_t snapc_cut_raises(const struct snapc_cut *cut);

#endif

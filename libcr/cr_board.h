/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board: what the MPI layer of a rank and the rank's agent thread (lower half) tell each other during a checkpoint.
 * Upper-half memory, so it is saved with the program; the agent reads and writes it directly.  One writer per field.
 *
 * Life of one checkpoint on the board (order is written by the agent, state by the MPI layer):
 *   order RUN       normal. Every collective costs one increment and one look at @order.
 *   order CONVERGE  every entry into a collective asks for permission (ask_*, permit_*); the rank otherwise runs on. Clocks and state
 *                   are read by the agent whenever board_notify is called, and sent to the coordinator.
 *   order STOP      all ranks have reached the cut. Each MPI thread stops where it is: in its wait loop, at its next MPI call, or in
 *                   stop_client when it computes. state becomes ARRIVED. A collective that was asked for and not permitted is not entered.
 *   order DRAIN     every rank has arrived: exchange bookmarks, take in everything in flight. state becomes DRAINED or FAILED (error_text).
 *   (freeze)        the thread waits, in upper-half code, until order is RUN again or the gate's epoch has changed.
 *   order RUN       resume, undo, or (epoch changed) continue after a restart.
 */
#ifndef CR_BOARD_H
#define CR_BOARD_H

#include <stdint.h>

#define CR_BOARD_VERSION 1

enum cr_order { CR_ORDER_RUN = 0, CR_ORDER_CONVERGE = 1, CR_ORDER_STOP = 2, CR_ORDER_DRAIN = 3 };

enum cr_rank_state {
	CR_RANK_OUTSIDE = 0,   /* before MPI_Init has returned or after MPI_Finalize was entered */
	CR_RANK_RUNNING = 1,   /* anywhere, making progress as far as known */
	CR_RANK_WAITING = 2,   /* in a point-to-point wait loop without progress for some milliseconds */
	CR_RANK_BLOCKED = 3,   /* at the entry of a collective that is not permitted (ask_clock, ask_count) */
	CR_RANK_ARRIVED = 4,
	CR_RANK_DRAINED = 5,
	CR_RANK_FAILED = 6,
};

/* In a clock's size: it is that of an object (communicator, file), which either all members have or none when the ranks are stopped. */
#define CR_CLOCK_OBJECT 0x80000000u

/* One communicator's collective clock. Entries are only appended, or marked dead (size 0) and reused. */
struct cr_clock {
	uint64_t id;             /* the same number on every member; 0 = free slot */
	volatile uint64_t count; /* collectives that this rank has entered, the one that it is asking for included */
	uint32_t size;           /* members, and CR_CLOCK_OBJECT; the clock is even when all report the same count */
	volatile uint32_t reported; /* written by the agent: low half of the count that its first report of a checkpoint showed as entered, or
	                             * that was permitted. A rank that finds the order STOP behind an increment enters if it was, else takes it back. */
};

struct cr_board {
	uint32_t version;
	int32_t world_rank;
	int32_t world_size;
	int32_t thread_level;

	volatile uint32_t order;  /* enum cr_order; written by the agent; futex word: the agent wakes it after every change */
	volatile uint32_t state;  /* enum cr_rank_state; written by the MPI layer */

	volatile uint32_t asking; /* 1 while a thread waits for permission to enter a collective */
	volatile uint32_t attempt; /* written by the agent before order becomes STOP: the checkpoint number that BEGIN gave, equal on all ranks */
	volatile uint64_t ask_clock;
	volatile uint64_t ask_count;
	volatile uint64_t permit_clock; /* written by the agent, the clock 0 meanwhile: (clock, count) that may be entered now; 0 before CONVERGE */
	volatile uint64_t permit_count;

	struct cr_clock *volatile clocks;
	volatile uint32_t clock_slots;  /* used length of @clocks */
	volatile uint32_t served;       /* written by the MPI layer before @state: the attempt to which ARRIVED, DRAINED and FAILED belong. A thread that
	                                 * was not scheduled between two checkpoints still shows the state of the first one. */

	volatile uint64_t drained_messages; /* of the last drain */
	volatile uint64_t drained_bytes;
	volatile uint64_t exchanged_messages; /* that the layer itself sent to other ranks for it */
	char error_text[256];               /* valid when state is FAILED */
};

#endif

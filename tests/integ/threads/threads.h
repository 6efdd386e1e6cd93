/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that stand in MPI calls: MPI_THREAD_MULTIPLE, one thread for each line of the table in main.c, each in its call on a communicator of its
 * own until the main thread of a neighbour (or, in a collective, of one rank) lets it go on. Checks all that comes.
 *
 *   mpi_threads STEPS [all | NAME [FILE]]
 *
 * FILE: the second step does not end before a file of that name is there. Rank 0 then writes "inside", and "NAME ok" for each that is ended in it.
 */
#ifndef THREADS_H
#define THREADS_H

#include <mpi.h>
#include <pthread.h>

#include "step.h"

/* What a thread is for: @block waits inside of MPI, @release of the same step, called by the main thread, lets the right neighbour's go on. */
struct state {
	const char *name;
	uint64_t (*block)(int i, int s);
	uint64_t (*release)(int i, int s);
	int collective; /* cannot wait for anything but the other ranks: released while a checkpoint may want it to */
	void (*prepare)(int i, int s); /* by the main thread, before */
	int apart; /* takes all of a core: only when it is asked for by name */
};

struct worker {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	int asked, inside, done; /* steps */
	int released;
	uint64_t sum;
};

extern int rank, size, left, right;
extern MPI_Comm comms[64];
extern MPI_Win wins[64]; /* of those that need one: a word for each rank */
extern uint64_t *words[64];
extern struct worker workers[64];

static inline uint64_t value(int i, int s, int from, int k)
{
	return step_mix((uint64_t)i << 48 ^ (uint64_t)s << 24 ^ (uint64_t)from << 16 ^ (uint64_t)k);
}

static inline uint64_t is_value(uint64_t v, int i, int s, int from, int k)
{
	STEP_CHECK(v == value(i, s, from, k));
	return step_mix(v + (uint64_t)k);
}

/* The rank whose thread stands in nothing: its main thread comes last to a collective. */
static inline int comes_last(int s)
{
	return s % size == rank;
}

/* A collective function as the two of a line of the table. */
#define COLLECTIVE(name)                                                                                                      \
	uint64_t name##_block(int i, int s) { return comes_last(s) ? 0 : name(i, s); }                                 \
	uint64_t name##_release(int i, int s) { return comes_last(s) ? name(i, s) : 0; }

/* receive.c */
uint64_t few_send(int i, int s);
uint64_t recv_block(int i, int s);
uint64_t any_block(int i, int s);
uint64_t wait_block(int i, int s);
uint64_t waitall_block(int i, int s);
uint64_t waitany_block(int i, int s);
uint64_t waitsome_block(int i, int s);
uint64_t test_block(int i, int s);
uint64_t persistent_block(int i, int s);
uint64_t probe_block(int i, int s);
uint64_t iprobe_block(int i, int s);
uint64_t mprobe_block(int i, int s);

/* send.c */
uint64_t send_block(int i, int s);
uint64_t ssend_block(int i, int s);
uint64_t large_receive(int i, int s);
uint64_t sendrecv_block(int i, int s);
uint64_t sendrecv_release(int i, int s);

/* collective.c */
uint64_t allreduce_block(int i, int s);
uint64_t allreduce_release(int i, int s);
uint64_t bcast_block(int i, int s);
uint64_t bcast_release(int i, int s);
uint64_t iallreduce_block(int i, int s);
uint64_t iallreduce_release(int i, int s);
uint64_t comm_dup_block(int i, int s);
uint64_t comm_dup_release(int i, int s);

/* window.c */
void window_make(int i);
uint64_t fence_block(int i, int s);
uint64_t fence_release(int i, int s);
uint64_t win_wait_block(int i, int s);
uint64_t win_wait_release(int i, int s);
void win_lock_prepare(int i, int s);
uint64_t win_lock_block(int i, int s);
uint64_t win_lock_release(int i, int s);
uint64_t win_locks_block(int i, int s);
uint64_t win_locks_release(int i, int s);
void win_flag_prepare(int i, int s);
uint64_t win_flag_block(int i, int s);
uint64_t win_flag_release(int i, int s);
void win_flag_end(int i);

/* objects.c */
void objects_prepare(int i, int s);
uint64_t objects_block(int i, int s);
uint64_t objects_release(int i, int s);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the states of states.def share. A state is CLASS_NAME_begin(step), which brings the rank into it, and CLASS_NAME_end(step), which comes out of it,
 * checks everything and returns a number that depends on what came.
 */
#ifndef TABLE_H
#define TABLE_H

#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

extern int rank, size, left, right;
extern MPI_Comm comm; /* a copy of MPI_COMM_WORLD */

#define STATE(class, name, what)        \
	void class##_##name##_begin(int s); \
	uint64_t class##_##name##_end(int s);
#include "states.def"
#undef STATE

/* A number that says who sends it, in which step, and as what. */
static inline int number_of(int step, int what, int of) { return (step * 32 + what) * 64 + of; }
static inline int number(int step, int what) { return number_of(step, what, rank); }

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MPI's rules of matching, across what was received before a checkpoint, what the drain has logged, and what is sent afterwards. */
#include "table.h"

#define BURST 9

/* A communicator of its own for each state with wildcards: the others' messages are not its */
static MPI_Comm source_comm, wild, tags_comm, fresh_comm;

static void own(int s, MPI_Comm *c)
{
	if (s == 0)
		MPI_Comm_dup(comm, c);
}

static int burst_out[2][BURST][8];
static MPI_Request burst[BURST];

/* Messages of 2 ... 7 words, each told by its first word */
static void burst_send(int s, int what, int from, int n, int to, int tag, MPI_Comm c, MPI_Request *q)
{
	for (int i = from; i < n; i++) {
		int *v = burst_out[what][i];

		v[0] = number(s, what);
		v[1] = i;
		MPI_Isend(v, 2 + i % 6, MPI_INT, to, tag, c, &q[i]);
	}
}

static void burst_take(int s, int what, int i, int from, int tag, MPI_Comm c)
{
	MPI_Status status;
	int v[8], n;

	MPI_Recv(v, 8, MPI_INT, from, tag, c, &status);
	MPI_Get_count(&status, MPI_INT, &n);
	STEP_CHECK(n == 2 + i % 6 && v[1] == i && v[0] == number_of(s, what, status.MPI_SOURCE));
}

/* ---- one source ---- */
void order_source_begin(int s)
{
	own(s, &source_comm);
	burst_send(s, 0, 0, BURST, right, 20, source_comm, burst);
	burst_take(s, 0, 0, left, 20, source_comm);
	burst_take(s, 0, 1, MPI_ANY_SOURCE, 20, source_comm);
}

uint64_t order_source_end(int s)
{
	for (int i = 2; i < BURST; i++)
		burst_take(s, 0, i, i % 2 ? left : MPI_ANY_SOURCE, i % 3 ? 20 : MPI_ANY_TAG, source_comm);
	MPI_Waitall(BURST, burst, MPI_STATUSES_IGNORE);
	return 1;
}

/* ---- wildcards posted before and after: two sources, each in its own order ---- */
static MPI_Request wild_in[2 * BURST], wild_out[2 * BURST];
static int wild_value[2 * BURST][2], wild_sent[2 * BURST][2];

static void wild_post(int from, int to)
{
	for (int i = from; i < to; i++)
		MPI_Irecv(wild_value[i], 2, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, wild, &wild_in[i]);
}

static void wild_send(int s, int from, int to)
{
	for (int i = from; i < to; i++)
		for (int side = 0; side < 2; side++) {
			int *v = wild_sent[2 * i + side];

			v[0] = number(s, side);
			v[1] = i;
			MPI_Isend(v, 2, MPI_INT, side ? left : right, i, wild, &wild_out[2 * i + side]);
		}
}

void order_wildcard_begin(int s)
{
	own(s, &wild);
	wild_post(0, 4);
	wild_send(s, 0, 6);
	wild_post(4, 7);
}

uint64_t order_wildcard_end(int s)
{
	MPI_Status status[2 * BURST];
	int next[2] = { 0, 0 };

	wild_post(7, 12);
	wild_send(s, 6, BURST);
	wild_post(12, 2 * BURST);
	MPI_Waitall(2 * BURST, wild_in, status);
	for (int i = 0; i < 2 * BURST; i++) {
		/* side 0 went to the right: it came from my left */
		int side = wild_value[i][0] == number_of(s, 0, left) ? 0 : 1;

		STEP_CHECK(wild_value[i][0] == number_of(s, side, side ? right : left) && status[i].MPI_SOURCE == (side ? right : left));
		STEP_CHECK(wild_value[i][1] == next[side] && status[i].MPI_TAG == next[side]);
		next[side]++;
	}
	MPI_Waitall(2 * BURST, wild_out, MPI_STATUSES_IGNORE);
	return (uint64_t)next[0];
}

/* ---- tags ---- */
static MPI_Request tags_out[3];
static int tags_word[3];

static int tag_at(int i)
{
	int *ub, flag;

	MPI_Comm_get_attr(comm, MPI_TAG_UB, &ub, &flag);
	return i == 0 ? 0 : i == 1 ? *ub : *ub - 1;
}

void order_tags_begin(int s)
{
	own(s, &tags_comm);
	for (int i = 0; i < 3; i++) {
		tags_word[i] = number(s, i);
		MPI_Isend(&tags_word[i], 1, MPI_INT, right, tag_at(i), tags_comm, &tags_out[i]);
	}
}

uint64_t order_tags_end(int s)
{
	int v = 0;

	for (int i = 2; i >= 0; i--) {
		MPI_Recv(&v, 1, MPI_INT, left, tag_at(i), tags_comm, MPI_STATUS_IGNORE);
		STEP_CHECK(v == number_of(s, i, left));
	}
	MPI_Waitall(3, tags_out, MPI_STATUSES_IGNORE);
	return (uint64_t)v;
}

/* ---- messages without bytes ---- */
static MPI_Request empty_in;

void order_empty_begin(int s)
{
	MPI_Irecv(NULL, 0, MPI_INT, MPI_ANY_SOURCE, 41, comm, &empty_in);
	for (int i = 0; i < 8; i++)
		MPI_Send(&s, i % 2, MPI_INT, right, 40, comm);
}

uint64_t order_empty_end(int s)
{
	MPI_Status status;
	int v, n;

	for (int i = 0; i < 8; i++) {
		MPI_Recv(&v, 1, MPI_INT, left, 40, comm, &status);
		MPI_Get_count(&status, MPI_INT, &n);
		STEP_CHECK(n == i % 2 && (!n || v == s));
	}
	MPI_Send(NULL, 0, MPI_INT, right, 41, comm);
	MPI_Wait(&empty_in, &status);
	STEP_CHECK(status.MPI_SOURCE == left && status._ucount == 0);
	return 1;
}

/* ---- every pair in both directions ---- */
#define LARGE 20000
static MPI_Request both_out[2 * 64], both_in[64];
static int both_large[LARGE], both_got[64][LARGE], both_small;

void order_both_begin(int s)
{
	both_large[0] = both_small = number(s, 0);
	both_large[LARGE - 1] = number(s, 1);
	for (int i = 0; i < size; i++) {
		MPI_Isend(both_large, LARGE, MPI_INT, i, 50, comm, &both_out[2 * i]);
		MPI_Isend(&both_small, 1, MPI_INT, i, 50, comm, &both_out[2 * i + 1]);
		if ((rank + i) % 2) /* the others are posted afterwards */
			MPI_Irecv(both_got[i], LARGE, MPI_INT, i, 50, comm, &both_in[i]);
	}
}

uint64_t order_both_end(int s)
{
	int v;

	for (int i = size - 1; i >= 0; i--) {
		if ((rank + i) % 2)
			MPI_Wait(&both_in[i], MPI_STATUS_IGNORE);
		else
			MPI_Recv(both_got[i], LARGE, MPI_INT, i, 50, comm, MPI_STATUS_IGNORE);
		MPI_Recv(&v, 1, MPI_INT, i, 50, comm, MPI_STATUS_IGNORE);
		STEP_CHECK(v == number_of(s, 0, i) && both_got[i][0] == v && both_got[i][LARGE - 1] == number_of(s, 1, i));
	}
	MPI_Waitall(2 * size, both_out, MPI_STATUSES_IGNORE);
	return (uint64_t)v;
}

/* ---- many communicators ---- */
#define COMMS 30
static MPI_Comm many[COMMS];
static MPI_Request many_out[COMMS];
static int many_word[COMMS];

void order_comms_begin(int s)
{
	for (int i = 0; i < COMMS; i++) {
		if (s == 0)
			MPI_Comm_dup(comm, &many[i]);
		many_word[i] = number(s, i);
		MPI_Isend(&many_word[i], 1, MPI_INT, i % 2 ? left : right, 7, many[i], &many_out[i]);
	}
}

uint64_t order_comms_end(int s)
{
	MPI_Status status;
	int v = 0;

	for (int i = COMMS - 1; i >= 0; i--) {
		MPI_Recv(&v, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, many[i], &status);
		STEP_CHECK(status.MPI_TAG == 7 && status.MPI_SOURCE == (i % 2 ? right : left) && v == number_of(s, i, status.MPI_SOURCE));
	}
	MPI_Waitall(COMMS, many_out, MPI_STATUSES_IGNORE);
	return (uint64_t)v;
}

/* ---- what is sent afterwards comes after what was logged ---- */
static MPI_Request fresh[BURST];

void order_fresh_begin(int s)
{
	own(s, &fresh_comm);
	burst_send(s, 1, 0, 4, right, 61, fresh_comm, fresh);
}

uint64_t order_fresh_end(int s)
{
	MPI_Status status;
	int v[8];

	MPI_Waitall(4, fresh, MPI_STATUSES_IGNORE); /* small: they need no receiver */
	burst_send(s, 1, 4, BURST, right, 61, fresh_comm, fresh);
	for (int i = 0; i < BURST; i++) {
		MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, fresh_comm, &status);
		STEP_CHECK(status.MPI_SOURCE == left && status.MPI_TAG == 61 && status._ucount == (size_t)(2 + i % 6) * sizeof(int));
		MPI_Recv(v, 8, MPI_INT, status.MPI_SOURCE, MPI_ANY_TAG, fresh_comm, MPI_STATUS_IGNORE);
		STEP_CHECK(v[1] == i && v[0] == number_of(s, 1, left));
	}
	MPI_Waitall(BURST - 4, fresh + 4, MPI_STATUSES_IGNORE);
	return 1;
}

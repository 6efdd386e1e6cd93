/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages that are under way when a checkpoint comes, and what is done to them afterwards. Rank 0 sends a burst, everybody then computes for a
 * while (the burst is in flight: not received, not posted), and only then takes it in, by another kind of receive each time:
 * status ignored, probe, matched probe, strided type, wildcards, receive posted before, larger buffer, pending non-blocking collectives beside it.
 */
#include <mpi.h>
#include <string.h>

#include "step.h"

#define BURST 24

static int rank, size, ms;
static uint64_t sum = 1;

static int words(int i)
{
	return i % 6 == 5 ? 40000 : (i * 37) % 500; /* eager and rendezvous, and empty */
}

static uint64_t word(int step, int from, int to, int i, int k)
{
	return step_mix((((uint64_t)step * 64 + (uint64_t)from) * 64 + (uint64_t)to) * 1000003 + (uint64_t)i * 65537 + (uint64_t)k);
}

static void check(const uint64_t *b, int step, int from, int i, int stride)
{
	for (int k = 0; k < words(i); k++)
		STEP_CHECK(b[k * stride] == word(step, from, rank, i, k));
	if (words(i))
		sum = step_mix(sum ^ b[0]);
}

static void take(int step, int from, int i, MPI_Comm c)
{
	static uint64_t b[2 * 40001];
	MPI_Status st;
	MPI_Message m;
	MPI_Request r;
	MPI_Datatype t;
	int n, flag = 0;

	switch ((step + i) % 6) {
	case 0:
		MPI_Recv(b, 40001, MPI_UINT64_T, from, i, c, MPI_STATUS_IGNORE);
		check(b, step, from, i, 1);
		return;
	case 1:
		MPI_Probe(from, MPI_ANY_TAG, c, &st); /* order: the first of the burst that is left */
		MPI_Get_count(&st, MPI_UINT64_T, &n);
		STEP_CHECK(st.MPI_SOURCE == from && st.MPI_TAG == i && n == words(i));
		MPI_Recv(b, n, MPI_UINT64_T, from, i, c, &st);
		break;
	case 2:
		MPI_Mprobe(from, i, c, &m, &st);
		MPI_Get_count(&st, MPI_UINT64_T, &n);
		STEP_CHECK(n == words(i) && m != MPI_MESSAGE_NULL);
		MPI_Mrecv(b, n, MPI_UINT64_T, &m, &st);
		STEP_CHECK(m == MPI_MESSAGE_NULL);
		break;
	case 3:
		MPI_Type_vector(40000, 1, 2, MPI_UINT64_T, &t);
		if (words(i)) {
			MPI_Type_free(&t);
			MPI_Type_vector(words(i), 1, 2, MPI_UINT64_T, &t);
		}
		MPI_Type_commit(&t);
		MPI_Recv(b, 1, t, from, i, c, &st);
		MPI_Type_free(&t);
		STEP_CHECK(st.MPI_SOURCE == from && st.MPI_TAG == i);
		check(b, step, from, i, 2);
		return;
	case 4:
		MPI_Irecv(b, 40001, MPI_UINT64_T, from, MPI_ANY_TAG, c, &r);
		while (!flag)
			MPI_Test(&r, &flag, &st);
		break;
	default:
		do
			MPI_Iprobe(from, i, c, &flag, &st);
		while (!flag);
		MPI_Recv(b, 40001, MPI_UINT64_T, from, i, c, &st);
	}
	MPI_Get_count(&st, MPI_UINT64_T, &n);
	STEP_CHECK(st.MPI_SOURCE == from && st.MPI_TAG == i && n == words(i));
	check(b, step, from, i, 1);
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 60);
	static uint64_t out[BURST][40000], early[40001];
	MPI_Request send[BURST + 1], posted, coll[3];
	MPI_Comm c;

	MPI_Init(&argc, &argv);
	ms = argc > 2 ? atoi(argv[2]) : 40;
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	MPI_Comm_dup(MPI_COMM_WORLD, &c);
	for (int s = 0; s < steps; s++) {
		int from = (rank + size - 1) % size, to = (rank + 1) % size, bits = 1 << (rank % 16), any = 0;
		uint64_t mine = sum, all = 0, late = 0;
		double ones = 1, total = 0;
		MPI_Status st;

		MPI_Send(&sum, 1, MPI_UINT64_T, MPI_PROC_NULL, 0, c);
		MPI_Irecv(early, 40001, MPI_UINT64_T, MPI_ANY_SOURCE, 999, c, &posted);
		for (int i = 0; i < BURST; i++) {
			for (int k = 0; k < words(i); k++)
				out[i][k] = word(s, rank, to, i, k);
			MPI_Isend(out[i], words(i), MPI_UINT64_T, to, i, c, &send[i]);
		}
		if (s % 3 == 0)
			MPI_Ibarrier(c, &coll[0]);
		else
			coll[0] = MPI_REQUEST_NULL;
		MPI_Iallreduce(&bits, &any, 1, MPI_INT, MPI_BOR, MPI_COMM_WORLD, &coll[1]);
		MPI_Ireduce(&ones, &total, 1, MPI_DOUBLE, MPI_SUM, s % size, c, &coll[2]);
		sum = step_mix(sum ^ step_work(sum, rank == s % size ? 2 * ms : ms)); /* ranks stop at different places */
		for (int i = 0; i < BURST; i++)
			take(s, from, i, c);
		MPI_Isend(&mine, 1, MPI_UINT64_T, to, 999, c, &send[BURST]);
		MPI_Wait(&posted, &st);
		STEP_CHECK(st.MPI_SOURCE == from && st.MPI_TAG == 999);
		MPI_Waitall(BURST + 1, send, MPI_STATUSES_IGNORE);
		MPI_Waitall(3, coll, MPI_STATUSES_IGNORE);
		STEP_CHECK(any == (int)((1u << (size > 16 ? 16 : size)) - 1) && (rank != s % size || total == size));
		sum = step_mix(sum + early[0]);
		if (rank == 0) { /* the last sits in a blocking receive while the others still compute */
			for (int p = 1; p < size; p++) {
				MPI_Recv(&late, 1, MPI_UINT64_T, p, 1000, c, MPI_STATUS_IGNORE);
				sum += late;
			}
		} else {
			sum ^= step_work(sum, ms / 2);
			MPI_Ssend(&sum, 1, MPI_UINT64_T, 0, 1000, c);
		}
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
		if (rank == 0)
			step_print(s, all);
		else
			step_hold(s); /* all stay outside of MPI: one that had entered the next collective would keep a checkpoint waiting */
	}
	MPI_Comm_free(&c);
	if (rank == 0)
		puts("ok");
	MPI_Finalize();
	return 0;
}

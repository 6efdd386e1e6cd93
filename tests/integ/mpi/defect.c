/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Open MPI's own coordination protocol (crcp bkmrk, removed in 2017) got wrong; each is a state here. Its bookmarks were lists of messages by
 * signature: (peer, communicator, tag, size).
 */
#include <signal.h>

#include "table.h"

static MPI_Comm own[8];

static MPI_Comm its(int s, int which)
{
	if (s == 0)
		MPI_Comm_dup(comm, &own[which]);
	return own[which];
}

/* ---- a wildcard receive was counted for nobody, so the counts never met: the checkpoint hung ---- */
static MPI_Request count_in[6], count_out[6];
static int count_got[6], count_word[6];

void defect_wildcard_count_begin(int s)
{
	MPI_Comm c = its(s, 0);

	for (int i = 0; i < 3; i++)
		MPI_Irecv(&count_got[i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, c, &count_in[i]);
	for (int i = 0; i < 6; i++) {
		count_word[i] = number(s, i);
		MPI_Isend(&count_word[i], 1, MPI_INT, i % 2 ? left : right, i, c, &count_out[i]);
	}
	MPI_Wait(&count_in[0], MPI_STATUS_IGNORE); /* one is received, two are posted, three are on their way */
}

uint64_t defect_wildcard_count_end(int s)
{
	uint64_t sum = 0;

	for (int i = 3; i < 6; i++)
		MPI_Irecv(&count_got[i], 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, own[0], &count_in[i]);
	MPI_Waitall(6, count_in, MPI_STATUSES_IGNORE);
	MPI_Waitall(6, count_out, MPI_STATUSES_IGNORE);
	for (int i = 0; i < 6; i++)
		sum += (uint64_t)count_got[i];
	for (int i = 0; i < 6; i++)
		sum -= (uint64_t)number_of(s, i, i % 2 ? right : left);
	STEP_CHECK(sum == 0);
	return sum;
}

/* ---- drained messages were found again by signature: two of one tag and different sizes came in the wrong order ---- */
static int sizes_out[4][300];
static MPI_Request sizes_request[4];

void defect_signature_begin(int s)
{
	MPI_Comm c = its(s, 1);
	static const int n[4] = { 1, 300, 2, 299 };

	for (int i = 0; i < 4; i++) {
		sizes_out[i][0] = number(s, i);
		MPI_Isend(sizes_out[i], n[i], MPI_INT, right, 5, c, &sizes_request[i]);
	}
}

uint64_t defect_signature_end(int s)
{
	static const int n[4] = { 1, 300, 2, 299 };
	MPI_Status status;
	int v[300], got;

	for (int i = 0; i < 4; i++) { /* exactly as long as what must come: another one would be truncated */
		MPI_Recv(v, n[i], MPI_INT, left, 5, own[1], &status);
		MPI_Get_count(&status, MPI_INT, &got);
		STEP_CHECK(got == n[i] && v[0] == number_of(s, i, left));
	}
	MPI_Waitall(4, sizes_request, MPI_STATUSES_IGNORE);
	return (uint64_t)v[0];
}

/* ---- the same as a user met it in 2010: Bcast of a size and of data in a loop ---- */
void defect_bcast_pair_begin(int s)
{
	its(s, 2);
}

uint64_t defect_bcast_pair_end(int s)
{
	uint64_t sum = 0;

	for (int i = 0; i < 20; i++) {
		int root = i % size, n = rank == root ? 1 + (s * 7 + i * 13) % 50 : 0;
		char data[64];

		MPI_Bcast(&n, 1, MPI_INT, root, own[2]);
		STEP_CHECK(n == 1 + (s * 7 + i * 13) % 50);
		memset(data, rank == root ? i : 0, sizeof(data));
		if (rank == (root + 1) % size)
			sum += step_work((uint64_t)n, 1) & 1; /* somebody is late: the others are ahead of him */
		MPI_Bcast(data, n, MPI_CHAR, root, own[2]);
		STEP_CHECK(data[0] == i && data[n - 1] == i);
		sum += (uint64_t)n;
	}
	return sum;
}

/* ---- persistent requests were not set back: wrong after the second checkpoint ---- */
static MPI_Request again[2];
static int again_in, again_out;

void defect_persistent_again_begin(int s)
{
	MPI_Comm c = its(s, 3);

	if (s == 0) {
		MPI_Recv_init(&again_in, 1, MPI_INT, left, 6, c, &again[0]);
		MPI_Send_init(&again_out, 1, MPI_INT, right, 6, c, &again[1]);
	}
	again_out = number(s, 0);
	MPI_Start(&again[s % 2]); /* the send active and the receive not, and the other way round */
}

uint64_t defect_persistent_again_end(int s)
{
	MPI_Start(&again[!(s % 2)]);
	MPI_Waitall(2, again, MPI_STATUSES_IGNORE);
	STEP_CHECK(again_in == number_of(s, 0, left));
	return (uint64_t)again_in;
}

/* ---- a probe of a drained message answered with the wildcards ---- */
static MPI_Request probe_request;
static int probe_out[3];

void defect_probe_wildcard_begin(int s)
{
	probe_out[2] = number(s, 0);
	MPI_Isend(probe_out, 3, MPI_INT, right, 123, its(s, 4), &probe_request);
}

uint64_t defect_probe_wildcard_end(int s)
{
	int v[3], n, flag = 0;
	MPI_Status status[2];

	MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, own[4], &status[0]);
	while (!flag)
		MPI_Iprobe(MPI_ANY_SOURCE, 123, own[4], &flag, &status[1]);
	for (int i = 0; i < 2; i++) {
		MPI_Get_count(&status[i], MPI_INT, &n);
		STEP_CHECK(status[i].MPI_SOURCE == left && status[i].MPI_TAG == 123 && n == 3);
	}
	MPI_Iprobe(left, 124, own[4], &flag, &status[1]);
	STEP_CHECK(!flag);
	MPI_Recv(v, 3, MPI_INT, status[0].MPI_SOURCE, status[0].MPI_TAG, own[4], MPI_STATUS_IGNORE);
	STEP_CHECK(v[2] == number_of(s, 0, left));
	MPI_Wait(&probe_request, MPI_STATUS_IGNORE);
	return (uint64_t)v[2];
}

/* ---- named and wildcard receives in turn ---- */
static MPI_Request turn_out[8];
static int turn_word[8];

void defect_any_and_named_begin(int s)
{
	for (int i = 0; i < 8; i++) {
		turn_word[i] = number(s, i);
		MPI_Isend(&turn_word[i], 1, MPI_INT, right, i / 2, its(i ? 1 : s, 5), &turn_out[i]);
	}
}

uint64_t defect_any_and_named_end(int s)
{
	MPI_Request in[8];
	int v[8];

	for (int i = 0; i < 8; i++)
		MPI_Irecv(&v[i], 1, MPI_INT, i % 2 ? MPI_ANY_SOURCE : left, i % 4 == 3 ? MPI_ANY_TAG : i / 2, own[5], &in[i]);
	MPI_Waitall(8, in, MPI_STATUSES_IGNORE);
	for (int i = 0; i < 8; i++)
		STEP_CHECK(v[i] == number_of(s, i, left));
	MPI_Waitall(8, turn_out, MPI_STATUSES_IGNORE);
	return (uint64_t)v[7];
}

/* ---- the request came as SIGUSR1, which was taken from the program ---- */
static volatile sig_atomic_t signalled;

static void on_usr1(int signal)
{
	(void)signal;
	signalled++;
}

void defect_signal_begin(int s)
{
	if (s == 0)
		signal(SIGUSR1, on_usr1);
	signalled = 0;
	raise(SIGUSR1);
}

uint64_t defect_signal_end(int s)
{
	(void)s;
	raise(SIGUSR1);
	STEP_CHECK(signalled == 2); /* no checkpoint has sent one, none has been lost */
	return 2;
}

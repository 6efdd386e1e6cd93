/* SPDX-License-Identifier: GPL-2.0-or-later */
/* States of point-to-point communication. */
#include "table.h"

#define N 6

/* ---- receives that are cancelled, before and after the checkpoint; one persistent ---- */
static MPI_Request lonely[3];
static int nothing[3];

void p2p_cancel_begin(int s)
{
	(void)s;
	for (int i = 0; i < 2; i++)
		MPI_Irecv(&nothing[i], 1, MPI_INT, MPI_ANY_SOURCE, 9000 + i, comm, &lonely[i]);
	MPI_Recv_init(&nothing[2], 1, MPI_INT, left, 9002, comm, &lonely[2]);
	MPI_Start(&lonely[2]);
	MPI_Cancel(&lonely[0]);
}

uint64_t p2p_cancel_end(int s)
{
	MPI_Status status;
	int flag;

	(void)s;
	MPI_Cancel(&lonely[1]);
	MPI_Cancel(&lonely[2]);
	for (int i = 0; i < 3; i++) {
		MPI_Wait(&lonely[i], &status);
		MPI_Test_cancelled(&status, &flag);
		STEP_CHECK(flag);
	}
	MPI_Request_free(&lonely[2]);
	return 1;
}

/* ---- messages that were matched with a probe and not received ---- */
static MPI_Message matched[2];
static MPI_Request sent[2];
static int out[2][N];

void p2p_mprobe_begin(int s)
{
	MPI_Status status;
	int flag = 0;

	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < N; k++)
			out[i][k] = number(s, i) + k;
		MPI_Isend(out[i], N - i, MPI_INT, right, 100 + i, comm, &sent[i]);
	}
	MPI_Mprobe(left, 100, comm, &matched[0], &status);
	while (!flag)
		MPI_Improbe(MPI_ANY_SOURCE, 101, comm, &flag, &matched[1], &status);
}

uint64_t p2p_mprobe_end(int s)
{
	int in[2][N] = { { 0 } }, n;
	MPI_Status status[2];
	MPI_Request request;

	MPI_Imrecv(in[1], N, MPI_INT, &matched[1], &request);
	MPI_Mrecv(in[0], N, MPI_INT, &matched[0], &status[0]);
	MPI_Wait(&request, &status[1]);
	for (int i = 0; i < 2; i++) {
		MPI_Get_count(&status[i], MPI_INT, &n);
		STEP_CHECK(n == N - i && status[i].MPI_SOURCE == left && status[i].MPI_TAG == 100 + i && matched[i] == MPI_MESSAGE_NULL);
		STEP_CHECK(in[i][0] == number_of(s, i, left) && in[i][n - 1] == number_of(s, i, left) + n - 1);
	}
	MPI_Waitall(2, sent, MPI_STATUSES_IGNORE);
	return (uint64_t)in[0][1];
}

/* ---- buffered sends, with the program's buffer attached ---- */
static char buffer[4096 + 4 * MPI_BSEND_OVERHEAD];

void p2p_bsend_begin(int s)
{
	MPI_Buffer_attach(buffer, (int)sizeof(buffer));
	for (int i = 0; i < 3; i++) {
		int v[N] = { number(s, 4 + i), i };

		MPI_Bsend(v, N, MPI_INT, right, 200 + i, comm);
	}
}

uint64_t p2p_bsend_end(int s)
{
	int v[N], n;
	void *address;

	for (int i = 2; i >= 0; i--) {
		MPI_Recv(v, N, MPI_INT, left, 200 + i, comm, MPI_STATUS_IGNORE);
		STEP_CHECK(v[0] == number_of(s, 4 + i, left) && v[1] == i);
	}
	MPI_Buffer_detach(&address, &n);
	STEP_CHECK(address == (void *)buffer && n == (int)sizeof(buffer));
	return (uint64_t)v[0];
}

/* ---- synchronous and ready sends that are under way: large ones too, the receive posted before or after ---- */
#define LARGE 40000
static int large_out[LARGE], large_in[LARGE], ready_in, synchronous_out, ready_out;
static MPI_Request sends[3], ready_receive;

void p2p_ssend_begin(int s)
{
	MPI_Irecv(&ready_in, 1, MPI_INT, left, 302, comm, &ready_receive);
	MPI_Barrier(comm);
	for (int i = 0; i < LARGE; i += 997)
		large_out[i] = number(s, 8) + i;
	synchronous_out = number(s, 9);
	ready_out = number(s, 10);
	MPI_Issend(&synchronous_out, 1, MPI_INT, right, 300, comm, &sends[0]);
	MPI_Issend(large_out, LARGE, MPI_INT, right, 301, comm, &sends[1]);
	MPI_Irsend(&ready_out, 1, MPI_INT, right, 302, comm, &sends[2]);
}

uint64_t p2p_ssend_end(int s)
{
	int v;

	MPI_Recv(large_in, LARGE, MPI_INT, left, 301, comm, MPI_STATUS_IGNORE);
	for (int i = 0; i < LARGE; i += 997)
		STEP_CHECK(large_in[i] == number_of(s, 8, left) + i);
	MPI_Recv(&v, 1, MPI_INT, left, 300, comm, MPI_STATUS_IGNORE);
	MPI_Wait(&ready_receive, MPI_STATUS_IGNORE);
	STEP_CHECK(v == number_of(s, 9, left) && ready_in == number_of(s, 10, left));
	MPI_Waitall(3, sends, MPI_STATUSES_IGNORE);
	return (uint64_t)v;
}

/* ---- messages that a probe has seen ---- */
static MPI_Request seen_request[2];
static int seen_out[2];

void p2p_probe_begin(int s)
{
	MPI_Status status;
	int flag = 0, n;

	for (int i = 0; i < 2; i++) {
		seen_out[i] = number(s, i);
		MPI_Isend(&seen_out[i], 1, MPI_INT, right, 500 + i, comm, &seen_request[i]);
	}
	MPI_Probe(left, 500, comm, &status);
	MPI_Get_count(&status, MPI_INT, &n);
	STEP_CHECK(n == 1);
	while (!flag)
		MPI_Iprobe(MPI_ANY_SOURCE, 501, comm, &flag, &status);
	STEP_CHECK(status.MPI_SOURCE == left && status.MPI_TAG == 501);
}

uint64_t p2p_probe_end(int s)
{
	int v[2];

	for (int i = 1; i >= 0; i--) {
		MPI_Recv(&v[i], 1, MPI_INT, left, 500 + i, comm, MPI_STATUS_IGNORE);
		STEP_CHECK(v[i] == number_of(s, i, left));
	}
	MPI_Waitall(2, seen_request, MPI_STATUSES_IGNORE);
	return (uint64_t)v[0];
}

/* ---- persistent requests: made once, started in every step ---- */
static MPI_Request persistent[8];
static int persistent_out[4], persistent_in[4];
static char persistent_buffer[256 + MPI_BSEND_OVERHEAD];

static void persistent_make(void)
{
	MPI_Comm c;

	MPI_Comm_dup(comm, &c);
	for (int i = 0; i < 4; i++)
		MPI_Recv_init(&persistent_in[i], 1, MPI_INT, i == 1 ? MPI_ANY_SOURCE : left, 600 + i, c, &persistent[i]);
	MPI_Send_init(&persistent_out[0], 1, MPI_INT, right, 600, c, &persistent[4]);
	MPI_Ssend_init(&persistent_out[1], 1, MPI_INT, right, 601, c, &persistent[5]);
	MPI_Bsend_init(&persistent_out[2], 1, MPI_INT, right, 602, c, &persistent[6]);
	MPI_Rsend_init(&persistent_out[3], 1, MPI_INT, right, 603, c, &persistent[7]);
}

void p2p_persistent_begin(int s)
{
	if (s == 0)
		persistent_make();
	MPI_Startall(3, persistent);
	MPI_Start(&persistent[3]);
	for (int i = 0; i < 4; i++)
		persistent_out[i] = number(s, i);
	MPI_Barrier(comm); /* the ready send needs its receive */
	MPI_Start(&persistent[7]);
	MPI_Wait(&persistent[7], MPI_STATUS_IGNORE);
	if (rank % 2 == 0 || size == 1)
		MPI_Startall(2, persistent + 4); /* the others' receives stay pending */
}

uint64_t p2p_persistent_end(int s)
{
	MPI_Status status[8];
	void *b;
	int n;

	if (rank % 2 && size > 1)
		MPI_Startall(2, persistent + 4);
	MPI_Buffer_attach(persistent_buffer, (int)sizeof(persistent_buffer));
	MPI_Start(&persistent[6]);
	MPI_Waitall(8, persistent, status);
	for (int i = 0; i < 4; i++) {
		STEP_CHECK(status[i].MPI_SOURCE == left && persistent[i] != MPI_REQUEST_NULL);
		STEP_CHECK(status[i].MPI_TAG == 600 + i && persistent_in[i] == number_of(s, i, left));
	}
	MPI_Buffer_detach(&b, &n);
	return (uint64_t)persistent_in[1];
}

/* ---- requests that nobody waits for ---- */
static int freed_out[2], freed_in;

void p2p_freed_begin(int s)
{
	MPI_Request q;

	freed_in = -1;
	MPI_Irecv(&freed_in, 1, MPI_INT, left, 620, comm, &q);
	MPI_Request_free(&q);
	freed_out[0] = number(s, 0);
	MPI_Issend(&freed_out[0], 1, MPI_INT, right, 621, comm, &q);
	MPI_Request_free(&q);
}

uint64_t p2p_freed_end(int s)
{
	int v;

	freed_out[1] = number(s, 1);
	MPI_Send(&freed_out[1], 1, MPI_INT, right, 620, comm);
	MPI_Recv(&v, 1, MPI_INT, left, 621, comm, MPI_STATUS_IGNORE);
	STEP_CHECK(v == number_of(s, 0, left));
	/* The freed receive was posted first: once a later message of its source has come, it is complete. */
	MPI_Barrier(comm);
	while (*(volatile int *)&freed_in == -1)
		MPI_Iprobe(MPI_ANY_SOURCE, 629, comm, &(int){ 0 }, MPI_STATUS_IGNORE);
	STEP_CHECK(freed_in == number_of(s, 1, left));
	return (uint64_t)v;
}

/* ---- to oneself ---- */
#define SELF_LARGE 50000
static int self_out[SELF_LARGE], self_in[SELF_LARGE], self_small[2];
static MPI_Request self_request[3];

void p2p_self_begin(int s)
{
	self_out[0] = self_small[0] = number(s, 0);
	self_out[SELF_LARGE - 1] = number(s, 1);
	MPI_Isend(self_out, SELF_LARGE, MPI_INT, rank, 630, comm, &self_request[0]);
	MPI_Isend(&self_small[0], 1, MPI_INT, 0, 631, MPI_COMM_SELF, &self_request[1]);
	MPI_Irecv(&self_small[1], 1, MPI_INT, rank, 632, comm, &self_request[2]);
}

uint64_t p2p_self_end(int s)
{
	int v;

	MPI_Send(&self_small[0], 1, MPI_INT, rank, 632, comm);
	MPI_Recv(&v, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, MPI_STATUS_IGNORE);
	MPI_Recv(self_in, SELF_LARGE, MPI_INT, rank, 630, comm, MPI_STATUS_IGNORE);
	MPI_Waitall(3, self_request, MPI_STATUSES_IGNORE);
	STEP_CHECK(v == number(s, 0) && self_small[1] == v && self_in[0] == v && self_in[SELF_LARGE - 1] == number(s, 1));
	return (uint64_t)v;
}

/* ---- nobody ---- */
static MPI_Request null_request[4];
static int null_word = 17;

void p2p_null_begin(int s)
{
	(void)s;
	MPI_Irecv(&null_word, 1, MPI_INT, MPI_PROC_NULL, 3, comm, &null_request[0]);
	MPI_Isend(&null_word, 1, MPI_INT, MPI_PROC_NULL, 3, comm, &null_request[1]);
	MPI_Recv_init(&null_word, 1, MPI_INT, MPI_PROC_NULL, 3, comm, &null_request[2]);
	MPI_Ssend_init(&null_word, 1, MPI_INT, MPI_PROC_NULL, 3, comm, &null_request[3]);
	MPI_Startall(2, null_request + 2);
}

uint64_t p2p_null_end(int s)
{
	MPI_Status status[4];
	MPI_Message message;
	int n;

	(void)s;
	MPI_Waitall(4, null_request, status);
	MPI_Get_count(&status[0], MPI_INT, &n);
	STEP_CHECK(n == 0 && status[0].MPI_SOURCE == MPI_PROC_NULL && status[0].MPI_TAG == MPI_ANY_TAG && status[2].MPI_SOURCE == MPI_PROC_NULL);
	MPI_Request_free(&null_request[2]);
	MPI_Request_free(&null_request[3]);
	MPI_Mprobe(MPI_PROC_NULL, 1, comm, &message, &status[0]);
	STEP_CHECK(message == MPI_MESSAGE_NO_PROC);
	MPI_Mrecv(&n, 1, MPI_INT, &message, &status[0]);
	STEP_CHECK(status[0].MPI_SOURCE == MPI_PROC_NULL && null_word == 17);
	return 1;
}

/* ---- a part of an array is done ---- */
#define SOME 12
static MPI_Request some[SOME];
static int some_in[SOME], some_done;

void p2p_some_begin(int s)
{
	int n, index[SOME];

	for (int i = 0; i < SOME; i++)
		MPI_Irecv(&some_in[i], 1, MPI_INT, left, 640 + i, comm, &some[i]);
	for (int i = 0; i < SOME / 2; i++) {
		int v = number(s, i);

		MPI_Send(&v, 1, MPI_INT, right, 640 + i, comm);
	}
	MPI_Waitsome(SOME, some, &n, index, MPI_STATUSES_IGNORE);
	STEP_CHECK(n >= 1 && some[index[0]] == MPI_REQUEST_NULL);
	some_done = n;
}

uint64_t p2p_some_end(int s)
{
	MPI_Status status[SOME];
	int n, index[SOME], flag = 1, any;

	while (some_done < SOME / 2) {
		MPI_Testsome(SOME, some, &n, index, status);
		some_done += n;
	}
	MPI_Testall(SOME, some, &flag, status);
	STEP_CHECK(!flag);
	MPI_Barrier(comm); /* nobody's second half is there before this */
	for (int i = SOME / 2; i < SOME; i++) {
		int v = number(s, i);

		MPI_Send(&v, 1, MPI_INT, right, 640 + i, comm);
	}
	MPI_Waitany(SOME, some, &any, status);
	STEP_CHECK(any >= SOME / 2 && status[0].MPI_TAG == 640 + any);
	do
		MPI_Testall(SOME, some, &flag, status);
	while (!flag);
	MPI_Waitany(SOME, some, &any, status);
	STEP_CHECK(any == MPI_UNDEFINED);
	for (int i = 0; i < SOME; i++)
		STEP_CHECK(some_in[i] == number_of(s, i, left));
	return (uint64_t)some_in[3];
}

/* ---- errors of messages that are in the log ---- */
static MPI_Comm returning;
static MPI_Request too_short;
static int short_in[2];

void p2p_error_begin(int s)
{
	int v[4] = { number(s, 0), 1, 2, 3 };

	if (s == 0) {
		MPI_Comm_dup(comm, &returning);
		MPI_Comm_set_errhandler(returning, MPI_ERRORS_RETURN);
	}
	MPI_Irecv(short_in, 1, MPI_INT, left, 660, returning, &too_short);
	MPI_Send(v, 4, MPI_INT, right, 661, returning);
	if (rank % 2)
		MPI_Send(v, 4, MPI_INT, right, 660, returning);
}

static int class_of(int code)
{
	int class;

	MPI_Error_class(code, &class);
	return class;
}

uint64_t p2p_error_end(int s)
{
	int v[4] = { number(s, 0), 1, 2, 3 }, n;
	MPI_Status status;

	if (rank % 2 == 0)
		MPI_Send(v, 4, MPI_INT, right, 660, returning);
	STEP_CHECK(class_of(MPI_Recv(v, 2, MPI_INT, left, 661, returning, &status)) == MPI_ERR_TRUNCATE);
	STEP_CHECK(status.MPI_SOURCE == left && status.MPI_TAG == 661);
	STEP_CHECK(class_of(MPI_Wait(&too_short, &status)) == MPI_ERR_TRUNCATE && too_short == MPI_REQUEST_NULL);
	/* neither has taken anything of what comes next */
	n = number(s, 1);
	MPI_Sendrecv(&n, 1, MPI_INT, right, 660, v, 4, MPI_INT, left, 660, returning, &status);
	STEP_CHECK(v[0] == number_of(s, 1, left));
	return (uint64_t)v[0];
}

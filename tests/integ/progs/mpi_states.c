/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * States in which a checkpoint may find a rank. Each is a line of the table below: @begin brings the rank into it, then there is time for a
 * checkpoint and a restart, then @end comes out of it and says what it found.
 *
 *   mpi_states STEPS [STATE]     one step: all states at once, or the one of that name
 */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

#define N 6

static int rank, size, right, left;
static MPI_Comm comm;

static int number(int step, int what) { return (step * 32 + what) * 64 + rank; }
static int number_of(int step, int what, int of) { return (step * 32 + what) * 64 + of; }

/* ---- generalized requests: pending, completed and not fetched, freed while pending, cancelled ---- */
struct job {
	int value, queried, freed, cancelled;
};
static struct job job[4];
static MPI_Request job_request[4];

static int job_query(void *extra, MPI_Status *status)
{
	struct job *j = extra;

	j->queried++;
	MPI_Status_set_elements(status, MPI_INT, j->value);
	MPI_Status_set_cancelled(status, j->cancelled);
	status->MPI_SOURCE = j->value;
	status->MPI_TAG = 7;
	return MPI_SUCCESS;
}

static int job_free(void *extra)
{
	((struct job *)extra)->freed++;
	return MPI_SUCCESS;
}

static int job_cancel(void *extra, int complete)
{
	STEP_CHECK(!complete);
	((struct job *)extra)->cancelled = 1;
	return MPI_SUCCESS;
}

static void grequest_begin(int s)
{
	for (int i = 0; i < 4; i++) {
		job[i] = (struct job){ .value = s % 100 + i };
		MPI_Grequest_start(job_query, job_free, job_cancel, &job[i], &job_request[i]);
	}
	MPI_Grequest_complete(job_request[1]);
	MPI_Cancel(&job_request[3]);
}

static uint64_t grequest_end(int s)
{
	MPI_Request copy = job_request[2];
	MPI_Status status[2];
	int flag = 1, n, index;

	MPI_Test(&job_request[0], &flag, MPI_STATUS_IGNORE);
	STEP_CHECK(!flag && job[0].queried == 0 && job[3].cancelled);
	MPI_Request_get_status(job_request[1], &flag, &status[0]);
	STEP_CHECK(flag && job[1].queried == 1 && job[1].freed == 0 && status[0].MPI_SOURCE == s % 100 + 1);
	MPI_Waitany(2, job_request, &index, &status[1]);
	MPI_Get_count(&status[1], MPI_INT, &n);
	STEP_CHECK(index == 1 && n == s % 100 + 1 && job[1].freed == 1 && status[1].MPI_TAG == 7);
	MPI_Grequest_complete(job_request[0]);
	MPI_Wait(&job_request[0], &status[0]);
	MPI_Get_count(&status[0], MPI_INT, &n);
	STEP_CHECK(n == s % 100 && job[0].freed == 1 && job_request[0] == MPI_REQUEST_NULL);
	MPI_Request_free(&job_request[2]);
	STEP_CHECK(job[2].freed == 0);
	MPI_Grequest_complete(copy);
	STEP_CHECK(job[2].freed == 1);
	MPI_Grequest_complete(job_request[3]);
	MPI_Wait(&job_request[3], &status[0]);
	MPI_Test_cancelled(&status[0], &flag);
	STEP_CHECK(flag && job[3].freed == 1);
	return (uint64_t)n;
}

/* One that lives through all steps, and one that was freed and is completed at the end. */
static struct job forever[2];
static MPI_Request forever_request[2], forgotten;

static void forever_start(void)
{
	for (int i = 0; i < 2; i++) {
		forever[i].value = 42 + i;
		MPI_Grequest_start(job_query, job_free, job_cancel, &forever[i], &forever_request[i]);
	}
	forgotten = forever_request[1];
	MPI_Request_free(&forever_request[1]);
}

static void forever_stop(void)
{
	MPI_Status status;

	STEP_CHECK(forever[1].freed == 0 && forever[0].queried == 0);
	MPI_Grequest_complete(forgotten);
	STEP_CHECK(forever[1].freed == 1);
	MPI_Grequest_complete(forever_request[0]);
	MPI_Wait(&forever_request[0], &status);
	STEP_CHECK(status.MPI_SOURCE == 42 && forever[0].freed == 1);
}

/* ---- receives that are cancelled, before and after the checkpoint; one persistent ---- */
static MPI_Request lonely[3];
static int nothing[3];

static void cancel_begin(int s)
{
	(void)s;
	for (int i = 0; i < 2; i++)
		MPI_Irecv(&nothing[i], 1, MPI_INT, MPI_ANY_SOURCE, 9000 + i, comm, &lonely[i]);
	MPI_Recv_init(&nothing[2], 1, MPI_INT, left, 9002, comm, &lonely[2]);
	MPI_Start(&lonely[2]);
	MPI_Cancel(&lonely[0]);
}

static uint64_t cancel_end(int s)
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

static void mprobe_begin(int s)
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

static uint64_t mprobe_end(int s)
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

static void bsend_begin(int s)
{
	MPI_Buffer_attach(buffer, (int)sizeof(buffer));
	for (int i = 0; i < 3; i++) {
		int v[N] = { number(s, 4 + i), i };

		MPI_Bsend(v, N, MPI_INT, right, 200 + i, comm);
	}
}

static uint64_t bsend_end(int s)
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

static void ssend_begin(int s)
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

static uint64_t ssend_end(int s)
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

/* ---- memory of the library, packed data ---- */
static int *memory;
static char packed[256];
static MPI_Aint packed_bytes;

static void memory_begin(int s)
{
	MPI_Aint position = 0;
	int v[N];

	MPI_Alloc_mem(N * sizeof(int), MPI_INFO_NULL, &memory);
	for (int i = 0; i < N; i++)
		memory[i] = v[i] = number(s, 12) + i;
	MPI_Pack_external("external32", v, N, MPI_INT, packed, sizeof(packed), &position);
	MPI_Pack_external_size("external32", N, MPI_INT, &packed_bytes);
	STEP_CHECK(position == packed_bytes);
}

static uint64_t memory_end(int s)
{
	MPI_Aint position = 0;
	int v[N];

	MPI_Unpack_external("external32", packed, packed_bytes, &position, v, N, MPI_INT);
	STEP_CHECK(memcmp(v, memory, sizeof(v)) == 0 && v[0] == number(s, 12));
	MPI_Free_mem(memory);
	return (uint64_t)v[1];
}

/* ---- functions of the program that are called from below ---- */
static int keys[2], copied, deleted, failed;
static MPI_Comm attributed;
static MPI_Op op;

static int copy_attr(MPI_Comm c, int key, void *extra, void *in, void *ret, int *flag)
{
	(void)c, (void)key;
	STEP_CHECK(extra == &keys);
	*(void **)ret = (char *)in + 1;
	*flag = 1;
	copied++;
	return MPI_SUCCESS;
}

static int delete_attr(MPI_Comm c, int key, void *value, void *extra)
{
	(void)c, (void)key, (void)value;
	STEP_CHECK(extra == &keys);
	deleted++;
	return MPI_SUCCESS;
}

static void on_error(MPI_Comm *c, int *code, ...)
{
	int class;

	MPI_Error_class(*code, &class);
	STEP_CHECK(*c == attributed && (class == MPI_ERR_RANK || class == MPI_ERR_TRUNCATE));
	failed++;
}

static void first_of(void *in, void *inout, int *n, MPI_Datatype *type)
{
	STEP_CHECK(*type == MPI_INT);
	memcpy(inout, in, (size_t)*n * sizeof(int));
}

static void callbacks_begin(int s)
{
	MPI_Errhandler handler;

	copied = deleted = failed = 0;
	MPI_Comm_dup(comm, &attributed);
	MPI_Comm_create_keyval(copy_attr, delete_attr, &keys[0], keys);
	MPI_Comm_set_attr(attributed, keys[0], &keys[s & 1]);
	MPI_Comm_create_errhandler(on_error, &handler);
	MPI_Comm_set_errhandler(attributed, handler);
	MPI_Errhandler_free(&handler);
	MPI_Op_create(first_of, 0, &op);
	int two[2] = { s, s };
	MPI_Send(two, 2, MPI_INT, rank, 400, attributed); /* too long for the receive that follows */
}

static uint64_t callbacks_end(int s)
{
	MPI_Comm copy;
	int one, all, flag;
	char *value;

	MPI_Recv(&one, 1, MPI_INT, rank, 400, attributed, MPI_STATUS_IGNORE);
	MPI_Send(&one, 1, MPI_INT, size, 0, attributed);
	STEP_CHECK(failed == 2);
	MPI_Comm_dup(attributed, &copy);
	MPI_Comm_get_attr(copy, keys[0], &value, &flag);
	STEP_CHECK(flag && value == (char *)&keys[s & 1] + 1 && copied == 1 && deleted == 0);
	MPI_Comm_free(&copy);
	one = number(s, 14);
	MPI_Allreduce(&one, &all, 1, MPI_INT, op, attributed);
	STEP_CHECK(all == number_of(s, 14, 0));
	MPI_Op_free(&op);
	MPI_Comm_free(&attributed);
	MPI_Comm_free_keyval(&keys[0]);
	STEP_CHECK(deleted == 2);
	return (uint64_t)all;
}

/* ---- the tool interface: read through, with handles that are kept ---- */
static MPI_T_cvar_handle cvar;
static int cvar_before;

static void tool_begin(int s)
{
	int index, count;

	(void)s;
	STEP_CHECK(MPI_T_cvar_get_index("mpi_param_check", &index) == MPI_SUCCESS);
	STEP_CHECK(MPI_T_cvar_handle_alloc(index, NULL, &cvar, &count) == MPI_SUCCESS && count == 1);
	STEP_CHECK(MPI_T_cvar_read(cvar, &cvar_before) == MPI_SUCCESS);
}

static uint64_t tool_end(int s)
{
	int value = 0;

	(void)s;
	STEP_CHECK(MPI_T_cvar_read(cvar, &value) == MPI_SUCCESS && value == cvar_before);
	STEP_CHECK(MPI_T_cvar_handle_free(&cvar) == MPI_SUCCESS);
	return (uint64_t)value;
}

static const struct state {
	const char *name;
	void (*begin)(int step);
	uint64_t (*end)(int step);
} states[] = {
	{ "grequest", grequest_begin, grequest_end },
	{ "cancel", cancel_begin, cancel_end },
	{ "mprobe", mprobe_begin, mprobe_end },
	{ "bsend", bsend_begin, bsend_end },
	{ "ssend", ssend_begin, ssend_end },
	{ "memory", memory_begin, memory_end },
	{ "callbacks", callbacks_begin, callbacks_end },
	{ "tool", tool_begin, tool_end },
};
enum { NSTATES = sizeof(states) / sizeof(states[0]) };

static int is_asked(const struct state *state, int argc, char **argv)
{
	return argc < 3 || strcmp(argv[2], state->name) == 0;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 100), provided;
	uint64_t sum = 1, all;

	MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
	MPI_Init(&argc, &argv);
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	MPI_Comm_rank(comm, &rank);
	MPI_Comm_size(comm, &size);
	right = (rank + 1) % size;
	left = (rank + size - 1) % size;
	forever_start();
	for (int s = 0; s < steps; s++) {
		MPI_Pcontrol(s & 1);
		for (int i = 0; i < NSTATES; i++)
			if (is_asked(&states[i], argc, argv))
				states[i].begin(s);
		usleep(3000);
		sum = step_mix(sum + step_work(sum, 2));
		for (int i = 0; i < NSTATES; i++)
			if (is_asked(&states[i], argc, argv))
				sum = step_mix(sum + states[i].end(s));
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, 0, comm);
		if (rank == 0)
			step_print(s, all);
	}
	forever_stop();
	MPI_Comm_free(&comm);
	if (rank == 0)
		puts("ok");
	MPI_T_finalize(); /* Open MPI 4.1 does not survive it after MPI_Finalize */
	MPI_Finalize();
	return 0;
}

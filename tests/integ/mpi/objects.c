/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests, memory, functions and numbers that are the program's own; the tool interface. */
#include "table.h"

#define N 6

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

/* One that lives through ten steps, and one that was freed and is completed ten steps later. */
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
	forever[0] = forever[1] = (struct job){ 0 };
}

void objects_grequest_begin(int s)
{
	if (s % 10 == 0)
		forever_start();
	for (int i = 0; i < 4; i++) {
		job[i] = (struct job){ .value = s % 100 + i };
		MPI_Grequest_start(job_query, job_free, job_cancel, &job[i], &job_request[i]);
	}
	MPI_Grequest_complete(job_request[1]);
	MPI_Cancel(&job_request[3]);
}

uint64_t objects_grequest_end(int s)
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
	if (s % 10 == 9)
		forever_stop();
	return (uint64_t)n;
}

/* ---- memory of the library ---- */
static int *memory;

void objects_memory_begin(int s)
{
	MPI_Alloc_mem(N * sizeof(int), MPI_INFO_NULL, &memory);
	for (int i = 0; i < N; i++)
		memory[i] = number(s, 12) + i;
}

uint64_t objects_memory_end(int s)
{
	int v = memory[N - 1];

	STEP_CHECK(memory[0] == number(s, 12) && v == number(s, 12) + N - 1);
	MPI_Free_mem(memory);
	return (uint64_t)v;
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

void objects_callbacks_begin(int s)
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

uint64_t objects_callbacks_end(int s)
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

void objects_tool_begin(int s)
{
	int index, count;

	(void)s;
	STEP_CHECK(MPI_T_cvar_get_index("mpi_param_check", &index) == MPI_SUCCESS);
	STEP_CHECK(MPI_T_cvar_handle_alloc(index, NULL, &cvar, &count) == MPI_SUCCESS && count == 1);
	STEP_CHECK(MPI_T_cvar_read(cvar, &cvar_before) == MPI_SUCCESS);
}

uint64_t objects_tool_end(int s)
{
	int value = 0;

	(void)s;
	STEP_CHECK(MPI_T_cvar_read(cvar, &value) == MPI_SUCCESS && value == cvar_before);
	STEP_CHECK(MPI_T_cvar_handle_free(&cvar) == MPI_SUCCESS);
	return (uint64_t)value;
}

/* ---- error classes and codes of the program, infos ---- */
static int error_class, error_code;
static MPI_Info info;

void objects_codes_begin(int s)
{
	char value[32];

	if (s == 0) {
		MPI_Add_error_class(&error_class);
		MPI_Add_error_code(error_class, &error_code);
		MPI_Add_error_string(error_class, "a class of my own");
		MPI_Add_error_string(error_code, "a code of my own");
	}
	MPI_Info_create(&info);
	snprintf(value, sizeof(value), "%d", number(s, 0));
	MPI_Info_set(info, "number", value);
	MPI_Info_set(info, "second", "2");
}

uint64_t objects_codes_end(int s)
{
	char text[MPI_MAX_ERROR_STRING], value[32], key[MPI_MAX_INFO_KEY];
	int class, n, flag, length;
	MPI_Info copy;

	MPI_Error_class(error_code, &class);
	MPI_Error_string(error_code, text, &n);
	STEP_CHECK(class == error_class && error_class > MPI_ERR_LASTCODE && strcmp(text, "a code of my own") == 0);
	MPI_Info_dup(info, &copy);
	MPI_Info_get_nkeys(copy, &n);
	MPI_Info_get_nthkey(copy, 0, key);
	MPI_Info_get_valuelen(copy, "second", &length, &flag);
	MPI_Info_get(copy, "number", 31, value, &flag);
	STEP_CHECK(n == 2 && strcmp(key, "number") == 0 && length == 1 && flag && atoi(value) == number(s, 0));
	MPI_Info_delete(copy, "number");
	MPI_Info_get(copy, "number", 31, value, &flag);
	STEP_CHECK(!flag);
	MPI_Info_free(&copy);
	MPI_Info_free(&info);
	return (uint64_t)n;
}

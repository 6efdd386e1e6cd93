/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that use the same objects at once, as MPI_THREAD_MULTIPLE allows: an info object, the error handler of a communicator, the tables
 * of handles and keyvals, which grow meanwhile, and MPI_COMM_SELF, on which each opens a file of its own. Checks what each of them sees.
 *
 *   mpi_shared STEPS
 */
#include <mpi.h>
#include <pthread.h>
#include <string.h>

#include "step.h"

#define THREADS 3
#define KEYS 4
#define TURNS 20
#define MANY 60    /* handles that a thread has at a time: the tables start with fewer than all have */
#define REOPEN 16  /* steps */

static int rank, step;
static MPI_Info info;
static MPI_Comm shared, own[THREADS];
static MPI_Errhandler handlers[2];
static MPI_File files[THREADS];
static uint64_t sums[THREADS];
static int called;
static pthread_barrier_t together;

static void count(MPI_Comm *comm, int *code, ...)
{
	STEP_CHECK(*comm == shared && *code == MPI_ERR_OTHER);
	__atomic_add_fetch(&called, 1, __ATOMIC_RELAXED);
}

static void count_too(MPI_Comm *comm, int *code, ...)
{
	count(comm, code);
}

/* Each thread has keys of its own, one that comes and goes, and gives the whole to a call. */
static uint64_t use_info(int t, int turn)
{
	char key[32], value[64], got[64];
	uint64_t sum = 0;
	int flag, length;

	for (int k = 0; k < KEYS; k++) {
		snprintf(key, sizeof(key), "key_%d_%d", t, k);
		snprintf(value, sizeof(value), "%d of %d in %d, %d", k, t, step, turn);
		MPI_Info_set(info, key, value);
		MPI_Info_get_valuelen(info, key, &length, &flag);
		STEP_CHECK(flag && length == (int)strlen(value));
		MPI_Info_get(info, key, sizeof(got) - 1, got, &flag);
		STEP_CHECK(flag && strcmp(value, got) == 0);
		sum = step_mix(sum + (uint64_t)(unsigned char)got[0] + (uint64_t)length);
	}
	snprintf(key, sizeof(key), "gone_%d", t);
	MPI_Info_set(info, key, "now");
	if (turn % 4 == 0)
		MPI_Comm_set_info(own[t], info);
	MPI_Info_delete(info, key);
	MPI_Info_get(info, key, sizeof(got) - 1, got, &flag);
	STEP_CHECK(!flag);
	return sum;
}

static void use_handler(int turn)
{
	MPI_Errhandler now;

	MPI_Comm_set_errhandler(shared, handlers[turn & 1]);
	MPI_Comm_get_errhandler(shared, &now);
	STEP_CHECK(now == handlers[0] || now == handlers[1]);
	MPI_Errhandler_free(&now);
	MPI_Comm_call_errhandler(shared, MPI_ERR_OTHER);
}

static void use_tables(int t)
{
	MPI_Fint index[MANY];
	MPI_Info made[MANY];
	int keyval[MANY], flag;
	void *value;

	for (int k = 0; k < MANY; k++) {
		MPI_Info_create(&made[k]);
		index[k] = MPI_Info_c2f(made[k]);
		MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &keyval[k], NULL);
		MPI_Comm_set_attr(own[t], keyval[k], &index[k]);
		for (int old = 0; old <= k; old++)
			STEP_CHECK(MPI_Info_f2c(index[old]) == made[old]);
	}
	for (int k = 0; k < MANY; k++) {
		MPI_Comm_get_attr(own[t], keyval[k], &value, &flag);
		STEP_CHECK(flag && value == &index[k]);
		MPI_Comm_delete_attr(own[t], keyval[k]);
		MPI_Comm_free_keyval(&keyval[k]);
		MPI_Info_free(&made[k]);
	}
}

static uint64_t use_file(int t)
{
	uint64_t out = step_mix((uint64_t)step << 8 | (uint64_t)t), in[2];
	char name[32];

	if (step % REOPEN == 0) {
		if (files[t] != MPI_FILE_NULL)
			MPI_File_close(&files[t]);
		snprintf(name, sizeof(name), "shared.%d.%d.dat", rank, t);
		pthread_barrier_wait(&together);
		STEP_CHECK(MPI_File_open(MPI_COMM_SELF, name, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &files[t]) == MPI_SUCCESS);
	}
	STEP_CHECK(MPI_File_write_at(files[t], (MPI_Offset)(step * 8), &out, 1, MPI_UINT64_T, MPI_STATUS_IGNORE) == MPI_SUCCESS);
	STEP_CHECK(MPI_File_read_at(files[t], (MPI_Offset)((step > 0 ? step - 1 : 0) * 8), in, 2, MPI_UINT64_T, MPI_STATUS_IGNORE) == MPI_SUCCESS);
	STEP_CHECK(in[step > 0] == out && (step == 0 || in[0] == step_mix((uint64_t)(step - 1) << 8 | (uint64_t)t)));
	return in[0];
}

static void *thread_run(void *arg)
{
	int t = (int)(intptr_t)arg;

	sums[t] = use_file(t);
	pthread_barrier_wait(&together);
	for (int turn = 0; turn < TURNS; turn++) {
		sums[t] = step_mix(sums[t] + use_info(t, turn));
		use_handler(turn + t);
	}
	if (step % 4 == 0)
		use_tables(t);
	return NULL;
}

static uint64_t step_run(void)
{
	pthread_t threads[THREADS];
	uint64_t sum = 0;
	int n;

	called = 0;
	for (int t = 0; t < THREADS; t++)
		STEP_CHECK(pthread_create(&threads[t], NULL, thread_run, (void *)(intptr_t)t) == 0);
	for (int t = 0; t < THREADS; t++) {
		pthread_join(threads[t], NULL);
		sum = step_mix(sum + sums[t]);
	}
	MPI_Info_get_nkeys(info, &n);
	STEP_CHECK(n == THREADS * KEYS && called == THREADS * TURNS);
	return sum;
}

/* What calls say of a communicator that is none: printed, to be as natively. */
static void no_communicator(MPI_Comm none, const char *name)
{
	int a = 1, b = 2, code[4], class;

	code[0] = MPI_Sendrecv(&a, 1, MPI_INT, 0, 1, &b, 1, MPI_INT, 0, 1, none, MPI_STATUS_IGNORE);
	code[1] = MPI_Sendrecv_replace(&a, 1, MPI_INT, 0, 1, 0, 1, none, MPI_STATUS_IGNORE);
	code[2] = MPI_Bsend(&a, 1, MPI_INT, 0, 1, none);
	code[3] = MPI_Recv(&a, 1, MPI_INT, 0, 1, none, MPI_STATUS_IGNORE);
	for (int i = 0; i < 4; i++) {
		MPI_Error_class(code[i], &class);
		STEP_CHECK(class == MPI_ERR_COMM);
		if (rank == 0)
			printf("%s, call %d: class %d\n", name, i, class);
	}
}

/* The arrays of types of a pending operation are read until it is complete, its communicator may go before. */
static void free_while_pending(void)
{
	enum { WORDS = 20000, MOST = 8 };
	static int out[MOST][WORDS], in[MOST][WORDS];
	int counts[MOST], none[MOST] = { 0 }, places[MOST], n;
	MPI_Datatype types[MOST], others[MOST];
	MPI_Request requests[2];
	MPI_Comm comm[2];

	MPI_Comm_size(MPI_COMM_WORLD, &n);
	STEP_CHECK(n <= MOST);
	for (int r = 0; r < n; r++) {
		counts[r] = WORDS;
		places[r] = (int)((char *)in[r] - (char *)in[0]);
		types[r] = MPI_INT;
		for (int k = 0; k < WORDS; k++)
			out[r][k] = rank * 1000 + r + k;
	}
	MPI_Comm_dup(MPI_COMM_WORLD, &comm[0]);
	MPI_Ialltoallw(out, counts, places, types, in, counts, places, types, comm[0], &requests[0]);
	MPI_Comm_free(&comm[0]);
	for (int r = 0; r < n; r++)
		others[r] = MPI_DOUBLE;
	MPI_Comm_dup(MPI_COMM_WORLD, &comm[1]); /* takes what was freed */
	MPI_Ialltoallw(out, none, places, others, in, none, places, others, comm[1], &requests[1]);
	MPI_Waitall(2, requests, MPI_STATUSES_IGNORE);
	MPI_Comm_free(&comm[1]);
	for (int r = 0; r < n; r++)
		for (int k = 0; k < WORDS; k++)
			STEP_CHECK(in[r][k] == r * 1000 + rank + k);
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 100), level;
	uint64_t sum = 1, all;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
	STEP_CHECK(level == MPI_THREAD_MULTIPLE);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	no_communicator(MPI_COMM_NULL, "MPI_COMM_NULL");
	no_communicator(NULL, "no address");
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
	free_while_pending();
	pthread_barrier_init(&together, NULL, THREADS);
	MPI_Info_create(&info);
	MPI_Comm_dup(MPI_COMM_SELF, &shared);
	MPI_Comm_create_errhandler(count, &handlers[0]);
	MPI_Comm_create_errhandler(count_too, &handlers[1]);
	for (int t = 0; t < THREADS; t++) {
		MPI_Comm_dup(MPI_COMM_SELF, &own[t]);
		files[t] = MPI_FILE_NULL;
	}
	MPI_Comm_set_errhandler(shared, handlers[0]);
	for (step = 0; step < steps; step++) {
		sum = step_mix(sum + step_run());
		MPI_Allreduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD); /* no rank runs ahead to its end */
		if (rank == 0)
			step_print(step, all);
	}
	for (int t = 0; t < THREADS; t++) {
		MPI_File_close(&files[t]);
		MPI_Comm_free(&own[t]);
	}
	MPI_Errhandler_free(&handlers[0]);
	MPI_Errhandler_free(&handlers[1]);
	MPI_Comm_free(&shared);
	MPI_Info_free(&info);
	if (rank == 0)
		puts("ok");
	MPI_Finalize();
	return 0;
}

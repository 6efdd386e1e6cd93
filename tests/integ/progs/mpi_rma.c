/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One-sided communication. The table at the end names the states; each step is one of them, and works for a moment inside of it, so that
 * checkpoints come there. Windows of every kind live as long as the program, one of them under lock_all all the time.
 *
 *   mpi_rma STEPS [STATE|-1 [MULTIPLE [APART [HIDDEN]]]]   one state alone; MPI_THREAD_MULTIPLE unless 0; no shared windows unless 0: the
 *                                                         ranks may then be on several nodes; the ranks are not dumpable
 */
#include <mpi.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "step.h"

#define WORDS 64
#define RANDOM_AT 32 /* words from here are for random_ops: one per rank */

enum { CREATED, ALLOCATED, SHARED, HELD, WINDOWS };

static int rank, size, right, left, handled, moment = 1;
static bool apart;
static MPI_Win win[WINDOWS], dynamic;
static int64_t *mine[WINDOWS], *shared_at[16];
static int64_t model[WINDOWS][16], counter;
static MPI_Datatype every_other; /* 4 of 7 words */
static MPI_Info info;
static MPI_Errhandler handler;
static MPI_Group to, from;
static int key;

static void inside(uint64_t seed)
{
	step_work(seed, moment);
}

static void on_error(MPI_Win *w, int *code, ...)
{
	int class;

	(void)w;
	MPI_Error_class(*code, &class);
	handled = class;
}

static int64_t value(int step, int who, int k)
{
	return (int64_t)(step_mix((uint64_t)step * 1000003 + (uint64_t)who * 101 + (uint64_t)k) >> 20);
}

/* ---- states ---- */
static void fence_put_get(int step, MPI_Win w, int64_t *memory)
{
	int64_t out[2] = { value(step, rank, 0), value(step, rank, 1) }, in = 0;

	MPI_Win_fence(MPI_MODE_NOPRECEDE, w);
	memory[2] = value(step, rank, 2);
	MPI_Win_fence(0, w);
	MPI_Put(out, 2, MPI_INT64_T, right, 0, 2, MPI_INT64_T, w);
	MPI_Get(&in, 1, MPI_INT64_T, left, 2, 1, MPI_INT64_T, w);
	inside((uint64_t)step);
	MPI_Win_fence(MPI_MODE_NOSUCCEED, w);
	STEP_CHECK(memory[0] == value(step, left, 0) && memory[1] == value(step, left, 1) && in == value(step, left, 2));
}

static void fence_created(int step) { fence_put_get(step, win[CREATED], mine[CREATED]); }
static void fence_allocated(int step) { fence_put_get(step, win[ALLOCATED], mine[ALLOCATED]); }
static void fence_shared(int step) { fence_put_get(step, win[SHARED], mine[SHARED]); }

static void fence_derived(int step)
{
	for (int k = CREATED; k <= ALLOCATED; k++) {
		int64_t out[7], *memory = mine[k];

		for (int i = 0; i < 7; i++)
			out[i] = value(step, rank, i);
		memset(memory, 0, 8 * sizeof(*memory));
		MPI_Win_fence(0, win[k]);
		MPI_Put(out, 1, every_other, right, 1, 1, every_other, win[k]);
		inside((uint64_t)step);
		MPI_Win_fence(0, win[k]);
		MPI_Accumulate(out, 4, MPI_INT64_T, right, 1, 1, every_other, MPI_SUM, win[k]);
		inside((uint64_t)step);
		MPI_Win_fence(MPI_MODE_NOSUCCEED, win[k]);
		for (int i = 0; i < 7; i++)
			STEP_CHECK(memory[1 + i] == (i % 2 ? 0 : value(step, left, i) + value(step, left, i / 2)));
	}
}

static void post_start(int step, bool test)
{
	int k = step % 2 ? CREATED : ALLOCATED, flag = 0;
	int64_t out = value(step, rank, 0);

	MPI_Win_post(from, 0, win[k]);
	if (rank % 2)
		inside((uint64_t)step);
	MPI_Win_start(to, 0, win[k]);
	MPI_Put(&out, 1, MPI_INT64_T, right, 3, 1, MPI_INT64_T, win[k]);
	inside((uint64_t)step);
	MPI_Win_complete(win[k]);
	while (test && !flag)
		MPI_Win_test(win[k], &flag);
	if (!test)
		MPI_Win_wait(win[k]);
	STEP_CHECK(mine[k][3] == value(step, left, 0));
}

static void post_start_wait(int step) { post_start(step, false); }
static void post_start_test(int step) { post_start(step, true); }

/* Everybody adds to a word of rank 0 under an exclusive lock. */
static void lock_exclusive(int step)
{
	static int64_t expected;
	MPI_Win w = win[CREATED];
	int64_t v = 0;

	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, w);
	MPI_Get(&v, 1, MPI_INT64_T, 0, 20, 1, MPI_INT64_T, w);
	MPI_Win_flush(0, w);
	inside((uint64_t)step);
	v += step;
	MPI_Put(&v, 1, MPI_INT64_T, 0, 20, 1, MPI_INT64_T, w);
	MPI_Win_unlock(0, w);
	MPI_Barrier(MPI_COMM_WORLD);
	expected += (int64_t)step * size;
	STEP_CHECK(rank != 0 || mine[CREATED][20] == expected);
	MPI_Barrier(MPI_COMM_WORLD);
}

static void lock_shared(int step)
{
	MPI_Win w = win[ALLOCATED];
	int64_t v = value(step, rank, 0), in = 0;

	MPI_Win_lock(MPI_LOCK_SHARED, right, 0, w);
	MPI_Put(&v, 1, MPI_INT64_T, right, 21, 1, MPI_INT64_T, w);
	MPI_Win_flush_local(right, w);
	inside((uint64_t)step);
	MPI_Win_flush(right, w);
	MPI_Get(&in, 1, MPI_INT64_T, right, 21, 1, MPI_INT64_T, w);
	MPI_Win_unlock(right, w);
	STEP_CHECK(in == v);
	MPI_Win_lock(MPI_LOCK_SHARED, left, MPI_MODE_NOCHECK, w);
	inside((uint64_t)step);
	MPI_Win_unlock(left, w);
	MPI_Barrier(MPI_COMM_WORLD);
}

/* The lock_all began with the program. */
static void held_fetch(int step)
{
	int64_t one = step, before = -1;

	MPI_Fetch_and_op(&one, &before, MPI_INT64_T, 0, 22, MPI_SUM, win[HELD]);
	MPI_Win_flush(0, win[HELD]);
	STEP_CHECK(before >= counter && before < counter + (int64_t)step * size);
	inside((uint64_t)step);
	MPI_Win_flush_all(win[HELD]);
	MPI_Barrier(MPI_COMM_WORLD);
	counter += (int64_t)step * size;
	MPI_Fetch_and_op(NULL, &before, MPI_INT64_T, 0, 22, MPI_NO_OP, win[HELD]);
	MPI_Win_flush_local_all(win[HELD]);
	STEP_CHECK(before == counter);
	MPI_Barrier(MPI_COMM_WORLD);
}

/* A lock of the program's own. */
static void held_swap(int step)
{
	static int64_t expected;
	int64_t me = rank + 1, nobody = 0, was = -1, v = 0;

	do {
		MPI_Compare_and_swap(&me, &nobody, &was, MPI_INT64_T, 0, 23, win[HELD]);
		MPI_Win_flush(0, win[HELD]);
	} while (was != 0);
	MPI_Get(&v, 1, MPI_INT64_T, 0, 24, 1, MPI_INT64_T, win[HELD]);
	MPI_Win_flush(0, win[HELD]);
	inside((uint64_t)step);
	v += me;
	MPI_Put(&v, 1, MPI_INT64_T, 0, 24, 1, MPI_INT64_T, win[HELD]);
	MPI_Win_flush(0, win[HELD]);
	MPI_Accumulate(&nobody, 1, MPI_INT64_T, 0, 23, 1, MPI_INT64_T, MPI_REPLACE, win[HELD]);
	MPI_Win_flush(0, win[HELD]);
	MPI_Barrier(MPI_COMM_WORLD);
	expected += (int64_t)size * (size + 1) / 2;
	STEP_CHECK(rank != 0 || mine[HELD][24] == expected);
	MPI_Barrier(MPI_COMM_WORLD);
}

static void requests(int step)
{
	MPI_Win w = win[CREATED];
	int64_t out = value(step, rank, 0), in = 0, add = 5, before = 0;
	MPI_Request q[4];

	MPI_Win_lock_all(0, w);
	MPI_Rput(&out, 1, MPI_INT64_T, right, 10, 1, MPI_INT64_T, w, &q[0]);
	inside((uint64_t)step);
	MPI_Wait(&q[0], MPI_STATUS_IGNORE);
	MPI_Win_flush(right, w);
	MPI_Raccumulate(&add, 1, MPI_INT64_T, right, 10, 1, MPI_INT64_T, MPI_SUM, w, &q[1]);
	MPI_Rget_accumulate(&add, 1, MPI_INT64_T, &before, 1, MPI_INT64_T, right, 10, 1, MPI_INT64_T, MPI_SUM, w, &q[2]);
	inside((uint64_t)step);
	MPI_Waitall(2, q + 1, MPI_STATUSES_IGNORE);
	MPI_Rget(&in, 1, MPI_INT64_T, right, 10, 1, MPI_INT64_T, w, &q[3]);
	inside((uint64_t)step);
	MPI_Wait(&q[3], MPI_STATUS_IGNORE);
	MPI_Win_unlock_all(w);
	STEP_CHECK(before == out + 5 && in == out + 10);
	MPI_Barrier(MPI_COMM_WORLD);
}

static void accumulates(int step)
{
	struct { double v; int at; } pair, *best = (void *)(mine[ALLOCATED] + 12), old;
	MPI_Win w = win[ALLOCATED];

	memset(&pair, 0, sizeof(pair));
	memset(&old, 0, sizeof(old));
	MPI_Win_fence(0, w);
	best->v = -1;
	best->at = -1;
	MPI_Win_fence(0, w);
	pair.v = (rank + step) % size;
	pair.at = rank;
	for (int i = 0; i < size; i++)
		MPI_Accumulate(&pair, 1, MPI_DOUBLE_INT, i, 12, 1, MPI_DOUBLE_INT, MPI_MAXLOC, w);
	inside((uint64_t)step);
	MPI_Win_fence(0, w);
	STEP_CHECK(best->v == size - 1 && (best->at + step) % size == size - 1);
	MPI_Win_fence(0, w);
	MPI_Get_accumulate(&pair, 1, MPI_DOUBLE_INT, &old, 1, MPI_DOUBLE_INT, right, 12, 1, MPI_DOUBLE_INT, MPI_REPLACE, w);
	inside((uint64_t)step);
	MPI_Win_fence(MPI_MODE_NOSUCCEED, w);
	STEP_CHECK(old.v == size - 1 && best->at == left);
}

/* Stores into the memory of others, by the addresses that were told at the start. */
static void shared_stores(int step)
{
	MPI_Aint bytes;
	int unit;
	void *at;

	MPI_Win_lock_all(0, win[SHARED]);
	for (int i = 0; i < size; i++) {
		int64_t v = value(step, rank, i);

		if (apart)
			MPI_Put(&v, 1, MPI_INT64_T, i, RANDOM_AT + 16 + rank, 1, MPI_INT64_T, win[SHARED]);
		else
			shared_at[i][RANDOM_AT + 16 + rank] = v;
	}
	MPI_Win_sync(win[SHARED]);
	MPI_Win_flush_all(win[SHARED]);
	inside((uint64_t)step);
	MPI_Barrier(MPI_COMM_WORLD);
	MPI_Win_sync(win[SHARED]);
	for (int i = 0; i < size; i++) {
		if (!apart)
			MPI_Win_shared_query(win[SHARED], i, &bytes, &unit, &at);
		STEP_CHECK(apart || (at == shared_at[i] && bytes == WORDS * 8 && unit == 8));
		STEP_CHECK(mine[SHARED][RANDOM_AT + 16 + i] == value(step, i, rank));
	}
	MPI_Win_unlock_all(win[SHARED]);
	MPI_Barrier(MPI_COMM_WORLD);
}

static void attached(int step)
{
	int64_t memory[4] = { 0 }, out = value(step, rank, 0);
	MPI_Aint at[16], me;

	MPI_Win_attach(dynamic, memory, sizeof(memory));
	MPI_Get_address(&memory[1], &me);
	MPI_Allgather(&me, 1, MPI_AINT, at, 1, MPI_AINT, MPI_COMM_WORLD);
	MPI_Win_lock(MPI_LOCK_SHARED, right, 0, dynamic);
	MPI_Put(&out, 1, MPI_INT64_T, right, at[right], 1, MPI_INT64_T, dynamic);
	inside((uint64_t)step);
	MPI_Win_unlock(right, dynamic);
	MPI_Barrier(MPI_COMM_WORLD);
	STEP_CHECK(memory[1] == value(step, left, 0) && memory[0] == 0 && memory[2] == 0);
	MPI_Win_detach(dynamic, memory);
}

/* What a window is asked for. */
static void questions(int step)
{
	char name[MPI_MAX_OBJECT_NAME], text[16] = "";
	int n, flag, *number, same;
	MPI_Aint *bytes;
	void *p;
	MPI_Group group, world;
	MPI_Info now;

	MPI_Win_get_name(win[ALLOCATED], name, &n);
	STEP_CHECK(strcmp(name, "allocated") == 0);
	MPI_Win_get_attr(win[ALLOCATED], MPI_WIN_BASE, &p, &flag);
	STEP_CHECK(flag && p == mine[ALLOCATED]);
	MPI_Win_get_attr(win[ALLOCATED], MPI_WIN_SIZE, &bytes, &flag);
	STEP_CHECK(flag && *bytes == WORDS * 8);
	MPI_Win_get_attr(win[SHARED], MPI_WIN_CREATE_FLAVOR, &number, &flag);
	STEP_CHECK(flag && *number == (apart ? MPI_WIN_FLAVOR_ALLOCATE : MPI_WIN_FLAVOR_SHARED));
	MPI_Win_get_attr(win[CREATED], key, &p, &flag);
	STEP_CHECK(flag && p == &key);
	MPI_Win_get_group(win[CREATED], &group);
	MPI_Comm_group(MPI_COMM_WORLD, &world);
	MPI_Group_compare(group, world, &same);
	STEP_CHECK(same == MPI_IDENT);
	MPI_Group_free(&group);
	MPI_Group_free(&world);
	MPI_Win_get_info(win[CREATED], &now);
	MPI_Info_get(now, "same_disp_unit", 15, text, &flag);
	STEP_CHECK(flag && strcmp(text, "true") == 0);
	MPI_Info_free(&now);
	handled = 0;
	MPI_Put(&n, 1, MPI_INT, right, 0, 1, MPI_INT, win[CREATED]); /* no epoch */
	STEP_CHECK(handled == MPI_ERR_RMA_SYNC);
	MPI_Win_lock(MPI_LOCK_SHARED, size, 0, win[CREATED]);
	STEP_CHECK(handled == MPI_ERR_RANK);
	MPI_Win_unlock(right, win[CREATED]);
	STEP_CHECK(handled == MPI_ERR_RMA_SYNC);
	inside((uint64_t)step);
}

/* Windows that come and go, over a communicator that goes first. */
static void make_free(int step)
{
	int64_t *memory, out = value(step, rank, 0);
	MPI_Comm comm;
	MPI_Win w;
	int n, r, next;

	MPI_Comm_split(MPI_COMM_WORLD, step % 3 == 0 ? rank % 2 : 0, -rank, &comm);
	MPI_Comm_size(comm, &n);
	MPI_Comm_rank(comm, &r);
	next = (r + 1) % n;
	if (step % 2 || apart)
		MPI_Win_allocate(4096 * 3, 8, MPI_INFO_NULL, comm, &memory, &w);
	else
		MPI_Win_allocate_shared(24, 8, MPI_INFO_NULL, comm, &memory, &w);
	MPI_Comm_free(&comm);
	memory[0] = 0;
	MPI_Win_fence(0, w);
	MPI_Accumulate(&out, 1, MPI_INT64_T, next, 0, 1, MPI_INT64_T, MPI_SUM, w);
	inside((uint64_t)step);
	MPI_Win_fence(MPI_MODE_NOSUCCEED, w);
	STEP_CHECK(n == 1 ? memory[0] == out : memory[0] != 0);
	MPI_Win_free(&w);
	STEP_CHECK(w == MPI_WIN_NULL);
}

/* One word of every rank is mine alone: what must be in it is known here. */
static void random_op(uint64_t *seed, int k, int target)
{
	MPI_Aint at = RANDOM_AT + rank;
	int64_t v = (int64_t)(*seed >> 11) & 0xffff, got = 0, *m = &model[k][target];
	MPI_Win w = win[k];

	switch (*seed % 6) {
	case 0:
		MPI_Put(&v, 1, MPI_INT64_T, target, at, 1, MPI_INT64_T, w);
		*m = v;
		break;
	case 1:
		MPI_Accumulate(&v, 1, MPI_INT64_T, target, at, 1, MPI_INT64_T, MPI_BXOR, w);
		*m ^= v;
		break;
	case 2:
		MPI_Fetch_and_op(&v, &got, MPI_INT64_T, target, at, MPI_SUM, w);
		MPI_Win_flush(target, w);
		STEP_CHECK(got == *m);
		*m += v;
		break;
	case 3:
		MPI_Compare_and_swap(&v, m, &got, MPI_INT64_T, target, at, w);
		MPI_Win_flush(target, w);
		STEP_CHECK(got == *m);
		*m = v;
		break;
	case 4:
		MPI_Get_accumulate(&v, 1, MPI_INT64_T, &got, 1, MPI_INT64_T, target, at, 1, MPI_INT64_T, MPI_MAX, w);
		MPI_Win_flush(target, w);
		STEP_CHECK(got == *m);
		*m = v > *m ? v : *m;
		break;
	default:
		MPI_Win_flush(target, w);
		MPI_Get(&got, 1, MPI_INT64_T, target, at, 1, MPI_INT64_T, w);
		MPI_Win_flush(target, w);
		STEP_CHECK(got == *m);
	}
	MPI_Win_flush(target, w);
}

static void random_ops(int step)
{
	uint64_t seed = step_mix((uint64_t)step * 77 + (uint64_t)rank);

	for (int i = 0; i < 40; i++) {
		int k = (int)(seed % WINDOWS), target = (int)(seed / 7 % (uint64_t)size), how = (int)(seed / 1001 % 3);

		if (k != HELD && how == 0)
			MPI_Win_lock_all(0, win[k]);
		else if (k != HELD)
			MPI_Win_lock(how == 1 ? MPI_LOCK_SHARED : MPI_LOCK_EXCLUSIVE, target, 0, win[k]);
		seed = step_mix(seed);
		random_op(&seed, k, target);
		if (i % 10 == 0)
			inside(seed);
		if (k != HELD && how == 0)
			MPI_Win_unlock_all(win[k]);
		else if (k != HELD)
			MPI_Win_unlock(target, win[k]);
		seed = step_mix(seed);
	}
	MPI_Barrier(MPI_COMM_WORLD);
}

static const struct {
	const char *name;
	void (*run)(int step);
} states[] = {
	{ "put and get between fences, MPI_Win_create", fence_created },
	{ "put and get between fences, MPI_Win_allocate", fence_allocated },
	{ "put and get between fences, MPI_Win_allocate_shared", fence_shared },
	{ "derived datatypes between fences", fence_derived },
	{ "post, start, complete, wait", post_start_wait },
	{ "post, start, complete, test", post_start_test },
	{ "an exclusive lock that others wait for", lock_exclusive },
	{ "shared locks, flush", lock_shared },
	{ "lock_all for life: fetch_and_op", held_fetch },
	{ "lock_all for life: compare_and_swap", held_swap },
	{ "requests not yet waited for", requests },
	{ "accumulate and get_accumulate of pairs", accumulates },
	{ "stores into shared memory", shared_stores },
	{ "memory attached to a dynamic window", attached },
	{ "names, attributes, groups, info, errors", questions },
	{ "windows made and freed", make_free },
	{ "random operations", random_ops },
};
#define STATES ((int)(sizeof(states) / sizeof(states[0])))

static void begin(void)
{
	static const char *const names[WINDOWS] = { "created", "allocated", "shared", "held" };
	MPI_Group all;
	MPI_Aint bytes;
	int unit;

	MPI_Info_create(&info);
	MPI_Info_set(info, "same_disp_unit", "true");
	mine[CREATED] = calloc(WORDS, 8);
	MPI_Win_create(mine[CREATED], WORDS * 8, 8, info, MPI_COMM_WORLD, &win[CREATED]);
	MPI_Win_allocate(WORDS * 8, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &mine[ALLOCATED], &win[ALLOCATED]);
	if (apart)
		MPI_Win_allocate(WORDS * 8, 8, info, MPI_COMM_WORLD, &mine[SHARED], &win[SHARED]);
	else
		MPI_Win_allocate_shared(WORDS * 8, 8, info, MPI_COMM_WORLD, &mine[SHARED], &win[SHARED]);
	MPI_Win_allocate(WORDS * 8, 8, info, MPI_COMM_WORLD, &mine[HELD], &win[HELD]);
	MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &dynamic);
	for (int i = 0; i < WINDOWS; i++) {
		MPI_Win_set_name(win[i], names[i]);
		memset(mine[i], 0, WORDS * 8);
	}
	for (int i = 0; i < size && !apart; i++)
		MPI_Win_shared_query(win[SHARED], i, &bytes, &unit, &shared_at[i]);
	MPI_Win_create_keyval(MPI_WIN_NULL_COPY_FN, MPI_WIN_NULL_DELETE_FN, &key, NULL);
	MPI_Win_set_attr(win[CREATED], key, &key);
	MPI_Win_create_errhandler(on_error, &handler);
	MPI_Win_set_errhandler(win[CREATED], handler);
	MPI_Type_vector(4, 1, 2, MPI_INT64_T, &every_other);
	MPI_Type_commit(&every_other);
	MPI_Comm_group(MPI_COMM_WORLD, &all);
	MPI_Group_incl(all, 1, &right, &to);
	MPI_Group_incl(all, 1, &left, &from);
	MPI_Group_free(&all);
	MPI_Barrier(MPI_COMM_WORLD); /* everybody's memory is zero */
	MPI_Win_lock_all(0, win[HELD]);
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 500), only = argc > 2 ? atoi(argv[2]) : -1, provided;
	uint64_t sum = 1, all;

	apart = argc > 4 && atoi(argv[4]);
	if (argc > 5)
		prctl(PR_SET_DUMPABLE, 0);
	MPI_Init_thread(&argc, &argv, argc > 3 && atoi(argv[3]) ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE, &provided);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	right = (rank + 1) % size;
	left = (rank + size - 1) % size;
	begin();
	for (int step = 1; step <= steps; step++) {
		int s = only >= 0 ? only % STATES : step % STATES;

		states[s].run(step);
		for (int k = 0; k < WINDOWS; k++)
			for (int i = 0; i < size; i++)
				sum = step_mix(sum + (uint64_t)model[k][i]);
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
		if (rank == 0)
			printf("step %d %016llx %s\n", step, (unsigned long long)all, states[s].name);
		fflush(stdout);
		if (rank == 0)
			step_hold(step);
	}
	MPI_Win_unlock_all(win[HELD]);
	for (int i = 0; i < WINDOWS; i++)
		MPI_Win_free(&win[i]);
	MPI_Win_free(&dynamic);
	MPI_Finalize();
	return 0;
}

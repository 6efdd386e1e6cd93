/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that stand in MPI calls: MPI_THREAD_MULTIPLE, one thread for each line of the table below, each in its call on a communicator of its
 * own until the main thread of a neighbour (or, in a collective, of one rank) lets it go on. Checks all that comes.
 *
 *   mpi_threads STEPS [all | NAME [FILE]]
 *
 * FILE: the second step does not end before a file of that name is there. Rank 0 then writes "inside", and "NAME ok" for each that is ended in it.
 */
#include <mpi.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

#define LARGE 40000 /* words: more than any eager limit */
#define FEW 5

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

static int rank, size, left, right;
static MPI_Comm comms[64];
static MPI_Win wins[64]; /* of those that need one: a word for each rank */
static uint64_t *words[64];
static struct worker workers[64];

static uint64_t value(int i, int s, int from, int k)
{
	return step_mix((uint64_t)i << 48 ^ (uint64_t)s << 24 ^ (uint64_t)from << 16 ^ (uint64_t)k);
}

static uint64_t is_value(uint64_t v, int i, int s, int from, int k)
{
	STEP_CHECK(v == value(i, s, from, k));
	return step_mix(v + (uint64_t)k);
}

/* ---- receives, in every call that waits for one ---- */
static uint64_t few_send(int i, int s)
{
	for (int k = 0; k < FEW; k++) {
		uint64_t v = value(i, s, rank, k);

		MPI_Send(&v, 1, MPI_UINT64_T, right, k, comms[i]);
	}
	return 0;
}

static uint64_t recv_block(int i, int s)
{
	uint64_t v, sum = 0;

	for (int k = 0; k < FEW; k++) {
		MPI_Recv(&v, 1, MPI_UINT64_T, left, k, comms[i], MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

static uint64_t any_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Status status;

	for (int k = 0; k < FEW; k++) {
		MPI_Recv(&v, 1, MPI_UINT64_T, MPI_ANY_SOURCE, MPI_ANY_TAG, comms[i], &status);
		STEP_CHECK(status.MPI_SOURCE == left && status.MPI_TAG == k);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

static void few_post(int i, uint64_t *v, MPI_Request *requests)
{
	for (int k = 0; k < FEW; k++)
		MPI_Irecv(&v[k], 1, MPI_UINT64_T, k & 1 ? MPI_ANY_SOURCE : left, k, comms[i], &requests[k]);
}

static uint64_t few_check(int i, int s, const uint64_t *v)
{
	uint64_t sum = 0;

	for (int k = 0; k < FEW; k++)
		sum += is_value(v[k], i, s, left, k);
	return sum;
}

static uint64_t wait_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];

	few_post(i, v, requests);
	for (int k = FEW; k-- > 0;)
		MPI_Wait(&requests[k], MPI_STATUS_IGNORE);
	return few_check(i, s, v);
}

static uint64_t waitall_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];

	few_post(i, v, requests);
	MPI_Waitall(FEW, requests, MPI_STATUSES_IGNORE);
	return few_check(i, s, v);
}

static uint64_t waitany_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];
	int index;

	few_post(i, v, requests);
	for (int k = 0; k < FEW; k++)
		MPI_Waitany(FEW, requests, &index, MPI_STATUS_IGNORE);
	return few_check(i, s, v);
}

static uint64_t waitsome_block(int i, int s)
{
	MPI_Request requests[FEW];
	int indices[FEW], n, left_over = FEW;
	uint64_t v[FEW];

	few_post(i, v, requests);
	for (; left_over > 0; left_over -= n)
		MPI_Waitsome(FEW, requests, &n, indices, MPI_STATUSES_IGNORE);
	return few_check(i, s, v);
}

static uint64_t test_block(int i, int s)
{
	MPI_Request requests[FEW];
	uint64_t v[FEW];
	int flag = 0;

	few_post(i, v, requests);
	while (!flag)
		MPI_Testall(FEW, requests, &flag, MPI_STATUSES_IGNORE);
	return few_check(i, s, v);
}

static uint64_t persistent_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Request request;

	MPI_Recv_init(&v, 1, MPI_UINT64_T, left, MPI_ANY_TAG, comms[i], &request);
	for (int k = 0; k < FEW; k++) {
		MPI_Start(&request);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	MPI_Request_free(&request);
	return sum;
}

static uint64_t probe_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Status status;

	for (int k = 0; k < FEW; k++) {
		MPI_Probe(MPI_ANY_SOURCE, k, comms[i], &status);
		STEP_CHECK(status.MPI_SOURCE == left);
		MPI_Recv(&v, 1, MPI_UINT64_T, left, k, comms[i], &status);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

static uint64_t iprobe_block(int i, int s)
{
	uint64_t v, sum = 0;
	int flag;

	for (int k = 0; k < FEW; k++) {
		for (flag = 0; !flag;)
			MPI_Iprobe(left, k, comms[i], &flag, MPI_STATUS_IGNORE);
		MPI_Recv(&v, 1, MPI_UINT64_T, left, k, comms[i], MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

static uint64_t mprobe_block(int i, int s)
{
	uint64_t v, sum = 0;
	MPI_Message message;

	for (int k = 0; k < FEW; k++) {
		MPI_Mprobe(left, MPI_ANY_TAG, comms[i], &message, MPI_STATUS_IGNORE);
		MPI_Mrecv(&v, 1, MPI_UINT64_T, &message, MPI_STATUS_IGNORE);
		sum += is_value(v, i, s, left, k);
	}
	return sum;
}

/* ---- sends that wait for the receiver ---- */
static uint64_t *large(int i, int s)
{
	uint64_t *v = malloc(LARGE * sizeof(*v));

	STEP_CHECK(v);
	for (int k = 0; k < LARGE; k++)
		v[k] = value(i, s, rank, k);
	return v;
}

static uint64_t send_block(int i, int s)
{
	uint64_t *v = large(i, s);

	MPI_Send(v, LARGE, MPI_UINT64_T, right, 1, comms[i]);
	free(v);
	return 1;
}

static uint64_t ssend_block(int i, int s)
{
	uint64_t *v = large(i, s);

	MPI_Ssend(v, 1, MPI_UINT64_T, right, 1, comms[i]);
	free(v);
	return 1;
}

static uint64_t large_receive(int i, int s)
{
	uint64_t *v = malloc(LARGE * sizeof(*v)), sum = 0;
	MPI_Status status;
	int n;

	STEP_CHECK(v);
	MPI_Recv(v, LARGE, MPI_UINT64_T, left, 1, comms[i], &status);
	MPI_Get_count(&status, MPI_UINT64_T, &n);
	for (int k = 0; k < n; k++)
		sum += is_value(v[k], i, s, left, k);
	free(v);
	return sum + (uint64_t)n;
}

static uint64_t sendrecv_both(int i, int s, int tag_out, int tag_in)
{
	uint64_t out = value(i, s, rank, tag_out), in;

	MPI_Sendrecv(&out, 1, MPI_UINT64_T, right, tag_out, &in, 1, MPI_UINT64_T, left, tag_in, comms[i], MPI_STATUS_IGNORE);
	return is_value(in, i, s, left, tag_in);
}

static uint64_t sendrecv_block(int i, int s)
{
	return sendrecv_both(i, s, 1, 2);
}

static uint64_t sendrecv_release(int i, int s)
{
	return sendrecv_both(i, s, 2, 1);
}

/* ---- collectives: the threads of all ranks but one stand in them, that one's main thread comes last ---- */
static int comes_last(int s)
{
	return s % size == rank;
}

static uint64_t value_sum(int i, int s)
{
	uint64_t sum = 0;

	for (int r = 0; r < size; r++)
		sum += value(i, s, r, 0);
	return sum;
}

static uint64_t allreduce(int i, int s)
{
	uint64_t v = value(i, s, rank, 0), sum;

	MPI_Barrier(comms[i]);
	MPI_Allreduce(&v, &sum, 1, MPI_UINT64_T, MPI_SUM, comms[i]);
	STEP_CHECK(sum == value_sum(i, s));
	return sum;
}

static uint64_t bcast(int i, int s)
{
	uint64_t v = rank == s % size ? value(i, s, rank, 3) : 0;

	MPI_Bcast(&v, 1, MPI_UINT64_T, s % size, comms[i]);
	return is_value(v, i, s, s % size, 3);
}

static uint64_t iallreduce(int i, int s)
{
	uint64_t v = value(i, s, rank, 0), sum;
	MPI_Request request;

	MPI_Iallreduce(&v, &sum, 1, MPI_UINT64_T, MPI_SUM, comms[i], &request);
	MPI_Wait(&request, MPI_STATUS_IGNORE);
	STEP_CHECK(sum == value_sum(i, s));
	return sum;
}

static uint64_t comm_dup(int i, int s)
{
	MPI_Comm comm;
	int n;

	MPI_Comm_dup(comms[i], &comm);
	MPI_Comm_size(comm, &n);
	STEP_CHECK(n == size);
	MPI_Barrier(comm);
	MPI_Comm_free(&comm);
	return value(i, s, size, 0);
}

#define COLLECTIVE(name)                                                                                                      \
	static uint64_t name##_block(int i, int s) { return comes_last(s) ? 0 : name(i, s); }                                 \
	static uint64_t name##_release(int i, int s) { return comes_last(s) ? name(i, s) : 0; }
COLLECTIVE(allreduce)
COLLECTIVE(bcast)
COLLECTIVE(iallreduce)
COLLECTIVE(comm_dup)

/* ---- windows ---- */
static void window_make(int i)
{
	MPI_Win_allocate((MPI_Aint)sizeof(uint64_t), sizeof(uint64_t), MPI_INFO_NULL, comms[i], &words[i], &wins[i]);
}

static uint64_t fence(int i, int s)
{
	uint64_t v = value(i, s, rank, 7);

	MPI_Win_fence(0, wins[i]);
	MPI_Put(&v, 1, MPI_UINT64_T, right, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_fence(0, wins[i]);
	return is_value(*words[i], i, s, left, 7);
}
COLLECTIVE(fence)

static MPI_Group group_of(int i, int r)
{
	MPI_Group all, one;

	MPI_Comm_group(comms[i], &all);
	MPI_Group_incl(all, 1, &r, &one);
	MPI_Group_free(&all);
	return one;
}

/* The thread has opened its memory to the left neighbour and waits for the end of its epoch. */
static uint64_t win_wait_block(int i, int s)
{
	MPI_Group group = group_of(i, left);

	MPI_Win_post(group, 0, wins[i]);
	MPI_Win_wait(wins[i]);
	MPI_Group_free(&group);
	return is_value(*words[i], i, s, left, 8);
}

static uint64_t win_wait_release(int i, int s)
{
	uint64_t v = value(i, s, rank, 8);
	MPI_Group group = group_of(i, right);

	MPI_Win_start(group, 0, wins[i]);
	MPI_Put(&v, 1, MPI_UINT64_T, right, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_complete(wins[i]);
	MPI_Group_free(&group);
	return 0;
}

/* The thread wants the lock of the left neighbour's memory, which that holds itself until it has its word in there. */
static void win_lock_prepare(int i, int s)
{
	(void)s;
	MPI_Barrier(comms[i]); /* the last step's locks are over: this one is not to come before one of those */
	MPI_Win_lock(MPI_LOCK_EXCLUSIVE, rank, 0, wins[i]);
	MPI_Barrier(comms[i]);
}

static uint64_t win_lock_block(int i, int s)
{
	uint64_t v;

	if (size == 1)
		return 0;
	MPI_Win_lock(MPI_LOCK_SHARED, left, 0, wins[i]);
	MPI_Get(&v, 1, MPI_UINT64_T, left, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_unlock(left, wins[i]);
	return is_value(v, i, s, left, 9);
}

static uint64_t win_lock_release(int i, int s)
{
	uint64_t v = value(i, s, rank, 9);

	MPI_Put(&v, 1, MPI_UINT64_T, rank, 0, 1, MPI_UINT64_T, wins[i]);
	MPI_Win_unlock(rank, wins[i]);
	return 0;
}

/* Two threads of a rank lock and unlock, each another rank's memory, as fast as they can. */
static void win_locks_one(int i, int target)
{
	MPI_Win_lock(MPI_LOCK_SHARED, target, 0, wins[i]);
	MPI_Win_unlock(target, wins[i]);
}

static uint64_t win_locks_block(int i, int s)
{
	while (size > 1 && !__atomic_load_n(&workers[i].released, __ATOMIC_ACQUIRE))
		win_locks_one(i, left);
	return value(i, s, 0, 0);
}

static uint64_t win_locks_release(int i, int s)
{
	for (int k = 0; k < 200; k++)
		win_locks_one(i, rank);
	return value(i, s, 0, 0);
}

/* Two threads make, use and free what the library keeps lists and counts of, each with operations, attributes and messages of its own. */
static char bsend_space[1 << 16];

static void objects_prepare(int i, int s)
{
	(void)i;
	if (s == 0)
		MPI_Buffer_attach(bsend_space, sizeof(bsend_space));
}

static void twice_plus(void *in, void *inout, int *n, MPI_Datatype *type)
{
	(void)type;
	for (int k = 0; k < *n; k++)
		((uint64_t *)inout)[k] += 2 * ((uint64_t *)in)[k];
}

static void objects_one(int i, int tag, uint64_t v)
{
	uint64_t in, sum = v;
	MPI_Request request;
	MPI_Op op;
	void *got;
	int key, flag;

	MPI_Op_create(twice_plus, 1, &op);
	MPI_Reduce_local(&v, &sum, 1, MPI_UINT64_T, op);
	MPI_Op_free(&op);
	STEP_CHECK(sum == 3 * v);
	MPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, MPI_COMM_NULL_DELETE_FN, &key, NULL);
	MPI_Comm_set_attr(MPI_COMM_WORLD, key, &sum);
	MPI_Comm_get_attr(MPI_COMM_WORLD, key, &got, &flag);
	STEP_CHECK(flag && got == &sum);
	MPI_Comm_delete_attr(MPI_COMM_WORLD, key);
	MPI_Comm_free_keyval(&key);
	MPI_Isend(&v, 1, MPI_UINT64_T, rank, tag, comms[i], &request);
	MPI_Request_free(&request);
	MPI_Bsend(&sum, 1, MPI_UINT64_T, rank, tag, comms[i]);
	MPI_Recv(&in, 1, MPI_UINT64_T, rank, tag, comms[i], MPI_STATUS_IGNORE);
	STEP_CHECK(in == v);
	MPI_Recv(&in, 1, MPI_UINT64_T, rank, tag, comms[i], MPI_STATUS_IGNORE);
	STEP_CHECK(in == sum);
}

static uint64_t objects_block(int i, int s)
{
	for (uint64_t k = 1; !__atomic_load_n(&workers[i].released, __ATOMIC_ACQUIRE); k++)
		objects_one(i, 1, k);
	return value(i, s, 0, 0);
}

static uint64_t objects_release(int i, int s)
{
	for (uint64_t k = 1; k <= 200; k++)
		objects_one(i, 2, k);
	return value(i, s, 0, 0);
}

/* The thread reads a word of its memory over and over until the left neighbour has changed it. */
static void win_flag_prepare(int i, int s)
{
	(void)s;
	MPI_Win_lock_all(0, wins[i]);
	*words[i] = 0;
	MPI_Win_sync(wins[i]);
	MPI_Barrier(comms[i]);
}

static uint64_t win_flag_block(int i, int s)
{
	uint64_t v = 0, none = 0;

	while (v == 0) {
		MPI_Fetch_and_op(&none, &v, MPI_UINT64_T, rank, 0, MPI_NO_OP, wins[i]);
		MPI_Win_flush(rank, wins[i]);
	}
	return is_value(v, i, s, left, 10);
}

static uint64_t win_flag_release(int i, int s)
{
	uint64_t v = value(i, s, rank, 10), old;

	MPI_Fetch_and_op(&v, &old, MPI_UINT64_T, right, 0, MPI_REPLACE, wins[i]);
	MPI_Win_flush(right, wins[i]);
	STEP_CHECK(old == 0);
	return 0;
}

static void win_flag_end(int i)
{
	MPI_Win_unlock_all(wins[i]);
}

/* ---- outside of MPI ---- */
static uint64_t compute_block(int i, int s)
{
	uint64_t sum = value(i, s, rank, 0);

	while (!__atomic_load_n(&workers[i].released, __ATOMIC_ACQUIRE))
		(void)step_work(sum, 1);
	return sum;
}

static uint64_t sleep_block(int i, int s)
{
	pthread_mutex_lock(&workers[i].mutex);
	while (!workers[i].released)
		pthread_cond_wait(&workers[i].changed, &workers[i].mutex);
	pthread_mutex_unlock(&workers[i].mutex);
	return value(i, s, rank, 0);
}

static uint64_t nothing_release(int i, int s)
{
	return value(i, s, 0, 0);
}

static const struct state states[] = {
	{ "recv", recv_block, few_send, 0, NULL, 0 },
	{ "any", any_block, few_send, 0, NULL, 0 },
	{ "wait", wait_block, few_send, 0, NULL, 0 },
	{ "waitall", waitall_block, few_send, 0, NULL, 0 },
	{ "waitany", waitany_block, few_send, 0, NULL, 0 },
	{ "waitsome", waitsome_block, few_send, 0, NULL, 0 },
	{ "test", test_block, few_send, 0, NULL, 0 },
	{ "persistent", persistent_block, few_send, 0, NULL, 0 },
	{ "probe", probe_block, few_send, 0, NULL, 0 },
	{ "iprobe", iprobe_block, few_send, 0, NULL, 0 },
	{ "mprobe", mprobe_block, few_send, 0, NULL, 0 },
	{ "send", send_block, large_receive, 0, NULL, 0 },
	{ "ssend", ssend_block, large_receive, 0, NULL, 0 },
	{ "sendrecv", sendrecv_block, sendrecv_release, 0, NULL, 0 },
	{ "allreduce", allreduce_block, allreduce_release, 1, NULL, 0 },
	{ "bcast", bcast_block, bcast_release, 1, NULL, 0 },
	{ "iallreduce", iallreduce_block, iallreduce_release, 1, NULL, 0 },
	{ "comm_dup", comm_dup_block, comm_dup_release, 1, NULL, 0 },
	{ "fence", fence_block, fence_release, 1, NULL, 0 },
	{ "win_wait", win_wait_block, win_wait_release, 0, NULL, 0 },
	{ "win_lock", win_lock_block, win_lock_release, 0, win_lock_prepare, 0 },
	{ "win_locks", win_locks_block, win_locks_release, 0, NULL, 1 },
	{ "objects", objects_block, objects_release, 0, objects_prepare, 1 },
	{ "win_flag", win_flag_block, win_flag_release, 0, win_flag_prepare, 0 },
	{ "compute", compute_block, nothing_release, 0, NULL, 0 },
	{ "sleep", sleep_block, nothing_release, 0, NULL, 0 },
};
enum { NSTATES = sizeof(states) / sizeof(states[0]) };

/* ---- the threads ---- */
static void *worker_run(void *arg)
{
	int i = (int)(intptr_t)arg;
	struct worker *w = &workers[i];

	for (int s = 0;; s++) {
		pthread_mutex_lock(&w->mutex);
		while (w->asked == s)
			pthread_cond_wait(&w->changed, &w->mutex);
		if (w->asked < 0) {
			pthread_mutex_unlock(&w->mutex);
			return NULL;
		}
		w->inside = s + 1;
		pthread_cond_broadcast(&w->changed);
		pthread_mutex_unlock(&w->mutex);
		w->sum = states[i].block(i, s);
		pthread_mutex_lock(&w->mutex);
		w->done = s + 1;
		pthread_cond_broadcast(&w->changed);
		pthread_mutex_unlock(&w->mutex);
	}
}

static void worker_ask(int i, int s)
{
	struct worker *w = &workers[i];

	pthread_mutex_lock(&w->mutex);
	w->released = 0;
	w->asked = s < 0 ? -1 : s + 1;
	pthread_cond_broadcast(&w->changed);
	while (s >= 0 && w->inside != s + 1)
		pthread_cond_wait(&w->changed, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
}

static uint64_t worker_release(int i, int s)
{
	struct worker *w = &workers[i];
	uint64_t sum = states[i].release(i, s);

	pthread_mutex_lock(&w->mutex);
	w->released = 1;
	pthread_cond_broadcast(&w->changed);
	while (w->done != s + 1)
		pthread_cond_wait(&w->changed, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
	if (states[i].prepare == win_flag_prepare)
		win_flag_end(i);
	return sum + w->sum;
}

static int is_window(int i)
{
	return strncmp(states[i].name, "win_", 4) == 0 || strcmp(states[i].name, "fence") == 0;
}

static int is_asked(int i, const char *what)
{
	if (!what || strcmp(what, "all") == 0)
		return !states[i].apart;
	return strcmp(what, states[i].name) == 0;
}

static uint64_t step_run(int s, const char *what, const char *file, uint64_t sum)
{
	uint64_t sums[NSTATES] = { 0 };
	int told = 0;

	for (int i = 0; i < NSTATES; i++)
		if (is_asked(i, what)) {
			if (states[i].prepare)
				states[i].prepare(i, s);
			worker_ask(i, s);
		}
	if (file)
		MPI_Barrier(MPI_COMM_WORLD);
	(void)step_work(sum, 2);
	for (int i = 0; i < NSTATES; i++)
		if (is_asked(i, what) && states[i].collective)
			sums[i] = worker_release(i, s);
	while (file && access(file, F_OK) != 0) {
		if (rank == 0 && !told++)
			puts("inside"), fflush(stdout);
		usleep(20000);
	}
	for (int i = 0; i < NSTATES; i++) {
		if (!is_asked(i, what))
			continue;
		if (!states[i].collective)
			sums[i] = worker_release(i, s);
		sum = step_mix(sum + sums[i]);
		if (file)
			MPI_Barrier(MPI_COMM_WORLD);
		if (file && rank == 0)
			printf("%s ok\n", states[i].name), fflush(stdout);
	}
	return sum;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 100), level;
	const char *what = argc > 2 ? argv[2] : NULL;
	uint64_t sum = 1, all;

	MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &level);
	STEP_CHECK(level == MPI_THREAD_MULTIPLE);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	right = (rank + 1) % size;
	left = (rank + size - 1) % size;
	for (int i = 0; i < NSTATES; i++) {
		MPI_Comm_dup(MPI_COMM_WORLD, &comms[i]);
		if (is_window(i))
			window_make(i);
		pthread_mutex_init(&workers[i].mutex, NULL);
		pthread_cond_init(&workers[i].changed, NULL);
		STEP_CHECK(pthread_create(&workers[i].thread, NULL, worker_run, (void *)(intptr_t)i) == 0);
	}
	for (int s = 0; s < steps; s++) {
		sum = step_run(s, what, argc > 3 && s == 1 ? argv[3] : NULL, sum);
		MPI_Reduce(&sum, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
		if (rank == 0)
			step_print(s, all);
	}
	for (int i = 0; i < NSTATES; i++) {
		worker_ask(i, -1);
		pthread_join(workers[i].thread, NULL);
		if (is_window(i))
			MPI_Win_free(&wins[i]);
		MPI_Comm_free(&comms[i]);
	}
	if (rank == 0)
		puts("ok");
	MPI_Finalize();
	return 0;
}

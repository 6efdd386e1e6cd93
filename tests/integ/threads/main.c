/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of the calls, and the threads that stand in them. */
#include "threads.h"

#include <string.h>
#include <unistd.h>

int rank, size, left, right;
MPI_Comm comms[64];
MPI_Win wins[64]; /* of those that need one: a word for each rank */
uint64_t *words[64];
struct worker workers[64];

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

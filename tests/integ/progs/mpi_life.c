/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The edges of a job's life: MPI_Init_thread with each level, before MPI_Init, around MPI_Finalize, MPI_Abort.
 *
 *   mpi_life level STEPS LEVEL FILE    two threads, which call MPI as the level allows it; in the middle rank 0 says "half" and waits until FILE is there
 *   mpi_life before STEPS FILE    says "before" and enters MPI_Init when FILE is there
 *   mpi_life inside STEPS FILE    the same for rank 0; the others are inside of MPI_Init meanwhile
 *   mpi_life after STEPS MS       the ranks compute, leave MPI_Finalize, and live on for about MS milliseconds of work; rank 0 ends with status 3
 *   mpi_life stray STEPS FILE     rank 0 says "stray" and waits with a receive whose communicator is freed; its message comes when FILE is there
 *   mpi_life freed STEPS FILE     rank 0 says "freed" and keeps, until FILE is there, a communicator that the others have freed and nobody has used for a collective
 *   mpi_life last STEPS FILE      rank 0 says "last" and enters MPI_Finalize when FILE is there, the others at once
 *   mpi_life abort STEPS FILE     rank 1 aborts with code 7 when FILE is there, the others compute and exchange until then
 *   mpi_life wrong STEPS WORD     a message to a rank that there is not
 *
 * With one more FILE rank 0 stays in the middle of its steps until that is there.
 */
#include <mpi.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "step.h"

static int rank, size, left, right, level, steps;
static const char *half_file;
static int turn; /* whose turn it is below MPI_THREAD_MULTIPLE: 2 * step + thread */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void await_file(const char *file)
{
	while (access(file, F_OK) != 0)
		usleep(10000);
}

static uint64_t exchange(uint64_t sum, int tag)
{
	uint64_t in;

	MPI_Sendrecv(&sum, 1, MPI_UINT64_T, right, tag, &in, 1, MPI_UINT64_T, left, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
	return step_mix(sum * 3 + in);
}

static void turn_await(int t)
{
	pthread_mutex_lock(&mutex);
	while (turn != t)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
}

static void turn_give(void)
{
	pthread_mutex_lock(&mutex);
	turn++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

/* What thread @t does, 0 being the main one: it calls MPI if the level lets it, else it computes. */
static uint64_t thread_steps(int t)
{
	uint64_t sum = (uint64_t)(rank * 2 + t + 1);

	for (int s = 0; s < steps; s++) {
		if (t == 0 && rank == 0 && half_file && s == steps / 2) {
			puts("half"), fflush(stdout);
			await_file(half_file);
		}
		sum = step_mix(sum + step_work(sum, 1));
		if (level == MPI_THREAD_SERIALIZED)
			turn_await(2 * s + t);
		if (t == 0 || level >= MPI_THREAD_SERIALIZED)
			sum = exchange(sum, t);
		if (level == MPI_THREAD_SERIALIZED)
			turn_give();
		if (t == 0 && rank == 0 && s % 10 == 0)
			step_print(s, sum);
	}
	return sum;
}

static uint64_t other_sum;

static void *other_thread(void *arg)
{
	other_sum = thread_steps(1);
	return arg;
}

static void both_threads(void)
{
	uint64_t sums[2], all[2];
	pthread_t other;

	if (level > MPI_THREAD_SINGLE)
		STEP_CHECK(pthread_create(&other, NULL, other_thread, NULL) == 0);
	sums[0] = thread_steps(0);
	if (level > MPI_THREAD_SINGLE)
		pthread_join(other, NULL);
	sums[1] = other_sum;
	MPI_Reduce(sums, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
	if (rank == 0)
		step_print(steps, step_mix(all[0] * 5 + all[1]));
}

static void abort_steps(const char *file)
{
	uint64_t sum = (uint64_t)rank;

	for (int s = 0; s < steps; s++) {
		sum = exchange(step_mix(sum + step_work(sum, 1)), 0);
		if (rank == 1 && access(file, F_OK) == 0)
			MPI_Abort(MPI_COMM_WORLD, 7);
	}
}

static void stray_receive(const char *file)
{
	MPI_Comm gone;
	MPI_Request request;
	int word = 0;

	MPI_Comm_dup(MPI_COMM_WORLD, &gone);
	if (rank == 0)
		MPI_Irecv(&word, 1, MPI_INT, 1, 1, gone, &request);
	if (rank == 1) {
		await_file(file);
		word = 7;
		MPI_Send(&word, 1, MPI_INT, 0, 1, gone);
	}
	MPI_Comm_free(&gone);
	if (rank == 0) {
		puts("stray"), fflush(stdout);
		MPI_Wait(&request, MPI_STATUS_IGNORE);
		STEP_CHECK(word == 7);
	}
}

static void freed_by_others(const char *file)
{
	MPI_Comm comm;
	int word = rank, got = -1;

	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	MPI_Sendrecv(&word, 1, MPI_INT, right, 1, &got, 1, MPI_INT, left, 1, comm, MPI_STATUS_IGNORE);
	STEP_CHECK(got == left);
	if (rank == 0) {
		puts("freed"), fflush(stdout);
		await_file(file);
	}
	MPI_Comm_free(&comm);
}

int main(int argc, char **argv)
{
	const char *what = argc > 3 ? argv[1] : "";
	int wanted = MPI_THREAD_SINGLE, is;

	steps = argc > 3 ? atoi(argv[2]) : 0;
	half_file = argc > 4 ? argv[4] : NULL;
	if (strcmp(what, "level") == 0)
		wanted = atoi(argv[3]);
	if (strcmp(what, "before") == 0 || (strcmp(what, "inside") == 0 && strcmp(getenv("OMPI_COMM_WORLD_RANK"), "0") == 0)) {
		puts("before"), fflush(stdout);
		await_file(argv[3]);
	}
	MPI_Init_thread(&argc, &argv, wanted, &level);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &size);
	right = (rank + 1) % size;
	left = (rank + size - 1) % size;
	MPI_Query_thread(&is);
	STEP_CHECK(is == level);
	if (rank == 0)
		printf("wanted %d provided %d\n", wanted, level), fflush(stdout);
	if (strcmp(what, "stray") == 0)
		stray_receive(argv[3]);
	if (strcmp(what, "freed") == 0)
		freed_by_others(argv[3]);
	if (strcmp(what, "wrong") == 0)
		MPI_Send(&is, 1, MPI_INT, 99, 0, MPI_COMM_WORLD);
	if (strcmp(what, "abort") == 0)
		abort_steps(argv[3]);
	else
		both_threads();
	if (strcmp(what, "last") == 0 && rank == 0) {
		puts("last"), fflush(stdout);
		await_file(argv[3]);
	}
	MPI_Finalize();
	if (strcmp(what, "after") == 0) {
		(void)step_work(1, atoi(argv[3]));
		STEP_CHECK(MPI_Finalized(&is) == MPI_SUCCESS && is);
		if (rank == 0)
			puts("after");
		return rank == 0 ? 3 : 0;
	}
	if (rank == 0)
		puts("ok");
	return 0;
}

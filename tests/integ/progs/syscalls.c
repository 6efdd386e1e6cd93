/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that are asleep in the kernel when a checkpoint comes. A program without handlers must never see EINTR or a short sleep. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step.h"

static int to_poll[2], to_read[2];
static volatile int stop;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *in_nanosleep(void *arg)
{
	while (!stop) {
		struct timespec t = {0, 200000000};
		double from = now();

		STEP_CHECK(nanosleep(&t, NULL) == 0);
		STEP_CHECK(now() - from > 0.199);
	}
	return arg;
}

static void *in_poll(void *arg)
{
	while (!stop) {
		struct pollfd f = {.fd = to_poll[0], .events = POLLIN};
		int rc = poll(&f, 1, 100);

		STEP_CHECK(rc == 0 || (rc == 1 && stop));
	}
	return arg;
}

static void *in_read(void *arg)
{
	char c;

	STEP_CHECK(read(to_read[0], &c, 1) == 1 && c == 'x');
	return arg;
}

static void *in_futex(void *arg)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;

	pthread_mutex_lock(&m);
	while (!stop) {
		struct timespec t;
		int rc;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += 70000000;
		if (t.tv_nsec >= 1000000000) {
			t.tv_nsec -= 1000000000;
			t.tv_sec++;
		}
		rc = pthread_cond_timedwait(&c, &m, &t);
		STEP_CHECK(rc == ETIMEDOUT || rc == 0);
	}
	pthread_mutex_unlock(&m);
	return arg;
}

int main(int argc, char **argv)
{
	int steps = step_count(argc, argv, 60);
	void *(*const what[])(void *) = {in_nanosleep, in_poll, in_read, in_futex};
	pthread_t t[4];
	uint64_t sum = 1;

	STEP_CHECK(pipe(to_poll) == 0 && pipe(to_read) == 0);
	for (int i = 0; i < 4; i++)
		STEP_CHECK(pthread_create(&t[i], NULL, what[i], NULL) == 0);
	for (int s = 0; s < steps; s++) {
		struct timeval tv = {0, 30000};

		STEP_CHECK(select(0, NULL, NULL, NULL, &tv) == 0);
		sum = step_mix(sum + (uint64_t)s);
		step_print(s, sum);
	}
	stop = 1;
	STEP_CHECK(write(to_read[1], "x", 1) == 1 && write(to_poll[1], "x", 1) == 1);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	puts("ok");
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads: each with its name, processors, priority, policy, timer slack and signal mask.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "resource.h"

#define THREADS 3

static pthread_barrier_t go, done;
static pthread_t threads[THREADS];
static cpu_set_t all;

static int processor(int i)
{
	int n = i % CPU_COUNT(&all), cpu = 0;

	for (;; cpu++)
		if (CPU_ISSET(cpu, &all) && n-- == 0)
			return cpu;
}

static void *run(void *arg)
{
	int i = (int)(long)arg;
	struct sched_param batch = { 0 };
	char name[16], now[16];
	cpu_set_t mine, set;
	sigset_t mask;

	snprintf(name, sizeof(name), "worker-%d", i);
	CPU_ZERO(&mine);
	CPU_SET(processor(i), &mine);
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 4 + i);
	CHECK(pthread_setname_np(pthread_self(), name) == 0 && sched_setaffinity(0, sizeof(mine), &mine) == 0);
	CHECK(sched_setscheduler(0, i == 1 ? SCHED_BATCH : i == 2 ? SCHED_IDLE : SCHED_OTHER, &batch) == 0);
	CHECK(prctl(PR_SET_TIMERSLACK, 70000 + i) == 0 && pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
	CHECK(i == 2 || setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 2 + i) == 0);
	CHECK(syscall(SYS_ioprio_set, 1, 0, 2 << 13 | (3 + i)) == 0);
	pthread_barrier_wait(&done);
	for (;;) {
		pthread_barrier_wait(&go);
		CHECK(pthread_getname_np(pthread_self(), now, sizeof(now)) == 0 && strcmp(now, name) == 0);
		CHECK(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_EQUAL(&set, &mine));
		CHECK(sched_getscheduler(0) == (i == 1 ? SCHED_BATCH : i == 2 ? SCHED_IDLE : SCHED_OTHER));
		CHECK(i == 2 || getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid)) == 2 + i);
		CHECK(prctl(PR_GET_TIMERSLACK) == 70000 + i);
		CHECK(syscall(SYS_ioprio_get, 1, 0) == (2 << 13 | (3 + i)));
		CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0 && sigismember(&mask, SIGRTMIN + 4 + i) && !sigismember(&mask, SIGRTMIN + 4 + (i + 1) % 3));
		pthread_barrier_wait(&done);
	}
	return NULL;
}

static void setup(void)
{
	CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
	CHECK(pthread_barrier_init(&go, NULL, THREADS + 1) == 0 && pthread_barrier_init(&done, NULL, THREADS + 1) == 0);
	for (long i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, run, (void *)i) == 0);
	pthread_barrier_wait(&done);
}

static void verify(void)
{
	cpu_set_t now;

	pthread_barrier_wait(&go);
	pthread_barrier_wait(&done);
	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&now, &all));
}

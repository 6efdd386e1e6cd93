/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads: mutexes of every kind, conditions, barriers, keys, a thread that comes and goes each step, two that sleep for ever in the kernel. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "step.h"

#define WORKERS 3

static pthread_mutex_t plain = PTHREAD_MUTEX_INITIALIZER, recursive, robust, inherit, checked;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_key_t key;
static sem_t never;
static uint64_t shared = 1, part[WORKERS];
static __thread long my_tid;
static int go, steps;

static void *sleeper(void *arg)
{
	(void)arg;
	while (sem_wait(&never) == -1 && errno == EINTR)
		; /* a semaphore wait may be interrupted by a handler of the program; it has none */
	STEP_CHECK(!"reached");
	return NULL;
}

static void *reader(void *arg)
{
	char c;
	ssize_t n = read(*(int *)arg, &c, 1); /* nothing is ever written: must neither return nor fail */

	STEP_CHECK(n == 12345);
	return NULL;
}

static void *brief(void *arg)
{
	pthread_setspecific(key, arg);
	STEP_CHECK(pthread_getspecific(key) == arg);
	return (void *)((uintptr_t)arg * 3);
}

static void *worker(void *arg)
{
	uint64_t *p = arg;

	my_tid = syscall(SYS_gettid);
	for (int s = 0; s < steps; s++) {
		pthread_mutex_lock(&plain);
		while (go <= s)
			pthread_cond_wait(&cond, &plain);
		pthread_mutex_unlock(&plain);
		*p = step_mix(*p + shared) + step_work(*p, 1) % 7;
		pthread_mutex_lock(&recursive);
		pthread_mutex_lock(&recursive);
		pthread_mutex_lock(&robust);
		pthread_mutex_lock(&inherit);
		STEP_CHECK(pthread_mutex_lock(&checked) == 0);
		STEP_CHECK(pthread_mutex_lock(&checked) == EDEADLK); /* owner is compared with the thread id: it must be the one it was */
		pthread_mutex_unlock(&checked);
		pthread_mutex_unlock(&inherit);
		pthread_mutex_unlock(&robust);
		STEP_CHECK(pthread_mutex_unlock(&recursive) == 0);
		STEP_CHECK(pthread_mutex_unlock(&recursive) == 0);
		STEP_CHECK(syscall(SYS_gettid) == my_tid);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void kind(pthread_mutex_t *m, int type, int rob, int prot)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	if (rob)
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	if (prot)
		pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
	STEP_CHECK(pthread_mutex_init(m, &a) == 0);
}

int main(int argc, char **argv)
{
	pthread_t w[WORKERS], idle[2], t;
	int nothing[2];

	steps = step_count(argc, argv, 200);
	kind(&recursive, PTHREAD_MUTEX_RECURSIVE, 0, 0);
	kind(&robust, PTHREAD_MUTEX_NORMAL, 1, 0);
	kind(&inherit, PTHREAD_MUTEX_NORMAL, 0, 1);
	kind(&checked, PTHREAD_MUTEX_ERRORCHECK, 0, 0);
	pthread_barrier_init(&barrier, NULL, WORKERS + 1);
	pthread_key_create(&key, NULL);
	sem_init(&never, 0, 0);
	STEP_CHECK(pipe(nothing) == 0);
	pthread_create(&idle[0], NULL, sleeper, NULL);
	pthread_create(&idle[1], NULL, reader, &nothing[0]);
	for (int i = 0; i < WORKERS; i++) {
		part[i] = (uint64_t)i;
		STEP_CHECK(pthread_create(&w[i], NULL, worker, &part[i]) == 0);
	}
	for (int s = 0; s < steps; s++) {
		void *got;

		pthread_mutex_lock(&plain);
		go = s + 1;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&plain);
		pthread_barrier_wait(&barrier);
		for (int i = 0; i < WORKERS; i++)
			shared = step_mix(shared ^ part[i]);
		STEP_CHECK(pthread_create(&t, NULL, brief, (void *)(uintptr_t)(s + 1)) == 0);
		STEP_CHECK(pthread_join(t, &got) == 0 && got == (void *)((uintptr_t)(s + 1) * 3));
		step_print(s, shared);
		usleep(5000);
		pthread_barrier_wait(&barrier);
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(w[i], NULL);
	puts("ok");
	fflush(stdout);
	_exit(0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that wait: for a mutex (plain, robust), a condition variable, a semaphore, a barrier; a mutex whose owner ends; a mutex with
 * priority inheritance that nobody holds at the time.
 */
#include <pthread.h>
#include <semaphore.h>

#include "resource.h"

enum { PLAIN, ROBUST, CONDITION, SEMAPHORE, BARRIER, WAITERS };

static pthread_mutex_t mutex[2], inherit, guard = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t sem;
static int ticket, waiting, passed;
static pthread_t threads[WAITERS];

static void count(int *what)
{
	CHECK(pthread_mutex_lock(&guard) == 0);
	(*what)++;
	CHECK(pthread_mutex_unlock(&guard) == 0);
}

static int seen(int *what)
{
	int n;

	CHECK(pthread_mutex_lock(&guard) == 0);
	n = *what;
	CHECK(pthread_mutex_unlock(&guard) == 0);
	return n;
}

static void *wait_for(void *arg)
{
	int kind = (int)(long)arg;

	count(&waiting);
	switch (kind) {
	case PLAIN: case ROBUST:
		CHECK(pthread_mutex_lock(&mutex[kind]) == 0 && pthread_mutex_unlock(&mutex[kind]) == 0);
		break;
	case CONDITION:
		CHECK(pthread_mutex_lock(&guard) == 0);
		while (!ticket)
			CHECK(pthread_cond_wait(&cond, &guard) == 0);
		ticket = 0;
		CHECK(pthread_mutex_unlock(&guard) == 0);
		break;
	case SEMAPHORE:
		CHECK(sem_wait(&sem) == 0);
		break;
	case BARRIER:
		pthread_barrier_wait(&barrier);
		break;
	}
	count(&passed);
	return NULL;
}

static void start(void)
{
	waiting = passed = 0;
	for (int i = 0; i < 2; i++)
		CHECK(pthread_mutex_lock(&mutex[i]) == 0);
	for (long i = 0; i < WAITERS; i++)
		CHECK(pthread_create(&threads[i], NULL, wait_for, (void *)i) == 0);
	while (seen(&waiting) < WAITERS)
		usleep(1000);
	usleep(20000); /* most of them sleep now; right either way */
}

static void setup(void)
{
	pthread_mutexattr_t robust, inherits;

	CHECK(pthread_mutexattr_init(&robust) == 0 && pthread_mutexattr_init(&inherits) == 0);
	CHECK(pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST) == 0);
	CHECK(pthread_mutexattr_setprotocol(&inherits, PTHREAD_PRIO_INHERIT) == 0);
	CHECK(pthread_mutex_init(&mutex[PLAIN], NULL) == 0 && pthread_mutex_init(&mutex[ROBUST], &robust) == 0 && pthread_mutex_init(&inherit, &inherits) == 0);
	CHECK(sem_init(&sem, 0, 0) == 0 && pthread_barrier_init(&barrier, NULL, 2) == 0);
	start();
}

static void *die_with_it(void *arg)
{
	(void)arg;
	CHECK(pthread_mutex_lock(&mutex[ROBUST]) == 0);
	return NULL;
}

static void *take_inherit(void *arg)
{
	(void)arg;
	CHECK(pthread_mutex_lock(&inherit) == 0 && pthread_mutex_unlock(&inherit) == 0);
	return NULL;
}

static void verify(void)
{
	pthread_t t;

	CHECK(seen(&passed) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_mutex_unlock(&mutex[i]) == 0);
	CHECK(pthread_mutex_lock(&guard) == 0);
	ticket = 1;
	CHECK(pthread_cond_signal(&cond) == 0 && pthread_mutex_unlock(&guard) == 0);
	CHECK(sem_post(&sem) == 0);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < WAITERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(passed == WAITERS);
	/* The owner of a robust mutex ends: its list is the kernel's */
	CHECK(pthread_create(&t, NULL, die_with_it, NULL) == 0 && pthread_join(t, NULL) == 0);
	CHECK(pthread_mutex_lock(&mutex[ROBUST]) == EOWNERDEAD && pthread_mutex_consistent(&mutex[ROBUST]) == 0 && pthread_mutex_unlock(&mutex[ROBUST]) == 0);
	CHECK(pthread_mutex_lock(&inherit) == 0 && pthread_mutex_unlock(&inherit) == 0);
	CHECK(pthread_create(&t, NULL, take_inherit, NULL) == 0 && pthread_join(t, NULL) == 0);
	start();
}

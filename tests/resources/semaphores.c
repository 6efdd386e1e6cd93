/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of System V semaphores: values, permissions, who used one last; threads that wait until one can be taken, is zero, or for a long time. Under its number and key.
 * (What the end of a process undoes: tests/resources/ipc.sh.)
 */
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/sem.h>

#include "resource.h"

enum { VALUE, TAKEN, ZERO, LONG, NONE, NUMBERS };

static int set = -1;
static key_t key;
static volatile unsigned long passed[NUMBERS];
static pthread_t threads[3];

static void leave(void)
{
	semctl(set, 0, IPC_RMID);
}

static int operate(int number, int by, int flags)
{
	struct sembuf op = { (unsigned short)number, (short)by, (short)flags };

	return semop(set, &op, 1);
}

static void *waits(void *arg)
{
	const struct timespec hours = { .tv_sec = 10000 };
	int number = (int)(long)arg;
	struct sembuf op = { (unsigned short)number, (short)(number == ZERO ? 0 : -1), 0 }, up = { (unsigned short)number, 1, 0 };

	for (;;) {
		if ((number == LONG ? semtimedop(set, &op, 1, &hours) : semop(set, &op, 1)) < 0)
			return NULL; /* it was removed: the end */
		if (number == ZERO && semop(set, &up, 1) < 0)
			return NULL;
		passed[number]++;
	}
}

static void waiting(int number, int command)
{
	for (int i = 0; semctl(set, number, command) != 1 && i < 60000; i++)
		usleep(1000);
	CHECK(semctl(set, number, command) == 1);
}

static void all_waiting(void)
{
	waiting(TAKEN, GETNCNT);
	waiting(LONG, GETNCNT);
	waiting(ZERO, GETZCNT);
}

static void setup(void)
{
	key = (key_t)(0x43530000 | (getpid() & 0xffff));
	CHECK(atexit(leave) == 0 && (set = semget(key, NUMBERS, IPC_CREAT | IPC_EXCL | 0620)) >= 0);
	CHECK(semctl(set, VALUE, SETVAL, 32767) == 0 && operate(ZERO, 1, 0) == 0);
	CHECK(pthread_create(&threads[0], NULL, waits, (void *)TAKEN) == 0 && pthread_create(&threads[1], NULL, waits, (void *)ZERO) == 0 &&
	      pthread_create(&threads[2], NULL, waits, (void *)LONG) == 0);
	all_waiting();
}

static void verify(void)
{
	static unsigned long times;
	struct semid_ds ds;

	CHECK(semget(key, 0, 0) == set && semctl(set, 0, IPC_STAT, &ds) == 0);
	CHECK(ds.sem_nsems == NUMBERS && (ds.sem_perm.mode & 0777) == 0620 && ds.sem_perm.uid == geteuid());
	CHECK(semctl(set, VALUE, GETVAL) == 32767 && semctl(set, ZERO, GETVAL) == 1 && semctl(set, NONE, GETVAL) == 0);
	CHECK(semctl(set, ZERO, GETPID) != 0);
	all_waiting();
	CHECK(operate(TAKEN, 1, 0) == 0 && operate(LONG, 1, 0) == 0 && operate(ZERO, -1, 0) == 0);
	times++;
	for (int number = TAKEN; number <= LONG; number++) {
		for (int i = 0; passed[number] != times && i < 60000; i++)
			usleep(1000);
		CHECK(passed[number] == times);
	}
	all_waiting();
	CHECK(operate(VALUE, -1, IPC_NOWAIT) == 0 && semctl(set, VALUE, GETPID) == getpid() && operate(VALUE, 1, SEM_UNDO) == 0 && operate(VALUE, -1, SEM_UNDO) == 0 &&
	      operate(VALUE, 1, 0) == 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX named semaphores and shared memory with a name (shm_open): values, content, threads that wait; under the same names.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "resource.h"

#define BYTES 20000

static char up_name[64], down_name[64], memory_name[64];
static sem_t *up, *down, *unnamed;
static volatile unsigned long passed;
static volatile char *memory;
static pthread_t thread;

static void leave(void)
{
	sem_unlink(up_name);
	sem_unlink(down_name);
	shm_unlink(memory_name);
}

static void *waits(void *arg)
{
	(void)arg;
	for (;; passed++)
		CHECK(sem_wait(down) == 0);
}

static void setup(void)
{
	int fd;

	snprintf(up_name, sizeof(up_name), "/ompi-cr-up-%d", (int)getpid());
	snprintf(down_name, sizeof(down_name), "/ompi-cr-down-%d", (int)getpid());
	snprintf(memory_name, sizeof(memory_name), "/ompi-cr-memory-%d", (int)getpid());
	CHECK(atexit(leave) == 0);
	CHECK((up = sem_open(up_name, O_CREAT | O_EXCL, 0600, 7)) != SEM_FAILED && (down = sem_open(down_name, O_CREAT | O_EXCL, 0600, 0)) != SEM_FAILED);
	CHECK((fd = shm_open(memory_name, O_RDWR | O_CREAT | O_EXCL, 0640)) >= 0 && ftruncate(fd, BYTES) == 0);
	CHECK((memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) != MAP_FAILED && close(fd) == 0);
	unnamed = (sem_t *)(memory + 64);
	CHECK(sem_init(unnamed, 1, 3) == 0);
	memory[9000] = 'm';
	CHECK(pthread_create(&thread, NULL, waits, NULL) == 0);
}

static void verify(void)
{
	unsigned long before = passed;
	int value, fd;
	sem_t *other;
	char byte;

	CHECK(sem_getvalue(up, &value) == 0 && value == 7 && sem_getvalue(unnamed, &value) == 0 && value == 3 && memory[9000] == 'm');
	/* What has the name is what is mapped. */
	CHECK((other = sem_open(up_name, 0)) != SEM_FAILED && sem_post(up) == 0 && sem_getvalue(other, &value) == 0 && value == 8 && sem_trywait(other) == 0 &&
	      sem_close(other) == 0);
	memory[1] = 'x';
	CHECK((fd = shm_open(memory_name, O_RDWR, 0)) >= 0 && pread(fd, &byte, 1, 1) == 1 && byte == 'x' && close(fd) == 0);
	memory[1] = 0;
	CHECK(sem_post(down) == 0);
	for (int i = 0; passed != before + 1 && i < 60000; i++)
		usleep(1000);
	CHECK(passed == before + 1 && sem_getvalue(down, &value) == 0 && value == 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two processes that talk through one System V message queue and share semaphores: the child holds one with SEM_UNDO, and gives it up by its end alone.
 * Takes orders as the programs of tests/resources do. The numbers of both objects are written to the file "objects".
 */
#include "../../resources/resource.h"

#include <signal.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/wait.h>

enum { HELD, FREE, NUMBERS };
enum { REQUEST = 1, ANSWER = 2, STAYS = 3 };

struct message {
	long type;
	long number;
};

static int queue = -1, set = -1;
static pid_t child;
static long asked;

static void leave(void)
{
	msgctl(queue, IPC_RMID, NULL);
	semctl(set, 0, IPC_RMID);
}

/* Answers with the number of requests that it has seen; ends when that is asked for, as it stands. */
static void child_main(void)
{
	struct sembuf take = { HELD, -1, SEM_UNDO };
	struct message m;
	long seen = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(semop(set, &take, 1) == 0);
	for (;;) {
		ssize_t n = msgrcv(queue, &m, sizeof(m.number), REQUEST, 0);

		if (n < 0 && errno == EIDRM)
			_exit(0); /* the parent has ended */
		CHECK(n == sizeof(m.number));
		if (m.number < 0)
			_exit(3);
		m = (struct message){ ANSWER, ++seen };
		CHECK(msgsnd(queue, &m, sizeof(m.number), 0) == 0);
	}
}

static void make_child(void)
{
	asked = 0;
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		child_main();
	for (int i = 0; semctl(set, HELD, GETVAL) != 0 && i < 60000; i++)
		usleep(1000);
}

static void request(long number)
{
	struct message m = { REQUEST, number };

	CHECK(msgsnd(queue, &m, sizeof(m.number), 0) == 0);
}

static void setup(void)
{
	FILE *f = fopen("objects", "w");

	CHECK((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (set = semget(IPC_PRIVATE, NUMBERS, 0600)) >= 0);
	CHECK(f && fprintf(f, "%d %d\n", queue, set) > 0 && fclose(f) == 0);
	CHECK(semctl(set, HELD, SETVAL, 1) == 0 && semctl(set, FREE, SETVAL, 7) == 0);
	for (long i = 0; i < 3; i++) {
		struct message m = { STAYS, i };

		CHECK(msgsnd(queue, &m, sizeof(m.number), 0) == 0);
	}
	make_child();
	CHECK(semctl(set, HELD, GETVAL) == 0);
	request(0); /* its answer waits at the checkpoint, unless the request does */
	asked = 1;
	atexit(leave);
}

static void verify(void)
{
	struct message m;
	int status;

	CHECK(semctl(set, HELD, GETVAL) == 0 && semctl(set, HELD, GETPID) != semctl(set, FREE, GETPID) && semctl(set, FREE, GETVAL) == 7);
	for (long i = 0; i < 3; i++) {
		CHECK(msgrcv(queue, &m, sizeof(m.number), STAYS, IPC_NOWAIT) == sizeof(m.number) && m.number == i);
		CHECK(msgsnd(queue, &m, sizeof(m.number), 0) == 0);
	}
	request(0);
	for (long i = 1; i <= asked + 1; i++)
		CHECK(msgrcv(queue, &m, sizeof(m.number), ANSWER, 0) == sizeof(m.number) && m.number == i);
	/* What its end undoes: the kernel knows, or it does not. */
	request(-1);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 3 && semctl(set, HELD, GETVAL) == 1);
	make_child();
	CHECK(semctl(set, HELD, GETVAL) == 0);
	request(0);
	asked = 1;
}

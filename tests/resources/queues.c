/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V message queues: messages of several types in their order, also empty ones; size, permissions and owner; under their numbers and keys. One that a
 * thread waits for, one that is full and that a thread sends to.
 */
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/msg.h>

#include "resource.h"

#define HELD_BYTES 3000
#define FULL_BYTES 512
#define WANTED 9

struct message {
	long type;
	char text[300];
};

static int held = -1, empty = -1, full = -1;
static key_t key;
static volatile unsigned long received, sent;
static unsigned long taken;
static pthread_t threads[2];

static const struct {
	long type;
	const char *text;
} content[] = { { 3, "three" }, { 1, "one" }, { 2, "" }, { 1, "one again" }, { 1L << 40, "far" } };
#define N (sizeof(content) / sizeof(content[0]))

static void leave(void)
{
	msgctl(held, IPC_RMID, NULL);
	msgctl(empty, IPC_RMID, NULL);
	msgctl(full, IPC_RMID, NULL);
}

static void *receives(void *arg)
{
	struct message m;

	(void)arg;
	for (;;) {
		if (msgrcv(empty, &m, sizeof(m.text), WANTED, 0) < 0)
			return NULL; /* it was removed: the end */
		CHECK(m.type == WANTED && strcmp(m.text, "wanted") == 0);
		received++;
	}
}

static void *sends(void *arg)
{
	struct message m = { .type = 1 };

	(void)arg;
	for (;; sent++) {
		snprintf(m.text, sizeof(m.text), "%lu", sent);
		if (msgsnd(full, &m, 128, 0) < 0)
			return NULL;
	}
}

/* Until the threads have done that much. */
static void reach(volatile unsigned long *count, unsigned long n)
{
	for (int i = 0; *count != n && i < 60000; i++)
		usleep(1000);
	CHECK(*count == n);
}

static void fill(void)
{
	struct message m;

	for (size_t i = 0; i < N; i++) {
		m.type = content[i].type;
		strcpy(m.text, content[i].text);
		CHECK(msgsnd(held, &m, strlen(content[i].text), 0) == 0);
	}
}

static void setup(void)
{
	struct msqid_ds ds;

	key = (key_t)(0x43520000 | (getpid() & 0xffff));
	CHECK(atexit(leave) == 0);
	CHECK((held = msgget(key, IPC_CREAT | IPC_EXCL | 0600)) >= 0 && msgctl(held, IPC_STAT, &ds) == 0);
	ds.msg_perm.mode = 0640;
	ds.msg_qbytes = HELD_BYTES;
	CHECK(msgctl(held, IPC_SET, &ds) == 0);
	fill();
	CHECK((empty = msgget(IPC_PRIVATE, 0600)) >= 0 && (full = msgget(IPC_PRIVATE, 0600)) >= 0 && msgctl(full, IPC_STAT, &ds) == 0);
	ds.msg_qbytes = FULL_BYTES;
	CHECK(msgctl(full, IPC_SET, &ds) == 0);
	CHECK(pthread_create(&threads[0], NULL, receives, NULL) == 0 && pthread_create(&threads[1], NULL, sends, NULL) == 0);
	reach(&sent, FULL_BYTES / 128);
}

static void verify_held(void)
{
	static const size_t order[N] = { 1, 3, 0, 2, 4 }; /* by type: all ones first */
	struct msqid_ds ds;
	struct message m;

	CHECK(msgget(key, 0) == held && msgctl(held, IPC_STAT, &ds) == 0);
	CHECK(ds.msg_qnum == N && (ds.msg_perm.mode & 0777) == 0640 && ds.msg_perm.uid == geteuid() && ds.msg_perm.gid == getegid() && ds.msg_qbytes == HELD_BYTES);
	for (size_t i = 0; i < N; i++) {
		ssize_t n = msgrcv(held, &m, sizeof(m.text), i < 2 ? 1 : 0, IPC_NOWAIT);
		size_t at = order[i];

		CHECK(n == (ssize_t)strlen(content[at].text) && m.type == content[at].type && memcmp(m.text, content[at].text, (size_t)n) == 0);
	}
	CHECK(msgrcv(held, &m, sizeof(m.text), 0, IPC_NOWAIT) < 0 && errno == ENOMSG);
	fill();
}

static void verify(void)
{
	struct message m = { .type = WANTED, .text = "wanted" };
	unsigned long before = received;
	char text[32];

	verify_held();
	CHECK(msgsnd(empty, &m, sizeof("wanted"), 0) == 0);
	reach(&received, before + 1);
	/* The oldest of the full one, and who waits sends its next. */
	CHECK(sent == taken + FULL_BYTES / 128 && msgrcv(full, &m, sizeof(m.text), 0, IPC_NOWAIT) == 128);
	snprintf(text, sizeof(text), "%lu", taken++);
	CHECK(strcmp(m.text, text) == 0);
	reach(&sent, taken + FULL_BYTES / 128);
}

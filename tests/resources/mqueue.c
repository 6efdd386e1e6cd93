/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX message queues: messages in their order with their priorities, also an empty one, attributes, mode, O_NONBLOCK of one of two descriptions; one without a
 * name; one that a thread waits for.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/stat.h>

#include "resource.h"

#define BYTES 100

static mqd_t named, again, nameless, empty;
static char name[64], empty_name[64];
static volatile unsigned long received;
static pthread_t thread;

static const struct {
	unsigned int priority;
	const char *text;
} content[] = { { 1, "one" }, { 5, "five" }, { 1, "" }, { 0, "zero" }, { 5, "five again" } };
#define N (sizeof(content) / sizeof(content[0]))
static const size_t order[N] = { 1, 4, 0, 2, 3 };

static void leave(void)
{
	mq_unlink(name);
	mq_unlink(empty_name);
}

static void *receives(void *arg)
{
	char text[BYTES];

	(void)arg;
	for (;;) {
		CHECK(mq_receive(empty, text, sizeof(text), NULL) == 6 && memcmp(text, "wanted", 6) == 0);
		received++;
	}
}

static mqd_t make(const char *as, int flags, long most)
{
	struct mq_attr attr = { .mq_maxmsg = most, .mq_msgsize = BYTES };
	mqd_t q = mq_open(as, O_RDWR | O_CREAT | O_EXCL | flags, 0640, &attr);

	CHECK(q != (mqd_t)-1);
	return q;
}

static void fill(mqd_t q)
{
	for (size_t i = 0; i < N; i++)
		CHECK(mq_send(q, content[i].text, strlen(content[i].text), content[i].priority) == 0);
}

static void setup(void)
{
	snprintf(name, sizeof(name), "/ompi-cr-test-%d", (int)getpid());
	snprintf(empty_name, sizeof(empty_name), "/ompi-cr-test-%d-empty", (int)getpid());
	CHECK(atexit(leave) == 0);
	nameless = make(name, 0, 6);
	CHECK(mq_unlink(name) == 0);
	umask(0);
	named = make(name, O_NONBLOCK, 5);
	empty = make(empty_name, 0, 3);
	CHECK((again = mq_open(name, O_RDONLY)) != (mqd_t)-1);
	fill(named);
	fill(nameless);
	CHECK(pthread_create(&thread, NULL, receives, NULL) == 0);
}

static void verify_content(mqd_t q)
{
	unsigned int priority;
	char text[BYTES];

	for (size_t i = 0; i < N; i++) {
		size_t at = order[i];

		CHECK(mq_receive(q, text, sizeof(text), &priority) == (ssize_t)strlen(content[at].text) && priority == content[at].priority &&
		      memcmp(text, content[at].text, strlen(content[at].text)) == 0);
	}
	fill(q);
}

static void attributes(mqd_t q, long flags, long most, long now)
{
	struct mq_attr attr;

	CHECK(mq_getattr(q, &attr) == 0 && attr.mq_flags == flags && attr.mq_maxmsg == most && attr.mq_msgsize == BYTES && attr.mq_curmsgs == now);
}

static void verify(void)
{
	unsigned long before = received;
	char text[BYTES];
	struct stat st;
	mqd_t q;

	attributes(named, O_NONBLOCK, 5, N);
	attributes(again, 0, 5, N);
	attributes(nameless, 0, 6, N);
	CHECK(fstat(named, &st) == 0 && (st.st_mode & 0777) == 0640 && fstat(nameless, &st) == 0 && st.st_nlink == 0);
	CHECK((fcntl(again, F_GETFL) & O_ACCMODE) == O_RDONLY && mq_send(again, "x", 1, 0) < 0 && errno == EBADF);
	verify_content(named);
	verify_content(nameless);
	/* The name leads to that queue, and it is full. */
	CHECK(mq_send(named, "x", 1, 0) < 0 && errno == EAGAIN);
	CHECK((q = mq_open(name, O_RDWR)) != (mqd_t)-1 && mq_receive(q, text, sizeof(text), NULL) == 4 && mq_close(q) == 0);
	CHECK(mq_send(named, "x", 1, 0) == 0);
	for (size_t i = 0; i < N; i++)
		CHECK(mq_receive(again, text, sizeof(text), NULL) >= 0);
	fill(named);
	CHECK(mq_send(empty, "wanted", 6, 3) == 0);
	for (int i = 0; received != before + 1 && i < 60000; i++)
		usleep(1000);
	CHECK(received == before + 1);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stopping the program's threads, wherever they are, and letting them go.
 *
 * A thread that is found inside the lower half answers "not now" and is asked again: no path through the lower half needs a check on its
 * way out. At most one signal per thread is under way, so real-time signals never pile up.
 * Context: agent thread only.
 */
#include "libcr/lower/lower.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"

#define RETRY_FIRST_NS 20000L
#define RETRY_MAX_NS 2000000L

uint64_t cr_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000UL + (uint64_t)ts.tv_nsec;
}

static struct cr_slot *slot_of(int tid)
{
	uint32_t n = cr_lower.n_slots, i;

	for (i = 0; i < n; i++)
		if (cr_lower.slots[i].tid == tid)
			return &cr_lower.slots[i];
	for (i = 0; i < n; i++)
		if (!cr_lower.slots[i].tid)
			break;
	if (i == CR_SLOT_MAX)
		return NULL;
	memset(&cr_lower.slots[i], 0, sizeof(cr_lower.slots[i]));
	cr_lower.slots[i].tid = tid;
	if (i == n)
		__atomic_store_n(&cr_lower.n_slots, n + 1, __ATOMIC_SEQ_CST);
	return &cr_lower.slots[i];
}

/* Calls fn for every thread of the program; forgets the slots of threads that have ended. Returns their number or -errno. */
static int for_each_thread(int (*fn)(struct cr_slot *s, void *arg), void *arg)
{
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* above the floor: opendir's own would be the program's next */
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	bool *seen = calloc(CR_SLOT_MAX, sizeof(*seen));
	int n = 0, rc = 0;

	if (!dir || !seen) {
		rc = -errno;
		goto out;
	}
	while (rc >= 0 && (de = readdir(dir))) {
		int tid = atoi(de->d_name);
		struct cr_slot *s;

		if (tid <= 0 || cr_tid_is_lower(tid))
			continue;
		s = slot_of(tid);
		if (!s) {
			rc = -EMFILE;
			break;
		}
		seen[s - cr_lower.slots] = true;
		rc = fn(s, arg);
		n++;
	}
	for (uint32_t i = 0; rc >= 0 && i < cr_lower.n_slots; i++)
		if (!seen[i])
			cr_lower.slots[i].tid = 0;
out:
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	free(seen);
	return rc < 0 ? rc : n;
}

static int signal_one(struct cr_slot *s, void *arg)
{
	uint32_t *unparked = arg;

	if (s->parked)
		return 0;
	(*unparked)++;
	if (s->acked != s->sent)
		return 0;
	s->sent++;
	if (cr_sys3(SYS_tgkill, cr_sys0(SYS_getpid), s->tid, CR_SIGNUM) < 0)
		s->acked = s->sent; /* ended meanwhile */
	return 0;
}

static void event_wait(uint32_t seen, long ns)
{
	struct timespec ts = { 0, ns };

	cr_sys4(SYS_futex, &cr_lower.event, FUTEX_WAIT_PRIVATE, seen, &ts);
}

int cr_stop_client_signal(void)
{
	uint32_t unparked = 0;
	int rc;

	__atomic_store_n(&cr_lower.stop_mode, CR_STOP_CLIENT, __ATOMIC_SEQ_CST);
	rc = for_each_thread(signal_one, &unparked);
	return rc < 0 ? rc : 0;
}

void cr_stop_callbacks_signal(const struct cr_callbacks *c)
{
	uint32_t unparked = 0;

	__atomic_store_n(&cr_lower.stop_mode, CR_STOP_CALLBACKS, __ATOMIC_SEQ_CST);
	for (int i = 1; i < CR_CALLBACK_PLACES; i++) {
		const struct cr_callback_place *p = &c->places[i];
		struct cr_slot *s = p->tid && p->served != c->attempt ? slot_of(cr_id_to_kernel(p->tid)) : NULL;

		if (s)
			signal_one(s, &unparked);
	}
}

/* Signals of CR_STOP_CLIENT that are still under way must not be taken for freezing ones: wait until all have answered. */
static int answers_wait(uint64_t deadline_ns)
{
	for (;;) {
		uint32_t seen = cr_lower.event, open = 0;

		for (uint32_t i = 0; i < cr_lower.n_slots; i++) {
			struct cr_slot *s = &cr_lower.slots[i];

			if (s->tid && s->acked != s->sent && cr_sys3(SYS_tgkill, cr_sys0(SYS_getpid), s->tid, 0) == 0)
				open++;
		}
		if (!open)
			return 0;
		if (cr_now_ns() > deadline_ns)
			return -ETIMEDOUT;
		event_wait(seen, RETRY_FIRST_NS * 10);
	}
}

static const char *thread_place(int tid, char *buf, size_t bytes)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, buf, bytes - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return "unknown";
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

int cr_freeze(uint64_t deadline_ns, struct cr_err *err)
{
	long pause = RETRY_FIRST_NS;
	int quiet = 0;

	__atomic_store_n(&cr_lower.stop_mode, CR_STOP_FREEZE, __ATOMIC_SEQ_CST);
	for (;;) {
		uint32_t seen = cr_lower.event, unparked = 0;
		int rc;

		cr_thread_serve(); /* a thread that waits for its lower-half twin cannot stop before it has it */
		rc = for_each_thread(signal_one, &unparked);

		if (rc < 0) {
			cr_thaw();
			return cr_err_set(err, rc, "cannot list the program's threads: %s", strerror(-rc));
		}
		/* A thread that was parked last may have made another one just before: look twice. */
		if (!unparked && ++quiet == 2)
			return rc;
		if (unparked)
			quiet = 0;
		else
			continue;
		if (cr_now_ns() > deadline_ns) {
			char place[128];
			int tid = 0;

			for (uint32_t i = 0; i < cr_lower.n_slots; i++)
				if (cr_lower.slots[i].tid && !cr_lower.slots[i].parked)
					tid = cr_lower.slots[i].tid;
			thread_place(tid, place, sizeof(place));
			cr_thaw();
			return cr_err_set(err, ETIMEDOUT, "thread %d could not be stopped in time (system call, stack, address: %s)", tid, place);
		}
		event_wait(seen, pause);
		if (pause < RETRY_MAX_NS)
			pause += pause / 2;
	}
}

void cr_thaw(void)
{
	uint64_t deadline = cr_now_ns() + 5000000000UL;

	__atomic_store_n(&cr_lower.stop_mode, CR_STOP_NONE, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&cr_lower.release, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &cr_lower.release, FUTEX_WAKE_PRIVATE, 0x7fffffff);
	answers_wait(deadline);
	for (;;) {
		uint32_t seen = cr_lower.event, parked = 0;

		for (uint32_t i = 0; i < cr_lower.n_slots; i++)
			if (cr_lower.slots[i].tid && cr_lower.slots[i].parked && cr_sys3(SYS_tgkill, cr_sys0(SYS_getpid), cr_lower.slots[i].tid, 0) == 0)
				parked++;
		if (!parked || cr_now_ns() > deadline)
			break;
		event_wait(seen, RETRY_FIRST_NS * 10);
	}
}

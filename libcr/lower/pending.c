/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Signals that wait to be delivered: taken out of the queues, written, and put back with all that they carry.
 *
 * The kernel shows the contents of a signal only to who takes it, and lets a thread queue some origins (a timer's, another thread's) for itself
 * alone. So the agent takes those that are pending for the process, each parked thread those that are pending for it alone, and the owner puts
 * them back: when it leaves its park, or before a restarted thread goes on. Every thread is in a handler with all signals blocked meanwhile.
 * Context: agent thread; at a restart the first thread.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/thread_payload.h"

#define ROOM_STEP 64
#define TAKE_RETRY_NS 1000000L

/* Room for ROOM_STEP more. 0 or -ENOMEM. */
static int room_make(void)
{
	struct cr_sigpending_payload *more;

	if (cr_lower.n_requeue + ROOM_STEP <= cr_lower.requeue_room)
		return 0;
	more = realloc(cr_lower.requeue, (cr_lower.requeue_room + ROOM_STEP) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	cr_lower.requeue = more;
	cr_lower.requeue_room += ROOM_STEP;
	return room_make();
}

static int process_take(void)
{
	uint64_t set = ~CR_RESERVED_MASK;
	struct timespec zero = { 0, 0 };

	for (;;) {
		struct cr_sigpending_payload *p;
		long sig;

		if (room_make())
			return -ENOMEM;
		p = &cr_lower.requeue[cr_lower.n_requeue];
		memset(p, 0, sizeof(*p));
		sig = cr_sys4(SYS_rt_sigtimedwait, &set, p->info, &zero, 8);
		if (sig < 0)
			return 0;
		p->signo = (int)sig;
		cr_lower.n_requeue++;
	}
}

/* The signals that are pending for one thread alone. */
static uint64_t thread_pending(int tid)
{
	char path[64], text[4096], *line;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nSigPnd:");
	return line ? strtoull(line + 8, NULL, 16) & ~CR_RESERVED_MASK : 0;
}

/* Has the parked thread of @s take its own. A wake that it misses is given again. */
static int thread_take(struct cr_slot *s)
{
	uint64_t bits = thread_pending(s->tid);
	uint32_t n = 0;

	do {
		if (!bits)
			return 0;
		if (room_make())
			return -ENOMEM;
		s->taken = &cr_lower.requeue[cr_lower.n_requeue];
		s->taken_room = ROOM_STEP;
		s->n_taken = 0;
		__atomic_store_n(&s->take, bits, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&s->take, __ATOMIC_SEQ_CST)) {
			struct timespec ts = { 0, TAKE_RETRY_NS };
			uint32_t seen = cr_lower.event;

			cr_sys3(SYS_futex, &cr_lower.release, FUTEX_WAKE_PRIVATE, 0x7fffffff);
			if (s->take)
				cr_sys4(SYS_futex, &cr_lower.event, FUTEX_WAIT_PRIVATE, seen, &ts);
		}
		n = s->n_taken;
		cr_lower.n_requeue += n;
	} while (n == ROOM_STEP);
	return 0;
}

int cr_pending_save(struct cr_image_writer *w, struct cr_err *err)
{
	int rc;

	cr_lower.n_requeue = 0;
	rc = process_take();
	for (uint32_t i = 0; i < cr_lower.n_slots && !rc; i++)
		if (cr_lower.slots[i].tid && cr_lower.slots[i].parked)
			rc = thread_take(&cr_lower.slots[i]);
	if (rc)
		return cr_err_set(err, rc, "no memory for %u pending signals", cr_lower.n_requeue);
	for (uint32_t i = 0; i < cr_lower.n_requeue && !rc; i++)
		rc = cr_image_put(w, CR_REC_SIGPENDING, &cr_lower.requeue[i], sizeof(cr_lower.requeue[i]), err);
	return rc;
}

int cr_pending_load(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };

	while (cr_image_next(img, &rec) == 1) {
		if (rec.type != CR_REC_SIGPENDING)
			continue;
		if (rec.bytes < sizeof(*cr_lower.requeue))
			return cr_err_set(err, EBADMSG, "%s: SIGPENDING record of %lu bytes", cr_image_name(img), rec.bytes);
		if (room_make())
			return cr_err_set(err, ENOMEM, "out of memory");
		memcpy(&cr_lower.requeue[cr_lower.n_requeue++], rec.data, sizeof(*cr_lower.requeue));
	}
	return 0;
}

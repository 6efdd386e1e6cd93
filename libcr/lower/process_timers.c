/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * POSIX timers, by raw system calls: libc keeps tables of its own about the ones that it made.
 *
 * Invariant: a timer comes back under its old id, since the program's libc and the program have stored it.
 */
#include "libcr/lower/process_set.h"

#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "libcr/lower/files_set.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#endif
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Ids are handed out in ascending order and never twice, so the search for one is bounded by its value. */
#define MAX_SEARCHED_ID 4000000
#define TIMERS "/proc/self/timers"
/* Bits of a negative clock id: the clock of one thread. */
#define CPU_CLOCK_PER_THREAD 4
#define CPU_CLOCK_KIND 3

int cr_process_timer_restore_ids = 1;

struct timer_list {
	struct cr_timer_payload *timers;
	unsigned int n;
	int error; /* -errno when the kernel has no list */
};

static bool is_thread_clock(int clock)
{
	return clock == CLOCK_THREAD_CPUTIME_ID || (clock < 0 && clock & CPU_CLOCK_PER_THREAD);
}

/* A negative id carries a pid, or a descriptor (kind 3). */
static bool is_foreign_clock(int clock)
{
	return clock < 0 && ((clock & CPU_CLOCK_KIND) == 3 || ~(clock >> 3) != 0);
}

static int parse_notify(const char *text, struct cr_timer_payload *t)
{
	char kind[16], whom[8];
	int id;

	if (sscanf(text, "%15[a-z]/%7[a-z].%d", kind, whom, &id) != 3)
		return -EBADMSG;
	if (strcmp(kind, "none") == 0)
		t->notify = SIGEV_NONE;
	else if (strcmp(kind, "signal") == 0)
		t->notify = SIGEV_SIGNAL;
	else if (strcmp(kind, "thread") == 0)
		t->notify = SIGEV_THREAD;
	else
		return -EBADMSG;
	if (strcmp(whom, "tid") == 0) {
		t->notify |= SIGEV_THREAD_ID;
		t->tid = id;
	}
	return 0;
}

static struct cr_timer_payload *add_timer(struct timer_list *list, int id)
{
	struct cr_timer_payload *more = realloc(list->timers, (list->n + 1) * sizeof(*more));

	if (!more)
		return NULL;
	list->timers = more;
	more[list->n] = (struct cr_timer_payload){ .id = id };
	return &more[list->n++];
}

/* "ID: 3", "signal: 60/00007fff86e452a8", "notify: signal/pid.2634", "ClockID: 0" for each timer. */
static int read_list(FILE *f, struct timer_list *list)
{
	struct cr_timer_payload *t = NULL;
	unsigned long long value;
	char line[256];
	int id, r;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "ID: %d", &id) == 1) {
			t = add_timer(list, id);
			if (!t)
				return -ENOMEM;
		} else if (!t) {
			return -EBADMSG;
		} else if (sscanf(line, "signal: %d/%llx", &t->signo, &value) == 2) {
			t->sigev_value = value;
		} else if (strncmp(line, "notify: ", 8) == 0) {
			r = parse_notify(line + 8, t);
			if (r < 0)
				return r;
		} else {
			sscanf(line, "ClockID: %d", &t->clock);
		}
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct cr_timer_payload *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int timer_list_read(struct timer_list *ret)
{
	FILE *f = cr_file_fopen_high(TIMERS, cr_process_floor());
	int r;

	*ret = (struct timer_list){ 0 };
	if (!f)
		return -errno;
	r = read_list(f, ret);
	fclose(f);
	if (r < 0) {
		free(ret->timers);
		return r;
	}
	if (ret->n)
		qsort(ret->timers, ret->n, sizeof(*ret->timers), by_id);
	return 0;
}

void cr_process_check_timers(struct cr_process_refusals *refusals)
{
	struct timer_list list;
	unsigned int i;
	int r;

	r = timer_list_read(&list);
	if (r < 0) {
		cr_process_refuse(refusals, TIMERS ": cannot be read: %s; whether there are POSIX timers is unknown (CONFIG_CHECKPOINT_RESTORE)", strerror(-r));
		return;
	}
	for (i = 0; i < list.n; i++) {
		const struct cr_timer_payload *t = &list.timers[i];

		if (is_thread_clock(t->clock))
			cr_process_refuse(refusals, "timer %d runs on the CPU clock of one thread, which a checkpoint cannot save; delete it first", t->id);
		else if (is_foreign_clock(t->clock))
			cr_process_refuse(refusals, "timer %d runs on the clock of another process or of a device (clock %d), which a checkpoint cannot save; delete it first",
					  t->id, t->clock);
		else if ((t->notify & ~SIGEV_THREAD_ID) == SIGEV_THREAD)
			cr_process_refuse(refusals, "timer %d notifies in a way that this version does not know", t->id);
	}
	free(list.timers);
}

static uint64_t to_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000 + (uint64_t)ts->tv_nsec;
}

static struct timespec from_ns(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
}

static int save_timer(struct cr_timer_payload *t, struct cr_image_writer *w, const struct cr_tid_map *tids, struct cr_err *err)
{
	struct itimerspec left;
	int tid;

	if (syscall(SYS_timer_gettime, t->id, &left) < 0)
		return cr_err_set(err, errno, "timer %d cannot be read: %s", t->id, strerror(errno));
	t->value_ns = to_ns(&left.it_value);
	t->interval_ns = to_ns(&left.it_interval);
	/* It outlives the thread that it notified, and notifies nobody. */
	if (t->notify & SIGEV_THREAD_ID && (t->tid <= 0 || (syscall(SYS_tgkill, getpid(), t->tid, 0) < 0 && errno == ESRCH))) {
		t->notify = SIGEV_NONE;
		t->tid = 0;
	}
	if (t->tid && tids && tids->to_program) {
		tid = tids->to_program(t->tid);
		if (tid <= 0)
			return cr_err_set(err, ESRCH, "timer %d notifies thread %d, which is none of the program's", t->id, t->tid);
		t->tid = tid;
	}
	return cr_image_put(w, CR_REC_TIMER, t, sizeof(*t), err);
}

int cr_process_timers_save(struct cr_image_writer *w, const struct cr_tid_map *tids, struct cr_err *err)
{
	struct timer_list list;
	unsigned int i;
	int r;

	r = timer_list_read(&list);
	if (r < 0)
		return cr_err_set(err, r, TIMERS ": cannot be read: %s", strerror(-r));
	for (i = 0; i < list.n && r >= 0; i++)
		r = save_timer(&list.timers[i], w, tids, err);
	free(list.timers);
	return r < 0 ? r : 0;
}

static int parse_timer(const struct cr_image_record *rec, struct cr_timer_payload *ret, struct cr_err *err)
{
	if (rec->bytes != sizeof(*ret))
		return cr_err_set(err, EBADMSG, "TIMER record at offset %llu: %llu bytes", (unsigned long long)rec->file_offset, (unsigned long long)rec->bytes);
	memcpy(ret, rec->data, sizeof(*ret));
	if (ret->id < 0 || ret->notify & ~(SIGEV_SIGNAL | SIGEV_NONE | SIGEV_THREAD_ID) || ret->value_ns > INT64_MAX || ret->interval_ns > INT64_MAX)
		return cr_err_set(err, EBADMSG, "TIMER record at offset %llu: timer %d makes no sense", (unsigned long long)rec->file_offset, ret->id);
	return 0;
}

int cr_process_timers_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };
	struct cr_timer_payload t;
	struct timespec now;
	int r = 0;

	while (r >= 0 && cr_image_next(img, &rec) > 0) {
		if (rec.type != CR_REC_TIMER)
			continue;
		r = parse_timer(&rec, &t, err);
		if (r >= 0 && syscall(SYS_clock_gettime, t.clock, &now) < 0)
			r = cr_err_set(err, errno, "timer %d: this machine has no clock %d", t.id, t.clock);
	}
	return r < 0 ? r : 0;
}

/* Kernels before 6.15 cannot be told the id: make and delete timers until it comes up. */
static int create_by_search(struct sigevent *event, const struct cr_timer_payload *t)
{
	long tries;
	int id;

	if (t->id > MAX_SEARCHED_ID)
		return -ERANGE;
	for (tries = 0; tries <= t->id + 1; tries++) {
		if (syscall(SYS_timer_create, t->clock, event, &id) < 0)
			return -errno;
		if (id == t->id)
			return 0;
		syscall(SYS_timer_delete, id);
		if (id > t->id)
			return -EBUSY;
	}
	return -EBUSY;
}

static int create_with_id(const struct cr_timer_payload *t, int real_tid)
{
	struct sigevent event;
	int id = t->id, r;

	memset(&event, 0, sizeof(event));
	event.sigev_notify = t->notify;
	event.sigev_signo = t->signo;
	memcpy(&event.sigev_value, &t->sigev_value, sizeof(t->sigev_value));
	if (t->notify & SIGEV_THREAD_ID)
		event.sigev_notify_thread_id = real_tid;
	if (!cr_process_timer_restore_ids || prctl(PR_TIMER_CREATE_RESTORE_IDS, 1, 0, 0, 0) < 0)
		return create_by_search(&event, t);
	r = syscall(SYS_timer_create, t->clock, &event, &id) < 0 ? -errno : 0;
	prctl(PR_TIMER_CREATE_RESTORE_IDS, 0, 0, 0, 0);
	return r;
}

static int restore_timer(const struct cr_timer_payload *t, const struct cr_tid_map *tids, struct cr_err *err)
{
	struct itimerspec left = { .it_value = from_ns(t->value_ns), .it_interval = from_ns(t->interval_ns) };
	int tid = t->tid, r;

	if (t->notify & SIGEV_THREAD_ID && tids && tids->to_real) {
		tid = tids->to_real(t->tid);
		if (tid <= 0)
			return cr_err_set(err, ESRCH, "timer %d notifies thread %d, which the context file does not hold", t->id, t->tid);
	}
	r = create_with_id(t, tid);
	if (r < 0)
		return cr_err_set(err, r, "timer %d cannot be made again under its number: %s", t->id, strerror(-r));
	if (t->value_ns && syscall(SYS_timer_settime, t->id, 0, &left, NULL) < 0)
		return cr_err_set(err, errno, "timer %d cannot be started: %s", t->id, strerror(errno));
	return 0;
}

/* Records come in ascending order of ids, which the search needs. */
int cr_process_timers_restore(const struct cr_image *img, const struct cr_tid_map *tids, struct cr_err *err)
{
	struct cr_image_record rec = { 0 };
	struct cr_timer_payload t;
	int r = 0;

	while (r >= 0 && cr_image_next(img, &rec) > 0) {
		if (rec.type != CR_REC_TIMER)
			continue;
		r = parse_timer(&rec, &t, err);
		if (r >= 0)
			r = restore_timer(&t, tids, err);
	}
	return r < 0 ? r : 0;
}

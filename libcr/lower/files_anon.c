/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small kernel objects whose whole state fdinfo shows: eventfd, timerfd, signalfd, and a pidfd of the process itself.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SET_TICKS _IOW('T', 0, uint64_t) /* TFD_IOC_SET_TICKS */

bool cr_file_anon_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	char words[400];

	if (!cr_file_ancestor_holds(set, file))
		return true;
	cr_file_describe(file, words, sizeof(words));
	cr_file_refuse(refusals, file, "is %s, and the process that launched this one holds it too; close it before the checkpoint", words);
	return false;
}

/* A new object, with the flags that F_SETFL can set. @fd is given. */
static int finish_open(struct cr_file_restore *x, int fd, const struct cr_file_view *view, const char *what, struct cr_err *err)
{
	int error = errno;

	if (fd < 0)
		return cr_err_set(err, error, "descriptor %d: %s cannot be made: %s", view->fds[0].fd, what, strerror(error));
	fd = cr_file_move_high(fd, x->floor);
	if (fd < 0)
		return cr_err_set(err, fd, "descriptor %d: no number at or above %d is free", view->fds[0].fd, x->floor);
	if ((int)view->head.open_flags & O_NONBLOCK && fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		error = errno;
		close(fd);
		return cr_err_set(err, error, "descriptor %d: its flags cannot be set: %s", view->fds[0].fd, strerror(error));
	}
	return fd;
}

static int unreadable(const struct cr_open_file *file, int r, struct cr_err *err)
{
	return cr_err_set(err, r < 0 ? r : ENODATA, "descriptor %d (%s): its state cannot be read from fdinfo: %s", file->fds[0].fd, file->link,
			  r < 0 ? strerror(-r) : "a line is missing");
}

/* --- eventfd --- */

struct eventfd_lines {
	struct cr_file_eventfd state;
	bool have_count, have_semaphore;
};

static void eventfd_line(void *arg, const char *text)
{
	struct eventfd_lines *l = arg;

	if (sscanf(text, "eventfd-count: %" SCNx64, &l->state.count) == 1)
		l->have_count = true;
	else if (sscanf(text, "eventfd-semaphore: %" SCNu32, &l->state.semaphore) == 1)
		l->have_semaphore = true;
}

/*
 * Before Linux 6.5 fdinfo does not tell a semaphore: a read of one takes 1 of at least 2. Nobody reads or writes meanwhile; the count is
 * put back.
 */
static int find_semaphore(int fd, struct cr_file_eventfd *state)
{
	uint64_t add = state->count < 2 ? 2 - state->count : 0, got, rest, total = state->count + add;

	if (add && write(fd, &add, sizeof(add)) != sizeof(add))
		return -errno;
	if (read(fd, &got, sizeof(got)) != sizeof(got))
		return -errno;
	state->semaphore = got != total;
	if (state->semaphore) {
		/* 1 was taken: take the rest of what was added, or put back what was there. */
		for (rest = total - got; rest > state->count; rest--)
			if (read(fd, &got, sizeof(got)) != sizeof(got))
				return -errno;
		got = state->count - rest;
	} else {
		got = state->count;
	}
	return got && write(fd, &got, sizeof(got)) != sizeof(got) ? -errno : 0;
}

int cr_file_eventfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct eventfd_lines l = { .have_count = false };
	int r = cr_file_fdinfo(file->fds[0].fd, set->floor, eventfd_line, &l);

	if (r == 0 && l.have_count && !l.have_semaphore)
		r = find_semaphore(file->fds[0].fd, &l.state);
	if (r < 0 || !l.have_count)
		return unreadable(file, r, err);
	return cr_file_data_put(file, CR_FILE_DATA_STATE, &l.state, sizeof(l.state), w, err);
}

int cr_file_eventfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_eventfd state;
	int fd, r;

	r = cr_file_state_get(x->img, rec, view, CR_FILE_DATA_STATE, &state, sizeof(state), err);
	if (r < 0)
		return r;
	fd = finish_open(x, eventfd(0, EFD_CLOEXEC | (state.semaphore ? EFD_SEMAPHORE : 0)), view, "an eventfd", err);
	if (fd >= 0 && state.count && write(fd, &state.count, sizeof(state.count)) != sizeof(state.count)) {
		r = cr_err_set(err, errno, "descriptor %d: the count %" PRIu64 " of an eventfd cannot be set: %s", view->fds[0].fd, state.count,
			       strerror(errno));
		close(fd);
		return r;
	}
	return fd;
}

/* --- timerfd --- */

struct timerfd_lines {
	struct cr_file_timerfd state;
	unsigned int seen;
};

static void timerfd_line(void *arg, const char *text)
{
	struct timerfd_lines *l = arg;
	unsigned int flags;

	if (sscanf(text, "clockid: %" SCNd32, &l->state.clock) == 1)
		l->seen |= 1;
	else if (sscanf(text, "ticks: %" SCNu64, &l->state.ticks) == 1)
		l->seen |= 2;
	else if (sscanf(text, "settime flags: %o", &flags) == 1)
		l->state.cancel_on_set = (flags & (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) == (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
}

static uint64_t to_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
}

int cr_file_timerfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct timerfd_lines l = { .seen = 0 };
	struct itimerspec now;
	int fd = file->fds[0].fd, r;

	/* First: it moves a periodic timer that has expired on to its next period, and counts the missed ones. */
	if (timerfd_gettime(fd, &now) < 0)
		return cr_err_set(err, errno, "descriptor %d: the timer cannot be read: %s", fd, strerror(errno));
	r = cr_file_fdinfo(fd, set->floor, timerfd_line, &l);
	if (r < 0 || l.seen != 3)
		return unreadable(file, r, err);
	l.state.value_ns = to_ns(&now.it_value);
	l.state.interval_ns = to_ns(&now.it_interval);
	return cr_file_data_put(file, CR_FILE_DATA_STATE, &l.state, sizeof(l.state), w, err);
}

int cr_file_timerfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_timerfd state;
	int r = cr_file_state_get(x->img, rec, view, CR_FILE_DATA_STATE, &state, sizeof(state), err);

	return r < 0 ? r : finish_open(x, timerfd_create(state.clock, TFD_CLOEXEC), view, "a timerfd", err);
}

int cr_file_timerfd_finish(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_timerfd state;
	struct itimerspec value;
	struct timespec now;
	int fd = view->fds[0].fd, flags = 0, r;

	r = cr_file_state_get(x->img, rec, view, CR_FILE_DATA_STATE, &state, sizeof(state), err);
	if (r < 0)
		return r;
	value.it_interval = to_timespec(state.interval_ns);
	value.it_value = to_timespec(state.value_ns);
	if (state.cancel_on_set && state.value_ns && clock_gettime(CLOCK_REALTIME, &now) == 0) {
		value.it_value = to_timespec(to_ns(&now) + state.value_ns);
		flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
	}
	if (timerfd_settime(fd, flags, &value, NULL) < 0)
		return cr_err_set(err, errno, "descriptor %d: the timer cannot be set: %s", fd, strerror(errno));
	if (state.ticks && ioctl(fd, SET_TICKS, &state.ticks) < 0)
		return cr_err_set(err, errno, "descriptor %d: %" PRIu64 " expirations that were not read cannot be set: %s; the kernel needs CONFIG_CHECKPOINT_RESTORE",
				  fd, state.ticks, strerror(errno));
	return 0;
}

/* --- signalfd --- */

struct signalfd_lines {
	struct cr_file_signalfd state;
	bool seen;
};

static void signalfd_line(void *arg, const char *text)
{
	struct signalfd_lines *l = arg;

	if (sscanf(text, "sigmask: %" SCNx64, &l->state.mask) == 1)
		l->seen = true;
}

int cr_file_signalfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct signalfd_lines l = { .seen = false };
	int r = cr_file_fdinfo(file->fds[0].fd, set->floor, signalfd_line, &l);

	if (r < 0 || !l.seen)
		return unreadable(file, r, err);
	return cr_file_data_put(file, CR_FILE_DATA_STATE, &l.state, sizeof(l.state), w, err);
}

int cr_file_signalfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	struct cr_file_signalfd state;
	sigset_t set;
	int r;

	r = cr_file_state_get(x->img, rec, view, CR_FILE_DATA_STATE, &state, sizeof(state), err);
	if (r < 0)
		return r;
	sigemptyset(&set);
	memcpy(&set, &state.mask, sizeof(state.mask));
	return finish_open(x, signalfd(-1, &set, SFD_CLOEXEC), view, "a signalfd", err);
}

/* --- pidfd --- */

static void pidfd_line(void *arg, const char *text)
{
	sscanf(text, "Pid: %d", (int *)arg);
}

bool cr_file_pidfd_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	int pid = 0, r = cr_file_fdinfo(file->fds[0].fd, set->floor, pidfd_line, &pid);

	if (r == 0 && pid == getpid())
		return cr_file_anon_check(set, file, refusals);
	if (pid > 0)
		cr_file_refuse(refusals, file, "is a pidfd of process %d, which a checkpoint of this process does not hold; close it before the checkpoint", pid);
	else
		cr_file_refuse(refusals, file, "is a pidfd of a process that has ended or cannot be seen; close it before the checkpoint");
	return false;
}

int cr_file_pidfd_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	(void)rec;
	return finish_open(x, (int)syscall(SYS_pidfd_open, getpid(), 0), view, "a pidfd", err);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checkpoints that the program asks for itself. cr_checkpoint(1) serves them, as a process of its own and outside of the program's family: so a
 * request of the program and one of its user are the same thing.
 *
 * A request ends with the life that made it: after a restart its handle answers CR_ERESTARTED.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "libcr/cr_crossing.h"
#include "libcr/upper/upper.h"

#define REQUESTS_MAX 64
#define TEXT_BYTES 1200

struct request {
	volatile uint32_t used;
	uint32_t serial;
	uint64_t epoch;
	int pipe_fd;         /* the lower half's */
	bool finished;
	int error;
	int dest_fd;         /* the caller's, or -1 */
	char file[PATH_MAX];
	char text[TEXT_BYTES];
	size_t text_bytes;
};

static struct request requests[REQUESTS_MAX];
static uint32_t serial;

static struct request *request_find(const cr_checkpoint_handle_t *handle)
{
	unsigned long slot = handle ? *handle & 0xff : REQUESTS_MAX;
	struct request *r = slot < REQUESTS_MAX ? &requests[slot] : NULL;

	if (r && r->used == 2 && r->serial == (uint32_t)(*handle >> 8))
		return r;
	errno = cr_gate_present() ? EINVAL : ENOSYS;
	return NULL;
}

static struct request *request_create(cr_checkpoint_handle_t *ret_handle)
{
	for (unsigned long i = 0; i < REQUESTS_MAX; i++) {
		struct request *r = &requests[i];
		uint32_t expect = 0;

		if (!__atomic_compare_exchange_n(&r->used, &expect, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		r->serial = __atomic_add_fetch(&serial, 1, __ATOMIC_SEQ_CST);
		r->finished = false;
		r->error = 0;
		r->text_bytes = 0;
		r->text[0] = '\0';
		r->dest_fd = -1;
		*ret_handle = (unsigned long)r->serial << 8 | i;
		return r;
	}
	errno = EMFILE;
	return NULL;
}

static void request_free(struct request *r)
{
	__atomic_store_n(&r->used, 0, __ATOMIC_SEQ_CST);
}

/* Reads what is there; at the end of the pipe the result is known: "<number> <words>". */
static void request_read(struct request *r)
{
	int fd = r->pipe_fd;
	uint64_t epoch = r->epoch;

	while (!r->finished && CR_GATE->epoch == epoch) {
		ssize_t n = read(fd, r->text + r->text_bytes, TEXT_BYTES - 1 - r->text_bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n > 0 && r->text_bytes + (size_t)n < TEXT_BYTES - 1) {
			r->text_bytes += (size_t)n;
			continue;
		}
		r->finished = true;
	}
	if (CR_GATE->epoch != epoch) {
		r->finished = true;
		r->error = CR_ERESTARTED;
		snprintf(r->text, sizeof(r->text), "%s", cr_strerror(CR_ERESTARTED));
		return;
	}
	(void)CR_LOWER(CR_GATE->helper_end(fd, epoch));
	r->text[r->text_bytes] = '\0';
	r->error = EIO;
	if (r->text_bytes) {
		char *words;

		r->error = (int)strtol(r->text, &words, 10);
		words += *words == ' ';
		words[strcspn(words, "\n")] = '\0';
		memmove(r->text, words, strlen(words) + 1);
	} else {
		snprintf(r->text, sizeof(r->text), "cr_checkpoint ended without a result");
	}
}

/* Where the context file for a descriptor is made: beside the file that it names, if it names one. */
static int temporary_name(int fd, char *file, size_t bytes, uint32_t number)
{
	int flags = fcntl(fd, F_GETFL);
	char link[64], path[PATH_MAX - 64];
	struct stat st;
	ssize_t n;

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || fstat(fd, &st))
		return EBADF;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = S_ISREG(st.st_mode) ? readlink(link, path, sizeof(path) - 1) : -1;
	path[n > 0 ? n : 0] = '\0';
	if (path[0] == '/' && st.st_nlink)
		snprintf(file, bytes, "%s.%d-%u.part", path, (int)CR_GATE->kernel_pid, number);
	else
		snprintf(file, bytes, "%s/ompi-cr.%d-%u.part", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)CR_GATE->kernel_pid, number);
	return 0;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512], *p;
	int parent = 0, fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	p = strrchr(line, ')');
	return p && sscanf(p + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool among(cr_scope_t scope, pid_t target)
{
	pid_t self = CR_GATE->kernel_pid;

	switch (scope) {
	case CR_SCOPE_PROC: return target == self;
	case CR_SCOPE_PGRP: return getpgid(0) == target;
	case CR_SCOPE_SESS: return getsid(0) == target;
	case CR_SCOPE_TREE:
		for (; self > 1 && self != target; self = parent_of(self))
			;
		return self == target;
	}
	return false;
}

/* 0 or an error number. @target: the caller's own when 0. */
static int target_resolve(const cr_checkpoint_args_t *a, pid_t *target)
{
	*target = a->cr_target;
	switch (a->cr_scope) {
	case CR_SCOPE_PROC: case CR_SCOPE_TREE:
		if (!*target || *target == getpid())
			*target = CR_GATE->kernel_pid;
		break;
	case CR_SCOPE_PGRP:
		*target = *target ? *target : getpgid(0);
		break;
	case CR_SCOPE_SESS:
		*target = *target ? *target : getsid(0);
		break;
	default:
		return EINVAL;
	}
	if (*target < 0)
		return EINVAL;
	if ((a->cr_scope == CR_SCOPE_PROC || a->cr_scope == CR_SCOPE_TREE) && *target != CR_GATE->kernel_pid && kill(*target, 0))
		return errno;
	if ((a->cr_flags & CR_CHKPT_PROHIBIT_SELF) && among(a->cr_scope, *target))
		return EDEADLK;
	return 0;
}

EXPORT void cr_checkpoint_args_init(cr_version_t version, cr_checkpoint_args_t *args)
{
	memset(args, 0, sizeof(*args));
	args->cr_version = version;
	args->cr_scope = (cr_scope_t)-1;
	args->cr_fd = -1;
}

/* Flags that are options of cr_checkpoint(1). */
static const struct flag_option {
	unsigned int flag;
	const char *option;
} flag_options[] = {
	{ CR_CHKPT_PTRACED_ALLOW, "--ptraced-allow" }, { CR_CHKPT_PTRACED_SKIP, "--ptraced-skip" }, { CR_CHKPT_PTRACER_SKIP, "--ptracer-skip" },
	{ CR_CHKPT_DUMP_EXEC, "--save-exe" },	       { CR_CHKPT_DUMP_PRIVATE, "--save-private" }, { CR_CHKPT_DUMP_SHARED, "--save-shared" },
};
#define FLAG_OPTIONS (sizeof(flag_options) / sizeof(flag_options[0]))
#define FLAGS_KNOWN \
	(CR_CHKPT_PROHIBIT_SELF | CR_CHKPT_ASYNC_ERR | CR_CHKPT_PTRACED_ALLOW | CR_CHKPT_PTRACED_SKIP | CR_CHKPT_PTRACER_SKIP | CR_CHKPT_DUMP_ALL)

EXPORT int cr_request_checkpoint(cr_checkpoint_args_t *args, cr_checkpoint_handle_t *ret_handle)
{
	static const char *const scopes[] = { "--pid", "--pgid", "--session", "--tree" };
	char seconds[16], signo[16], pid[16];
	const char *argv[16 + FLAG_OPTIONS] = { "cr_checkpoint", "--report-fd", "3" };
	const char *const *v = argv;
	struct request *r;
	pid_t target = 0;
	int rc, n = 3;

	if (!cr_gate_present())
		return cr_fail(ENOSYS);
	if (cr_client_run())
		return cr_fail(EBUSY);
	if (!args || !ret_handle || args->cr_version != CR_CHECKPOINT_ARGS_VERSION || (args->cr_fd < 0) == !args->cr_file || args->cr_signal < 0 ||
	    args->cr_signal > 64 || (args->cr_flags & ~(unsigned int)FLAGS_KNOWN))
		return cr_fail(EINVAL);
	rc = target_resolve(args, &target);
	if (rc)
		return cr_fail(rc);
	r = request_create(ret_handle);
	if (!r)
		return -1;
	if (args->cr_fd >= 0) {
		rc = temporary_name(args->cr_fd, r->file, sizeof(r->file), r->serial);
		r->dest_fd = args->cr_fd;
	} else if (args->cr_file[0] == '/') {
		snprintf(r->file, sizeof(r->file), "%s", args->cr_file);
	} else if (getcwd(r->file, sizeof(r->file) / 2)) {
		size_t len = strlen(r->file);

		snprintf(r->file + len, sizeof(r->file) - len, "/%s", args->cr_file);
	} else {
		rc = errno;
	}
	if (!rc) {
		snprintf(seconds, sizeof(seconds), "%u", args->cr_timeout ? args->cr_timeout : 60);
		snprintf(signo, sizeof(signo), "%d", args->cr_signal);
		snprintf(pid, sizeof(pid), "%d", (int)target);
		argv[n++] = "-f";
		argv[n++] = r->file;
		argv[n++] = "-t";
		argv[n++] = seconds;
		if (args->cr_signal) {
			argv[n++] = "-S";
			argv[n++] = signo;
		}
		for (size_t i = 0; i < FLAG_OPTIONS; i++)
			if (args->cr_flags & flag_options[i].flag)
				argv[n++] = flag_options[i].option;
		argv[n++] = scopes[args->cr_scope];
		argv[n] = pid;
		r->epoch = CR_GATE->epoch;
		r->pipe_fd = CR_LOWER(CR_GATE->helper_start(v));
		rc = r->pipe_fd < 0 ? -r->pipe_fd : 0;
	}
	if (rc) {
		request_free(r);
		return cr_fail(rc);
	}
	__atomic_store_n(&r->used, 2, __ATOMIC_SEQ_CST);
	return 0;
}

/* A restart may come while the answer is awaited: then its descriptor is gone, and the number may be another's, which is never ready. */
#define LOOK_MS 100

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000UL + (uint64_t)ts.tv_nsec;
}

EXPORT int cr_wait_checkpoint_until(cr_checkpoint_handle_t *handle, unsigned long deadline_ns)
{
	struct request *r = request_find(handle);

	if (!r)
		return -1;
	while (!r->finished) {
		struct pollfd p = { .fd = r->pipe_fd, .events = POLLIN };
		uint64_t now = now_ns();
		int ms = now >= deadline_ns ? 0 : deadline_ns - now > LOOK_MS * 1000000UL ? LOOK_MS : (int)((deadline_ns - now + 999999) / 1000000);
		int n = CR_GATE->epoch == r->epoch ? poll(&p, 1, ms) : 1;

		if (n < 0)
			return -1;
		if (n > 0)
			request_read(r);
		else if (now_ns() >= deadline_ns)
			return 0;
	}
	return 1;
}

EXPORT int cr_wait_checkpoint(cr_checkpoint_handle_t *handle, const struct timeval *timeout)
{
	uint64_t ns = timeout ? (uint64_t)timeout->tv_sec * 1000000000UL + (uint64_t)timeout->tv_usec * 1000UL : 0;

	if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0 || timeout->tv_usec > 999999))
		return cr_fail(EINVAL);
	return cr_wait_checkpoint_until(handle, timeout ? now_ns() + ns : ULONG_MAX);
}

EXPORT int cr_log_checkpoint(cr_checkpoint_handle_t *handle, unsigned int bytes, char *buf)
{
	struct request *r = request_find(handle);

	if (!r)
		return -1;
	if (!r->finished)
		return cr_fail(EAGAIN);
	if (bytes && buf)
		snprintf(buf, bytes, "%s", r->text);
	return (int)strlen(r->text) + 1;
}

/* The complete file goes to the descriptor that was given. 0 or an error number. */
static int copy_out(const struct request *r)
{
	int in = open(r->file, O_RDONLY | O_CLOEXEC), rc = in < 0 ? errno : 0;
	char buf[65536];
	ssize_t n = 0;

	while (!rc && (n = read(in, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno != EINTR)
			rc = errno;
		for (ssize_t done = 0; !rc && done < n;) {
			ssize_t w = write(r->dest_fd, buf + done, (size_t)(n - done));

			if (w < 0 && errno != EINTR)
				rc = errno;
			done += w > 0 ? w : 0;
		}
	}
	if (in >= 0)
		close(in);
	unlink(r->file);
	return rc;
}

EXPORT int cr_reap_checkpoint(cr_checkpoint_handle_t *handle)
{
	struct request *r = request_find(handle);
	int rc;

	if (!r)
		return -1;
	if (!r->finished) {
		rc = cr_wait_checkpoint_until(handle, 0);
		if (rc <= 0)
			return rc < 0 ? -1 : cr_fail(EAGAIN);
	}
	rc = r->error == CR_EOMITTED ? ESRCH : r->error;
	if (!rc && r->dest_fd >= 0)
		rc = copy_out(r);
	request_free(r);
	return rc ? cr_fail(rc) : 0;
}

EXPORT int cr_poll_checkpoint_msg(cr_checkpoint_handle_t *handle, const struct timeval *timeout, char **ret_msg)
{
	int rc = cr_wait_checkpoint(handle, timeout);
	struct request *r;

	if (ret_msg)
		*ret_msg = NULL;
	if (rc <= 0)
		return rc < 0 ? CR_POLL_CHKPT_ERR_PRE : 0;
	r = request_find(handle);
	if (ret_msg && r) {
		*ret_msg = strdup(r->text);
		if (!*ret_msg)
			return CR_POLL_CHKPT_ERR_LOG;
	}
	return cr_reap_checkpoint(handle) ? CR_POLL_CHKPT_ERR_POST : 1;
}

EXPORT int cr_poll_checkpoint(cr_checkpoint_handle_t *handle, const struct timeval *timeout)
{
	return cr_poll_checkpoint_msg(handle, timeout, NULL);
}

/* 1 saved, 0 restarted, -1 with errno. */
static int request_self(const char *file, int fd, unsigned int timeout_s)
{
	cr_checkpoint_args_t args;
	cr_checkpoint_handle_t handle;
	int rc;

	cr_initialize_checkpoint_args_t(&args);
	args.cr_scope = CR_SCOPE_PROC;
	args.cr_file = file;
	args.cr_fd = fd;
	args.cr_timeout = timeout_s;
	if (cr_request_checkpoint(&args, &handle))
		return -1;
	do
		rc = cr_poll_checkpoint(&handle, NULL);
	while (rc == CR_POLL_CHKPT_ERR_PRE && errno == EINTR);
	if (rc == CR_POLL_CHKPT_ERR_POST && errno == CR_ERESTARTED)
		return 0;
	return rc > 0 ? 1 : -1;
}

EXPORT int cr_self_checkpoint(const char *file, unsigned int timeout_s)
{
	int rc = request_self(file, -1, timeout_s);

	return rc < 0 ? -errno : rc;
}

EXPORT int cr_request_file(const char *file)
{
	return request_self(file, -1, 0) < 0 ? -1 : 0;
}

EXPORT int cr_request_fd(int fd)
{
	return request_self(NULL, fd, 0) < 0 ? -1 : 0;
}

EXPORT int cr_request(void)
{
	char name[32];

	snprintf(name, sizeof(name), "context.%d", (int)getpid());
	return cr_request_file(name);
}

EXPORT int cr_forward_checkpoint(cr_scope_t scope, pid_t target)
{
	if (!cr_client_run())
		return cr_gate_present() ? -CR_ENOTCB : -ENOSYS;
	if ((unsigned int)scope > CR_SCOPE_TREE || target < 0)
		return -EINVAL;
	/* The caller is part of the request already. */
	if (scope == CR_SCOPE_PROC && (!target || target == getpid() || target == CR_GATE->kernel_pid))
		return 0;
	return target && kill(target, 0) ? -errno : -CR_ENOSUPPORT;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapcd - the snapshot coordinator of a job.  Started beside mpirun by its component, ends with mpirun.
 *
 * On one node it plays both roles: local (agents of the ranks) and global (the job, the tools), joined by an in-process link.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "snapc/global.h"
#include "snapc/local.h"
#include "snapc/log.h"
#include "snapc/registry.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

struct snapcd {
	struct snapc_global_settings settings;
	const char *agent_socket;
	const char *log_file;
	struct event_base *base;
	struct snapc_link_queue *link;
	struct snapc_local *local;
	struct snapc_global *global;
	int pidfd;
	struct event *events[4]; /* end of mpirun, its socket, SIGTERM, SIGINT */
	char registry_path[PATH_MAX];
};

static void snapcd_usage(FILE *out)
{
	fputs("Usage: snapcd --job ID --mpirun-pid PID --socket NAME --tool-socket NAME --snapshot-dir DIR --ref NAME [OPTION]...\n"
	      "Coordinate the checkpoints of one job. mpirun starts it; it is not meant to be started by hand.\n\n"
	      "  --job ID               name of the job for users\n"
	      "  --mpirun-pid PID       ends when this process ends\n"
	      "  --mpirun-fd FD         socket to the component in mpirun\n"
	      "  --socket NAME          abstract unix socket for the ranks\n"
	      "  --tool-socket NAME     abstract unix socket for ompi-checkpoint\n"
	      "  --np N                 number of ranks, 0: the ranks will say\n"
	      "  --snapshot-dir DIR     where snapshots go\n"
	      "  --ref NAME             name of the job's global snapshot\n"
	      "  --keep N               keep the N newest snapshots of the job, 0: all\n"
	      "  --restarted-from DIR   global snapshot that the job was brought back from\n"
	      "  --seq N                its sequence number\n"
	      "  --log FILE             append messages to FILE instead of stderr\n"
	      "  --help, --version\n\n"
	      "Environment: CR_DEBUG=1..3, CR_FAULT=phase[:rank][:fail|kill|hang], OMPI_CR_TIMEOUT_<PHASE>=seconds.\n",
	      out);
}

static int snapcd_number(const char *text, const char *option, long long low, long long high, long long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	if (!*text || *end || errno || *ret < low || *ret > high) {
		fprintf(stderr, "snapcd: --%s %s: a number from %lld to %lld is needed\n", option, text, low, high);
		return -EINVAL;
	}
	return 0;
}

/* Return: 0; 1: printed what was asked for; -EINVAL: said why. */
static int snapcd_options(struct snapcd *d, int argc, char **argv)
{
	enum { JOB = 1, PID, FD, SOCKET, TOOL, NP, DIR_, REF, KEEP, FROM, SEQ, LOG, HELP, VERSION };
	static const struct option options[] = {
		{ "job", required_argument, NULL, JOB },
		{ "mpirun-pid", required_argument, NULL, PID },
		{ "mpirun-fd", required_argument, NULL, FD },
		{ "socket", required_argument, NULL, SOCKET },
		{ "tool-socket", required_argument, NULL, TOOL },
		{ "np", required_argument, NULL, NP },
		{ "snapshot-dir", required_argument, NULL, DIR_ },
		{ "ref", required_argument, NULL, REF },
		{ "keep", required_argument, NULL, KEEP },
		{ "restarted-from", required_argument, NULL, FROM },
		{ "seq", required_argument, NULL, SEQ },
		{ "log", required_argument, NULL, LOG },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, VERSION },
		{ NULL, 0, NULL, 0 },
	};
	struct snapc_global_settings *s = &d->settings;
	long long number;
	int option, rc = 0;

	s->mpirun_fd = -1;
	s->restarted_seq = -1;
	while (rc == 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case JOB:
			s->job_id = optarg;
			break;
		case PID:
			rc = snapcd_number(optarg, "mpirun-pid", 1, INT32_MAX, &number);
			s->mpirun_pid = (pid_t)number;
			break;
		case FD:
			rc = snapcd_number(optarg, "mpirun-fd", 0, INT32_MAX, &number);
			s->mpirun_fd = (int)number;
			break;
		case SOCKET:
			d->agent_socket = optarg;
			break;
		case TOOL:
			s->tool_socket = optarg;
			break;
		case NP:
			rc = snapcd_number(optarg, "np", 0, 1 << 22, &number);
			s->np = (uint32_t)number;
			break;
		case DIR_:
			s->snapshot_dir = optarg;
			break;
		case REF:
			s->ref = optarg;
			break;
		case KEEP:
			rc = snapcd_number(optarg, "keep", 0, INT32_MAX, &number);
			s->keep = (uint32_t)number;
			break;
		case FROM:
			s->restarted_from = optarg;
			break;
		case SEQ:
			rc = snapcd_number(optarg, "seq", 0, INT32_MAX, &number);
			s->restarted_seq = number;
			break;
		case LOG:
			d->log_file = optarg;
			break;
		case HELP:
			snapcd_usage(stdout);
			return 1;
		case VERSION:
			printf("snapcd (ompi-cr) %s\n", PACKAGE_VERSION);
			return 1;
		default:
			rc = -EINVAL;
		}
	}
	if (rc == 0 && (optind != argc || !s->job_id || !s->mpirun_pid || !d->agent_socket || !s->tool_socket || !s->snapshot_dir || !s->ref)) {
		fputs("snapcd: --job, --mpirun-pid, --socket, --tool-socket, --snapshot-dir and --ref are needed; see --help\n", stderr);
		rc = -EINVAL;
	}
	return rc;
}

/* Nothing of mpirun's may be held open by us: its pipes would never end. */
static int snapcd_descriptors(const struct snapcd *d, struct cr_err *err)
{
	int fd = d->settings.mpirun_fd, log;

	if (fd > 2) {
		if (fd > 3)
			close_range(3, (unsigned)fd - 1, 0);
		close_range((unsigned)fd + 1, ~0u, 0);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	} else {
		close_range(3, ~0u, 0);
	}
	if (!d->log_file)
		return 0;
	log = open(d->log_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log < 0)
		return cr_err_set(err, errno, "cannot open the log %s: %s", d->log_file, strerror(errno));
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close(log);
	return 0;
}

static void snapcd_mpirun_gone(evutil_socket_t fd, short what, void *arg)
{
	struct snapcd *d = arg;

	(void)fd;
	(void)what;
	snapc_log(SNAPC_LOG_DEBUG, "mpirun %d has ended", (int)d->settings.mpirun_pid);
	event_del(d->events[0]);
	snapc_registry_remove(d->registry_path);
	d->registry_path[0] = 0;
	snapc_global_orphan(d->global);
}

/* The component does not speak; end of file is the end of mpirun, which the pidfd reports as well. */
static void snapcd_mpirun_says(evutil_socket_t fd, short what, void *arg)
{
	struct snapcd *d = arg;
	char bytes[256];
	ssize_t n = read(fd, bytes, sizeof(bytes));

	(void)what;
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	event_del(d->events[1]);
}

static void snapcd_signal(evutil_socket_t number, short what, void *arg)
{
	struct snapcd *d = arg;

	(void)what;
	snapc_log(SNAPC_LOG_INFO, "ending by signal %d: the job goes on without protection", (int)number);
	snapc_global_leave(d->global);
}

static int snapcd_watch(struct snapcd *d, struct cr_err *err)
{
	d->pidfd = (int)syscall(SYS_pidfd_open, d->settings.mpirun_pid, 0);
	if (d->pidfd < 0)
		return cr_err_set(err, errno, "mpirun %d cannot be watched: %s", (int)d->settings.mpirun_pid, strerror(errno));
	d->events[0] = event_new(d->base, d->pidfd, EV_READ | EV_PERSIST, snapcd_mpirun_gone, d);
	d->events[1] = d->settings.mpirun_fd < 0 ? NULL :
						  event_new(d->base, d->settings.mpirun_fd, EV_READ | EV_PERSIST, snapcd_mpirun_says, d);
	d->events[2] = evsignal_new(d->base, SIGTERM, snapcd_signal, d);
	d->events[3] = evsignal_new(d->base, SIGINT, snapcd_signal, d);
	for (size_t i = 0; i < sizeof(d->events) / sizeof(d->events[0]); i++)
		if (d->events[i] && event_add(d->events[i], NULL) < 0)
			return cr_err_set(err, ENOMEM, "no memory for events");
	return 0;
}

/* mpirun's words, for people. */
static void snapcd_command(pid_t pid, char *text, size_t room)
{
	char path[64];
	ssize_t n;
	int fd;

	text[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, text, room - 1);
	close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n > 0 ? n : 0] = 0;
}

static int snapcd_register(struct snapcd *d, struct cr_err *err)
{
	const char *slurm = getenv("SLURM_JOB_ID");
	struct snapc_registry_entry *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return cr_err_set(err, ENOMEM, "no memory for the registry entry");
	e->mpirun_pid = d->settings.mpirun_pid;
	e->mpirun_start = snapc_process_start(e->mpirun_pid);
	e->snapcd_pid = getpid();
	e->uid = geteuid();
	e->started = (int64_t)time(NULL);
	snprintf(e->job, sizeof(e->job), "%s", d->settings.job_id);
	snprintf(e->slurm_job, sizeof(e->slurm_job), "%s", slurm ? slurm : "");
	if (gethostname(e->host, sizeof(e->host) - 1) < 0)
		e->host[0] = 0;
	snprintf(e->snapc_socket, sizeof(e->snapc_socket), "%s", d->agent_socket);
	snprintf(e->tool_socket, sizeof(e->tool_socket), "%s", d->settings.tool_socket);
	snprintf(e->snapshot_dir, sizeof(e->snapshot_dir), "%s", d->settings.snapshot_dir);
	snprintf(e->ref, sizeof(e->ref), "%s", d->settings.ref);
	snapcd_command(e->mpirun_pid, e->command, sizeof(e->command));
	rc = snapc_registry_add(e, d->registry_path, err);
	free(e);
	if (rc < 0)
		d->registry_path[0] = 0;
	return rc;
}

/* Two descriptors for every process of the job. */
static void snapcd_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return;
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		snapc_log(SNAPC_LOG_DEBUG, "the limit of open files stays as it is: %s", strerror(errno));
}

static int snapcd_init(struct snapcd *d, struct cr_err *err)
{
	int rc;

	d->base = event_base_new();
	if (!d->base)
		return cr_err_set(err, ENOMEM, "no event loop");
	d->link = snapc_link_queue_create(d->base);
	if (!d->link)
		return cr_err_set(err, ENOMEM, "no memory");
	rc = snapc_global_create(d->base, &d->settings, snapc_link_queue_global(d->link), &d->global, err);
	if (rc == 0)
		rc = snapc_local_create(d->base, d->agent_socket, 0, snapc_link_queue_local(d->link), &d->local, err);
	if (rc == 0)
		rc = snapcd_watch(d, err);
	if (rc == 0)
		rc = snapcd_register(d, err);
	return rc;
}

static void snapcd_fini(struct snapcd *d)
{
	if (d->registry_path[0])
		snapc_registry_remove(d->registry_path);
	snapc_global_destroy(d->global);
	snapc_local_destroy(d->local);
	snapc_link_queue_destroy(d->link);
	for (size_t i = 0; i < sizeof(d->events) / sizeof(d->events[0]); i++)
		if (d->events[i])
			event_free(d->events[i]);
	if (d->base)
		event_base_free(d->base);
	if (d->pidfd > 0)
		close(d->pidfd);
}

/* One line to the component that waits for us. */
static void snapcd_report(const struct snapcd *d, const char *word, const char *text)
{
	char line[CR_ERR_TEXT_BYTES + 16];
	int n = snprintf(line, sizeof(line), "%s%s%s\n", word, *text ? ": " : "", text);

	if (d->settings.mpirun_fd >= 0 && send(d->settings.mpirun_fd, line, (size_t)n, MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		n = (int)write(d->settings.mpirun_fd, line, (size_t)n);
}

int main(int argc, char **argv)
{
	struct snapcd d = { .pidfd = -1 };
	struct cr_err err = { "" };
	int rc;

	rc = snapcd_options(&d, argc, argv);
	if (rc)
		return rc < 0 ? 2 : 0;
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	snapc_log_init();
	snapcd_limits();
	rc = snapcd_descriptors(&d, &err);
	if (rc == 0 && chdir("/") == 0)
		rc = snapcd_init(&d, &err);
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "%s", err.text);
		snapcd_report(&d, "error", err.text);
	} else {
		snapc_log(SNAPC_LOG_INFO, "job %s (mpirun %d): ready, snapshots in %s/%s", d.settings.job_id, (int)d.settings.mpirun_pid,
			  d.settings.snapshot_dir, d.settings.ref);
		snapcd_report(&d, "ready", "");
		event_base_dispatch(d.base);
	}
	snapcd_fini(&d);
	return rc < 0 ? 1 : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapcd - the snapshot coordinator of a job.  Started beside mpirun by its component, ends with mpirun.
 *
 * There it plays both roles: local (agents of the ranks) and global (the job, the tools), joined by an in-process link.  On every other node of the
 * job the component in orted starts one that plays the local role alone, and a TCP connection is the link.
 *
 * It is two processes: the daemon, which does all this, and its supervisor, which opened the sockets and puts a new daemon into the place of one that died.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "snapc/listener.h"
#include "snapc/log.h"
#include "snapc/registry.h"
#include "snapc/settings.h"
#include "snapc/snapcd_private.h"

#define LISTEN_PAUSE_MS 50
#define LISTEN_TRIES 200

/* Nothing of mpirun's may be held open by us: its pipes would never end. */
static int snapcd_descriptors(const struct snapcd *d, struct cr_err *err)
{
	int fd = d->o.settings.mpirun_fd, log;

	if (fd > 2) {
		if (fd > 3)
			close_range(3, (unsigned)fd - 1, 0);
		close_range((unsigned)fd + 1, ~0u, 0);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	} else {
		close_range(3, ~0u, 0);
	}
	if (!d->o.log_file)
		return 0;
	log = open(d->o.log_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (log < 0)
		return cr_err_set(err, errno, "cannot open the log %s: %s", d->o.log_file, strerror(errno));
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	close(log);
	return 0;
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

/* One line to the component that waits for us. */
void snapcd_report(const struct snapcd *d, const char *word, const char *text)
{
	char line[SNAPC_LINE_BYTES + 16];
	int n = snprintf(line, sizeof(line), "%s%s%s\n", word, *text ? ": " : "", text);

	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	if (d->o.settings.mpirun_fd >= 0 && send(d->o.settings.mpirun_fd, line, (size_t)n, MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		n = (int)write(d->o.settings.mpirun_fd, line, (size_t)n);
}


/* --- the daemon --- */

static void snapcd_mpirun_gone(evutil_socket_t fd, short what, void *arg)
{
	struct snapcd *d = arg;

	(void)fd;
	(void)what;
	snapc_log(SNAPC_LOG_DEBUG, "%s %d has ended", d->global ? "mpirun" : "orted", (int)d->o.settings.mpirun_pid);
	event_del(d->events[0]);
	if (!d->global) { /* the agents see the end of their connections, as far as they are still there */
		event_base_loopbreak(d->base);
		return;
	}
	snapcd_global_unregister(d);
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
	snapc_log(SNAPC_LOG_INFO, "ending by signal %d: " SNAPC_WORDS_UNPROTECTED, (int)number);
	snapcd_report(d, "ended", "");
	if (d->global)
		snapc_global_leave(d->global);
	else
		event_base_loopbreak(d->base);
}

/* It never ends before us of its own will. */
static void snapcd_supervisor_says(evutil_socket_t fd, short what, void *arg)
{
	struct snapcd *d = arg;
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	(void)what;
	if (n == 1) {
		snapc_supervisor_tell(d->control, SNAPC_SUPERVISOR_ALIVE);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	event_free(d->events[4]);
	d->events[4] = NULL;
	d->control = snapc_supervisor_again(&d->supervised, d->control);
	snapc_log(SNAPC_LOG_ERROR, "the supervisor of this daemon has died%s", d->control < 0 ? ", and no other can be made" : ": a new one takes its place");
	if (d->control >= 0)
		d->events[4] = event_new(d->base, d->control, EV_READ | EV_PERSIST, snapcd_supervisor_says, d);
	if (d->events[4])
		event_add(d->events[4], NULL);
}

static int snapcd_watch(struct snapcd *d, struct cr_err *err)
{
	d->events[0] = event_new(d->base, d->kept.pidfd, EV_READ | EV_PERSIST, snapcd_mpirun_gone, d);
	d->events[1] = d->o.settings.mpirun_fd < 0 ? NULL :
						  event_new(d->base, d->o.settings.mpirun_fd, EV_READ | EV_PERSIST, snapcd_mpirun_says, d);
	d->events[2] = evsignal_new(d->base, SIGTERM, snapcd_signal, d);
	d->events[3] = evsignal_new(d->base, SIGINT, snapcd_signal, d);
	d->events[4] = event_new(d->base, d->control, EV_READ | EV_PERSIST, snapcd_supervisor_says, d);
	for (size_t i = 0; i < sizeof(d->events) / sizeof(d->events[0]); i++)
		if (d->events[i] && event_add(d->events[i], NULL) < 0)
			return cr_err_set(err, ENOMEM, "no memory for events");
	return 0;
}

static int snapcd_init(struct snapcd *d, bool again, struct cr_err *err)
{
	int rc;

	d->base = event_base_new();
	if (!d->base)
		return cr_err_set(err, ENOMEM, "no event loop");
	rc = d->o.node ? snapcd_node_init(d, err) : snapcd_global_init(d, again, err);
	return rc < 0 ? rc : snapcd_watch(d, err);
}

static void snapcd_fini(struct snapcd *d)
{
	snapcd_global_unregister(d);
	snapc_link_tree_destroy(d->tree);
	snapc_link_relay_destroy(d->relay);
	snapc_global_destroy(d->global);
	snapc_local_destroy(d->local);
	snapc_link_gather_destroy(d->gather);
	snapc_link_client_destroy(d->client);
	snapc_link_queue_destroy(d->link);
	snapc_auth_destroy(&d->kept.auth);
	for (size_t i = 0; i < sizeof(d->events) / sizeof(d->events[0]); i++)
		if (d->events[i])
			event_free(d->events[i]);
	if (d->leftover)
		event_free(d->leftover);
	if (d->base)
		event_base_free(d->base);
}

static void snapcd_clear(struct snapcd *d, int control)
{
	d->base = NULL;
	d->control = control;
	d->link = NULL;
	d->tree = NULL;
	d->relay = NULL;
	d->gather = NULL;
	d->connected = false;
	d->client = NULL;
	d->local = NULL;
	d->global = NULL;
	d->leftover = NULL;
	d->leftover_rounds = 0;
	d->registry_path[0] = 0;
	memset(d->events, 0, sizeof(d->events));
}

/* One daemon's life. */
static int snapcd_work(void *arg, int control, bool again)
{
	struct snapcd *d = arg;
	struct cr_err err = { "" };
	int rc;

	snapcd_clear(d, control);
	rc = snapcd_init(d, again, &err);
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "%s", err.text);
		if (d->kept.shared->ready) /* there will be others: what they need stays */
			return 1;
		snapcd_report(d, "error", err.text);
	} else {
		if (again)
			snapc_log(SNAPC_LOG_INFO, "job %s: in the place of a daemon that has died", d->o.settings.job_id);
		else if (d->global)
			snapc_log(SNAPC_LOG_INFO, "job %s (mpirun %d): ready, snapshots in %s/%s", d->o.settings.job_id,
				  (int)d->o.settings.mpirun_pid, d->o.settings.snapshot_dir, d->o.settings.ref);
		if (!d->kept.shared->ready && d->global)
			snapcd_global_ready(d);
		else if (!d->kept.shared->ready)
			snapcd_report(d, "ready", "");
		d->kept.shared->ready = 1;
		event_base_dispatch(d->base);
	}
	snapc_supervisor_tell(d->control, SNAPC_SUPERVISOR_LEAVING);
	snapcd_fini(d);
	return rc < 0 ? 1 : 0;
}

/* --- the supervisor --- */

/* All ranks are on this node. */
static void snapcd_keep_alone(void *arg)
{
	struct snapcd *d = arg;

	if (d->kept.nodes >= 0)
		close(d->kept.nodes);
	d->kept.nodes = -1;
	memset(&d->kept.auth, 0, sizeof(d->kept.auth));
}

static void snapcd_given_up(void *arg)
{
	struct snapcd *d = arg;

	snprintf(d->registry_path, sizeof(d->registry_path), "%s", d->kept.shared->registry_path);
	snapcd_global_unregister(d);
	snapc_auth_destroy(&d->kept.auth);
	snapcd_report(d, "ended", "");
}

static const int *snapcd_keep(void *arg, size_t *ret_n)
{
	struct snapcd *d = arg;
	const int list[] = { d->kept.agents, d->kept.tools, d->kept.nodes, d->kept.pidfd, d->o.settings.mpirun_fd };

	memcpy(d->kept.list, list, sizeof(list));
	*ret_n = sizeof(list) / sizeof(list[0]);
	return d->kept.list;
}

/* mpirun may see the end of a process before the kernel has closed all that it had open. */
bool snapcd_in_use(const struct snapcd *d, int rc, unsigned *tries)
{
	const struct timespec pause = { .tv_nsec = LISTEN_PAUSE_MS * 1000000L };

	return rc == -EADDRINUSE && d->o.again && (*tries)++ < LISTEN_TRIES && nanosleep(&pause, NULL) == 0;
}

int snapcd_listen(const struct snapcd *d, const char *name, int *ret_fd, struct cr_err *err)
{
	unsigned tries = 0;
	int rc;

	do
		rc = snapc_listener_open(name, ret_fd, err);
	while (snapcd_in_use(d, rc, &tries));
	return rc;
}

/* What every daemon of this job needs. */
static int snapcd_open(struct snapcd *d, struct cr_err *err)
{
	d->kept.agents = d->kept.tools = d->kept.nodes = -1;
	d->kept.shared = mmap(NULL, sizeof(*d->kept.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d->kept.shared == MAP_FAILED)
		return cr_err_set(err, ENOMEM, "no memory");
	d->kept.pidfd = (int)syscall(SYS_pidfd_open, d->o.settings.mpirun_pid, 0);
	if (d->kept.pidfd < 0)
		return cr_err_set(err, errno, "mpirun %d cannot be watched: %s", (int)d->o.settings.mpirun_pid, strerror(errno));
	return d->o.node ? snapcd_node_open(d, err) : snapcd_global_open(d, err);
}

int main(int argc, char **argv)
{
	static struct snapcd d;
	struct cr_err err = { "" };
	int rc;

	rc = snapcd_options_parse(&d.o, argc, argv);
	if (rc)
		return rc < 0 ? 2 : 0;
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	snapc_log_init();
	snapcd_limits();
	rc = snapcd_descriptors(&d, &err);
	if (rc == 0 && chdir("/") == 0)
		rc = snapcd_open(&d, &err);
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "%s", err.text);
		snapcd_report(&d, "error", err.text);
		return 1;
	}
	d.supervised = (struct snapc_supervised){ .work = snapcd_work, .alone = snapcd_keep_alone, .given_up = snapcd_given_up, .keep = snapcd_keep,
						  .watchdog_s = (unsigned)snapc_setting_number(SNAPC_SETTING_WATCHDOG), .arg = &d };
	return snapc_supervise(&d.supervised);
}

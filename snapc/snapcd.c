/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapcd - the snapshot coordinator of a job.  Started beside mpirun by its component, ends with mpirun.
 *
 * There it plays both roles: local (agents of the ranks) and global (the job, the tools), joined by an in-process link.  On every other node of the
 * job the component in orted starts one that plays the local role alone, and a TCP connection is the link.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "snapc/auth.h"
#include "snapc/line.h"
#include "snapc/link_client.h"
#include "snapc/link_server.h"
#include "snapc/local.h"
#include "snapc/log.h"
#include "snapc/registry.h"
#include "snapc/settings.h"
#include "snapc/snapcd_options.h"

struct snapcd {
	struct snapcd_options o;
	struct event_base *base;
	struct snapc_link_queue *link;     /* global role: to the local role in this process */
	struct snapc_link_server *server;  /* global role: from other nodes */
	struct snapc_link_client *client;  /* local role: to the global role */
	struct snapc_auth auth;
	struct snapc_local *local;
	struct snapc_global *global;
	struct snapc_words coordinator;    /* local role; points into coordinator_text */
	char coordinator_text[SNAPC_LINE_BYTES];
	int pidfd;
	struct event *events[4]; /* end of mpirun, its socket, SIGTERM, SIGINT */
	char registry_path[PATH_MAX];
};

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
	if (d->global)
		snapc_global_leave(d->global);
	else
		event_base_loopbreak(d->base);
}

static int snapcd_watch(struct snapcd *d, struct cr_err *err)
{
	d->pidfd = (int)syscall(SYS_pidfd_open, d->o.settings.mpirun_pid, 0);
	if (d->pidfd < 0)
		return cr_err_set(err, errno, "mpirun %d cannot be watched: %s", (int)d->o.settings.mpirun_pid, strerror(errno));
	d->events[0] = event_new(d->base, d->pidfd, EV_READ | EV_PERSIST, snapcd_mpirun_gone, d);
	d->events[1] = d->o.settings.mpirun_fd < 0 ? NULL :
						  event_new(d->base, d->o.settings.mpirun_fd, EV_READ | EV_PERSIST, snapcd_mpirun_says, d);
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
	const char *slurm = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");
	struct snapc_registry_entry *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return cr_err_set(err, ENOMEM, "no memory for the registry entry");
	e->mpirun_pid = d->o.settings.mpirun_pid;
	e->mpirun_start = snapc_process_start(e->mpirun_pid);
	e->snapcd_pid = getpid();
	e->uid = geteuid();
	e->started = (int64_t)time(NULL);
	snprintf(e->job, sizeof(e->job), "%s", d->o.settings.job_id);
	/* a member of an array has two names */
	snprintf(e->slurm_job, sizeof(e->slurm_job), "%.20s%s%.20s%s%.20s", slurm ? slurm : "", slurm && array && task ? "," : "",
		 slurm && array && task ? array : "", slurm && array && task ? "_" : "", slurm && array && task ? task : "");
	if (gethostname(e->host, sizeof(e->host) - 1) < 0)
		e->host[0] = 0;
	snprintf(e->snapc_socket, sizeof(e->snapc_socket), "%s", d->o.agent_socket);
	snprintf(e->tool_socket, sizeof(e->tool_socket), "%s", d->o.settings.tool_socket);
	snprintf(e->snapshot_dir, sizeof(e->snapshot_dir), "%s", d->o.settings.snapshot_dir);
	snprintf(e->ref, sizeof(e->ref), "%s", d->o.settings.ref);
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

/* --- global role: other nodes --- */

static int64_t snapcd_node_up(void *arg, struct snapc_link *link, const char *host)
{
	struct snapcd *d = arg;

	return snapc_global_node_add(d->global, link, host);
}

static void snapcd_node_down(void *arg, uint32_t node, const char *why)
{
	struct snapcd *d = arg;

	(void)why;
	snapc_global_node_remove(d->global, node);
}

static void snapcd_alone(void *arg)
{
	struct snapcd *d = arg;

	if (!d->server)
		return;
	snapc_log(SNAPC_LOG_DEBUG, "all ranks are on this node: the port for other nodes is closed");
	snapc_link_server_shut(d->server);
	snapc_auth_destroy(&d->auth);
}

/* A job on one node does not need this, so a failure is told and no more. */
static void snapcd_serve_nodes(struct snapcd *d)
{
	const struct snapc_link_server_user user = { .node_up = snapcd_node_up, .node_down = snapcd_node_down, .arg = d };
	struct cr_err err = { "" };
	int rc;

	rc = snapc_auth_create(d->o.auth, d->o.settings.snapshot_dir, &d->auth, &err);
	if (rc == 0)
		rc = snapc_link_server_create(d->base, &d->auth, d->o.port, d->o.network, &user, &d->server, &err);
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "ranks on other nodes cannot be checkpointed: %s", err.text);
		snapc_auth_destroy(&d->auth);
		return;
	}
	snapc_log(SNAPC_LOG_INFO, "other nodes: %s, %s", snapc_link_server_addresses(d->server),
		  d->auth.method == SNAPC_AUTH_MUNGE ? "with munge" : "without munge: by a secret of the job in the snapshot directory");
}

static int snapcd_init_global(struct snapcd *d, struct cr_err *err)
{
	int rc;

	d->link = snapc_link_queue_create(d->base);
	if (!d->link)
		return cr_err_set(err, ENOMEM, "no memory");
	d->o.settings.interval = (uint32_t)snapc_setting_number(SNAPC_SETTING_INTERVAL);
	d->o.settings.mtbf_hours = (uint32_t)snapc_setting_number(SNAPC_SETTING_MTBF);
	d->o.settings.alone = snapcd_alone;
	d->o.settings.arg = d;
	rc = snapc_global_create(d->base, &d->o.settings, snapc_link_queue_global(d->link), &d->global, err);
	if (rc == 0)
		rc = snapc_local_create(d->base, d->o.agent_socket, snapc_link_queue_local(d->link), &d->local, err);
	if (rc < 0)
		return rc;
	snapc_local_connected(d->local, 0);
	snapcd_serve_nodes(d);
	return snapcd_register(d, err);
}

/* --- local role --- */

static void snapcd_up(void *arg, uint32_t node)
{
	struct snapcd *d = arg;

	snapc_log(SNAPC_LOG_INFO, "job %s: connected to the coordinator, as node %u", d->o.settings.job_id, node);
	snapc_local_connected(d->local, node);
}

static void snapcd_down(void *arg)
{
	struct snapcd *d = arg;

	snapc_local_disconnected(d->local);
}

static void snapcd_failed(void *arg, const char *why)
{
	(void)arg;
	snapc_log(SNAPC_LOG_ERROR, "no connection to the coordinator: %s", why);
}

static int snapcd_init_local(struct snapcd *d, struct cr_err *err)
{
	const struct snapc_link_client_user user = { .up = snapcd_up, .down = snapcd_down, .failed = snapcd_failed, .arg = d };
	const char *text = getenv(CR_ENV_COORDINATOR);
	int rc;

	snprintf(d->coordinator_text, sizeof(d->coordinator_text), "%s", text ? text : "");
	if (snapc_line_parse(d->coordinator_text, &d->coordinator) < 0 || snapc_words_number(&d->coordinator, "version", 1, 0) != 1)
		return cr_err_set(err, EINVAL, CR_ENV_COORDINATOR " does not say where the coordinator is");
	rc = snapc_auth_join(snapc_words_get(&d->coordinator, "key", ""), snapc_words_get(&d->coordinator, "auth", ""), &d->auth, err);
	d->auth.secret_path[0] = 0; /* the coordinator removes it */
	if (rc == 0)
		rc = snapc_link_client_create(d->base, &d->auth, snapc_words_get(&d->coordinator, "addresses", ""), &user, &d->client, err);
	if (rc == 0)
		rc = snapc_local_create(d->base, d->o.agent_socket, snapc_link_client_link(d->client), &d->local, err);
	return rc;
}

static int snapcd_init(struct snapcd *d, struct cr_err *err)
{
	int rc;

	d->base = event_base_new();
	if (!d->base)
		return cr_err_set(err, ENOMEM, "no event loop");
	rc = d->o.node ? snapcd_init_local(d, err) : snapcd_init_global(d, err);
	return rc < 0 ? rc : snapcd_watch(d, err);
}

static void snapcd_fini(struct snapcd *d)
{
	if (d->registry_path[0])
		snapc_registry_remove(d->registry_path);
	snapc_link_server_destroy(d->server);
	snapc_global_destroy(d->global);
	snapc_local_destroy(d->local);
	snapc_link_client_destroy(d->client);
	snapc_link_queue_destroy(d->link);
	snapc_auth_destroy(&d->auth);
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
	char line[SNAPC_LINE_BYTES + 16];
	int n = snprintf(line, sizeof(line), "%s%s%s\n", word, *text ? ": " : "", text);

	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	if (d->o.settings.mpirun_fd >= 0 && send(d->o.settings.mpirun_fd, line, (size_t)n, MSG_NOSIGNAL) < 0 && errno == ENOTSOCK)
		n = (int)write(d->o.settings.mpirun_fd, line, (size_t)n);
}

/* What other nodes have to know; the component hands it on to them. */
static void snapcd_ready(const struct snapcd *d)
{
	char method[PATH_MAX];
	struct snapc_line line;

	if (!d->server) {
		snapcd_report(d, "ready", "");
		return;
	}
	snapc_auth_method_text(&d->auth, method, sizeof(method));
	snapc_line_begin(&line, "coordinator");
	snapc_line_add(&line, "version", "1");
	snapc_line_add(&line, "key", "%s", d->auth.key);
	snapc_line_add(&line, "auth", "%s", method);
	snapc_line_add(&line, "addresses", "%s", snapc_link_server_addresses(d->server));
	line.text[line.used] = 0;
	snapcd_report(d, "ready", line.text);
}

int main(int argc, char **argv)
{
	struct snapcd d = { .pidfd = -1 };
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
		rc = snapcd_init(&d, &err);
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "%s", err.text);
		snapcd_report(&d, "error", err.text);
	} else {
		if (d.global)
			snapc_log(SNAPC_LOG_INFO, "job %s (mpirun %d): ready, snapshots in %s/%s", d.o.settings.job_id,
				  (int)d.o.settings.mpirun_pid, d.o.settings.snapshot_dir, d.o.settings.ref);
		snapcd_ready(&d);
		event_base_dispatch(d.base);
	}
	snapcd_fini(&d);
	return rc < 0 ? 1 : 0;
}

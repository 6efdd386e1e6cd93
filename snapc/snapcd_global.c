/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon beside mpirun: both roles, the registry, other nodes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "snapc/link_stream.h"
#include "snapc/listener.h"
#include "snapc/log.h"
#include "snapc/registry.h"
#include "snapc/settings.h"
#include "snapc/snapcd_private.h"
#include "snapc/snapshot.h"

/* The ranks on other nodes learn a moment later that their checkpoint is over, and may still make a file. */
#define LEFTOVER_ROUNDS 3
#define LEFTOVER_SECONDS 2

/* --- in the supervisor --- */

/* Key, port and secret that the nodes have been told: those of a coordinator whose processes are gone. */
static int global_join_nodes(struct snapcd *d, unsigned *ret_port, struct cr_err *err)
{
	const char *text = getenv(CR_ENV_COORDINATOR), *colon;
	int rc;

	snprintf(d->coordinator_text, sizeof(d->coordinator_text), "%s", text ? text : "");
	if (snapc_line_parse(d->coordinator_text, &d->coordinator) < 0 || snapc_words_number(&d->coordinator, "version", 1, 0) != 1)
		return cr_err_set(err, EINVAL, "the coordinator before this one served no other nodes");
	rc = snapc_auth_join(snapc_words_get(&d->coordinator, "key", ""), snapc_words_get(&d->coordinator, "auth", ""), &d->kept.auth, err);
	colon = strrchr(snapc_words_get(&d->coordinator, "addresses", ""), ':');
	*ret_port = colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
	return rc;
}

/* A job on one node does not need this, so a failure is told and no more. */
static void global_open_nodes(struct snapcd *d)
{
	struct cr_err err = { "" };
	unsigned port = d->o.port, tries = 0;
	int rc;

	rc = d->o.again ? global_join_nodes(d, &port, &err) : snapc_auth_create(d->o.auth, d->o.settings.snapshot_dir, &d->kept.auth, &err);
	if (rc == 0) {
		do
			rc = snapc_link_server_listen(port, d->o.network, &d->kept.nodes, d->kept.addresses, &err);
		while (snapcd_in_use(d, rc, &tries));
	}
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "ranks on other nodes cannot be checkpointed: %s", err.text);
		snapc_auth_destroy(&d->kept.auth);
		return;
	}
	snapc_log(SNAPC_LOG_INFO, "other nodes: %s, %s", d->kept.addresses,
		  d->kept.auth.method == SNAPC_AUTH_MUNGE ? "with munge" : "without munge: by a secret of the job in the snapshot directory");
}

/* What those before us did not finish is known from the disk alone. Numbers go on where nobody has been: the agents remember theirs. */
static void global_inherit(struct snapcd *d)
{
	struct snapc_snapshot_place *begun = &d->kept.shared->begun;
	struct dirent *e;
	unsigned seq;
	int end;
	DIR *dir;

	d->kept.shared->number = (uint32_t)time(NULL);
	if (snprintf(begun->dir, sizeof(begun->dir), "%s/%s", d->o.settings.snapshot_dir, d->o.settings.ref) >= (int)sizeof(begun->dir)) {
		begun->dir[0] = 0;
		return;
	}
	dir = opendir(begun->dir);
	while (dir && (e = readdir(dir))) {
		end = 0;
		if (sscanf(e->d_name, "%u.tmp%n", &seq, &end) == 1 && end && !e->d_name[end]) {
			begun->seq = seq;
			closedir(dir);
			return;
		}
	}
	if (dir)
		closedir(dir);
	begun->dir[0] = 0;
}

int snapcd_global_open(struct snapcd *d, struct cr_err *err)
{
	int rc;

	d->kept.fanin = (uint32_t)snapc_setting_number(SNAPC_SETTING_FANIN);
	rc = snapcd_listen(d, d->o.agent_socket, &d->kept.agents, err);
	if (rc == 0)
		rc = snapcd_listen(d, d->o.settings.tool_socket, &d->kept.tools, err);
	if (rc < 0)
		return rc;
	global_open_nodes(d);
	if (d->o.again)
		global_inherit(d);
	return 0;
}

/* --- in the daemon: the registry --- */

/* mpirun's words, for people. */
static void global_command(pid_t pid, char *text, size_t room)
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

static struct snapc_registry_entry *global_entry(const struct snapcd *d)
{
	const char *slurm = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");
	struct snapc_registry_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
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
	global_command(e->mpirun_pid, e->command, sizeof(e->command));
	return e;
}

static int global_register(struct snapcd *d, struct cr_err *err)
{
	struct snapc_registry_entry *e = global_entry(d);
	int rc;

	if (!e)
		return cr_err_set(err, ENOMEM, "no memory for the registry entry");
	rc = snapc_registry_add(e, d->registry_path, err);
	free(e);
	if (rc < 0)
		d->registry_path[0] = 0;
	memcpy(d->kept.shared->registry_path, d->registry_path, sizeof(d->registry_path));
	return rc;
}

/* What other nodes have to know. */
static void global_line(const struct snapcd *d, struct snapc_line *line)
{
	char method[PATH_MAX];

	snapc_auth_method_text(&d->kept.auth, method, sizeof(method));
	snapc_line_begin(line, "coordinator");
	snapc_line_add(line, "version", "1");
	snapc_line_add(line, "key", "%s", d->kept.auth.key);
	snapc_line_add(line, "auth", "%s", method);
	snapc_line_add(line, "fanin", "%u", d->kept.fanin);
	snapc_line_add(line, "network", "%s", d->o.network ? d->o.network : "");
	snapc_line_add(line, "port", "%u", d->o.port);
	snapc_line_add(line, "addresses", "%s", d->kept.addresses);
	line->text[line->used] = 0;
}

/* For tools on other nodes, as soon as there are some that could have them. A job without them is as well protected. */
static void global_contact(struct snapcd *d)
{
	struct snapc_registry_entry *e;
	struct cr_err err = { "" };
	struct snapc_line line;

	if (d->kept.shared->contact_path[0] || !snapc_setting_number(SNAPC_SETTING_REMOTE_TOOLS))
		return;
	e = global_entry(d);
	if (!e)
		return;
	global_line(d, &line);
	snprintf(e->coordinator, sizeof(e->coordinator), "%s", line.text);
	if (snapc_registry_add_far(e, d->kept.shared->contact_path, &err) < 0) {
		snapc_log(SNAPC_LOG_ERROR, "tools on other nodes will not find this job: %s", err.text);
		d->kept.shared->contact_path[0] = 0;
	}
	free(e);
}

void snapcd_global_unregister(struct snapcd *d)
{
	if (d->registry_path[0])
		snapc_registry_remove(d->registry_path);
	if (d->kept.shared->contact_path[0])
		snapc_registry_remove(d->kept.shared->contact_path);
	d->registry_path[0] = d->kept.shared->contact_path[0] = 0;
}

/* --- other nodes --- */

static int64_t global_node_up(void *arg, struct snapc_link *link, const char *host)
{
	struct snapcd *d = arg;

	global_contact(d);
	return snapc_global_node_add(d->global, link, host);
}

static void global_node_down(void *arg, uint32_t node)
{
	struct snapcd *d = arg;

	snapc_global_node_remove(d->global, node);
}

static void global_tool(void *arg, struct bufferevent *stream, const char *who)
{
	struct snapcd *d = arg;

	snapc_global_tool_adopt(d->global, stream, who);
}

static void global_alone(void *arg)
{
	struct snapcd *d = arg;

	if (!d->tree || snapc_setting_number(SNAPC_SETTING_REMOTE_TOOLS) == 2)
		return;
	snapc_log(SNAPC_LOG_DEBUG, "all ranks are on this node: the port for other nodes is closed");
	snapc_link_tree_shut(d->tree);
	snapc_auth_destroy(&d->kept.auth);
	close(d->kept.nodes);
	d->kept.nodes = -1;
	snapc_supervisor_tell(d->control, SNAPC_SUPERVISOR_ALONE);
}

static void global_count(void *arg, struct snapc_line *line)
{
	const struct snapc_link_counts *counts = snapc_link_stream_counts();
	struct snapcd *d = arg;
	uint32_t nodes, children;

	snapc_link_tree_count(d->tree, &nodes, &children);
	snapc_line_add(line, "nodes", "%u", nodes);
	snapc_line_add(line, "connections", "%u", children);
	snapc_line_add(line, "frames_in", "%" PRIu64, counts->frames_in);
	snapc_line_add(line, "frames_out", "%" PRIu64, counts->frames_out);
	snapc_line_add(line, "messages_in", "%" PRIu64, counts->messages_in);
	snapc_line_add(line, "messages_out", "%" PRIu64, counts->messages_out);
}

/* --- what a daemon that died has left --- */

static void global_leftover(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval pause = { .tv_sec = LEFTOVER_SECONDS };
	struct snapcd *d = arg;
	const struct snapc_snapshot_place *begun = &d->kept.shared->begun;

	(void)fd;
	(void)what;
	if (!begun->dir[0] || d->kept.shared->number != d->leftover_number)
		return; /* another checkpoint has begun since, and has swept */
	snapc_snapshot_undo(begun->dir, begun->seq);
	if (++d->leftover_rounds < LEFTOVER_ROUNDS)
		evtimer_add(d->leftover, &pause);
	else
		d->kept.shared->begun.dir[0] = 0;
}

static int global_leftover_init(struct snapcd *d, struct cr_err *err)
{
	if (!d->kept.shared->begun.dir[0])
		return 0;
	d->leftover_number = d->kept.shared->number;
	d->leftover = evtimer_new(d->base, global_leftover, d);
	if (!d->leftover)
		return cr_err_set(err, ENOMEM, "no memory for a timer");
	snapc_log(SNAPC_LOG_INFO, "sequence %u of %s was not finished: what there is of it is removed", d->kept.shared->begun.seq,
		  d->kept.shared->begun.dir);
	global_leftover(-1, 0, d);
	return 0;
}

int snapcd_global_init(struct snapcd *d, bool again, struct cr_err *err)
{
	const struct snapc_link_tree_user user = { .node_up = global_node_up, .node_down = global_node_down, .tool = global_tool, .arg = d };
	int rc;

	d->link = snapc_link_queue_create(d->base);
	if (!d->link)
		return cr_err_set(err, ENOMEM, "no memory");
	d->o.settings.interval = (uint32_t)snapc_setting_number(SNAPC_SETTING_INTERVAL);
	d->o.settings.mtbf_hours = (uint32_t)snapc_setting_number(SNAPC_SETTING_MTBF);
	d->o.settings.alone = global_alone;
	d->o.settings.count = global_count;
	d->o.settings.arg = d;
	d->o.settings.tool_fd = d->kept.tools;
	d->o.settings.number = &d->kept.shared->number;
	d->o.settings.begun = &d->kept.shared->begun;
	rc = again || d->o.again ? global_leftover_init(d, err) : 0;
	if (rc == 0)
		rc = snapc_global_create(d->base, &d->o.settings, snapc_link_queue_global(d->link), &d->global, err);
	if (rc == 0)
		rc = snapc_local_create(d->base, d->kept.agents, snapc_link_queue_local(d->link), &d->local, err);
	if (rc == 0 && d->kept.nodes >= 0)
		rc = snapc_link_tree_create(d->base, &d->kept.auth, d->kept.nodes, d->kept.fanin, &user, &d->tree, err);
	if (rc < 0)
		return rc;
	snapc_local_connected(d->local, 0, 0);
	if (d->tree && snapc_setting_number(SNAPC_SETTING_REMOTE_TOOLS) == 2)
		global_contact(d);
	return global_register(d, err);
}

/* The component in mpirun hands it on to the nodes. */
void snapcd_global_ready(const struct snapcd *d)
{
	struct snapc_line line;

	if (!d->tree) {
		snapcd_report(d, "ready", "");
		return;
	}
	global_line(d, &line);
	snapcd_report(d, "ready", line.text);
}

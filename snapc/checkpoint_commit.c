/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Phase commit: a child process writes the metadata, so that a storage that hangs stops neither the daemon nor its deadlines.
 * The child has nothing to undo: a commit that it did not finish is swept (snapshot.h).
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "snapc/checkpoint_private.h"
#include "snapc/log.h"
#include "snapc/meta.h"
#include "snapc/snapshot.h"
#include "snapc/snapshot_disk.h"

#define KILLED_CHILD_MS 2000

struct commit_answer {
	int32_t rc;
	char text[CR_ERR_TEXT_BYTES];
};

/* In the child. */
static void commit_ranks(const struct snapc_checkpoint *c, const struct snapc_checkpoint_node *nodes, struct snapc_rank *ranks,
			struct snapc_rank_times *times, char (*files)[48])
{
	for (uint32_t r = 0; r < c->np; r++) {
		const struct snapc_part *p = &c->parts[r];

		snprintf(files[r], sizeof(files[r]), SNAPC_CONTEXT_FMT, (int)r);
		ranks[r] = (struct snapc_rank){
			.rank = (int32_t)r,
			.pid = p->member.facts.pid,
			.host = nodes[p->member.node].host,
			.engine = p->member.facts.engine,
			.context_file = files[r],
			.file_bytes = p->file.file_bytes,
			.pages = p->file.pages,
			.checksum = p->file.checksum,
			.binding = p->survey.cpus,
			.messages = p->in_flight.messages,
			.message_bytes = p->in_flight.bytes,
			.stopped_ns = p->stopped_ns,
		};
		times[r] = p->times;
	}
}

/* In the child. */
static int commit_write(const struct snapc_checkpoint *c, struct cr_err *err)
{
	struct snapc_rank *ranks = calloc(c->np, sizeof(*ranks));
	struct snapc_rank_times *times = calloc(c->np, sizeof(*times));
	char(*files)[48] = calloc(c->np, sizeof(*files));
	struct snapc_phase phases[SNAPC_PHASE_COUNT];
	const struct snapc_checkpoint_node *from;
	struct snapc_node *nodes;
	struct snapc_snapshot s = { 0 };
	uint32_t nnodes;
	int rc;

	from = c->world->nodes(c->world->arg, &nnodes);
	nodes = calloc(nnodes, sizeof(*nodes));
	if (!ranks || !times || !files || !nodes) {
		rc = cr_err_set(err, ENOMEM, "no memory for the metadata");
		goto out;
	}
	for (uint32_t i = 0; i < nnodes; i++)
		nodes[i] = (struct snapc_node){ .host = from[i].host, .topology_xml = from[i].topology };
	commit_ranks(c, from, ranks, times, files);
	for (uint32_t i = 0; i < SNAPC_PHASE_COUNT; i++) {
		if (!c->times[i].begin_ns)
			continue;
		phases[s.nphases++] = (struct snapc_phase){
			.name = snapc_phase_name((enum snapc_phase_id)i),
			.begin_ns = c->times[i].begin_ns,
			.end_ns = c->times[i].end_ns ? c->times[i].end_ns : snapc_realtime_ns(),
		};
	}
	s.dir = c->dir;
	s.seq = c->seq;
	s.np = c->np;
	s.job = c->world->job;
	s.ranks = ranks;
	s.times = times;
	s.nodes = nodes;
	s.nnodes = nnodes;
	s.phases = phases;
	s.begin_ns = c->times[SNAPC_PHASE_REQUEST].begin_ns;
	s.keep = c->world->keep;
	s.flags = c->options.nosync ? SNAPC_COMMIT_NOSYNC : 0;
	rc = snapc_snapshot_commit(&s, err);
out:
	free(nodes);
	free(files);
	free(times);
	free(ranks);
	return rc;
}

/* It must not outlast the daemon, nor hold the daemon's connections: ranks would not see that they have ended. */
static void commit_detach(pid_t daemon, int fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != daemon)
		_exit(1);
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0u, 0);
}

static void __attribute__((noreturn)) commit_child(const struct snapc_checkpoint *c, pid_t daemon, int fd)
{
	struct commit_answer answer = { 0 };
	struct cr_err err = { "" };

	commit_detach(daemon, fd);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_IGN); /* a commit is not torn by a keyboard */
	if (c->options.fault.action == SNAPC_FAULT_HANG && c->options.fault.phase == SNAPC_PHASE_COMMIT)
		for (;;)
			pause();
	snapc_disk_fault(snapc_fault_disk(&c->options.fault, SNAPC_FAULT_GLOBAL, SNAPC_PHASE_COMMIT));
	answer.rc = commit_write(c, &err);
	memcpy(answer.text, err.text, sizeof(answer.text));
	_exit(write(fd, &answer, sizeof(answer)) == (ssize_t)sizeof(answer) ? 0 : 1);
}

static void commit_reap(struct snapc_checkpoint *c)
{
	if (c->child_event)
		event_free(c->child_event);
	if (c->child_fd >= 0)
		close(c->child_fd);
	if (c->child > 0)
		while (waitpid(c->child, NULL, 0) < 0 && errno == EINTR)
			;
	c->child_event = NULL;
	c->child_fd = -1;
	c->child = 0;
}

static void commit_answered(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_checkpoint *c = arg;
	struct commit_answer answer;
	ssize_t n = read(fd, &answer, sizeof(answer));

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	commit_reap(c);
	if (n != (ssize_t)sizeof(answer)) {
		snapc_checkpoint_fail(c, EIO, "the process that writes the metadata died");
	} else if (answer.rc < 0) {
		answer.text[sizeof(answer.text) - 1] = 0;
		snapc_checkpoint_fail(c, answer.rc, "%s", answer.text);
	} else {
		c->committed = true;
		snapc_checkpoint_progress(c, "established");
	}
	snapc_checkpoint_advance(c);
}

int snapc_commit_start(struct snapc_checkpoint *c, struct cr_err *err)
{
	pid_t daemon = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return cr_err_set(err, errno, "no pipe to the process that writes the metadata: %s", strerror(errno));
	c->child = fork();
	if (c->child < 0) {
		int rc = cr_err_set(err, errno, "no process to write the metadata: %s", strerror(errno));

		close(fds[0]);
		close(fds[1]);
		c->child = 0;
		return rc;
	}
	if (c->child == 0)
		commit_child(c, daemon, fds[1]);
	close(fds[1]);
	c->child_fd = fds[0];
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	c->child_event = event_new(c->world->base, fds[0], EV_READ | EV_PERSIST, commit_answered, c);
	if (!c->child_event || event_add(c->child_event, NULL) < 0)
		return cr_err_set(err, ENOMEM, "no memory for an event"); /* undo kills the child */
	return 0;
}

bool snapc_commit_done(const struct snapc_checkpoint *c)
{
	return c->committed;
}

/* Whether the metadata name the sequence: a child that was killed may have come that far. */
static bool commit_is_valid(const struct snapc_checkpoint *c)
{
	struct snapc_meta *meta;
	const uint32_t *seqs;
	bool found = false;
	uint32_t n;

	if (snapc_meta_open(c->dir, &meta, NULL) < 0)
		return false;
	n = snapc_meta_sequences(meta, &seqs);
	for (uint32_t i = 0; i < n; i++)
		found = found || seqs[i] == c->seq;
	snapc_meta_close(meta);
	return found;
}

void snapc_commit_undo(struct snapc_checkpoint *c)
{
	struct pollfd end = { .events = POLLIN };

	if (c->child <= 0)
		return;
	kill(c->child, SIGKILL);
	/* It dies at once unless the storage holds it in the kernel; then it is left behind as a zombie of ours. */
	end.fd = (int)syscall(SYS_pidfd_open, c->child, 0);
	if (end.fd < 0 || poll(&end, 1, KILLED_CHILD_MS) <= 0) {
		snapc_log(SNAPC_LOG_ERROR, "the process that writes the metadata (%d) does not die: the storage hangs", (int)c->child);
		c->child = 0;
	}
	if (end.fd >= 0)
		close(end.fd);
	commit_reap(c);
	c->committed = commit_is_valid(c);
}

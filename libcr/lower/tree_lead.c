/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The leader of a checkpoint of several processes: coordinator of the other members' agents, and the one agent that its own coordinator sees.
 *
 * A member that executes another program closes its connection and is connected to again; one that ends is dropped. Processes that were made meanwhile
 * are found when all known ones are frozen: then nobody can make any more.
 * Any failure closes the connections, which undoes every member, and removes what was written.
 */
#include "libcr/lower/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcr.h"
#include "libcr/lower/agent_private.h"
#include "libcr/lower/message.h"
#include "libcr/lower/set.h"

#define ANSWER_S 30
#define EXIT_WAIT_MS 10000

enum stage { NOT_CONNECTED, GREETED, BEGUN, READY, FREEZING, MEMBER_FROZEN, DUMPING, MEMBER_SNAPPED, MEMBER_DUMPED };

enum lead_phase { LEAD_IDLE, LEAD_BEGIN, LEAD_READY, LEAD_FREEZE, LEAD_FROZEN, LEAD_DUMP, LEAD_SNAPPED, LEAD_MERGE, LEAD_DONE };

static struct lead {
	enum lead_phase phase;
	struct cr_lead_member *members;
	unsigned int n;
	int epoll_fd;
	int skip;
	int32_t *left; /* who is left out, as of the last look */
	unsigned int n_left;
	int32_t *omitted; /* who has asked for that itself, in a callback */
	unsigned int n_omitted;
	uint64_t deadline_ns;
	struct cr_msg_begin begin;
	struct cr_gathered gathered;
	char path[CR_PATH_BYTES];
	bool sync;
	bool self_dumped;
	int merge_fd; /* result of the merge */
	uint64_t dump_begin_ns;
} lead = { .epoll_fd = -1, .merge_fd = -1, .gathered = { .shared_fd = -1 } };

bool cr_lead_active(void)
{
	return lead.phase != LEAD_IDLE && lead.phase != LEAD_DONE;
}

int cr_lead_fd(void)
{
	return cr_lead_active() ? lead.epoll_fd : -1;
}

int cr_lead_result_fd(void)
{
	return lead.phase == LEAD_MERGE ? lead.merge_fd : -1;
}

static void members_free(void)
{
	for (unsigned int i = 0; i < lead.n; i++) {
		if (lead.members[i].fd >= 0)
			close(lead.members[i].fd);
		free(lead.members[i].ended);
	}
	free(lead.members);
	lead.members = NULL;
	lead.n = 0;
	free(lead.omitted);
	lead.omitted = NULL;
	lead.n_omitted = 0;
	if (lead.epoll_fd >= 0)
		close(lead.epoll_fd);
	lead.epoll_fd = -1;
}

static void gathered_free(void)
{
	if (lead.gathered.shared_fd >= 0)
		close(lead.gathered.shared_fd);
	free(lead.gathered.tree);
	lead.gathered = (struct cr_gathered){ .shared_fd = -1 };
}

/* After a fork: nothing of this is the child's. */
void cr_lead_forget(void)
{
	members_free();
	gathered_free();
	if (lead.merge_fd >= 0)
		close(lead.merge_fd);
	lead.merge_fd = -1;
	lead.phase = LEAD_IDLE;
}

void cr_lead_abandon(void)
{
	if (!cr_lead_active())
		return;
	for (unsigned int i = 0; i < lead.n; i++)
		if (lead.members[i].path[0])
			unlink(lead.members[i].path);
	if (lead.phase == LEAD_MERGE) {
		struct cr_dump_result r;

		/* The thread cannot be ended; what it makes is not wanted. */
		(void)!read(lead.merge_fd, &r, sizeof(r));
		unlink(lead.path);
	}
	cr_member_clear();
	cr_lead_forget();
}

static void fail(uint32_t phase, const struct cr_lead_member *m, int error, const char *text)
{
	char words[CR_TEXT_BYTES];

	if (m)
		snprintf(words, sizeof(words), "process %d (%s): %.800s", m->proc.pid, m->proc.name, text);
	else
		snprintf(words, sizeof(words), "%.900s", text);
	cr_agent_failed(phase, error, words);
	cr_agent_dump_kill();
	cr_lead_abandon();
}

static uint32_t phase_message(void)
{
	return lead.phase <= LEAD_READY ? CR_MSG_BEGIN : lead.phase <= LEAD_FROZEN ? CR_MSG_FREEZE : CR_MSG_DUMP;
}

/* 0 connected; -EAGAIN: its agent comes soon; another errno: never. */
static int member_connect(struct cr_lead_member *m, struct cr_err *err)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = (uint32_t)(m - lead.members) };
	struct timeval tv = { .tv_sec = ANSWER_S };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	char name[64];
	int fd;

	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, m->proc.pid);
	fd = cr_message_connect(name, err);
	if (fd < 0 && fd != -ECONNREFUSED)
		return fd;
	if (fd < 0) {
		struct cr_proc now;

		/* Its program is being executed, it was forked a moment ago, or it is ending. */
		if (cr_proc_is_starting(m->proc.pid) || !cr_proc_get(m->proc.pid, &now) || now.state == 'Z' || now.state == 'X')
			return -EAGAIN;
		return cr_err_set(err, ENOTSUP, "it was not started by cr_run: statically linked and set-user-id programs are not; it cannot be saved");
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid != m->proc.pid) {
		close(fd);
		return cr_err_set(err, EPERM, "another process answers in its name");
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (epoll_ctl(lead.epoll_fd, EPOLL_CTL_ADD, fd, &e)) {
		close(fd);
		return cr_err_set(err, errno, "epoll: %s", strerror(errno));
	}
	m->fd = fd;
	m->stage = GREETED;
	return 0;
}

static int tell(struct cr_lead_member *m, uint32_t type, const void *payload, size_t bytes)
{
	return m->fd >= 0 ? cr_message_send(m->fd, type, lead.begin.checkpoint, payload, bytes) : 0;
}

static void ask_freeze(struct cr_lead_member *m)
{
	/* No MPI library in it: the first two are answered at once. */
	if (tell(m, CR_MSG_STOP, NULL, 0) == 0 && tell(m, CR_MSG_DRAIN, NULL, 0) == 0)
		tell(m, CR_MSG_FREEZE, NULL, 0);
	m->stage = FREEZING;
}

/* Events name members by their index. */
static void members_renumber(void)
{
	for (unsigned int i = 0; i < lead.n; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };

		if (lead.members[i].fd >= 0)
			epoll_ctl(lead.epoll_fd, EPOLL_CTL_MOD, lead.members[i].fd, &e);
	}
}

/* It has ended: its parent, which may be any of the others, notes that. */
static void member_drop(struct cr_lead_member *m)
{
	memmove(m, m + 1, (size_t)(lead.members + lead.n - (m + 1)) * sizeof(*m));
	lead.n--;
	members_renumber();
}

/* A callback of it wants the checkpoint without it: it and its descendants are left out, and run on. 0 or -ENOMEM. */
static int member_omit(struct cr_lead_member *m)
{
	int32_t *more = realloc(lead.omitted, (lead.n_omitted + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	lead.omitted = more;
	lead.omitted[lead.n_omitted++] = m->proc.pid;
	close(m->fd);
	member_drop(m);
	return 0;
}

/* Parents come before their children. */
static bool is_omitted(const struct cr_proc *p)
{
	for (unsigned int i = 0; i < lead.n_omitted; i++)
		if (lead.omitted[i] == p->pid)
			return true;
	for (unsigned int i = 0; i < lead.n_left; i++)
		if (lead.left[i] == p->ppid)
			return true;
	return false;
}

/* Adds those that are not members yet; drops those that are gone. Their number, or -errno. */
static int members_update(struct cr_err *err)
{
	struct cr_lead_member *all;
	struct cr_proc *found;
	unsigned int n, kept = 0, added = 0;
	int rc = cr_procs_find(&lead.begin, lead.skip, &found, &n, err);

	if (rc)
		return rc;
	free(lead.left);
	lead.n_left = 0;
	lead.left = calloc(n + 1, sizeof(*lead.left));
	all = calloc(n + 1, sizeof(*all));
	if (!all || !lead.left) {
		free(all);
		free(found);
		return cr_err_set(err, ENOMEM, "out of memory");
	}
	for (unsigned int i = 0; i < n; i++) {
		struct cr_lead_member *m = &all[kept];
		unsigned int k = 0;

		if (found[i].state == 'Z' || found[i].state == 'X')
			continue; /* its parent notes the status */
		if (found[i].left_out || is_omitted(&found[i])) {
			lead.left[lead.n_left++] = found[i].pid;
			continue;
		}
		while (k < lead.n && lead.members[k].proc.pid != found[i].pid)
			k++;
		if (k < lead.n) {
			*m = lead.members[k];
			lead.members[k].fd = -1;
		} else {
			m->fd = -1;
			m->self = found[i].pid == getpid();
			added += !m->self;
		}
		m->proc = found[i];
		kept++;
		if (found[i].state == 'T' || found[i].state == 't') {
			rc = cr_err_set(err, EAGAIN, "process %d (%s) is stopped (by a signal or a debugger): let it go on (SIGCONT) and try again", found[i].pid,
					found[i].name);
			break;
		}
	}
	free(found);
	for (unsigned int i = 0; i < lead.n; i++)
		if (lead.members[i].fd >= 0)
			close(lead.members[i].fd);
	free(lead.members);
	lead.members = all;
	lead.n = kept;
	members_renumber();
	return rc ? rc : (int)added;
}

int cr_lead_begin(const struct cr_msg_begin *m, int skip, struct cr_err *err)
{
	uint64_t limit_ms = m->limit_ms ? m->limit_ms : 60000;
	int rc;

	cr_lead_abandon();
	cr_lead_forget();
	lead.begin = *m;
	lead.skip = skip;
	lead.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (lead.epoll_fd < 0)
		return cr_err_set(err, errno, "epoll: %s", strerror(errno));
	rc = members_update(err);
	if (rc < 0) {
		cr_lead_forget();
		return rc;
	}
	/* Alone or not: it may have children by the time it is frozen. */
	lead.phase = LEAD_BEGIN;
	lead.deadline_ns = cr_now_ns() + limit_ms * 1000000UL + ANSWER_S * 1000000000UL;
	return 0;
}

static bool all_at(enum stage stage)
{
	for (unsigned int i = 0; i < lead.n; i++)
		if (!lead.members[i].self && lead.members[i].stage < (int)stage)
			return false;
	return true;
}

static void merge(void)
{
	struct cr_err err = { "" };
	int fd;

	fd = cr_merge_start(lead.path, lead.members, lead.n, &lead.gathered, lead.sync, &err);
	if (fd < 0) {
		fail(CR_MSG_DUMP, NULL, fd, err.text);
		return;
	}
	lead.merge_fd = fd;
	lead.phase = LEAD_MERGE;
}

/* Is the phase complete now, here too? */
static void advance(void)
{
	struct cr_err err = { "" };
	int rc;

	if (lead.phase == LEAD_BEGIN && cr_agent.phase == MEMBERS && all_at(READY)) {
		lead.phase = LEAD_READY;
		cr_agent_tree_ready();
	} else if (lead.phase == LEAD_FREEZE && cr_agent.phase == MEMBERS_FREEZE && all_at(MEMBER_FROZEN)) {
		rc = members_update(&err);
		if (rc < 0) {
			fail(CR_MSG_FREEZE, NULL, rc, err.text);
		} else if (rc > 0) {
			cr_lead_tick();
		} else if (all_at(MEMBER_FROZEN)) {
			lead.phase = LEAD_FROZEN;
			cr_agent_tree_frozen();
		}
	} else if (lead.phase == LEAD_DUMP && cr_agent.phase == MEMBERS_DUMP && all_at(MEMBER_SNAPPED)) {
		lead.phase = LEAD_SNAPPED;
		cr_agent_tree_snapped();
	}
	if (lead.phase == LEAD_SNAPPED && lead.self_dumped && all_at(MEMBER_DUMPED))
		merge();
}

static void member_lost(struct cr_lead_member *m)
{
	struct cr_proc now;
	bool gone = !cr_proc_get(m->proc.pid, &now) || now.state == 'Z' || now.state == 'X';

	close(m->fd);
	m->fd = -1;
	/* Its part is complete, and it was told to go on: where to is not our business. */
	if (m->stage == MEMBER_DUMPED && lead.phase >= LEAD_SNAPPED)
		return;
	/* execve, or its end; later on neither can be. */
	if (lead.phase >= LEAD_FROZEN || (m->stage >= MEMBER_FROZEN && !gone)) {
		fail(phase_message(), m, ESRCH, gone ? "it ended" : "it closed the connection");
		return;
	}
	m->stage = NOT_CONNECTED;
	if (gone)
		member_drop(m);
}

static void member_message(struct cr_lead_member *m)
{
	struct cr_msg_begin begin = lead.begin;
	static char buf[CR_MSG_MAX_BYTES];
	struct cr_msg_head h;
	int n = cr_message_recv(m->fd, &h, buf);

	if (n < 0) {
		member_lost(m);
		return;
	}
	switch (h.type) {
	case CR_MSG_HELLO:
		begin.flags = CR_BEGIN_MEMBER;
		begin.silence_s = 0; /* the leader says no ALIVE */
		if (tell(m, CR_MSG_BEGIN, &begin, sizeof(begin)) == 0)
			m->stage = BEGUN;
		break;
	case CR_MSG_CLOCKS:
		if (m->stage != BEGUN)
			break;
		m->stage = READY;
		if (lead.phase == LEAD_FREEZE)
			ask_freeze(m);
		break;
	case CR_MSG_FROZEN:
		m->stage = MEMBER_FROZEN;
		break;
	case CR_MSG_SNAPPED:
		m->stage = MEMBER_SNAPPED;
		break;
	case CR_MSG_DUMPED:
		m->stage = MEMBER_DUMPED;
		break;
	case CR_MSG_FAILED: {
		struct cr_msg_failed *f = (void *)buf;

		if (h.bytes < sizeof(*f))
			break;
		f->text[sizeof(f->text) - 1] = '\0';
		if (f->error == CR_EOMITTED && member_omit(m) == 0)
			break;
		fail(f->phase == CR_MSG_BEGIN ? CR_MSG_BEGIN : phase_message(), m, f->error, f->text);
		break;
	}
	default:
		break;
	}
}

void cr_lead_events(void)
{
	struct epoll_event e;

	/* One at a time: what it starts may change the list. */
	while (cr_lead_active() && lead.epoll_fd >= 0 && epoll_wait(lead.epoll_fd, &e, 1, 0) > 0)
		if (e.data.u32 < lead.n && lead.members[e.data.u32].fd >= 0)
			member_message(&lead.members[e.data.u32]);
	if (cr_lead_active())
		advance();
}

void cr_lead_tick(void)
{
	bool working = lead.phase == LEAD_BEGIN || lead.phase == LEAD_FREEZE;

	for (unsigned int i = 0; working && i < lead.n; i++) {
		struct cr_lead_member *m = &lead.members[i];
		struct cr_err err = { "" };
		struct cr_proc now;
		int rc;

		if (m->self || m->stage != NOT_CONNECTED)
			continue;
		rc = member_connect(m, &err);
		if (rc == -EAGAIN && (!cr_proc_get(m->proc.pid, &now) || now.state == 'Z' || now.state == 'X')) {
			member_drop(m);
			i--;
		} else if (rc && rc != -EAGAIN) {
			fail(phase_message(), m, rc, err.text);
			return;
		}
	}
	if (working && cr_now_ns() > lead.deadline_ns) {
		for (unsigned int i = 0; i < lead.n; i++)
			if (!lead.members[i].self && lead.members[i].stage < (lead.phase == LEAD_BEGIN ? READY : MEMBER_FROZEN)) {
				fail(phase_message(), &lead.members[i], ETIMEDOUT, "it was not ready in time");
				return;
			}
	}
	if (working)
		advance();
}

void cr_lead_freeze(void)
{
	const char *limit = getenv("OMPI_CR_TIMEOUT_FREEZE");
	uint64_t seconds = limit && atoi(limit) > 0 ? (uint64_t)atoi(limit) : ANSWER_S;

	lead.phase = LEAD_FREEZE;
	lead.deadline_ns = cr_now_ns() + (seconds + ANSWER_S) * 1000000000UL;
	for (unsigned int i = 0; i < lead.n; i++)
		if (lead.members[i].stage == READY)
			ask_freeze(&lead.members[i]);
}

int cr_lead_gather(struct cr_err *err)
{
	int32_t *pids = calloc(lead.n + lead.n_left, sizeof(*pids));
	int rc;

	gathered_free();
	for (unsigned int i = 0; i < lead.n; i++) {
		free(lead.members[i].ended);
		lead.members[i].ended = NULL;
	}
	for (unsigned int i = 0; pids && i < lead.n; i++)
		pids[i] = lead.members[i].proc.pid;
	if (pids && lead.n_left)
		memcpy(pids + lead.n, lead.left, lead.n_left * sizeof(*pids));
	rc = pids ? cr_gather(lead.members, lead.n, pids, lead.n_left, lead.skip, lead.begin.checkpoint, &lead.gathered, err) : cr_err_set(err, ENOMEM, "out of memory");
	if (rc == -ESTALE)
		lead.phase = LEAD_FREEZE;
	if (!rc && cr_agent.owner != 0) /* the coordinator of a job has no use for them */
		cr_agent_tell(CR_MSG_MEMBERS, pids, lead.n * sizeof(*pids));
	free(pids);
	return rc;
}

const char *cr_lead_self_path(void)
{
	for (unsigned int i = 0; i < lead.n; i++)
		if (lead.members[i].self)
			return lead.members[i].path;
	return NULL;
}

int cr_lead_dump(const struct cr_msg_dump *m, struct cr_err *err)
{
	int rc = 0;

	memcpy(lead.path, m->path, sizeof(lead.path));
	lead.sync = !(m->flags & CR_DUMP_NOSYNC);
	lead.self_dumped = false;
	lead.dump_begin_ns = cr_now_ns();
	lead.phase = LEAD_DUMP;
	for (unsigned int i = 0; i < lead.n && !rc; i++) {
		struct cr_lead_member *p = &lead.members[i];
		/* One that goes on may end at once, and its part must be complete then. */
		struct cr_msg_dump dump = { .flags = m->flags | CR_DUMP_NOSYNC | CR_DUMP_STOPPED };

		if (snprintf(dump.path, sizeof(dump.path), "%.1000s.%u", m->path, i + 1) >= (int)sizeof(dump.path) - 8)
			return cr_err_set(err, ENAMETOOLONG, "%s: name too long", m->path);
		memcpy(p->path, dump.path, sizeof(p->path));
		p->stage = DUMPING;
		rc = tell(p, CR_MSG_DUMP, &dump, sizeof(dump));
		if (rc)
			cr_err_set(err, rc, "process %d (%s): %s", p->proc.pid, p->proc.name, strerror(-rc));
	}
	return rc;
}

void cr_lead_self_dumped(void)
{
	lead.self_dumped = true;
	advance();
}

void cr_lead_self_snapped(void)
{
	advance();
}

void cr_lead_result(void)
{
	struct cr_dump_result r;
	struct cr_msg_dumped d;
	ssize_t n = read(lead.merge_fd, &r, sizeof(r));

	close(lead.merge_fd);
	lead.merge_fd = -1;
	lead.phase = LEAD_DONE;
	if (n != (ssize_t)sizeof(r) || r.error) {
		char words[CR_TEXT_BYTES];

		snprintf(words, sizeof(words), "%.500s: %.400s", lead.path, n == (ssize_t)sizeof(r) ? r.text : "the thread that wrote it ended early");
		cr_agent_failed(CR_MSG_DUMP, n == (ssize_t)sizeof(r) ? r.error : EIO, words);
		return;
	}
	d = (struct cr_msg_dumped){ r.file_bytes, r.pages, r.checksum, cr_now_ns() - lead.dump_begin_ns };
	cr_agent_tell(CR_MSG_DUMPED, &d, sizeof(d));
}

void cr_lead_resume(void)
{
	/* Before the file is being written this is the undo. */
	if (cr_lead_active() && lead.phase < LEAD_SNAPPED) {
		cr_lead_abandon();
		return;
	}
	for (unsigned int i = 0; i < lead.n; i++)
		tell(&lead.members[i], CR_MSG_RESUME, NULL, 0);
}

void cr_lead_signal(int signo)
{
	for (unsigned int i = lead.n; i-- > 0;)
		if (!lead.members[i].self)
			kill(lead.members[i].proc.pid, signo);
}

/* All others first, parents before children: none of them may see another one end and go on. */
void cr_lead_exit(const struct cr_msg_exit *m)
{
	uint64_t end = cr_now_ns() + EXIT_WAIT_MS * 1000000UL;

	for (unsigned int i = 0; i < lead.n; i++)
		if (!lead.members[i].self)
			tell(&lead.members[i], CR_MSG_EXIT, m, sizeof(*m));
	for (unsigned int i = 0; i < lead.n; i++) {
		struct cr_lead_member *p = &lead.members[i];
		struct cr_msg_head h;
		static char buf[CR_MSG_MAX_BYTES];

		while (p->fd >= 0 && cr_now_ns() < end) {
			struct pollfd f = { .fd = p->fd, .events = POLLIN };

			if (poll(&f, 1, 100) > 0 && cr_message_recv(p->fd, &h, buf) < 0)
				break;
		}
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who shares what: copies of all members' descriptors are looked at together, and what is held in common is saved.
 *
 * Runs on a thread with a descriptor table of its own: closing a copy of a file in the leader's table would give up the record locks that the leader's
 * program has on that file.
 * Everything is frozen.
 */
#include "libcr/lower/tree_gather.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcr/lower/fd_limit.h"
#include "libcr/lower/files_ops.h"
#include "libcr/lower/files_queue.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/ipc.h"
#include "libcr/lower/message.h"
#include "libcr/lower/set.h"
#include "libcr/lower/shm_file.h"

static int copies_add(struct cr_gather *g, int here, int fd, uint32_t owner)
{
	struct cr_gather_copy *more = reallocarray(g->copies, g->n_copies + 1, sizeof(*more));

	if (!more)
		return cr_err_set(g->err, ENOMEM, "out of memory");
	g->copies = more;
	g->copies[g->n_copies++] = (struct cr_gather_copy){ here, fd, owner };
	return 0;
}

/* -ESTALE: it was just ending when it seemed to stand still. */
static int lost(struct cr_gather *g, const struct cr_lead_member *m, int rc)
{
	struct cr_proc now;

	if ((rc == -EPIPE || rc == -ECONNRESET) && (!cr_proc_get(m->proc.pid, &now) || now.state == 'Z' || now.state == 'X'))
		return -ESTALE;
	return cr_err_set(g->err, rc, "process %d (%s): %s", m->proc.pid, m->proc.name, rc == -EPIPE ? "it ended" : strerror(-rc));
}

static int receive_fds(struct cr_gather *g, const struct cr_lead_member *m, uint32_t owner, const int32_t *numbers)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(CR_GIVE_FDS * sizeof(int))];
	} control;
	int fds[CR_GIVE_FDS];
	char byte;

	for (uint32_t at = 0; at < m->given.n_fds; at += CR_GIVE_FDS) {
		uint32_t want = m->given.n_fds - at < CR_GIVE_FDS ? m->given.n_fds - at : CR_GIVE_FDS;
		struct iovec iov = { &byte, 1 };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		ssize_t r;

		do
			r = recvmsg(m->fd, &msg, MSG_CMSG_CLOEXEC);
		while (r < 0 && errno == EINTR);
		if (r != 1)
			return lost(g, m, r < 0 ? -errno : -EPIPE);
		if (msg.msg_flags & MSG_CTRUNC || msg.msg_controllen < sizeof(struct cmsghdr) || control.head.cmsg_type != SCM_RIGHTS ||
		    control.head.cmsg_len != CMSG_LEN(want * sizeof(int)))
			return cr_err_set(g->err, EMFILE, "process %d (%s): %u descriptors could not be taken; raise the limit of open files (ulimit -n)",
					  m->proc.pid, m->proc.name, want);
		memcpy(fds, CMSG_DATA(&control.head), want * sizeof(int));
		for (uint32_t i = 0; i < want; i++) {
			int rc = copies_add(g, fds[i], numbers[at + i], owner);

			if (rc)
				return rc;
		}
	}
	return 0;
}

static int ended_keep(struct cr_gather *g, struct cr_lead_member *m, const void *from)
{
	m->ended = calloc(m->given.n_ended + 1, sizeof(*m->ended));
	if (!m->ended)
		return cr_err_set(g->err, ENOMEM, "out of memory");
	memcpy(m->ended, from, m->given.n_ended * sizeof(*m->ended));
	return 0;
}

static int ask_member(struct cr_gather *g, uint32_t index, const int32_t *pids)
{
	struct cr_lead_member *m = &g->members[index];
	struct cr_msg_give give = { .n = g->live ? 0 : g->n, .n_left = g->live ? 0 : g->n_left, .skip = g->skip };
	struct cr_msg_head h;
	int rc;

	rc = cr_message_send2(m->fd, CR_MSG_GIVE, g->checkpoint, &give, sizeof(give), pids, ((size_t)give.n + give.n_left) * sizeof(*pids));
	do
		rc = rc < 0 ? rc : cr_message_recv(m->fd, &h, g->buf);
	while (rc >= 0 && h.type != CR_MSG_GIVEN && h.type != CR_MSG_FAILED);
	if (rc < 0)
		return lost(g, m, rc);
	if (h.type == CR_MSG_FAILED) {
		struct cr_msg_failed *f = (void *)g->buf;

		f->text[sizeof(f->text) - 1] = '\0';
		return cr_err_set(g->err, f->error ? f->error : EIO, "process %d (%s): %.700s", m->proc.pid, m->proc.name, f->text);
	}
	memcpy(&m->given, g->buf, sizeof(m->given));
	if ((size_t)rc != sizeof(m->given) + m->given.n_fds * sizeof(int32_t) + m->given.n_ended * sizeof(struct cr_msg_ended))
		return lost(g, m, -EPROTO);
	rc = ended_keep(g, m, g->buf + sizeof(m->given) + m->given.n_fds * sizeof(int32_t));
	return rc < 0 ? rc : receive_fds(g, m, index, (const int32_t *)(void *)(g->buf + sizeof(m->given)));
}

/* The leader's own are there already. */
static int ask_self(struct cr_gather *g, uint32_t index)
{
	struct cr_lead_member *m = &g->members[index];
	struct cr_err words = { "" };
	int *fds = NULL, rc;

	rc = cr_member_describe(&m->given, &m->ended, &words);
	if (rc)
		return cr_err_set(g->err, rc, "process %d (%s): %.700s", m->proc.pid, m->proc.name, words.text);
	rc = cr_member_fds(&fds, &m->given.n_fds);
	if (rc)
		return lost(g, m, rc);
	for (uint32_t i = 0; i < m->given.n_fds && !rc; i++)
		rc = copies_add(g, fds[i], fds[i], index);
	free(fds);
	return rc;
}

int cr_gather_ask(struct cr_gather *g)
{
	int rc = 0;

	/* Its own first: copies of others may take numbers below the floor in this table. */
	for (unsigned int i = 0; i < g->n && !rc; i++)
		if (g->members[i].self)
			rc = ask_self(g, i);
	for (unsigned int i = 0; i < g->n && !rc; i++)
		if (!g->members[i].self)
			rc = ask_member(g, i, g->pids);
	for (unsigned int i = 1; i < g->n && !rc; i++)
		if (g->members[i].given.fd_floor != g->members[0].given.fd_floor)
			rc = cr_err_set(g->err, ENOTSUP, "process %d (%s) was started by another cr_run than process %d: they have different ranges of descriptors",
					g->members[i].proc.pid, g->members[i].proc.name, g->members[0].proc.pid);
	return rc;
}

int cr_gather_shares(struct cr_gather *g, uint32_t index, const struct cr_file_set *set, struct cr_msg_share **ret, uint32_t *ret_n)
{
	struct cr_msg_share *share = calloc(g->n_copies + 1, sizeof(*share));
	uint32_t n = 0;

	if (!share)
		return cr_err_set(g->err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < set->n; i++)
		for (unsigned int k = 0; k < set->files[i].n_fds && !set->files[i].apart; k++)
			for (unsigned int c = 0; c < g->n_copies; c++)
				if (g->copies[c].here == set->files[i].fds[k].fd && g->copies[c].owner == index)
					share[n++] = (struct cr_msg_share){ g->copies[c].fd, set->files[i].number };
	*ret = share;
	*ret_n = n;
	return 0;
}

/* Tells a member, or this process, which of its descriptors are saved here. */
static int tell_member(struct cr_gather *g, uint32_t index, const struct cr_file_set *set)
{
	struct cr_lead_member *m = &g->members[index];
	struct cr_msg_share *share;
	uint32_t n;
	int rc = cr_gather_shares(g, index, set, &share, &n);

	if (rc)
		return rc;
	if (m->self)
		rc = cr_member_share(share, n);
	else
		rc = cr_message_send(m->fd, CR_MSG_SHARE, g->checkpoint, share, n * sizeof(*share));
	free(share);
	return rc < 0 ? lost(g, m, rc) : 0;
}

void cr_gather_name(void *arg, int fd, char *ret_text, size_t bytes)
{
	struct cr_gather *g = arg;

	g->named = -1;
	snprintf(ret_text, bytes, "descriptor %d", fd);
	for (unsigned int i = 0; i < g->n_copies; i++)
		if (g->copies[i].here == fd) {
			const struct cr_lead_member *m = &g->members[g->copies[i].owner];

			g->named = (int)g->copies[i].owner;
			snprintf(ret_text, bytes, "process %d (%s): descriptor %d", m->proc.pid, m->proc.name, g->copies[i].fd);
			return;
		}
}

static void keep_first(void *arg, const char *reason)
{
	struct cr_err *first = arg;

	if (!first->text[0])
		cr_err_set(first, 0, "%s", reason);
}

static int write_shared(struct cr_gather *g, const struct cr_file_set *set)
{
	struct cr_image_writer *w = NULL;
	struct cr_err words = { "" };
	int rc;

	g->ret->shared_fd = cr_fd_raise(memfd_create("ompi-cr-part", MFD_CLOEXEC));
	if (g->ret->shared_fd < 0)
		return cr_err_set(g->err, errno, "memory for what the processes share: %s", strerror(errno));
	rc = cr_image_writer_create(g->ret->shared_fd, &w, &words);
	if (!rc)
		rc = cr_files_save_shared(set, w, &words);
	if (!rc)
		rc = cr_ipc_save(w, &words);
	if (!rc)
		rc = cr_shm_save(w, &words);
	if (!rc)
		rc = cr_image_finish(w, NULL, &words);
	cr_image_writer_destroy(w);
	return rc ? cr_err_set(g->err, rc, "%.700s", words.text) : 0;
}

int cr_gather_files(struct cr_gather *g, bool stopped, struct cr_file_set **ret, uint32_t **ret_owner)
{
	int *fds = calloc(g->n_copies + 1, sizeof(*fds)), highest = 0, rc;
	uint32_t *owner;

	for (unsigned int i = 0; fds && i < g->n_copies; i++) {
		fds[i] = g->copies[i].here;
		highest = fds[i] > highest ? fds[i] : highest;
	}
	owner = calloc((size_t)highest + 1, sizeof(*owner));
	rc = fds && owner ? cr_file_set_create_shared(fds, g->n_copies, cr_lower.fd_floor, stopped, ret, g->err) : cr_err_set(g->err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < g->n_copies && !rc; i++)
		owner[g->copies[i].here] = g->copies[i].owner;
	free(fds);
	if (rc)
		free(owner);
	else
		*ret_owner = owner;
	return rc;
}

static int share(struct cr_gather *g)
{
	struct cr_err first = { "" };
	struct cr_file_refusals refusals = { .report = keep_first, .arg = &first, .name = cr_gather_name, .name_arg = g };
	struct cr_file_set *set = NULL;
	uint32_t *owner = NULL;
	int n, rc = cr_gather_files(g, true, &set, &owner);

	if (rc)
		return rc;
	rc = cr_file_passed_take(set, g->err);
	if (rc < 0)
		goto out;
	n = cr_file_set_share(set, &cr_lower.stdio, owner, &refusals);
	if (n < 0)
		rc = cr_err_set(g->err, n, "out of memory");
	else if (refusals.count)
		rc = cr_err_set(g->err, cr_file_refusal_code(first.text), "%s", first.text);
	else
		rc = write_shared(g, set);
	for (unsigned int i = 0; i < g->n && !rc; i++)
		rc = tell_member(g, i, set);
	g->ret->n_shared = n > 0 ? (uint32_t)n : 0;
out:
	cr_file_set_destroy(set);
	free(owner);
	return rc;
}

static uint32_t index_of(const struct cr_gather *g, int kernel_pid)
{
	for (uint32_t i = 0; i < g->n; i++)
		if (g->members[i].proc.pid == kernel_pid)
			return i + 1;
	return 0;
}

/* A session that is not the root's must be led by one of the processes, or it could not be made again with its members. */
static int check_sessions(struct cr_gather *g, const struct cr_tree_process *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		bool led = p[i].sid == p[0].sid || p[i].sid == p[i].pid;

		/* It was made by an ancestor, from which it is inherited. */
		for (uint32_t at = p[i].parent; !led && at; at = p[at - 1].parent) {
			led = p[at - 1].pid == p[i].sid;
			if (p[at - 1].sid != p[i].sid)
				break;
		}
		if (!led)
			return cr_err_set(g->err, ENOTSUP, "process %d (%s) is in session %d, whose leader has ended or is not among its ancestors: a restart cannot make that again",
					  p[i].pid, p[i].name, p[i].sid);
	}
	return 0;
}

int cr_gather_table(struct cr_gather *g)
{
	struct cr_tree_process *p;
	uint32_t n = g->n, at = g->n;

	for (uint32_t i = 0; i < g->n; i++)
		n += g->members[i].given.n_ended;
	if (n > CR_TREE_MAX)
		return cr_err_set(g->err, E2BIG, "%u processes are more than a context file holds (%u)", n, CR_TREE_MAX);
	g->ret->tree_bytes = sizeof(*g->ret->tree) + n * sizeof(*p);
	g->ret->tree = calloc(1, g->ret->tree_bytes);
	if (!g->ret->tree)
		return cr_err_set(g->err, ENOMEM, "out of memory");
	g->ret->tree->n_processes = n;
	g->ret->tree->n_shared = g->ret->n_shared;
	p = (void *)(g->ret->tree + 1);
	for (uint32_t i = 0; i < g->n; i++) {
		const struct cr_lead_member *m = &g->members[i];

		p[i] = (struct cr_tree_process){
			.state = CR_TREE_RUNS,
			.flags = m->given.coordinated ? CR_TREE_F_COORDINATED : 0,
			.parent = index_of(g, m->proc.ppid),
			.part = i + 1,
			.pid = m->given.pid, .ppid = m->given.ppid, .pgid = m->given.pgid, .sid = m->given.sid,
		};
		memcpy(p[i].name, m->given.name, sizeof(p[i].name));
		for (uint32_t k = 0; k < m->given.n_ended; k++) {
			const struct cr_msg_ended *e = &m->ended[k];

			p[at] = (struct cr_tree_process){
				.state = CR_TREE_ENDED, .parent = i + 1, .pid = e->pid, .ppid = m->given.pid, .pgid = e->pgid, .sid = e->sid, .status = e->status,
			};
			memcpy(p[at++].name, e->name, sizeof(p[i].name));
		}
	}
	for (uint32_t i = 0; i < n; i++)
		if (g->members[0].given.foreground > 0 && p[i].pgid == g->members[0].given.foreground)
			g->ret->tree->foreground = p[i].pgid;
	return check_sessions(g, p, n);
}

static void *gather_main(void *arg)
{
	struct cr_gather *g = arg;
	struct rlimit was;
	int raised;

	if (unshare(CLONE_FILES)) {
		g->rc = cr_err_set(g->err, errno, "unshare(CLONE_FILES): %s", strerror(errno));
		return NULL;
	}
	raised = cr_fd_limit_raise(&was);
	g->buf = malloc(CR_MSG_MAX_BYTES);
	g->rc = g->buf ? cr_gather_ask(g) : cr_err_set(g->err, ENOMEM, "out of memory");
	if (!g->rc)
		g->rc = share(g);
	if (!g->rc)
		g->rc = cr_gather_table(g);
	if (!raised)
		cr_fd_limit_put_back(&was);
	free(g->buf);
	free(g->copies);
	return NULL;
}

/* The part is written into a file that this thread's table alone has: it is passed on under a number of the agent's. */
struct passing {
	struct cr_gather *g;
	int pair[2];
};

static void *passing_main(void *arg)
{
	struct passing *p = arg;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .room = { 0 } };
	char byte = 'P';
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	gather_main(p->g);
	if (p->g->rc)
		return NULL;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &p->g->ret->shared_fd, sizeof(int));
	if (sendmsg(p->pair[1], &m, MSG_NOSIGNAL) != 1)
		p->g->rc = cr_err_set(p->g->err, errno, "what the processes share cannot be passed on: %s", strerror(errno));
	return NULL;
}

static int take_passed(int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int passed;

	if (recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != 1 || m.msg_controllen < CMSG_LEN(sizeof(int)))
		return -EIO;
	memcpy(&passed, CMSG_DATA(&control.head), sizeof(int));
	return cr_fd_raise(passed);
}

int cr_gather(struct cr_lead_member *members, unsigned int n, const int32_t *pids, unsigned int n_left, int skip, uint32_t checkpoint, struct cr_gathered *ret, struct cr_err *err)
{
	const struct cr_msg_give give = { .n = n, .n_left = n_left, .skip = skip };
	struct cr_err words = { "" };
	struct cr_gather g = { .pids = pids, .members = members, .n = n, .n_left = n_left, .skip = skip, .checkpoint = checkpoint, .ret = ret, .err = err };
	struct passing p = { .g = &g };
	pthread_t t;
	int rc;

	*ret = (struct cr_gathered){ .shared_fd = -1 };
	/* On this thread: that one's descriptor table would count as the program's. */
	rc = cr_member_set(&give, pids, &words);
	if (rc)
		return cr_err_set(err, rc, "process %d: %.700s", getpid(), words.text);
	rc = cr_file_mqueue_quiet(cr_lower.fd_floor, err);
	if (rc)
		return rc;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p.pair))
		return cr_err_set(err, errno, "socketpair: %s", strerror(errno));
	rc = pthread_create(&t, NULL, passing_main, &p);
	if (rc) {
		rc = cr_err_set(err, rc, "a thread cannot be made: %s", strerror(rc));
	} else {
		pthread_join(t, NULL);
		rc = g.rc;
	}
	ret->shared_fd = -1;
	if (!rc) {
		ret->shared_fd = take_passed(p.pair[0]);
		if (ret->shared_fd < 0)
			rc = cr_err_set(err, EIO, "what the processes share was lost on the way");
	}
	close(p.pair[0]);
	close(p.pair[1]);
	return rc;
}

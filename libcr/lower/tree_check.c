/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Could the set be saved? The answer for each of its processes, while all of them run.
 *
 * As in a checkpoint the leader looks at copies of everybody's descriptors to find out what is shared inside of the set; then each member says what stands against it,
 * with that in mind. What changes while we look is looked at again. The program's callbacks are not asked.
 * Context: agent thread; nothing of this process's own checkpoint is under way.
 */
#include "libcr/lower/tree_gather.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libcr/lower/agent_private.h"
#include "libcr/lower/fd_limit.h"
#include "libcr/lower/files_ops.h"
#include "libcr/lower/files_queue.h"
#include "libcr/lower/message.h"
#include "libcr/lower/set.h"

#define LOOKS 5
#define ANSWER_S 10
/* One that was forked or executes a program at this moment has its agent soon; all together are waited for so often. */
#define STARTING_LOOKS 100
#define STARTING_NS 20000000

struct member {
	struct cr_proc proc;
	bool left_out, asked;
	char *reasons; /* malloc'ed, one per line; NULL none */
	size_t bytes;
};

struct check {
	struct member *all;
	unsigned int n;
	int skip;
	int32_t *omitted; /* who leaves itself out, found in an earlier look */
	unsigned int n_omitted;
	/* those who can be asked */
	struct cr_lead_member *asked;
	struct member **of; /* [asked] */
	unsigned int n_asked;
	int32_t *pids; /* all members, then all who are left out */
	struct cr_msg_give give;
	struct cr_gather g;
	struct cr_gathered gathered;
	struct cr_err err;
	int rc;
};

static void reason_add(struct member *m, const char *text)
{
	size_t bytes = strlen(text), more = m->bytes + (m->bytes != 0) + bytes;
	char *to = realloc(m->reasons, more + 1);

	if (!to)
		return;
	if (m->bytes)
		to[m->bytes++] = '\n';
	memcpy(to + m->bytes, text, bytes + 1);
	m->reasons = to;
	m->bytes += bytes;
}

static bool leaves_itself_out(const struct check *c, unsigned int i)
{
	for (unsigned int k = 0; k < c->n_omitted; k++)
		if (c->omitted[k] == c->all[i].proc.pid)
			return true;
	for (unsigned int k = 0; k < i; k++)
		if (c->all[k].left_out && c->all[k].proc.pid == c->all[i].proc.ppid)
			return true;
	return c->all[i].proc.left_out;
}

/* Who is there? Parents come before their children. */
static int find(struct check *c, uint32_t flags)
{
	const struct cr_msg_begin begin = { .flags = flags };
	struct cr_proc *found;
	unsigned int n;
	int rc = cr_procs_find(&begin, c->skip, &found, &n, &c->err);

	if (rc)
		return rc;
	c->all = calloc(n + 1, sizeof(*c->all));
	c->asked = calloc(n + 1, sizeof(*c->asked));
	c->of = calloc(n + 1, sizeof(*c->of));
	c->pids = calloc(n + 1, sizeof(*c->pids));
	for (unsigned int i = 0; c->all && i < n; i++)
		if (found[i].state != 'Z' && found[i].state != 'X')
			c->all[c->n++].proc = found[i];
	free(found);
	return c->all && c->asked && c->of && c->pids ? 0 : cr_err_set(&c->err, ENOMEM, "out of memory");
}

/* Its agent's greeting, or why there is none. */
static int greet(int pid, struct cr_err *err)
{
	static char buf[CR_MSG_MAX_BYTES];
	struct timeval tv = { .tv_sec = ANSWER_S };
	struct ucred peer;
	socklen_t len = sizeof(peer);
	struct cr_msg_head h;
	char name[64];
	int fd;

	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, pid);
	fd = cr_message_connect(name, err);
	if (fd == -ECONNREFUSED && cr_proc_is_starting(pid))
		return cr_err_set(err, EAGAIN, "it is just starting: try again");
	if (fd == -ECONNREFUSED)
		return cr_err_set(err, ENOTSUP, "it was not started by cr_run: statically linked and set-user-id programs are not; it cannot be saved");
	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) || peer.pid != pid) {
		close(fd);
		return cr_err_set(err, EPERM, "another process answers in its name");
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (cr_message_recv(fd, &h, buf) >= 0)
		return fd;
	close(fd);
	return cr_err_set(err, ETIMEDOUT, "it does not answer: try again");
}

static int greet_soon(int pid, unsigned int *looks, struct cr_err *err)
{
	const struct timespec pause = { .tv_nsec = STARTING_NS };
	int fd = greet(pid, err);

	while (fd == -EAGAIN && *looks) {
		(*looks)--;
		nanosleep(&pause, NULL);
		fd = greet(pid, err);
	}
	return fd;
}

static void connect_all(struct check *c)
{
	unsigned int left = 0, looks = STARTING_LOOKS;

	for (unsigned int i = 0; i < c->n; i++) {
		struct member *m = &c->all[i];
		struct cr_lead_member *to = &c->asked[c->n_asked];
		struct cr_err why = { "" };

		m->left_out = leaves_itself_out(c, i);
		if (m->left_out)
			continue;
		c->pids[c->give.n++] = m->proc.pid;
		*to = (struct cr_lead_member){ .proc = m->proc, .fd = -1, .self = m->proc.pid == getpid() };
		if (m->proc.state == 'T' || m->proc.state == 't') {
			reason_add(m, "it is stopped (by a signal or a debugger): let it go on (SIGCONT) and try again");
			continue;
		}
		if (!to->self)
			to->fd = greet_soon(m->proc.pid, &looks, &why);
		if (!to->self && to->fd < 0) {
			reason_add(m, why.text);
			continue;
		}
		m->asked = true;
		c->of[c->n_asked++] = m;
	}
	for (unsigned int i = 0; i < c->n; i++)
		if (c->all[i].left_out)
			c->pids[c->give.n + left++] = c->all[i].proc.pid;
	c->give.n_left = left;
	c->give.skip = c->skip;
}

/* A description that several hold: whoever was named, or the first. */
static void add_shared(void *arg, const char *reason)
{
	struct check *c = arg;

	reason_add(c->of[c->g.named >= 0 ? c->g.named : 0], reason);
}

/* What one of the others says, who knows now what is shared. */
static int ask(struct check *c, uint32_t index, const struct cr_msg_share *share, uint32_t n)
{
	struct cr_lead_member *m = &c->asked[index];
	size_t pids_bytes = (c->give.n + c->give.n_left) * sizeof(*c->pids), bytes = pids_bytes + n * sizeof(*share);
	struct cr_msg_head h;
	char *rest = malloc(bytes + 1);
	int rc;

	if (!rest)
		return cr_err_set(&c->err, ENOMEM, "out of memory");
	memcpy(rest, c->pids, pids_bytes);
	memcpy(rest + pids_bytes, share, n * sizeof(*share));
	rc = cr_message_send2(m->fd, CR_MSG_CHECK_MEMBER, 0, &c->give, sizeof(c->give), rest, bytes);
	free(rest);
	do
		rc = rc < 0 ? rc : cr_message_recv(m->fd, &h, c->g.buf);
	while (rc >= 0 && h.type != CR_MSG_CHECK_REPLY && h.type != CR_MSG_FAILED);
	if (rc < 0)
		return -ESTALE;
	c->g.buf[rc < (int)CR_MSG_MAX_BYTES ? rc : (int)CR_MSG_MAX_BYTES - 1] = '\0';
	if (h.type == CR_MSG_FAILED) {
		struct cr_msg_failed *f = (void *)c->g.buf;

		f->text[sizeof(f->text) - 1] = '\0';
		return cr_err_set(&c->err, f->error ? f->error : EIO, "process %d (%s): %.700s", m->proc.pid, m->proc.name, f->text);
	}
	if (rc > 0)
		reason_add(c->of[index], c->g.buf);
	return 0;
}

static int look_shared(struct check *c)
{
	struct cr_file_refusals refusals = { .report = add_shared, .arg = c, .name = cr_gather_name, .name_arg = &c->g };
	struct cr_file_set *set = NULL;
	uint32_t *owner = NULL;
	int rc = cr_gather_files(&c->g, false, &set, &owner);

	if (rc)
		return rc == -EBADF ? -ESTALE : rc;
	/* Where they are is found out while the processes stand still. */
	set->under_way = cr_file_passed_any(set);
	if (cr_file_set_share(set, &cr_lower.stdio, owner, &refusals) < 0)
		rc = cr_err_set(&c->err, ENOMEM, "out of memory");
	for (uint32_t i = 0; i < c->n_asked && !rc; i++) {
		struct cr_msg_share *share;
		uint32_t n;

		rc = cr_gather_shares(&c->g, i, set, &share, &n);
		if (rc)
			break;
		rc = c->asked[i].self ? cr_member_share(share, n) : ask(c, i, share, n);
		free(share);
	}
	cr_file_set_destroy(set);
	free(owner);
	return rc;
}

/* On a thread with a descriptor table of its own: see tree_gather.c. */
static void *look_main(void *arg)
{
	struct check *c = arg;
	struct rlimit was;
	int raised;

	if (unshare(CLONE_FILES)) {
		c->rc = cr_err_set(&c->err, errno, "unshare(CLONE_FILES): %s", strerror(errno));
		return NULL;
	}
	raised = cr_fd_limit_raise(&was);
	c->g.buf = malloc(CR_MSG_MAX_BYTES);
	c->rc = c->g.buf ? cr_gather_ask(&c->g) : cr_err_set(&c->err, ENOMEM, "out of memory");
	if (!c->rc)
		c->rc = look_shared(c);
	if (!raised)
		cr_fd_limit_put_back(&was);
	free(c->g.buf);
	free(c->g.copies);
	return NULL;
}

static void add_own(void *arg, const char *reason)
{
	reason_add(arg, reason);
}

/* Sessions that could not be made again. */
static void look_table(struct check *c)
{
	struct cr_err why = { "" };
	int pid = 0;

	c->g.err = &why;
	if (cr_gather_table(&c->g) == 0)
		return;
	if (sscanf(why.text, "process %d", &pid) != 1)
		pid = 0;
	for (unsigned int i = 0; i < c->n_asked; i++)
		if (c->asked[i].given.pid == pid || (!pid && i == 0)) {
			reason_add(c->of[i], why.text);
			return;
		}
}

/* Somebody says that it leaves itself out: the others are looked at again, without it. */
static int look_omitted(struct check *c)
{
	unsigned int before = c->n_omitted;

	for (unsigned int i = 0; i < c->n_asked; i++) {
		int32_t *more = c->asked[i].given.omits && !c->asked[i].self ? realloc(c->omitted, (c->n_omitted + 1) * sizeof(*more)) : NULL;

		if (!more)
			continue;
		c->omitted = more;
		c->omitted[c->n_omitted++] = c->asked[i].proc.pid;
	}
	return c->n_omitted > before ? -ESTALE : 0;
}

static int look(struct check *c)
{
	struct member *self = NULL;
	pthread_t t;
	int rc;

	c->g = (struct cr_gather){ .members = c->asked, .n = c->n_asked, .skip = c->skip, .ret = &c->gathered, .err = &c->err, .pids = c->pids, .named = -1, .live = true };
	rc = cr_member_know(&c->give, c->pids);
	if (rc)
		return cr_err_set(&c->err, rc, "out of memory");
	rc = cr_file_mqueue_quiet(cr_lower.fd_floor, &c->err);
	if (rc)
		return rc;
	rc = pthread_create(&t, NULL, look_main, c);
	if (rc)
		return cr_err_set(&c->err, rc, "a thread cannot be made: %s", strerror(rc));
	pthread_join(t, NULL);
	if (!c->rc)
		c->rc = look_omitted(c);
	for (unsigned int i = 0; i < c->n_asked; i++)
		if (c->asked[i].self)
			self = c->of[i];
	if (!c->rc && self && cr_lower.omits)
		reason_add(self, "it leaves itself out (cr_run --omit), and would lead the others; ask for one that does not descend from it");
	if (!c->rc && self)
		cr_dump_check(cr_agent.dumping ? cr_agent.dump.pid : 0, add_own, self);
	if (!c->rc)
		look_table(c);
	return c->rc;
}

static void look_fini(struct check *c)
{
	cr_member_clear();
	for (unsigned int i = 0; i < c->n_asked; i++) {
		if (c->asked[i].fd >= 0)
			close(c->asked[i].fd);
		free(c->asked[i].ended);
	}
	for (unsigned int i = 0; i < c->n; i++)
		free(c->all[i].reasons);
	free(c->all);
	free(c->asked);
	free(c->of);
	free(c->pids);
	free(c->gathered.tree);
	*c = (struct check){ .skip = c->skip, .omitted = c->omitted, .n_omitted = c->n_omitted };
}

static int answer(const struct check *c, struct cr_err *err, char **ret, size_t *ret_bytes)
{
	size_t bytes = 0, at = 0;
	char *out;

	for (unsigned int i = 0; i < c->n; i++)
		bytes += sizeof(struct cr_msg_checked) + c->all[i].bytes;
	if (bytes > CR_MSG_MAX_BYTES)
		return cr_err_set(err, E2BIG, "%u processes have more reasons than a message holds", c->n);
	out = malloc(bytes + 1);
	if (!out)
		return cr_err_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < c->n; i++) {
		const struct member *m = &c->all[i];
		struct cr_msg_checked head = { .pid = m->proc.pid, .state = m->left_out ? CR_CHECKED_LEFT_OUT : CR_CHECKED_MEMBER, .bytes = (uint32_t)m->bytes };

		memcpy(head.name, m->proc.name, sizeof(head.name));
		memcpy(out + at, &head, sizeof(head));
		at += sizeof(head);
		if (m->bytes)
			memcpy(out + at, m->reasons, m->bytes);
		at += m->bytes;
	}
	*ret = out;
	*ret_bytes = bytes;
	return 0;
}

int cr_lead_check(uint32_t flags, int skip, char **ret, size_t *ret_bytes, struct cr_err *err)
{
	struct check c = { .skip = skip };
	int rc = -ESTALE;

	for (int i = 0; rc == -ESTALE && i < LOOKS; i++) {
		rc = find(&c, flags);
		if (!rc) {
			connect_all(&c);
			rc = look(&c);
		}
		if (!rc)
			rc = answer(&c, err, ret, ret_bytes);
		else if (rc == -ESTALE)
			cr_err_set(err, EAGAIN, "processes came and went while they were asked: try again");
		else
			cr_err_set(err, rc, "%s", c.err.text);
		look_fini(&c);
	}
	free(c.omitted);
	return rc == -ESTALE ? -EAGAIN : rc;
}

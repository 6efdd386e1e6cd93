/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests to the memory services of other ranks.
 *
 * A connection is made when the first request goes to a rank. Requests without an answer are gathered and leave together, at the latest
 * with the next one that has an answer. The answer means that all before it are done, as a service keeps the order.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"

#define OUT_BYTES 32768u
#define PATIENCE_FIRST_MS 2000
#define PATIENCE_MAX_MS 64000

struct call {
	int fd;
	volatile int lock;
	volatile bool posted; /* since the last answer */
	int error;            /* the connection is broken */
	uint32_t used;
	char out[OUT_BYTES];
};

static struct {
	int rank, size;
	struct call **calls; /* [size] NULL: never spoken to */
	volatile int lock;   /* while one is made */
} remote;

static void turn_lock(volatile int *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		cr_sys0(SYS_sched_yield);
}

static void turn_unlock(volatile int *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

int cr_remote_calls_init(const struct cr_remote_setup *setup)
{
	remote.rank = setup->rank;
	remote.size = setup->size;
	remote.calls = calloc((size_t)setup->size, sizeof(*remote.calls));
	return remote.calls ? 0 : -ENOMEM;
}

void cr_remote_calls_forget(void)
{
	for (int i = 0; i < remote.size; i++)
		if (remote.calls[i]) {
			close(remote.calls[i]->fd);
			free(remote.calls[i]);
		}
	free(remote.calls);
	memset(&remote, 0, sizeof(remote));
}

/* ---- bytes ---- */
static int receive(int fd, void *to, uint64_t bytes)
{
	for (uint64_t got = 0; got < bytes;) {
		ssize_t n = recv(fd, (char *)to + got, bytes - got, MSG_WAITALL);

		if (n > 0)
			got += (uint64_t)n;
		else if (n == 0)
			return -ECONNRESET;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int send_parts(int fd, struct iovec *v, int n)
{
	while (n > 0) {
		struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)n };
		ssize_t sent = sendmsg(fd, &m, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		for (; n > 0 && (size_t)sent >= v->iov_len; v++, n--)
			sent -= (ssize_t)v->iov_len;
		if (n > 0) {
			v->iov_base = (char *)v->iov_base + sent;
			v->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

/* ---- a connection ---- */
struct acquaintance {
	const struct cr_remote_endpoint *endpoint;
	int patience_ms;
};

/* Both sides know the secret of the one that is called. */
static int prove(int fd, void *arg)
{
	const struct acquaintance *a = arg;
	struct timeval limit = { .tv_sec = a->patience_ms / 1000 }, none = { 0 };
	struct cr_remote_challenge c;
	struct cr_remote_proof p = { .magic = CR_REMOTE_MAGIC, .rank = (uint32_t)remote.rank };
	struct cr_remote_welcome w;
	struct iovec v = { &p, sizeof(p) };
	int rc;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	rc = receive(fd, &c, sizeof(c));
	if (rc == 0 && (c.magic != CR_REMOTE_MAGIC || c.version != CR_REMOTE_VERSION))
		rc = -EPROTO;
	if (rc == 0 && getrandom(p.nonce, sizeof(p.nonce), 0) != (ssize_t)sizeof(p.nonce))
		rc = -EIO;
	if (rc)
		return rc;
	p.tag = cr_remote_tag(a->endpoint->secret, 0, p.rank, c.nonce, p.nonce);
	rc = send_parts(fd, &v, 1);
	if (rc == 0)
		rc = receive(fd, &w, sizeof(w));
	if (rc == 0 && (w.magic != CR_REMOTE_MAGIC || w.tag != cr_remote_tag(a->endpoint->secret, 1, p.rank, c.nonce, p.nonce)))
		rc = -EACCES;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	return rc;
}

static int call_open(int rank, const struct cr_remote_endpoint *e, struct call **ret)
{
	struct acquaintance a = { e, 0 };
	struct call *c = remote.calls[rank];
	int rc = 0;

	if (c) {
		*ret = c;
		return 0;
	}
	turn_lock(&remote.lock);
	c = remote.calls[rank];
	if (!c) {
		c = calloc(1, sizeof(*c));
		rc = !c ? -ENOMEM : !e || !e->ok ? -EHOSTUNREACH : -ETIMEDOUT;
		for (int ms = PATIENCE_FIRST_MS; rc != -ENOMEM && rc != -EHOSTUNREACH && rc < 0 && ms <= PATIENCE_MAX_MS; ms *= 2) {
			a.patience_ms = ms;
			rc = cr_remote_connect(e, ms, prove, &a);
		}
		if (rc < 0) {
			free(c);
			c = NULL;
		} else {
			c->fd = rc;
			__atomic_store_n(&remote.calls[rank], c, __ATOMIC_RELEASE);
		}
	}
	turn_unlock(&remote.lock);
	*ret = c;
	return c ? 0 : rc;
}

static int broken(struct call *c, int rc)
{
	if (rc < 0)
		c->error = rc;
	return rc;
}

/* What was gathered, and @n more parts (v[0] is free for us). */
static int leave(struct call *c, struct iovec *v, int n)
{
	int rc;

	v[0] = (struct iovec){ c->out, c->used };
	c->used = 0;
	rc = send_parts(c->fd, v, n + 1);
	return broken(c, rc);
}

static int post(struct call *c, const struct cr_remote_head *h, const struct cr_remote_run *runs, const void *data, uint64_t data_bytes)
{
	uint64_t run_bytes = h->runs * sizeof(*runs), all = sizeof(*h) + run_bytes + data_bytes;
	struct iovec v[4];

	if (all > OUT_BYTES - c->used) {
		v[1] = (struct iovec){ (void *)(uintptr_t)h, sizeof(*h) };
		v[2] = (struct iovec){ (void *)(uintptr_t)runs, run_bytes };
		v[3] = (struct iovec){ (void *)(uintptr_t)data, data_bytes };
		return leave(c, v, 3);
	}
	memcpy(c->out + c->used, h, sizeof(*h));
	if (run_bytes)
		memcpy(c->out + c->used + sizeof(*h), runs, run_bytes);
	if (data_bytes)
		memcpy(c->out + c->used + sizeof(*h) + run_bytes, data, data_bytes);
	c->used += (uint32_t)all;
	return 0;
}

/* The answer: reply, data, tail, in as few calls as they come in. */
static int hear_parts(int fd, struct cr_remote_reply *r, void *into, uint64_t want, struct cr_remote_tail *t)
{
	const struct iovec whole[3] = { { r, sizeof(*r) }, { into, want }, { t, sizeof(*t) } };
	uint64_t have = 0, need = sizeof(*r);

	while (have < need) {
		struct msghdr m = { 0 };
		struct iovec v[3];
		uint64_t skip = have;
		ssize_t n;

		for (int i = 0; i < (want ? 3 : 1); i++) {
			if (skip >= whole[i].iov_len) {
				skip -= whole[i].iov_len;
				continue;
			}
			v[m.msg_iovlen++] = (struct iovec){ (char *)whole[i].iov_base + skip, whole[i].iov_len - skip };
			skip = 0;
		}
		m.msg_iov = v;
		n = recvmsg(fd, &m, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EINTR)
			return -errno;
		have += n > 0 ? (uint64_t)n : 0;
		if (have < sizeof(*r))
			continue;
		if (r->magic != CR_REMOTE_MAGIC || (r->bytes && r->bytes != want) || (r->error == 0 && want && !r->bytes))
			return -EPROTO;
		need = sizeof(*r) + (r->bytes ? r->bytes + sizeof(*t) : 0);
	}
	return have == need && (!r->bytes || t->magic == CR_REMOTE_MAGIC) ? 0 : -EPROTO;
}

static int hear(struct call *c, void *into, uint64_t want, uint64_t *ret_value)
{
	struct cr_remote_reply r;
	struct cr_remote_tail t = { 0 };
	int rc = hear_parts(c->fd, &r, into, want, &t);

	if (rc < 0)
		return broken(c, rc);
	c->posted = false;
	if (ret_value)
		*ret_value = r.value;
	return r.error < 0 ? r.error : t.error;
}

/* ---- what the upper half calls ---- */
int cr_remote_call(int rank, const struct cr_remote_endpoint *endpoint, struct cr_remote_head *head, const struct cr_remote_run *runs,
		   const void *data, uint64_t data_bytes, void *into, uint64_t want, uint64_t *ret_value)
{
	struct iovec v[1];
	struct call *c;
	int rc = rank < 0 || rank >= remote.size ? -EINVAL : call_open(rank, endpoint, &c);

	if (rc < 0)
		return rc;
	head->magic = CR_REMOTE_MAGIC;
	turn_lock(&c->lock);
	rc = c->error;
	if (rc == 0)
		rc = post(c, head, runs, data, data_bytes);
	if (rc == 0 && !(head->flags & CR_REMOTE_REPLY))
		c->posted = true;
	if (rc == 0 && (head->flags & CR_REMOTE_REPLY)) {
		rc = c->used ? leave(c, v, 0) : 0;
		if (rc == 0)
			rc = hear(c, into, want, ret_value);
	}
	turn_unlock(&c->lock);
	return rc;
}

int cr_remote_push(int rank)
{
	struct call *c = remote.calls && rank < remote.size ? remote.calls[rank] : NULL;
	struct iovec v[1];
	int rc = 0;

	if (!c)
		return 0;
	turn_lock(&c->lock);
	rc = c->error;
	if (rc == 0 && c->used)
		rc = leave(c, v, 0);
	turn_unlock(&c->lock);
	return rc;
}

int cr_remote_sync(int rank)
{
	int first = rank < 0 ? 0 : rank, last = rank < 0 ? remote.size - 1 : rank, rc = 0, one;

	if (!remote.calls)
		return 0;
	/* All that was gathered leaves before the first answer is waited for. */
	for (int i = first; i <= last && rc == 0 && first < last; i++)
		if (remote.calls[i] && remote.calls[i]->posted)
			rc = cr_remote_push(i);
	for (int i = first; i <= last; i++) {
		struct cr_remote_head h = { .type = CR_REMOTE_SYNC, .flags = CR_REMOTE_REPLY };

		if (!remote.calls[i] || !remote.calls[i]->posted)
			continue;
		one = cr_remote_call(i, NULL, &h, NULL, NULL, 0, NULL, 0, NULL);
		if (rc == 0)
			rc = one;
	}
	return rc;
}

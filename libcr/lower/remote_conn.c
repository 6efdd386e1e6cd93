/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection of the memory service, from the proof to the end.
 *
 * Large data goes from the socket into the memory and back without a copy; the kernel finds bad addresses. Until the proof nothing else that
 * comes is looked at.
 */
#include "libcr/lower/remote_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES 32768u
#define OUT_BYTES 16384u
#define TURN_STEPS 256 /* of one connection before the next one's turn; a request takes three or four */

enum state { PROOF, HEAD, RUNS, DATA, SEND, SEND_LAST };

struct cr_remote_conn {
	int fd;
	const uint8_t *secret;
	enum state state;
	int error;               /* of posted requests */
	uint8_t nonce[CR_REMOTE_NONCE_BYTES];
	/* what came in and has not been taken */
	uint32_t in_at, in_end;
	/* the request */
	union {
		struct cr_remote_proof proof;
		struct cr_remote_head head;
	} u;
	struct cr_remote_run *runs; /* [CR_REMOTE_RUNS_MAX], made at first use */
	struct cr_remote_run only;
	char *data, *old;           /* of COMBINE; [CR_REMOTE_COMBINE_MAX], made at first use */
	uint64_t got;               /* of the part that is being taken or sent */
	uint32_t run;               /* that is being taken or sent */
	bool bad;                   /* the rest of the data goes nowhere, or is zeros */
	/* the answer: out[], then the runs' content unless it is in out[] already, then a tail */
	bool streams;
	uint32_t out_at, out_end;
	char in[IN_BYTES];
	char out[OUT_BYTES];
};

/* ---- taking ---- */
/* More into in[]: its bytes, 0 when there is none yet, -errno (-EPIPE: the end). */
static int refill(struct cr_remote_conn *c)
{
	ssize_t n;

	c->in_at = c->in_end = 0;
	do
		n = recv(c->fd, c->in, IN_BYTES, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	c->in_end = (uint32_t)n;
	return n ? (int)n : -EPIPE;
}

/* Fills @to, of which c->got bytes are there. 1: all; 0: more must come; -errno. */
static int take(struct cr_remote_conn *c, void *to, uint64_t bytes)
{
	while (c->got < bytes) {
		uint64_t n = c->in_end - c->in_at, left = bytes - c->got;
		int rc;

		if (n == 0) {
			rc = refill(c);
			if (rc <= 0)
				return rc;
			continue;
		}
		if (n > left)
			n = left;
		memcpy((char *)to + c->got, c->in + c->in_at, n);
		c->in_at += (uint32_t)n;
		c->got += n;
	}
	c->got = 0;
	return 1;
}

/* As take(), into memory of the program or, when it is bad, into nothing. */
static int take_into(struct cr_remote_conn *c, const struct cr_remote_run *run)
{
	while (c->got < run->bytes) {
		uint64_t n = c->in_end - c->in_at, left = run->bytes - c->got;
		ssize_t got;
		int rc;

		if (n > left)
			n = left;
		if (n) {
			if (!c->bad && cr_remote_store(run->at + c->got, c->in + c->in_at, n))
				c->bad = true;
			c->in_at += (uint32_t)n;
			c->got += n;
			continue;
		}
		if (c->bad || left < IN_BYTES) {
			rc = refill(c);
			if (rc <= 0)
				return rc;
			continue;
		}
		got = recv(c->fd, (void *)(run->at + c->got), left, MSG_DONTWAIT);
		if (got > 0)
			c->got += (uint64_t)got;
		else if (got == 0)
			return -EPIPE;
		else if (errno == EFAULT)
			c->bad = true;
		else if (errno == EAGAIN)
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
	c->got = 0;
	return 1;
}

/* ---- answering ---- */
static void answer(struct cr_remote_conn *c, int error, uint64_t value, uint64_t bytes)
{
	struct cr_remote_reply r = { .magic = CR_REMOTE_MAGIC, .error = c->error ? c->error : error, .value = value, .bytes = bytes };

	c->error = 0;
	memcpy(c->out, &r, sizeof(r));
	c->out_at = 0;
	c->out_end = sizeof(r);
	c->streams = false;
	c->state = SEND;
	c->got = 0;
	c->run = 0;
}

static void add_tail(struct cr_remote_conn *c)
{
	struct cr_remote_tail t = { .magic = CR_REMOTE_MAGIC, .error = c->bad ? -EFAULT : 0 };

	if (c->out_at == c->out_end)
		c->out_at = c->out_end = 0;
	memcpy(c->out + c->out_end, &t, sizeof(t));
	c->out_end += sizeof(t);
}

static const struct cr_remote_run *run_of(struct cr_remote_conn *c, uint32_t i)
{
	return c->u.head.runs ? &c->runs[i] : &c->only;
}

static uint32_t runs_of(const struct cr_remote_conn *c)
{
	return c->u.head.runs ? c->u.head.runs : 1;
}

/* The runs' content behind the reply: small ones at once, else as a stream. */
static void answer_with_memory(struct cr_remote_conn *c)
{
	uint64_t bytes = c->u.head.bytes;

	answer(c, 0, 0, bytes);
	c->bad = false;
	if (bytes > OUT_BYTES - sizeof(struct cr_remote_reply) - sizeof(struct cr_remote_tail)) {
		c->streams = true;
		return;
	}
	memset(c->out + c->out_end, 0, bytes);
	for (uint32_t i = 0; i < runs_of(c); i++) {
		const struct cr_remote_run *run = run_of(c, i);

		c->bad = c->bad || cr_remote_load(c->out + c->out_end, run->at, run->bytes);
		c->out_end += (uint32_t)run->bytes;
	}
	add_tail(c);
}

/* As take(), the other way. */
static int give(struct cr_remote_conn *c, const void *from, uint64_t bytes, int flags)
{
	while (c->got < bytes) {
		ssize_t n = send(c->fd, (const char *)from + c->got, bytes - c->got, MSG_DONTWAIT | MSG_NOSIGNAL | flags);

		if (n >= 0)
			c->got += (uint64_t)n;
		else if (errno == EAGAIN)
			return 0;
		else if (errno != EINTR)
			return -errno;
	}
	c->got = 0;
	return 1;
}

static int give_run(struct cr_remote_conn *c, const struct cr_remote_run *run)
{
	static const char zeros[OUT_BYTES];
	int rc;

	if (!c->bad) {
		rc = give(c, (const void *)run->at, run->bytes, MSG_MORE);
		if (rc != -EFAULT)
			return rc;
		c->bad = true;
	}
	while (c->got < run->bytes) {
		uint64_t n = run->bytes - c->got, at = c->got;

		if (n > sizeof(zeros))
			n = sizeof(zeros);
		c->got = 0;
		rc = give(c, zeros, n, MSG_MORE);
		if (rc <= 0) {
			c->got += at;
			return rc;
		}
		c->got = at + n;
	}
	c->got = 0;
	return 1;
}

/* 1: the answer has left. */
static int send_on(struct cr_remote_conn *c)
{
	int rc = 1;

	if (c->state == SEND) {
		if (c->out_at < c->out_end)
			rc = give(c, c->out + c->out_at, c->out_end - c->out_at, c->streams ? MSG_MORE : 0);
		if (rc <= 0)
			return rc;
		c->out_at = c->out_end;
		while (c->streams && c->run < runs_of(c)) {
			rc = give_run(c, run_of(c, c->run));
			if (rc <= 0)
				return rc;
			c->run++;
		}
		if (!c->streams)
			goto done;
		add_tail(c);
		c->state = SEND_LAST;
	}
	rc = give(c, c->out + c->out_at, c->out_end - c->out_at, 0);
	if (rc <= 0)
		return rc;
done:
	c->streams = false;
	c->state = HEAD;
	return 1;
}

/* ---- one request ---- */
static int buffers(struct cr_remote_conn *c, const struct cr_remote_head *h)
{
	if (h->runs && !c->runs)
		c->runs = malloc(CR_REMOTE_RUNS_MAX * sizeof(*c->runs));
	if ((h->type == CR_REMOTE_COMBINE || h->type == CR_REMOTE_SWAP) && !c->data)
		c->data = malloc(CR_REMOTE_COMBINE_MAX);
	if ((h->flags & CR_REMOTE_FETCH) && !c->old)
		c->old = malloc(CR_REMOTE_COMBINE_MAX);
	if ((h->runs && !c->runs) || ((h->flags & CR_REMOTE_FETCH) && !c->old))
		return -ENOMEM;
	return cr_remote_data_bytes(h) && h->type != CR_REMOTE_PUT && !c->data ? -ENOMEM : 0;
}

/* Everything of it is here. */
static void perform(struct cr_remote_conn *c)
{
	struct cr_remote_head *h = &c->u.head;
	char old[CR_REMOTE_SWAP_MAX];
	uint64_t value = 0;
	int rc = 0;

	c->state = HEAD;
	switch (h->type) {
	case CR_REMOTE_GET:
		answer_with_memory(c);
		return;
	case CR_REMOTE_PUT:
		rc = c->bad ? -EFAULT : 0;
		break;
	case CR_REMOTE_COMBINE:
		rc = cr_remote_combine(h, c->runs, c->data, c->old);
		if (rc == 0 && (h->flags & CR_REMOTE_FETCH)) {
			c->only = (struct cr_remote_run){ (uint64_t)c->old, h->bytes };
			h->runs = 0;
			answer_with_memory(c);
			return;
		}
		break;
	case CR_REMOTE_SWAP:
		rc = cr_remote_swap(h, c->data, old);
		if (rc == 0) {
			answer(c, 0, 0, h->bytes);
			memcpy(c->out + c->out_end, old, h->bytes);
			c->out_end += (uint32_t)h->bytes;
			c->bad = false;
			add_tail(c);
			return;
		}
		break;
	case CR_REMOTE_ADD:
	case CR_REMOTE_EXCHANGE:
		rc = cr_remote_word(h, &value);
		break;
	}
	if (h->flags & CR_REMOTE_REPLY)
		answer(c, rc, value, 0);
	else if (rc && !c->error)
		c->error = rc;
}

static void begin_data(struct cr_remote_conn *c)
{
	c->run = 0;
	c->bad = false;
	c->state = DATA;
}

static int take_data(struct cr_remote_conn *c)
{
	uint64_t bytes = cr_remote_data_bytes(&c->u.head);
	int rc = 1;

	if (c->u.head.type != CR_REMOTE_PUT)
		return bytes ? take(c, c->data, bytes) : 1;
	while (c->run < runs_of(c)) {
		rc = take_into(c, run_of(c, c->run));
		if (rc <= 0)
			return rc;
		c->run++;
	}
	return 1;
}

/* ---- who is there? ---- */
static int judge_proof(struct cr_remote_conn *c)
{
	const struct cr_remote_proof *p = &c->u.proof;
	struct cr_remote_welcome w = { .magic = CR_REMOTE_MAGIC };

	if (p->magic != CR_REMOTE_MAGIC || p->tag != cr_remote_tag(c->secret, 0, p->rank, c->nonce, p->nonce))
		return -EACCES;
	w.tag = cr_remote_tag(c->secret, 1, p->rank, c->nonce, p->nonce);
	memcpy(c->out, &w, sizeof(w));
	c->out_at = 0;
	c->out_end = sizeof(w);
	c->state = SEND;
	return 0;
}

/* One step of the state machine: 1 it went on, 0 it waits, -errno. */
static int step(struct cr_remote_conn *c)
{
	int rc = 0;

	switch (c->state) {
	case PROOF:
		rc = take(c, &c->u.proof, sizeof(c->u.proof));
		if (rc > 0 && judge_proof(c))
			rc = -EACCES;
		break;
	case HEAD:
		rc = take(c, &c->u.head, sizeof(c->u.head));
		if (rc <= 0)
			break;
		if (cr_remote_head_check(&c->u.head))
			return -EPROTO;
		if (buffers(c, &c->u.head))
			return -ENOMEM;
		c->only = (struct cr_remote_run){ c->u.head.at, c->u.head.bytes };
		if (c->u.head.runs)
			c->state = RUNS;
		else
			begin_data(c);
		break;
	case RUNS:
		rc = take(c, c->runs, c->u.head.runs * sizeof(*c->runs));
		if (rc > 0 && cr_remote_runs_check(&c->u.head, c->runs))
			return -EPROTO;
		if (rc > 0)
			begin_data(c);
		break;
	case DATA:
		rc = take_data(c);
		if (rc > 0)
			perform(c);
		break;
	case SEND:
	case SEND_LAST:
		rc = send_on(c);
		break;
	}
	return rc;
}

int cr_remote_conn_serve(struct cr_remote_conn *c, bool *ret_out)
{
	int rc = 1;

	for (int i = 0; i < TURN_STEPS && rc > 0; i++)
		rc = step(c);
	*ret_out = c->state == SEND || c->state == SEND_LAST;
	return rc;
}

/* ---- begin and end ---- */
struct cr_remote_conn *cr_remote_conn_create(int fd, const uint8_t *secret)
{
	struct cr_remote_challenge challenge = { .magic = CR_REMOTE_MAGIC, .version = CR_REMOTE_VERSION };
	struct cr_remote_conn *c = calloc(1, sizeof(*c));
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (!c || getrandom(c->nonce, sizeof(c->nonce), 0) != (ssize_t)sizeof(c->nonce))
		goto fail;
	memcpy(challenge.nonce, c->nonce, sizeof(challenge.nonce));
	if (send(fd, &challenge, sizeof(challenge), MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)sizeof(challenge))
		goto fail;
	c->fd = fd;
	c->secret = secret;
	c->state = PROOF;
	return c;
fail:
	free(c);
	close(fd);
	return NULL;
}

void cr_remote_conn_destroy(struct cr_remote_conn *c)
{
	if (!c)
		return;
	close(c->fd);
	free(c->runs);
	free(c->data);
	free(c->old);
	free(c);
}

int cr_remote_conn_fd(const struct cr_remote_conn *c)
{
	return c->fd;
}

bool cr_remote_conn_is_proven(const struct cr_remote_conn *c)
{
	return c->state != PROOF;
}

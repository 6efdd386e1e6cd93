/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random messages, checked: every byte, every size, every order rule.
 *
 * All ranks compute the same schedule of messages from the seed, an epoch (a few rounds) at a time, so a receiver knows what the next
 * message of a source must be. How it is sent and received is random too: all modes, wildcards, probes, persistent, vector datatypes,
 * several communicators, with collectives in between. Ranks drift apart inside an epoch.
 *
 *   mpi_stress [--seed N] [--rounds N | --seconds S] [--max-bytes N] [--per-round N] [--more 1 [--file F] [--threads 2]]
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAGS 4
#define NEVER_TAG 77
#define PAIR_TAG 50
#define RING_TAG 60
#define EPOCH_ROUNDS 6
#define PENDING_MAX 4096
#define GAP_BYTE 0xa5

enum style { DIRECTED, ANY_ANY, ANY_SOURCE_TAG };

struct channel {
	MPI_Comm comm;
	const char *name;
	enum style style;
	size_t max_bytes;
	int *rank_of;  /* [world] rank of a world rank as its partner sees it */
	int *world_of; /* [peer] */
	int peers;
};

struct message {
	struct message *next;
	int channel, src, dst, tag; /* world ranks */
	uint64_t seq;               /* per (channel, src, dst) */
	size_t bytes;
	int mode, round;
};

struct queue {
	struct message *head, **tail;
	uint64_t seq_made; /* next sequence number for messages of (channel, src) to me; also used for those from me */
};

enum { C_WORLD, C_REVERSED, C_PARITY, C_INTER, C_ANY, C_PROBE, CHANNELS };

static struct {
	int rank, size;
	uint64_t seed, local_state, messages, checksum;
	size_t max_bytes;
	int per_round;
	struct channel channels[CHANNELS];
	struct queue *incoming;  /* [channel * size + src] */
	uint64_t *seq;           /* [(channel * size + src) * size + dst] */
	struct message *outgoing[EPOCH_ROUNDS];
	int expected[EPOCH_ROUNDS][CHANNELS];
	unsigned char *bsend_buffer;
	int bsend_bytes;
} g;

/* ---- random numbers ---- */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}
struct random {
	uint64_t key, n;
};
static uint64_t draw(struct random *r)
{
	return mix(r->key ^ mix(r->n++));
}
static struct random shared_random(uint64_t epoch, uint64_t round, uint64_t what)
{
	struct random r = { mix(mix(mix(g.seed) ^ epoch) ^ (round << 8 | what)), 0 };

	return r;
}
static uint64_t local_draw(void)
{
	g.local_state = g.local_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return mix(g.local_state);
}

/* ---- failure ---- */
#define FAIL(...)                                                                \
	do {                                                                     \
		fprintf(stderr, "mpi_stress: rank %d seed %llu: ", g.rank, (unsigned long long)g.seed); \
		fprintf(stderr, __VA_ARGS__);                                    \
		fprintf(stderr, "\n");                                           \
		MPI_Abort(MPI_COMM_WORLD, 3);                                    \
	} while (0)

/* ---- contents ---- */
static uint64_t content_key(const struct message *m)
{
	return mix(g.seed ^ mix((uint64_t)m->channel << 48 ^ (uint64_t)m->src << 32 ^ (uint64_t)m->dst << 16) ^ mix(m->seq * 3 + (uint64_t)m->tag));
}
static void content_fill(unsigned char *p, size_t bytes, uint64_t key)
{
	size_t i;
	uint64_t v;

	for (i = 0; i + 8 <= bytes; i += 8) {
		v = mix(key + i);
		memcpy(p + i, &v, 8);
	}
	if (i < bytes) {
		v = mix(key + i);
		memcpy(p + i, &v, bytes - i);
	}
}
static void content_check(const unsigned char *p, const struct message *m)
{
	uint64_t key = content_key(m), v;
	size_t i, j, n;

	for (i = 0; i < m->bytes; i += 8) {
		v = mix(key + i);
		n = m->bytes - i < 8 ? m->bytes - i : 8;
		if (memcmp(p + i, &v, n) == 0)
			continue;
		for (j = 0; j < n && p[i + j] == ((unsigned char *)&v)[j]; j++)
			;
		FAIL("wrong byte %zu of %zu: channel %s, from %d, tag %d, sequence %llu", i + j, m->bytes, g.channels[m->channel].name, m->src, m->tag,
		     (unsigned long long)m->seq);
	}
	g.messages++;
	g.checksum += mix(key ^ m->bytes);
}

/* ---- buffers: contiguous, or 8 bytes used of every 16 ---- */
struct buffer {
	unsigned char *memory;
	size_t bytes;   /* of data */
	int vector;
	MPI_Datatype type;
	int count;
};
static void buffer_init(struct buffer *b, size_t bytes, int want_vector)
{
	b->bytes = bytes;
	b->vector = want_vector && bytes >= 16 && bytes % 8 == 0 && bytes <= (1u << 20);
	b->memory = malloc(b->vector ? 2 * bytes : bytes + 1);
	if (!b->memory)
		FAIL("no memory for a buffer of %zu bytes", bytes);
	if (b->vector) {
		memset(b->memory, GAP_BYTE, 2 * bytes);
		MPI_Type_vector((int)(bytes / 8), 2, 4, MPI_INT, &b->type);
		MPI_Type_commit(&b->type);
		b->count = 1;
	} else {
		b->memory[bytes] = GAP_BYTE;
		b->type = MPI_BYTE;
		b->count = (int)bytes;
	}
}
static void buffer_fini(struct buffer *b)
{
	free(b->memory);
	b->memory = NULL;
}
/* A datatype may be freed while an operation that uses it is pending. */
static void buffer_drop_type(struct buffer *b)
{
	if (b->vector)
		MPI_Type_free(&b->type);
}
static void buffer_fill(struct buffer *b, const struct message *m)
{
	unsigned char *flat;
	size_t i;

	if (!b->vector) {
		content_fill(b->memory, b->bytes, content_key(m));
		return;
	}
	flat = malloc(b->bytes);
	content_fill(flat, b->bytes, content_key(m));
	for (i = 0; i < b->bytes / 8; i++)
		memcpy(b->memory + 16 * i, flat + 8 * i, 8);
	free(flat);
}
static void buffer_check(struct buffer *b, const struct message *m)
{
	unsigned char *flat;
	size_t i, j;

	if (!b->vector) {
		if (b->memory[b->bytes] != GAP_BYTE)
			FAIL("byte written behind a buffer of %zu", b->bytes);
		content_check(b->memory, m);
		return;
	}
	flat = malloc(m->bytes);
	for (i = 0; i < m->bytes / 8; i++)
		memcpy(flat + 8 * i, b->memory + 16 * i, 8);
	for (i = 0; i < b->bytes / 8; i++)
		for (j = 8; j < 16; j++)
			if (b->memory[16 * i + j] != GAP_BYTE)
				FAIL("gap of a vector was written: block %zu byte %zu", i, j);
	content_check(flat, m);
	free(flat);
}

/* ---- pending operations of this rank ---- */
struct pending {
	struct buffer buffer;
	struct message *message; /* receives: what must come; NULL: a wildcard receive, resolved in order of posting */
	int channel, tag;        /* wildcard receives */
	MPI_Status status;
	int is_send, persistent;
};
static MPI_Request requests[PENDING_MAX];
static struct pending pendings[PENDING_MAX];
static int n_pending;

static struct queue *queue_of(int channel, int src)
{
	return &g.incoming[channel * g.size + src];
}
static void queue_push(struct queue *q, struct message *m)
{
	m->next = NULL;
	*q->tail = m;
	q->tail = &m->next;
}
/* Take the first message (of @tag, or any when negative) out of a queue. */
static struct message *queue_take(struct queue *q, int tag)
{
	struct message **p, *m;

	for (p = &q->head; (m = *p) != NULL; p = &m->next) {
		if (tag >= 0 && m->tag != tag)
			continue;
		*p = m->next;
		if (q->tail == &m->next)
			q->tail = p;
		return m;
	}
	return NULL;
}

static void check_status(const struct message *m, MPI_Status *status)
{
	const struct channel *c = &g.channels[m->channel];
	int count;

	if (status->MPI_SOURCE != c->rank_of[m->src])
		FAIL("status of a message from %d on %s says source %d instead of %d", m->src, c->name, status->MPI_SOURCE, c->rank_of[m->src]);
	if (status->MPI_TAG != m->tag)
		FAIL("order broken: channel %s, from %d: got tag %d where sequence %llu has tag %d", c->name, m->src, status->MPI_TAG,
		     (unsigned long long)m->seq, m->tag);
	MPI_Get_count(status, MPI_BYTE, &count);
	if ((size_t)count != m->bytes)
		FAIL("order broken or wrong size: channel %s, from %d, tag %d, sequence %llu: %d bytes instead of %zu", c->name, m->src, m->tag,
		     (unsigned long long)m->seq, count, m->bytes);
}
/* Which message must a wildcard receive with this status have got? */
static struct message *resolve(int channel, int tag, const MPI_Status *status)
{
	const struct channel *c = &g.channels[channel];
	struct message *m;

	if (status->MPI_SOURCE < 0 || status->MPI_SOURCE >= c->peers)
		FAIL("channel %s: wildcard receive says source %d", c->name, status->MPI_SOURCE);
	m = queue_take(queue_of(channel, c->world_of[status->MPI_SOURCE]), tag);
	if (!m)
		FAIL("channel %s: a message from %d with tag %d that nobody sent", c->name, c->world_of[status->MPI_SOURCE], status->MPI_TAG);
	return m;
}

static void pending_done(int i)
{
	struct pending *p = &pendings[i];

	if (p->is_send) {
		buffer_fini(&p->buffer);
		return;
	}
	if (!p->message)
		p->message = resolve(p->channel, p->tag, &p->status);
	check_status(p->message, &p->status);
	buffer_check(&p->buffer, p->message);
	free(p->message);
	buffer_fini(&p->buffer);
}

static int pending_add(void)
{
	if (n_pending == PENDING_MAX)
		FAIL("too many pending operations");
	memset(&pendings[n_pending], 0, sizeof(pendings[0]));
	return n_pending++;
}

/* Complete requests [first, n_pending) in one of the many ways, then check them in order of posting. */
static void pending_wait(int first)
{
	int n = n_pending - first, i, done = 0, index, flag, out;
	static int indices[PENDING_MAX];
	static MPI_Status statuses[PENDING_MAX];

	if (n == 0)
		return;
	switch (local_draw() % 7) {
	case 0:
		MPI_Waitall(n, requests + first, statuses);
		for (i = 0; i < n; i++)
			pendings[first + i].status = statuses[i];
		break;
	case 1:
		while (done++ < n) {
			MPI_Waitany(n, requests + first, &index, statuses);
			if (index == MPI_UNDEFINED)
				FAIL("Waitany has nothing to wait for with %d left", n - done + 1);
			pendings[first + index].status = statuses[0];
		}
		break;
	case 2:
	case 3:
		while (done < n) {
			if (local_draw() % 2)
				MPI_Waitsome(n, requests + first, &out, indices, statuses);
			else
				MPI_Testsome(n, requests + first, &out, indices, statuses);
			if (out == MPI_UNDEFINED)
				FAIL("Waitsome has nothing to wait for with %d left", n - done);
			for (i = 0; i < out; i++)
				pendings[first + indices[i]].status = statuses[i];
			done += out;
		}
		break;
	case 4:
		do
			MPI_Testall(n, requests + first, &flag, statuses);
		while (!flag);
		for (i = 0; i < n; i++)
			pendings[first + i].status = statuses[i];
		break;
	case 5:
		for (i = 0; i < n; i++)
			MPI_Wait(&requests[first + i], &pendings[first + i].status);
		break;
	default:
		while (done < n) {
			MPI_Testany(n, requests + first, &index, &flag, statuses);
			if (flag && index != MPI_UNDEFINED) {
				pendings[first + index].status = statuses[0];
				done++;
			}
		}
		break;
	}
	for (i = first; i < n_pending; i++) {
		if (requests[i] != MPI_REQUEST_NULL && !pendings[i].persistent)
			FAIL("a completed request is not MPI_REQUEST_NULL");
		if (pendings[i].persistent)
			MPI_Request_free(&requests[i]);
		pending_done(i);
	}
	n_pending = first;
}

#include "mpi_stress_parts.h"

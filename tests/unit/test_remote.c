/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The memory service: which messages are refused, who is let in, and that requests do what they say, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "libcr/lower/lower.h"
#include "libcr/lower/remote.h"

/* ---- what the service takes from its surroundings ---- */
static long copy(long (*move)(pid_t, const struct iovec *, const struct iovec *), const void *local, const void *program, uint64_t bytes)
{
	struct iovec here = { (void *)(uintptr_t)local, bytes }, there = { (void *)(uintptr_t)program, bytes };

	return move(getpid(), &here, &there) == (long)bytes ? 0 : -EFAULT;
}

static long read_from(pid_t pid, const struct iovec *here, const struct iovec *there) { return process_vm_readv(pid, here, 1, there, 1, 0); }
static long write_to(pid_t pid, const struct iovec *here, const struct iovec *there) { return process_vm_writev(pid, here, 1, there, 1, 0); }
long cr_copy_in(void *to, const void *from, uint64_t bytes) { return copy(read_from, to, from, bytes); }
long cr_copy_out(void *to, const void *from, uint64_t bytes) { return copy(write_to, from, to, bytes); }

uint64_t cr_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- messages ---- */
#define GOOD(...) assert_int_equal(cr_remote_head_check(&(struct cr_remote_head){ .magic = CR_REMOTE_MAGIC, __VA_ARGS__ }), 0)
#define BAD(...) assert_int_equal(cr_remote_head_check(&(struct cr_remote_head){ .magic = CR_REMOTE_MAGIC, __VA_ARGS__ }), -EPROTO)
#define REPLY .flags = CR_REMOTE_REPLY

static void heads(void **state)
{
	(void)state;
	assert_int_equal(cr_remote_head_check(&(struct cr_remote_head){ .magic = 1, .type = CR_REMOTE_SYNC, REPLY }), -EPROTO);
	GOOD(.type = CR_REMOTE_SYNC, REPLY);
	BAD(.type = CR_REMOTE_SYNC);
	BAD(.type = 0, REPLY);
	BAD(.type = CR_REMOTE_SYNC + 1, REPLY);
	BAD(.type = CR_REMOTE_SYNC, .flags = CR_REMOTE_REPLY | 4);
	BAD(.type = CR_REMOTE_SYNC, REPLY, .zero = 1);
	GOOD(.type = CR_REMOTE_PUT, .at = 0x1000, .bytes = 1);
	GOOD(.type = CR_REMOTE_PUT, .at = CR_REMOTE_ADDRESS_END - 1, .bytes = 1);
	BAD(.type = CR_REMOTE_PUT, .at = CR_REMOTE_ADDRESS_END - 1, .bytes = 2);
	BAD(.type = CR_REMOTE_PUT, .at = CR_REMOTE_ADDRESS_END, .bytes = 1);
	BAD(.type = CR_REMOTE_PUT, .at = UINT64_MAX, .bytes = 2);
	BAD(.type = CR_REMOTE_PUT, .at = 0x1000, .bytes = 0);
	BAD(.type = CR_REMOTE_PUT, .at = 0x1000, .bytes = CR_REMOTE_BYTES_MAX + 1);
	BAD(.type = CR_REMOTE_PUT, .at = 0, .bytes = 1);
	GOOD(.type = CR_REMOTE_PUT, .runs = CR_REMOTE_RUNS_MAX, .bytes = 1);
	BAD(.type = CR_REMOTE_PUT, .runs = CR_REMOTE_RUNS_MAX + 1, .bytes = 1);
	BAD(.type = CR_REMOTE_PUT, .runs = 2, .at = 0x1000, .bytes = 1);
	BAD(.type = CR_REMOTE_PUT, .at = 0x1000, .bytes = 1, .lock = 0x1000);
	BAD(.type = CR_REMOTE_PUT, .at = 0x1000, .bytes = 1, .op = 1);
	BAD(.type = CR_REMOTE_PUT, .at = 0x1000, .bytes = 1, .flags = CR_REMOTE_FETCH | CR_REMOTE_REPLY);
	GOOD(.type = CR_REMOTE_GET, REPLY, .at = 0x1000, .bytes = 1);
	BAD(.type = CR_REMOTE_GET, .at = 0x1000, .bytes = 1);
	GOOD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = CR_REMOTE_COMBINE_MAX, .lock = 0x2000, .op = CR_REMOTE_OP_SUM);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2000, .op = CR_REMOTE_OPS);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2000);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2000, .op = CR_REMOTE_OP_SUM, .datatype = CR_REMOTE_KINDS);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = CR_REMOTE_COMBINE_MAX + 1, .lock = 0x2000, .op = CR_REMOTE_OP_SUM);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2001, .op = CR_REMOTE_OP_SUM);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .op = CR_REMOTE_OP_SUM);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2000, .op = CR_REMOTE_OP_NONE);
	BAD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2000, .op = CR_REMOTE_OP_SUM, .flags = CR_REMOTE_FETCH);
	GOOD(.type = CR_REMOTE_COMBINE, .at = 0x1000, .bytes = 4, .lock = 0x2000, .op = CR_REMOTE_OP_NONE, .flags = CR_REMOTE_FETCH | CR_REMOTE_REPLY);
	GOOD(.type = CR_REMOTE_SWAP, REPLY, .at = 0x1000, .bytes = CR_REMOTE_SWAP_MAX, .lock = 0x2000);
	BAD(.type = CR_REMOTE_SWAP, REPLY, .at = 0x1000, .bytes = CR_REMOTE_SWAP_MAX + 1, .lock = 0x2000);
	BAD(.type = CR_REMOTE_SWAP, REPLY, .at = 0x1000, .bytes = 0, .lock = 0x2000);
	BAD(.type = CR_REMOTE_SWAP, REPLY, .at = 0x1000, .bytes = 8, .lock = 0x2000, .runs = 1);
	GOOD(.type = CR_REMOTE_ADD, .at = 0x1000, .value = { 1 });
	BAD(.type = CR_REMOTE_ADD, .at = 0x1004, .value = { 1 });
	BAD(.type = CR_REMOTE_ADD, .at = 0x1000, .value = { 1, 1 });
	BAD(.type = CR_REMOTE_ADD, .at = 0x1000, .bytes = 8);
	GOOD(.type = CR_REMOTE_EXCHANGE, REPLY, .at = 0x1000, .value = { 1, 2 });
	BAD(.type = CR_REMOTE_EXCHANGE, .at = 0x1000, .value = { 1, 2 });
}

static void runs(void **state)
{
	struct cr_remote_head h = { .magic = CR_REMOTE_MAGIC, .type = CR_REMOTE_PUT, .runs = 2, .bytes = 12 };
	struct cr_remote_run good[2] = { { 0x1000, 4 }, { 0x2000, 8 } }, much[2] = { { 0x1000, 4 }, { 0x2000, 9 } }, few[2] = { { 0x1000, 4 }, { 0x2000, 7 } },
			     none[2] = { { 0x1000, 12 }, { 0x2000, 0 } }, around[2] = { { 0x1000, UINT64_MAX }, { 0x2000, 13 } }, out[2] = { { 0x1000, 4 }, { UINT64_MAX - 3, 8 } };

	(void)state;
	assert_int_equal(cr_remote_runs_check(&h, good), 0);
	assert_int_equal(cr_remote_runs_check(&h, much), -EPROTO);
	assert_int_equal(cr_remote_runs_check(&h, few), -EPROTO);
	assert_int_equal(cr_remote_runs_check(&h, none), -EPROTO);
	assert_int_equal(cr_remote_runs_check(&h, around), -EPROTO);
	assert_int_equal(cr_remote_runs_check(&h, out), -EPROTO);
}

/* A head of random bits is refused or within all bounds. */
static void random_heads(void **state)
{
	uint64_t seed = 1, let_in = 0;

	(void)state;
	for (int i = 0; i < 500000; i++) {
		struct cr_remote_head h;
		uint64_t w[8];

		for (int k = 0; k < 8; k++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			w[k] = seed >> (seed >> 58); /* of every size */
		}
		memcpy(&h, w, sizeof(h));
		h.magic = CR_REMOTE_MAGIC;
		h.type %= 9;
		h.flags %= 5;
		if (seed >> 40 & 1)
			h.zero = h.op = h.datatype = 0;
		if (seed >> 41 & 1)
			h.runs = 0;
		if (seed >> 42 & 1)
			h.lock = h.value[0] = h.value[1] = 0;
		if (cr_remote_head_check(&h))
			continue;
		let_in++;
		assert_true(h.runs <= CR_REMOTE_RUNS_MAX && h.bytes <= CR_REMOTE_BYTES_MAX && h.at < CR_REMOTE_ADDRESS_END);
		assert_true(h.type == CR_REMOTE_PUT || cr_remote_data_bytes(&h) <= CR_REMOTE_COMBINE_MAX);
		assert_true(h.type != CR_REMOTE_COMBINE || h.bytes <= CR_REMOTE_COMBINE_MAX);
	}
	assert_true(let_in > 100);
}

/* The vector of the paper's appendix A. */
static void mac(void **state)
{
	uint8_t key[16], text[15];

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (unsigned i = 0; i < 15; i++)
		text[i] = (uint8_t)i;
	assert_true(cr_remote_mac(key, text, sizeof(text)) == 0xa129ca6149be45e5u);
	assert_true(cr_remote_tag(key, 0, 1, key, key) != cr_remote_tag(key, 1, 1, key, key));
	assert_true(cr_remote_tag(key, 0, 1, key, key) != cr_remote_tag(key, 0, 2, key, key));
}

/* ---- the service of this process, called by this process ---- */
static struct cr_remote_endpoint endpoint;
static struct {
	uint64_t word[8];
	uint32_t lock, number[1000];
} part; /* exposed */

static int start(void **state)
{
	struct cr_remote_setup s = { .rank = 0, .size = 2 };

	(void)state;
	return cr_remote_start(&s, &endpoint) || !endpoint.ok || cr_remote_expose((uint64_t)&part, sizeof(part));
}

static int call(struct cr_remote_head h, const struct cr_remote_run *r, const void *data, uint64_t n, void *into, uint64_t want, uint64_t *value)
{
	return cr_remote_call(1, &endpoint, &h, r, data, n, into, want, value);
}
#define AT(x) .at = (uint64_t)(uintptr_t)(x)

static void put_get(void **state)
{
	static const size_t sizes[] = { 1, 100, 16000, 16384, 40000, 3000000 };
	char *out = malloc(3000000), *in = malloc(3000000), *there = malloc(3000000);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];

		memset(out, (int)i + 1, n);
		memset(in, 0, n);
		assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_PUT, AT(there), .bytes = n }, NULL, out, n, NULL, 0, NULL), 0);
		/* in order: no wait in between */
		assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_GET, REPLY, AT(there), .bytes = n }, NULL, NULL, 0, in, n, NULL), 0);
		assert_memory_equal(in, out, n);
		assert_memory_equal(there, out, n);
	}
	free(out);
	free(in);
	free(there);
}

static void put_get_runs(void **state)
{
	static struct cr_remote_run r[5000];
	static uint64_t out[5000], in[5000], there[10000];

	(void)state;
	for (int i = 0; i < 5000; i++) {
		r[i] = (struct cr_remote_run){ (uint64_t)&there[2 * i], 8 };
		out[i] = (uint64_t)i + 7;
	}
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_PUT, .runs = 5000, .bytes = 40000 }, r, out, 40000, NULL, 0, NULL), 0);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_GET, REPLY, .runs = 5000, .bytes = 40000 }, r, NULL, 0, in, 40000, NULL), 0);
	assert_memory_equal(in, out, sizeof(in));
	for (int i = 0; i < 5000; i++)
		assert_true(there[2 * i] == (uint64_t)i + 7 && there[2 * i + 1] == 0);
}

/* Memory that is not there: an error, and the connection goes on. */
static void faults(void **state)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), data[100] = "x", *much = calloc(1, 100000);

	(void)state;
	munmap(page + 4096, 4096);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_PUT, AT(page + 4090), .bytes = 100 }, NULL, data, 100, NULL, 0, NULL), 0);
	assert_int_equal(cr_remote_sync(1), -EFAULT);
	assert_int_equal(cr_remote_sync(1), 0);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_PUT, AT(page), .bytes = 100000 }, NULL, much, 100000, NULL, 0, NULL), 0);
	assert_int_equal(cr_remote_sync(-1), -EFAULT);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_GET, REPLY, AT(page + 4090), .bytes = 100 }, NULL, NULL, 0, data, 100, NULL), -EFAULT);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_GET, REPLY, AT(page), .bytes = 100000 }, NULL, NULL, 0, much, 100000, NULL), -EFAULT);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_GET, REPLY, AT(page), .bytes = 100 }, NULL, NULL, 0, data, 100, NULL), 0);
	/* words are to lie in exposed memory */
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_ADD, REPLY, AT(page), .value = { 1 } }, NULL, NULL, 0, NULL, 0, NULL), -EFAULT);
	munmap(page, 4096);
	free(much);
}

static void combine(void **state)
{
	struct cr_remote_head h = { .type = CR_REMOTE_COMBINE, AT(part.number), .bytes = sizeof(part.number), .lock = (uint64_t)&part.lock, .op = CR_REMOTE_OP_SUM,
				    .datatype = CR_REMOTE_U32 };
	uint32_t in[1000], old[1000], *apart = calloc(1000, 4);

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		in[i] = i;
	for (uint32_t k = 1; k <= 3; k++)
		assert_int_equal(call(h, NULL, in, sizeof(in), NULL, 0, NULL), 0);
	h.flags = CR_REMOTE_FETCH | CR_REMOTE_REPLY;
	assert_int_equal(call(h, NULL, in, sizeof(in), old, sizeof(old), NULL), 0);
	for (uint32_t i = 0; i < 1000; i++)
		assert_true(old[i] == 3 * i && part.number[i] == 4 * i);
	h.op = CR_REMOTE_OP_NONE;
	assert_int_equal(call(h, NULL, NULL, 0, old, sizeof(old), NULL), 0);
	assert_memory_equal(old, part.number, sizeof(old));
	h.op = CR_REMOTE_OP_REPLACE;
	h.at = (uint64_t)apart; /* not exposed: the lock is, the memory need not be */
	assert_int_equal(call(h, NULL, in, sizeof(in), old, sizeof(old), NULL), 0);
	assert_memory_equal(apart, in, sizeof(in));
	assert_int_equal(part.lock, 0);
	/* what is not defined */
	h.op = CR_REMOTE_OP_MAXLOC;
	assert_int_equal(call(h, NULL, in, sizeof(in), old, sizeof(old), NULL), -EPROTO);
	h.op = CR_REMOTE_OP_SUM;
	h.bytes = 5;
	assert_int_equal(call(h, NULL, in, 5, old, 5, NULL), -EPROTO);
	h.bytes = 8;
	h.lock = (uint64_t)apart;
	assert_int_equal(call(h, NULL, in, 8, old, 8, NULL), -EPROTO);
	free(apart);
}

/* Every operation on every kind, on 3 and 2 (and their places 7 and 5). */
static void operations(void **state)
{
	struct { double value; int place; } pair[2] = { { 3, 7 }, { 3, 5 } };
	double d[2] = { 3, 2 };
	uint8_t u[2] = { 200, 100 };
	int8_t s[2] = { -3, 2 };

	(void)state;
	for (uint32_t kind = 0; kind < CR_REMOTE_KINDS + 2; kind++)
		for (uint32_t op = 0; op < CR_REMOTE_OPS + 2; op++) {
			char in[64] __attribute__((aligned(64))) = { 0 }, inout[64] __attribute__((aligned(64))) = { 0 };
			bool pairs = kind >= CR_REMOTE_SHORT_INT && kind < CR_REMOTE_KINDS, integer = kind >= CR_REMOTE_I8 && kind <= CR_REMOTE_U64;
			bool real = kind >= CR_REMOTE_FLOAT && kind <= CR_REMOTE_LONG_DOUBLE, number = kind >= CR_REMOTE_I8 && kind < CR_REMOTE_SHORT_INT;
			bool good = op >= CR_REMOTE_OP_MAXLOC && op <= CR_REMOTE_OP_MINLOC ? pairs :
				    op == CR_REMOTE_OP_SUM || op == CR_REMOTE_OP_PROD ? number :
				    op == CR_REMOTE_OP_MAX || op == CR_REMOTE_OP_MIN ? integer || real :
				    op >= CR_REMOTE_OP_LAND && op <= CR_REMOTE_OP_BXOR ? integer : false;

			assert_int_equal(cr_remote_reduce(in, inout, 1, kind, op), good ? 0 : -EPROTO);
			assert_true((cr_remote_kind_bytes(kind) > 0) == (number || pairs));
		}
	assert_int_equal(cr_remote_reduce(&d[0], &d[1], 1, CR_REMOTE_DOUBLE, CR_REMOTE_OP_PROD), 0);
	assert_true(d[1] == 6);
	assert_int_equal(cr_remote_reduce(&pair[0], &pair[1], 1, CR_REMOTE_DOUBLE_INT, CR_REMOTE_OP_MAXLOC), 0);
	assert_true(pair[1].value == 3 && pair[1].place == 5);
	pair[0].value = 4;
	assert_int_equal(cr_remote_reduce(&pair[0], &pair[1], 1, CR_REMOTE_DOUBLE_INT, CR_REMOTE_OP_MAXLOC), 0);
	assert_true(pair[1].value == 4 && pair[1].place == 7);
	assert_int_equal(cr_remote_reduce(&u[0], &u[1], 1, CR_REMOTE_U8, CR_REMOTE_OP_MAX), 0);
	assert_true(u[1] == 200);
	assert_int_equal(cr_remote_reduce(&s[0], &s[1], 1, CR_REMOTE_I8, CR_REMOTE_OP_MIN), 0);
	assert_true(s[1] == -3);
	assert_int_equal(cr_remote_reduce(&s[0], &s[1], 1, CR_REMOTE_I8, CR_REMOTE_OP_LXOR), 0);
	assert_true(s[1] == 0);
}

static void words(void **state)
{
	struct cr_remote_head swap = { .type = CR_REMOTE_SWAP, REPLY, AT(&part.word[2]), .bytes = 8, .lock = (uint64_t)&part.lock };
	uint64_t value = 0, data[2] = { 0, 5 };

	(void)state;
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_ADD, AT(&part.word[1]), .value = { 4 } }, NULL, NULL, 0, NULL, 0, NULL), 0);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_ADD, REPLY, AT(&part.word[1]), .value = { -(uint64_t)1 } }, NULL, NULL, 0, NULL, 0, &value), 0);
	assert_true(value == 3 && part.word[1] == 3);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_EXCHANGE, REPLY, AT(&part.word[1]), .value = { 4, 9 } }, NULL, NULL, 0, NULL, 0, &value), 0);
	assert_true(value == 3 && part.word[1] == 3);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_EXCHANGE, REPLY, AT(&part.word[1]), .value = { 3, 9 } }, NULL, NULL, 0, NULL, 0, &value), 0);
	assert_true(value == 3 && part.word[1] == 9);
	assert_int_equal(call(swap, NULL, data, 16, &value, 8, NULL), 0);
	assert_true(value == 0 && part.word[2] == 5);
	assert_int_equal(call(swap, NULL, data, 16, &value, 8, NULL), 0);
	assert_true(value == 5 && part.word[2] == 5);
}

/* ---- strangers ---- */
static int knock(struct cr_remote_challenge *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(endpoint.port), .sin_addr.s_addr = endpoint.address[0] };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(recv(fd, c, sizeof(*c), MSG_WAITALL), sizeof(*c));
	return fd;
}

/* Nothing more comes, and the connection is closed. */
static void assert_shown_out(int fd)
{
	char byte;

	assert_true(recv(fd, &byte, 1, 0) <= 0);
	close(fd);
}

static void strangers(void **state)
{
	struct cr_remote_endpoint other = endpoint;
	struct cr_remote_challenge c;
	struct cr_remote_proof p = { .magic = CR_REMOTE_MAGIC, .rank = 1 };
	struct cr_remote_head h = { .type = CR_REMOTE_ADD, REPLY, .at = (uint64_t)&part.word[3], .value = { 1 } };
	int fd;

	(void)state;
	fd = knock(&c);
	p.tag = cr_remote_tag(endpoint.secret, 0, 1, c.nonce, p.nonce) ^ 1;
	assert_int_equal(send(fd, &p, sizeof(p), 0), sizeof(p));
	assert_shown_out(fd);
	/* the answer to another one's challenge */
	fd = knock(&c);
	p.tag ^= 1;
	assert_int_equal(send(fd, &p, sizeof(p), 0), sizeof(p));
	assert_shown_out(fd);
	/* a request in the place of a proof */
	fd = knock(&c);
	assert_int_equal(send(fd, &h, sizeof(h), 0), sizeof(h));
	assert_shown_out(fd);
	/* somebody who knows the secret, and then talks nonsense */
	fd = knock(&c);
	p.tag = cr_remote_tag(endpoint.secret, 0, 1, c.nonce, p.nonce);
	assert_int_equal(send(fd, &p, sizeof(p), 0), sizeof(p));
	assert_int_equal(recv(fd, &h, sizeof(struct cr_remote_welcome), MSG_WAITALL), sizeof(struct cr_remote_welcome));
	memset(&h, 0xff, sizeof(h));
	assert_int_equal(send(fd, &h, sizeof(h), 0), sizeof(h));
	assert_shown_out(fd);
	/* the service of somebody else: it does not know the secret that we look for */
	other.secret[3] ^= 1;
	h = (struct cr_remote_head){ .type = CR_REMOTE_ADD, REPLY, .at = (uint64_t)&part.word[3], .value = { 1 } };
	assert_true(cr_remote_call(0, &other, &h, NULL, NULL, 0, NULL, 0, NULL) < 0);
	assert_true(part.word[3] == 0);
}

/* More than may wait at once: the oldest have to go, those who know the secret come in. */
static void crowd(void **state)
{
	static const uint64_t one[2] = { 0, 1 };
	struct cr_remote_challenge c;
	uint64_t seen = 0;
	int fd[200];

	(void)state;
	for (int i = 0; i < 200; i++)
		fd[i] = knock(&c);
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_SWAP, REPLY, AT(&part.word[4]), .bytes = 8, .lock = (uint64_t)&part.lock }, NULL, one, 16,
			      &seen, 8, NULL), 0);
	assert_shown_out(fd[0]);
	for (int i = 1; i < 200; i++)
		close(fd[i]);
}

static void ended(void **state)
{
	struct cr_remote_challenge c;
	int fd = knock(&c);

	(void)state;
	(void)fd;
	cr_remote_hide((uint64_t)&part);
	assert_false(cr_remote_is_exposed((uint64_t)&part, 1));
	assert_int_equal(call((struct cr_remote_head){ .type = CR_REMOTE_ADD, REPLY, AT(part.word), .value = { 1 } }, NULL, NULL, 0, NULL, 0, NULL), -EFAULT);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads), cmocka_unit_test(runs), cmocka_unit_test(random_heads), cmocka_unit_test(mac),
		cmocka_unit_test(put_get), cmocka_unit_test(put_get_runs), cmocka_unit_test(faults), cmocka_unit_test(combine), cmocka_unit_test(operations),
		cmocka_unit_test(words),
		cmocka_unit_test(strangers), cmocka_unit_test(crowd), cmocka_unit_test(ended),
	};

	return cmocka_run_group_tests_name("remote", tests, start, NULL);
}

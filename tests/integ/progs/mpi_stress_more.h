/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mpi_stress, third part: what is not messages. Windows, a file, communicators that come and go, derived datatypes, non-blocking collectives that pend
 * over several rounds, a second thread. Which of them a round has, all ranks draw from the seed; each checks what it gets.
 */
#ifndef MPI_STRESS_MORE_H
#define MPI_STRESS_MORE_H

#include <pthread.h>

#define BLOCK 48      /* bytes that a rank writes in one step of the file; no place is written twice */
#define SPLITS 3
#define PENDING_COLLECTIVES 3
#define THREAD_TAG 90

struct split {
	MPI_Comm comm;
	MPI_Request requests[2];
	uint64_t in, out;
	int rank, size;
};

struct pending_collective {
	MPI_Request request;
	int kind; /* 0: none */
	uint64_t value;
	uint64_t *in, *out;
};

static struct {
	MPI_Comm comm;
	MPI_Win win;
	uint64_t *slots;        /* [rank + 2 words]: one for each origin, a counter, a maximum */
	uint64_t counted;       /* what all ranks have added to the counters together */
	MPI_File file;
	const char *file_name;
	unsigned char *written; /* of a pending write */
	MPI_Request write;
	struct split splits[SPLITS];
	struct pending_collective collectives[PENDING_COLLECTIVES];
	int enabled, threads;
	pthread_t thread;
	MPI_Comm thread_comm;
	volatile int thread_stop;
	uint64_t thread_steps;
} more;

static uint64_t more_value(uint64_t epoch, int round, int what, int rank)
{
	return mix(mix(g.seed ^ epoch << 20) ^ (uint64_t)round << 40 ^ (uint64_t)what << 50 ^ (uint64_t)rank);
}

/* ---- windows ---- */
static void window_make(void)
{
	MPI_Aint bytes = (MPI_Aint)sizeof(uint64_t) * (g.size + 2);

	MPI_Win_allocate(bytes, sizeof(uint64_t), MPI_INFO_NULL, more.comm, &more.slots, &more.win);
	memset(more.slots, 0, (size_t)bytes);
	more.counted = 0;
	MPI_Barrier(more.comm);
}

static void window_put_check(uint64_t epoch, int round, int active)
{
	int right = (g.rank + 1) % g.size, left = (g.rank + g.size - 1) % g.size;
	uint64_t v = more_value(epoch, round, 1, g.rank), back = 0;
	MPI_Group all, to, from;

	if (!active) {
		MPI_Win_fence(0, more.win);
		MPI_Put(&v, 1, MPI_UINT64_T, right, g.rank, 1, MPI_UINT64_T, more.win);
		MPI_Win_fence(0, more.win);
	} else {
		MPI_Comm_group(more.comm, &all);
		MPI_Group_incl(all, 1, &right, &to);
		MPI_Group_incl(all, 1, &left, &from);
		MPI_Win_post(from, 0, more.win);
		MPI_Win_start(to, 0, more.win);
		MPI_Put(&v, 1, MPI_UINT64_T, right, g.rank, 1, MPI_UINT64_T, more.win);
		MPI_Win_complete(more.win);
		MPI_Win_wait(more.win);
		MPI_Group_free(&all);
		MPI_Group_free(&to);
		MPI_Group_free(&from);
	}
	MPI_Win_lock(MPI_LOCK_SHARED, g.rank, 0, more.win);
	MPI_Get(&back, 1, MPI_UINT64_T, g.rank, left, 1, MPI_UINT64_T, more.win);
	MPI_Win_unlock(g.rank, more.win);
	if (back != more_value(epoch, round, 1, left))
		FAIL("a window does not hold what rank %d put there", left);
}

static void window_count(uint64_t v)
{
	uint64_t add = 1 + v % 5, old;

	for (int i = 0; i < g.size; i++) {
		MPI_Win_lock(v & 8 ? MPI_LOCK_EXCLUSIVE : MPI_LOCK_SHARED, i, 0, more.win);
		MPI_Fetch_and_op(&add, &old, MPI_UINT64_T, i, g.size, MPI_SUM, more.win);
		MPI_Accumulate(&v, 1, MPI_UINT64_T, i, g.size + 1, 1, MPI_UINT64_T, MPI_MAX, more.win);
		MPI_Win_unlock(i, more.win);
		if (old > more.counted + (uint64_t)g.size * add)
			FAIL("the counter of rank %d says %llu", i, (unsigned long long)old);
	}
	more.counted += (uint64_t)g.size * add;
}

/* When all have counted, the counter is what it must be. */
static void window_counter_check(uint64_t v)
{
	uint64_t got[2];

	MPI_Barrier(more.comm);
	MPI_Win_lock_all(0, more.win);
	MPI_Get(got, 2, MPI_UINT64_T, (g.rank + (int)(v % 3)) % g.size, g.size, 2, MPI_UINT64_T, more.win);
	MPI_Win_flush_all(more.win);
	MPI_Win_unlock_all(more.win);
	if (got[0] != more.counted)
		FAIL("a counter in a window is %llu instead of %llu", (unsigned long long)got[0], (unsigned long long)more.counted);
	MPI_Barrier(more.comm);
}

static void window_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 20);
	uint64_t kind = draw(&r) % 8, v = draw(&r);

	if (kind < 2) {
		window_put_check(epoch, round, (int)kind);
	} else if (kind < 4) {
		window_count(v);
		window_counter_check(v);
	} else if (kind == 4 && v % 8 == 0) {
		MPI_Win_free(&more.win);
		window_make();
	}
}

/* ---- the file ---- */
static void block_fill(unsigned char *block, uint64_t epoch, int round, int rank)
{
	content_fill(block, BLOCK, more_value(epoch, round, 2, rank));
}

static MPI_Offset block_place(uint64_t epoch, int round, int rank)
{
	return (MPI_Offset)(((epoch * EPOCH_ROUNDS + (uint64_t)round) * (uint64_t)g.size + (uint64_t)rank) * BLOCK);
}

static void file_write_end(void)
{
	if (!more.written)
		return;
	MPI_Wait(&more.write, MPI_STATUS_IGNORE);
	free(more.written);
	more.written = NULL;
}

static void file_read_back(uint64_t epoch, int round)
{
	unsigned char got[BLOCK], want[BLOCK];
	int other = (g.rank + 1) % g.size;

	MPI_File_sync(more.file);
	MPI_Barrier(more.comm);
	MPI_File_sync(more.file);
	MPI_File_read_at(more.file, block_place(epoch, round, other), got, BLOCK, MPI_BYTE, MPI_STATUS_IGNORE);
	block_fill(want, epoch, round, other);
	if (memcmp(got, want, BLOCK) != 0)
		FAIL("the file does not hold what rank %d wrote in epoch %llu", other, (unsigned long long)epoch);
}

static void file_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 21);
	uint64_t kind = draw(&r) % 12;
	MPI_Offset at = block_place(epoch, round, g.rank);
	unsigned char block[BLOCK];

	if (!more.file_name || kind > 3)
		return;
	file_write_end();
	block_fill(block, epoch, round, g.rank);
	if (kind == 0) {
		MPI_File_write_at_all(more.file, at, block, BLOCK, MPI_BYTE, MPI_STATUS_IGNORE);
		file_read_back(epoch, round);
	} else if (kind == 1) {
		more.written = malloc(BLOCK);
		memcpy(more.written, block, BLOCK);
		MPI_File_iwrite_at(more.file, at, more.written, BLOCK, MPI_BYTE, &more.write);
	} else if (kind == 2) {
		MPI_File_seek(more.file, at, MPI_SEEK_SET);
		MPI_File_write(more.file, block, BLOCK, MPI_BYTE, MPI_STATUS_IGNORE);
		MPI_File_get_position(more.file, &at);
		if (at != block_place(epoch, round, g.rank) + BLOCK)
			FAIL("the file's pointer is at %lld", (long long)at);
	} else {
		MPI_File_write_at_all_begin(more.file, at, block, BLOCK, MPI_BYTE);
		MPI_File_write_at_all_end(more.file, block, MPI_STATUS_IGNORE);
	}
}

static void file_open(void)
{
	if (!more.file_name)
		return;
	if (MPI_File_open(more.comm, more.file_name, MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL, &more.file) != MPI_SUCCESS)
		FAIL("%s cannot be opened", more.file_name);
}

/* ---- communicators that live for some rounds, with a message under way ---- */
static void split_end(struct split *s)
{
	if (s->size == 0)
		return;
	MPI_Waitall(2, s->requests, MPI_STATUSES_IGNORE);
	if (s->in != mix(s->out - (uint64_t)s->rank + (uint64_t)((s->rank + s->size - 1) % s->size)))
		FAIL("a message on a communicator of a split is wrong");
	MPI_Comm_free(&s->comm);
	s->size = 0;
}

static void split_begin(struct split *s, uint64_t v)
{
	int color = (int)(mix(v + (uint64_t)g.rank) % 2), n = g.size, periodic = 1;
	uint64_t sum, mixed;

	switch (v >> 8 & 3) {
	case 0:
		MPI_Comm_dup(more.comm, &s->comm);
		break;
	case 1:
		MPI_Cart_create(more.comm, 1, &n, &periodic, (int)(v >> 16 & 1), &s->comm);
		break;
	default:
		MPI_Comm_split(more.comm, color, (int)(mix(v * 3 + (uint64_t)g.rank) % 100), &s->comm);
		break;
	}
	MPI_Comm_rank(s->comm, &s->rank);
	MPI_Comm_size(s->comm, &s->size);
	s->out = v + (uint64_t)s->rank;
	mixed = mix(s->out);
	MPI_Allreduce(&mixed, &sum, 1, MPI_UINT64_T, MPI_SUM, s->comm);
	for (int i = 0; i < s->size; i++)
		sum -= mix(v + (uint64_t)i);
	if (sum != 0)
		FAIL("wrong sum on a communicator of a split");
	MPI_Irecv(&s->in, 1, MPI_UINT64_T, (s->rank + s->size - 1) % s->size, 5, s->comm, &s->requests[0]);
	MPI_Send(&mixed, 1, MPI_UINT64_T, (s->rank + 1) % s->size, 5, s->comm);
	s->requests[1] = MPI_REQUEST_NULL;
}

static void split_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 22);
	struct split *s = &more.splits[draw(&r) % SPLITS];

	if (draw(&r) % 8)
		return;
	split_end(s);
	split_begin(s, draw(&r));
}

/* ---- derived datatypes: what is sent as one is received as another ---- */
static MPI_Datatype type_random(uint64_t kind, int *ret_ints)
{
	static const int lengths[] = { 1, 3, 2 }, places[] = { 0, 2, 7 }, sizes[] = { 4, 6 }, subs[] = { 2, 3 }, starts[] = { 1, 2 };
	MPI_Aint bytes[] = { 0, 8, 28 };
	MPI_Datatype t, made, ints[] = { MPI_INT, MPI_INT, MPI_INT };

	*ret_ints = 6;
	switch (kind) {
	case 0:
		MPI_Type_indexed(3, lengths, places, MPI_INT, &t);
		break;
	case 1:
		MPI_Type_create_struct(3, lengths, bytes, ints, &t);
		break;
	case 2:
		MPI_Type_create_subarray(2, sizes, subs, starts, MPI_ORDER_C, MPI_INT, &t);
		break;
	case 3:
		MPI_Type_create_hvector(3, 2, 12, MPI_INT, &t);
		break;
	default:
		MPI_Type_contiguous(6, MPI_INT, &t);
		break;
	}
	MPI_Type_create_resized(t, 0, 24 * sizeof(int), &made);
	MPI_Type_free(&t);
	MPI_Type_commit(&made);
	return made;
}

static void types_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 23);
	enum { N = 40 };
	int out[24 * N], in[24 * N], ints, n = 1 + (int)(draw(&r) % N), place = 0;
	MPI_Datatype to, from;
	char packed[6 * N * sizeof(int)], expected[6 * N * sizeof(int)];
	int left = (g.rank + g.size - 1) % g.size;

	if (draw(&r) % 4)
		return;
	to = type_random(draw(&r) % 5, &ints);
	from = type_random(draw(&r) % 5, &ints);
	for (int i = 0; i < 24 * N; i++)
		in[i] = -1, out[i] = (int)(more_value(epoch, round, 3, left) >> 8) + i;
	MPI_Pack(out, n, to, expected, sizeof(expected), &place, more.comm); /* what left sends */
	for (int i = 0; i < 24 * N; i++)
		out[i] = (int)(more_value(epoch, round, 3, g.rank) >> 8) + i;
	MPI_Sendrecv(out, n, to, (g.rank + 1) % g.size, 6, in, n, from, left, 6, more.comm, MPI_STATUS_IGNORE);
	place = 0;
	MPI_Pack(in, n, from, packed, sizeof(packed), &place, more.comm);
	if (place != n * ints * (int)sizeof(int) || memcmp(packed, expected, (size_t)place) != 0)
		FAIL("derived datatypes: what was received is not what was sent");
	MPI_Type_free(&to);
	MPI_Type_free(&from);
}

/* ---- non-blocking collectives, several at once ---- */
static uint64_t collective_word(const struct pending_collective *c, int rank, int i)
{
	return mix(c->value + (uint64_t)(rank * 64 + i)) >> 8;
}

static void collective_check(const struct pending_collective *c)
{
	uint64_t want = 0;

	for (int i = 0; i < g.size; i++) {
		switch (c->kind) {
		case 1: /* allgather */
			want = collective_word(c, i, 0);
			break;
		case 2: /* alltoall */
			want = collective_word(c, i, g.rank);
			break;
		case 3: /* scan */
			want = 0;
			for (int k = 0; k <= g.rank; k++)
				want += collective_word(c, k, i);
			break;
		default: /* allreduce */
			want = 0;
			for (int k = 0; k < g.size; k++)
				want += collective_word(c, k, i);
			break;
		}
		if (c->out[i] != want)
			FAIL("wrong result of a non-blocking collective of kind %d", c->kind);
	}
}

static void collective_end(struct pending_collective *c)
{
	if (c->kind == 0)
		return;
	MPI_Wait(&c->request, MPI_STATUS_IGNORE);
	collective_check(c);
	free(c->in);
	free(c->out);
	c->kind = 0;
}

static void collectives_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 24);
	struct pending_collective *c = &more.collectives[draw(&r) % PENDING_COLLECTIVES];

	if (draw(&r) % 3)
		return;
	collective_end(c);
	c->kind = 1 + (int)(draw(&r) % 4);
	c->value = draw(&r);
	c->in = malloc(sizeof(*c->in) * (size_t)g.size);
	c->out = calloc((size_t)g.size, sizeof(*c->out));
	for (int i = 0; i < g.size; i++)
		c->in[i] = collective_word(c, g.rank, i);
	switch (c->kind) {
	case 1:
		MPI_Iallgather(c->in, 1, MPI_UINT64_T, c->out, 1, MPI_UINT64_T, more.comm, &c->request);
		break;
	case 2:
		MPI_Ialltoall(c->in, 1, MPI_UINT64_T, c->out, 1, MPI_UINT64_T, more.comm, &c->request);
		break;
	case 3:
		MPI_Iscan(c->in, c->out, g.size, MPI_UINT64_T, MPI_SUM, more.comm, &c->request);
		break;
	default:
		MPI_Iallreduce(c->in, c->out, g.size, MPI_UINT64_T, MPI_SUM, more.comm, &c->request);
		break;
	}
}

/* ---- a thread with messages and collectives of its own, until the main thread of rank 0 has said that it is enough ---- */
static void *thread_run(void *arg)
{
	int right = (g.rank + 1) % g.size, left = (g.rank + g.size - 1) % g.size, stop = 0;

	for (uint64_t s = 0; !stop; s++) {
		uint64_t out = more_value(s, 0, 4, g.rank), in;

		MPI_Sendrecv(&out, 1, MPI_UINT64_T, right, THREAD_TAG, &in, 1, MPI_UINT64_T, left, MPI_ANY_TAG, more.thread_comm, MPI_STATUS_IGNORE);
		if (in != more_value(s, 0, 4, left))
			FAIL("the second thread got a wrong word in its step %llu", (unsigned long long)s);
		stop = more.thread_stop;
		MPI_Bcast(&stop, 1, MPI_INT, 0, more.thread_comm);
		more.thread_steps = s + 1;
	}
	return arg;
}

/* ---- all of it ---- */
static void more_init(void)
{
	MPI_Comm_dup(MPI_COMM_WORLD, &more.comm);
	window_make();
	file_open();
	if (!more.threads)
		return;
	MPI_Comm_dup(MPI_COMM_WORLD, &more.thread_comm);
	if (pthread_create(&more.thread, NULL, thread_run, NULL) != 0)
		FAIL("no second thread");
}

static void more_step(uint64_t epoch, int round)
{
	window_step(epoch, round);
	file_step(epoch, round);
	split_step(epoch, round);
	types_step(epoch, round);
	collectives_step(epoch, round);
}

static void more_fini(void)
{
	if (more.threads) {
		more.thread_stop = 1;
		pthread_join(more.thread, NULL);
		MPI_Comm_free(&more.thread_comm);
	}
	for (int i = 0; i < PENDING_COLLECTIVES; i++)
		collective_end(&more.collectives[i]);
	for (int i = 0; i < SPLITS; i++)
		split_end(&more.splits[i]);
	file_write_end();
	if (more.file_name)
		MPI_File_close(&more.file);
	MPI_Win_free(&more.win);
	MPI_Comm_free(&more.comm);
}

#endif

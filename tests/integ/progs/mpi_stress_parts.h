/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mpi_stress, second half: sending, receiving, collectives and the main loop. */
#ifndef MPI_STRESS_PARTS_H
#define MPI_STRESS_PARTS_H

#include "mpi_stress_more.h"

/* ---- schedule ---- */
static size_t random_bytes(struct random *r, size_t max)
{
	uint64_t kind = draw(r) % 1000, v = draw(r);
	size_t bytes;

	if (kind < 60)
		bytes = 0;
	else if (kind < 500)
		bytes = v % 65;
	else if (kind < 750)
		bytes = v % 1025;
	else if (kind < 900)
		bytes = v % 8193;
	else if (kind < 980)
		bytes = v % 131073;
	else if (kind < 996)
		bytes = v % 1048577;
	else
		bytes = v % (8u << 20);
	if (v >> 60 < 8)
		bytes &= ~(size_t)7;
	return bytes > max ? bytes % (max + 1) : bytes;
}

static int pair_valid(int channel, int src, int dst)
{
	if (channel == C_PARITY)
		return src % 2 == dst % 2;
	if (channel == C_INTER)
		return src % 2 != dst % 2;
	return 1;
}

static void schedule_epoch(uint64_t epoch)
{
	int round, i;

	memset(g.expected, 0, sizeof(g.expected));
	for (round = 0; round < EPOCH_ROUNDS; round++) {
		struct random r = shared_random(epoch, (uint64_t)round, 1);
		struct message **tail = &g.outgoing[round];
		int n = (int)(draw(&r) % (uint64_t)(2 * g.per_round * g.size + 1));

		*tail = NULL;
		for (i = 0; i < n; i++) {
			struct message m = { 0 }, *copy;

			m.channel = (int)(draw(&r) % CHANNELS);
			if (g.channels[m.channel].name == NULL)
				continue;
			m.src = (int)(draw(&r) % (uint64_t)g.size);
			do
				m.dst = (int)(draw(&r) % (uint64_t)g.size);
			while (!pair_valid(m.channel, m.src, m.dst));
			m.tag = (int)(draw(&r) % TAGS);
			m.bytes = random_bytes(&r, g.channels[m.channel].max_bytes);
			if (m.channel == C_ANY)
				m.bytes &= ~(size_t)7; /* whole blocks of a vector, whichever message comes */
			m.mode = (int)(draw(&r) % 16);
			m.round = round;
			m.seq = g.seq[(m.channel * g.size + m.src) * g.size + m.dst]++;
			if (m.src == g.rank) {
				copy = malloc(sizeof(m));
				*copy = m;
				copy->next = NULL;
				*tail = copy;
				tail = &copy->next;
			}
			if (m.dst == g.rank) {
				copy = malloc(sizeof(m));
				*copy = m;
				queue_push(queue_of(m.channel, m.src), copy);
				g.expected[round][m.channel]++;
			}
		}
	}
}

/* ---- sending: nothing here waits for the receiver, except what an eager send may ---- */
static void send_message(struct message *m)
{
	struct channel *c = &g.channels[m->channel];
	int dst = c->rank_of[m->dst], i;
	struct buffer b;

	buffer_init(&b, m->bytes, m->mode & 1);
	buffer_fill(&b, m);
	switch (m->mode >> 1) {
	case 0:
	case 1:
		if (m->bytes <= 256 && m->dst != m->src) {
			if (m->mode & 2)
				MPI_Send(b.memory, b.count, b.type, dst, m->tag, c->comm);
			else
				MPI_Bsend(b.memory, b.count, b.type, dst, m->tag, c->comm);
			buffer_drop_type(&b);
			buffer_fini(&b);
			break;
		}
		/* fall through */
	case 2:
	case 3:
	case 4:
		i = pending_add();
		MPI_Isend(b.memory, b.count, b.type, dst, m->tag, c->comm, &requests[i]);
		pendings[i].buffer = b;
		pendings[i].is_send = 1;
		buffer_drop_type(&b);
		break;
	case 5:
		i = pending_add();
		MPI_Issend(b.memory, b.count, b.type, dst, m->tag, c->comm, &requests[i]);
		pendings[i].buffer = b;
		pendings[i].is_send = 1;
		buffer_drop_type(&b);
		break;
	case 6:
		i = pending_add();
		if (m->bytes & 1)
			MPI_Send_init(b.memory, b.count, b.type, dst, m->tag, c->comm, &requests[i]);
		else
			MPI_Ssend_init(b.memory, b.count, b.type, dst, m->tag, c->comm, &requests[i]);
		MPI_Start(&requests[i]);
		pendings[i].buffer = b;
		pendings[i].is_send = 1;
		pendings[i].persistent = 1;
		buffer_drop_type(&b);
		break;
	default:
		if (m->bytes <= 4096) {
			MPI_Request q;

			MPI_Ibsend(b.memory, b.count, b.type, dst, m->tag, c->comm, &q);
			MPI_Wait(&q, MPI_STATUS_IGNORE);
			buffer_drop_type(&b);
			buffer_fini(&b);
		} else {
			i = pending_add();
			MPI_Isend(b.memory, b.count, b.type, dst, m->tag, c->comm, &requests[i]);
			pendings[i].buffer = b;
			pendings[i].is_send = 1;
			buffer_drop_type(&b);
		}
		break;
	}
}

/* ---- receiving ---- */
static void receive_check(struct buffer *b, struct message *m, MPI_Status *status)
{
	if (status != MPI_STATUS_IGNORE)
		check_status(m, status);
	buffer_check(b, m);
	buffer_drop_type(b);
	buffer_fini(b);
	free(m);
}

static void receive_post(struct message *m, struct buffer *b, int source, int tag, MPI_Comm comm)
{
	int i = pending_add();

	if (local_draw() % 6 == 0) {
		MPI_Recv_init(b->memory, b->count, b->type, source, tag, comm, &requests[i]);
		MPI_Start(&requests[i]);
		pendings[i].persistent = 1;
	} else {
		MPI_Irecv(b->memory, b->count, b->type, source, tag, comm, &requests[i]);
	}
	pendings[i].buffer = *b;
	pendings[i].message = m;
	buffer_drop_type(b);
}

/* Receive @m, which is the next of its source with its tag, or (@first) the next of all tags. */
static void receive_directed(struct message *m, int first)
{
	struct channel *c = &g.channels[m->channel];
	int source = c->rank_of[m->src], tag = first && local_draw() % 2 ? MPI_ANY_TAG : m->tag, flag = 0;
	MPI_Message message;
	MPI_Status status;
	struct buffer b;

	buffer_init(&b, m->bytes + (local_draw() % 4 == 0 ? 16 : 0), (int)(local_draw() % 3 == 0));
	/* A bigger vector than the message: only the blocks that came may be written. */
	switch (local_draw() % 8) {
	case 0:
		MPI_Recv(b.memory, b.count, b.type, source, tag, c->comm, &status);
		receive_check(&b, m, &status);
		break;
	case 1:
		MPI_Recv(b.memory, b.count, b.type, source, tag, c->comm, MPI_STATUS_IGNORE);
		receive_check(&b, m, MPI_STATUS_IGNORE);
		break;
	case 2:
		MPI_Probe(source, tag, c->comm, &status);
		check_status(m, &status);
		MPI_Recv(b.memory, b.count, b.type, source, status.MPI_TAG, c->comm, &status);
		receive_check(&b, m, &status);
		break;
	case 3:
		while (!flag)
			MPI_Iprobe(source, tag, c->comm, &flag, &status);
		check_status(m, &status);
		MPI_Recv(b.memory, b.count, b.type, source, status.MPI_TAG, c->comm, &status);
		receive_check(&b, m, &status);
		break;
	case 4:
		MPI_Mprobe(source, tag, c->comm, &message, &status);
		check_status(m, &status);
		MPI_Mrecv(b.memory, b.count, b.type, &message, &status);
		receive_check(&b, m, &status);
		break;
	case 5: {
		int i;

		while (!flag)
			MPI_Improbe(source, tag, c->comm, &flag, &message, &status);
		check_status(m, &status);
		i = pending_add();
		MPI_Imrecv(b.memory, b.count, b.type, &message, &requests[i]);
		pendings[i].buffer = b;
		pendings[i].message = m;
		buffer_drop_type(&b);
		break;
	}
	default:
		receive_post(m, &b, source, tag, c->comm);
		break;
	}
}

static void receive_directed_round(int round)
{
	int channel, n;

	for (channel = 0; channel < CHANNELS; channel++) {
		if (g.channels[channel].style != DIRECTED)
			continue;
		for (n = g.expected[round][channel]; n > 0; n--) {
			int src = (int)(local_draw() % (uint64_t)g.size), tag = -1;
			struct message *m, *head;

			/* Never a message of a later round: it may not be sent before we go on. */
			while (!(head = queue_of(channel, src)->head) || head->round != round)
				src = (src + 1) % g.size;
			if (head->next && head->next->round == round && local_draw() % 3 == 0)
				tag = head->next->tag;
			m = queue_take(queue_of(channel, src), tag);
			receive_directed(m, m == head);
		}
	}
}

/* Wildcard receives: as many as the round has messages for us; which they are is seen when they have come. */
static void receive_any_round(int round)
{
	struct channel *c = &g.channels[C_ANY];
	int n = g.expected[round][C_ANY], first = n_pending, i, source = MPI_ANY_SOURCE;
	MPI_Status status;
	struct buffer b;

	while (n > 0) {
		int batch = 1 + (int)(local_draw() % (uint64_t)n);

		n -= batch;
		if (local_draw() % 2) {
			for (i = 0; i < batch; i++) {
				struct message *m;

				buffer_init(&b, c->max_bytes, (int)(local_draw() % 3 == 0));
				MPI_Recv(b.memory, b.count, b.type, source, MPI_ANY_TAG, c->comm, &status);
				m = resolve(C_ANY, -1, &status);
				receive_check(&b, m, &status);
			}
			continue;
		}
		for (i = 0; i < batch; i++) {
			buffer_init(&b, c->max_bytes, (int)(local_draw() % 3 == 0));
			receive_post(NULL, &b, source, MPI_ANY_TAG, c->comm);
			pendings[n_pending - 1].channel = C_ANY;
			pendings[n_pending - 1].tag = -1;
		}
		pending_wait(first);
	}
}

static void receive_probe_round(int round)
{
	struct channel *c = &g.channels[C_PROBE];
	int n = g.expected[round][C_PROBE], flag, count;
	MPI_Message message;
	MPI_Status status;
	struct message *m;
	struct buffer b;

	while (n-- > 0) {
		flag = 0;
		switch (local_draw() % 4) {
		case 0:
			MPI_Mprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, c->comm, &message, &status);
			break;
		case 1:
			while (!flag)
				MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, c->comm, &flag, &message, &status);
			break;
		case 2:
			MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, c->comm, &status);
			message = MPI_MESSAGE_NULL;
			break;
		default:
			while (!flag)
				MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, c->comm, &flag, &status);
			message = MPI_MESSAGE_NULL;
			break;
		}
		m = resolve(C_PROBE, -1, &status);
		check_status(m, &status);
		MPI_Get_count(&status, MPI_BYTE, &count);
		buffer_init(&b, (size_t)count, (int)(local_draw() % 3 == 0));
		if (message == MPI_MESSAGE_NULL) {
			MPI_Recv(b.memory, b.count, b.type, status.MPI_SOURCE, status.MPI_TAG, c->comm, &status);
		} else if (local_draw() % 2) {
			MPI_Mrecv(b.memory, b.count, b.type, &message, &status);
		} else {
			MPI_Request q;

			MPI_Imrecv(b.memory, b.count, b.type, &message, &q);
			MPI_Wait(&q, &status);
		}
		receive_check(&b, m, &status);
	}
}

/* ---- steps in which two ranks or all meet ---- */
static void pair_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 2);
	struct message m = { .channel = C_WORLD, .tag = PAIR_TAG };
	struct channel *c = &g.channels[C_WORLD];
	int ssend;
	MPI_Status status;
	struct buffer b;

	if (g.size < 2 || draw(&r) % 3)
		return;
	m.src = (int)(draw(&r) % (uint64_t)g.size);
	m.dst = (m.src + 1 + (int)(draw(&r) % (uint64_t)(g.size - 1))) % g.size;
	m.bytes = random_bytes(&r, g.max_bytes);
	m.seq = epoch * EPOCH_ROUNDS + (uint64_t)round;
	ssend = (int)(draw(&r) % 3);
	if (g.rank != m.src && g.rank != m.dst)
		return;
	buffer_init(&b, m.bytes, 1);
	if (g.rank == m.src) {
		buffer_fill(&b, &m);
		if (ssend == 0)
			MPI_Ssend(b.memory, b.count, b.type, c->rank_of[m.dst], m.tag, c->comm);
		else
			MPI_Send(b.memory, b.count, b.type, c->rank_of[m.dst], m.tag, c->comm);
	} else {
		MPI_Recv(b.memory, b.count, b.type, c->rank_of[m.src], m.tag, c->comm, &status);
		check_status(&m, &status);
		buffer_check(&b, &m);
	}
	buffer_drop_type(&b);
	buffer_fini(&b);
}

static void ring_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 3);
	struct channel *c = &g.channels[C_REVERSED];
	struct message in = { .channel = C_REVERSED, .tag = RING_TAG }, out;
	struct buffer from, to;
	MPI_Status status;
	int replace;

	if (draw(&r) % 4)
		return;
	in.bytes = random_bytes(&r, g.max_bytes);
	in.seq = epoch * EPOCH_ROUNDS + (uint64_t)round;
	replace = (int)(draw(&r) % 2);
	out = in;
	out.src = g.rank;
	out.dst = (g.rank + 1) % g.size;
	in.src = (g.rank + g.size - 1) % g.size;
	in.dst = g.rank;
	buffer_init(&from, in.bytes, 1);
	buffer_fill(&from, &out);
	if (replace) {
		MPI_Sendrecv_replace(from.memory, from.count, from.type, c->rank_of[out.dst], RING_TAG, c->rank_of[in.src], RING_TAG, c->comm, &status);
		check_status(&in, &status);
		buffer_check(&from, &in);
	} else {
		buffer_init(&to, in.bytes, 0);
		MPI_Sendrecv(from.memory, from.count, from.type, c->rank_of[out.dst], RING_TAG, to.memory, to.count, to.type, c->rank_of[in.src], MPI_ANY_TAG,
			     c->comm, &status);
		check_status(&in, &status);
		buffer_check(&to, &in);
		buffer_drop_type(&to);
		buffer_fini(&to);
	}
	buffer_drop_type(&from);
	buffer_fini(&from);
}

static void collective_step(uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 4);
	int kind = (int)(draw(&r) % 10), root, i;
	MPI_Comm comm = g.channels[draw(&r) % 2 ? C_WORLD : C_REVERSED].comm;
	uint64_t v = draw(&r), mine, sum = 0, expect = 0;
	uint64_t *all;

	root = (int)(v % (uint64_t)g.size);
	switch (kind) {
	case 0:
		MPI_Barrier(comm);
		break;
	case 1:
		mine = mix(v + (uint64_t)g.rank);
		MPI_Allreduce(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, comm);
		for (i = 0; i < g.size; i++)
			expect += mix(v + (uint64_t)i);
		if (sum != expect)
			FAIL("wrong sum of an Allreduce");
		break;
	case 2: {
		int me;

		MPI_Comm_rank(comm, &me);
		mine = me == root ? v : 0;
		MPI_Bcast(&mine, 1, MPI_UINT64_T, root, comm);
		if (mine != v)
			FAIL("wrong value of a Bcast");
		break;
	}
	case 3: {
		int me;

		MPI_Comm_rank(comm, &me);
		all = malloc(2 * sizeof(*all) * (size_t)g.size);
		for (i = 0; i < g.size; i++)
			all[i] = mix(v + (uint64_t)(me * g.size + i));
		MPI_Alltoall(all, 1, MPI_UINT64_T, all + g.size, 1, MPI_UINT64_T, comm);
		for (i = 0; i < g.size; i++)
			if (all[g.size + i] != mix(v + (uint64_t)(i * g.size + me)))
				FAIL("wrong value of an Alltoall");
		free(all);
		break;
	}
	default:
		break;
	}
}

/* Non-blocking collectives of one epoch: begun in one round, waited for in a later one. */
struct icollective {
	MPI_Request request;
	uint64_t in, out, expect;
	int active;
};
static void icollective_begin(struct icollective *c, uint64_t epoch, int round)
{
	struct random r = shared_random(epoch, (uint64_t)round, 5);
	int kind = (int)(draw(&r) % 6), i;
	uint64_t v = draw(&r);

	if (c->active || kind > 3)
		return;
	c->active = 1;
	c->expect = 0;
	c->out = 0;
	if (kind == 0) {
		MPI_Ibarrier(g.channels[C_WORLD].comm, &c->request);
	} else if (kind == 1) {
		c->out = g.rank == 0 ? v : 0;
		c->expect = v;
		MPI_Ibcast(&c->out, 1, MPI_UINT64_T, 0, g.channels[C_WORLD].comm, &c->request);
	} else {
		c->in = mix(v + (uint64_t)g.rank);
		for (i = 0; i < g.size; i++)
			c->expect += mix(v + (uint64_t)i);
		MPI_Iallreduce(&c->in, &c->out, 1, MPI_UINT64_T, MPI_SUM, g.channels[C_REVERSED].comm, &c->request);
	}
}
static void icollective_end(struct icollective *c)
{
	int flag = 0;

	if (!c->active)
		return;
	if (local_draw() % 2)
		MPI_Wait(&c->request, MPI_STATUS_IGNORE);
	else
		while (!flag)
			MPI_Test(&c->request, &flag, MPI_STATUS_IGNORE);
	if (c->out != c->expect)
		FAIL("wrong result of a non-blocking collective");
	c->active = 0;
}

static void cancel_step(void)
{
	MPI_Request q;
	MPI_Status status;
	int cancelled, x;

	MPI_Irecv(&x, 1, MPI_INT, MPI_ANY_SOURCE, NEVER_TAG, g.channels[C_WORLD].comm, &q);
	MPI_Cancel(&q);
	MPI_Wait(&q, &status);
	MPI_Test_cancelled(&status, &cancelled);
	if (!cancelled)
		FAIL("a receive that nothing matches was not cancelled");
}

/* ---- a receive that is pending over the whole epoch, served by the left neighbour at its end ---- */
static struct {
	MPI_Request request;
	struct buffer buffer;
	struct message message;
	int active;
} late;
static void late_begin(uint64_t epoch)
{
	struct random r = shared_random(epoch, 0, 6);

	late.message = (struct message){ .channel = C_WORLD, .tag = RING_TAG + 1, .src = (g.rank + g.size - 1) % g.size, .dst = g.rank, .seq = epoch };
	late.message.bytes = random_bytes(&r, g.max_bytes);
	buffer_init(&late.buffer, late.message.bytes, 1);
	MPI_Irecv(late.buffer.memory, late.buffer.count, late.buffer.type, g.channels[C_WORLD].rank_of[late.message.src], RING_TAG + 1,
		  g.channels[C_WORLD].comm, &late.request);
	buffer_drop_type(&late.buffer);
}
static void late_end(void)
{
	struct message out = late.message;
	struct buffer b;
	MPI_Status status;
	MPI_Request q;

	out.src = g.rank;
	out.dst = (g.rank + 1) % g.size;
	buffer_init(&b, out.bytes, 0);
	buffer_fill(&b, &out);
	MPI_Isend(b.memory, b.count, b.type, g.channels[C_WORLD].rank_of[out.dst], RING_TAG + 1, g.channels[C_WORLD].comm, &q);
	MPI_Wait(&late.request, &status);
	check_status(&late.message, &status);
	buffer_check(&late.buffer, &late.message);
	buffer_fini(&late.buffer);
	MPI_Wait(&q, MPI_STATUS_IGNORE);
	buffer_fini(&b);
}

static void epoch_run(uint64_t epoch)
{
	struct icollective icollective = { 0 };
	struct message *m, *next;
	int round;

	schedule_epoch(epoch);
	late_begin(epoch);
	for (round = 0; round < EPOCH_ROUNDS; round++) {
		/* Sends are pending until all of the epoch has been received: so nobody waits for a receiver that waits for him. */
		for (m = g.outgoing[round]; m; m = next) {
			next = m->next;
			send_message(m);
			free(m);
		}
		pair_step(epoch, round);
		receive_probe_round(round);
		receive_directed_round(round);
		ring_step(epoch, round);
		receive_any_round(round);
		collective_step(epoch, round);
		if (more.enabled)
			more_step(epoch, round);
		if (round % 3 == 2)
			icollective_end(&icollective);
		else
			icollective_begin(&icollective, epoch, round);
		if (local_draw() % 8 == 0)
			cancel_step();
	}
	late_end();
	pending_wait(0);
	if (local_draw() % 4 == 0) {
		int size;
		void *buffer;

		MPI_Buffer_detach(&buffer, &size);
		if (buffer != g.bsend_buffer || size != g.bsend_bytes)
			FAIL("Buffer_detach gives back another buffer");
		MPI_Buffer_attach(g.bsend_buffer, g.bsend_bytes);
	}
}

static void channel_init(int k, const char *name, MPI_Comm comm, enum style style, size_t max_bytes)
{
	struct channel *c = &g.channels[k];
	int i, n = 0;

	c->name = name;
	c->comm = comm;
	c->style = style;
	c->max_bytes = max_bytes;
	c->rank_of = malloc(sizeof(int) * (size_t)g.size);
	c->world_of = malloc(sizeof(int) * (size_t)g.size);
	for (i = 0; i < g.size; i++)
		c->rank_of[i] = k == C_REVERSED ? g.size - 1 - i : k == C_PARITY || k == C_INTER ? i / 2 : i;
	for (i = 0; i < g.size; i++) {
		if ((k == C_PARITY && i % 2 != g.rank % 2) || (k == C_INTER && i % 2 == g.rank % 2))
			continue;
		c->world_of[c->rank_of[i]] = i;
		n++;
	}
	c->peers = n;
}

static void channels_init(void)
{
	MPI_Comm comm, parity;

	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	channel_init(C_WORLD, "dup", comm, DIRECTED, g.max_bytes);
	MPI_Comm_split(MPI_COMM_WORLD, 0, g.size - g.rank, &comm);
	channel_init(C_REVERSED, "reversed", comm, DIRECTED, g.max_bytes);
	MPI_Comm_split(MPI_COMM_WORLD, g.rank % 2, g.rank, &parity);
	channel_init(C_PARITY, "parity", parity, DIRECTED, g.max_bytes);
	if (g.size > 1) {
		MPI_Intercomm_create(parity, 0, MPI_COMM_WORLD, g.rank % 2 ? 0 : 1, 11, &comm);
		channel_init(C_INTER, "inter", comm, DIRECTED, g.max_bytes);
	}
	MPI_Comm_dup(MPI_COMM_WORLD, &comm);
	channel_init(C_ANY, "any", comm, ANY_ANY, g.max_bytes < 65536 ? g.max_bytes : 65536);
	MPI_Comm_dup(g.channels[C_REVERSED].comm, &comm);
	channel_init(C_PROBE, "probe", comm, ANY_SOURCE_TAG, g.max_bytes);
	memcpy(g.channels[C_PROBE].rank_of, g.channels[C_REVERSED].rank_of, sizeof(int) * (size_t)g.size);
	memcpy(g.channels[C_PROBE].world_of, g.channels[C_REVERSED].world_of, sizeof(int) * (size_t)g.size);
}

/* A communicator ends and a new one takes its place: counters and clocks of the old one must not be missed. */
static void channel_renew(int k)
{
	MPI_Comm fresh;

	MPI_Comm_dup(g.channels[k].comm, &fresh);
	MPI_Comm_free(&g.channels[k].comm);
	g.channels[k].comm = fresh;
}

int main(int argc, char **argv)
{
	uint64_t epoch, rounds = 0, totals[2], sums[2];
	double seconds = 0, begin;
	int i, go = 1;

	g.seed = 1;
	g.max_bytes = 8u << 20;
	g.per_round = 4;
	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seed"))
			g.seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--rounds"))
			rounds = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "--max-bytes"))
			g.max_bytes = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--per-round"))
			g.per_round = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--more"))
			more.enabled = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--file"))
			more.file_name = argv[i + 1];
		else if (!strcmp(argv[i], "--threads"))
			more.threads = atoi(argv[i + 1]) > 1;
		else
			i = argc;
	}
	if (i != argc || g.per_round < 1) {
		fprintf(stderr, "usage: mpi_stress [--seed N] [--rounds N | --seconds S] [--max-bytes N] [--per-round N] [--more 1 [--file F] [--threads 2]]\n");
		return 2;
	}
	if (rounds == 0 && seconds == 0)
		rounds = 600;
	MPI_Init_thread(&argc, &argv, more.threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE, &i);
	MPI_Comm_rank(MPI_COMM_WORLD, &g.rank);
	MPI_Comm_size(MPI_COMM_WORLD, &g.size);
	begin = MPI_Wtime();
	g.local_state = mix(g.seed ^ (uint64_t)(g.rank + 1) << 40);
	g.incoming = calloc((size_t)(CHANNELS * g.size), sizeof(*g.incoming));
	for (i = 0; i < CHANNELS * g.size; i++)
		g.incoming[i].tail = &g.incoming[i].head;
	g.seq = calloc((size_t)(CHANNELS * g.size * g.size), sizeof(*g.seq));
	g.bsend_bytes = 16 << 20;
	g.bsend_buffer = malloc((size_t)g.bsend_bytes);
	MPI_Buffer_attach(g.bsend_buffer, g.bsend_bytes);
	channels_init();
	if (more.enabled)
		more_init();
	for (epoch = 0; go; epoch++) {
		epoch_run(epoch);
		if (rounds ? (epoch + 1) * EPOCH_ROUNDS >= rounds : MPI_Wtime() - begin >= seconds)
			go = 0;
		/* The epoch's end: also what keeps messages of the next one out of this one. */
		MPI_Bcast(&go, 1, MPI_INT, 0, MPI_COMM_WORLD);
		MPI_Barrier(MPI_COMM_WORLD);
		if (epoch % 8 == 7)
			channel_renew((int)(mix(g.seed + epoch) % 2 ? C_WORLD : C_REVERSED));
	}
	if (more.enabled)
		more_fini();
	totals[0] = g.messages;
	totals[1] = g.checksum;
	MPI_Reduce(totals, sums, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
	if (g.rank == 0)
		printf("ok seed=%llu messages=%llu checksum=%016llx epochs=%llu\n", (unsigned long long)g.seed, (unsigned long long)sums[0],
		       (unsigned long long)sums[1], (unsigned long long)epoch);
	MPI_Finalize();
	return 0;
}

#endif

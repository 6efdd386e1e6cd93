/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drain. Every rank of the job is in here at the same time, on a thread that may call the library.
 *
 * Bookmarks: every rank has counted what it sent to whom; the sum over the ranks tells each how many messages are meant for it. Then it
 * takes in what is missing: posted receives complete in the program's buffers, the rest is received into the log. It is done when it has
 * received everything and all it has sent or matched is complete. A second sum holds every rank until all are done, because a rank
 * that stops may still be needed by one that has not.
 *
 * No malloc, no stdio: a signal handler may have interrupted either.
 */
#include <errno.h>
#include <string.h>

#include "crcp/upper/p2p/log.h"
#include "crcp/upper/p2p/os.h"
#include "crcp/upper/p2p/p2p.h"

static int crcp_drain_fail(int code, const char *text)
{
	size_t n = strlen(text);

	if (n >= sizeof(crcp.board.error_text))
		n = sizeof(crcp.board.error_text) - 1;
	memcpy(crcp.board.error_text, text, n);
	crcp.board.error_text[n] = '\0';
	return code;
}

static int crcp_comm_peers(const struct crcp_comm *c)
{
	return c->remote_size > 0 ? c->remote_size : c->size;
}

/* v[world rank] = messages that I ever sent to it. */
static void crcp_bookmark_sent(uint64_t *v)
{
	const struct crcp_comm *c;
	int i;

	for (i = 0; i < crcp.board.world_size; i++)
		v[i] = crcp_p2p.gone_sent ? crcp_p2p.gone_sent[i] : 0;
	for (c = crcp.comms; c; c = c->next) {
		if (!c->sent)
			continue;
		for (i = 0; i < crcp_comm_peers(c); i++) {
			int world = c->world_ranks[i];

			if (world >= 0 && world < crcp.board.world_size)
				v[world] += c->sent[i];
		}
	}
}

static uint64_t crcp_bookmark_received(void)
{
	uint64_t sum = crcp_p2p.gone_received;
	const struct crcp_comm *c;
	int i;

	for (c = crcp.comms; c; c = c->next) {
		if (!c->received)
			continue;
		for (i = 0; i < crcp_comm_peers(c); i++)
			if (c->world_ranks[i] >= 0)
				sum += c->received[i];
	}
	return sum;
}

/* Must this ACTIVE request be complete before the library may go away? Receives that nothing matches yet are posted again instead. */
static bool crcp_drain_must(const struct crcp_request *r)
{
	if (r->op == CRCP_OP_RECV)
		return false;
	return r->op != CRCP_OP_WRAP || (r->wrap_kind != 'g' && r->wrap_kind != 'w');
}

/* Test everything that is active; returns how much must still complete. */
static unsigned int crcp_drain_requests(struct crcp_request_list *l)
{
	struct crcp_request *r, *next;
	unsigned int must = 0;

	for (r = l->head; r; r = next) {
		next = r->next;
		if (r->op == CRCP_OP_WRAP && !crcp_drain_must(r))
			continue;
		if (crcp_drain_must(r))
			must++;
		crcp_test_request(r); /* when it completes it leaves the list, and the record may be gone */
	}
	return must;
}

/* Receive a matched message of @bytes into @m. Not taken back once begun: nothing can un-match a message, and its sender is in here too. */
static int crcp_drain_receive(struct crcp_log_message *m, MPI_Message message)
{
	MPI_Message *message_p = &message;
	MPI_Request real;
	MPI_Request *real_p = &real;
	struct crcp_bytes b;
	MPI_Datatype type;
	MPI_Status status;
	MPI_Status *s = &status;
	void *data = m->data;
	int flag = 0, count, rc, turns = 0;
	int *f = &flag;

	rc = crcp_bytes_init(&b, m->bytes);
	if (rc != MPI_SUCCESS)
		return crcp_drain_fail(-EIO, "a message in flight is too long to be described to the MPI library");
	type = b.real;
	count = b.count;
	rc = CR_LOWER(crcp_lower.MPI_Imrecv(data, count, type, message_p, real_p));
	while (rc == MPI_SUCCESS && !flag) {
		rc = CR_LOWER(crcp_lower.MPI_Test(real_p, f, s));
		if (++turns % 1024 == 0)
			crcp_os_yield();
	}
	crcp_bytes_fini(&b);
	return rc == MPI_SUCCESS ? 0 : crcp_drain_fail(-EIO, "the MPI library failed to receive a message in flight");
}

static void crcp_drain_note(struct crcp_comm *c, const struct crcp_log_message *m)
{
	c->received[m->source]++;
	crcp.board.drained_messages++;
	crcp.board.drained_bytes += m->bytes;
}

/* Messages that the program has matched but not received. */
static int crcp_drain_matched(unsigned int *ret_taken)
{
	struct crcp_message *h;
	struct crcp_log_message *m;
	int rc;

	for (h = crcp_p2p.messages; h; h = h->next) {
		if (h->logged)
			continue;
		m = crcp_log_create(h->peer, h->tag, h->bytes);
		if (!m)
			return crcp_drain_fail(-ENOMEM, "no memory for a matched message in flight; free some on the node and try again");
		rc = crcp_drain_receive(m, (MPI_Message)h->h.real);
		if (rc < 0) {
			crcp_log_destroy(m);
			return rc;
		}
		h->h.real = NULL;
		h->logged = m;
		crcp_drain_note(h->comm, m);
		(*ret_taken)++;
	}
	return 0;
}

/* Everything that has arrived on @c and that no posted receive matches goes into its log. */
static int crcp_drain_comm(struct crcp_comm *c, unsigned int *ret_taken)
{
	MPI_Comm comm = (MPI_Comm)c->h.real;
	struct crcp_log_message *m;
	MPI_Message message;
	MPI_Message *message_p = &message;
	MPI_Status status;
	MPI_Status *s = &status;
	int flag, rc, source, tag;
	int *f = &flag;

	for (;;) {
		/* The size first, so that a lack of memory is found out before the message is matched. */
		flag = 0;
		rc = CR_LOWER(crcp_lower.MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, comm, f, s));
		if (rc != MPI_SUCCESS)
			return crcp_drain_fail(-EIO, "the MPI library failed to look for messages in flight");
		if (!flag)
			return 0;
		source = status.MPI_SOURCE;
		tag = status.MPI_TAG;
		m = crcp_log_create(source, tag, status._ucount);
		if (!m)
			return crcp_drain_fail(-ENOMEM, "no memory for the messages in flight; free some on the node and try again");
		rc = CR_LOWER(crcp_lower.MPI_Improbe(source, tag, comm, f, message_p, s));
		if (rc != MPI_SUCCESS || !flag) {
			crcp_log_destroy(m);
			return crcp_drain_fail(-EIO, "the MPI library lost a message in flight that it had announced");
		}
		rc = crcp_drain_receive(m, message);
		if (rc < 0) {
			crcp_log_destroy(m);
			return rc;
		}
		crcp_log_append(c, m);
		crcp_drain_note(c, m);
		(*ret_taken)++;
	}
}

static int crcp_drain_pass(unsigned int *ret_must, unsigned int *ret_taken)
{
	struct crcp_comm *c;
	int rc;

	*ret_must = crcp_drain_requests(&crcp_p2p.active) + crcp_drain_requests(&crcp_p2p.buffered);
	*ret_taken = 0;
	rc = crcp_drain_matched(ret_taken);
	for (c = crcp.comms; c && rc == 0; c = c->next)
		if (c->received && c->h.real)
			rc = crcp_drain_comm(c, ret_taken);
	return rc;
}

static int crcp_drain_until(uint64_t expected)
{
	unsigned int must, taken;
	uint64_t received;
	int rc;

	for (;;) {
		rc = crcp_drain_pass(&must, &taken);
		if (rc < 0)
			return rc;
		received = crcp_bookmark_received();
		if (received > expected)
			return crcp_drain_fail(-EPROTO, "more messages were received than were sent: the counts of sent messages are wrong");
		if (received == expected && must == 0)
			return 0;
		if (crcp_stop_over(CR_ORDER_DRAIN))
			return -ECANCELED;
		if (taken == 0)
			crcp_os_yield();
	}
}

int crcp_bookmark_drain(void)
{
	int size = crcp.board.world_size, rc;
	uint64_t *words, *scratch, expected;

	crcp.board.drained_messages = 0;
	crcp.board.drained_bytes = 0;
	crcp_p2p.drains++;
	crcp_p2p.exchange_left = 0;
	words = crcp_alloc(2 * ((size_t)size + 1) * sizeof(*words));
	if (!words)
		return crcp_drain_fail(-ENOMEM, "no memory for the message counts; free some on the node and try again");
	scratch = words + size + 1;
	crcp_bookmark_sent(words + 1);
	rc = crcp_exchange_sum(0, words, size, scratch);
	expected = words[1 + crcp.board.world_rank];
	if (rc == 0)
		rc = crcp_drain_until(expected);
	if (rc == 0 && crcp_wins_drain() != 0)
		rc = crcp_drain_fail(-EIO, "a rank that one-sided operations go to does not answer; see whether its node still runs");
	if (rc == 0)
		rc = crcp_files_drain();
	if (rc == 0) {
		words[1] = 0;
		rc = crcp_exchange_sum(1, words, 1, scratch);
	}
	if (rc == -EIO && !crcp.board.error_text[0])
		crcp_drain_fail(rc, "the exchange of message counts between the ranks failed in the MPI library");
	/* The library may still read what a send that was left behind is to carry. */
	if (!crcp_p2p.exchange_left)
		crcp_free(words);
	return rc;
}

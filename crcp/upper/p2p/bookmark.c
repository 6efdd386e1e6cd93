/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The drain. Every rank of the job is in here at the same time, on a thread that may call the library.
 *
 * Bookmarks: every rank has counted the messages that it sent and those that it received. Nobody sends any more, so when the sums over all ranks
 * are equal nothing is in flight. Until then each takes in what arrives: posted receives complete in the program's buffers, the rest is
 * received into the log. The sums are made again and again, each a tree of messages of a few words, whatever the number of ranks: what a rank
 * spends grows with what is on its way to it. A last sum holds every rank until all are done with windows and files too, because a rank
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

enum { SENT, RECEIVED, MUST }; /* what the ranks add up */
_Static_assert(MUST < CRCP_EXCHANGE_WORDS, "as many as are exchanged");

static void crcp_bookmark(uint64_t *words)
{
	const struct crcp_comm *c;

	words[SENT] = crcp_p2p.gone_sent;
	words[RECEIVED] = crcp_p2p.gone_received;
	for (c = crcp.comms; c; c = c->next) {
		if (!c->counted || c->outside)
			continue;
		words[SENT] += c->sent;
		words[RECEIVED] += c->received;
	}
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
	c->received++;
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
		if (c->counted && c->h.real && !c->coming)
			rc = crcp_drain_comm(c, ret_taken);
	return rc;
}

/* Until nothing more arrives. A rank that has something to complete looks a while longer in each round, the sum of the others can wait. */
static int crcp_drain_round(unsigned int round, unsigned int *ret_must)
{
	unsigned int taken, idle = 0, patience = round < 10 ? 1u << round : 1024;
	int rc;

	do {
		rc = crcp_drain_pass(ret_must, &taken);
		if (rc < 0)
			return rc;
		if (crcp_stop_over(CR_ORDER_DRAIN))
			return -ECANCELED;
		idle = taken ? 0 : idle + 1;
		if (idle)
			crcp_os_yield();
	} while (taken || (*ret_must && idle < patience));
	return 0;
}

/* @ret_step: number of sums that were made. */
static int crcp_drain_all(struct crcp_exchange *e, struct crcp_exchange *scratch, unsigned int *ret_step)
{
	for (unsigned int round = 0;; round++) {
		unsigned int must;
		int rc = crcp_drain_round(round, &must);

		if (rc < 0)
			return rc;
		crcp_bookmark(e->words);
		e->words[MUST] = must;
		rc = crcp_exchange_sum(round, e, scratch);
		if (rc < 0)
			return rc;
		if (e->words[RECEIVED] > e->words[SENT])
			return crcp_drain_fail(-EPROTO, "more messages were received than were sent: the counts of sent messages are wrong");
		*ret_step = round + 1;
		if (e->words[RECEIVED] == e->words[SENT] && e->words[MUST] == 0)
			return 0;
	}
}

int crcp_bookmark_drain(void)
{
	struct crcp_exchange *e = crcp_alloc(2 * sizeof(*e));
	unsigned int step = 0;
	int rc;

	crcp.board.drained_messages = 0;
	crcp.board.drained_bytes = 0;
	crcp.board.exchanged_messages = 0;
	crcp_p2p.drains++;
	crcp_p2p.exchange_left = 0;
	if (!e)
		return crcp_drain_fail(-ENOMEM, "no memory for the message counts; free some on the node and try again");
	rc = crcp_drain_all(e, e + 1, &step);
	if (rc == 0 && crcp_wins_drain() != 0)
		rc = crcp_drain_fail(-EIO, "a rank that one-sided operations go to does not answer; see whether its node still runs");
	if (rc == 0)
		rc = crcp_files_drain();
	if (rc == 0)
		rc = crcp_exchange_sum(step, e, e + 1);
	if (rc == -EIO && !crcp.board.error_text[0])
		crcp_drain_fail(rc, "the exchange of message counts between the ranks failed in the MPI library");
	/* The library may still read what a send that was left behind is to carry. */
	if (!crcp_p2p.exchange_left)
		crcp_free(e);
	return rc;
}

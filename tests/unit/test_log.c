/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The message log: matching, wildcards, order of arrival; and that a drain at any moment changes no pairing of messages and receives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crcp/upper/mem.h"
#include "crcp/upper/p2p/log.h"

void *crcp_alloc(size_t bytes)
{
	return calloc(1, bytes ? bytes : 1);
}

void crcp_free(void *p)
{
	free(p);
}

static struct crcp_log_message *put(struct crcp_comm *c, int source, int tag, uint64_t bytes)
{
	struct crcp_log_message *m = crcp_log_create(source, tag, bytes);

	assert_non_null(m);
	crcp_log_append(c, m);
	return m;
}

static void test_empty_log_matches_nothing(void **state)
{
	struct crcp_comm c = { 0 };

	(void)state;
	assert_null(crcp_log_match(&c, MPI_ANY_SOURCE, MPI_ANY_TAG));
}

static void test_no_match_for_other_source_or_tag(void **state)
{
	struct crcp_comm c = { 0 };

	(void)state;
	put(&c, 1, 5, 8);
	assert_null(crcp_log_match(&c, 2, 5));
	assert_null(crcp_log_match(&c, 1, 6));
	assert_null(crcp_log_match(&c, 2, MPI_ANY_TAG));
	assert_null(crcp_log_match(&c, MPI_ANY_SOURCE, 6));
	crcp_log_clear(&c);
}

static void test_match_is_the_first_that_arrived(void **state)
{
	struct crcp_comm c = { 0 };
	struct crcp_log_message *a, *b, *d, *e;

	(void)state;
	a = put(&c, 1, 5, 1);
	b = put(&c, 0, 5, 2);
	d = put(&c, 1, 7, 3);
	e = put(&c, 1, 5, 4);
	assert_ptr_equal(crcp_log_match(&c, MPI_ANY_SOURCE, MPI_ANY_TAG), a);
	assert_ptr_equal(crcp_log_match(&c, 0, MPI_ANY_TAG), b);
	assert_ptr_equal(crcp_log_match(&c, MPI_ANY_SOURCE, 7), d);
	crcp_log_take(&c, a);
	crcp_log_destroy(a);
	assert_ptr_equal(crcp_log_match(&c, 1, 5), e);
	assert_ptr_equal(crcp_log_match(&c, 1, MPI_ANY_TAG), d);
	assert_ptr_equal(c.log_head, b);
	assert_ptr_equal(c.log_tail, e);
	crcp_log_clear(&c);
	assert_null(c.log_head);
	assert_null(c.log_tail);
}

static void test_take_keeps_the_list_whole(void **state)
{
	struct crcp_comm c = { 0 };
	struct crcp_log_message *m[4];
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		m[i] = put(&c, i, i, 0);
	crcp_log_take(&c, m[3]);
	crcp_log_take(&c, m[1]);
	assert_ptr_equal(c.log_head, m[0]);
	assert_ptr_equal(m[0]->next, m[2]);
	assert_ptr_equal(m[2]->prev, m[0]);
	assert_ptr_equal(c.log_tail, m[2]);
	crcp_log_destroy(m[1]);
	crcp_log_destroy(m[3]);
	crcp_log_destroy(NULL);
	crcp_log_clear(&c);
}

static void test_status_of_a_probe(void **state)
{
	struct crcp_comm c = { 0 };
	MPI_Status status = { .MPI_ERROR = 42 };

	(void)state;
	put(&c, 3, 9, 12345);
	crcp_log_status(c.log_head, &status);
	assert_int_equal(status.MPI_SOURCE, 3);
	assert_int_equal(status.MPI_TAG, 9);
	assert_int_equal(status._ucount, 12345);
	assert_int_equal(status._cancelled, 0);
	assert_int_equal(status.MPI_ERROR, 42);
	crcp_log_status(c.log_head, MPI_STATUS_IGNORE);
	crcp_log_clear(&c);
}

static void test_size_overflow_is_refused(void **state)
{
	(void)state;
	assert_null(crcp_log_create(0, 0, UINT64_MAX));
	assert_null(crcp_log_create(0, 0, UINT64_MAX - 8));
}

/* ---- a model of the library's matching, with and without drains ---- */
#define OPS 400

struct item {
	int id, source, tag;
};

struct model {
	struct item unexpected[OPS], posted[OPS];
	int n_unexpected, n_posted;
	int pairing[OPS]; /* receive -> message */
	struct crcp_comm comm;
};

static void item_remove(struct item *v, int *n, int i)
{
	memmove(v + i, v + i + 1, sizeof(*v) * (size_t)(*n - i - 1));
	(*n)--;
}

static int matches(const struct item *receive, const struct item *message)
{
	return (receive->source == MPI_ANY_SOURCE || receive->source == message->source) &&
	       (receive->tag == MPI_ANY_TAG || receive->tag == message->tag);
}

static void model_arrive(struct model *m, const struct item *message)
{
	int i;

	for (i = 0; i < m->n_posted; i++) {
		if (!matches(&m->posted[i], message))
			continue;
		m->pairing[m->posted[i].id] = message->id;
		item_remove(m->posted, &m->n_posted, i);
		return;
	}
	m->unexpected[m->n_unexpected++] = *message;
}

static void model_receive(struct model *m, const struct item *receive)
{
	struct crcp_log_message *logged = crcp_log_match(&m->comm, receive->source, receive->tag);
	int i;

	if (logged) {
		memcpy(&m->pairing[receive->id], logged->data, sizeof(int));
		crcp_log_take(&m->comm, logged);
		crcp_log_destroy(logged);
		return;
	}
	for (i = 0; i < m->n_unexpected; i++) {
		if (!matches(receive, &m->unexpected[i]))
			continue;
		m->pairing[receive->id] = m->unexpected[i].id;
		item_remove(m->unexpected, &m->n_unexpected, i);
		return;
	}
	m->posted[m->n_posted++] = *receive;
}

static void model_drain(struct model *m)
{
	int i;

	for (i = 0; i < m->n_unexpected; i++) {
		struct crcp_log_message *l = put(&m->comm, m->unexpected[i].source, m->unexpected[i].tag, sizeof(int));

		memcpy(l->data, &m->unexpected[i].id, sizeof(int));
	}
	m->n_unexpected = 0;
}

static void test_a_drain_changes_no_pairing(void **state)
{
	static struct model plain, drained;
	unsigned int seed;

	(void)state;
	for (seed = 1; seed <= 300; seed++) {
		int i;

		memset(&plain, 0, sizeof(plain));
		memset(&drained, 0, sizeof(drained));
		memset(plain.pairing, -1, sizeof(plain.pairing));
		memset(drained.pairing, -1, sizeof(drained.pairing));
		srand(seed);
		for (i = 0; i < OPS; i++) {
			struct item it = { i, rand() % 3, rand() % 3 };

			if (rand() % 2) {
				model_arrive(&plain, &it);
				model_arrive(&drained, &it);
			} else {
				if (rand() % 3 == 0)
					it.source = MPI_ANY_SOURCE;
				if (rand() % 3 == 0)
					it.tag = MPI_ANY_TAG;
				model_receive(&plain, &it);
				model_receive(&drained, &it);
			}
			if (rand() % 7 == 0)
				model_drain(&drained);
		}
		assert_memory_equal(plain.pairing, drained.pairing, sizeof(plain.pairing));
		crcp_log_clear(&drained.comm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_overflow_is_refused),
		cmocka_unit_test(test_empty_log_matches_nothing),
		cmocka_unit_test(test_no_match_for_other_source_or_tag),
		cmocka_unit_test(test_match_is_the_first_that_arrived),
		cmocka_unit_test(test_take_keeps_the_list_whole),
		cmocka_unit_test(test_status_of_a_probe),
		cmocka_unit_test(test_a_drain_changes_no_pairing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

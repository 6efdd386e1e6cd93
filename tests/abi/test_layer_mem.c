/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The MPI layer's memory: zeroed, aligned, disjoint, used again, refuses what is too large. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "crcp/upper/mem.h"

static void refuses_too_large(void **state)
{
	(void)state;
	assert_null(crcp_alloc(SIZE_MAX));
	assert_null(crcp_alloc(SIZE_MAX - 16));
	assert_null(crcp_alloc(SIZE_MAX / 2));
}

static void free_takes_null(void **state)
{
	(void)state;
	crcp_free(NULL);
	assert_null(crcp_dup("x", 0));
}

static void blocks_are_zeroed_and_aligned(void **state)
{
	(void)state;
	for (size_t bytes = 0; bytes < 3u << 20; bytes = bytes * 3 / 2 + 1) {
		unsigned char *p = crcp_alloc(bytes);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < bytes; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, bytes);
		crcp_free(p);
		p = crcp_alloc(bytes);
		for (size_t i = 0; i < bytes; i++)
			assert_int_equal(p[i], 0);
		crcp_free(p);
	}
}

static void a_freed_block_is_used_again(void **state)
{
	void *p = crcp_alloc(100), *q;

	(void)state;
	crcp_free(p);
	q = crcp_alloc(90);
	assert_ptr_equal(p, q);
	crcp_free(q);
}

static void dup_copies(void **state)
{
	char *p = crcp_dup("seven", 6);

	(void)state;
	assert_string_equal(p, "seven");
	crcp_free(p);
}

/* Many live blocks of all sizes, each filled with its own byte: none may reach into another. */
static void blocks_do_not_overlap(void **state)
{
	enum { N = 400 };
	static struct {
		unsigned char *p;
		size_t bytes;
	} block[N];

	(void)state;
	srandom(7);
	for (int round = 0; round < 20000; round++) {
		int i = (int)(random() % N);
		size_t bytes = (size_t)1 << (random() % 20);

		if (block[i].p) {
			for (size_t k = 0; k < block[i].bytes; k += 61)
				assert_int_equal(block[i].p[k], i & 0xff);
			crcp_free(block[i].p);
			block[i].p = NULL;
			continue;
		}
		bytes = (size_t)random() % bytes + 1;
		block[i].p = crcp_alloc(bytes);
		assert_non_null(block[i].p);
		block[i].bytes = bytes;
		memset(block[i].p, i & 0xff, bytes);
	}
	for (int i = 0; i < N; i++)
		crcp_free(block[i].p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_too_large),	       cmocka_unit_test(free_takes_null), cmocka_unit_test(blocks_are_zeroed_and_aligned),
		cmocka_unit_test(a_freed_block_is_used_again), cmocka_unit_test(dup_copies),	  cmocka_unit_test(blocks_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

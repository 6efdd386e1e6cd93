/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reasons, given by the program's half, why this process cannot be checkpointed (design section 7).
 *
 * Fixed table, taken by compare-and-swap: may be called on either %fs and in a handler.
 */
#include "libcr/lower/lower.h"

#include <errno.h>

#define NOCR_MAX 256
#define NOCR_TEXT 200

static struct {
	volatile uint32_t used; /* 0 free, 1 being written, 2 valid */
	uint64_t id;
	char text[NOCR_TEXT];
} nocr[NOCR_MAX];

int cr_nocr_set_reason(uint64_t id, const char *text)
{
	for (int i = 0; i < NOCR_MAX; i++)
		if (nocr[i].used == 2 && nocr[i].id == id)
			return 0;
	for (int i = 0; i < NOCR_MAX; i++) {
		uint32_t expect = 0;

		if (nocr[i].used || !__atomic_compare_exchange_n(&nocr[i].used, &expect, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		nocr[i].id = id;
		for (int k = 0; k < NOCR_TEXT - 1; k++) {
			nocr[i].text[k] = text[k];
			if (!text[k])
				break;
		}
		nocr[i].text[NOCR_TEXT - 1] = '\0';
		__atomic_store_n(&nocr[i].used, 2, __ATOMIC_SEQ_CST);
		return 0;
	}
	return -ENOSPC;
}

int cr_nocr_clear_reason(uint64_t id)
{
	int rc = -ENOENT;

	/* Two threads may have set it at the same moment. */
	for (int i = 0; i < NOCR_MAX; i++)
		if (nocr[i].used == 2 && nocr[i].id == id) {
			__atomic_store_n(&nocr[i].used, 0, __ATOMIC_SEQ_CST);
			rc = 0;
		}
	return rc;
}

int cr_nocr_list(cr_nocr_fn report, void *arg)
{
	int n = 0;

	for (int i = 0; i < NOCR_MAX; i++)
		if (nocr[i].used == 2) {
			report(arg, nocr[i].text);
			n++;
		}
	return n;
}

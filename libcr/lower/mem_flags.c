/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flags of the process's areas from the engine, instead of from smaps, which walks through every page of the process while the program stands still.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/lower/engine.h"
#include "libcr/lower/mem_private.h"

#define FLAGS_FIRST 512u

struct cr_mem_flags {
	struct cr_ioc_area *area; /* by address */
	uint32_t n, max;
	uint32_t at; /* where the last one was found */
};

int cr_mem_flags_create(struct cr_mem_flags **ret)
{
	struct cr_mem_flags *f = calloc(1, sizeof(*f));
	uint64_t start = 0;
	uint32_t n = 0;
	int rc = f ? 0 : -ENOMEM;

	while (rc == 0 && f->n == f->max) {
		uint32_t max = f->max ? 2 * f->max : FLAGS_FIRST;
		struct cr_ioc_area *area = reallocarray(f->area, max, sizeof(*area));

		if (!area) {
			rc = -ENOMEM;
			break;
		}
		f->area = area;
		f->max = max;
		rc = cr_engine->areas(&start, area + f->n, max - f->n, &n);
		f->n += n;
	}
	if (rc) {
		cr_mem_flags_destroy(f);
		return rc;
	}
	*ret = f;
	return 0;
}

void cr_mem_flags_destroy(struct cr_mem_flags *f)
{
	if (!f)
		return;
	free(f->area);
	free(f);
}

const struct cr_ioc_area *cr_mem_flags_find(struct cr_mem_flags *f, uint64_t start, uint64_t end)
{
	/* Asked in order. */
	while (f->at < f->n && f->area[f->at].ret_start < start)
		f->at++;
	return f->at < f->n && f->area[f->at].ret_start == start && f->area[f->at].ret_end == end ? &f->area[f->at] : NULL;
}

void cr_mem_flags_text(uint64_t flags, char *ret, size_t bytes)
{
	size_t used = 1;

	ret[0] = ' ';
#define FLAG(bit, kernel, letters)                                     \
	if ((flags & 1ull << (bit)) && used + sizeof(letters) < bytes) { \
		memcpy(ret + used, letters " ", sizeof(letters));      \
		used += sizeof(letters);                               \
	}
	CR_IOC_AREA_FLAGS(FLAG)
#undef FLAG
	ret[used] = '\0';
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/snapshot_manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define RANKS_MOST (1u << 24)

int manifest_sums_init(struct manifest_sums *m)
{
	m->text = NULL;
	m->bytes = 0;
	m->stream = open_memstream(&m->text, &m->bytes);
	return m->stream ? 0 : -ENOMEM;
}

void manifest_sums_add(struct manifest_sums *m, const char *name, uint64_t bytes, uint64_t sum)
{
	fprintf(m->stream, "%016" PRIx64 " %" PRIu64 " %s\n", sum, bytes, name);
}

int manifest_sums_end(struct manifest_sums *m)
{
	int bad = fflush(m->stream);

	if (!bad)
		fprintf(m->stream, "end %016" PRIx64 "\n", (uint64_t)XXH3_64bits(m->text, m->bytes));
	bad = fclose(m->stream) != 0 || bad;
	m->stream = NULL;
	return bad ? -ENOMEM : 0;
}

void manifest_sums_fini(struct manifest_sums *m)
{
	if (m->stream)
		fclose(m->stream);
	free(m->text);
	m->stream = NULL;
	m->text = NULL;
}

int manifest_write(const struct snapshot_transfer *t, char *ret_text, size_t bytes)
{
	return snprintf(ret_text, bytes, "ompi-cr export 1\nreference %s\nsequence %u\nranks %u\n", t->ref, t->seq, t->np);
}

int manifest_read(const char *text, struct snapshot_transfer *ret_t)
{
	char again[MANIFEST_BYTES];
	int used = 0;

	if (sscanf(text, "ompi-cr export 1\nreference %255[^/\n]\nsequence %" SCNu32 "\nranks %" SCNu32 "\n%n", ret_t->ref, &ret_t->seq, &ret_t->np, &used) != 3 ||
	    !used || text[used] || ret_t->np < 1 || ret_t->np > RANKS_MOST || ret_t->ref[0] == '.')
		return -EINVAL;
	manifest_write(ret_t, again, sizeof(again));
	return strcmp(text, again) == 0 ? 0 : -EINVAL; /* no sign, no blank, no number that is too large */
}

int manifest_context_name(const struct snapshot_transfer *t, uint32_t rank, char *ret_name, size_t bytes)
{
	int n = snprintf(ret_name, bytes, "%s/%u/" SNAPC_CONTEXT_FMT, t->ref, t->seq, (int)rank);

	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

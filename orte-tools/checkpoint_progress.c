/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/checkpoint_progress.h"

#include <stdio.h>

#include "snapc/snapshot.h"

void checkpoint_progress_begin(struct checkpoint_progress *p, const struct snapc_words *words, bool quiet)
{
	long long seq = snapc_words_number(words, "seq", INT32_MAX, -1), np = snapc_words_number(words, "np", INT32_MAX, -1);
	const char *dir = snapc_words_get(words, "dir", NULL);

	if (!dir || seq < 0 || np < 1 || snprintf(p->dir, sizeof(p->dir), "%s", dir) >= (int)sizeof(p->dir))
		return;
	p->seq = (uint32_t)seq;
	p->np = (uint32_t)np;
	cr_dump_progress_begin(&p->dump, "dump", (uint64_t)snapc_words_number(words, "bytes", INT64_MAX, 0), quiet);
	checkpoint_progress_look(p);
}

static bool rank_file(void *arg, uint32_t i, char *path, size_t bytes)
{
	const struct checkpoint_progress *p = arg;

	if (i >= p->np)
		return false;
	if (snapc_snapshot_context_path(p->dir, p->seq, (int)i, path, bytes) != 0)
		path[0] = '\0';
	return true;
}

void checkpoint_progress_look(struct checkpoint_progress *p)
{
	cr_dump_progress_look(&p->dump, rank_file, p);
}

void checkpoint_progress_end(struct checkpoint_progress *p)
{
	cr_dump_progress_end(&p->dump);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/checkpoint_progress.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "snapc/snapshot.h"

/* Looking may take this part of the time: many ranks on a slow file system are looked at less often. */
#define LOOK_SHARE 10

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void checkpoint_progress_begin(struct checkpoint_progress *p, const struct snapc_words *words, bool quiet)
{
	long long seq = snapc_words_number(words, "seq", INT32_MAX, -1), np = snapc_words_number(words, "np", INT32_MAX, -1);
	const char *dir = snapc_words_get(words, "dir", NULL);

	if (quiet || !cr_progress_wanted() || !dir || seq < 0 || np < 1 || snprintf(p->dir, sizeof(p->dir), "%s", dir) >= (int)sizeof(p->dir))
		return;
	p->seq = (uint32_t)seq;
	p->np = (uint32_t)np;
	p->running = true;
	cr_progress_begin(&p->bar, "dump", (uint64_t)snapc_words_number(words, "bytes", INT64_MAX, 0), quiet);
	checkpoint_progress_look(p);
}

void checkpoint_progress_look(struct checkpoint_progress *p)
{
	uint64_t begin = now_ns(), bytes = 0, took;
	char path[PATH_MAX];
	struct stat st;

	if (!p->running || begin < p->again_ns)
		return;
	for (uint32_t r = 0; r < p->np; r++)
		if (snapc_snapshot_context_path(p->dir, p->seq, (int)r, path, sizeof(path)) == 0 && stat(path, &st) == 0)
			bytes += (uint64_t)st.st_size;
	cr_progress_set(&p->bar, bytes);
	took = now_ns() - begin;
	p->again_ns = begin + LOOK_SHARE * took;
}

void checkpoint_progress_end(struct checkpoint_progress *p)
{
	if (p->running)
		cr_progress_end(&p->bar);
	p->running = false;
}

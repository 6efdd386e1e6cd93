/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libcr/tools/checkpoint_watch.h"

#include <stdio.h>
#include <unistd.h>

#include "libcr/tools/process_memory.h"

/* Each of several writes TEMPORARY.1, TEMPORARY.2, ...; in the end one of them makes the file of these. */
static bool watch_file(void *arg, uint32_t i, char *path, size_t bytes)
{
	struct checkpoint_watch *w = arg;

	bool parts = w->agent->n_members && !w->merging;

	if (i >= (parts ? w->agent->n_members : 1))
		return false;
	if (parts)
		snprintf(path, bytes, "%s.%u", w->temporary, i + 1);
	else
		snprintf(path, bytes, "%s", w->temporary);
	return true;
}

static uint64_t watch_expected(const struct checkpoint_agent *a)
{
	uint64_t bytes = a->n_members ? 0 : cr_process_memory(a->pid);

	for (uint32_t i = 0; i < a->n_members; i++)
		bytes += cr_process_memory(a->members[i]);
	return bytes;
}

static void watch_look(void *arg)
{
	struct checkpoint_watch *w = arg;

	if (!w->measured)
		w->dump.bar.total = watch_expected(w->agent);
	w->measured = true;
	if (w->agent->n_members && !w->merging && access(w->temporary, F_OK) == 0) {
		uint64_t bytes = w->dump.bytes;

		w->merging = true;
		cr_dump_progress_end(&w->dump);
		cr_dump_progress_begin(&w->dump, "merge", bytes, false);
	}
	cr_dump_progress_look(&w->dump, watch_file, w);
}

void checkpoint_watch_begin(struct checkpoint_watch *w, struct checkpoint_agent *agent, const char *temporary, bool quiet)
{
	*w = (struct checkpoint_watch){ .agent = agent, .temporary = temporary };
	cr_dump_progress_begin(&w->dump, "dump", 0, quiet);
	if (!w->dump.running)
		return;
	agent->idle_arg = w;
	agent->idle = watch_look;
}

void checkpoint_watch_hide(struct checkpoint_watch *w)
{
	if (w->dump.running)
		cr_progress_hide(&w->dump.bar);
}

void checkpoint_watch_end(struct checkpoint_watch *w)
{
	if (w->agent)
		w->agent->idle = NULL;
	cr_dump_progress_end(&w->dump);
}

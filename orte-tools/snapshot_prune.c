/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot prune: what is kept is looked at first, so that the last good snapshot stays. */
#include "orte-tools/snapshot_prune.h"

#include <stdio.h>
#include <stdlib.h>

#include "orte-tools/restart_info.h"
#include "orte-tools/tool_verify.h"
#include "snapc/meta.h"

/* Return: 1 whole, 0 damaged. */
static int sequence_whole(const struct snapc_meta *meta, uint32_t seq)
{
	struct tool_verdict *bad = NULL;
	struct cr_err err = { "" };
	struct snapc_snapshot *s;
	int n;

	if (snapc_meta_load(meta, seq, &s, &err) < 0) {
		fprintf(stderr, "ompi-snapshot: %s\n", err.text);
		return 0;
	}
	n = tool_verify(s, TOOL_VERIFY_PAGES, &bad);
	for (int i = 0; i < n; i++)
		fprintf(stderr, "ompi-snapshot: sequence %u, rank %d: %s: %s\n", seq, bad[i].rank, bad[i].path, bad[i].err.text);
	free(bad);
	snapc_snapshot_destroy(s);
	return n == 0;
}

/* The newest sequence that is whole, or -1. */
static int64_t newest_whole(const struct snapc_meta *meta)
{
	const uint32_t *seqs;
	uint32_t n = snapc_meta_sequences(meta, &seqs);

	while (n-- > 0)
		if (sequence_whole(meta, seqs[n]))
			return seqs[n];
	return -1;
}

static void leftovers_remove(const char *dir, const struct snapc_meta *meta)
{
	struct snapc_job *job;

	if (snapc_meta_job(meta, &job, NULL) < 0)
		return;
	if (!restart_job_runs(job))
		snapc_snapshot_tidy(dir);
	snapc_job_destroy(job);
}

int snapshot_prune(const char *dir, uint32_t keep, bool quiet)
{
	struct cr_err err = { "" };
	struct snapc_meta *meta;
	const uint32_t *seqs;
	int64_t good = -1;
	uint32_t n;
	int removed;

	if (snapc_meta_open(dir, &meta, &err) < 0) {
		fprintf(stderr, "ompi-snapshot: %s\n", err.text);
		return 1;
	}
	n = snapc_meta_sequences(meta, &seqs);
	if (n > keep)
		good = newest_whole(meta);
	if (n > keep && good < 0) {
		fprintf(stderr, "ompi-snapshot: %s: no sequence is whole: nothing is removed\n", dir);
		snapc_meta_close(meta);
		return 1;
	}
	if (n > keep && good < seqs[n - keep])
		fprintf(stderr, "ompi-snapshot: the %u newest are damaged: sequence %lld, the newest one that is whole, is kept as well\n", keep,
			(long long)good);
	leftovers_remove(dir, meta);
	snapc_meta_close(meta);
	removed = snapc_snapshot_prune(dir, keep, good, &err);
	if (removed < 0) {
		fprintf(stderr, "ompi-snapshot: %s\n", err.text);
		return 1;
	}
	if (!quiet)
		printf("%d sequence%s removed from %s\n", removed, removed == 1 ? "" : "s", dir);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making a sequence valid, and taking sequences away.
 *
 * Order of a commit, each step durable before the next:
 *   1. context files and their directories        (a crash leaves <seq>.tmp: swept)
 *   2. <seq>.tmp becomes <seq>                    (a crash leaves <seq> without an entry: swept)
 *   3. the metadata with the new entry are renamed over the old ones: from here on the sequence is valid
 * Order of a removal: first the entry, then the directory.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapc/meta.h"
#include "snapc/snapshot_disk.h"
#include "snapc/snapshot_sweep.h"

static int file_check(const struct snapc_snapshot *s, const struct snapc_rank *r, const char *tmp, struct cr_err *err)
{
	char want[64], path[PATH_MAX];
	struct stat st;
	int rc;

	snprintf(want, sizeof(want), SNAPC_CONTEXT_FMT, r->rank);
	if (!r->context_file || strcmp(r->context_file, want) != 0)
		return cr_err_set(err, EINVAL, "rank %d: context file %s is not named %s", r->rank, r->context_file ? r->context_file : "(none)",
				  want);
	rc = snapc_disk_join(path, tmp, want, err);
	if (rc < 0)
		return rc;
	if (lstat(path, &st) < 0)
		return cr_err_set(err, errno, "rank %d: context file %s: %m; sequence %u is not committed", r->rank, path, s->seq);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != r->file_bytes)
		return cr_err_set(err, EBADMSG, "rank %d: context file %s has %llu bytes, the rank wrote %llu; sequence %u is not committed",
				  r->rank, path, (unsigned long long)st.st_size, (unsigned long long)r->file_bytes, s->seq);
	return snapc_disk_sync(path, 0, s->flags & SNAPC_COMMIT_NOSYNC, err);
}

static int ranks_check(const struct snapc_snapshot *s, const char *tmp, struct cr_err *err)
{
	unsigned char *seen = calloc(s->np ? s->np : 1, 1);
	char dir[PATH_MAX], name[64];
	int rc = seen ? 0 : cr_err_set(err, ENOMEM, "no memory for %u ranks", s->np);

	if (rc == 0 && s->np == 0)
		rc = cr_err_set(err, EINVAL, "a snapshot without ranks cannot be committed");
	for (uint32_t i = 0; i < s->np && rc == 0; i++) {
		const struct snapc_rank *r = &s->ranks[i];

		if (r->rank < 0 || (uint32_t)r->rank >= s->np || seen[r->rank]) {
			rc = cr_err_set(err, EINVAL, "rank %d is listed twice, or beyond the job's %u ranks", r->rank, s->np);
			break;
		}
		seen[r->rank] = 1;
		rc = file_check(s, r, tmp, err);
		snprintf(name, sizeof(name), SNAPC_CONTEXT_DIR_FMT, r->rank);
		if (rc == 0)
			rc = snapc_disk_join(dir, tmp, name, err);
		if (rc == 0)
			rc = snapc_disk_sync(dir, 1, s->flags & SNAPC_COMMIT_NOSYNC, err);
	}
	free(seen);
	return rc;
}

static int parent_sync(const char *dir, int nosync, struct cr_err *err)
{
	char parent[PATH_MAX], *slash;

	snprintf(parent, sizeof(parent), "%s", dir);
	slash = strrchr(parent, '/');
	if (!slash)
		return 0;
	slash[slash == parent] = '\0';
	return snapc_disk_sync(parent, 1, nosync, err);
}

/* After a failed commit: is the entry there all the same (the rename took place, the fsync after it failed)? Then take it out. */
static void commit_undo(const struct snapc_snapshot *s, const char *tmp, const char *final)
{
	struct snapc_meta *meta;
	const uint32_t *seqs;
	int listed = 0;

	if (snapc_meta_open(s->dir, &meta, NULL) == 0) {
		uint32_t n = snapc_meta_sequences(meta, &seqs);

		while (n-- > 0)
			listed |= seqs[n] == s->seq;
		snapc_meta_close(meta);
	}
	if (listed && snapc_meta_write(s->dir, NULL, &s->seq, 1, 0, NULL) < 0)
		return;
	snapc_disk_remove_tree(tmp, NULL);
	snapc_disk_remove_tree(final, NULL);
	snapc_sweep_empty(s->dir);
}

static int prune_locked(const char *dir, uint32_t keep, int64_t spare, int nosync, struct cr_err *err)
{
	char path[PATH_MAX], name[32];
	struct snapc_meta *meta;
	const uint32_t *seqs;
	uint32_t n, ndrop = 0, *drop;
	int rc;

	rc = snapc_meta_open(dir, &meta, err);
	if (rc < 0)
		return rc;
	n = snapc_meta_sequences(meta, &seqs);
	drop = calloc(n + 1, sizeof(*drop));
	for (uint32_t i = 0; drop && n > keep && i < n - keep; i++)
		if (seqs[i] != spare)
			drop[ndrop++] = seqs[i];
	snapc_meta_close(meta);
	if (!drop)
		return cr_err_set(err, ENOMEM, "%s: no memory", dir);
	rc = ndrop ? snapc_meta_write(dir, NULL, drop, ndrop, !nosync, err) : 0;
	for (uint32_t i = 0; i < ndrop && rc == 0; i++) {
		snprintf(name, sizeof(name), "%u", drop[i]);
		rc = snapc_disk_join(path, dir, name, err);
		if (rc == 0)
			rc = snapc_disk_remove_tree(path, err);
		snapc_disk_step("remove");
	}
	free(drop);
	return rc < 0 ? rc : (int)ndrop;
}

int snapc_snapshot_commit(const struct snapc_snapshot *s, struct cr_err *err)
{
	char tmp[PATH_MAX], final[PATH_MAX], name[32];
	int nosync = s->flags & SNAPC_COMMIT_NOSYNC, lock, rc;

	snprintf(name, sizeof(name), "%u.tmp", s->seq);
	rc = snapc_disk_join(tmp, s->dir, name, err);
	snprintf(name, sizeof(name), "%u", s->seq);
	if (rc == 0)
		rc = snapc_disk_join(final, s->dir, name, err);
	if (rc < 0)
		return rc;
	lock = snapc_disk_lock(s->dir, 1, err);
	if (lock < 0)
		return lock;
	rc = ranks_check(s, tmp, err);
	if (rc == 0)
		rc = snapc_disk_sync(tmp, 1, nosync, err);
	if (rc == 0)
		rc = snapc_disk_rename(tmp, final, err);
	if (rc == 0)
		rc = snapc_disk_sync(s->dir, 1, nosync, err);
	if (rc == 0)
		rc = parent_sync(s->dir, nosync, err);
	if (rc == 0)
		rc = snapc_meta_write(s->dir, s, NULL, 0, !nosync, err);
	if (rc < 0)
		commit_undo(s, tmp, final);
	else if (s->keep > 0)
		prune_locked(s->dir, s->keep, -1, nosync, NULL);
	close(lock);
	return rc;
}

int snapc_snapshot_prune(const char *dir, uint32_t keep, int64_t spare, struct cr_err *err)
{
	int lock = snapc_disk_lock(dir, 1, err), rc;

	if (lock < 0)
		return lock;
	rc = prune_locked(dir, keep, spare, 0, err);
	close(lock);
	return rc;
}

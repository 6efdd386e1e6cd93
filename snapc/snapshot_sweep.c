/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leftovers of crashed checkpoints. */
#include "snapc/snapshot_sweep.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapc/meta.h"
#include "snapc/snapshot_disk.h"

/* Is @name one of ours that is no snapshot? */
static int leftover(const char *name, const uint32_t *seqs, uint32_t n)
{
	unsigned long seq;
	char *end;

	if (strcmp(name, SNAPC_META_NAME ".tmp") == 0)
		return 1;
	if (name[0] < '0' || name[0] > '9')
		return 0;
	errno = 0;
	seq = strtoul(name, &end, 10);
	if (errno || seq >= UINT32_MAX)
		return 0;
	if (strcmp(end, ".tmp") == 0)
		return 1;
	if (*end)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		if (seqs[i] == seq)
			return 0;
	}
	return 1;
}

static int sweep_listed(const char *dir, const uint32_t *seqs, uint32_t n, struct cr_err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];
	int rc = 0;

	if (!d)
		return cr_err_set(err, errno, "%s: cannot list: %m", dir);
	while (rc == 0 && (e = readdir(d))) {
		if (!leftover(e->d_name, seqs, n))
			continue;
		rc = snapc_disk_join(path, dir, e->d_name, err);
		if (rc == 0)
			rc = snapc_disk_remove_tree(path, err);
	}
	closedir(d);
	return rc;
}

int snapc_sweep(const char *dir, uint32_t *ret_next, struct cr_err *err)
{
	struct snapc_meta *meta = NULL;
	const uint32_t *seqs = NULL;
	uint32_t n = 0, next = 0;
	int rc = snapc_meta_open(dir, &meta, err);

	if (rc < 0 && rc != -ENOENT)
		return rc;
	if (meta) {
		n = snapc_meta_sequences(meta, &seqs);
		next = snapc_meta_next_seq(meta);
	}
	rc = sweep_listed(dir, seqs, n, err);
	snapc_meta_close(meta);
	if (rc == 0)
		*ret_next = next;
	return rc;
}

void snapc_sweep_empty(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[PATH_MAX];
	int others = 0;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, SNAPC_OWNER_NAME) != 0)
			others = 1;
	}
	closedir(d);
	if (!others && snapc_disk_join(path, dir, SNAPC_OWNER_NAME, NULL) == 0) {
		unlink(path);
		rmdir(dir);
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-checkpoint --list: running jobs, then snapshots. */
#include "orte-tools/checkpoint_list.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orte-tools/checkpoint_job.h"
#include "orte-tools/tool_json.h"
#include "orte-tools/tool_ref.h"
#include "snapc/meta.h"
#include "snapc/snapshot.h"

#define LIST_PATTERN "ompi_global_snapshot_*.ckpt"

static int list_is_snapshot(const struct dirent *d)
{
	return fnmatch(LIST_PATTERN, d->d_name, 0) == 0;
}

static void list_one(const char *dir, const char *name, bool json, bool first)
{
	char path[PATH_MAX];
	struct snapc_meta *meta;
	const uint32_t *seqs = NULL;
	struct cr_err err = { "" };
	uint32_t n = 0;
	int rc;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return;
	rc = snapc_meta_open(path, &meta, &err);
	if (rc == 0)
		n = snapc_meta_sequences(meta, &seqs);
	else if (rc != -ENOENT)
		fprintf(stderr, "ompi-checkpoint: %s\n", err.text);
	if (json) {
		fputs(first ? "{\"ref\":" : ",{\"ref\":", stdout);
		tool_json_string(stdout, name);
		fputs(",\"sequences\":[", stdout);
	} else {
		printf("Snapshot Ref.: %s\t[%s", name, n ? "" : "No Valid Checkpoints");
	}
	for (uint32_t i = 0; i < n; i++)
		printf("%s%u", i ? "," : "", seqs[i]);
	fputs(json ? "]}" : "]\n", stdout);
	if (rc == 0)
		snapc_meta_close(meta);
}

int tool_list(bool json)
{
	const char *dir = tool_snapshot_dir();
	struct dirent **names;
	int n;

	if (json)
		fputs("{\"jobs\":[", stdout);
	checkpoint_job_list(json);
	n = scandir(dir, &names, list_is_snapshot, versionsort);
	if (n < 0) {
		n = -errno;
		if (json)
			puts("],\"snapshots\":[]}");
		fprintf(stderr, "ompi-checkpoint: cannot read the snapshot directory %s: %s\n", dir, strerror(errno));
		return n;
	}
	if (json)
		fputs("],\"snapshots\":[", stdout);
	for (int i = 0; i < n; i++) {
		list_one(dir, names[i]->d_name, json, i == 0);
		free(names[i]);
	}
	if (json)
		puts("]}");
	free(names);
	return fflush(stdout) == EOF ? -EIO : 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot list. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "orte-tools/snapshot_print.h"
#include "orte-tools/tool_json.h"

struct lister {
	bool json;
	bool any; /* something was printed */
	int rc;
};

static void row_print(struct lister *l, const char *ref, const struct snapc_snapshot *s)
{
	const struct snapc_app *app = s->job->napps ? &s->job->apps[0] : NULL;
	time_t t = (time_t)(s->end_ns / 1000000000u);
	char when[32] = "unknown";
	uint64_t bytes = 0;
	struct tm tm;

	for (uint32_t i = 0; i < s->np; i++)
		bytes += s->ranks[i].file_bytes;
	if (l->json) {
		printf("%s{\"reference\": ", l->any ? ", " : "");
		tool_json_string(stdout, ref);
		fputs(", \"path\": ", stdout);
		tool_json_string(stdout, s->dir);
		printf(", \"sequence\": %u, \"end_ns\": %llu, \"np\": %u, \"bytes\": %llu, \"program\": ", s->seq, (unsigned long long)s->end_ns,
		       s->np, (unsigned long long)bytes);
		tool_json_strings(stdout, app ? app->argv : NULL);
		putchar('}');
		l->any = true;
		return;
	}
	if (localtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
	if (!l->any)
		printf("%-40s %4s  %-19s %6s %12s  %s\n", "REFERENCE", "SEQ", "COMMITTED", "RANKS", "SIZE", "PROGRAM");
	printf("%-40s %4u  %-19s %6u %8.1f MiB ", ref, s->seq, when, s->np, (double)bytes / 1048576.0);
	for (int i = 0; app && app->argv[i] && i < 4; i++)
		printf(" %s", app->argv[i]);
	puts(app && app->argv[0] && app->argv[1] && app->argv[2] && app->argv[3] && app->argv[4] ? " ..." : "");
	l->any = true;
}

static void reference_list(struct lister *l, const char *path)
{
	struct cr_err err = { "" };
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	const uint32_t *seqs;
	uint32_t n;
	int rc = snapc_meta_open(path, &meta, &err);

	if (rc < 0) {
		fprintf(stderr, "ompi-snapshot: %s\n", err.text);
		l->rc = rc;
		return;
	}
	n = snapc_meta_sequences(meta, &seqs);
	for (uint32_t i = 0; i < n; i++) {
		rc = snapc_meta_load(meta, seqs[i], &s, &err);
		if (rc < 0) {
			fprintf(stderr, "ompi-snapshot: %s\n", err.text);
			l->rc = rc;
			continue;
		}
		row_print(l, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, s);
		snapc_snapshot_destroy(s);
	}
	snapc_meta_close(meta);
}

static int is_named(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int directory_list(struct lister *l, const char *dir)
{
	char path[PATH_MAX], meta[PATH_MAX];
	struct dirent **names;
	int n = scandir(dir, &names, is_named, versionsort);

	if (n < 0) {
		n = -errno;
		fprintf(stderr, "ompi-snapshot: snapshot directory %s: %s; set OMPI_CR_SNAPSHOT_DIR\n", dir, strerror(errno));
		return n;
	}
	for (int i = 0; i < n; i++) {
		if (snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name) < (int)sizeof(path) &&
		    snprintf(meta, sizeof(meta), "%s/%s", path, SNAPC_META_NAME) < (int)sizeof(meta) && access(meta, F_OK) == 0)
			reference_list(l, path);
		free(names[i]);
	}
	free(names);
	return 0;
}

int snapshot_list(const char *dir, const char *ref_dir, bool json)
{
	struct lister l = { .json = json };
	char real[PATH_MAX];
	int rc = 0;

	if (json)
		putchar('[');
	if (ref_dir)
		reference_list(&l, ref_dir);
	else
		rc = directory_list(&l, realpath(dir, real) ? real : dir);
	if (json)
		puts("]");
	else if (!l.any && rc == 0 && l.rc == 0)
		printf("No snapshots in %s\n", ref_dir ? ref_dir : dir);
	return rc < 0 ? rc : l.rc;
}

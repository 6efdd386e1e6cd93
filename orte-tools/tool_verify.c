/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checking the context files of a sequence, one thread per processor. */
#include "orte-tools/tool_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/tools/progress.h"

#define MAX_THREADS 16

struct work {
	const struct snapc_snapshot *s;
	unsigned int flags;
	struct tool_verdict *verdicts; /* [np], same order as s->ranks */
	unsigned int next;             /* atomic: next row to take */
	struct cr_progress progress;
};

/* What a file has added to the bar. */
struct share {
	struct cr_progress *progress;
	uint64_t added;
};

static void share_set(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	struct share *share = arg;

	(void)total_bytes;
	cr_progress_add(share->progress, done_bytes - share->added);
	share->added = done_bytes;
}

static int image_check(struct cr_image *img, const struct snapc_rank *r, struct work *w, struct cr_err *err)
{
	struct share share = { .progress = &w->progress };
	struct cr_image_totals t;

	cr_image_totals(img, &t);
	if (t.checksum != r->checksum)
		return cr_err_set(err, EBADMSG, "a whole context file, but not the one that was committed (checksum %016llx, metadata %016llx)",
				  (unsigned long long)t.checksum, (unsigned long long)r->checksum);
	if (t.pages != r->pages)
		return cr_err_set(err, EBADMSG, "holds %llu pages, the metadata say %llu", (unsigned long long)t.pages, (unsigned long long)r->pages);
	return w->flags & TOOL_VERIFY_PAGES ? cr_image_verify_pages(img, share_set, &share, err) : 0;
}

static int file_check(const char *path, const struct snapc_rank *r, struct work *w, struct cr_err *err)
{
	struct cr_image *img;
	struct stat st;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return cr_err_set(err, errno, "%m");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		rc = cr_err_set(err, EBADMSG, "not a regular file");
	else if ((uint64_t)st.st_size != r->file_bytes)
		rc = cr_err_set(err, EBADMSG, "%lld bytes long, the metadata say %llu", (long long)st.st_size, (unsigned long long)r->file_bytes);
	else
		rc = cr_image_open(fd, path, &img, err);
	if (rc == 0) {
		rc = image_check(img, r, w, err);
		cr_image_close(img);
	}
	close(fd);
	return rc;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	unsigned int i;

	while ((i = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED)) < w->s->np) {
		const struct snapc_rank *r = &w->s->ranks[i];
		struct tool_verdict *v = &w->verdicts[i];

		v->rank = r->rank;
		v->err.text[0] = '\0';
		if (snprintf(v->path, sizeof(v->path), "%s/%u/%s", w->s->dir, w->s->seq, r->context_file) >= (int)sizeof(v->path))
			cr_err_set(&v->err, ENAMETOOLONG, "path too long");
		else if (file_check(v->path, r, w, &v->err) < 0 && !v->err.text[0])
			cr_err_set(&v->err, EBADMSG, "damaged");
	}
	return NULL;
}

static int rank_compare(const void *a, const void *b)
{
	return ((const struct tool_verdict *)a)->rank - ((const struct tool_verdict *)b)->rank;
}

int tool_verify(const struct snapc_snapshot *s, unsigned int flags, struct tool_verdict **ret_bad)
{
	struct work w = { .s = s, .flags = flags };
	pthread_t threads[MAX_THREADS];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t bytes = 0;
	int started = 0, bad = 0;

	w.verdicts = calloc(s->np, sizeof(*w.verdicts));
	if (!w.verdicts)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->np; i++)
		bytes += s->ranks[i].pages * 4096;
	cr_progress_begin(&w.progress, "verify", bytes, flags & TOOL_VERIFY_QUIET || !(flags & TOOL_VERIFY_PAGES));
	while (started < MAX_THREADS && started < cpus - 1 && (uint32_t)started + 1 < s->np) {
		if (pthread_create(&threads[started], NULL, worker, &w) != 0)
			break;
		started++;
	}
	worker(&w);
	while (started > 0)
		pthread_join(threads[--started], NULL);
	cr_progress_end(&w.progress);
	for (uint32_t i = 0; i < s->np; i++) {
		if (w.verdicts[i].err.text[0])
			w.verdicts[bad++] = w.verdicts[i];
	}
	qsort(w.verdicts, (size_t)bad, sizeof(*w.verdicts), rank_compare);
	*ret_bad = w.verdicts;
	return bad;
}

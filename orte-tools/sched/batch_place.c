/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directories of a batch job: see batch.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orte-tools/sched/batch.h"
#include "snapc/meta.h"

#define ENDED "ended"

/* A directory "<run>.<start>". */
struct start {
	unsigned int run, start;
};

static int by_age(const void *a, const void *b)
{
	const struct start *x = a, *y = b;

	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* The starts of @job_dir, oldest first, in *ret_starts (free). Return: how many; -errno. */
static int starts_read(const char *job_dir, struct start **ret_starts)
{
	struct start *starts = NULL, *more, s;
	struct dirent *e;
	int n = 0, used;
	DIR *d = opendir(job_dir);

	*ret_starts = NULL;
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		used = 0;
		if (sscanf(e->d_name, "%u.%u%n", &s.run, &s.start, &used) != 2 || e->d_name[used])
			continue;
		more = realloc(starts, ((size_t)n + 1) * sizeof(*more));
		if (!more) {
			free(starts);
			closedir(d);
			return -ENOMEM;
		}
		starts = more;
		starts[n++] = s;
	}
	closedir(d);
	if (n)
		qsort(starts, (size_t)n, sizeof(*starts), by_age);
	*ret_starts = starts;
	return n;
}

/* The committed snapshot in a start's directory, into @ret_ref. */
static bool snapshot_in(const char *dir, char *ret_ref)
{
	char meta[PATH_MAX + 64];
	bool found = false;
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && !found && (e = readdir(d)))
		if (e->d_name[0] != '.' && snprintf(ret_ref, PATH_MAX, "%s/%s", dir, e->d_name) < PATH_MAX) {
			snprintf(meta, sizeof(meta), "%s/%s", ret_ref, SNAPC_META_NAME);
			found = access(meta, F_OK) == 0;
		}
	if (d)
		closedir(d);
	if (!found)
		ret_ref[0] = '\0';
	return found;
}

static bool path_of(char *ret_path, const char *job_dir, struct start s, const char *file)
{
	return snprintf(ret_path, PATH_MAX, "%s/%u.%u%s%s", job_dir, s.run, s.start, file ? "/" : "", file ? file : "") < PATH_MAX;
}

/* Newest snapshot of run @run by a start before @before. */
static int newest(const char *job_dir, unsigned int run, unsigned int before, char *ret_ref, unsigned int *ret_start)
{
	struct start *starts;
	int n = starts_read(job_dir, &starts), rc = -ENOENT;
	char dir[PATH_MAX];

	for (int i = n - 1; i >= 0 && rc < 0; i--)
		if (starts[i].run == run && starts[i].start < before && path_of(dir, job_dir, starts[i], NULL) && snapshot_in(dir, ret_ref)) {
			*ret_start = starts[i].start;
			rc = 0;
		}
	free(starts);
	return rc;
}

static int make_dir(const char *path, struct cr_err *err)
{
	struct stat st;

	if (mkdir(path, 0700) == 0 || (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	return cr_err_set(err, errno, "%s: cannot make the directory: %s; --dir or OMPI_CR_SNAPSHOT_DIR name another", path, strerror(errno));
}

int batch_place_open(const char *dir, const char *name, bool again, struct batch_place *p, struct cr_err *err)
{
	char real[PATH_MAX], path[PATH_MAX];
	struct start *starts, last = { 0, 0 };
	unsigned int from = 0;
	int n, rc;

	memset(p, 0, sizeof(*p));
	rc = make_dir(dir, err);
	if (rc < 0)
		return rc;
	if (!realpath(dir, real) || snprintf(p->job_dir, sizeof(p->job_dir), "%s/%s", real, name) >= (int)sizeof(p->job_dir) - 64)
		return cr_err_set(err, ENAMETOOLONG, "%s/%s: %s", dir, name, strerror(errno ? errno : ENAMETOOLONG));
	rc = make_dir(p->job_dir, err);
	if (rc < 0)
		return rc;
	n = starts_read(p->job_dir, &starts);
	if (n < 0)
		return cr_err_set(err, n, "%s: cannot be read: %s", p->job_dir, strerror(-n));
	if (n)
		last = starts[n - 1];
	free(starts);
	if (again && n && path_of(path, p->job_dir, last, ENDED) && access(path, F_OK) != 0) {
		p->run = last.run;
		p->start = last.start + 1;
		newest(p->job_dir, p->run, p->start, p->ref, &from);
	} else {
		p->run = last.run + 1;
		p->start = 1;
	}
	if (!path_of(p->dir, p->job_dir, (struct start){ p->run, p->start }, NULL))
		return cr_err_set(err, ENAMETOOLONG, "%s: %s", p->job_dir, strerror(ENAMETOOLONG));
	return make_dir(p->dir, err);
}

int batch_place_older(struct batch_place *p)
{
	unsigned int start = 0;
	char *slash = strrchr(p->ref, '/');

	if (!slash)
		return -ENOENT;
	*slash = '\0';
	sscanf(strrchr(p->ref, '.'), ".%u", &start); /* the directory's name ends in ".<start>" */
	p->ref[0] = '\0';
	return newest(p->job_dir, p->run, start, p->ref, &start);
}

bool batch_place_saved(const struct batch_place *p)
{
	char ref[PATH_MAX];

	return snapshot_in(p->dir, ref);
}

int batch_place_ended(const struct batch_place *p, struct cr_err *err)
{
	char path[PATH_MAX];
	int fd;

	if (!path_of(path, p->job_dir, (struct start){ p->run, p->start }, ENDED))
		return cr_err_set(err, ENAMETOOLONG, "%s: %s", p->job_dir, strerror(ENAMETOOLONG));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(fd) < 0) {
		int rc = cr_err_set(err, errno, "%s: cannot be written: %s; a requeue of this job would restart it from its last snapshot", path,
				    strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	close(fd);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)where;
	return kind == FTW_DP ? rmdir(path) : unlink(path);
}

void batch_place_prune(const struct batch_place *p, unsigned int keep)
{
	struct start *starts;
	int n = starts_read(p->job_dir, &starts);
	char dir[PATH_MAX], ref[PATH_MAX];
	unsigned int have = 0;

	for (int i = n - 1; i >= 0; i--)
		if (path_of(dir, p->job_dir, starts[i], NULL) && snapshot_in(dir, ref) && ++have > keep)
			nftw(ref, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(starts);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Room for one more sequence.
 *
 * Pids come again, so a reference of the same name may belong to an older job, or to a job of another host on a shared file system.
 * The file "owner" in a reference directory holds the id of its job; whoever makes the directory writes it.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "snapc/meta.h"
#include "snapc/snapshot_disk.h"
#include "snapc/snapshot_sweep.h"

#define OTHER_NAMES 1000

static int owner_read(const char *dir, char *ret_id, size_t bytes)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd, rc;

	rc = snapc_disk_join(path, dir, SNAPC_OWNER_NAME, NULL);
	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	n = read(fd, ret_id, bytes - 1);
	rc = n < 0 ? -errno : 0;
	close(fd);
	if (rc < 0)
		return rc;
	while (n > 0 && (ret_id[n - 1] == '\n' || ret_id[n - 1] == '\0'))
		n--;
	ret_id[n] = '\0';
	return 0;
}

/* Take the directory @dir for the job. Return: 0 ours now, -EEXIST somebody else's, other -errno with words. */
static int reference_take(const char *dir, const struct snapc_job *job, struct cr_err *err)
{
	char id[512], path[PATH_MAX];
	int rc;

	if (snapc_disk_mkdir(dir) == 0) {
		rc = snapc_disk_join(path, dir, SNAPC_OWNER_NAME, err);
		if (rc == 0)
			rc = snapc_disk_write(path, job->id, strlen(job->id), 1, err);
		if (rc < 0)
			rmdir(dir);
		return rc;
	}
	if (errno != EEXIST)
		return cr_err_set(err, errno, "%s: cannot make the directory: %m", dir);
	if (owner_read(dir, id, sizeof(id)) < 0 || strcmp(id, job->id) != 0)
		return cr_err_set(err, EEXIST, "%s: belongs to another job; move it away or choose another snapshot directory", dir);
	return 0;
}

/* "ompi_global_snapshot_17.ckpt" -> "ompi_global_snapshot_17-2.ckpt" */
static int reference_name(const char *ref, int attempt, char *ret_name, size_t bytes)
{
	size_t stem = strlen(ref);
	int n;

	if (stem > 5 && strcmp(ref + stem - 5, ".ckpt") == 0)
		stem -= 5;
	if (attempt < 2)
		n = snprintf(ret_name, bytes, "%s", ref);
	else
		n = snprintf(ret_name, bytes, "%.*s-%d%s", (int)stem, ref, attempt, ref + stem);
	return n > 0 && (size_t)n < bytes ? 0 : -ENAMETOOLONG;
}

static int reference_find(const char *base, const char *ref, const struct snapc_job *job, char *ret_dir, struct cr_err *err)
{
	char name[NAME_MAX + 1];
	int rc = -EEXIST;

	for (int attempt = 1; attempt < OTHER_NAMES && rc == -EEXIST; attempt++) {
		if (reference_name(ref, attempt, name, sizeof(name)) < 0)
			return cr_err_set(err, ENAMETOOLONG, "%s: name of the reference is too long", ref);
		rc = snapc_disk_join(ret_dir, base, name, err);
		if (rc == 0)
			rc = reference_take(ret_dir, job, err);
	}
	return rc;
}

static int base_make(const char *snapshot_dir, char *ret_base, struct cr_err *err)
{
	char *real;

	if (mkdir(snapshot_dir, 0700) < 0 && errno != EEXIST)
		return cr_err_set(err, errno,
				  "snapshot directory %s: cannot make it: %m; set ompi_cr_snapshot_dir to a directory that can be written",
				  snapshot_dir);
	real = realpath(snapshot_dir, NULL);
	if (!real)
		return cr_err_set(err, errno, "snapshot directory %s: %m", snapshot_dir);
	if (access(real, W_OK | X_OK) < 0) {
		int rc = cr_err_set(err, errno, "snapshot directory %s: cannot write there: %m; set ompi_cr_snapshot_dir to another directory",
				    real);

		free(real);
		return rc;
	}
	snprintf(ret_base, PATH_MAX, "%s", real);
	free(real);
	return 0;
}

static int rank_directories(const char *dir, uint32_t seq, uint32_t np, struct cr_err *err)
{
	char tmp[PATH_MAX], path[PATH_MAX], name[64];
	int rc;

	snprintf(name, sizeof(name), "%u.tmp", seq);
	rc = snapc_disk_join(tmp, dir, name, err);
	if (rc < 0)
		return rc;
	if (snapc_disk_mkdir(tmp) < 0)
		return cr_err_set(err, errno, "%s: cannot make the directory: %m", tmp);
	for (uint32_t rank = 0; rank < np && rc == 0; rank++) {
		snprintf(name, sizeof(name), SNAPC_CONTEXT_DIR_FMT, (int)rank);
		rc = snapc_disk_join(path, tmp, name, err);
		if (rc == 0 && snapc_disk_mkdir(path) < 0)
			rc = cr_err_set(err, errno, "%s: cannot make the directory: %m", path);
	}
	if (rc < 0)
		snapc_disk_remove_tree(tmp, NULL);
	return rc;
}

int snapc_snapshot_begin(const char *snapshot_dir, const char *ref, const struct snapc_job *job, uint32_t np, char *ret_dir,
			 uint32_t *ret_seq, struct cr_err *err)
{
	char base[PATH_MAX], dir[PATH_MAX];
	uint32_t seq = 0;
	int lock, rc;

	if (!ref[0] || strchr(ref, '/') || ref[0] == '.')
		return cr_err_set(err, EINVAL, "%s: not the name of a snapshot reference (one path component)", ref);
	if (np == 0 || np > INT32_MAX)
		return cr_err_set(err, EINVAL, "a snapshot of %u ranks cannot be made", np);
	rc = base_make(snapshot_dir, base, err);
	if (rc == 0)
		rc = reference_find(base, ref, job, dir, err);
	if (rc < 0)
		return rc;
	lock = snapc_disk_lock(dir, 1, err);
	if (lock < 0)
		return lock;
	rc = snapc_sweep(dir, &seq, err);
	if (rc == 0)
		rc = rank_directories(dir, seq, np, err);
	close(lock);
	if (rc < 0) {
		snapc_sweep_empty(dir);
		return rc;
	}
	strcpy(ret_dir, dir);
	*ret_seq = seq;
	return 0;
}

int snapc_snapshot_context_path(const char *dir, uint32_t seq, int rank, char *ret_path, size_t bytes)
{
	int n = snprintf(ret_path, bytes, "%s/%u.tmp/" SNAPC_CONTEXT_FMT, dir, seq, rank);

	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

/* A commit that was killed may have got further than <seq>.tmp; one that hangs in the storage still has the lock: not waited for. */
void snapc_snapshot_undo(const char *dir, uint32_t seq)
{
	char path[PATH_MAX], name[32];
	int lock = snapc_disk_lock(dir, 0, NULL);
	uint32_t next;

	snprintf(name, sizeof(name), "%u.tmp", seq);
	if (snapc_disk_join(path, dir, name, NULL) == 0)
		snapc_disk_remove_tree(path, NULL);
	if (lock >= 0) {
		snapc_sweep(dir, &next, NULL);
		close(lock);
	}
	snapc_sweep_empty(dir);
}

/* Nobody writes there: take away what is no snapshot. */
int snapc_snapshot_tidy(const char *dir)
{
	int lock = snapc_disk_lock(dir, 0, NULL), rc;
	uint32_t next;

	if (lock < 0)
		return lock;
	rc = snapc_sweep(dir, &next, NULL);
	close(lock);
	snapc_sweep_empty(dir);
	return rc;
}

void snapc_snapshot_recover(const char *snapshot_dir, const char *ref, const struct snapc_job *job)
{
	char name[NAME_MAX + 1], dir[PATH_MAX], id[512];

	for (int attempt = 1; attempt < OTHER_NAMES; attempt++) {
		if (reference_name(ref, attempt, name, sizeof(name)) < 0 || snapc_disk_join(dir, snapshot_dir, name, NULL) < 0 || access(dir, F_OK) < 0)
			return;
		if (owner_read(dir, id, sizeof(id)) == 0 && strcmp(id, job->id) == 0) {
			snapc_snapshot_tidy(dir);
			return;
		}
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files and directories of a snapshot: written, fsync'ed, renamed and removed, with the reason in words when it fails. */
#include "snapc/snapshot_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void (*step_hook)(const char *step);

void snapc_disk_set_hook(void (*hook)(const char *step))
{
	step_hook = hook;
}

void snapc_disk_step(const char *step)
{
	if (step_hook)
		step_hook(step);
}

static int disk_fault;

void snapc_disk_fault(int error)
{
	disk_fault = error;
}

/* Room is missed where something new is written, the device where it has to keep it. */
static int disk_fails(int error)
{
	if (disk_fault == error)
		errno = error;
	return disk_fault == error;
}

int snapc_disk_mkdir(const char *path)
{
	return disk_fails(ENOSPC) || disk_fails(EIO) ? -1 : mkdir(path, 0700);
}

int snapc_disk_join(char *ret_path, const char *a, const char *b, struct cr_err *err)
{
	int n = snprintf(ret_path, PATH_MAX, "%s/%s", a, b);

	if (n < 0 || n >= PATH_MAX)
		return cr_err_set(err, ENAMETOOLONG, "%s/%s: path too long; choose a shorter snapshot directory", a, b);
	return 0;
}

int snapc_disk_sync(const char *path, int directory, int nosync, struct cr_err *err)
{
	int fd, rc = 0;

	if (nosync)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (directory ? O_DIRECTORY : 0));
	if (fd < 0)
		return cr_err_set(err, errno, "%s: cannot open to bring it to the disk: %m", path);
	/* Some file systems have nothing to do for a directory and say EINVAL. */
	if ((disk_fails(EIO) || fsync(fd) < 0) && !(directory && errno == EINVAL))
		rc = cr_err_set(err, errno, "%s: fsync: %m; nothing written there can be trusted", path);
	close(fd);
	if (rc == 0)
		snapc_disk_step(directory ? "sync-directory" : "sync-file");
	return rc;
}

int snapc_disk_write(const char *path, const void *data, size_t bytes, int nosync, struct cr_err *err)
{
	const char *p = data;
	int fd, rc;

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return cr_err_set(err, errno, "%s: cannot create: %m", path);
	snapc_disk_step("create");
	while (bytes > 0) {
		ssize_t n = disk_fails(ENOSPC) ? -1 : write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			rc = cr_err_set(err, n < 0 ? errno : EIO, "%s: cannot write: %m", path);
			goto out_remove;
		}
		p += n;
		bytes -= (size_t)n;
	}
	snapc_disk_step("write");
	if (!nosync && (disk_fails(EIO) || fsync(fd) < 0)) {
		rc = cr_err_set(err, errno, "%s: fsync: %m", path);
		goto out_remove;
	}
	if (close(fd) < 0) {
		rc = cr_err_set(err, errno, "%s: close: %m", path);
		fd = -1;
		goto out_remove;
	}
	snapc_disk_step("sync-file");
	return 0;
out_remove:
	if (fd >= 0)
		close(fd);
	unlink(path);
	return rc;
}

int snapc_disk_rename(const char *from, const char *to, struct cr_err *err)
{
	if (rename(from, to) < 0)
		return cr_err_set(err, errno, "%s: cannot rename to %s: %m", from, to);
	snapc_disk_step("rename");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if ((type == FTW_DP ? rmdir(path) : unlink(path)) < 0 && errno != ENOENT)
		return errno;
	return 0;
}

int snapc_disk_remove_tree(const char *path, struct cr_err *err)
{
	struct stat st;
	int rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : cr_err_set(err, errno, "%s: %m", path);
	rc = nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (rc == 0)
		return 0;
	if (rc < 0)
		rc = errno;
	errno = rc;
	return cr_err_set(err, rc, "%s: cannot remove it or something in it: %m", path);
}

int snapc_disk_lock(const char *dir, int wait, struct cr_err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	if (fd < 0)
		return cr_err_set(err, errno, "%s: cannot open: %m", dir);
	do {
		rc = flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB));
	} while (rc < 0 && errno == EINTR);
	/* A file system without locks is used by one writer at a time anyway: snapcd runs one checkpoint after the other. */
	if (rc < 0 && errno != ENOLCK && errno != EOPNOTSUPP) {
		rc = cr_err_set(err, errno, "%s: cannot lock: %m", dir);
		close(fd);
		return rc;
	}
	return fd;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the scheduler keeps checkpoints: see hook.h.
 *
 * As root we open, step by step and without following links, only directories that belong to root and that nobody else can write to: nothing in such a
 * path can be a user's trap. Any other directory is opened after we have become the user, and then a link leads nowhere that the user could not go.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orte-tools/sched/hook.h"

#define NAME_DEFAULT "ompi-cr.reference"

static bool roots_own(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == 0 && (!(st.st_mode & 022) || (st.st_mode & S_ISVTX));
}

/* Descriptor of the directory, when every step of @path, and the last without a sticky bit, is root's alone; else -1. */
static int roots_directory(const char *path)
{
	char copy[PATH_MAX], *at = copy, *step;
	struct stat st;
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

	snprintf(copy, sizeof(copy), "%s", path);
	while (fd >= 0 && (step = strsep(&at, "/"))) {
		if (!*step || !strcmp(step, "."))
			continue;
		next = roots_own(fd) && strcmp(step, "..") ? openat(fd, step, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		close(fd);
		fd = next;
	}
	if (fd >= 0 && (!roots_own(fd) || fstat(fd, &st) < 0 || (st.st_mode & 022))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

int hook_place_open(const char *path, const char *name, struct hook_place *p, struct cr_err *err)
{
	char *slash;
	int fd;

	memset(p, 0, sizeof(*p));
	p->dir = -1;
	if (path[0] != '/' || snprintf(p->path, sizeof(p->path), "%s", path) >= (int)sizeof(p->path))
		return cr_err_set(err, EINVAL, "%s: the path of the checkpoint has to be absolute", path);
	while (strlen(p->path) > 1 && p->path[strlen(p->path) - 1] == '/')
		p->path[strlen(p->path) - 1] = '\0';
	if (name && (strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") || !name[0] || strlen(name) > NAME_MAX - 8))
		return cr_err_set(err, EINVAL, "%s: not a file name", name);
	fd = geteuid() == 0 ? roots_directory(p->path) : -1;
	if (name) {
		snprintf(p->name, sizeof(p->name), "%s", name);
		p->dir = fd;
		return 0;
	}
	/* A directory that is there, or the name of a file in one. As the user we shall see when we get there. */
	if (fd >= 0) {
		snprintf(p->name, sizeof(p->name), NAME_DEFAULT);
		p->dir = fd;
		return 0;
	}
	slash = strrchr(p->path, '/');
	if (strlen(slash + 1) > NAME_MAX - 8 || !slash[1])
		return cr_err_set(err, EINVAL, "%s: not the name of a checkpoint", path);
	snprintf(p->name, sizeof(p->name), "%s", slash + 1);
	*slash = '\0';
	p->dir = geteuid() == 0 ? roots_directory(p->path[0] ? p->path : "/") : -1;
	if (p->dir < 0)
		snprintf(p->path, sizeof(p->path), "%s", path), p->name[0] = '\0';
	return 0;
}

/* The user's directory, and the name in it. */
static int users_directory(const struct hook_place *p, char *ret_name)
{
	char path[PATH_MAX], *slash;
	int fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	snprintf(ret_name, NAME_MAX + 1, "%s", p->name[0] ? p->name : NAME_DEFAULT);
	if (fd >= 0 || p->name[0])
		return fd >= 0 ? fd : -errno;
	snprintf(path, sizeof(path), "%s", p->path);
	slash = strrchr(path, '/');
	snprintf(ret_name, NAME_MAX + 1, "%.*s", NAME_MAX, slash + 1);
	slash[slash == path] = '\0';
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : -errno;
}

static int directory(const struct hook_place *p, char *ret_name, struct cr_err *err)
{
	int fd;

	if (p->dir >= 0) {
		snprintf(ret_name, NAME_MAX + 1, "%s", p->name);
		fd = fcntl(p->dir, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? cr_err_set(err, errno, "%s: %s", p->path, strerror(errno)) : fd;
	}
	fd = users_directory(p, ret_name);
	return fd < 0 ? cr_err_set(err, fd, "%s: cannot be opened as the job's user: %s", p->path, strerror(-fd)) : fd;
}

int hook_place_write(const struct hook_place *p, const struct hook_user *user, const char *text, struct cr_err *err)
{
	char name[NAME_MAX + 1], temporary[NAME_MAX + 16];
	int dir = directory(p, name, err), fd, rc = 0;
	size_t n = strlen(text);

	if (dir < 0)
		return dir;
	snprintf(temporary, sizeof(temporary), ".%.*s.tmp", NAME_MAX - 8, name);
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || (geteuid() == 0 && fchown(fd, user->uid, user->gid) < 0) || write(fd, text, n) != (ssize_t)n || fsync(fd) < 0 ||
	    renameat(dir, temporary, dir, name) < 0 || fsync(dir) < 0)
		rc = cr_err_set(err, errno ? errno : EIO, "%s/%s cannot be written: %s", p->path, name, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		unlinkat(dir, temporary, 0);
	close(dir);
	return rc;
}

int hook_place_check(const struct hook_place *p, struct cr_err *err)
{
	char name[NAME_MAX + 1], temporary[NAME_MAX + 16];
	int dir = directory(p, name, err), fd, rc = 0;

	if (dir < 0)
		return dir;
	snprintf(temporary, sizeof(temporary), ".%.*s.tmp", NAME_MAX - 8, name);
	unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		rc = cr_err_set(err, errno, "%s/%s cannot be written: %s", p->path, name, strerror(errno));
	else
		close(fd);
	unlinkat(dir, temporary, 0);
	close(dir);
	return rc;
}

int hook_place_read(const struct hook_place *p, struct cr_err *err)
{
	char name[NAME_MAX + 1];
	int dir = directory(p, name, err), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = cr_err_set(err, errno, "%s/%s: %s: there is no checkpoint of this job", p->path, name, strerror(errno));
	close(dir);
	return fd;
}

int hook_place_remove(const struct hook_place *p, struct cr_err *err)
{
	char name[NAME_MAX + 1];
	int dir = directory(p, name, err), rc = 0;

	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		rc = cr_err_set(err, errno, "%s/%s: %s", p->path, name, strerror(errno));
	close(dir);
	return rc;
}

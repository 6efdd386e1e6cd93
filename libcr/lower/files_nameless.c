/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files and directories that lost the name under which they were opened.
 *
 * A file that has another name in the same directory is opened under that. A directory that was removed is empty and stays so: a new one, removed at
 * once, is the same. So is a FIFO that was removed, when what it held is put into the new one.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DELETED " (deleted)"

size_t cr_file_name_bytes(const char *link)
{
	size_t n = strlen(link), m = strlen(DELETED);

	return n > m && strcmp(link + n - m, DELETED) == 0 ? n - m : n;
}

char *cr_file_other_name(const char *link, const struct stat *st, int floor)
{
	char path[CR_FILE_MAX_PATH_BYTES];
	const struct dirent *entry;
	char *found = NULL;
	struct stat here;
	size_t bytes = cr_file_name_bytes(link);
	DIR *dir;

	while (bytes > 0 && link[bytes - 1] != '/')
		bytes--;
	if (bytes == 0 || bytes + NAME_MAX + 1 > sizeof(path))
		return NULL;
	memcpy(path, link, bytes);
	path[bytes] = '\0';
	dir = cr_file_opendir_high(path, floor);
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_ino != st->st_ino)
			continue;
		snprintf(path + bytes, sizeof(path) - bytes, "%s", entry->d_name);
		if (lstat(path, &here) == 0 && here.st_ino == st->st_ino && here.st_dev == st->st_dev)
			found = strdup(path);
	}
	if (dir)
		closedir(dir);
	return found;
}

int cr_file_nameless_check(const char *path, struct cr_err *err)
{
	char dir[CR_FILE_MAX_PATH_BYTES];
	int r = cr_file_unlinked_dir(path, dir, sizeof(dir));

	if (r < 0)
		return cr_err_set(err, r, "no place for %s, which was deleted: neither the one that it was in, nor $TMPDIR, nor /tmp can be written; set TMPDIR", path);
	return 0;
}

/* A directory of our own, where nobody else comes across what is made; its name in @ret, with room for a name in it. @what: of the object that was at @path */
static int make_dir(const char *what, const char *path, char *ret, size_t bytes, struct cr_err *err)
{
	char dir[CR_FILE_MAX_PATH_BYTES];
	int r = cr_file_unlinked_dir(path, dir, sizeof(dir));

	if (r < 0)
		return cr_file_nameless_check(path, err);
	snprintf(ret, bytes, "%s/.cr-deleted-XXXXXX", dir);
	if (!mkdtemp(ret))
		return cr_err_set(err, errno, "deleted %s %s: a new one cannot be made in %s: %s", what, path, dir, strerror(errno));
	return 0;
}

int cr_file_nameless_dir(const char *path, uint32_t mode, int flags, int floor, struct cr_err *err)
{
	char name[CR_FILE_MAX_PATH_BYTES + 32];
	int fd, r = make_dir("directory", path, name, sizeof(name), err);

	if (r < 0)
		return r;
	fd = cr_file_open_high(name, (flags & ~(O_CREAT | O_EXCL | O_TRUNC)) | O_DIRECTORY, 0, floor);
	(void)!chmod(name, mode & 07777);
	rmdir(name);
	if (fd < 0)
		return cr_err_set(err, fd, "deleted directory %s: a new one cannot be opened: %s", path, strerror(-fd));
	return fd;
}

int cr_file_nameless_fifo(const char *path, uint32_t mode, int flags, int floor, struct cr_err *err)
{
	char name[CR_FILE_MAX_PATH_BYTES + 48];
	int fd, r = make_dir("FIFO", path, name, sizeof(name) - strlen("/fifo"), err);

	if (r < 0)
		return r;
	strcat(name, "/fifo");
	r = mkfifo(name, 0600) < 0 ? -errno : 0;
	fd = r < 0 ? r : cr_file_open_high(name, flags, 0, floor);
	if (fd >= 0)
		(void)!chmod(name, mode & 07777);
	unlink(name);
	name[strlen(name) - strlen("/fifo")] = '\0';
	rmdir(name);
	if (fd < 0)
		return cr_err_set(err, fd, "deleted FIFO %s: a new one cannot be made: %s", path, strerror(-fd));
	return fd;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that lost the name it was opened under and has another beside it; a directory that was removed; a working directory that was removed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "resource.h"

static int file, dir, path_fd;

static void setup(void)
{
	CHECK((file = open("first", O_RDWR | O_CREAT, 0600)) >= 0 && write(file, "0123456789", 10) == 10 && lseek(file, 3, SEEK_SET) == 3);
	CHECK(link("first", "second") == 0 && unlink("first") == 0);
	CHECK(mkdir("doomed", 0710) == 0 && (dir = open("doomed", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0);
	CHECK((path_fd = open("doomed", O_PATH)) >= 0 && rmdir("doomed") == 0);
	CHECK(mkdir("cwd", 0700) == 0 && chdir("cwd") == 0 && rmdir("../cwd") == 0);
}

static void verify(void)
{
	char got[16], path[64];
	struct stat st;

	CHECK(fstat(file, &st) == 0 && st.st_nlink == 1 && lseek(file, 0, SEEK_CUR) == 3);
	CHECK(pread(file, got, 10, 0) == 10 && memcmp(got, "0123456789", 10) == 0 && pwrite(file, "x", 1, 9) == 1 && pwrite(file, "9", 1, 9) == 1);
	CHECK(fstat(dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_nlink == 0 && (st.st_mode & 0777) == 0710 && fcntl(dir, F_GETFD) == FD_CLOEXEC);
	CHECK(openat(dir, "new", O_WRONLY | O_CREAT, 0600) == -1 && errno == ENOENT);
	CHECK(fstat(path_fd, &st) == 0 && st.st_nlink == 0 && fcntl(path_fd, F_GETFL) & O_PATH);
	CHECK(stat(".", &st) == 0 && st.st_nlink == 0 && !getcwd(path, sizeof(path)) && errno == ENOENT);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files: appended to, read past the cache, named only, sparse, with two names, without a name; a directory with its position; devices; a file of proc.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "resource.h"

#define LOG_LINE 8

static int log_fd, direct, path_only, sparse, linked, gone, gone_too, dir, devices[2], proc;
static int lines, has_direct;
static DIR *stream;
static char names[64][32], *block;
static int n_names;

static int make(const char *name, int flags)
{
	int fd = open(name, O_CREAT | flags, 0640);

	CHECK(fd >= 0);
	return fd;
}

static void setup(void)
{
	struct dirent *entry;
	char name[32];

	CHECK((block = aligned_alloc(4096, 4096)) != NULL);
	log_fd = make("log", O_WRONLY | O_APPEND | O_CLOEXEC);
	CHECK(close(make("direct", O_RDWR)) == 0 && truncate("direct", 8192) == 0);
	direct = open("direct", O_RDWR | O_DIRECT);
	has_direct = direct >= 0; /* not every file system has it */
	if (!has_direct)
		direct = make("direct", O_RDWR);
	CHECK((path_only = open("direct", O_PATH)) >= 0);
	sparse = make("sparse", O_RDWR);
	CHECK(ftruncate(sparse, 1 << 30) == 0 && pwrite(sparse, "far", 3, 1 << 29) == 3 && lseek(sparse, 1 << 29, SEEK_SET) == 1 << 29);
	linked = make("linked", O_RDWR);
	CHECK(link("linked", "twin") == 0 && write(linked, "linked", 6) == 6);
	gone = make("gone", O_RDWR);
	CHECK((gone_too = open("gone", O_RDONLY)) >= 0 && unlink("gone") == 0);
	CHECK(ftruncate(gone, 3 << 20) == 0 && pwrite(gone, "middle", 6, 2 << 20) == 6 && lseek(gone_too, 2 << 20, SEEK_SET) == 2 << 20);
	CHECK(mkdir("dir", 0700) == 0);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "dir/file%02d", i);
		CHECK(close(make(name, O_WRONLY)) == 0);
	}
	CHECK((stream = opendir("dir")) != NULL && (dir = open("dir", O_RDONLY | O_DIRECTORY)) >= 0);
	while ((entry = readdir(stream)) && n_names < 64)
		strcpy(names[n_names++], entry->d_name);
	CHECK(n_names == 52);
	rewinddir(stream);
	CHECK((devices[0] = open("/dev/null", O_RDWR | O_NONBLOCK)) >= 0 && (devices[1] = open("/dev/zero", O_RDONLY)) >= 0);
	CHECK((proc = open("/proc/self/status", O_RDONLY)) >= 0);
}

static void verify(void)
{
	char got[300] = "", line[LOG_LINE + 1];
	struct stat st, st2;

	snprintf(line, sizeof(line), "%07d\n", lines++);
	CHECK(lseek(log_fd, 0, SEEK_SET) == 0 && write(log_fd, line, LOG_LINE) == LOG_LINE && fstat(log_fd, &st) == 0 && st.st_size == lines * LOG_LINE);
	CHECK(fcntl(log_fd, F_GETFL) & O_APPEND && fcntl(log_fd, F_GETFD) == FD_CLOEXEC);
	CHECK(!(fcntl(direct, F_GETFL) & O_DIRECT) == !has_direct && pread(direct, block, 4096, 4096) == 4096);
	CHECK(fcntl(path_only, F_GETFL) & O_PATH && read(path_only, got, 1) == -1 && errno == EBADF);
	CHECK(fstat(path_only, &st) == 0 && stat("direct", &st2) == 0 && st.st_ino == st2.st_ino);
	CHECK(lseek(sparse, 0, SEEK_CUR) == 1 << 29 && pread(sparse, got, 3, 1 << 29) == 3 && memcmp(got, "far", 3) == 0);
	CHECK(fstat(sparse, &st) == 0 && st.st_size == 1 << 30 && st.st_blocks < 1000);
	CHECK(fstat(linked, &st) == 0 && stat("twin", &st2) == 0 && st.st_ino == st2.st_ino && st.st_nlink == 2 && lseek(linked, 0, SEEK_CUR) == 6);
	CHECK(fstat(gone, &st) == 0 && fstat(gone_too, &st2) == 0 && st.st_ino == st2.st_ino && st.st_nlink == 0 && st.st_size == 3 << 20);
	CHECK(st.st_blocks * 512 < 1 << 20 && (st.st_mode & 0777) == 0640);
	CHECK(read(gone_too, got, 6) == 6 && memcmp(got, "middle", 6) == 0 && lseek(gone_too, -6, SEEK_CUR) == 2 << 20);
	CHECK(write(gone_too, "x", 1) == -1 && errno == EBADF);
	/* The next entry of a directory that has been read in part */
	for (int i = 0; i < 3; i++) {
		struct dirent *entry = readdir(stream);

		if (!entry) {
			rewinddir(stream);
			entry = readdir(stream);
		}
		snprintf(got, sizeof(got), "%s", entry->d_name);
		int found = 0;
		for (int k = 0; k < n_names; k++)
			found += strcmp(names[k], got) == 0;
		CHECK(found == 1);
	}
	CHECK(faccessat(dir, "file17", F_OK, 0) == 0);
	CHECK(write(devices[0], "x", 1) == 1 && fcntl(devices[0], F_GETFL) & O_NONBLOCK && read(devices[1], got, 2) == 2 && got[0] == 0);
	CHECK(lseek(proc, 0, SEEK_SET) == 0 && read(proc, got, 5) == 5 && memcmp(got, "Name:", 5) == 0);
}

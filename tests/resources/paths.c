/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Everything that has a name, below the directory "place", which may have another name after a restart: working directory, open file, directory, FIFO,
 * files mapped private and shared, an unlinked file, a socket that listens.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "resource.h"

#define PAGE 4096

static int file, dir, fifo, gone, service;
static char *private_map, *shared_map;

static char *map_file(const char *name, int flags, int c)
{
	char page[PAGE];
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	char *map;

	memset(page, c, sizeof(page));
	CHECK(fd >= 0 && write(fd, page, PAGE) == PAGE && write(fd, page, PAGE) == PAGE);
	CHECK((map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0)) != MAP_FAILED && close(fd) == 0);
	return map;
}

static void setup(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	CHECK(mkdir("place", 0700) == 0 && chdir("place") == 0 && mkdir("cwd", 0700) == 0 && mkdir("dir", 0700) == 0);
	CHECK((file = open("file", O_RDWR | O_CREAT, 0600)) >= 0 && write(file, "0123456789", 10) == 10 && lseek(file, 4, SEEK_SET) == 4);
	CHECK((dir = open("dir", O_RDONLY | O_DIRECTORY)) >= 0);
	CHECK(mkfifo("fifo", 0600) == 0 && (fifo = open("fifo", O_RDWR)) >= 0 && write(fifo, "waits", 5) == 5);
	private_map = map_file("private", MAP_PRIVATE, 'p');
	private_map[1] = 'x';
	shared_map = map_file("shared", MAP_SHARED, 's');
	shared_map[1] = 'y';
	CHECK((gone = open("gone", O_RDWR | O_CREAT, 0600)) >= 0 && write(gone, "unlinked", 8) == 8 && unlink("gone") == 0);
	CHECK(getcwd(at.sun_path, sizeof(at.sun_path) - 16) && strcat(at.sun_path, "/service"));
	CHECK((service = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && bind(service, (void *)&at, sizeof(at)) == 0 && listen(service, 3) == 0);
	CHECK(chdir("cwd") == 0);
}

/* The name that the kernel has for @fd: beside the working directory. */
static void is_beside(int fd, const char *name)
{
	char cwd[PATH_MAX], path[64], link[PATH_MAX + 16] = "", want[PATH_MAX + 16];

	CHECK(getcwd(cwd, sizeof(cwd)) && strlen(cwd) > 4 && strcmp(cwd + strlen(cwd) - 4, "/cwd") == 0);
	snprintf(want, sizeof(want), "%.*s%s", (int)strlen(cwd) - 3, cwd, name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof(link) - 1) > 0 && strcmp(link, want) == 0);
}

static void verify(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char got[16];
	int client;

	is_beside(file, "file");
	is_beside(dir, "dir");
	is_beside(fifo, "fifo");
	CHECK(lseek(file, 0, SEEK_CUR) == 4 && read(file, got, 6) == 6 && memcmp(got, "456789", 6) == 0 && lseek(file, 4, SEEK_SET) == 4);
	CHECK(read(fifo, got, 5) == 5 && memcmp(got, "waits", 5) == 0 && write(fifo, "waits", 5) == 5);
	CHECK(private_map[0] == 'p' && private_map[1] == 'x' && private_map[2 * PAGE - 1] == 'p');
	CHECK(shared_map[0] == 's' && shared_map[1] == 'y' && shared_map[2 * PAGE - 1] == 's');
	CHECK(pread(gone, got, 8, 0) == 8 && memcmp(got, "unlinked", 8) == 0);
	CHECK(getcwd(at.sun_path, sizeof(at.sun_path) - 16));
	strcpy(at.sun_path + strlen(at.sun_path) - 3, "service");
	CHECK((client = socket(AF_UNIX, SOCK_STREAM, 0)) >= 0 && connect(client, (void *)&at, sizeof(at)) == 0 && close(client) == 0);
	CHECK((client = accept(service, NULL, NULL)) >= 0 && close(client) == 0);
}

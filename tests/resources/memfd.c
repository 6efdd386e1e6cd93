/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memfd: content with holes, seals, two descriptions with their positions; one that is mapped privately; two of the same name.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "resource.h"

static int sealed, reader, open_fd, namesake;
static char *map;

static void setup(void)
{
	char path[64];

	CHECK((sealed = memfd_create("buffer", MFD_ALLOW_SEALING | MFD_CLOEXEC)) >= 0 && ftruncate(sealed, 5 << 20) == 0);
	CHECK(pwrite(sealed, "content", 7, 4 << 20) == 7 && lseek(sealed, 100, SEEK_SET) == 100);
	CHECK(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", sealed);
	CHECK((reader = open(path, O_RDONLY)) >= 0 && lseek(reader, 4 << 20, SEEK_SET) == 4 << 20);
	CHECK((open_fd = memfd_create("open", MFD_ALLOW_SEALING)) >= 0 && write(open_fd, "0123456789", 10) == 10);
	CHECK((map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, open_fd, 0)) != MAP_FAILED);
	map[0] = 'x';
	CHECK((namesake = memfd_create("buffer", 0)) >= 0 && write(namesake, "other", 5) == 5);
}

static void verify(void)
{
	char got[16], link[64], path[64];
	struct stat st, st2;

	CHECK(fcntl(sealed, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) && fcntl(sealed, F_GETFD) == FD_CLOEXEC);
	CHECK(write(sealed, "x", 1) == -1 && errno == EPERM && ftruncate(sealed, 1) == -1 && errno == EPERM);
	CHECK(fstat(sealed, &st) == 0 && fstat(reader, &st2) == 0 && st.st_ino == st2.st_ino && st.st_size == 5 << 20 && st.st_blocks * 512 < 1 << 20);
	CHECK(lseek(sealed, 0, SEEK_CUR) == 100);
	CHECK(read(reader, got, 7) == 7 && memcmp(got, "content", 7) == 0 && lseek(reader, -7, SEEK_CUR) == 4 << 20);
	CHECK(lseek(open_fd, 0, SEEK_CUR) == 10 && pread(open_fd, got, 10, 0) == 10 && memcmp(got, "0123456789", 10) == 0);
	CHECK(map[0] == 'x' && map[1] == '1' && fcntl(open_fd, F_GET_SEALS) == 0);
	CHECK(pread(namesake, got, 16, 0) == 5 && memcmp(got, "other", 5) == 0 && fcntl(namesake, F_GET_SEALS) & F_SEAL_SEAL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", sealed);
	memset(link, 0, sizeof(link));
	CHECK(readlink(path, link, sizeof(link) - 1) > 0 && strncmp(link, "/memfd:buffer", 13) == 0);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared mappings with an object behind them: a memfd that is open, one that is closed, one that is sealed against writing; a file without a name that is
 * open, one that is closed. Memory and descriptor are the same bytes.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "resource.h"

#define PAGE 4096

static int open_fd, sealed, file;
static volatile char *open_map, *second_map, *closed_map, *sealed_map, *file_map, *gone_map;

static char *map_shared(int fd, int prot, off_t offset, size_t pages)
{
	char *map = mmap(NULL, pages * PAGE, prot, MAP_SHARED, fd, offset);

	CHECK(map != MAP_FAILED);
	return map;
}

static void setup(void)
{
	int fd;

	CHECK((open_fd = memfd_create("open", MFD_ALLOW_SEALING)) >= 0 && ftruncate(open_fd, 8 << 20) == 0);
	open_map = map_shared(open_fd, PROT_READ | PROT_WRITE, 4 << 20, 4);
	second_map = map_shared(open_fd, PROT_READ, 4 << 20, 1);
	CHECK(fcntl(open_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
	open_map[0] = 'o';
	open_map[PAGE] = 'p';

	CHECK((fd = memfd_create("closed", 0)) >= 0 && ftruncate(fd, 2 * PAGE) == 0);
	closed_map = map_shared(fd, PROT_READ | PROT_WRITE, 0, 2);
	closed_map[PAGE] = 'c';
	CHECK(close(fd) == 0);

	/* Mapped for reading from a descriptor for reading: where the kernel allows that beside the seal (6.7). */
	CHECK((sealed = memfd_create("sealed", MFD_ALLOW_SEALING)) >= 0 && write(sealed, "sealed", 6) == 6);
	CHECK(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK) == 0);
	sealed_map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, sealed, 0);

	CHECK((file = open(".", O_TMPFILE | O_RDWR, 0600)) >= 0 && ftruncate(file, 3 * PAGE) == 0 && pwrite(file, "tail", 4, 2 * PAGE) == 4);
	file_map = map_shared(file, PROT_READ | PROT_WRITE, 0, 3);
	file_map[5] = 'f';

	CHECK((fd = open("gone", O_RDWR | O_CREAT | O_EXCL, 0600)) >= 0 && write(fd, "gone with its name", 18) == 18 && unlink("gone") == 0);
	gone_map = map_shared(fd, PROT_READ | PROT_WRITE, 0, 1);
	gone_map[18] = '!';
	CHECK(close(fd) == 0);
}

static void verify(void)
{
	struct stat st;
	char c;

	CHECK(open_map[0] == 'o' && second_map[0] == 'o' && open_map[PAGE] == 'p' && fstat(open_fd, &st) == 0 && st.st_size == 8 << 20);
	open_map[0] = 'x';
	CHECK(second_map[0] == 'x' && pread(open_fd, &c, 1, 4 << 20) == 1 && c == 'x' && pwrite(open_fd, "o", 1, 4 << 20) == 1 && open_map[0] == 'o');
	CHECK(fcntl(open_fd, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW) && ftruncate(open_fd, 0) == -1);
	CHECK(closed_map[0] == 0 && closed_map[PAGE] == 'c');
	CHECK(sealed_map == MAP_FAILED || sealed_map[0] == 's');
	CHECK(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_SHRINK));
	CHECK(file_map[5] == 'f' && file_map[2 * PAGE] == 't' && fstat(file, &st) == 0 && st.st_nlink == 0 && st.st_size == 3 * PAGE);
	CHECK(pread(file, &c, 1, 5) == 1 && c == 'f' && pwrite(file, "F", 1, 5) == 1 && file_map[5] == 'F');
	file_map[5] = 'f';
	CHECK(memcmp((const char *)gone_map, "gone with its name!", 19) == 0);
}

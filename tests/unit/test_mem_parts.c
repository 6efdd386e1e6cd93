/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of memory share: contents, mappings, saving in one process and restoring in another. */
#include "tests/unit/test_mem_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

char dir[] = "/tmp/test_mem.XXXXXX";
char image_path[64], file_path[64], gone_path[64], shared_path[64];

void fill(unsigned char *mem, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		mem[i] = (unsigned char)((i * 2654435761u + seed) >> 11 | 1);
}

bool is_filled(const unsigned char *mem, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		if (mem[i] != (unsigned char)((i * 2654435761u + seed) >> 11 | 1))
			return false;
	return true;
}

bool is_zero(const unsigned char *mem, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (mem[i])
			return false;
	return true;
}

unsigned char *map_at(unsigned char *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	unsigned char *got = mmap(at, bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);

	NEED(got == at);
	return got;
}

unsigned char *map_anon(unsigned char *at, size_t bytes)
{
	return map_at(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int make_file(const char *path, size_t bytes, unsigned int seed)
{
	unsigned char *mem = malloc(bytes);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	NEED(fd >= 0 && mem);
	fill(mem, bytes, seed);
	NEED(write(fd, mem, bytes) == (ssize_t)bytes);
	free(mem);
	return fd;
}

/* The perms and VmFlags line of the area at @at, joined. */
static void area_text(const void *at, char *ret, size_t bytes)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	bool here = false;
	char line[512];

	NEED(smaps);
	ret[0] = '\0';
	while (fgets(line, sizeof(line), smaps)) {
		unsigned long start, end;
		char perms[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3) {
			here = start <= (uintptr_t)at && (uintptr_t)at < end;
			if (here)
				snprintf(ret, bytes, "%s %lx-%lx ", perms, start, end);
		} else if (here && strncmp(line, "VmFlags:", 8) == 0) {
			strncat(ret, line + 8, bytes - strlen(ret) - 1);
		}
	}
	fclose(smaps);
}

bool area_has(const void *at, const char *word)
{
	char text[512];

	area_text(at, text, sizeof(text));
	return strstr(text, word) != NULL;
}

/* --- saving and restoring --- */

const struct cr_mem_range extra[1] = { { (uintptr_t)EXTRA, (uintptr_t)EXTRA + 2 * PAGE } };

void save(const struct cr_mem_areas *areas, bool in_child)
{
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd;

	unlink(image_path);
	fd = open(image_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	NEED(fd >= 0);
	if (cr_image_writer_create(fd, &w, &err) < 0 || cr_mem_save(areas, w, in_child, &err) < 0 || cr_image_finish(w, NULL, &err) < 0) {
		fprintf(stderr, "# %s\n", err.text);
		_exit(1);
	}
	cr_image_writer_destroy(w);
	close(fd);
}

int open_image(struct cr_image **ret, struct cr_err *err)
{
	int fd = open(image_path, O_RDONLY | O_CLOEXEC), rc;

	NEED(fd >= 0);
	rc = cr_image_open(fd, image_path, ret, err);
	close(fd);
	return rc;
}

void wait_good(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

void print_reason(void *arg, const char *reason)
{
	(void)arg;
	fprintf(stderr, "# %s\n", reason);
}

void build_and_save(void (*build)(void), bool in_child)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct cr_mem_areas *areas;
		struct cr_err err = { "" };
		pid_t child;
		int status;

		build();
		NEED(cr_mem_areas_create(extra, 1, &areas, &err) == 0);
		cr_mem_areas_identify(areas);
		NEED(cr_mem_check(areas, print_reason, NULL) == 0);
		if (!in_child) {
			save(areas, false);
			/* nothing was changed by saving */
			_exit(0);
		}
		child = fork();
		if (child == 0) {
			save(areas, true);
			_exit(0);
		}
		NEED(child > 0 && waitpid(child, &status, 0) == child && status == 0);
		cr_mem_areas_destroy(areas);
		_exit(0);
	}
	assert_true(pid > 0);
	wait_good(pid);
}

void restore_and_look(void (*look)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		struct cr_image *img;
		struct cr_err err = { "" };

		if (open_image(&img, &err) < 0 || cr_image_verify_pages(img, NULL, NULL, &err) < 0 || cr_mem_restore_check(img, &err) < 0 ||
		    cr_mem_restore(img, NULL, &err) < 0) {
			fprintf(stderr, "# %s\n", err.text);
			_exit(1);
		}
		cr_image_close(img);
		look();
		_exit(0);
	}
	assert_true(pid > 0);
	wait_good(pid);
}

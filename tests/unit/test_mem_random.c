/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random memory: areas of every kind, moved, cut, protected and written at random, must look the same after save and restore.
 *
 * What is compared is what the kernel says: range and permissions of every area, and the bytes of every page, read through
 * /proc/self/mem.  TEST_SEED and TEST_ROUNDS (environment) repeat a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/cr_image_sum.h"
#include "libcr/lower/cr_mem.h"

#define PAGE 4096ul
#define ARENA_PAGES 4096ul
#define FILE_PAGES 64ul
#define MAX_ENTRIES 8192

#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "# %s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* One page: its address, permissions and bytes, as one number. In memory that the children share with the test. */
struct view {
	size_t n;
	struct {
		uint64_t addr;
		uint64_t perms;
		uint64_t sum;
	} page[MAX_ENTRIES];
};

static char dir[] = "/tmp/test_mem_random.XXXXXX";
static char image_path[64], file_path[64], gone_path[64];
static uint64_t random_state;
static struct view *before, *after;

static uint64_t any(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static unsigned char *any_page(void)
{
	return (unsigned char *)CR_MMAP_ADDR + any(ARENA_PAGES) * PAGE;
}

static int any_prot(void)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC, PROT_NONE };

	return prots[any(sizeof(prots) / sizeof(prots[0]))];
}

static int any_file(void)
{
	unsigned char bytes[PAGE];
	int fd;

	if (any(4)) {
		fd = open(file_path, O_RDWR | O_CLOEXEC);
		NEED(fd >= 0);
		return fd;
	}
	fd = open(gone_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	NEED(fd >= 0);
	for (unsigned long i = 0; i < FILE_PAGES; i++) {
		memset(bytes, (int)any(256), sizeof(bytes));
		NEED(write(fd, bytes, sizeof(bytes)) == sizeof(bytes));
	}
	NEED(unlink(gone_path) == 0);
	return fd;
}

static void step_map(void)
{
	size_t pages = 1 + any(40);
	void *at = any_page();
	int fd;

	switch (any(4)) {
	case 0:
		mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 1:
		fd = any_file();
		mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)(any(FILE_PAGES - pages) * PAGE));
		close(fd);
		break;
	default:
		mmap(at, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
}

/* Through the kernel: where nothing is mapped, nothing happens. */
static void step_write(int mem)
{
	unsigned char bytes[PAGE];
	unsigned char *at = any_page();
	size_t pages = 1 + any(4);

	memset(bytes, any(4) ? (int)any(256) : 0, sizeof(bytes));
	for (size_t i = 0; i < pages; i++)
		if (pwrite(mem, bytes, any(3) ? sizeof(bytes) : 1, (off_t)(uintptr_t)(at + i * PAGE)) < 0)
			return;
}

static void step_move(void)
{
	size_t pages = 1 + any(8);
	unsigned char *from = any_page(), *to = any_page();

	if (from + pages * PAGE > to && to + pages * PAGE > from)
		return;
	mremap(from, pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static void step_double(void)
{
	unsigned char *from = any_page(), *to = any_page();

	/* only shared areas can be had twice */
	if (from != to)
		mremap(from, 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

static void build(void)
{
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	uint64_t steps = 20 + any(400);

	NEED(mem >= 0);
	for (uint64_t i = 0; i < steps; i++) {
		switch (any(10)) {
		case 0:
		case 1:
		case 2:
			step_map();
			break;
		case 3:
			mprotect(any_page(), (1 + any(10)) * PAGE, any_prot());
			break;
		case 4:
			munmap(any_page(), (1 + any(10)) * PAGE);
			break;
		case 5:
			step_move();
			break;
		case 6:
			step_double();
			break;
		default:
			step_write(mem);
		}
	}
	close(mem);
}

/* The kernel may merge or split areas; pages are what counts. */
static void look(struct view *view)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char line[512];

	NEED(maps && mem >= 0);
	view->n = 0;
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		char perms[5] = "";

		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) != 3 || start < CR_WINDOW_BASE || start >= CR_WINDOW_END)
			continue;
		for (; start < end; start += PAGE) {
			unsigned char bytes[PAGE];

			NEED(view->n < MAX_ENTRIES);
			/* no content: beyond the end of the file */
			if (pread(mem, bytes, PAGE, (off_t)start) != (ssize_t)PAGE)
				memset(bytes, 0, PAGE);
			view->page[view->n].addr = start;
			view->page[view->n].perms = (uint64_t)perms[0] << 24 | (uint64_t)perms[1] << 16 | (uint64_t)perms[2] << 8 | (uint64_t)perms[3];
			view->page[view->n++].sum = cr_image_sum(bytes, PAGE);
		}
	}
	fclose(maps);
	close(mem);
}

static void save(struct cr_err *err)
{
	struct cr_mem_areas *areas;
	struct cr_image_writer *w;
	bool in_child;
	int fd;

	NEED(cr_mem_areas_create(NULL, 0, &areas, err) == 0);
	NEED(cr_mem_check(areas, NULL, NULL) == 0);
	in_child = cr_mem_forkable(areas);
	fd = open(image_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	NEED(fd >= 0);
	if (in_child) {
		pid_t pid = fork();
		int status;

		if (pid != 0) {
			NEED(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
			return;
		}
	}
	NEED(cr_image_writer_create(fd, &w, err) == 0);
	NEED(cr_mem_save(areas, w, in_child, err) == 0);
	NEED(cr_image_finish(w, NULL, err) == 0);
	if (in_child)
		_exit(0);
}

static void restore(struct cr_err *err)
{
	struct cr_image *img;
	int fd = open(image_path, O_RDONLY | O_CLOEXEC);

	NEED(fd >= 0);
	if (cr_image_open(fd, image_path, &img, err) < 0 || cr_image_verify_pages(img, NULL, NULL, err) < 0 ||
	    cr_mem_restore_check(img, err) < 0 || cr_mem_restore(img, NULL, err) < 0) {
		fprintf(stderr, "# %s\n", err->text);
		_exit(1);
	}
	cr_image_close(img);
	close(fd);
}

static void in_process(void (*step)(struct cr_err *err), struct view *view, uint64_t seed)
{
	int status = -1;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		struct cr_err err = { "" };

		if (step == save) {
			random_state = seed;
			build();
			step(&err);
			/* after, so that looking changes nothing before */
			look(view);
		} else {
			step(&err);
			look(view);
		}
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("seed %llu: child ended with status 0x%x", (unsigned long long)seed, (unsigned int)status);
}

static void compare(uint64_t seed)
{
	for (size_t i = 0; i < before->n && i < after->n; i++)
		if (memcmp(&before->page[i], &after->page[i], sizeof(before->page[i])) != 0)
			fail_msg("seed %llu: page 0x%llx differs (after: 0x%llx; bytes %s)", (unsigned long long)seed,
				 (unsigned long long)before->page[i].addr, (unsigned long long)after->page[i].addr,
				 before->page[i].sum == after->page[i].sum ? "equal" : "not equal");
	if (before->n != after->n)
		fail_msg("seed %llu: %zu pages before, %zu after", (unsigned long long)seed, before->n, after->n);
}

static void test_random(void **state)
{
	const char *seed_text = getenv("TEST_SEED"), *rounds_text = getenv("TEST_ROUNDS");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	unsigned long rounds = rounds_text ? strtoul(rounds_text, NULL, 0) : seed_text ? 1 : 150;

	(void)state;
	printf("# seed %llu, %lu rounds\n", (unsigned long long)seed, rounds);
	for (unsigned long i = 0; i < rounds; i++, seed++) {
		in_process(save, before, seed | 1ull << 63);
		in_process(restore, after, seed);
		compare(seed);
	}
}

static int setup(void **state)
{
	unsigned char bytes[PAGE];
	int fd;

	(void)state;
	before = mmap(NULL, 2 * sizeof(*before), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (before == MAP_FAILED || !mkdtemp(dir))
		return -1;
	after = before + 1;
	snprintf(image_path, sizeof(image_path), "%s/image", dir);
	snprintf(file_path, sizeof(file_path), "%s/file", dir);
	snprintf(gone_path, sizeof(gone_path), "%s/gone", dir);
	fd = open(file_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	for (unsigned long i = 0; i < FILE_PAGES; i++) {
		memset(bytes, (int)(i * 37 + 1), sizeof(bytes));
		if (write(fd, bytes, sizeof(bytes)) != (ssize_t)sizeof(bytes))
			return -1;
	}
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	unlink(image_path);
	unlink(file_path);
	unlink(gone_path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

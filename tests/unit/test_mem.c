/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the window: saved in one process, put back in another, and compared there.
 *
 * The test program itself never maps anything in the window: a child builds and saves, another child restores and looks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/image/cr_image.h"
#include "libcr/image/cr_vma.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/mem_private.h"

#define PAGE 4096ul
#define AT(n) ((unsigned char *)(CR_MMAP_ADDR + (n) * 0x1000000ul))
#define EXTRA ((unsigned char *)0x60000000ul)

/* In a child cmocka's asserts must not run: they would end another process's test. */
#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "# %s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static char dir[] = "/tmp/test_mem.XXXXXX";
static char image_path[64], file_path[64], gone_path[64], shared_path[64];

static void fill(unsigned char *mem, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		mem[i] = (unsigned char)((i * 2654435761u + seed) >> 11 | 1);
}

static bool is_filled(const unsigned char *mem, size_t bytes, unsigned int seed)
{
	for (size_t i = 0; i < bytes; i++)
		if (mem[i] != (unsigned char)((i * 2654435761u + seed) >> 11 | 1))
			return false;
	return true;
}

static bool is_zero(const unsigned char *mem, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (mem[i])
			return false;
	return true;
}

static unsigned char *map_at(unsigned char *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	unsigned char *got = mmap(at, bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);

	NEED(got == at);
	return got;
}

static unsigned char *map_anon(unsigned char *at, size_t bytes)
{
	return map_at(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int make_file(const char *path, size_t bytes, unsigned int seed)
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

static bool area_has(const void *at, const char *word)
{
	char text[512];

	area_text(at, text, sizeof(text));
	return strstr(text, word) != NULL;
}

/* --- the areas of the big test: built by build_all, compared by look_all --- */

static void build_anon(void)
{
	unsigned char *mem = map_anon(AT(1), 64 * PAGE);

	fill(mem, 3 * PAGE, 1);                /* pages 0-2 */
	fill(mem + 10 * PAGE, PAGE, 2);        /* page 10 */
	NEED(is_zero(mem + 20 * PAGE, PAGE));  /* read, never written */
	memset(mem + 30 * PAGE, 0, PAGE);      /* written with zeros */
	/* read-only, no access, execute only */
	mem = map_anon(AT(2), 8 * PAGE);
	fill(mem, 8 * PAGE, 3);
	NEED(mprotect(mem, 4 * PAGE, PROT_READ) == 0);
	NEED(mprotect(mem + 4 * PAGE, 4 * PAGE, PROT_NONE) == 0);
	mem = map_anon(AT(3), PAGE);
	fill(mem, PAGE, 4);
	NEED(mprotect(mem, PAGE, PROT_EXEC) == 0);
	/* a reservation far larger than memory, with a page in it */
	mem = map_at(AT(0x1000), 1ul << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	NEED(mprotect(mem + (1ul << 39), PAGE, PROT_READ | PROT_WRITE) == 0);
	fill(mem + (1ul << 39), PAGE, 5);
	NEED(mprotect(mem + (1ul << 39), PAGE, PROT_NONE) == 0);
	/* the first and the last page of the window */
	fill(map_anon((unsigned char *)CR_WINDOW_BASE, PAGE), PAGE, 6);
	fill(map_anon((unsigned char *)CR_WINDOW_END - PAGE, PAGE), PAGE, 7);
	/* outside of the window */
	fill(map_anon(EXTRA, 2 * PAGE), 2 * PAGE, 8);
}

static void look_anon(void)
{
	unsigned char *mem = AT(1);

	NEED(is_filled(mem, 3 * PAGE, 1) && is_zero(mem + 3 * PAGE, 7 * PAGE));
	NEED(is_filled(mem + 10 * PAGE, PAGE, 2) && is_zero(mem + 11 * PAGE, 53 * PAGE));
	NEED(area_has(AT(1), "rw-p"));
	NEED(area_has(AT(2), "r--p") && area_has(AT(2) + 4 * PAGE, "---p") && area_has(AT(3), "--xp"));
	NEED(is_filled(AT(2), 4 * PAGE, 3));
	NEED(mprotect(AT(2) + 4 * PAGE, 4 * PAGE, PROT_READ) == 0 && is_filled(AT(2), 8 * PAGE, 3));
	NEED(mprotect(AT(3), PAGE, PROT_READ) == 0 && is_filled(AT(3), PAGE, 4));
	mem = AT(0x1000) + (1ul << 39);
	NEED(area_has(AT(0x1000), "---p") && area_has(AT(0x1000), " nr "));
	NEED(mprotect(mem, PAGE, PROT_READ) == 0 && is_filled(mem, PAGE, 5));
	NEED(is_filled((unsigned char *)CR_WINDOW_BASE, PAGE, 6));
	NEED(is_filled((unsigned char *)CR_WINDOW_END - PAGE, PAGE, 7));
	NEED(is_filled(EXTRA, 2 * PAGE, 8));
}

static void build_files(void)
{
	unsigned char *mem;
	int fd;

	/* private: two pages written, one of them with zeros */
	fd = make_file(file_path, 6 * PAGE + 100, 11);
	mem = map_at(AT(10), 7 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill(mem + PAGE, PAGE, 12);
	memset(mem + 2 * PAGE, 0, PAGE);
	NEED(is_filled(mem, PAGE, 11));
	/* written, then made read-only, as a linker does; with an offset */
	mem = map_at(AT(11), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE);
	fill(mem, PAGE, 13);
	NEED(mprotect(mem, 2 * PAGE, PROT_READ | PROT_EXEC) == 0);
	close(fd);
	/* private mapping of a file that is gone; the area is longer than the file */
	fd = make_file(gone_path, 2 * PAGE + 10, 14);
	mem = map_at(AT(12), 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fill(mem + PAGE, PAGE, 15);
	NEED(unlink(gone_path) == 0);
	close(fd);
	/* shared */
	fd = make_file(shared_path, 2 * PAGE, 16);
	mem = map_at(AT(13), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill(mem, PAGE, 17);
	map_at(AT(14), PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	close(fd);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	NEED(fd >= 0);
	fill(map_at(AT(15), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), PAGE, 18);
	close(fd);
}

static void look_files(void)
{
	unsigned char want[7 * PAGE];

	fill(want, 6 * PAGE + 100, 11);
	memset(want + 6 * PAGE + 100, 0, PAGE - 100);
	fill(want + PAGE, PAGE, 12);
	memset(want + 2 * PAGE, 0, PAGE);
	NEED(memcmp(AT(10), want, 7 * PAGE) == 0 && area_has(AT(10), "rw-p"));
	fill(want, 6 * PAGE, 11);
	NEED(is_filled(AT(11), PAGE, 13) && memcmp(AT(11) + PAGE, want + 3 * PAGE, PAGE) == 0 && area_has(AT(11), "r-xp"));
	fill(want, 2 * PAGE + 10, 14);
	memset(want + 2 * PAGE + 10, 0, PAGE);
	fill(want + PAGE, PAGE, 15);
	NEED(memcmp(AT(12), want, 3 * PAGE) == 0);
	NEED(is_filled(AT(13), PAGE, 17) && area_has(AT(13), "rw-s") && area_has(AT(14), "r--s"));
	*(volatile unsigned char *)(AT(13) + PAGE) = 0xee;
	NEED(*(volatile unsigned char *)AT(14) == 0xee);
	NEED(mprotect(AT(14), PAGE, PROT_READ | PROT_WRITE) == 0);
	NEED(is_filled(AT(15), PAGE, 18) && is_zero(AT(15) + PAGE, PAGE));
}

static void build_shared(void)
{
	unsigned char *mem = map_at(AT(20), 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	fill(mem + PAGE, PAGE, 21);
	fill(mem + 5 * PAGE, PAGE, 22);
	NEED(mprotect(mem + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
	/* the same pages again, at another place */
	NEED(mremap(mem + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, AT(21)) == AT(21));
	NEED(is_filled(AT(21), PAGE, 21));
	fill(map_at(AT(22), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), PAGE, 23);
}

static void look_shared(void)
{
	NEED(is_zero(AT(20), PAGE) && is_filled(AT(20) + PAGE, PAGE, 21) && is_filled(AT(20) + 5 * PAGE, PAGE, 22));
	NEED(area_has(AT(20), "rw-s") && area_has(AT(20) + 4 * PAGE, "r--s"));
	/* Two addresses, one byte: the compiler must not know better. */
	*(volatile unsigned char *)(AT(21) + 1) = 0x77;
	NEED(*(volatile unsigned char *)(AT(20) + PAGE + 1) == 0x77);
	NEED(is_filled(AT(22), PAGE, 23));
}

static void build_flags(void)
{
	unsigned char *mem = map_anon(AT(30), 16 * PAGE);

	fill(mem, 16 * PAGE, 31);
	NEED(madvise(mem, 2 * PAGE, MADV_DONTDUMP) == 0);
	madvise(mem + 2 * PAGE, 2 * PAGE, MADV_HUGEPAGE);
	madvise(mem + 4 * PAGE, 2 * PAGE, MADV_NOHUGEPAGE);
	/* past a sanitizer, which makes mlock do nothing */
	NEED(syscall(SYS_mlock, mem + 6 * PAGE, 2 * PAGE) == 0);
	madvise(mem + 8 * PAGE, 2 * PAGE, MADV_SEQUENTIAL);
	prctl(0x53564d41, 0, mem + 10 * PAGE, 2 * PAGE, "a name");
	fill(map_at(AT(31), 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0), 4 * PAGE, 32);
}

static void look_flags(void)
{
	NEED(is_filled(AT(30), 16 * PAGE, 31));
	NEED(area_has(AT(30), " dd ") && !area_has(AT(30) + 15 * PAGE, " dd "));
	NEED(area_has(AT(30) + 2 * PAGE, " hg ") || access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0);
	NEED(area_has(AT(30) + 4 * PAGE, " nh ") || access("/sys/kernel/mm/transparent_hugepage", F_OK) < 0);
	NEED(area_has(AT(30) + 6 * PAGE, " lo ") && !area_has(AT(30), " lo "));
	NEED(area_has(AT(30) + 8 * PAGE, " sr "));
	NEED(area_has(AT(31), " gd ") && is_filled(AT(31), 4 * PAGE, 32));
}

static void build_all(void)
{
	build_anon();
	build_files();
	build_shared();
	build_flags();
}

static void look_all(void)
{
	look_anon();
	look_files();
	look_shared();
	look_flags();
}

/* --- saving and restoring --- */

static const struct cr_mem_range extra[] = { { (uintptr_t)EXTRA, (uintptr_t)EXTRA + 2 * PAGE } };

static void save(const struct cr_mem_areas *areas, bool in_child)
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

static int open_image(struct cr_image **ret, struct cr_err *err)
{
	int fd = open(image_path, O_RDONLY | O_CLOEXEC), rc;

	NEED(fd >= 0);
	rc = cr_image_open(fd, image_path, ret, err);
	close(fd);
	return rc;
}

static void wait_good(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void print_reason(void *arg, const char *reason)
{
	(void)arg;
	fprintf(stderr, "# %s\n", reason);
}

static void build_and_save(void (*build)(void), bool in_child)
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

static void restore_and_look(void (*look)(void))
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

static void test_save_in_process(void **state)
{
	(void)state;
	build_and_save(build_all, false);
	restore_and_look(look_all);
}

static void test_save_in_child(void **state)
{
	(void)state;
	build_and_save(build_all, true);
	restore_and_look(look_all);
}

/* Only what has content is in the file. */
static void test_size(void **state)
{
	struct cr_image_totals totals;
	struct cr_image *img;
	struct cr_err err = { "" };

	(void)state;
	build_and_save(build_anon, true);
	assert_int_equal(open_image(&img, &err), 0);
	cr_image_totals(img, &totals);
	assert_int_equal(totals.pages, 4 + 8 + 1 + 1 + 1 + 1 + 2);
	cr_image_close(img);
	build_and_save(build_files, true);
	assert_int_equal(open_image(&img, &err), 0);
	cr_image_totals(img, &totals);
	assert_int_equal(totals.pages, 2 + 1 + 3 + 1);
	cr_image_close(img);
}

static void build_large(void)
{
	unsigned char *mem = map_anon(AT(1), 160ul << 20);

	for (size_t i = 0; i < (160ul << 20); i += PAGE)
		*(uint64_t *)(void *)(mem + i) = i % 5 ? i + 1 : 0;
}

static void look_large(void)
{
	for (size_t i = 0; i < (160ul << 20); i += PAGE)
		NEED(*(uint64_t *)(void *)(AT(1) + i) == (i % 5 ? i + 1 : 0));
}

static void test_large(void **state)
{
	(void)state;
	build_and_save(build_large, true);
	restore_and_look(look_large);
}

/* A restored process can be saved again, and its image restored. */
static void save_again(void)
{
	struct cr_mem_areas *areas;
	struct cr_err err = { "" };

	NEED(cr_mem_areas_create(extra, 1, &areas, &err) == 0);
	NEED(cr_mem_check(areas, print_reason, NULL) == 0);
	save(areas, false);
	cr_mem_areas_destroy(areas);
}

static void test_chain(void **state)
{
	(void)state;
	build_and_save(build_all, true);
	for (int i = 0; i < 3; i++)
		restore_and_look(save_again);
	restore_and_look(look_all);
}

/* --- an engine that is not the user-level one --- */

struct taken {
	struct cr_engine_read *ret;
	char *buffer;
	size_t most;
	struct cr_ioc_run *runs;
};

/* The beginning of the first run. */
static int take(void *arg, uint64_t start, uint64_t end, unsigned int flags, struct cr_err *err)
{
	struct taken *t = arg;
	size_t bytes = end - start < t->most ? end - start : t->most;
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	(void)flags;
	(void)err;
	NEED(mem >= 0 && pread(mem, t->buffer, bytes, (off_t)start) == (ssize_t)bytes);
	close(mem);
	t->runs[0] = (struct cr_ioc_run){ start, bytes };
	*t->ret = (struct cr_engine_read){ .next = start + bytes, .bytes = bytes, .runs = 1 };
	return -ECANCELED;
}

static unsigned int *taken, *left; /* of all processes */

/* At most three pages in each call; every other area is left to the user-level engine. */
static int little_read(uint64_t start, uint64_t end, void *buffer, size_t room, struct cr_ioc_run *runs, uint32_t max_runs, struct cr_engine_read *ret)
{
	struct taken t = { ret, buffer, room < 3 * PAGE ? room / PAGE * PAGE : 3 * PAGE, runs };
	struct cr_mem_pages pages;
	int rc;

	NEED(room >= PAGE && max_runs > 0);
	*ret = (struct cr_engine_read){ .next = start };
	if (start >> 24 & 1) {
		++*left;
		return -EOPNOTSUPP;
	}
	NEED(cr_mem_pages_open(&pages, NULL) == 0);
	rc = cr_mem_pages_walk(&pages, start, end, take, &t, NULL);
	cr_mem_pages_close(&pages);
	*taken += ret->runs;
	if (!ret->runs)
		ret->next = end;
	return rc == -ECANCELED ? 0 : rc;
}

static int failing_read(uint64_t start, uint64_t end, void *buffer, size_t room, struct cr_ioc_run *runs, uint32_t max_runs, struct cr_engine_read *ret)
{
	(void)end, (void)buffer, (void)room, (void)runs, (void)max_runs;
	*ret = (struct cr_engine_read){ .next = start };
	return -EIO;
}

static void build_for_engine(void)
{
	build_anon();
	build_files();
}

static void look_for_engine(void)
{
	look_anon();
	look_files();
}

static void save_by(const struct cr_engine_ops *engine, bool in_child)
{
	const struct cr_engine_ops *was = cr_engine;

	cr_engine = engine;
	build_and_save(build_for_engine, in_child);
	cr_engine = was;
	restore_and_look(look_for_engine);
}

static void build_and_fail(void)
{
	static const struct cr_engine_ops failing = { .name = "failing", .read = failing_read };
	struct cr_mem_areas *areas;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd = open(image_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	build_anon();
	cr_engine = &failing;
	NEED(fd >= 0 && cr_mem_areas_create(extra, 1, &areas, &err) == 0 && cr_image_writer_create(fd, &w, &err) == 0);
	NEED(cr_mem_save(areas, w, false, &err) == -EIO && strstr(err.text, "engine failing") && strstr(err.text, "CR_ENGINE=user"));
	_exit(0);
}

static void test_engine(void **state)
{
	static const struct cr_engine_ops little = { .name = "little", .read = little_read };
	pid_t pid;

	(void)state;
	taken = mmap(NULL, 2 * sizeof(*taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(taken != MAP_FAILED);
	left = taken + 1;
	save_by(&little, false);
	assert_true(*taken > 6 && *left > 2);
	*taken = 0;
	save_by(&little, true);
	assert_true(*taken > 6);
	munmap(taken, 2 * sizeof(*taken));
	pid = fork();
	if (pid == 0)
		build_and_fail();
	assert_true(pid > 0);
	wait_good(pid);
}

/* --- the two ways to find pages --- */

struct runs {
	int n;
	uint64_t at[64][2];
};

static int keep_run(void *arg, uint64_t start, uint64_t end, unsigned int flags, struct cr_err *err)
{
	struct runs *runs = arg;

	(void)flags;
	(void)err;
	if (runs->n && runs->at[runs->n - 1][1] == start) {
		runs->at[runs->n - 1][1] = end;
		return 0;
	}
	NEED(runs->n < 64);
	runs->at[runs->n][0] = start;
	runs->at[runs->n++][1] = end;
	return 0;
}

static void walk_both(uint64_t start, uint64_t end, struct runs *ret)
{
	struct cr_mem_pages pages;
	struct runs other = { .n = 0 };
	struct cr_err err = { "" };

	ret->n = 0;
	NEED(cr_mem_pages_open(&pages, &err) == 0);
	NEED(cr_mem_pages_walk(&pages, start, end, keep_run, ret, &err) == 0);
	/* as a kernel before 6.7 */
	pages.have_scan = false;
	NEED(cr_mem_pages_walk(&pages, start, end, keep_run, &other, &err) == 0);
	NEED(other.n == ret->n && memcmp(other.at, ret->at, sizeof(ret->at[0]) * (size_t)ret->n) == 0);
	cr_mem_pages_close(&pages);
}

static void test_find_pages(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct runs runs = { .n = 0 };
		unsigned char *mem;
		int fd;

		mem = map_anon(AT(1), 40000 * PAGE);
		madvise(mem, 40000 * PAGE, MADV_NOHUGEPAGE); /* one byte is one page */
		mem[0] = mem[7 * PAGE] = mem[8 * PAGE] = 1;
		mem[8191 * PAGE] = mem[8192 * PAGE] = 1; /* around the end of a piece of the list */
		mem[39999 * PAGE] = 1;
		walk_both((uintptr_t)mem, (uintptr_t)mem + 40000 * PAGE, &runs);
		NEED(runs.n == 4 && runs.at[1][0] == (uintptr_t)mem + 7 * PAGE && runs.at[1][1] == (uintptr_t)mem + 9 * PAGE);
		NEED(runs.at[2][0] == (uintptr_t)mem + 8191 * PAGE && runs.at[2][1] == (uintptr_t)mem + 8193 * PAGE);
		NEED(runs.at[3][1] == (uintptr_t)mem + 40000 * PAGE);
		fd = make_file(file_path, 4 * PAGE, 1);
		mem = map_at(AT(20), 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		NEED(is_filled(mem, PAGE, 1));
		mem[2 * PAGE] = 5;
		walk_both((uintptr_t)mem, (uintptr_t)mem + 4 * PAGE, &runs);
		NEED(runs.n == 1 && runs.at[0][0] == (uintptr_t)mem + 2 * PAGE && runs.at[0][1] == (uintptr_t)mem + 3 * PAGE);
		_exit(0);
	}
	assert_true(pid > 0);
	wait_good(pid);
}

/* Read-only memory with many holes stays one area: the kernel allows only some 65,000 of them. */
#define HOLES_PAGES 140000ul

static void build_holes(void)
{
	unsigned char *mem = map_anon(AT(1), HOLES_PAGES * PAGE);

	NEED(madvise(mem, HOLES_PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
	for (unsigned long i = 0; i < HOLES_PAGES; i += 2)
		mem[i * PAGE] = (unsigned char)(i % 255 + 1);
	NEED(mprotect(mem, HOLES_PAGES * PAGE, PROT_READ) == 0);
}

static void look_holes(void)
{
	char want[64];

	for (unsigned long i = 0; i < HOLES_PAGES; i++)
		NEED(AT(1)[i * PAGE] == (i % 2 ? 0 : i % 255 + 1));
	snprintf(want, sizeof(want), "r--p %lx-%lx ", (unsigned long)AT(1), (unsigned long)AT(1) + HOLES_PAGES * PAGE);
	NEED(area_has(AT(1), want));
}

static void test_many_holes(void **state)
{
	(void)state;
	build_and_save(build_holes, true);
	restore_and_look(look_holes);
}

/* Sealed memory cannot be given another protection, not even to read it. */
static void build_sealed(void)
{
	unsigned char *mem = map_anon(AT(1), 2 * PAGE);

	fill(mem, PAGE, 1);
	fill(mem + PAGE, PAGE, 1);
	NEED(mprotect(mem, PAGE, PROT_NONE) == 0);
	NEED(syscall(462 /* mseal */, mem, 2 * PAGE, 0) == 0);
}

static void look_sealed(void)
{
	NEED(is_filled(AT(1) + PAGE, PAGE, 1) && area_has(AT(1), "---p"));
	NEED(mprotect(AT(1), PAGE, PROT_READ) < 0);
}

static void test_sealed(void **state)
{
	(void)state;
	if (syscall(462, NULL, 0, 0) < 0)
		skip();
	build_and_save(build_sealed, true);
	restore_and_look(look_sealed);
}

/* Names with every awkward character come back; a file may be called "x (deleted)". */
static void build_names(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/a b\n\"c\\012 (deleted)", dir);
	fd = make_file(path, PAGE, 1);
	map_at(AT(1), PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	snprintf(path, sizeof(path), "%s/x (deleted)", dir);
	fd = make_file(path, PAGE, 2);
	map_at(AT(2), PAGE, PROT_READ, MAP_SHARED, fd, 0);
}

static void look_names(void)
{
	char path[128];

	NEED(is_filled(AT(1), PAGE, 1) && is_filled(AT(2), PAGE, 2) && area_has(AT(2), "r--s"));
	snprintf(path, sizeof(path), "%s/x (deleted)", dir);
	NEED(unlink(path) == 0);
	snprintf(path, sizeof(path), "%s/a b\n\"c\\012 (deleted)", dir);
	NEED(unlink(path) == 0);
}

static void test_names(void **state)
{
	(void)state;
	build_and_save(build_names, true);
	restore_and_look(look_names);
}

/* --- refusals of a restart --- */

static int restore_check_rc(struct cr_err *err)
{
	struct cr_image *img;
	int rc;

	assert_int_equal(open_image(&img, err), 0);
	rc = cr_mem_restore_check(img, err);
	cr_image_close(img);
	return rc;
}

/* Twice is as never. */
static void change_byte(const char *path, unsigned char by)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	unsigned char c;

	assert_int_equal(pread(fd, &c, 1, PAGE + 7), 1);
	c ^= by;
	assert_int_equal(pwrite(fd, &c, 1, PAGE + 7), 1);
	close(fd);
}

static void test_restore_refuses_changed_files(void **state)
{
	struct timespec times[2] = { { 0, UTIME_NOW }, { 12345, 6789 } };
	struct cr_err err = { "" };
	struct stat st;

	(void)state;
	build_and_save(build_files, true);
	assert_int_equal(restore_check_rc(&err), 0);
	assert_int_equal(stat(file_path, &st), 0);
	/* another time alone is no change; another content of the same size and time is one */
	assert_int_equal(utimensat(AT_FDCWD, file_path, times, 0), 0);
	assert_int_equal(restore_check_rc(&err), 0);
	change_byte(file_path, 1);
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, file_path, times, 0), 0);
	assert_int_equal(restore_check_rc(&err), -ESTALE);
	assert_non_null(strstr(err.text, file_path));
	change_byte(file_path, 1);
	assert_int_equal(restore_check_rc(&err), 0);
	assert_int_equal(truncate(file_path, PAGE), 0);
	assert_int_equal(restore_check_rc(&err), -ESTALE);
	assert_int_equal(unlink(file_path), 0);
	assert_int_equal(restore_check_rc(&err), -ENOENT);
	assert_non_null(strstr(err.text, file_path));
	build_and_save(build_files, true);
	assert_int_equal(truncate(shared_path, PAGE), 0);
	assert_int_equal(restore_check_rc(&err), -ESTALE);
	assert_non_null(strstr(err.text, shared_path));
}

static void test_restore_refuses_taken_addresses(void **state)
{
	struct cr_err err = { "" };
	void *there;

	(void)state;
	build_and_save(build_anon, true);
	assert_int_equal(restore_check_rc(&err), 0);
	there = mmap(AT(1) + 63 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_ptr_equal(there, AT(1) + 63 * PAGE);
	assert_int_equal(restore_check_rc(&err), -EADDRINUSE);
	assert_int_equal(munmap(there, PAGE), 0);
	assert_int_equal(restore_check_rc(&err), 0);
}

/* Sound checksums around nonsense. */
static int check_vmas(const struct cr_vma *vma, size_t n, uint64_t pages_at, struct cr_err *err)
{
	static const unsigned char page[PAGE] = { 1 };
	struct cr_image_writer *w;
	struct cr_image *img;
	int fd, rc;

	fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(cr_image_writer_create(fd, &w, err), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(cr_image_put(w, CR_REC_VMA, &vma[i], sizeof(vma[i]), err), 0);
	if (pages_at)
		assert_int_equal(cr_image_put_pages(w, pages_at, page, PAGE, 0, err), 0);
	assert_int_equal(cr_image_finish(w, NULL, err), 0);
	cr_image_writer_destroy(w);
	assert_int_equal(cr_image_open(fd, "test", &img, err), 0);
	rc = cr_mem_restore_check(img, err);
	cr_image_close(img);
	close(fd);
	return rc;
}

static void test_restore_refuses_nonsense(void **state)
{
	const struct cr_vma good = { .start = 0x200000100000, .end = 0x200000102000, .prot = 3, .kind = CR_VMA_ANON };
	struct cr_err err = { "" };
	struct cr_vma vma[2];

	(void)state;
	vma[0] = good;
	assert_int_equal(check_vmas(vma, 1, good.start, &err), 0);
	assert_int_equal(check_vmas(vma, 1, good.end, &err), -EBADMSG);
	assert_int_equal(check_vmas(vma, 0, good.start, &err), -EBADMSG);
	vma[1] = good;
	assert_int_equal(check_vmas(vma, 2, 0, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "overlap"));
#define BAD(member, value)                                                  \
	vma[0] = good;                                                      \
	vma[0].member = (value);                                            \
	assert_int_equal(check_vmas(vma, 1, 0, &err), -EBADMSG);
	BAD(start, good.start + 1)
	BAD(end, good.start)
	BAD(end, 0xffffffff00000000)
	BAD(start, 0)
	BAD(prot, 8)
	BAD(kind, 0)
	BAD(kind, 5)
	BAD(kind, CR_VMA_FILE_PRIVATE)
	BAD(flags, 1ull << 40)
	BAD(name_bytes, 5)
	BAD(offset, 0xfffffffffffff000)
#undef BAD
}

/* --- what cannot be saved --- */

struct reasons {
	int n;
	char text[CR_ERR_TEXT_BYTES];
};

static void keep_reason(void *arg, const char *reason)
{
	struct reasons *reasons = arg;

	reasons->n++;
	snprintf(reasons->text, sizeof(reasons->text), "%s", reason);
}

/* @build makes one area that cannot be saved: exactly one reason, which has @words and the address; saving it fails. */
static void expect_nocr(void (*build)(void), const char *words)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct reasons reasons = { .n = 0 };
		struct cr_image_writer *w;
		struct cr_mem_areas *areas;
		struct cr_err err = { "" };
		char addr[32];
		int fd;

		build();
		NEED(cr_mem_areas_create(NULL, 0, &areas, &err) == 0);
		NEED(cr_mem_check(areas, keep_reason, &reasons) == 1);
		NEED(reasons.n == 1);
		snprintf(addr, sizeof(addr), "%p", (void *)AT(40));
		if (!strstr(reasons.text, words) || !strstr(reasons.text, addr)) {
			fprintf(stderr, "# wrong reason: %s\n", reasons.text);
			_exit(1);
		}
		fd = memfd_create("test", MFD_CLOEXEC);
		NEED(cr_image_writer_create(fd, &w, &err) == 0);
		if (!strstr(words, "another process"))
			NEED(cr_mem_save(areas, w, false, &err) == -EOPNOTSUPP && strstr(err.text, addr));
		cr_image_writer_destroy(w);
		cr_mem_areas_destroy(areas);
		_exit(0);
	}
	assert_true(pid > 0);
	wait_good(pid);
}

/* --- shared memory with an object behind it, which nothing but the memory refers to --- */

static void build_objects(void)
{
	int fd = memfd_create("some", MFD_CLOEXEC), id;

	/* a memfd of three pages, of which the last two are mapped, twice */
	NEED(fd >= 0 && ftruncate(fd, (off_t)(3 * PAGE)) == 0);
	fill(map_at(AT(40), 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE), PAGE, 41);
	map_at(AT(41), PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	close(fd);
	/* a file that was removed, one that was replaced */
	fd = make_file(gone_path, 2 * PAGE, 42);
	map_at(AT(42), 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	map_at(AT(43), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	NEED(unlink(gone_path) == 0);
	close(fd);
	fd = make_file(gone_path, PAGE, 43);
	map_at(AT(44), PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	close(make_file(shared_path, PAGE, 1));
	NEED(rename(shared_path, gone_path) == 0);
	/* a segment that goes with its last user, attached twice */
	id = shmget(IPC_PRIVATE, 2 * PAGE - 100, 0600);
	NEED(id >= 0 && shmat(id, AT(45), 0) == AT(45) && shmat(id, AT(46), SHM_RDONLY) == AT(46) && shmctl(id, IPC_RMID, NULL) == 0);
	fill(AT(45) + PAGE, PAGE - 100, 44);
}

static void look_objects(void)
{
	unsigned char want[2 * PAGE];

	NEED(is_filled(AT(40), PAGE, 41) && is_zero(AT(40) + PAGE, PAGE) && area_has(AT(40), "rw-s"));
	*(volatile unsigned char *)AT(40) = 0x5a;
	NEED(*(volatile unsigned char *)AT(41) == 0x5a && area_has(AT(41), "r--s"));
	fill(want, 2 * PAGE, 42);
	NEED(memcmp(AT(42), want, 2 * PAGE) == 0 && area_has(AT(42), "rw-s"));
	*(volatile unsigned char *)(AT(42) + PAGE) = 0x5b;
	NEED(*(volatile unsigned char *)AT(43) == 0x5b);
	NEED(is_filled(AT(44), PAGE, 43) && area_has(AT(44), "r--s"));
	NEED(is_zero(AT(45), PAGE) && is_filled(AT(45) + PAGE, PAGE - 100, 44) && is_filled(AT(46) + PAGE, PAGE - 100, 44));
	NEED(area_has(AT(45), "rw-s") && area_has(AT(46), "r--s"));
	*(volatile unsigned char *)AT(45) = 0x5c;
	NEED(*(volatile unsigned char *)AT(46) == 0x5c && shmdt(AT(45)) == 0 && shmdt(AT(46)) == 0);
}

static void test_objects(void **state)
{
	(void)state;
	build_and_save(build_objects, false);
	restore_and_look(look_objects);
}

/* What is mapped and open comes back by its FILE record: without one the image is refused. */
static void build_open_object(void)
{
	int fd = memfd_create("some", MFD_CLOEXEC);

	NEED(fd >= 0 && ftruncate(fd, (off_t)PAGE) == 0);
	map_at(AT(40), PAGE, PROT_READ, MAP_SHARED, fd, 0);
}

static void test_open_object(void **state)
{
	struct cr_image *img;
	struct cr_err err = { "" };

	(void)state;
	build_and_save(build_open_object, false);
	assert_int_equal(open_image(&img, &err), 0);
	assert_int_equal(cr_mem_restore(img, NULL, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "some"));
	cr_image_close(img);
}

static void build_guard(void)
{
	unsigned char *mem = map_at(AT(40), 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	fill(mem + 2 * PAGE, PAGE, 1);
	NEED(madvise(mem, PAGE, 102 /* MADV_GUARD_INSTALL */) == 0);
}

static void build_guards(void)
{
	unsigned char *mem = map_anon(AT(41), 300 * PAGE);

	for (int i = 0; i < 300; i += 2)
		fill(mem + i * PAGE, PAGE, (unsigned int)i);
	for (int i = 1; i < 300; i += 2)
		NEED(madvise(mem + i * PAGE, PAGE, 102) == 0);
	NEED(madvise(mem + 10 * PAGE, 5 * PAGE, 102) == 0);
}

static bool is_guard(const unsigned char *at)
{
	struct iovec to = { .iov_base = (char[1]){ 0 }, .iov_len = 1 }, from = { .iov_base = (void *)(uintptr_t)at, .iov_len = 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) < 0;
}

static void look_guards(void)
{
	for (int i = 0; i < 300; i++)
		NEED(is_guard(AT(41) + i * PAGE) == (i % 2 || (i >= 10 && i < 15)));
	for (int i = 0; i < 300; i += 2)
		NEED((i >= 10 && i < 15) || is_filled(AT(41) + i * PAGE, PAGE, (unsigned int)i));
	NEED(madvise(AT(41) + PAGE, PAGE, 103 /* MADV_GUARD_REMOVE */) == 0 && is_zero(AT(41) + PAGE, PAGE));
}

/* Kernels before 6.13 have none, and before 6.15 do not tell them. */
static bool have_guards(void)
{
	void *probe = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct utsname u;
	int major = 0, minor = 0;
	bool have;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	have = madvise(probe, PAGE, 102) == 0 && (major > 6 || (major == 6 && minor >= 15));
	munmap(probe, PAGE);
	return have;
}

static void test_guards(void **state)
{
	(void)state;
	if (!have_guards())
		skip();
	build_and_save(build_guards, true);
	restore_and_look(look_guards);
	build_and_save(build_guards, false);
	restore_and_look(look_guards);
	expect_nocr(build_guard, "MADV_GUARD_INSTALL");
}

static void build_shared_with_child(void)
{
	unsigned char *mem = map_at(AT(40), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int pipes[2];
	pid_t pid;
	char c;

	mem[0] = 1;
	NEED(pipe(pipes) == 0);
	pid = fork();
	if (pid == 0) {
		mem[1] = 1;
		prctl(PR_SET_PDEATHSIG, 9);
		NEED(write(pipes[1], "x", 1) == 1);
		pause();
	}
	NEED(pid > 0 && read(pipes[0], &c, 1) == 1);
}

static void test_nocr(void **state)
{
	(void)state;
	expect_nocr(build_shared_with_child, "another process");
}

static void look_forkable(int advice, bool shared, bool want)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct cr_mem_areas *areas;
		struct cr_err err = { "" };

		map_at(AT(1), PAGE, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
		NEED(!advice || madvise(AT(1), PAGE, advice) == 0);
		NEED(cr_mem_areas_create(NULL, 0, &areas, &err) == 0);
		NEED(cr_mem_forkable(areas) == want);
		_exit(0);
	}
	assert_true(pid > 0);
	wait_good(pid);
}

static void test_forkable(void **state)
{
	(void)state;
	look_forkable(0, false, true);
	look_forkable(0, true, false);
	look_forkable(MADV_DONTFORK, false, false);
	look_forkable(MADV_WIPEONFORK, false, false);
}

static int setup(void **state)
{
	struct cr_err err = { "" };

	(void)state;
	/* CR_ENGINE=kmod where the module is: all of this by it. */
	if (cr_engine_start(true, &err)) {
		fprintf(stderr, "# %s\n", err.text);
		return -1;
	}
	if (!mkdtemp(dir))
		return -1;
	snprintf(image_path, sizeof(image_path), "%s/image", dir);
	snprintf(file_path, sizeof(file_path), "%s/private file", dir);
	snprintf(gone_path, sizeof(gone_path), "%s/gone", dir);
	snprintf(shared_path, sizeof(shared_path), "%s/shared", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(image_path);
	unlink(file_path);
	unlink(gone_path);
	unlink(shared_path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_save_in_process),
		cmocka_unit_test(test_save_in_child),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_engine),
		cmocka_unit_test(test_find_pages),
		cmocka_unit_test(test_many_holes),
		cmocka_unit_test(test_sealed),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_restore_refuses_changed_files),
		cmocka_unit_test(test_restore_refuses_taken_addresses),
		cmocka_unit_test(test_restore_refuses_nonsense),
		cmocka_unit_test(test_nocr),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_open_object),
		cmocka_unit_test(test_forkable),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

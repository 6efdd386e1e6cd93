/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory read by an engine that is not the user-level one; the two ways to find pages. */
#include "tests/unit/test_mem_parts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include "include/cr_ioctl.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/mem_private.h"

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

void test_engine(void **state)
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

void test_find_pages(void **state)
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

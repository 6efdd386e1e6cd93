/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of the window: what comes back, once, in a chain, in odd shapes; the list of the tests (test_mem_parts.h). */
#include "tests/unit/test_mem_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "libcr/lower/engine.h"
#include "libcr/lower/mem_private.h"

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

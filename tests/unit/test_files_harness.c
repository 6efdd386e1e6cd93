/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/test_files_harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch[] = "/tmp/cr-files-XXXXXX";
static int report_fd = -1;

const char *test_dir(void)
{
	return scratch;
}

int test_group_setup(void **state)
{
	(void)state;
	return mkdtemp(scratch) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int test_group_teardown(void **state)
{
	(void)state;
	return nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void test_child_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	dprintf(report_fd, "%s:%d: ", file, line);
	va_start(ap, fmt);
	vdprintf(report_fd, fmt, ap);
	va_end(ap);
	_exit(1);
}

static void child_main(void (*fn)(void), int fd)
{
	report_fd = fcntl(fd, F_DUPFD_CLOEXEC, TEST_FLOOR + 50);
	close_range(3, TEST_FLOOR - 1, 0);
	if (report_fd < 0 || chdir(scratch) < 0)
		_exit(2);
	alarm(60);
	fn();
	_exit(0);
}

void test_in_child(void (*fn)(void))
{
	char words[1024];
	int p[2], status;
	size_t used = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		child_main(fn, p[1]);
	close(p[1]);
	while (used < sizeof(words) - 1 && (n = read(p[0], words + used, sizeof(words) - 1 - used)) > 0)
		used += (size_t)n;
	words[used] = '\0';
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("child ended with status %#x: %s", (unsigned int)status, words);
}

static int high(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, TEST_FLOOR);

	CHECK(up >= TEST_FLOOR);
	close(fd);
	return up;
}

void test_save_files(const struct cr_stdio *stdio)
{
	struct cr_image_totals totals;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd = high(open("image", O_RDWR | O_CREAT | O_TRUNC, 0600));

	if (cr_image_writer_create(fd, &w, &err) < 0 || cr_files_save(TEST_FLOOR, stdio, w, &err) < 0 || cr_process_save(w, NULL, &err) < 0 ||
	    cr_image_finish(w, &totals, &err) < 0)
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
	cr_image_writer_destroy(w);
}

struct cr_image *test_open_image(void)
{
	struct cr_err err = { "" };
	struct cr_image *img;

	if (cr_image_open(high(open("image", O_RDONLY)), "image", &img, &err) < 0)
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
	return img;
}

void test_restore_files(void)
{
	struct cr_image *img = test_open_image();
	struct cr_err err = { "" };

	if (cr_files_restore_check(img, &err) < 0 || cr_files_restore(img, TEST_FLOOR, &err) < 0)
		test_child_fail(__FILE__, __LINE__, "%s", err.text);
}

static void (*current_setup)(void), (*current_verify)(void);

static void save_side(void)
{
	struct cr_stdio stdio;

	cr_stdio_record(&stdio);
	current_setup();
	test_save_files(&stdio);
}

static void restore_side(void)
{
	test_restore_files();
	current_verify();
}

void test_roundtrip(void (*setup)(void), void (*verify)(void))
{
	current_setup = setup;
	current_verify = verify;
	test_in_child(save_side);
	test_in_child(restore_side);
}

void test_collect(void *arg, const char *reason)
{
	struct test_reasons *reasons = arg;

	if (reasons->n < TEST_MAX_REASONS)
		snprintf(reasons->text[reasons->n], sizeof(reasons->text[0]), "%s", reason);
	reasons->n++;
}

static const char *const *expected;

static void refuse_side(void)
{
	static struct test_reasons reasons;
	struct cr_stdio stdio;
	int i;

	cr_stdio_record(&stdio);
	current_setup();
	CHECK(cr_files_check(TEST_FLOOR, &stdio, test_collect, &reasons) == reasons.n);
	if (reasons.n != 1)
		test_child_fail(__FILE__, __LINE__, "%d reasons, first: %s; second: %s", reasons.n, reasons.text[0], reasons.text[1]);
	for (i = 0; expected[i]; i++) {
		if (!strstr(reasons.text[0], expected[i]))
			test_child_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", reasons.text[0], expected[i]);
	}
	if (!strchr(reasons.text[0], ';'))
		test_child_fail(__FILE__, __LINE__, "\"%s\" names no remedy", reasons.text[0]);
}

void test_refused(void (*setup)(void), const char *const *texts)
{
	current_setup = setup;
	expected = texts;
	test_in_child(refuse_side);
}

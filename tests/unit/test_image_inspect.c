/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cr_inspect: exit status and output for good, damaged and foreign files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/cr_vma.h"
#include "libcr/image/thread_payload.h"

#define PAGE 4096

static char dir[] = "/tmp/test_inspect.XXXXXX";
static char path[64];
static char output[65536];

/* Runs cr_inspect with @args on the file; both outputs are kept. Returns the exit status. */
static int inspect(const char *args)
{
	const char *build = getenv("top_builddir");
	char command[512];
	size_t n;
	FILE *p;
	int status;

	snprintf(command, sizeof(command), "%s/cr_inspect %s '%s' 2>&1", build ? build : ".", args, path);
	p = popen(command, "re");
	assert_non_null(p);
	n = fread(output, 1, sizeof(output) - 1, p);
	output[n] = '\0';
	status = pclose(p);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void expect(const char *words)
{
	if (!strstr(output, words))
		fail_msg("\"%s\" is not in the output:\n%s", words, output);
}

static void write_file(void)
{
	static const unsigned char pages[2 * PAGE] = { [0] = 1, [PAGE] = 2 };
	struct {
		struct cr_vma vma;
		char name[32];
	} vma = {
		.vma = { .start = 0x200000100000, .end = 0x200000104000, .prot = 5, .kind = CR_VMA_FILE_PRIVATE, .offset = 0x3000, .flags = CR_VMA_F_LOCKED },
		.name = "/lib/a \"b\"\n.so\xff\xc3\xa4",
	};
	struct cr_thread_payload thread = { .tid = 4711, .name = "worker" };
	struct cr_image_writer *w;
	struct cr_err err;
	int fd;

	vma.vma.name_bytes = (uint32_t)strlen(vma.name) + 1;
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_THREAD, &thread, sizeof(thread), &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_FILE, "short", 5, &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_VMA, &vma, sizeof(vma.vma) + vma.vma.name_bytes, &err), 0);
	assert_int_equal(cr_image_put_pages(w, 0x200000101000, pages, sizeof(pages), 0, &err), 0);
	assert_int_equal(cr_image_finish(w, NULL, &err), 0);
	cr_image_writer_destroy(w);
	close(fd);
}

static void damage(off_t from_end)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(lseek(fd, -from_end, SEEK_END) > 0);
	assert_int_equal(write(fd, "!", 1), 1);
	close(fd);
}

static void test_good(void **state)
{
	(void)state;
	write_file();
	assert_int_equal(inspect(""), 0);
	expect("tid 4711 worker");
	expect("too short for its type");
	expect("0x200000100000-0x200000104000 r-x file-private 16 KiB, 8 KiB stored LOCKED /lib/a \"b\"\\012.so\xff\xc3\xa4 +0x3000");
	expect("2 pages (8 KiB)");
	assert_null(strstr(output, "every page checked"));
	assert_int_equal(inspect("--verify --pages"), 0);
	expect("every page checked");
	expect("PAGES");
	expect("0x200000101000 pages 2");
}

static void test_json(void **state)
{
	char command[256];

	(void)state;
	write_file();
	assert_int_equal(inspect("--json --pages --verify"), 0);
	expect("\"name\": \"/lib/a \\\"b\\\"\\u000a.so\\u00ff\xc3\xa4\"");
	expect("\"pages_verified\": true");
	expect("\"stored_bytes\": 8192");
	expect("\"flags\": [\"LOCKED\"]");
	snprintf(command, sizeof(command), "python3 -m json.tool >/dev/null 2>&1");
	if (system("python3 -c pass >/dev/null 2>&1") == 0) {
		FILE *p = popen(command, "we");

		assert_non_null(p);
		fputs(output, p);
		assert_int_equal(pclose(p), 0);
	}
}

static void test_damaged(void **state)
{
	(void)state;
	write_file();
	damage(80 + 100); /* in the last page */
	assert_int_equal(inspect(""), 0);
	assert_int_equal(inspect("--verify"), 1);
	expect("0x200000101000-0x200000103000");
	expect("use another snapshot");
	write_file();
	damage(10); /* in the end record */
	assert_int_equal(inspect(""), 1);
	expect("(END)");
	assert_int_equal(inspect("--json"), 1);
	expect("\"complete\": false");
	assert_int_equal(truncate(path, 5000), 0);
	assert_int_equal(inspect(""), 1);
}

static void test_usage(void **state)
{
	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(inspect(""), 1);
	expect("No such file");
	assert_int_equal(inspect("--nonsense"), 2);
	expect("Try 'cr_inspect --help'");
	assert_int_equal(inspect("a"), 2);
	assert_int_equal(inspect("--help"), 0);
	expect("Usage: cr_inspect");
	assert_int_equal(inspect("--version"), 0);
	expect("cr_inspect (ompi-cr) ");
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/context", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_usage),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

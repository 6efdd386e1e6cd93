/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot that is not as it was written: one bit, or the end, of every region of 512 bytes of every file. What ompi-snapshot verify and ompi-restart
 * use to look at it must notice, and name the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "orte-tools/tool_verify.h"
#include "snapc/meta.h"

#define REGION 512

static char top[PATH_MAX], ref[PATH_MAX + 64];

static int make(void **state)
{
	char template[] = "/tmp/ompi-cr-damage.XXXXXX", command[3 * PATH_MAX];
	const char *bin = getenv("top_builddir");

	(void)state;
	if (!mkdtemp(template))
		return -1;
	snprintf(top, sizeof(top), "%s", template);
	snprintf(ref, sizeof(ref), "%s/ompi_global_snapshot_4711.ckpt", top);
	snprintf(command, sizeof(command), "%s/tests/unit/make_snapshot %s 3 2 >/dev/null", bin ? bin : ".", top);
	return system(command);
}

static int unmake(void **state)
{
	char command[PATH_MAX + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command);
}

static unsigned char *slurp(const char *path, size_t *ret_bytes)
{
	int fd = open(path, O_RDONLY);
	unsigned char *data;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size);
	assert_non_null(data);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	close(fd);
	*ret_bytes = (size_t)st.st_size;
	return data;
}

static void spill(const char *path, const unsigned char *data, size_t bytes)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, bytes), (ssize_t)bytes);
	close(fd);
}

/* Exactly @path, of @rank, of sequence 1 is bad; sequence 0 is not. @path NULL: none is bad. */
static void judge(const char *path, int rank, const char *how, size_t at)
{
	struct tool_verdict *bad;
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	int n;

	assert_int_equal(snapc_meta_open(ref, &meta, NULL), 0);
	assert_int_equal(snapc_meta_load(meta, 1, &s, NULL), 0);
	n = tool_verify(s, TOOL_VERIFY_PAGES, &bad);
	if (n != (path ? 1 : 0))
		fail_msg("%s at %zu of %s: %d bad files", how, at, path ? path : "nothing", n);
	if (path && (bad[0].rank != rank || strcmp(bad[0].path, path) != 0 || !bad[0].err.text[0]))
		fail_msg("%s at %zu of %s: named are rank %d, %s", how, at, path, bad[0].rank, bad[0].path);
	free(bad);
	snapc_snapshot_destroy(s);
	assert_int_equal(snapc_meta_load(meta, 0, &s, NULL), 0);
	assert_int_equal(tool_verify(s, 0, &bad), 0);
	free(bad);
	snapc_snapshot_destroy(s);
	snapc_meta_close(meta);
}

static void context_files(void **state)
{
	size_t bytes, regions = 0;

	(void)state;
	for (int rank = 0; rank < 3; rank++) {
		char path[2 * PATH_MAX];
		unsigned char *data;

		snprintf(path, sizeof(path), "%s/1/" SNAPC_CONTEXT_FMT, ref, rank);
		data = slurp(path, &bytes);
		for (size_t at = 0; at < bytes; at += REGION, regions++) {
			size_t byte = at + (at * 2654435761u >> 7) % (bytes - at < REGION ? bytes - at : REGION);
			unsigned char bit = (unsigned char)(1u << (at / REGION) % 8);

			data[byte] ^= bit;
			spill(path, data, bytes);
			judge(path, rank, "a bit", byte);
			data[byte] ^= bit;
			spill(path, data, at);
			judge(path, rank, "cut", at);
		}
		spill(path, data, bytes);
		free(data);
	}
	judge(NULL, 0, "nothing", 0);
	assert_true(regions > 300);
}

static void metadata(void **state)
{
	struct cr_err err;
	struct snapc_meta *meta;
	char path[2 * PATH_MAX];
	unsigned char *data;
	size_t bytes;

	(void)state;
	snprintf(path, sizeof(path), "%s/" SNAPC_META_NAME, ref);
	data = slurp(path, &bytes);
	for (size_t at = 0; at < bytes; at += REGION) {
		size_t byte = at + (at * 2654435761u >> 7) % (bytes - at < REGION ? bytes - at : REGION);
		unsigned char bit = (unsigned char)(1u << (at / REGION) % 8);

		for (int cut = 0; cut < 2; cut++) {
			err.text[0] = 0;
			data[byte] ^= cut ? 0 : bit;
			spill(path, data, cut ? at : bytes);
			if (snapc_meta_open(ref, &meta, &err) != -EBADMSG || !strstr(err.text, path))
				fail_msg("%s at %zu: %s", cut ? "cut" : "a bit", cut ? at : byte, err.text);
			data[byte] ^= cut ? 0 : bit;
		}
	}
	spill(path, data, bytes);
	free(data);
	judge(NULL, 0, "nothing", 0);
}

/* A whole file in the wrong place is as bad as a damaged one. */
static void exchanged(void **state)
{
	char path[2 * PATH_MAX], other[2 * PATH_MAX];
	const struct { int seq, rank; } from[] = { { 1, 1 }, { 0, 0 } };
	unsigned char *data, *wrong;
	size_t bytes, wrong_bytes;

	(void)state;
	snprintf(path, sizeof(path), "%s/1/" SNAPC_CONTEXT_FMT, ref, 0);
	data = slurp(path, &bytes);
	for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
		snprintf(other, sizeof(other), "%s/%d/" SNAPC_CONTEXT_FMT, ref, from[i].seq, from[i].rank);
		wrong = slurp(other, &wrong_bytes);
		spill(path, wrong, wrong_bytes);
		judge(path, 0, "exchanged", i);
		free(wrong);
	}
	spill(path, data, bytes);
	free(data);
	assert_int_equal(rename(path, top[0] ? strcat(strcpy(other, path), "x") : other), 0);
	judge(path, 0, "missing", 0);
	assert_int_equal(symlink(other, path), 0);
	judge(path, 0, "a link", 0);
	assert_int_equal(unlink(path) + rename(other, path), 0);
	judge(NULL, 0, "nothing", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(context_files), cmocka_unit_test(metadata), cmocka_unit_test(exchanged) };

	return cmocka_run_group_tests(tests, make, unmake);
}

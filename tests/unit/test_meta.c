/* SPDX-License-Identifier: GPL-2.0-or-later */
/* global_snapshot_meta.h5: what is written is what is read, by us and by h5dump; damage of any kind is refused. */
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

#include "snapc/meta.h"
#include "snapc/meta_block.h"
#include "snapc/snapshot_disk.h"
#include "tests/unit/test_snapshot_make.h"

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = malloc(PATH_MAX);

	assert_non_null(dir);
	snprintf(dir, PATH_MAX, "%s/test_meta.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int remove_dir(void **state)
{
	assert_int_equal(snapc_disk_remove_tree(*state, NULL), 0);
	free(*state);
	return 0;
}

static void write_seq(const char *dir, uint32_t seq, uint32_t np)
{
	struct snapc_snapshot s;
	struct cr_err err;

	test_snapshot_fill(&s, dir, seq, np);
	if (snapc_meta_write(dir, &s, NULL, 0, 1, &err) < 0)
		fail_msg("%s", err.text);
}

static void reads_back(void **state)
{
	const char *dir = *state;
	struct snapc_snapshot want, *have;
	struct snapc_meta *meta;
	struct cr_err err;

	write_seq(dir, 4, 3);
	if (snapc_meta_open(dir, &meta, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(snapc_meta_next_seq(meta), 5);
	if (snapc_meta_load(meta, -1, &have, &err) < 0)
		fail_msg("%s", err.text);
	snapc_meta_close(meta);
	test_snapshot_fill(&want, dir, 4, 3);
	test_snapshot_equal(have, &want);
	snapc_snapshot_destroy(have);
}

static void keeps_older_sequences(void **state)
{
	const char *dir = *state;
	struct snapc_snapshot want, *have;
	struct snapc_meta *meta;
	const uint32_t *seqs;
	uint32_t drop[2] = { 0, 2 };

	for (uint32_t seq = 0; seq < 12; seq++)
		write_seq(dir, seq, 2 + seq % 3);
	assert_int_equal(snapc_meta_write(dir, NULL, drop, 2, 1, NULL), 0);
	assert_int_equal(snapc_meta_open(dir, &meta, NULL), 0);
	assert_int_equal(snapc_meta_sequences(meta, &seqs), 10);
	assert_int_equal(seqs[0], 1);
	assert_int_equal(seqs[1], 3);
	assert_int_equal(seqs[9], 11);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(snapc_meta_load(meta, seqs[i], &have, NULL), 0);
		test_snapshot_fill(&want, dir, seqs[i], 2 + seqs[i] % 3);
		test_snapshot_equal(have, &want);
		snapc_snapshot_destroy(have);
	}
	assert_int_equal(snapc_meta_load(meta, 2, &have, NULL), -ENOENT);
	snapc_meta_close(meta);
}

static void refuses_another_job(void **state)
{
	struct snapc_snapshot s;
	struct snapc_job other;
	struct cr_err err;

	write_seq(*state, 0, 2);
	test_snapshot_fill(&s, *state, 1, 2);
	other = *s.job;
	other.id = "elsewhere-1-2";
	s.job = &other;
	assert_int_equal(snapc_meta_write(*state, &s, NULL, 0, 1, &err), -EEXIST);
	assert_non_null(strstr(err.text, "another job"));
}

static void no_file_is_no_snapshot(void **state)
{
	struct snapc_meta *meta;
	struct cr_err err;

	assert_int_equal(snapc_meta_open(*state, &meta, &err), -ENOENT);
	assert_non_null(strstr(err.text, "no checkpoint"));
}

static unsigned char *slurp(const char *dir, size_t *ret_bytes, char *ret_path)
{
	unsigned char *data;
	FILE *f;
	long n;

	snprintf(ret_path, PATH_MAX + 64, "%s/%s", dir, SNAPC_META_NAME);
	f = fopen(ret_path, "rb");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	n = ftell(f);
	rewind(f);
	data = malloc((size_t)n);
	assert_int_equal(fread(data, 1, (size_t)n, f), n);
	fclose(f);
	*ret_bytes = (size_t)n;
	return data;
}

static void put(const char *path, const unsigned char *data, size_t bytes)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, bytes, f), bytes);
	assert_int_equal(fclose(f), 0);
}

/* Every bit of the file in memory; a few through the whole reader. */
static void flipped_bits_are_refused(void **state)
{
	struct snapc_meta *meta;
	char path[PATH_MAX + 64];
	unsigned char *data;
	struct cr_err err;
	size_t bytes;

	write_seq(*state, 0, 1);
	data = slurp(*state, &bytes, path);
	assert_int_equal(snapc_meta_block_check(data, bytes, path, &err), 0);
	for (size_t i = 0; i < bytes * 8; i++) {
		unsigned char flip = (unsigned char)(1u << i % 8);

		data[i / 8] ^= flip;
		err.text[0] = '\0';
		if (snapc_meta_block_check(data, bytes, path, &err) != -EBADMSG || !err.text[0])
			fail_msg("byte %zu changed by 0x%02x was not noticed", i / 8, flip);
		if (i % 40009 == 0) {
			put(path, data, bytes);
			assert_int_equal(snapc_meta_open(*state, &meta, &err), -EBADMSG);
		}
		data[i / 8] ^= flip;
	}
	free(data);
}

static void cut_files_are_refused(void **state)
{
	struct snapc_meta *meta;
	char path[PATH_MAX + 64];
	unsigned char *data;
	size_t bytes;

	write_seq(*state, 0, 1);
	data = slurp(*state, &bytes, path);
	for (size_t n = 0; n < bytes; n += 97) {
		put(path, data, n);
		if (snapc_meta_open(*state, &meta, NULL) != -EBADMSG)
			fail_msg("a file cut to %zu of %zu bytes was not noticed", n, bytes);
	}
	put(path, data, bytes);
	assert_int_equal(snapc_meta_open(*state, &meta, NULL), 0);
	snapc_meta_close(meta);
	free(data);
}

/* The old file must survive a writer that fails, and a write may not be partly visible. */
static void failed_write_leaves_old(void **state)
{
	struct snapc_snapshot s, *have;
	struct snapc_meta *meta;
	char path[PATH_MAX + 64];

	write_seq(*state, 0, 2);
	snprintf(path, sizeof(path), "%s/%s.tmp", (char *)*state, SNAPC_META_NAME);
	assert_int_equal(mkdir(path, 0700), 0);
	test_snapshot_fill(&s, *state, 1, 2);
	assert_true(snapc_meta_write(*state, &s, NULL, 0, 1, NULL) < 0);
	rmdir(path);
	assert_int_equal(snapc_meta_open(*state, &meta, NULL), 0);
	assert_int_equal(snapc_meta_load(meta, -1, &have, NULL), 0);
	assert_int_equal(have->seq, 0);
	snapc_snapshot_destroy(have);
	snapc_meta_close(meta);
}

static int h5dump_finds(const char *dump, const char *words)
{
	if (strstr(dump, words))
		return 1;
	print_error("h5dump does not print: %s\n", words);
	return 0;
}

static void h5dump_reads_it(void **state)
{
	static char dump[1 << 20];
	char command[PATH_MAX + 128];
	struct snapc_snapshot s;
	FILE *f;
	size_t n;

	if (system("command -v h5dump >/dev/null 2>&1") != 0)
		skip();
	write_seq(*state, 0, 2);
	write_seq(*state, 1, 2);
	test_snapshot_fill(&s, *state, 1, 2);
	snprintf(command, sizeof(command), "h5dump '%s/%s'", (char *)*state, SNAPC_META_NAME);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(dump, 1, sizeof(dump) - 1, f);
	dump[n] = '\0';
	assert_int_equal(pclose(f), 0);
	assert_true(h5dump_finds(dump, "GROUP \"sequence\""));
	assert_true(h5dump_finds(dump, "DATASET \"ranks\""));
	assert_true(h5dump_finds(dump, "H5T_STD_U64LE \"stopped_ns\""));
	assert_true(h5dump_finds(dump, "\"opal_snapshot_1.ckpt/cr_context\""));
	assert_true(h5dump_finds(dump, s.job->id));
	assert_true(h5dump_finds(dump, "\"quiesce\""));
	assert_true(h5dump_finds(dump, "\"--oversubscribe\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_file_is_no_snapshot, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(flipped_bits_are_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(cut_files_are_refused, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(refuses_another_job, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(failed_write_leaves_old, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(reads_back, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(keeps_older_sequences, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(h5dump_reads_it, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

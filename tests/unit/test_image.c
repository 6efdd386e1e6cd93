/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The context file: what is written is read again, and anything else is refused.
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/cr_image_format.h"
#include "libcr/image/cr_image_sum.h"

#define PAGE 4096u
#define ADDR 0x200000100000ull

static const char host_text[] = "a payload of a length that is not a multiple of anything";

static int temp_file(void)
{
	int fd = memfd_create("test_image", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void fill(unsigned char *mem, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		mem[i] = (unsigned char)(seed >> 33);
	}
}

static unsigned char *pages_new(size_t n, uint64_t seed)
{
	unsigned char *mem = aligned_alloc(PAGE, n * PAGE);

	assert_non_null(mem);
	fill(mem, n * PAGE, seed);
	return mem;
}

/* A small file with every shape of record: empty payload, odd payload, two runs around a zero page. */
static int write_small(struct cr_image_totals *ret_totals)
{
	unsigned char *mem = pages_new(3, 1);
	struct cr_image_writer *w = NULL;
	struct cr_err err = { "" };
	int fd = temp_file();

	memset(mem + PAGE, 0, PAGE);
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_HOST, host_text, sizeof(host_text), &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_BOARD, NULL, 0, &err), 0);
	assert_int_equal(cr_image_put_pages(w, ADDR, mem, 3 * PAGE, 0, &err), 0);
	assert_int_equal(cr_image_finish(w, ret_totals, &err), 0);
	cr_image_writer_destroy(w);
	free(mem);
	return fd;
}

/* Opens and checks everything, pages too. */
static int check_fd(int fd, struct cr_err *err)
{
	struct cr_image *img;
	int rc;

	rc = cr_image_open(fd, "test", &img, err);
	if (rc < 0)
		return rc;
	rc = cr_image_verify_pages(img, NULL, NULL, err);
	cr_image_close(img);
	return rc;
}

static void test_round_trip(void **state)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_image_totals written, read;
	unsigned char *mem = pages_new(3, 1);
	unsigned char page[PAGE];
	struct cr_err err = { "" };
	struct cr_image *img;
	struct stat st;
	int fd = write_small(&written);

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(written.file_bytes, st.st_size);
	assert_int_equal(written.records, 4);
	assert_int_equal(written.pages, 2);
	assert_int_equal(cr_image_open(fd, "test", &img, &err), 0);
	close(fd);
	cr_image_totals(img, &read);
	assert_memory_equal(&written, &read, sizeof(read));
	assert_string_equal(cr_image_name(img), "test");

	assert_int_equal(cr_image_next(img, &rec), 1);
	assert_int_equal(rec.type, CR_REC_HOST);
	assert_int_equal(rec.bytes, sizeof(host_text));
	assert_memory_equal(rec.data, host_text, sizeof(host_text));
	assert_int_equal(cr_image_next(img, &rec), 1);
	assert_int_equal(rec.type, CR_REC_BOARD);
	assert_int_equal(rec.bytes, 0);
	for (unsigned int i = 0; i < 3; i += 2) {
		assert_int_equal(cr_image_next(img, &rec), 1);
		assert_int_equal(rec.type, CR_REC_PAGES);
		assert_int_equal(rec.addr, ADDR + i * PAGE);
		assert_int_equal(rec.bytes, PAGE);
		assert_int_equal(rec.file_offset % PAGE, 0);
		assert_memory_equal(rec.data, mem + i * PAGE, PAGE);
		assert_int_equal(cr_image_read_pages(img, &rec, page, &err), 0);
		assert_memory_equal(page, mem + i * PAGE, PAGE);
	}
	assert_int_equal(cr_image_next(img, &rec), 0);
	assert_int_equal(cr_image_verify_pages(img, NULL, NULL, &err), 0);
	assert_int_equal(cr_image_find(img, CR_REC_BOARD, &rec), 0);
	assert_int_equal(cr_image_find(img, CR_REC_LAYOUT, &rec), -ENOENT);
	cr_image_close(img);
	free(mem);
}

static void test_every_byte_counts(void **state)
{
	struct cr_image_totals totals;
	struct cr_err err;
	int fd = write_small(&totals);
	unsigned char byte, changed;

	(void)state;
	for (uint64_t at = 0; at < totals.file_bytes; at++) {
		assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
		for (unsigned int bit = 0; bit < 8; bit++) {
			changed = byte ^ (unsigned char)(1u << bit);
			assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
			err.text[0] = '\0';
			if (check_fd(fd, &err) >= 0)
				fail_msg("a changed bit in byte %llu was not found", (unsigned long long)at);
			assert_true(strlen(err.text) > 20);
		}
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	}
	assert_int_equal(check_fd(fd, &err), 0);
	close(fd);
}

static void test_every_cut_is_refused(void **state)
{
	struct cr_image_totals totals;
	struct cr_err err = { "" };
	int fd = write_small(&totals), cut = temp_file();
	unsigned char *all = malloc(totals.file_bytes + 1);

	(void)state;
	assert_non_null(all);
	assert_int_equal(pread(fd, all, totals.file_bytes, 0), totals.file_bytes);
	for (uint64_t bytes = 0; bytes < totals.file_bytes; bytes++) {
		assert_int_equal(pwrite(cut, all, bytes, 0), bytes);
		assert_int_equal(ftruncate(cut, (off_t)bytes), 0);
		assert_true(check_fd(cut, &err) < 0);
	}
	/* longer is refused too */
	all[totals.file_bytes] = 0;
	assert_int_equal(pwrite(cut, all, totals.file_bytes + 1, 0), totals.file_bytes + 1);
	assert_int_equal(check_fd(cut, &err), -EBADMSG);
	free(all);
	close(cut);
	close(fd);
}

static void test_messages_name_the_place(void **state)
{
	struct cr_image_totals totals;
	struct cr_err err = { "" };
	int fd = write_small(&totals);
	struct cr_image_head head;
	off_t at = sizeof(struct cr_image_header);

	(void)state;
	/* record 0 is HOST: its payload */
	assert_int_equal(pwrite(fd, "X", 1, at + (off_t)sizeof(head)), 1);
	assert_int_equal(check_fd(fd, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "record 0 (HOST) at offset 0x40"));
	assert_int_equal(pwrite(fd, host_text, 1, at + (off_t)sizeof(head)), 1);
	/* the second page run */
	assert_int_equal(pwrite(fd, "XYZ", 3, (off_t)totals.file_bytes - 80 - 100), 3);
	assert_int_equal(check_fd(fd, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "0x200000102000"));
	/* no END */
	assert_int_equal(ftruncate(fd, (off_t)totals.file_bytes - 80), 0);
	assert_int_equal(check_fd(fd, &err), -ENODATA);
	assert_non_null(strstr(err.text, "no end record"));
	close(fd);
}

static void test_not_context_files(void **state)
{
	struct cr_err err = { "" };
	int fd = temp_file();

	(void)state;
	assert_int_equal(check_fd(fd, &err), -ENODATA);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "#!/bin/sh\n", 10), 10);
	assert_int_equal(check_fd(fd, &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a context file"));
	close(fd);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(check_fd(fd, &err), -EINVAL);
	close(fd);
	assert_int_equal(check_fd(-1, &err), -EBADF);
}

/* Pages that are left out, kept, split over records. */
static void test_zero_pages(void **state)
{
	const size_t n = 1500; /* more than a record holds */
	unsigned char *mem = pages_new(n, 7), *back = calloc(n, PAGE);
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_image_totals totals;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	struct cr_image *img;
	size_t kept = 0;
	int fd = temp_file();

	(void)state;
	for (size_t i = 0; i < n; i++) {
		if (i < 700 ? i % 2 : i % 97 == 3)
			memset(mem + i * PAGE, 0, PAGE);
		else
			kept++;
	}
	/* almost zero is not zero */
	memset(mem, 0, PAGE);
	mem[PAGE - 1] = 1;
	memset(mem + 2 * PAGE, 0, PAGE);
	mem[2 * PAGE + 2000] = 1;
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	assert_int_equal(cr_image_put_pages(w, ADDR, mem, n * PAGE, 0, &err), 0);
	assert_int_equal(cr_image_finish(w, &totals, &err), 0);
	cr_image_writer_destroy(w);
	assert_int_equal(totals.pages, kept);
	assert_int_equal(check_fd(fd, &err), 0);
	assert_int_equal(cr_image_open(fd, "test", &img, &err), 0);
	while (cr_image_next(img, &rec) > 0) {
		assert_int_equal(rec.type, CR_REC_PAGES);
		assert_int_equal(cr_image_read_pages(img, &rec, back + (rec.addr - ADDR), &err), 0);
	}
	assert_memory_equal(mem, back, n * PAGE);
	cr_image_close(img);
	close(fd);

	fd = temp_file();
	memset(mem, 0, n * PAGE);
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	assert_int_equal(cr_image_put_pages(w, ADDR, mem, 10 * PAGE, 0, &err), 0);
	assert_int_equal(cr_image_put_pages(w, ADDR, mem, 5 * PAGE, CR_PAGES_KEEP_ZERO, &err), 0);
	assert_int_equal(cr_image_finish(w, &totals, &err), 0);
	cr_image_writer_destroy(w);
	assert_int_equal(totals.pages, 5);
	assert_int_equal(check_fd(fd, &err), 0);
	close(fd);
	free(mem);
	free(back);
}

static void test_writer_refuses(void **state)
{
	static const unsigned char page[PAGE];
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd = temp_file();

	(void)state;
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_END, "x", 1, &err), -EINVAL);
	assert_int_equal(cr_image_put(w, CR_REC_PAGES, "x", 1, &err), -EINVAL);
	assert_int_equal(cr_image_put_pages(w, ADDR + 1, page, PAGE, 0, &err), -EINVAL);
	assert_int_equal(cr_image_put_pages(w, ADDR, page, PAGE - 1, 0, &err), -EINVAL);
	assert_int_equal(cr_image_put_pages(w, ADDR, page, PAGE, 8, &err), -EINVAL);
	assert_int_equal(cr_image_finish(w, NULL, &err), 0);
	assert_int_equal(cr_image_put(w, CR_REC_HOST, "x", 1, &err), -EINVAL);
	assert_int_equal(cr_image_finish(w, NULL, &err), -EINVAL);
	cr_image_writer_destroy(w);
	assert_int_equal(check_fd(fd, &err), 0);
	close(fd);
	cr_image_writer_destroy(NULL);
	cr_image_close(NULL);
}

/* A full disk: the failure is reported once with its reason, and stays. */
static void test_disk_full(void **state)
{
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(cr_image_writer_create(fd, &w, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "No space left"));
	close(fd);
}

static void test_file_size_limit(void **state)
{
	unsigned char *mem = pages_new(300, 3);
	struct rlimit old, small;
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	FILE *file = tmpfile();
	int fd, rc;

	(void)state;
	assert_non_null(file);
	fd = fileno(file);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 500000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	rc = cr_image_put_pages(w, ADDR, mem, 300 * PAGE, 0, &err);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(rc, -EFBIG);
	assert_non_null(strstr(err.text, "ulimit -f"));
	assert_int_equal(cr_image_finish(w, NULL, &err), -EFBIG);
	cr_image_writer_destroy(w);
	assert_int_equal(check_fd(fd, &err) < 0, 1);
	fclose(file);
	free(mem);
}

/* --- files made by hand: sound checksums around what this version does not write --- */

struct by_hand {
	struct cr_image_header header;
	struct cr_image_head head;
	uint8_t payload[16];
	struct cr_image_head end_head;
	struct cr_image_end end;
};

static void make_by_hand(struct by_hand *f, uint32_t type, uint32_t flags)
{
	memset(f, 0, sizeof(*f));
	f->header = (struct cr_image_header){
		.magic = CR_IMAGE_MAGIC,
		.byte_order = CR_IMAGE_BYTE_ORDER,
		.version = CR_IMAGE_VERSION,
		.header_bytes = sizeof(f->header),
		.head_bytes = sizeof(f->head),
		.page_bytes = CR_IMAGE_PAGE_BYTES,
		.machine = CR_IMAGE_MACHINE,
		.window_base = 0x200000000000,
		.window_end = 0x400000000000,
	};
	f->head = (struct cr_image_head){ .type = type, .flags = flags, .payload_bytes = 5, .file_offset = offsetof(struct by_hand, head) };
	memcpy(f->payload, "hello", 5);
	f->end_head = (struct cr_image_head){ .type = CR_REC_END, .payload_bytes = sizeof(f->end), .file_offset = offsetof(struct by_hand, end_head) };
	f->end = (struct cr_image_end){ .file_bytes = sizeof(*f), .records = 2 };
}

static void seal_by_hand(struct by_hand *f)
{
	f->header.checksum = cr_image_sum(&f->header, offsetof(struct cr_image_header, checksum));
	f->head.payload_checksum = cr_image_sum(f->payload, 5);
	f->head.head_checksum = cr_image_sum(&f->head, offsetof(struct cr_image_head, head_checksum));
	f->end.checksum = cr_image_sum(f, offsetof(struct by_hand, payload));
	f->end_head.payload_checksum = cr_image_sum(&f->end, sizeof(f->end));
	f->end_head.head_checksum = cr_image_sum(&f->end_head, offsetof(struct cr_image_head, head_checksum));
}

static int check_by_hand(struct by_hand *f, struct cr_err *err)
{
	int fd = temp_file(), rc;

	seal_by_hand(f);
	assert_int_equal(pwrite(fd, f, sizeof(*f), 0), sizeof(*f));
	rc = check_fd(fd, err);
	close(fd);
	return rc;
}

static void test_other_versions(void **state)
{
	struct cr_err err = { "" };
	struct by_hand f;

	(void)state;
	make_by_hand(&f, CR_REC_HOST, CR_IMAGE_FLAG_OPTIONAL);
	assert_int_equal(check_by_hand(&f, &err), 0);
	make_by_hand(&f, 4000, CR_IMAGE_FLAG_OPTIONAL);
	assert_int_equal(check_by_hand(&f, &err), 0);
	make_by_hand(&f, 4000, 0);
	assert_int_equal(check_by_hand(&f, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "4000"));
#define BAD(change, code)                     \
	make_by_hand(&f, CR_REC_HOST, 0);     \
	f.change;                             \
	assert_int_equal(check_by_hand(&f, &err), code);
	BAD(header.version = 2, -ENOTSUP)
	BAD(header.byte_order = 0x04030201, -ENOTSUP)
	BAD(header.byte_order = 0, -EBADMSG)
	BAD(header.machine = 183, -ENOTSUP)
	BAD(header.page_bytes = 65536, -ENOTSUP)
	BAD(header.window_base = 0, -ENOTSUP)
	BAD(header.reserved = 1, -EBADMSG)
	BAD(head.flags = 2, -EBADMSG)
	BAD(head.runs = 1, -EBADMSG)
	BAD(head.reserved = 1, -EBADMSG)
	BAD(head.file_offset = 128, -EBADMSG)
	BAD(head.payload_bytes = UINT64_MAX, -ENODATA)
	BAD(head.payload_bytes = UINT64_MAX - 64, -ENODATA)
	BAD(head.type = CR_REC_PAGES, -EBADMSG)
	BAD(head.type = CR_REC_END, -EBADMSG)
	BAD(end_head.payload_bytes = 16, -EBADMSG)
	BAD(end.records = 3, -EBADMSG)
	BAD(end.pages = 1, -EBADMSG)
	BAD(end.file_bytes = 1, -EBADMSG)
	BAD(payload[9] = 1, -EBADMSG)
#undef BAD
}

/* Many small records and many runs: the index grows. */
static void test_many_records(void **state)
{
	unsigned char *mem = pages_new(1, 5);
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_image_writer *w;
	struct cr_err err = { "" };
	struct cr_image *img;
	int fd = temp_file();

	(void)state;
	assert_int_equal(cr_image_writer_create(fd, &w, &err), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		assert_int_equal(cr_image_put(w, CR_REC_TIMER, &i, i % 4 + 1, &err), 0);
		assert_int_equal(cr_image_put_pages(w, ADDR + 2 * i * PAGE, mem, PAGE, 0, &err), 0);
		if (i % 2)
			assert_int_equal(cr_image_put_pages(w, ADDR + (2 * i + 1) * PAGE, mem, PAGE, 0, &err), 0);
	}
	assert_int_equal(cr_image_finish(w, NULL, &err), 0);
	cr_image_writer_destroy(w);
	assert_int_equal(cr_image_open(fd, "test", &img, &err), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		assert_int_equal(cr_image_next(img, &rec), 1);
		assert_int_equal(rec.type, CR_REC_TIMER);
		assert_int_equal(rec.bytes, i % 4 + 1);
		for (uint32_t k = 0; k < 1 + i % 2; k++) {
			assert_int_equal(cr_image_next(img, &rec), 1);
			assert_int_equal(rec.addr, ADDR + (2 * i + k) * PAGE);
		}
	}
	assert_int_equal(cr_image_next(img, &rec), 0);
	cr_image_close(img);
	close(fd);
	free(mem);
}

static void count_progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	uint64_t *last = arg;

	assert_true(done_bytes > *last);
	assert_true(done_bytes <= total_bytes);
	*last = done_bytes;
}

static void test_progress(void **state)
{
	struct cr_image_totals totals;
	struct cr_err err = { "" };
	struct cr_image *img;
	uint64_t last = 0;
	int fd = write_small(&totals);

	(void)state;
	assert_int_equal(cr_image_open(fd, "test", &img, &err), 0);
	assert_int_equal(cr_image_verify_pages(img, count_progress, &last, &err), 0);
	assert_int_equal(last, totals.pages * PAGE);
	cr_image_close(img);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_messages_name_the_place),
		cmocka_unit_test(test_not_context_files),
		cmocka_unit_test(test_zero_pages),
		cmocka_unit_test(test_writer_refuses),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_file_size_limit),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_other_versions),
		cmocka_unit_test(test_many_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

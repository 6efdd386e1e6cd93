/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors come back under their numbers with position, flags, sharing and content.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "libcr/lower/files_set.h"
#include "tests/unit/test_files_harness.h"

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void move(int from, int to)
{
	CHECK(from >= 0);
	CHECK(dup2(from, to) == to);
	if (from != to)
		close(from);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static char read_byte(int fd)
{
	char c = 0;

	CHECK(read(fd, &c, 1) == 1);
	return c;
}

static bool blocks(int fd)
{
	return !(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

/* --- regular files --- */

static void regular_setup(void)
{
	write_file("data", "0123456789");
	move(open("data", O_RDONLY | O_CLOEXEC), 7);
	CHECK(fcntl(7, F_SETFD, FD_CLOEXEC) == 0);
	CHECK(lseek(7, 4, SEEK_SET) == 4);
	CHECK(dup2(7, 20) == 20);
	move(open("data", O_RDONLY), 9);
	CHECK(lseek(9, 4, SEEK_SET) == 4);
	write_file("log", "one\n");
	move(open("log", O_WRONLY | O_APPEND | O_DSYNC), 12);
	CHECK(write(12, "two\n", 4) == 4);
	move(open("log", O_RDWR | O_NONBLOCK), 399);
}

static void regular_verify(void)
{
	char text[16] = "";

	CHECK(fcntl(7, F_GETFD) == FD_CLOEXEC);
	CHECK(fcntl(20, F_GETFD) == 0);
	CHECK(read_byte(7) == '4');
	CHECK(read_byte(20) == '5');
	CHECK(read_byte(9) == '4');
	CHECK(write(7, "x", 1) < 0 && errno == EBADF);
	CHECK((fcntl(12, F_GETFL) & (O_ACCMODE | O_APPEND | O_DSYNC)) == (O_WRONLY | O_APPEND | O_DSYNC));
	CHECK((fcntl(399, F_GETFL) & (O_ACCMODE | O_NONBLOCK)) == (O_RDWR | O_NONBLOCK));
	CHECK(lseek(12, 0, SEEK_CUR) == 8);
	CHECK(write(12, "three\n", 6) == 6);
	CHECK(pread(399, text, 14, 0) == 14 && strcmp(text, "one\ntwo\nthree\n") == 0);
	CHECK(!is_open(3) && !is_open(8) && !is_open(21));
}

static void test_regular(void **state)
{
	(void)state;
	test_roundtrip(regular_setup, regular_verify);
}

/* What was written after the checkpoint is written again: it must not be there twice. */
static void grown_save(void)
{
	move(open("grown", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600), 5);
	CHECK(write(5, "kept", 4) == 4);
	test_save_files(NULL);
	CHECK(write(5, "lost", 4) == 4);
}

static void grown_restore(void)
{
	struct stat st;

	test_restore_files();
	CHECK(fstat(5, &st) == 0 && st.st_size == 4);
	CHECK(lseek(5, 0, SEEK_CUR) == 4);
}

static void close_low(void)
{
	close(0);
	close(1);
	close(2);
}

static void grown_side(void)
{
	close_low();
	grown_save();
}

static void test_grown_is_cut_back(void **state)
{
	(void)state;
	test_in_child(grown_side);
	test_in_child(grown_restore);
}

static void check_fails(const char *words)
{
	struct cr_image *img = test_open_image();
	struct cr_err err = { "" };

	CHECK(cr_files_restore_check(img, &err) < 0);
	if (!strstr(err.text, words))
		test_child_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", err.text, words);
}

static void missing_checks(void)
{
	CHECK(rename("grown", "away") == 0);
	check_fails("/grown");
	check_fails("No such file");
	CHECK(mkdir("grown", 0700) == 0);
	check_fails("was a regular file at the checkpoint and is a directory now");
	CHECK(rmdir("grown") == 0 && rename("away", "grown") == 0 && truncate("grown", 3) == 0);
	check_fails("had 4 bytes at the checkpoint and has 3 now");
}

static void test_missing_is_refused(void **state)
{
	(void)state;
	test_in_child(grown_side);
	test_in_child(missing_checks);
}

/* --- unlinked files --- */

#define HOLE_BYTES (8L << 20)

static void unlinked_setup(void)
{
	move(open("gone", O_RDWR | O_CREAT | O_TRUNC, 0400), 4);
	CHECK(write(4, "begin", 5) == 5);
	CHECK(pwrite(4, "end", 3, HOLE_BYTES) == 3);
	CHECK(ftruncate(4, HOLE_BYTES + 100) == 0);
	move(open("gone", O_RDONLY), 6);
	CHECK(lseek(6, 2, SEEK_SET) == 2);
	CHECK(unlink("gone") == 0);
	move(open(".", O_TMPFILE | O_WRONLY, 0600), 8);
	CHECK(write(8, "anonymous", 9) == 9);
}

static void unlinked_verify(void)
{
	struct stat st, other;
	char text[16] = "";

	CHECK(fstat(4, &st) == 0 && st.st_nlink == 0 && st.st_size == HOLE_BYTES + 100 && (st.st_mode & 07777) == 0400);
	CHECK(st.st_blocks * 512 < HOLE_BYTES);
	CHECK(pread(4, text, 5, 0) == 5 && strcmp(text, "begin") == 0);
	CHECK(pread(4, text, 4, HOLE_BYTES) == 4 && strcmp(text, "end") == 0);
	CHECK(lseek(4, 0, SEEK_CUR) == 5);
	CHECK(fstat(6, &other) == 0 && other.st_ino == st.st_ino);
	CHECK(read_byte(6) == 'g' && (fcntl(6, F_GETFL) & O_ACCMODE) == O_RDONLY);
	CHECK(fstat(8, &st) == 0 && st.st_nlink == 0 && st.st_size == 9 && (fcntl(8, F_GETFL) & O_ACCMODE) == O_WRONLY);
	CHECK(lseek(8, 0, SEEK_CUR) == 9);
}

static void test_unlinked(void **state)
{
	(void)state;
	test_roundtrip(unlinked_setup, unlinked_verify);
}

static void unlinked_dir_setup(void)
{
	CHECK(mkdir("dir", 0700) == 0);
	move(open("dir/gone", O_RDWR | O_CREAT, 0600), 4);
	CHECK(write(4, "moved", 5) == 5);
	CHECK(unlink("dir/gone") == 0 && rmdir("dir") == 0);
}

static void unlinked_dir_verify(void)
{
	char text[8] = "";

	CHECK(pread(4, text, 5, 0) == 5 && strcmp(text, "moved") == 0);
}

static void test_unlinked_directory_gone(void **state)
{
	(void)state;
	test_roundtrip(unlinked_dir_setup, unlinked_dir_verify);
}

/* --- pipes --- */

static void pipe_setup(void)
{
	static char page[4096];
	int p[2], i;

	CHECK(pipe2(p, O_NONBLOCK) == 0);
	move(p[0], 30);
	move(p[1], 31);
	CHECK(fcntl(31, F_SETPIPE_SZ, 1 << 20) == 1 << 20);
	CHECK(fcntl(31, F_SETFL, 0) == 0);
	for (i = 0; i < 200; i++) {
		memset(page, 'a' + i % 26, sizeof(page));
		CHECK(write(31, page, sizeof(page) - (size_t)i) == (ssize_t)sizeof(page) - i);
	}
	/* a second description of the reading end */
	move(open("/proc/self/fd/30", O_RDONLY), 32);
	CHECK(dup2(31, 33) == 33);
}

static void pipe_check(int fd)
{
	static char page[4096];
	int left, i, k;

	for (i = 0; i < 200; i++) {
		CHECK(read(fd, page, sizeof(page) - (size_t)i) == (ssize_t)sizeof(page) - i);
		for (k = 0; k < (int)sizeof(page) - i; k++)
			CHECK(page[k] == 'a' + i % 26);
	}
	CHECK(ioctl(fd, FIONREAD, &left) == 0 && left == 0);
}

static void pipe_verify(void)
{
	CHECK(fcntl(30, F_GETPIPE_SZ) == 1 << 20);
	CHECK(!blocks(30) && blocks(31) && blocks(32));
	pipe_check(30);
	CHECK(write(31, "z", 1) == 1);
	CHECK(read_byte(32) == 'z');
	close(31);
	CHECK(write(33, "y", 1) == 1 && read_byte(30) == 'y');
	close(33);
	CHECK(read(32, &(char){ 0 }, 1) == 0); /* nobody else holds the writing end */
}

static void pipe_still_full(void)
{
	close_low();
	pipe_setup();
	test_save_files(NULL);
	test_save_files(NULL);
	pipe_check(30);
}

static void test_pipe(void **state)
{
	(void)state;
	test_roundtrip(pipe_setup, pipe_verify);
	test_in_child(pipe_still_full);
}

static void packet_setup(void)
{
	int p[2];

	CHECK(pipe2(p, O_DIRECT) == 0);
	move(p[0], 10);
	move(p[1], 11);
	CHECK(write(11, "one", 3) == 3 && write(11, "three", 5) == 5 && write(11, "x", 1) == 1);
}

static void packet_verify(void)
{
	char text[64];

	CHECK(read(10, text, sizeof(text)) == 3);
	CHECK(read(10, text, 2) == 2 && memcmp(text, "th", 2) == 0); /* the rest of a packet is dropped */
	CHECK(read(10, text, sizeof(text)) == 1 && text[0] == 'x');
	CHECK(write(11, "ab", 2) == 2 && write(11, "c", 1) == 1 && read(10, text, sizeof(text)) == 2);
}

static void test_packet_pipe(void **state)
{
	(void)state;
	test_roundtrip(packet_setup, packet_verify);
}

/* Ends whose partner is closed everywhere. */
static void widow_setup(void)
{
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(write(p[1], "left", 4) == 4);
	close(p[1]);
	move(p[0], 40);
	CHECK(pipe(p) == 0);
	close(p[0]);
	move(p[1], 41);
}

static void widow_verify(void)
{
	struct pollfd p = { .fd = 41 };
	char text[8] = "";

	CHECK(read(40, text, 8) == 4 && strcmp(text, "left") == 0);
	CHECK(read(40, text, 8) == 0);
	CHECK(poll(&p, 1, 0) == 1 && p.revents & POLLERR);
}

static void test_widowed_pipe(void **state)
{
	(void)state;
	test_roundtrip(widow_setup, widow_verify);
}

static void fifo_setup(void)
{
	CHECK(mkfifo("fifo", 0600) == 0);
	move(open("fifo", O_RDONLY | O_NONBLOCK), 3);
	move(open("fifo", O_WRONLY), 4);
	CHECK(write(4, "queued", 6) == 6);
}

static void fifo_verify(void)
{
	char text[8] = "";

	CHECK(!blocks(3) && blocks(4));
	CHECK(read(3, text, 8) == 6 && strcmp(text, "queued") == 0);
	close(4);
	CHECK(read(3, text, 8) == 0);
}

static void test_fifo(void **state)
{
	(void)state;
	test_roundtrip(fifo_setup, fifo_verify);
}

/* --- directories, devices, names --- */

static void others_setup(void)
{
	move(open(test_dir(), O_RDONLY | O_DIRECTORY), 15);
	move(open("/dev/null", O_RDWR), 16);
	move(open("/dev/urandom", O_RDONLY), 17);
	write_file("named", "n");
	move(open("named", O_PATH), 18);
	CHECK(symlink("named", "link") == 0);
	move(open("link", O_PATH | O_NOFOLLOW), 19);
	move(open("/proc/self/comm", O_RDONLY), 22);
	move(open("/proc/sys/kernel/ostype", O_RDONLY), 23);
	CHECK(read_byte(23) == 'L');
}

static void others_verify(void)
{
	struct stat st;
	char text[8];

	CHECK(fstatat(15, "named", &st, 0) == 0);
	CHECK(write(16, "x", 1) == 1 && read(16, text, 1) == 0);
	CHECK(read(17, text, 8) == 8);
	CHECK(fcntl(18, F_GETFL) & O_PATH && fstat(18, &st) == 0 && S_ISREG(st.st_mode));
	CHECK(fstat(19, &st) == 0 && S_ISLNK(st.st_mode));
	CHECK(read(22, text, 4) == 4 && memcmp(text, "test", 4) == 0);
	CHECK(read_byte(23) == 'i');
}

static void test_others(void **state)
{
	(void)state;
	test_roundtrip(others_setup, others_verify);
}

/* --- standard streams --- */

/* The launcher's streams are three pipes; their far ends lie above the floor, out of the program's sight. */
static int far[3];

static void make_streams(void)
{
	int p[2], i;

	for (i = 0; i < 3; i++) {
		CHECK(pipe(p) == 0);
		far[i] = fcntl(p[i == 0], F_DUPFD, TEST_FLOOR + 60);
		CHECK(far[i] >= 0);
		close(p[i == 0]);
		move(p[i != 0], i);
	}
}

static void streams_save(void)
{
	struct cr_stdio stdio;

	make_streams();
	cr_stdio_record(&stdio);
	CHECK(dup2(1, 10) == 10 && dup2(2, 11) == 11 && dup2(0, 12) == 12);
	CHECK(fcntl(12, F_SETFL, O_NONBLOCK) == 0);
	close(2);
	test_save_files(&stdio);
}

static void streams_restore(void)
{
	make_streams();
	test_restore_files();
	CHECK(write(10, "o", 1) == 1 && read_byte(far[1]) == 'o');
	CHECK(write(1, "p", 1) == 1 && read_byte(far[1]) == 'p');
	CHECK(write(11, "e", 1) == 1 && read_byte(far[2]) == 'e');
	CHECK(!is_open(2));
	CHECK(write(far[0], "i", 1) == 1 && read_byte(0) == 'i');
	CHECK(!blocks(0) && !blocks(12) && blocks(1));
	close(11);
	CHECK(read(far[2], &(char){ 0 }, 1) == 0); /* no copy of the new standard error is left over */
}

static void streams_closed(void)
{
	make_streams();
	close(2);
	check_fails("standard error, which is closed now");
}

static void test_streams(void **state)
{
	(void)state;
	test_in_child(streams_save);
	test_in_child(streams_restore);
	test_in_child(streams_closed);
}

/* stdin and stdout swapped, stderr a file: everything must end up where it was. */
static void swapped_save(void)
{
	struct cr_stdio stdio;

	make_streams();
	cr_stdio_record(&stdio);
	CHECK(dup2(0, 50) == 50 && dup2(1, 0) == 0 && dup2(50, 1) == 1);
	close(50);
	move(open("errors", O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
	CHECK(write(2, "bad", 3) == 3);
	test_save_files(&stdio);
}

static void swapped_restore(void)
{
	make_streams();
	test_restore_files();
	CHECK(write(0, "o", 1) == 1 && read_byte(far[1]) == 'o');
	CHECK(write(far[0], "i", 1) == 1 && read_byte(1) == 'i');
	CHECK(lseek(2, 0, SEEK_CUR) == 3);
}

static void test_swapped_streams(void **state)
{
	(void)state;
	test_in_child(swapped_save);
	test_in_child(swapped_restore);
}

/* A standard stream that is a file is that file again, as it would be for any other descriptor. */
static void redirected_save(void)
{
	struct cr_stdio stdio;

	close(1);
	CHECK(open("output", O_WRONLY | O_CREAT | O_TRUNC, 0600) == 1);
	cr_stdio_record(&stdio);
	CHECK(write(1, "line\n", 5) == 5);
	test_save_files(&stdio);
	CHECK(write(1, "late\n", 5) == 5);
}

static void redirected_restore(void)
{
	struct stat st;

	test_restore_files();
	CHECK(write(1, "more\n", 5) == 5);
	CHECK(stat("output", &st) == 0 && st.st_size == 10);
}

static void test_redirected_stream(void **state)
{
	(void)state;
	test_in_child(redirected_save);
	test_in_child(redirected_restore);
}

/* --- terminals --- */

static int open_terminal(char *ret_name, size_t bytes)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), up;

	CHECK(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && ptsname_r(master, ret_name, bytes) == 0);
	up = fcntl(master, F_DUPFD, TEST_FLOOR + 60);
	close(master);
	return up;
}

static void terminal_save(void)
{
	struct cr_stdio stdio;
	char name[64];
	int fd;

	open_terminal(name, sizeof(name));
	fd = open(name, O_RDWR | O_NOCTTY);
	move(dup(fd), 0);
	move(dup(fd), 1);
	move(fd, 2);
	cr_stdio_record(&stdio);
	CHECK(dup2(0, 9) == 9);
	test_save_files(&stdio);
}

static void terminal_restore(void)
{
	make_streams();
	test_restore_files();
	CHECK(write(9, "o", 1) == 1 && read_byte(far[1]) == 'o');
	CHECK(write(2, "e", 1) == 1 && read_byte(far[2]) == 'e');
	CHECK(write(far[0], "i", 1) == 1 && read_byte(0) == 'i');
}

static void test_terminal(void **state)
{
	(void)state;
	test_in_child(terminal_save);
	test_in_child(terminal_restore);
}

/* --- limits of the restarting process --- */

static void floor_lower(void)
{
	struct cr_image *img = test_open_image();
	struct cr_err err = { "" };

	CHECK(cr_files_restore(img, 20, &err) < 0);
	CHECK(strstr(err.text, "raise the limit (ulimit -n)"));
}

static void test_floor(void **state)
{
	(void)state;
	test_in_child(grown_side);
	test_roundtrip(regular_setup, regular_verify);
	test_in_child(floor_lower);
}

static void unknown_object(void)
{
	CHECK(cr_file_same_description(0, 0, true));
	move(open("/dev/null", O_RDWR), 5);
	move(open("/dev/null", O_RDWR), 6);
	CHECK(dup2(5, 7) == 7);
	CHECK(!cr_file_same_description(5, 6, true));
	CHECK(cr_file_same_description(5, 7, true));
}

static void test_same_description(void **state)
{
	(void)state;
	test_in_child(unknown_object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regular),
		cmocka_unit_test(test_grown_is_cut_back),
		cmocka_unit_test(test_missing_is_refused),
		cmocka_unit_test(test_unlinked),
		cmocka_unit_test(test_unlinked_directory_gone),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_packet_pipe),
		cmocka_unit_test(test_widowed_pipe),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_swapped_streams),
		cmocka_unit_test(test_redirected_stream),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_floor),
		cmocka_unit_test(test_same_description),
	};

	return cmocka_run_group_tests_name("files", tests, test_group_setup, test_group_teardown);
}

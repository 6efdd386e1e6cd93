/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is refused: a restart from an image that does not fit, a checkpoint of what cannot be saved. */
#include "tests/unit/test_mem_parts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "libcr/image/cr_vma.h"

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

void test_restore_refuses_changed_files(void **state)
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

void test_restore_refuses_taken_addresses(void **state)
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

void test_restore_refuses_nonsense(void **state)
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
void expect_nocr(void (*build)(void), const char *words)
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

void test_nocr(void **state)
{
	(void)state;
	expect_nocr(build_shared_with_child, "another process");
}

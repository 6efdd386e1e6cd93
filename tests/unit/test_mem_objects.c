/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared memory with an object behind it, which nothing but the memory refers to; guards. */
#include "tests/unit/test_mem_parts.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/utsname.h>

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

void test_objects(void **state)
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

void test_open_object(void **state)
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

void test_guards(void **state)
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

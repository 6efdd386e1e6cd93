/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the memory of the window: saved in one process, put back in another, and compared there.
 *
 * The test program itself never maps anything in the window: a child builds and saves, another child restores and looks.
 */
#ifndef TEST_MEM_PARTS_H
#define TEST_MEM_PARTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/image/cr_image.h"
#include "libcr/lower/cr_mem.h"

#define PAGE 4096ul
#define AT(n) ((unsigned char *)(CR_MMAP_ADDR + (n) * 0x1000000ul))
#define EXTRA ((unsigned char *)0x60000000ul)

/* In a child cmocka's asserts must not run: they would end another process's test. */
#define NEED(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "# %s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* ---- test_mem_parts.c: the directory of the test and its files, contents, mappings ---- */
extern char dir[], image_path[64], file_path[64], gone_path[64], shared_path[64];
extern const struct cr_mem_range extra[1];

void fill(unsigned char *mem, size_t bytes, unsigned int seed);
bool is_filled(const unsigned char *mem, size_t bytes, unsigned int seed);
bool is_zero(const unsigned char *mem, size_t bytes);
unsigned char *map_at(unsigned char *at, size_t bytes, int prot, int flags, int fd, off_t offset);
unsigned char *map_anon(unsigned char *at, size_t bytes);
/* Returns its descriptor. */
int make_file(const char *path, size_t bytes, unsigned int seed);
/* Has the area at @at @word in its permissions or flags? */
bool area_has(const void *at, const char *word);
void save(const struct cr_mem_areas *areas, bool in_child);
int open_image(struct cr_image **ret, struct cr_err *err);
void wait_good(pid_t pid);
void print_reason(void *arg, const char *reason);
/* @build and the saving in a child; in a child of that one when @in_child. */
void build_and_save(void (*build)(void), bool in_child);
void restore_and_look(void (*look)(void));

/* ---- test_mem_areas.c ---- */
void build_anon(void);
void look_anon(void);
void build_files(void);
void look_files(void);
void build_all(void);
void look_all(void);

/* ---- test_mem_engine.c, test_mem_refuse.c, test_mem_objects.c: see there ---- */
void expect_nocr(void (*build)(void), const char *words);
void test_engine(void **state);
void test_find_pages(void **state);
void test_restore_refuses_changed_files(void **state);
void test_restore_refuses_taken_addresses(void **state);
void test_restore_refuses_nonsense(void **state);
void test_nocr(void **state);
void test_guards(void **state);
void test_objects(void **state);
void test_open_object(void **state);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One process saves, another restores: both are children of the test, so that neither disturbs the runner's descriptors.
 */
#ifndef TEST_FILES_HARNESS_H
#define TEST_FILES_HARNESS_H

#include <stdbool.h>

#include "libcr/lower/cr_files.h"

#define TEST_FLOOR 400
#define TEST_MAX_REASONS 16

/* In a child: says what is wrong through a descriptor of the harness, and ends the child. */
__attribute__((noreturn, format(printf, 3, 4))) void test_child_fail(const char *file, int line, const char *fmt, ...);

#define CHECK(cond)                                                                   \
	do {                                                                          \
		if (!(cond))                                                          \
			test_child_fail(__FILE__, __LINE__, "%s (errno %d)", #cond, errno); \
	} while (0)

struct test_reasons {
	int n;
	char text[TEST_MAX_REASONS][600];
};

/* A scratch directory, current in every child; its name. */
const char *test_dir(void);
int test_group_setup(void **state);
int test_group_teardown(void **state);

/* Runs @fn in a child with nothing below the floor but 0, 1, 2; fails the test with the child's words. */
void test_in_child(void (*fn)(void));

/* In a child: descriptors and process state into the scratch file "image"; back from it. */
void test_save_files(const struct cr_stdio *stdio);
void test_restore_files(void);
struct cr_image *test_open_image(void);

/* setup, save in one child; restore, verify in another. 0, 1, 2 count as standard streams. */
void test_roundtrip(void (*setup)(void), void (*verify)(void));

/* In a child: the reasons against a checkpoint. */
void test_collect(void *reasons, const char *reason);

/* setup in a child, then exactly one reason is expected, which holds every given text; NULL ends the list. */
void test_refused(void (*setup)(void), const char *const *texts);

#endif

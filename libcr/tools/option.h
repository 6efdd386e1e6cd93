/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line of a tool as a table: each option says where its value goes.
 *
 * Invariant: every tool that has such a table treats --help, --version and wrong usage alike: the help on standard output and status 0; one line and where
 * the help is on standard error and status 2.
 */
#ifndef CR_TOOLS_OPTION_H
#define CR_TOOLS_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "libcr/cr_err.h"

enum { CR_USAGE_STATUS = 2 };

enum cr_option_kind {
	CR_KIND_END,
	CR_KIND_SET,        /* stores value */
	CR_KIND_ADD,        /* adds the bits of value */
	CR_KIND_TEXT,       /* stores its argument, borrowed */
	CR_KIND_NUMBER,     /* stores its argument, a number from value to most */
	CR_KIND_TAKE,       /* gives its argument to take() */
	CR_KIND_TAKE_MAYBE, /* its argument, given with "=", or NULL */
	CR_KIND_NOTHING,    /* accepted for those who are used to it */
	CR_KIND_REFUSED,    /* wrong usage, with words */
};

struct cr_option {
	const char *name; /* NULL: it has a letter alone */
	int letter;       /* 0: it has a name alone */
	enum cr_option_kind kind;
	size_t at, bytes; /* where in the tool's structure; numbers have 1, 4 or 8 bytes */
	long value, most;
	const char *words; /* of a number that is none: what is said before it; NULL: its bounds are */
	int (*take)(void *to, const char *text, struct cr_err *err); /* 0, or a negative errno with words */
};

#define CR_OPTION_TO(structure, field) .at = offsetof(structure, field), .bytes = sizeof(((structure *)NULL)->field)

#define CR_OPTION_SET(name_, letter_, to, value_) { .name = (name_), .letter = (letter_), .kind = CR_KIND_SET, to, .value = (value_) }
#define CR_OPTION_ADD(name_, letter_, to, value_) { .name = (name_), .letter = (letter_), .kind = CR_KIND_ADD, to, .value = (value_) }
#define CR_OPTION_TEXT(name_, letter_, to) { .name = (name_), .letter = (letter_), .kind = CR_KIND_TEXT, to }
#define CR_OPTION_NUMBER(name_, letter_, to, least_, most_, words_) \
	{ .name = (name_), .letter = (letter_), .kind = CR_KIND_NUMBER, to, .value = (least_), .most = (most_), .words = (words_) }
#define CR_OPTION_TAKE(name_, letter_, take_) { .name = (name_), .letter = (letter_), .kind = CR_KIND_TAKE, .take = (take_) }
#define CR_OPTION_TAKE_MAYBE(name_, letter_, take_) { .name = (name_), .letter = (letter_), .kind = CR_KIND_TAKE_MAYBE, .take = (take_) }
#define CR_OPTION_NOTHING(name_, letter_) { .name = (name_), .letter = (letter_), .kind = CR_KIND_NOTHING }
#define CR_OPTION_REFUSED(name_, letter_, words_) { .name = (name_), .letter = (letter_), .kind = CR_KIND_REFUSED, .words = (words_) }
#define CR_OPTION_END { .kind = CR_KIND_END }

struct cr_command {
	const char *name;  /* of the tool */
	const char *usage; /* what --help prints */
	const struct cr_option *options; /* --help, -h and --version are not in it */
	bool one_dash;     /* long options also work with one dash */
	bool then_command; /* what follows the first operand is not ours */
	int version;       /* a letter for --version; 0: none */
};

/**
 * cr_command_parse - read a command line
 * @command: the table; the options and getopt's own words come first, everything is said once
 * @argv: reordered: operands are from argv[optind] on
 * @to: the tool's structure, with defaults in it
 *
 * After a mistake the rest is read all the same, silently: who reacts to failures by command knows that command.
 *
 * Context: one thread; uses getopt.
 * Return: -1: go on; otherwise the exit status, everything having been said.
 */
int cr_command_parse(const struct cr_command *command, int argc, char **argv, void *to);

/* Wrong usage that the table does not see: says so. Return: the exit status. */
__attribute__((format(printf, 2, 3))) int cr_command_refuse(const struct cr_command *command, const char *fmt, ...);

#endif

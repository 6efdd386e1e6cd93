/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Command lines by table, over getopt. */
#include "libcr/tools/option.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

#define OPTIONS_MOST 96

enum { HELP = 256, VERSION, FIRST };

int cr_command_refuse(const struct cr_command *command, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", command->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nTry `%s --help`.\n", command->name);
	return CR_USAGE_STATUS;
}

static int argument_of(const struct cr_option *o)
{
	if (o->kind == CR_KIND_TEXT || o->kind == CR_KIND_NUMBER || o->kind == CR_KIND_TAKE)
		return required_argument;
	return o->kind == CR_KIND_TAKE_MAYBE ? optional_argument : no_argument;
}

/* What getopt wants: a table of the long ones, a text of the letters. */
static void getopt_tables(const struct cr_command *command, struct option *longs, char *letters)
{
	const struct cr_option *options = command->options;

	*longs++ = (struct option){ "help", no_argument, NULL, HELP };
	*longs++ = (struct option){ "version", no_argument, NULL, VERSION };
	if (command->then_command)
		*letters++ = '+';
	*letters++ = 'h';
	if (command->version)
		*letters++ = (char)command->version;
	for (int i = 0; i < OPTIONS_MOST && options[i].kind; i++) {
		int argument = argument_of(&options[i]);

		if (options[i].name)
			*longs++ = (struct option){ options[i].name, argument, NULL, FIRST + i };
		if (options[i].letter) {
			*letters++ = (char)options[i].letter;
			if (argument == required_argument)
				*letters++ = ':';
		}
	}
	*longs = (struct option){ NULL, 0, NULL, 0 };
	*letters = '\0';
}

static const struct cr_option *option_of(const struct cr_option *options, int c)
{
	if (c >= FIRST)
		return &options[c - FIRST];
	for (; options->kind; options++)
		if (options->letter == c)
			return options;
	return NULL;
}

static long value_get(const struct cr_option *o, const char *field)
{
	int narrow = 0;
	long wide = 0;

	if (o->bytes == sizeof(wide))
		memcpy(&wide, field, sizeof(wide));
	else if (o->bytes == sizeof(narrow))
		memcpy(&narrow, field, sizeof(narrow));
	return o->bytes == sizeof(wide) ? wide : narrow;
}

static void value_put(const struct cr_option *o, char *field, long value)
{
	bool flag = value;
	int narrow = (int)value;

	if (o->bytes == sizeof(value))
		memcpy(field, &value, sizeof(value));
	else if (o->bytes == sizeof(narrow))
		memcpy(field, &narrow, sizeof(narrow));
	else
		memcpy(field, &flag, sizeof(flag));
}

static int number_take(const struct cr_option *o, const char *text, char *field, struct cr_err *err)
{
	char letter[2] = { (char)o->letter, '\0' }, *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (*text && !*end && !errno && n >= o->value && n <= o->most) {
		value_put(o, field, n);
		return 0;
	}
	if (o->words)
		return cr_err_set(err, EINVAL, "%s: %s", o->words, text);
	return cr_err_set(err, EINVAL, "%s%s %s: a number from %ld to %ld is needed", o->name ? "--" : "-", o->name ? o->name : letter, text, o->value, o->most);
}

/* 0, or a negative errno with words. */
static int option_take(const struct cr_option *o, const char *text, char *to, struct cr_err *err)
{
	switch (o->kind) {
	case CR_KIND_SET:
		value_put(o, to + o->at, o->value);
		break;
	case CR_KIND_ADD:
		value_put(o, to + o->at, value_get(o, to + o->at) | o->value);
		break;
	case CR_KIND_TEXT:
		memcpy(to + o->at, &text, sizeof(text));
		break;
	case CR_KIND_NUMBER:
		return number_take(o, text, to + o->at, err);
	case CR_KIND_TAKE: case CR_KIND_TAKE_MAYBE:
		return o->take(to, text, err);
	case CR_KIND_REFUSED:
		return cr_err_set(err, EINVAL, "%s", o->words);
	case CR_KIND_NOTHING: case CR_KIND_END:
		break;
	}
	return 0;
}

int cr_command_parse(const struct cr_command *command, int argc, char **argv, void *to)
{
	struct option longs[OPTIONS_MOST + 3];
	char letters[2 * OPTIONS_MOST + 4], help[] = "-h";
	int c, status = -1;

	/* As with BLCR's tools; getopt returns a question mark for an option that it does not know. */
	if (argc > 1 && !strcmp(argv[1], "-?"))
		argv[1] = help;
	getopt_tables(command, longs, letters);
	while ((c = (command->one_dash ? getopt_long_only : getopt_long)(argc, argv, letters, longs, NULL)) != -1) {
		const struct cr_option *o = option_of(command->options, c);
		struct cr_err err = { "" };

		if (status < 0 && (c == HELP || c == 'h')) {
			fputs(command->usage, stdout);
			return 0;
		}
		if (status < 0 && (c == VERSION || (command->version && c == command->version))) {
			printf("%s (ompi-cr) %s\n", command->name, PACKAGE_VERSION);
			return 0;
		}
		if (c == '?' && status < 0) {
			fprintf(stderr, "Try `%s --help`.\n", command->name);
			status = CR_USAGE_STATUS;
		}
		if (o && option_take(o, optarg, to, &err) < 0 && status < 0)
			status = cr_command_refuse(command, "%s", err.text);
		opterr = status < 0;
	}
	return status;
}

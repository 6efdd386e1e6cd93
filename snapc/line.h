/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lines between tools and coordinator: "word key=value key=value\n".  Bytes of a value that are not printable ASCII, blanks, '%' and
 * '=' are written %XX.  The registry keeps its entries with the same coding of values.
 */
#ifndef SNAPC_LINE_H
#define SNAPC_LINE_H

#include <stdbool.h>
#include <stddef.h>

#define SNAPC_LINE_BYTES 8192 /* with the newline and a NUL */
#define SNAPC_LINE_PAIRS 48

/* A line that is being built. What does not fit is left out and @cut set. */
struct snapc_line {
	char text[SNAPC_LINE_BYTES];
	size_t used;
	bool cut;
};

void snapc_line_begin(struct snapc_line *line, const char *word);
__attribute__((format(printf, 3, 4))) void snapc_line_add(struct snapc_line *line, const char *key, const char *fmt, ...);
/* @bytes: of @value, which may hold anything */
void snapc_line_add_bytes(struct snapc_line *line, const char *key, const char *value, size_t bytes);
/* Ends the line with a newline; @line->text and @line->used can be sent then. */
void snapc_line_end(struct snapc_line *line);

/* A line taken apart; points into the text that was given, which is changed. */
struct snapc_words {
	const char *word;
	const char *keys[SNAPC_LINE_PAIRS];
	const char *values[SNAPC_LINE_PAIRS];
	size_t n;
};

/* @text: NUL-terminated, with or without the newline. Return: 0 or -EINVAL. */
int snapc_line_parse(char *text, struct snapc_words *ret_words);
/* The value, or @otherwise. */
const char *snapc_words_get(const struct snapc_words *words, const char *key, const char *otherwise);
/* A number >= 0 that is no larger than @limit, or @otherwise when it is missing or bad. */
long long snapc_words_number(const struct snapc_words *words, const char *key, long long limit, long long otherwise);

/* Coding of one value. encode: -ENOSPC; decode works in place: -EINVAL. */
int snapc_value_encode(const char *value, size_t bytes, char *ret_text, size_t room);
int snapc_value_decode(char *text);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lines of words: building and taking apart. */
#include "snapc/line.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool value_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '%' && c != '=';
}

int snapc_value_encode(const char *value, size_t bytes, char *ret_text, size_t room)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t used = 0;

	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)value[i];

		if (used + 4 > room)
			return -ENOSPC;
		if (value_plain(c)) {
			ret_text[used++] = (char)c;
			continue;
		}
		ret_text[used++] = '%';
		ret_text[used++] = hex[c >> 4];
		ret_text[used++] = hex[c & 15];
	}
	if (used >= room)
		return -ENOSPC;
	ret_text[used] = 0;
	return 0;
}

static int value_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int snapc_value_decode(char *text)
{
	char *to = text;
	int high, low;

	for (const char *from = text; *from; from++) {
		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = value_digit(from[1]);
		low = high < 0 ? -1 : value_digit(from[2]);
		if (low < 0 || (!high && !low))
			return -EINVAL; /* a NUL would hide the rest */
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = 0;
	return 0;
}

void snapc_line_begin(struct snapc_line *line, const char *word)
{
	line->cut = false;
	line->used = (size_t)snprintf(line->text, sizeof(line->text), "%s", word);
}

void snapc_line_add_bytes(struct snapc_line *line, const char *key, const char *value, size_t bytes)
{
	size_t room = sizeof(line->text) - 2 - line->used; /* newline and NUL stay free */
	char *at = line->text + line->used;
	int n = snprintf(at, room, " %s=", key);

	if (n < 0 || (size_t)n >= room || snapc_value_encode(value, bytes, at + n, room - (size_t)n) < 0) {
		*at = 0;
		line->cut = true;
		return;
	}
	line->used += strlen(at);
}

void snapc_line_add(struct snapc_line *line, const char *key, const char *fmt, ...)
{
	char value[SNAPC_LINE_BYTES / 2];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(value)) {
		line->cut = true;
		n = (int)sizeof(value) - 1;
	}
	snapc_line_add_bytes(line, key, value, (size_t)n);
}

void snapc_line_end(struct snapc_line *line)
{
	line->text[line->used++] = '\n';
	line->text[line->used] = 0;
}

int snapc_line_parse(char *text, struct snapc_words *ret_words)
{
	struct snapc_words words = { 0 };
	char *rest, *word, *value;

	text[strcspn(text, "\r\n")] = 0;
	word = strtok_r(text, " ", &rest);
	if (!word || strchr(word, '='))
		return -EINVAL;
	words.word = word;
	while ((word = strtok_r(NULL, " ", &rest))) {
		value = strchr(word, '=');
		if (!value || value == word || words.n == SNAPC_LINE_PAIRS)
			return -EINVAL;
		*value++ = 0;
		if (snapc_value_decode(value) < 0)
			return -EINVAL;
		words.keys[words.n] = word;
		words.values[words.n++] = value;
	}
	*ret_words = words;
	return 0;
}

const char *snapc_words_get(const struct snapc_words *words, const char *key, const char *otherwise)
{
	for (size_t i = 0; i < words->n; i++)
		if (!strcmp(words->keys[i], key))
			return words->values[i];
	return otherwise;
}

long long snapc_words_number(const struct snapc_words *words, const char *key, long long limit, long long otherwise)
{
	const char *text = snapc_words_get(words, key, NULL);
	long long value;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return otherwise;
	errno = 0;
	value = strtoll(text, &end, 10);
	return *end || errno || value > limit ? otherwise : value;
}

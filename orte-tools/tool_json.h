/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON on standard output, as far as the tools need it. */
#ifndef TOOL_JSON_H
#define TOOL_JSON_H

#include <stdio.h>

/* A string with quotes. Bytes that are not UTF-8 are replaced by U+FFFD. */
void tool_json_string(FILE *f, const char *s);
/* [ "...", ... ] of a NULL-terminated array (NULL: []). */
void tool_json_strings(FILE *f, char *const *strings);

/* Length of the UTF-8 sequence at @s, 0 when it is none. */
int tool_utf8_length(const unsigned char *s);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "libcr/tools/json.h"

/* Length of the UTF-8 character at @text, 0 when it is none. */
static size_t utf8_bytes(const char *text, size_t bytes)
{
	unsigned char c = (unsigned char)text[0];
	size_t n = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;

	if (n == 0 || n > bytes)
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void cr_json_string(FILE *f, const char *text, size_t bytes)
{
	putc('"', f);
	for (size_t i = 0; i < bytes; i++) {
		unsigned char c = (unsigned char)text[i];
		size_t n = utf8_bytes(text + i, bytes - i);

		if (n) {
			fwrite(text + i, 1, n, f);
			i += n - 1;
		} else if (c == '"' || c == '\\') {
			fprintf(f, "\\%c", c);
		} else if (c < 0x20 || c >= 0x7f) {
			/* a byte that is no text stands for the character of that number */
			fprintf(f, "\\u%04x", c);
		} else {
			putc(c, f);
		}
	}
	putc('"', f);
}

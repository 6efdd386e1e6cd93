/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Words that travel beside an errno.
 *
 * A function that fails returns a negative errno; the function that decides which error it is writes the sentence once.
 */
#ifndef CR_ERR_H
#define CR_ERR_H

#include <stdarg.h>
#include <stdio.h>

#define CR_ERR_TEXT_BYTES 512

struct cr_err {
	char text[CR_ERR_TEXT_BYTES];
};

/**
 * cr_err_set - write the sentence that explains a failure
 * @err: where to write; NULL is allowed and does nothing
 * @code: the errno value, positive or negative, that is returned
 * @fmt: printf format of the sentence; names the object, the reason and what to do
 *
 * Context: lower half or a tool; not signal-safe.
 * Return: -|code|, so that callers can write "return cr_err_set(err, errno, ...)".
 */
__attribute__((format(printf, 3, 4))) static inline int cr_err_set(struct cr_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return code < 0 ? code : -code;
}

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words on standard error that are no errors: the scheduler's log has them. */
#include <stdarg.h>
#include <stdio.h>

#include "orte-tools/sched/hook.h"

static enum hook_words hook_words_most = HOOK_WORDS_NOTE;

void hook_words_set(enum hook_words most)
{
	hook_words_most = most;
}

bool hook_words_wanted(enum hook_words level)
{
	return level <= hook_words_most;
}

void hook_say(enum hook_words level, const char *fmt, ...)
{
	char text[2 * PATH_MAX];
	va_list ap;

	if (!hook_words_wanted(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "ompi-cr-hook: %s\n", text);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon's log. Every line is written by one write(2), so that two processes may share the file. */
#include "snapc/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static enum snapc_log_level log_level = SNAPC_LOG_INFO;

void snapc_log_init(void)
{
	const char *text = getenv("CR_DEBUG");
	char *end;
	long level;

	if (!text || !*text)
		return;
	level = strtol(text, &end, 10);
	if (*end || level < 0)
		return;
	log_level = level > SNAPC_LOG_TRACE ? SNAPC_LOG_TRACE : (enum snapc_log_level)level;
	if (log_level < SNAPC_LOG_INFO)
		log_level = SNAPC_LOG_INFO;
}

int snapc_log_enabled(enum snapc_log_level level)
{
	return level <= log_level;
}

void snapc_log(enum snapc_log_level level, const char *fmt, ...)
{
	char line[2048];
	struct timespec now;
	struct tm tm;
	va_list ap;
	size_t used;
	int n;

	if (level > log_level)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	used = strftime(line, sizeof(line), "%Y-%m-%d %H:%M:%S", &tm);
	n = snprintf(line + used, sizeof(line) - used, ".%03ld snapcd[%d] ", now.tv_nsec / 1000000, (int)getpid());
	used += (size_t)n;
	va_start(ap, fmt);
	n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - used - 2)
		n = (int)(sizeof(line) - used - 2);
	for (int i = 0; i < n; i++) {
		unsigned char *c = (unsigned char *)&line[used + (size_t)i];

		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	used += (size_t)n;
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nowhere left to complain */
}

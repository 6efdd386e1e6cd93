/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The daemon's log: one line per event on stderr (snapcd --log opens a file over it), more of them with CR_DEBUG=level.
 */
#ifndef SNAPC_LOG_H
#define SNAPC_LOG_H

/* Said by a coordinator that ends before its job; the tools look for it. */
#define SNAPC_WORDS_UNPROTECTED "the job goes on without protection"

enum snapc_log_level {
	SNAPC_LOG_ERROR = 0,
	SNAPC_LOG_INFO = 1,  /* requests and their outcome; the default */
	SNAPC_LOG_DEBUG = 2, /* phases, processes that come and go */
	SNAPC_LOG_TRACE = 3, /* every message */
};

/* Level from CR_DEBUG (a number; anything else leaves the default). */
void snapc_log_init(void);
int snapc_log_enabled(enum snapc_log_level level);
/* One line, time in front; control characters of foreign text are printed as '?'. Context: any thread of the daemon. */
__attribute__((format(printf, 2, 3))) void snapc_log(enum snapc_log_level level, const char *fmt, ...);

#endif

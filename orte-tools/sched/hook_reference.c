/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The small file that a scheduler keeps in the place of a checkpoint: "reference version=1 dir=... seq=...". See hook.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orte-tools/sched/hook.h"
#include "snapc/line.h"

int hook_reference_make(const struct hook_reference *r, char *ret_text, size_t room)
{
	struct snapc_line line;

	snapc_line_begin(&line, "reference");
	snapc_line_add(&line, "version", "1");
	snapc_line_add(&line, "seq", "%lld", r->seq);
	snapc_line_add(&line, "dir", "%s", r->dir);
	snapc_line_add(&line, "cwd", "%s", r->cwd);
	snapc_line_add(&line, "output", "%s", r->output);
	snapc_line_add(&line, "error", "%s", r->error);
	if (r->previous[0])
		snapc_line_add(&line, "previous", "%s", r->previous);
	if (r->restarted) {
		snapc_line_add(&line, "restarted", "%d", (int)r->restarted);
		snapc_line_add(&line, "since", "%llu", r->since);
	}
	snapc_line_end(&line);
	if (line.cut || line.used >= room)
		return -ENAMETOOLONG;
	memcpy(ret_text, line.text, line.used);
	ret_text[line.used] = '\0';
	return 0;
}

int hook_reference_load(int fd, struct hook_reference *r, struct cr_err *err)
{
	char text[SNAPC_LINE_BYTES];
	struct snapc_words words;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0))
		return cr_err_set(err, EPERM, "the reference is not a file of the job's user");
	n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	memset(r, 0, sizeof(*r));
	if (n <= 0 || snapc_line_parse(text, &words) < 0 || strcmp(words.word, "reference") || snapc_words_number(&words, "version", 1, 0) != 1)
		return cr_err_set(err, EBADMSG, "the reference is damaged, or is not one of ompi-cr-hook");
	r->seq = snapc_words_number(&words, "seq", UINT32_MAX, -1);
	snprintf(r->dir, sizeof(r->dir), "%s", snapc_words_get(&words, "dir", ""));
	snprintf(r->cwd, sizeof(r->cwd), "%s", snapc_words_get(&words, "cwd", ""));
	snprintf(r->output, sizeof(r->output), "%s", snapc_words_get(&words, "output", ""));
	snprintf(r->error, sizeof(r->error), "%s", snapc_words_get(&words, "error", ""));
	snprintf(r->previous, sizeof(r->previous), "%s", snapc_words_get(&words, "previous", ""));
	r->restarted = (pid_t)snapc_words_number(&words, "restarted", INT_MAX, 0);
	r->since = (unsigned long long)snapc_words_number(&words, "since", INT64_MAX, 0);
	return r->dir[0] == '/' && r->seq >= 0 ? 0 : cr_err_set(err, EBADMSG, "the reference is damaged: it names no snapshot");
}

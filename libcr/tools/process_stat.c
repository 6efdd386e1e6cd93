/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads /proc/PID/stat. */
#include "libcr/tools/process_stat.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "pid (name) state ppid pgrp session ... starttime ...": the name may hold anything, so what follows is counted from the last parenthesis. */
static bool stat_parse(char *text, struct cr_process_stat *ret)
{
	char *open_ = strchr(text, '('), *close_ = strrchr(text, ')');

	if (!open_ || !close_ || close_ < open_)
		return false;
	*close_ = '\0';
	snprintf(ret->name, sizeof(ret->name), "%.15s", open_ + 1);
	return sscanf(close_ + 1, " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ret->state, &ret->parent, &ret->group,
		      &ret->session, &ret->start) == 5;
}

bool cr_process_stat(pid_t pid, struct cr_process_stat *ret)
{
	char path[64], text[1024];
	struct stat st;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0)
		n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	ret->uid = st.st_uid;
	return stat_parse(text, ret);
}

bool cr_process_runs(pid_t pid)
{
	struct cr_process_stat st;

	return cr_process_stat(pid, &st) && st.state != 'Z' && st.state != 'X';
}

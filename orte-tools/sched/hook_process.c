/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes of this host, and which of them are a job's: see hook.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orte-tools/sched/hook.h"

/* What follows the name in /proc/PID/stat, into @text; NULL when the process is not there. */
static const char *stat_read(const char *pid, char *text, size_t room, uid_t *ret_uid)
{
	char path[64], *end;
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	n = fstat(fd, &st) == 0 ? read(fd, text, room - 1) : -1;
	close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	*ret_uid = st.st_uid;
	end = strrchr(text, ')');
	return end && end[1] && end[2] != 'Z' ? end + 1 : NULL;
}

static bool process_read(const char *pid, struct hook_process *p)
{
	char text[1024];
	const char *rest = stat_read(pid, text, sizeof(text), &p->uid);

	p->pid = (pid_t)atol(pid);
	return rest && sscanf(rest, " %*c %d %d %d", &p->parent, &p->group, &p->session) == 3;
}

unsigned long long hook_process_since(pid_t pid)
{
	char name[24], text[1024];
	unsigned long long since;
	const char *rest;
	uid_t uid;

	snprintf(name, sizeof(name), "%d", (int)pid);
	rest = stat_read(name, text, sizeof(text), &uid);
	/* fields 3 to 22 */
	return rest && sscanf(rest, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &since) == 1 ? since : 0;
}

int hook_processes_read(struct hook_processes *ret)
{
	struct hook_process *all = NULL, *more, one;
	size_t n = 0, room = 0;
	struct dirent *e;
	DIR *d = opendir("/proc");

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]) || !process_read(e->d_name, &one))
			continue;
		if (n == room) {
			room = room ? 2 * room : 256;
			more = realloc(all, room * sizeof(*all));
			if (!more) {
				free(all);
				closedir(d);
				return -ENOMEM;
			}
			all = more;
		}
		all[n++] = one;
	}
	closedir(d);
	*ret = (struct hook_processes){ all, n };
	return 0;
}

void hook_processes_free(struct hook_processes *p)
{
	free(p->all);
	*p = (struct hook_processes){ NULL, 0 };
}

static const struct hook_process *find(const struct hook_processes *p, pid_t pid)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->all[i].pid == pid)
			return &p->all[i];
	return NULL;
}

/* The list was read while processes came and went: a circle of parents cannot be, but must not hold us. */
bool hook_process_below(const struct hook_processes *p, pid_t pid, pid_t top)
{
	for (size_t i = 0; pid > 1 && i <= p->n; i++) {
		const struct hook_process *q;

		if (pid == top)
			return true;
		q = find(p, pid);
		pid = q ? q->parent : 0;
	}
	return pid == top;
}

bool hook_process_of(const struct hook_processes *p, pid_t pid, pid_t id)
{
	const struct hook_process *q = find(p, pid);

	return q && id > 1 && (q->session == id || q->group == id || hook_process_below(p, pid, id));
}

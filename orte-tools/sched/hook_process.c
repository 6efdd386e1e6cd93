/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes of this host, and which of them are a job's: see hook.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "libcr/tools/process_stat.h"
#include "orte-tools/sched/hook.h"

static bool process_read(pid_t pid, struct hook_process *p)
{
	struct cr_process_stat st;

	if (!cr_process_stat(pid, &st) || st.state == 'Z')
		return false;
	*p = (struct hook_process){ .pid = pid, .uid = st.uid, .parent = st.parent, .group = st.group, .session = st.session };
	return true;
}

unsigned long long hook_process_since(pid_t pid)
{
	struct cr_process_stat st;

	return cr_process_stat(pid, &st) && st.state != 'Z' ? st.start : 0;
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
		if (!isdigit((unsigned char)e->d_name[0]) || !process_read((pid_t)atol(e->d_name), &one))
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

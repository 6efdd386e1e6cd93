/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/restart_progress.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/tools/progress.h"
#include "orte-tools/tool_job.h"

#define ASK_MS 200
#define ASKS_MOST (600 * 1000 / ASK_MS)

struct monitor {
	pid_t mpirun;
	struct snapc_registry_entry entry;
	bool found;
};

static int monitor_match(void *arg, const struct snapc_registry_entry *e)
{
	struct monitor *m = arg;

	if (e->mpirun_pid != m->mpirun)
		return 0;
	m->entry = *e;
	m->found = true;
	return 1;
}

/* Ranks that run again; -1: not known yet. */
static long monitor_ready(struct monitor *m)
{
	static char text[SNAPC_LINE_BYTES];
	struct snapc_words words;

	if (!m->found)
		snapc_registry_scan(monitor_match, m);
	if (!m->found || tool_job_ask(&m->entry, "status version=1\n", text, sizeof(text), &words) < 0)
		return -1;
	return (long)snapc_words_number(&words, "ready", INT32_MAX, -1);
}

static void __attribute__((noreturn)) monitor_run(const struct snapc_snapshot *s, struct monitor *m, int mpirun_fd)
{
	struct pollfd mpirun = { .fd = mpirun_fd, .events = POLLIN };
	struct cr_progress bar;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < s->np; i++)
		bytes += s->ranks[i].file_bytes;
	cr_progress_begin(&bar, "restore", bytes, false);
	cr_progress_set(&bar, 0);
	/* A rank runs again before all of its memory has been read: it is counted as a whole then. */
	for (int i = 0; i < ASKS_MOST && poll(&mpirun, 1, ASK_MS) == 0; i++) {
		long ready = monitor_ready(m);

		if (ready >= (long)s->np)
			break;
		if (ready > 0)
			cr_progress_set(&bar, bytes / s->np * (uint64_t)ready);
	}
	cr_progress_end(&bar);
	_exit(0);
}

void restart_progress_start(const struct snapc_snapshot *s)
{
	static struct monitor m;
	int status, fd;
	pid_t pid;

	m.mpirun = getpid();
	fd = cr_progress_wanted() ? (int)syscall(SYS_pidfd_open, m.mpirun, 0) : -1;
	if (fd < 0)
		return;
	/* Twice: mpirun must not find a child that it does not know. */
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			signal(SIGINT, SIG_DFL);
			monitor_run(s, &m, fd);
		}
		_exit(0);
	}
	close(fd);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

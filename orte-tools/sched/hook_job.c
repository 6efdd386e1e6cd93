/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The job of a scheduler, and the mpirun in it: see hook.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orte-tools/sched/hook.h"
#include "snapc/registry.h"

#define ENVIRON_BYTES (1u << 20)

/* Where the job's coordinator has registered: in the place that the job's environment names, which the scheduler's daemon does not know. */
static void registry_adopt(pid_t pid)
{
	static const char *const names[] = { SNAPC_REGISTRY_ENV "=", "XDG_RUNTIME_DIR=", "OMPI_CR_SYSTEM_CONFIG=" };
	char path[64], *text = malloc(ENVIRON_BYTES + 1);
	ssize_t n, have = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	fd = text ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	while (fd >= 0 && (n = read(fd, text + have, ENVIRON_BYTES - (size_t)have)) > 0)
		have += n;
	if (fd >= 0)
		close(fd);
	if (text)
		text[have] = '\0';
	for (char *at = text; text && at < text + have; at += strlen(at) + 1)
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strncmp(at, names[i], strlen(names[i]))) {
				char name[64];

				snprintf(name, sizeof(name), "%.*s", (int)strlen(names[i]) - 1, names[i]);
				setenv(name, at + strlen(names[i]), 1);
			}
	free(text);
}

struct search {
	const struct hook_processes *processes;
	pid_t id, found;
	unsigned int number;
};

static int match(void *arg, const struct snapc_registry_entry *e)
{
	struct search *s = arg;

	if (e->uid != geteuid() || e->mpirun_pid == s->found || !hook_process_of(s->processes, e->mpirun_pid, s->id))
		return 0;
	s->found = e->mpirun_pid;
	s->number++;
	return 0;
}

int hook_job_find(pid_t id, struct hook_job *job, struct cr_err *err)
{
	struct hook_processes p;
	struct search s = { .processes = &p, .id = id };
	size_t members = 0;

	if (hook_processes_read(&p) < 0)
		return cr_err_set(err, ENOMEM, "the processes of this host cannot be read");
	for (size_t i = 0; i < p.n; i++)
		if (p.all[i].uid == geteuid() && hook_process_of(&p, p.all[i].pid, id)) {
			registry_adopt(p.all[i].pid);
			members++;
			snapc_registry_scan(match, &s);
		}
	hook_processes_free(&p);
	if (!members)
		return cr_err_set(err, ESRCH, "no process of yours belongs to the session, group or process %d", (int)id);
	if (!s.number)
		return cr_err_set(err, ESRCH, "nothing in job process %d runs under protection: start it with `mpirun -am ft-enable-cr ...`", (int)id);
	if (s.number > 1)
		return cr_err_set(err, EMLINK, "job process %d has more than one mpirun under protection: only jobs with one can be brought back", (int)id);
	*job = (struct hook_job){ id, s.found };
	return 0;
}

void hook_job_signal(const struct hook_job *job, bool rest, int sig)
{
	struct hook_processes p;

	if (hook_processes_read(&p) < 0)
		return;
	for (size_t i = 0; i < p.n; i++) {
		pid_t pid = p.all[i].pid;

		if (p.all[i].uid != geteuid() || !hook_process_of(&p, pid, job->id) || hook_process_below(&p, getpid(), pid))
			continue;
		if (!rest || !hook_process_below(&p, pid, job->mpirun))
			kill(pid, sig);
	}
	hook_processes_free(&p);
}

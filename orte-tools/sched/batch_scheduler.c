/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between batch schedulers: how a job knows its id, that it was requeued, and how it asks for that. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orte-tools/sched/batch.h"

static bool set_and_not(const char *name, const char *none)
{
	const char *value = getenv(name);

	return value && *value && strcmp(value, none) != 0;
}

static bool never(void)
{
	return false;
}

static bool not_cancelled(const char *id)
{
	(void)id;
	return false;
}

/* Run @argv, its standard output into @out (truncated). Return: exit status, or -errno. */
static int command_read(char *const *argv, char *out, size_t room)
{
	size_t used = 0;
	int pipes[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(pipes) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		close(pipes[0]);
		close(pipes[1]);
		execvp(argv[0], argv);
		dprintf(2, "%s: %s", argv[0], strerror(errno));
		_exit(127);
	}
	close(pipes[1]);
	if (pid < 0) {
		close(pipes[0]);
		return -EAGAIN;
	}
	while ((n = read(pipes[0], out + used, room - 1 - used)) > 0 || (n < 0 && errno == EINTR))
		if (n > 0 && (used += (size_t)n) == room - 1)
			break;
	close(pipes[0]);
	out[used] = '\0';
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- Slurm --- */

static bool slurm_again(void)
{
	return set_and_not("SLURM_RESTART_COUNT", "0");
}

/* "NAME=value" of a line that scontrol prints, or "". */
static void slurm_field(const char *line, const char *name, char *ret, size_t room)
{
	const char *at = line;
	size_t n = strlen(name);

	ret[0] = '\0';
	while ((at = strstr(at, name))) {
		if (at[n] == '=' && (at == line || at[-1] == ' ')) {
			snprintf(ret, room, "%.*s", (int)strcspn(at + n + 1, " \n"), at + n + 1);
			return;
		}
		at += n;
	}
}

/* [days-]hours:minutes:seconds; LONG_MAX for UNLIMITED. */
static long slurm_seconds(const char *text)
{
	long days = 0, h, m, s;

	if (strchr(text, '-') && sscanf(text, "%ld-%ld:%ld:%ld", &days, &h, &m, &s) == 4)
		return ((days * 24 + h) * 60 + m) * 60 + s;
	return sscanf(text, "%ld:%ld:%ld", &h, &m, &s) == 3 ? (h * 60 + m) * 60 + s : LONG_MAX;
}

/* How Slurm's commands are to be told the job: the number of an array's first or last member stands for the whole array. */
static const char *slurm_name(const char *id, char *ret, size_t room)
{
	const char *array = getenv("SLURM_ARRAY_JOB_ID"), *task = getenv("SLURM_ARRAY_TASK_ID");

	if (array && *array && task && *task)
		snprintf(ret, room, "%s_%s", array, task);
	else
		snprintf(ret, room, "%s", id);
	return ret;
}

/* While a job is being ended its state reads COMPLETING, whatever the reason: neither preempted nor at its limit, it was cancelled. */
static bool slurm_cancelled(const char *id)
{
	char name[128], text[8192], state[32], preempted[32], ran[32], limit[32];
	char *argv[] = { "scontrol", "-o", "show", "job", (char *)(uintptr_t)slurm_name(id, name, sizeof(name)), NULL };

	if (command_read(argv, text, sizeof(text)) != 0)
		return false;
	slurm_field(text, "JobState", state, sizeof(state));
	slurm_field(text, "PreemptTime", preempted, sizeof(preempted));
	slurm_field(text, "RunTime", ran, sizeof(ran));
	slurm_field(text, "TimeLimit", limit, sizeof(limit));
	if (!strcmp(state, "CANCELLED"))
		return true;
	return !strcmp(state, "COMPLETING") && (!preempted[0] || !strcmp(preempted, "None")) && slurm_seconds(ran) < slurm_seconds(limit);
}

static int slurm_requeue(const char *id, struct cr_err *err)
{
	char name[128], text[1024];
	char *argv[] = { "scontrol", "requeue", (char *)(uintptr_t)slurm_name(id, name, sizeof(name)), NULL };
	int rc = command_read(argv, text, sizeof(text));

	if (rc == 0)
		return 0;
	text[strcspn(text, "\n")] = '\0';
	return cr_err_set(err, EREMOTEIO, "scontrol requeue %s: status %d: %s", name, rc, text);
}

/* --- Grid Engine --- */

static bool sge_again(void)
{
	return set_and_not("RESTARTED", "0");
}

static const struct batch_scheduler schedulers[] = {
	{ "slurm", "SLURM_JOB_ID", NULL, "SLURM_TASK_PID", BATCH_AGAIN, false, 0, slurm_again, slurm_cancelled, slurm_requeue,
	  "sinfo -h -N -n \"$SLURM_JOB_NODELIST\" -o %T 2>/dev/null | grep -q drain" },
	{ "sge", "JOB_ID", "SGE_TASK_ID", NULL, 99, true, SIGUSR2, sge_again, not_cancelled, NULL, NULL },
	{ "job", "OMPI_CR_BATCH_JOB", NULL, NULL, BATCH_AGAIN, false, 0, never, not_cancelled, NULL, NULL },
};

const struct batch_scheduler *batch_scheduler_find(void)
{
	size_t n = sizeof(schedulers) / sizeof(schedulers[0]);

	for (size_t i = 0; i < n; i++) {
		const char *id = getenv(schedulers[i].id_variable);

		if (id && *id)
			return &schedulers[i];
	}
	return &schedulers[n - 1];
}

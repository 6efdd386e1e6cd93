/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-checkpoint - save a running job.  Finds the job in the registry, asks its coordinator, prints what it says.
 *
 * stdout: the result ("Snapshot Ref.: <seq> <name>", or JSON).  stderr: progress and errors.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "orte-tools/checkpoint_dialogue.h"
#include "orte-tools/checkpoint_job.h"
#include "orte-tools/checkpoint_list.h"
#include "orte-tools/tool_job.h"
#include "orte-tools/tool_remote.h"
#include "snapc/fault.h"

/* --wait without --timeout, and how often it tries. */
#define TOOL_WAIT_SECONDS 60
#define TOOL_AGAIN_MS 200

static void tool_signal(int number)
{
	(void)number;
	tool_interrupted++;
}

/* Find the job, here or on another node, and connect to its coordinator. Return: exit status; *@ret_gone: as tool_attempt() */
static int tool_reach(struct tool *t, bool *ret_gone)
{
	struct cr_err err = { "" };
	int rc;

	if (!t->options.host) {
		rc = checkpoint_job_find(&t->options, t->words, &t->entry, ret_gone);
		if (rc)
			return *ret_gone || !t->options.wait ? rc : TOOL_AGAIN;
		t->fd = tool_job_connect(&t->entry, t->words);
		return t->fd < 0 ? TOOL_FAILED : TOOL_OK;
	}
	rc = checkpoint_job_find_far(&t->options, t->words, &t->entry);
	if (rc)
		return t->options.wait ? TOOL_AGAIN : rc;
	if (tool_remote_connect(&t->entry, &t->fd, &err) < 0) {
		fprintf(t->words, "ompi-checkpoint: %s\n", err.text);
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

/* Once: find the job, ask, listen. Return: exit status; *@ret_gone: it makes no sense to try again. */
static int tool_attempt(struct tool *t, bool *ret_gone)
{
	int rc;

	*ret_gone = false;
	rc = tool_reach(t, ret_gone);
	if (rc)
		return rc;
	t->printed_reasons = false;
	t->last_s = 0;
	t->phase[0] = '\0';
	t->limit_s = (long)snapc_phase_seconds(SNAPC_PHASE_REQUEST);
	if (tool_request(t) < 0) {
		fprintf(t->words, "ompi-checkpoint: the coordinator of mpirun %d has ended\n", (int)t->entry.mpirun_pid);
		rc = TOOL_FAILED;
	} else {
		rc = tool_dialogue(t);
	}
	checkpoint_progress_end(&t->progress);
	close(t->fd);
	return rc;
}

/* --wait: as long as the answer is "try again", and somebody wants to wait. What the earlier attempts said is not shown. */
static int tool_wait(struct tool *t)
{
	long seconds = t->options.timeout_seconds ? t->options.timeout_seconds : TOOL_WAIT_SECONDS;
	struct timespec pause = { .tv_nsec = TOOL_AGAIN_MS * 1000000L }, now, end;
	char *out = NULL, *words = NULL;
	size_t out_bytes, words_bytes;
	bool gone, late;
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	do {
		free(out);
		free(words);
		t->out = open_memstream(&out, &out_bytes);
		t->words = open_memstream(&words, &words_bytes);
		if (!t->out || !t->words)
			return TOOL_FAILED;
		rc = tool_attempt(t, &gone);
		fclose(t->out);
		fclose(t->words);
		clock_gettime(CLOCK_MONOTONIC, &now);
		late = now.tv_sec >= end.tv_sec;
		if (rc != TOOL_AGAIN || gone || late || tool_interrupted)
			break;
	} while (nanosleep(&pause, NULL) == 0);
	fputs(words, stderr);
	fputs(out, stdout);
	if (rc == TOOL_AGAIN && late)
		fprintf(stderr, "ompi-checkpoint: waited %ld s for it\n", seconds);
	free(out);
	free(words);
	return rc;
}

struct everybody {
	pid_t pids[1024]; /* of the processes that each see to one job */
	size_t n;
	char name[32];
	bool left_out, mine;
};

/* A process for each job; in the child: @name is its mpirun, and the scan ends. */
static int tool_split(void *arg, const struct snapc_registry_entry *e)
{
	struct everybody *all = arg;
	pid_t pid;

	if (all->n == sizeof(all->pids) / sizeof(all->pids[0]) || (pid = fork()) < 0) {
		fprintf(stderr, "ompi-checkpoint: no process to see to the job of mpirun %d\n", (int)e->mpirun_pid);
		all->left_out = true;
		return 0;
	}
	if (pid > 0) {
		all->pids[all->n++] = pid;
		return 0;
	}
	snprintf(all->name, sizeof(all->name), "%d", (int)e->mpirun_pid);
	all->mine = true;
	return 1;
}

/* --all. Return: -1 in a child, whose options name one job then; in the parent the worst of their exit statuses. */
static int tool_all(struct checkpoint_options *o)
{
	static struct everybody all;
	int worst = TOOL_OK, status;

	snapc_registry_scan(tool_split, &all);
	if (all.mine) {
		o->all = false;
		o->pid = all.name;
		return -1;
	}
	for (size_t i = 0; i < all.n; i++) {
		while (waitpid(all.pids[i], &status, 0) < 0 && errno == EINTR)
			;
		status = WIFEXITED(status) ? WEXITSTATUS(status) : TOOL_FAILED;
		worst = status && worst != TOOL_FAILED ? status : worst;
	}
	if (!all.n && !o->quiet)
		fprintf(stderr, "ompi-checkpoint: no job runs under protection on this host\n");
	return all.left_out ? TOOL_FAILED : worst;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = tool_signal };
	static struct tool t;
	bool gone;
	int rc;

	rc = checkpoint_options_parse(&t.options, argc, argv);
	if (rc >= 0)
		return rc;
	if (t.options.list)
		return tool_list(t.options.json) < 0 ? TOOL_FAILED : TOOL_OK;
	if (t.options.all) {
		rc = tool_all(&t.options);
		if (rc >= 0)
			return rc;
	}
	if (gethostname(t.host, sizeof(t.host) - 1) < 0)
		t.host[0] = 0;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	t.out = stdout;
	t.words = stderr;
	rc = t.options.wait ? tool_wait(&t) : tool_attempt(&t, &gone);
	if (fflush(stdout) == EOF)
		return TOOL_FAILED;
	return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-checkpoint - save a running job.  Finds the job in the registry, asks its coordinator, prints what it says.
 *
 * stdout: the result ("Snapshot Ref.: <seq> <name>", or JSON).  stderr: progress and errors.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "orte-tools/checkpoint_job.h"
#include "orte-tools/checkpoint_list.h"
#include "orte-tools/checkpoint_options.h"
#include "orte-tools/checkpoint_progress.h"
#include "orte-tools/tool_job.h"
#include "orte-tools/tool_json.h"
#include "orte-tools/tool_remote.h"
#include "snapc/fault.h"
#include "snapc/line.h"
#include "snapc/registry.h"

/* Beyond what the coordinator was given, or gave itself: its answer must come by then. */
#define TOOL_GRACE_SECONDS 10
#define TOOL_DEATH_MS 2000
/* --wait without --timeout, and how often it tries. */
#define TOOL_WAIT_SECONDS 60
#define TOOL_AGAIN_MS 200
#define TOOL_LOOK_MS 100

struct tool {
	struct checkpoint_options options;
	struct snapc_registry_entry entry;
	char host[256];
	int fd;
	FILE *out, *words; /* what an attempt says; with --wait only that of the last one is shown */
	double last_s;     /* time of the last status line */
	bool printed_reasons;
	long limit_s;      /* the coordinator says something within */
	char phase[32];    /* what it said last */
	struct checkpoint_progress progress;
};

static volatile sig_atomic_t tool_interrupted;

static void tool_signal(int number)
{
	(void)number;
	tool_interrupted++;
}

/* --- the dialogue --- */

static int tool_request(const struct tool *t)
{
	const struct checkpoint_options *o = &t->options;
	const char *fault = getenv("CR_FAULT");
	struct snapc_line line;

	snapc_line_begin(&line, o->interval >= 0 ? "interval" : o->check ? "check" : "checkpoint");
	snapc_line_add(&line, "version", "1");
	if (o->interval >= 0)
		snapc_line_add(&line, "seconds", "%ld", o->interval);
	snapc_line_add(&line, "term", "%d", o->term);
	snapc_line_add(&line, "stop", "%d", o->stop);
	snapc_line_add(&line, "nosync", "%d", o->nosync);
	snapc_line_add(&line, "nowait", "%d", o->nowait);
	snapc_line_add(&line, "timeout", "%ld", o->timeout_seconds);
	if (fault && *fault)
		snapc_line_add(&line, "fault", "%s", fault);
	snapc_line_end(&line);
	return send(t->fd, line.text, line.used, MSG_NOSIGNAL) == (ssize_t)line.used ? 0 : -EPIPE;
}

/* The names of the states that users of the original know. */
static const char *tool_state(const char *phase)
{
	static const char *const states[][2] = {
		{ "request", "Requested" },      { "quiesce", "Pending" },
		{ "stop", "Stopped" },           { "drain", "Draining" },
		{ "freeze", "Frozen" },          { "dump", "Running" },
		{ "running", "Continuing/Recovered" }, { "commit", "Locally Finished" },
		{ "established", "Checkpoint Established" }, { "terminating", "Terminating" },
		{ "stopping", "Stopping" },
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(states[i][0], phase))
			return states[i][1];
	return NULL;
}

static void tool_status(struct tool *t, const char *phase, const char *state, double at_s, const char *name)
{
	bool prints = t->options.status && !t->options.quiet;

	/* The job runs again while its memory is written: that is what the bar is about. */
	if (prints || strcmp(phase, "running") != 0)
		checkpoint_progress_end(&t->progress);
	if (prints)
		fprintf(t->words, "[%s:%05d] [%6.2f / %6.2f] %25s - %s\n", t->host, (int)getpid(), at_s - t->last_s, at_s, state, name);
	t->last_s = at_s;
}

static void tool_reason(struct tool *t, const struct snapc_words *words, FILE *json)
{
	const char *rank = snapc_words_get(words, "rank", "?"), *text = snapc_words_get(words, "text", "");

	if (json) {
		fputs(t->printed_reasons ? ",{\"rank\":" : "{\"rank\":", json);
		fprintf(json, "%lld,\"text\":", snapc_words_number(words, "rank", INT32_MAX, -1));
		tool_json_string(json, text);
		fputc('}', json);
	} else {
		fprintf(t->words, "ompi-checkpoint: rank %s: %s\n", rank, text);
	}
	t->printed_reasons = true;
}

static int tool_error(const struct tool *t, const struct snapc_words *words, const char *reasons)
{
	long long code = snapc_words_number(words, "errno", 4095, EIO);
	const char *text = snapc_words_get(words, "text", "no reason was given");

	if (t->options.json) {
		fprintf(t->out, "{\"ok\":false,\"errno\":%lld,\"error\":", code);
		tool_json_string(t->out, text);
		fprintf(t->out, ",\"reasons\":[%s]}\n", reasons);
	} else {
		fprintf(t->words, "ompi-checkpoint: %s%s\n", text,
			t->options.check ? "" : t->options.interval >= 0 ? "; the interval is what it was" : "; the job was not saved");
	}
	return code == EAGAIN || code == EBUSY ? TOOL_AGAIN : TOOL_FAILED;
}

static void tool_ok_json(const struct tool *t, const struct snapc_words *words)
{
	static const char *const numbers[] = { "seq", "np", "file_bytes", "messages", "message_bytes", "stopped_ns", "total_ns", "interval" };

	fprintf(t->out, "{\"ok\":true");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (snapc_words_get(words, numbers[i], NULL))
			fprintf(t->out, ",\"%s\":%lld", numbers[i], snapc_words_number(words, numbers[i], INT64_MAX, 0));
	if (!t->options.check && t->options.interval < 0) {
		fputs(",\"ref\":", t->out);
		tool_json_string(t->out, snapc_words_get(words, "ref", ""));
		fputs(",\"dir\":", t->out);
		tool_json_string(t->out, snapc_words_get(words, "dir", ""));
	}
	fputs("}\n", t->out);
}

static void tool_ok_verbose(const struct tool *t, const struct snapc_words *words)
{
	long long advice = snapc_words_number(words, "advice_s", INT64_MAX, 0);

	fprintf(t->words, "[%s:%05d] %lld bytes in %s/%lld; stopped %.3f ms; %lld messages (%lld bytes) were in flight\n", t->host, (int)getpid(),
		snapc_words_number(words, "file_bytes", INT64_MAX, 0), snapc_words_get(words, "dir", ""), snapc_words_number(words, "seq", INT32_MAX, -1),
		(double)snapc_words_number(words, "stopped_ns", INT64_MAX, 0) / 1e6, snapc_words_number(words, "messages", INT64_MAX, 0),
		snapc_words_number(words, "message_bytes", INT64_MAX, 0));
	if (advice)
		fprintf(t->words, "[%s:%05d] at this cost a checkpoint every %lld s loses least time (Daly; see the settings interval and mtbf)\n",
			t->host, (int)getpid(), advice);
}

static int tool_ok(const struct tool *t, const struct snapc_words *words)
{
	const struct checkpoint_options *o = &t->options;

	if (o->json) {
		tool_ok_json(t, words);
	} else if (o->quiet) {
		return TOOL_OK;
	} else if (o->interval > 0) {
		fprintf(t->out, "The job is checkpointed every %ld s.\n", o->interval);
	} else if (o->interval == 0) {
		fprintf(t->out, "The job is checkpointed when it is asked for, not by itself.\n");
	} else if (o->check) {
		fprintf(t->out, "The job can be checkpointed: %s ranks.\n", snapc_words_get(words, "np", "?"));
	} else {
		if (o->verbose > 0)
			tool_ok_verbose(t, words);
		fprintf(t->out, "Snapshot Ref.: %3lld %s\n", snapc_words_number(words, "seq", INT32_MAX, -1), snapc_words_get(words, "ref", ""));
	}
	return TOOL_OK;
}

/* --nowait: the ranks are being saved; the rest is the coordinator's. */
static int tool_leave(const struct tool *t, const struct snapc_words *words)
{
	if (!t->options.quiet)
		fprintf(t->words, "ompi-checkpoint: not waiting; the snapshot is not valid before `ompi-snapshot list` shows it\n");
	return tool_ok(t, words);
}

/* Return: -1: go on; otherwise the exit status. */
static int tool_line(struct tool *t, char *text, FILE *reasons_json, char **reasons)
{
	struct snapc_words words;
	const char *phase, *state;
	char name[300] = "...";
	double at_s;

	if (snapc_line_parse(text, &words) < 0) {
		fprintf(stderr, "ompi-checkpoint: the coordinator's answer is not understood: install the same ompi-cr everywhere\n");
		return TOOL_FAILED;
	}
	at_s = (double)snapc_words_number(&words, "ns", INT64_MAX, 0) / 1e9;
	if (!strcmp(words.word, "phase")) {
		phase = snapc_words_get(&words, "name", "");
		snprintf(t->phase, sizeof(t->phase), "%s", phase);
		t->limit_s = (long)snapc_words_number(&words, "limit_s", 10000000, t->limit_s);
		state = tool_state(phase);
		if (!strcmp(phase, "established"))
			snprintf(name, sizeof(name), "%s", snapc_words_get(&words, "ref", "..."));
		if (state)
			tool_status(t, phase, state, at_s, name);
		if (!strcmp(phase, "dump"))
			checkpoint_progress_begin(&t->progress, &words, t->options.quiet || t->options.nowait);
		return t->options.nowait && !strcmp(phase, "freeze") ? tool_leave(t, &words) : -1;
	}
	if (!strcmp(words.word, "reason")) {
		tool_reason(t, &words, reasons_json);
		return -1;
	}
	if (!strcmp(words.word, "error")) {
		if (reasons_json)
			fflush(reasons_json);
		tool_status(t, "error", "Error", t->last_s, "...");
		return tool_error(t, &words, reasons_json ? *reasons : "");
	}
	if (!strcmp(words.word, "ok"))
		return tool_ok(t, &words);
	return -1; /* a word of a later version */
}

/* State of a process as /proc says it; 0: it is gone. */
static char tool_process_state(pid_t pid)
{
	char path[64], text[512], *p;
	size_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = 0;
	p = strrchr(text, ')');
	return p && p[1] == ' ' ? p[2] : 0;
}

/* The coordinator is silent: why, as far as can be seen from here, and what that means. */
static void tool_silence(const struct tool *t)
{
	const char *where = t->phase[0] ? t->phase : "request";
	char state;

	if (t->options.host) {
		fprintf(t->words, "ompi-checkpoint: the coordinator on %s has said nothing for %ld s in phase %s. The ranks run on by themselves after the setting "
			"timeout_silence; whether the snapshot became valid, `ompi-snapshot list` says\n", t->options.host, t->limit_s + TOOL_GRACE_SECONDS, where);
		return;
	}
	state = tool_process_state(t->entry.snapcd_pid);
	fprintf(t->words, "ompi-checkpoint: the coordinator (process %d) has said nothing for %ld s in phase %s: %s. The ranks run on by themselves after "
		"the setting timeout_silence; whether the snapshot became valid, `ompi-snapshot list` says\n", (int)t->entry.snapcd_pid,
		t->limit_s + TOOL_GRACE_SECONDS, where, state == 'T' || state == 't' ? "it is stopped (SIGCONT lets it go on)" :
		state == 'D' ? "it waits for a device or a file system" : state ? "it hangs" : "it is gone");
}

/* A process that dies closes its connections a moment before it is seen to be dead. */
static void tool_let_die(const struct tool *t)
{
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, t->entry.snapcd_pid, 0), .events = POLLIN };

	if (end.fd < 0)
		return;
	(void)!poll(&end, 1, TOOL_DEATH_MS);
	close(end.fd);
}

/* The coordinator has closed the connection without an answer. */
static void tool_abandoned(const struct tool *t)
{
	char job, coordinator;

	if (t->options.host) {
		fprintf(t->words, "ompi-checkpoint: the connection to the coordinator on %s ended in phase %s: it has died, or the job has ended, or the network was "
			"cut; whether the snapshot became valid, `ompi-snapshot list` says\n", t->options.host, t->phase[0] ? t->phase : "request");
		return;
	}
	tool_let_die(t);
	job = tool_process_state(t->entry.mpirun_pid);
	coordinator = tool_process_state(t->entry.snapcd_pid);
	if (!job || job == 'Z')
		fprintf(t->words, "ompi-checkpoint: the job ended before the checkpoint was established\n");
	else if (!coordinator || coordinator == 'Z')
		fprintf(t->words, "ompi-checkpoint: the coordinator of the job died in phase %s: the checkpoint is not established, the job runs on\n",
			t->phase[0] ? t->phase : "request");
	else
		fprintf(t->words, "ompi-checkpoint: the connection to the coordinator was cut in phase %s; it goes on, and `ompi-snapshot list` will show "
			"the snapshot when it is valid\n", t->phase[0] ? t->phase : "request");
}

/* Wait for input or an interrupt. Return: bytes read, 0: the coordinator is gone, -ETIMEDOUT. */
static ssize_t tool_read(struct tool *t, char *buf, size_t room, int *told)
{
	static const char abort_line[] = "abort version=1\n";
	struct pollfd in = { .fd = t->fd, .events = POLLIN };
	int wait_ms = (int)(t->limit_s + TOOL_GRACE_SECONDS) * 1000, waited_ms = 0;
	ssize_t n;

	for (;;) {
		if (tool_interrupted > *told) {
			if ((*told)++) {
				fprintf(stderr, "ompi-checkpoint: leaving; the coordinator goes on\n");
				_exit(TOOL_FAILED);
			}
			fprintf(stderr, "ompi-checkpoint: interrupted: the checkpoint is given up, the job goes on\n");
			checkpoint_progress_end(&t->progress);
			if (send(t->fd, abort_line, sizeof(abort_line) - 1, MSG_NOSIGNAL) < 0)
				return 0;
		}
		checkpoint_progress_look(&t->progress);
		n = poll(&in, 1, t->progress.running ? TOOL_LOOK_MS : wait_ms);
		waited_ms += t->progress.running ? TOOL_LOOK_MS : 0;
		if (n == 0 && t->progress.running && waited_ms < wait_ms)
			continue;
		if (n == 0)
			return -ETIMEDOUT;
		if (n < 0 && errno == EINTR)
			continue;
		n = read(t->fd, buf, room);
		if (n < 0 && errno == EINTR)
			continue;
		return n < 0 ? 0 : n;
	}
}

static int tool_dialogue(struct tool *t)
{
	static char buf[2 * SNAPC_LINE_BYTES];
	char *reasons = NULL, *end;
	size_t used = 0, reasons_bytes = 0;
	FILE *json = t->options.json ? open_memstream(&reasons, &reasons_bytes) : NULL;
	int rc = -1, told = 0;
	ssize_t n;

	while (rc < 0) {
		n = tool_read(t, buf + used, sizeof(buf) - 1 - used, &told);
		if (n <= 0) {
			checkpoint_progress_end(&t->progress);
			if (n == 0)
				tool_abandoned(t);
			else
				tool_silence(t);
			rc = TOOL_FAILED;
			break;
		}
		used += (size_t)n;
		buf[used] = 0;
		while (rc < 0 && (end = strchr(buf, '\n'))) {
			*end++ = 0;
			rc = tool_line(t, buf, json, &reasons);
			used -= (size_t)(end - buf);
			memmove(buf, end, used + 1);
		}
		if (rc < 0 && used == sizeof(buf) - 1)
			used = 0; /* no line is that long */
	}
	if (json)
		fclose(json);
	free(reasons);
	return rc;
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

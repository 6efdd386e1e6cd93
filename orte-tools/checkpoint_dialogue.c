/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The request, the lines that come back, and what is said when none do. */
#include "orte-tools/checkpoint_dialogue.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/tools/process_stat.h"
#include "snapc/line.h"

/* Beyond what the coordinator was given, or gave itself: its answer must come by then. */
#define TOOL_GRACE_SECONDS 10
#define TOOL_DEATH_MS 2000
#define TOOL_LOOK_MS 100

volatile sig_atomic_t tool_interrupted;

int tool_request(const struct tool *t)
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

/* State of a process as ps(1) says it; 0: it is gone. */
static char tool_process_state(pid_t pid)
{
	struct cr_process_stat st;

	return cr_process_stat(pid, &st) ? st.state : 0;
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
		n = poll(&in, 1, t->progress.dump.running ? TOOL_LOOK_MS : wait_ms);
		waited_ms += t->progress.dump.running ? TOOL_LOOK_MS : 0;
		if (n == 0 && t->progress.dump.running && waited_ms < wait_ms)
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

int tool_dialogue(struct tool *t)
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

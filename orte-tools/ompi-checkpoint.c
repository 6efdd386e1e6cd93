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
#include <unistd.h>

#include "orte-tools/checkpoint_list.h"
#include "orte-tools/checkpoint_options.h"
#include "orte-tools/tool_json.h"
#include "snapc/fault.h"
#include "snapc/line.h"
#include "snapc/listener.h"
#include "snapc/registry.h"

/* Beyond what the coordinator was given, or gave itself: its answer must come by then. */
#define TOOL_GRACE_SECONDS 10

struct tool {
	struct checkpoint_options options;
	struct snapc_registry_entry entry;
	char host[256];
	int fd;
	double last_s; /* time of the last status line */
	bool printed_reasons;
	long limit_s;      /* the coordinator says something within */
	char phase[32];    /* what it said last */
};

static volatile sig_atomic_t tool_interrupted;

static void tool_signal(int number)
{
	(void)number;
	tool_interrupted++;
}

/* --- the job --- */

/* @list: the names that Slurm has for a job, separated by commas */
static bool tool_is_slurm_job(const char *job, const char *list)
{
	size_t n = strlen(job);

	for (const char *at = list; (at = strstr(at, job)); at++)
		if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ','))
			return true;
	return false;
}

static int tool_match(void *arg, const struct snapc_registry_entry *e)
{
	struct tool *t = arg;
	const struct checkpoint_options *o = &t->options;
	const char *pid = o->pid ? o->pid : o->name, *job = o->job ? o->job : o->name;
	char text[32];

	if (o->latest) {
		if (e->uid != geteuid())
			return 0; /* root names the job of somebody else by its pid */
		if (!t->entry.mpirun_pid || e->mpirun_start > t->entry.mpirun_start ||
		    (e->mpirun_start == t->entry.mpirun_start && e->mpirun_pid > t->entry.mpirun_pid))
			t->entry = *e;
		return 0;
	}
	snprintf(text, sizeof(text), "%d", (int)e->mpirun_pid);
	if (pid && !strcmp(pid, text)) {
		t->entry = *e;
		return 1; /* a pid goes before a job id that looks like it */
	}
	if (job && *job && (!strcmp(job, e->job) || tool_is_slurm_job(job, e->slurm_job)))
		t->entry = *e;
	return 0;
}

/* A job that is about to be there: ompi-restart at its checks, or an mpirun under protection that has not registered yet. */
static bool tool_starting(long pid)
{
	char path[64], line[4096];
	size_t bytes, at;
	FILE *f;
	bool mpirun = false, restart = false, protected = false;

	snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	bytes = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[bytes] = '\0';
	for (at = 0; at < bytes; at += strlen(line + at) + 1) {
		const char *word = line + at, *base = strrchr(word, '/') ? strrchr(word, '/') + 1 : word;

		if (at == 0) {
			restart = !strcmp(base, "ompi-restart");
			mpirun = !strncmp(base, "mpirun", 6) || !strncmp(base, "mpiexec", 7) || !strncmp(base, "orterun", 7);
			protected = !strcmp(base, "ompi-cr-srun");
			mpirun |= protected;
		}
		protected |= !strcmp(base, "ft-enable-cr");
	}
	return restart || (mpirun && protected);
}

/* The pid of srun stands for ompi-cr-srun, which has started it. Return: its pid in words, or "". */
static void tool_srun_parent(long pid, char *ret, size_t room)
{
	char path[64], line[1024], *end;
	size_t bytes;
	int parent;
	FILE *f;

	ret[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	bytes = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[bytes] = '\0';
	end = strrchr(line, ')');
	if (end && strstr(line, "(srun)") && sscanf(end, ") %*c %d", &parent) == 1)
		snprintf(ret, room, "%d", parent);
}

static void tool_find(struct tool *t)
{
	struct checkpoint_options *o = &t->options;
	const char *pid = o->pid ? o->pid : o->name;
	static char parent[24];
	long number;

	snapc_registry_scan(tool_match, t);
	if (t->entry.mpirun_pid || o->latest || o->job || !pid || !checkpoint_number(pid, 1, &number))
		return;
	tool_srun_parent(number, parent, sizeof(parent));
	if (!parent[0])
		return;
	o->pid = parent;
	snapc_registry_scan(tool_match, t);
	o->pid = t->entry.mpirun_pid ? parent : pid;
}

/* Says why there is no job; returns the exit status. */
static int tool_no_job(const struct checkpoint_options *o)
{
	const char *what = o->pid ? o->pid : o->job ? o->job : o->name;
	long pid;

	if (!o->latest && !o->job && checkpoint_number(what, 1, &pid) && tool_starting(pid)) {
		fprintf(stderr, "ompi-checkpoint: the job of process %s is still starting: try again\n", what);
		return TOOL_AGAIN;
	}
	if (o->latest)
		fprintf(stderr, "ompi-checkpoint: no job of yours runs under protection on this host: start it with `mpirun -am ft-enable-cr ...`\n");
	else if (!o->job && checkpoint_number(what, 1, &pid) && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
		fprintf(stderr,
			"ompi-checkpoint: process %s is not an mpirun that can be checkpointed by you: start the job with `mpirun -am ft-enable-cr ...`, "
			"and run this command on the same host as the same user\n",
			what);
	else
		fprintf(stderr, "ompi-checkpoint: there is no job %s on this host: give the pid of mpirun, or --latest\n", what);
	return TOOL_FAILED;
}

static int tool_connect(struct tool *t)
{
	struct sockaddr_un address;
	struct ucred peer;
	socklen_t bytes, length = sizeof(peer);

	if (snapc_address(t->entry.tool_socket, &address, &bytes) < 0) {
		fprintf(stderr, "ompi-checkpoint: the registry entry of mpirun %d is damaged\n", (int)t->entry.mpirun_pid);
		return TOOL_FAILED;
	}
	t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0 || connect(t->fd, (struct sockaddr *)&address, bytes) < 0) {
		fprintf(stderr, "ompi-checkpoint: the coordinator of mpirun %d does not answer (%s): the job runs without protection\n",
			(int)t->entry.mpirun_pid, strerror(errno));
		return TOOL_FAILED;
	}
	if (getsockopt(t->fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || (peer.uid != t->entry.uid && peer.uid != 0)) {
		fprintf(stderr, "ompi-checkpoint: another user listens in the place of the coordinator of mpirun %d\n", (int)t->entry.mpirun_pid);
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

/* --- the dialogue --- */

static int tool_request(const struct tool *t)
{
	const struct checkpoint_options *o = &t->options;
	const char *fault = getenv("CR_FAULT");
	struct snapc_line line;

	snapc_line_begin(&line, o->check ? "check" : "checkpoint");
	snapc_line_add(&line, "version", "1");
	snapc_line_add(&line, "term", "%d", o->term);
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
	};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (!strcmp(states[i][0], phase))
			return states[i][1];
	return NULL;
}

static void tool_status(struct tool *t, const char *state, double at_s, const char *name)
{
	if (t->options.status && !t->options.quiet)
		fprintf(stderr, "[%s:%05d] [%6.2f / %6.2f] %25s - %s\n", t->host, (int)getpid(), at_s - t->last_s, at_s, state, name);
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
		fprintf(stderr, "ompi-checkpoint: rank %s: %s\n", rank, text);
	}
	t->printed_reasons = true;
}

static int tool_error(const struct tool *t, const struct snapc_words *words, const char *reasons)
{
	long long code = snapc_words_number(words, "errno", 4095, EIO);
	const char *text = snapc_words_get(words, "text", "no reason was given");

	if (t->options.json) {
		printf("{\"ok\":false,\"errno\":%lld,\"error\":", code);
		tool_json_string(stdout, text);
		printf(",\"reasons\":[%s]}\n", reasons);
	} else {
		fprintf(stderr, "ompi-checkpoint: %s%s\n", text, t->options.check ? "" : "; the job was not saved");
	}
	return code == EAGAIN || code == EBUSY ? TOOL_AGAIN : TOOL_FAILED;
}

static int tool_ok(const struct tool *t, const struct snapc_words *words)
{
	static const char *const numbers[] = { "seq", "np", "file_bytes", "messages", "message_bytes", "stopped_ns", "total_ns" };
	const char *ref = snapc_words_get(words, "ref", "");
	long long seq = snapc_words_number(words, "seq", INT32_MAX, -1);

	if (t->options.json) {
		printf("{\"ok\":true");
		for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
			if (snapc_words_get(words, numbers[i], NULL))
				printf(",\"%s\":%lld", numbers[i], snapc_words_number(words, numbers[i], INT64_MAX, 0));
		if (!t->options.check) {
			fputs(",\"ref\":", stdout);
			tool_json_string(stdout, ref);
			fputs(",\"dir\":", stdout);
			tool_json_string(stdout, snapc_words_get(words, "dir", ""));
		}
		puts("}");
	} else if (!t->options.quiet && t->options.check) {
		printf("The job can be checkpointed: %s ranks.\n", snapc_words_get(words, "np", "?"));
	} else if (!t->options.quiet) {
		if (t->options.verbose > 0)
			fprintf(stderr, "[%s:%05d] %lld bytes in %s/%lld; stopped %.3f ms; %lld messages (%lld bytes) were in flight\n", t->host,
				(int)getpid(), snapc_words_number(words, "file_bytes", INT64_MAX, 0), snapc_words_get(words, "dir", ""), seq,
				(double)snapc_words_number(words, "stopped_ns", INT64_MAX, 0) / 1e6,
				snapc_words_number(words, "messages", INT64_MAX, 0), snapc_words_number(words, "message_bytes", INT64_MAX, 0));
		if (t->options.verbose > 0 && snapc_words_number(words, "advice_s", INT64_MAX, 0))
			fprintf(stderr, "[%s:%05d] at this cost a checkpoint every %lld s loses least time (Daly; see the settings interval and mtbf)\n",
				t->host, (int)getpid(), snapc_words_number(words, "advice_s", INT64_MAX, 0));
		printf("Snapshot Ref.: %3lld %s\n", seq, ref);
	}
	return TOOL_OK;
}

/* --nowait: the ranks are being saved; the rest is the coordinator's. */
static int tool_leave(const struct tool *t, const struct snapc_words *words)
{
	if (!t->options.quiet)
		fprintf(stderr, "ompi-checkpoint: not waiting; the snapshot is not valid before `ompi-snapshot list` shows it\n");
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
			tool_status(t, state, at_s, name);
		return t->options.nowait && !strcmp(phase, "freeze") ? tool_leave(t, &words) : -1;
	}
	if (!strcmp(words.word, "reason")) {
		tool_reason(t, &words, reasons_json);
		return -1;
	}
	if (!strcmp(words.word, "error")) {
		if (reasons_json)
			fflush(reasons_json);
		tool_status(t, "Error", t->last_s, "...");
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
	char state = tool_process_state(t->entry.snapcd_pid);

	fprintf(stderr, "ompi-checkpoint: the coordinator (process %d) has said nothing for %ld s in phase %s: %s. The ranks run on by themselves after "
		"the setting timeout_silence; whether the snapshot became valid, `ompi-snapshot list` says\n", (int)t->entry.snapcd_pid,
		t->limit_s + TOOL_GRACE_SECONDS, where, state == 'T' || state == 't' ? "it is stopped (SIGCONT lets it go on)" :
		state == 'D' ? "it waits for a device or a file system" : state ? "it hangs" : "it is gone");
}

/* The coordinator has closed the connection without an answer. */
static void tool_abandoned(const struct tool *t)
{
	char job = tool_process_state(t->entry.mpirun_pid), coordinator = tool_process_state(t->entry.snapcd_pid);

	if (!job || job == 'Z')
		fprintf(stderr, "ompi-checkpoint: the job ended before the checkpoint was established\n");
	else if (!coordinator || coordinator == 'Z')
		fprintf(stderr, "ompi-checkpoint: the coordinator of the job died in phase %s: the checkpoint is not established, the job runs on\n",
			t->phase[0] ? t->phase : "request");
	else
		fprintf(stderr, "ompi-checkpoint: the connection to the coordinator was cut in phase %s; it goes on, and `ompi-snapshot list` will show "
			"the snapshot when it is valid\n", t->phase[0] ? t->phase : "request");
}

/* Wait for input or an interrupt. Return: bytes read, 0: the coordinator is gone, -ETIMEDOUT. */
static ssize_t tool_read(const struct tool *t, char *buf, size_t room, int *told)
{
	static const char abort_line[] = "abort version=1\n";
	struct pollfd in = { .fd = t->fd, .events = POLLIN };
	int wait_ms = (int)(t->limit_s + TOOL_GRACE_SECONDS) * 1000;
	ssize_t n;

	for (;;) {
		if (tool_interrupted > *told) {
			if ((*told)++) {
				fprintf(stderr, "ompi-checkpoint: leaving; the coordinator goes on\n");
				_exit(TOOL_FAILED);
			}
			fprintf(stderr, "ompi-checkpoint: interrupted: the checkpoint is given up, the job goes on\n");
			if (send(t->fd, abort_line, sizeof(abort_line) - 1, MSG_NOSIGNAL) < 0)
				return 0;
		}
		n = poll(&in, 1, wait_ms);
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

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = tool_signal };
	static struct tool t;
	int rc;

	rc = checkpoint_options_parse(&t.options, argc, argv);
	if (rc >= 0)
		return rc;
	if (t.options.list)
		return tool_list(t.options.json) < 0 ? TOOL_FAILED : TOOL_OK;
	if (gethostname(t.host, sizeof(t.host) - 1) < 0)
		t.host[0] = 0;
	tool_find(&t);
	if (!t.entry.mpirun_pid) {
		return tool_no_job(&t.options);
	}
	rc = tool_connect(&t);
	if (rc)
		return rc;
	t.limit_s = (long)snapc_phase_seconds(SNAPC_PHASE_REQUEST);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	if (tool_request(&t) < 0) {
		fprintf(stderr, "ompi-checkpoint: the coordinator of mpirun %d has ended\n", (int)t.entry.mpirun_pid);
		return TOOL_FAILED;
	}
	rc = tool_dialogue(&t);
	close(t.fd);
	if (fflush(stdout) == EOF)
		return TOOL_FAILED;
	return rc;
}

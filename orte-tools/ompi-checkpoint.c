/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-checkpoint - save a running job.  Finds the job in the registry, asks its coordinator, prints what it says.
 *
 * stdout: the result ("Snapshot Ref.: <seq> <name>", or JSON).  stderr: progress and errors.
 */
#include <errno.h>
#include <getopt.h>
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
#include "snapc/line.h"
#include "snapc/listener.h"
#include "snapc/registry.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum tool_exit { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_AGAIN = 75 };

/* Beyond what the coordinator was given: its answer must come by then. */
#define TOOL_GRACE_SECONDS 60

struct tool_options {
	bool check, term, nosync, nowait, status, list, json, quiet, latest;
	long verbose;
	long timeout_seconds;
	const char *pid;   /* of mpirun */
	const char *job;   /* job id */
	const char *name;  /* either */
};

struct tool {
	struct tool_options options;
	struct snapc_registry_entry entry;
	char host[256];
	int fd;
	double last_s; /* time of the last status line */
	bool printed_reasons;
};

static volatile sig_atomic_t tool_interrupted;

static void tool_signal(int number)
{
	(void)number;
	tool_interrupted++;
}

static void tool_usage(FILE *out)
{
	fputs("Usage: ompi-checkpoint [OPTION]... PID_OF_MPIRUN | JOBID | --latest\n"
	      "Save the state of a running Open MPI job that was started with `mpirun -am ft-enable-cr`.\n\n"
	      "  -h, --help            print this help\n"
	      "      --version         print the version\n"
	      "  -v, --verbose         say more; implies --status\n"
	      "  -V N                  verbosity level, N > 0 implies -v\n"
	      "      --term            end the job after the checkpoint is established\n"
	      "      --stop            not supported; refused\n"
	      "  -w, --nowait          return as soon as the ranks are being saved\n"
	      "  -s, --status          print each change of state\n"
	      "  -l, --list            list the snapshots in the snapshot directory\n"
	      "      --hnp-jobid ID    the job by its job id\n"
	      "      --hnp-pid PID     the job by the pid of its mpirun\n"
	      "      --latest          the job that was started last\n"
	      "      --check           only ask whether the job could be saved, and why not\n"
	      "      --timeout SEC     give up, and let the job go on, when it takes longer\n"
	      "      --nosync          do not wait for stable storage: survives the job, not the machine\n"
	      "      --json            print the result as one JSON object\n"
	      "  -q, --quiet           print errors only\n"
	      "      --mca NAME VALUE, --gmca NAME VALUE, --am FILE\n"
	      "                        accepted as by every Open MPI tool\n\n"
	      "Exit status: 0 done; 1 failed, the job goes on; 2 wrong usage; 75 not now, try again.\n",
	      out);
}

/* --- options --- */

/* Take "-mca NAME VALUE", "-gmca NAME VALUE", "-am FILE" out of argv; MCA parameters go to the environment as elsewhere in Open MPI. */
static int tool_take_mca(int argc, char **argv)
{
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i][0] == '-' ? argv[i] + 1 + (argv[i][1] == '-') : "";

		if ((!strcmp(word, "mca") || !strcmp(word, "gmca")) && i + 2 < argc) {
			char name[256];

			snprintf(name, sizeof(name), "OMPI_MCA_%s", argv[i + 1]);
			setenv(name, argv[i + 2], 1);
			i += 2;
		} else if (!strcmp(word, "am") && i + 1 < argc) {
			i++;
		} else {
			argv[kept++] = argv[i];
		}
	}
	argv[kept] = NULL;
	return kept;
}

static bool tool_number(const char *text, long low, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(text, &end, 10);
	return *text && !*end && !errno && *ret >= low;
}

static int tool_bad_usage(const char *what, const char *word)
{
	fprintf(stderr, "ompi-checkpoint: %s%s%s\nTry `ompi-checkpoint --help`.\n", what, word ? ": " : "", word ? word : "");
	return TOOL_USAGE;
}

/* Return: -1: go on; otherwise the exit status. */
static int tool_options(struct tool_options *o, int argc, char **argv)
{
	enum { VERSION = 256, TERM, STOP, JOBID, PID, LATEST, CHECK, TIMEOUT, NOSYNC, JSON };
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },          { "version", no_argument, NULL, VERSION },
		{ "verbose", no_argument, NULL, 'v' },       { "term", no_argument, NULL, TERM },
		{ "stop", no_argument, NULL, STOP },         { "nowait", no_argument, NULL, 'w' },
		{ "status", no_argument, NULL, 's' },        { "list", no_argument, NULL, 'l' },
		{ "hnp-jobid", required_argument, NULL, JOBID }, { "hnp-pid", required_argument, NULL, PID },
		{ "latest", no_argument, NULL, LATEST },     { "check", no_argument, NULL, CHECK },
		{ "timeout", required_argument, NULL, TIMEOUT }, { "nosync", no_argument, NULL, NOSYNC },
		{ "json", no_argument, NULL, JSON },         { "quiet", no_argument, NULL, 'q' },
		{ NULL, 0, NULL, 0 },
	};
	bool stop = false;
	long level;
	int option;

	argc = tool_take_mca(argc, argv);
	while ((option = getopt_long(argc, argv, "hvV:wslq", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			tool_usage(stdout);
			return TOOL_OK;
		case VERSION:
			printf("ompi-checkpoint (ompi-cr) %s\n", PACKAGE_VERSION);
			return TOOL_OK;
		case 'v':
			o->verbose = o->verbose ? o->verbose : 1;
			break;
		case 'V':
			if (!tool_number(optarg, 0, &level))
				return tool_bad_usage("-V needs a number", optarg);
			o->verbose = level;
			break;
		case TERM:
			o->term = true;
			break;
		case STOP:
			stop = true;
			break;
		case 'w':
			o->nowait = true;
			break;
		case 's':
			o->status = true;
			break;
		case 'l':
			o->list = true;
			break;
		case JOBID:
			o->job = optarg;
			break;
		case PID:
			o->pid = optarg;
			break;
		case LATEST:
			o->latest = true;
			break;
		case CHECK:
			o->check = true;
			break;
		case TIMEOUT:
			if (!tool_number(optarg, 1, &o->timeout_seconds) || o->timeout_seconds > 1000000)
				return tool_bad_usage("--timeout needs a number of seconds", optarg);
			break;
		case NOSYNC:
			o->nosync = true;
			break;
		case JSON:
			o->json = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		default:
			fputs("Try `ompi-checkpoint --help`.\n", stderr);
			return TOOL_USAGE;
		}
	}
	if (stop && o->term)
		return tool_bad_usage("--stop and --term exclude each other", NULL);
	if (stop)
		return tool_bad_usage("--stop is not supported: take a checkpoint, then send SIGSTOP to mpirun", NULL);
	if (o->check && (o->term || o->nowait))
		return tool_bad_usage("--check takes no checkpoint: --term and --nowait make no sense with it", NULL);
	o->name = argv[optind];
	if (o->list)
		return argc > optind ? tool_bad_usage("--list needs no job", argv[optind]) : -1;
	if (argc - optind + !!o->job + !!o->pid + o->latest != 1)
		return tool_bad_usage("name one job: the pid of its mpirun, its job id, or --latest", NULL);
	if (o->pid && !tool_number(o->pid, 1, &level))
		return tool_bad_usage("--hnp-pid needs a pid", o->pid);
	o->status = o->status || o->verbose > 0;
	return -1;
}

/* --- the job --- */

static int tool_match(void *arg, const struct snapc_registry_entry *e)
{
	struct tool *t = arg;
	const struct tool_options *o = &t->options;
	const char *pid = o->pid ? o->pid : o->name, *job = o->job ? o->job : o->name;
	char text[32];

	if (o->latest) {
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
	if (job && *job && (!strcmp(job, e->job) || !strcmp(job, e->slurm_job)))
		t->entry = *e;
	return 0;
}

static void tool_no_job(const struct tool_options *o)
{
	const char *what = o->pid ? o->pid : o->job ? o->job : o->name;
	long pid;

	if (o->latest)
		fprintf(stderr, "ompi-checkpoint: no job of yours runs under protection on this host: start it with `mpirun -am ft-enable-cr ...`\n");
	else if (!o->job && tool_number(what, 1, &pid) && (kill((pid_t)pid, 0) == 0 || errno == EPERM))
		fprintf(stderr,
			"ompi-checkpoint: process %s is not an mpirun that can be checkpointed by you: start the job with `mpirun -am ft-enable-cr ...`, "
			"and run this command on the same host as the same user\n",
			what);
	else
		fprintf(stderr, "ompi-checkpoint: there is no job %s on this host: give the pid of mpirun, or --latest\n", what);
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
	const struct tool_options *o = &t->options;
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

/* @text: JSON string content is written to @out with escapes. */
static void tool_json_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < 0x20)
			fprintf(out, "\\u%04x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void tool_reason(struct tool *t, const struct snapc_words *words, FILE *json)
{
	const char *rank = snapc_words_get(words, "rank", "?"), *text = snapc_words_get(words, "text", "");

	if (json) {
		fputs(t->printed_reasons ? ",{\"rank\":" : "{\"rank\":", json);
		fprintf(json, "%lld,\"text\":", snapc_words_number(words, "rank", INT32_MAX, -1));
		tool_json_text(json, text);
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
		tool_json_text(stdout, text);
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
			tool_json_text(stdout, ref);
			fputs(",\"dir\":", stdout);
			tool_json_text(stdout, snapc_words_get(words, "dir", ""));
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

/* Wait for input or an interrupt. Return: bytes read, 0: the coordinator is gone, -ETIMEDOUT. */
static ssize_t tool_read(const struct tool *t, char *buf, size_t room, int *told)
{
	static const char abort_line[] = "abort version=1\n";
	struct pollfd in = { .fd = t->fd, .events = POLLIN };
	int wait_ms = t->options.timeout_seconds ? (int)(t->options.timeout_seconds + TOOL_GRACE_SECONDS) * 1000 : -1;
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
			fprintf(stderr, n == 0 ? "ompi-checkpoint: the job ended before the checkpoint was established\n" :
						 "ompi-checkpoint: the coordinator does not answer\n");
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

	rc = tool_options(&t.options, argc, argv);
	if (rc >= 0)
		return rc;
	if (t.options.list)
		return tool_list(t.options.json) < 0 ? TOOL_FAILED : TOOL_OK;
	if (gethostname(t.host, sizeof(t.host) - 1) < 0)
		t.host[0] = 0;
	snapc_registry_scan(tool_match, &t);
	if (!t.entry.mpirun_pid) {
		tool_no_job(&t.options);
		return TOOL_FAILED;
	}
	rc = tool_connect(&t);
	if (rc)
		return rc;
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

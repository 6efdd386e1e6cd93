/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_checkpoint: save one process that was started by cr_run. It is the coordinator of a checkpoint of one. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcr.h"
#include "libcr/tools/checkpoint_agent.h"
#include "libcr/tools/checkpoint_check.h"
#include "libcr/tools/checkpoint_file.h"
#include "libcr/tools/checkpoint_watch.h"
#include "libcr/tools/json.h"
#include "libcr/tools/option.h"

enum { GRACE_S = 20, EXIT_TRY_AGAIN = 75, ERRNO_MAX = 133 };

static const char usage[] =
	"Usage: cr_checkpoint [OPTION]... PID\n"
	"Save the process PID, which cr_run started, into a context file, alone or with others. It goes on running unless told otherwise.\n"
	"\n"
	"  -f, --file NAME    write NAME instead of context.PID; an existing file is replaced when the new one is complete\n"
	"  -T, --tree         save the process and its descendants\n"
	"  -g, --pgid         save its process group (also --group)\n"
	"  -s, --session      save its session (also --sid)\n"
	"  -p, --pid          save the process alone (default; also --process)\n"
	"  -d, --dir DIR      write context.PID in DIR; -c, --cwd: in the working directory (default)\n"
	"  -F, --fd N         copy the complete file to descriptor N\n"
	"      --atomic, --clobber   replace an existing file in one step (default)\n"
	"      --backup[=NAME]    keep the file that is replaced as NAME, or as FILE.~1~, FILE.~2~, ...\n"
	"      --noclobber    fail when the file exists\n"
	"      --save-exe     store the content of the executable, so that a restart does not need the file\n"
	"      --save-private     of every other file that is mapped privately: libraries, data\n"
	"      --save-shared      of every file that is mapped shared; after a restart that memory is not the file's any more\n"
	"      --save-all, --save-none   all three; none of them (default)\n"
	"      --check        only say whether it can be checkpointed, and why not: each of the processes, with --tree, --pgid, --session\n"
	"      --run          let it run on (default)\n"
	"      --term, --abort, --kill, --stop, --cont   send this signal to what was saved when the file is complete; --early-stop, --early-abrt: the same\n"
	"  -S, --signal N     send signal N\n"
	"  -t, --time SEC     give up after SEC seconds (60); the process goes on\n"
	"      --sync, --nosync   fsync the file (default), or do not\n"
	"      --stopped      keep the process stopped until the file is written (no copy-on-write)\n"
	"      --json         print the result as JSON\n"
	"      --ptraced-allow, --ptraced-error, --ptraced-skip   a process that is traced: save it (default), fail, leave it out with what is below it\n"
	"      --ptracer-error, --ptracer-skip   the same for one that traces others\n"
	"      --kmsg-none, --kmsg-error, --kmsg-warning   of BLCR: as it is anyway\n"
	"  -q, --quiet        no words when it succeeds, no progress bars; -v, --verbose: say what is done\n"
	"  -h, --help         print this help\n"
	"      --version      print the version\n"
	"\n"
	"Exit status: 0 saved (or --check: it can be), 1 failed, 2 usage, 75 busy: try again, 3 the process left itself out, 50 or 51 a callback\n"
	"of the program refused for now or for good; a callback's own code: its low eight bits.\n";

struct request {
	int pid;
	struct checkpoint_file file;
	bool check, stopped, json, quiet, verbose;
	uint32_t scope; /* CR_BEGIN_*; 0: the process alone */
	uint32_t traced, tracer; /* CR_BEGIN_TRACE*_*; 0: saved like others */
	uint32_t save;  /* CR_DUMP_SAVE_* */
	int signo;
	int seconds;
	int report_fd; /* for libcr: the result as "<error number> <words>"; -1 none */
};

struct result {
	struct cr_msg_dumped dumped;
	uint64_t stopped_ns;
	bool resumed; /* it ran on, and @stopped_ns is known */
};

/* Requests and their answers, in order. */
static const struct step {
	uint32_t request, answer;
} steps[] = {
	{ CR_MSG_BEGIN, CR_MSG_CLOCKS }, { CR_MSG_STOP, CR_MSG_ARRIVED },   { CR_MSG_DRAIN, CR_MSG_DRAINED },
	{ CR_MSG_FREEZE, CR_MSG_FROZEN }, { CR_MSG_DUMP, CR_MSG_SNAPPED }, { CR_MSG_RESUME, CR_MSG_RESUMED },
};

/* For callbacks, as libcr.h numbers them. */
static int scope_number(uint32_t scope)
{
	return scope & CR_BEGIN_TREE ? CR_SCOPE_TREE : scope & CR_BEGIN_GROUP ? CR_SCOPE_PGRP : scope & CR_BEGIN_SESSION ? CR_SCOPE_SESS : CR_SCOPE_PROC;
}

/* All of them stand still: none sees what becomes of another. */
static int signal_all(struct checkpoint_agent *a, int signo, struct cr_err *err)
{
	int rc = 0;

	if (!a->n_members)
		a->members[a->n_members++] = a->pid;
	for (uint32_t i = a->n_members; i-- > 0;)
		if (kill(a->members[i], signo) && !(errno == ESRCH && a->n_members > 1))
			rc = cr_err_set(err, errno, "saved, but signal %d cannot be sent to %d: %s", signo, a->members[i], strerror(errno));
	return rc;
}

/* One request, and its answer. Return: as checkpoint_agent_expect() */
static int step(struct checkpoint_agent *a, const struct request *rq, const struct step *s, struct cr_err *err)
{
	/* Callbacks of the program have all our patience; when they are late the process says so itself, a moment later. */
	bool late = s->request == CR_MSG_BEGIN || s->request == CR_MSG_FREEZE;
	struct cr_msg_begin begin = { .checkpoint = 1, .flags = rq->scope | rq->traced | rq->tracer, .limit_ms = (uint32_t)rq->seconds * 1000, .signal = rq->signo,
				      .scope = scope_number(rq->scope), .target = rq->pid };
	struct cr_msg_dump dump = { .flags = (rq->stopped ? CR_DUMP_STOPPED : 0) | (rq->file.nosync ? CR_DUMP_NOSYNC : 0) | rq->save };
	int rc;

	memcpy(begin.dest, rq->file.path, sizeof(begin.dest));
	memcpy(dump.path, rq->file.temporary, sizeof(dump.path));
	if (s->request == CR_MSG_BEGIN)
		rc = checkpoint_agent_ask(a, s->request, &begin, sizeof(begin), err);
	else if (s->request == CR_MSG_DUMP)
		rc = checkpoint_agent_ask(a, s->request, &dump, sizeof(dump), err);
	else
		rc = checkpoint_agent_ask(a, s->request, NULL, 0, err);
	return rc ? rc : checkpoint_agent_expect(a, s->answer, (rq->seconds + (late ? GRACE_S : 0)) * 1000, err);
}

static int checkpoint(struct checkpoint_agent *a, struct request *rq, struct result *ret, struct cr_err *err)
{
	/* Stays frozen until the file is complete and the signal is sent. */
	struct checkpoint_watch watch = { .agent = NULL };
	bool stay = rq->signo == SIGKILL || rq->signo == SIGTERM || rq->signo == SIGABRT || rq->signo == SIGSTOP;
	size_t n = sizeof(steps) / sizeof(steps[0]);
	int rc = checkpoint_file_init(&rq->file, rq->pid, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < n && !(stay && steps[i].request == CR_MSG_RESUME); i++) {
		if (steps[i].request == CR_MSG_DUMP)
			checkpoint_watch_begin(&watch, a, rq->file.temporary, rq->quiet);
		rc = step(a, rq, &steps[i], err);
		if (rc < 0)
			goto abandon;
		if (steps[i].answer == CR_MSG_RESUMED) {
			ret->stopped_ns = ((struct cr_msg_resumed *)a->payload)->stopped_ns;
			ret->resumed = true;
		}
		checkpoint_watch_hide(&watch);
		if (rq->verbose)
			fprintf(stderr, "cr_checkpoint: step %zu of %zu done\n", i + 1, n);
	}
	rc = checkpoint_agent_expect(a, CR_MSG_DUMPED, rq->seconds * 1000, err);
	checkpoint_watch_end(&watch);
	if (rc < 0)
		goto abandon;
	ret->dumped = *(struct cr_msg_dumped *)a->payload;
	rc = checkpoint_file_commit(&rq->file, err);
	if (!rc && rq->signo)
		rc = signal_all(a, rq->signo, err);
	if (!rc && stay)
		(void)checkpoint_agent_ask(a, CR_MSG_RESUME, NULL, 0, err); /* it may be gone already */
	return rc;

abandon:
	checkpoint_watch_end(&watch);
	checkpoint_file_abandon(&rq->file);
	return rc;
}

#define TO(field) CR_OPTION_TO(struct request, field)
#define SAVE_ALL (CR_DUMP_SAVE_EXE | CR_DUMP_SAVE_PRIVATE | CR_DUMP_SAVE_SHARED)

static int backup_take(void *to, const char *name, struct cr_err *err)
{
	struct request *rq = to;

	(void)err;
	rq->file.replace = CHECKPOINT_BACKUP;
	rq->file.backup_name = name;
	return 0;
}

static const struct cr_option options[] = {
	CR_OPTION_TEXT("file", 'f', TO(file.name)),
	CR_OPTION_TEXT("dir", 'd', TO(file.dir)),
	CR_OPTION_NOTHING("cwd", 'c'),
	CR_OPTION_NUMBER("fd", 'F', TO(file.fd), 0, INT_MAX, NULL),
	CR_OPTION_SET("atomic", 0, TO(file.replace), CHECKPOINT_REPLACE),
	CR_OPTION_SET("clobber", 0, TO(file.replace), CHECKPOINT_REPLACE),
	CR_OPTION_SET("noclobber", 0, TO(file.replace), CHECKPOINT_NOCLOBBER),
	CR_OPTION_TAKE_MAYBE("backup", 0, backup_take),
	CR_OPTION_ADD("save-exe", 0, TO(save), CR_DUMP_SAVE_EXE),
	CR_OPTION_ADD("save-private", 0, TO(save), CR_DUMP_SAVE_PRIVATE),
	CR_OPTION_ADD("save-shared", 0, TO(save), CR_DUMP_SAVE_SHARED),
	CR_OPTION_ADD("save-all", 0, TO(save), SAVE_ALL),
	CR_OPTION_SET("save-none", 0, TO(save), 0),
	CR_OPTION_SET("check", 0, TO(check), true),
	CR_OPTION_SET("run", 0, TO(signo), 0),
	CR_OPTION_SET("term", 0, TO(signo), SIGTERM),
	CR_OPTION_SET("abort", 0, TO(signo), SIGABRT),
	CR_OPTION_SET("kill", 0, TO(signo), SIGKILL),
	CR_OPTION_SET("stop", 0, TO(signo), SIGSTOP),
	CR_OPTION_SET("cont", 0, TO(signo), SIGCONT),
	/* of BLCR: before the program's callbacks go on, as these two are */
	CR_OPTION_SET("early-stop", 0, TO(signo), SIGSTOP),
	CR_OPTION_SET("early-abrt", 0, TO(signo), SIGABRT),
	CR_OPTION_NUMBER("signal", 'S', TO(signo), 1, 64, NULL),
	CR_OPTION_NUMBER("time", 't', TO(seconds), 1, INT_MAX / 1000 - GRACE_S, NULL),
	CR_OPTION_SET("sync", 0, TO(file.nosync), false),
	CR_OPTION_SET("nosync", 0, TO(file.nosync), true),
	CR_OPTION_SET("stopped", 0, TO(stopped), true),
	CR_OPTION_SET("json", 0, TO(json), true),
	CR_OPTION_SET("quiet", 'q', TO(quiet), true),
	CR_OPTION_SET("verbose", 'v', TO(verbose), true),
	CR_OPTION_NUMBER("report-fd", 0, TO(report_fd), 0, INT_MAX, NULL),
	CR_OPTION_SET("pid", 'p', TO(scope), 0),
	CR_OPTION_SET("process", 0, TO(scope), 0),
	CR_OPTION_SET("tree", 'T', TO(scope), CR_BEGIN_TREE),
	CR_OPTION_SET("pgid", 'g', TO(scope), CR_BEGIN_GROUP),
	CR_OPTION_SET("group", 0, TO(scope), CR_BEGIN_GROUP),
	CR_OPTION_SET("session", 's', TO(scope), CR_BEGIN_SESSION),
	CR_OPTION_SET("sid", 0, TO(scope), CR_BEGIN_SESSION),
	CR_OPTION_SET("ptraced-allow", 0, TO(traced), 0),
	CR_OPTION_SET("ptraced-error", 0, TO(traced), CR_BEGIN_TRACED_ERROR),
	CR_OPTION_SET("ptraced-skip", 0, TO(traced), CR_BEGIN_TRACED_SKIP),
	CR_OPTION_SET("ptracer-error", 0, TO(tracer), CR_BEGIN_TRACER_ERROR),
	CR_OPTION_SET("ptracer-skip", 0, TO(tracer), CR_BEGIN_TRACER_SKIP),
	/* of BLCR: what happens anyway */
	CR_OPTION_NOTHING("kmsg-none", 0),
	CR_OPTION_NOTHING("kmsg-error", 0),
	CR_OPTION_NOTHING("kmsg-warning", 0),
	CR_OPTION_END,
};
static const struct cr_command command_line = { "cr_checkpoint", usage, options, .one_dash = false };

/* Return: -1 to go on, else the exit status. */
static int options_parse(int argc, char **argv, struct request *rq)
{
	int status = cr_command_parse(&command_line, argc, argv, rq);

	if (status >= 0)
		return status;
	if ((rq->file.name != NULL) + (rq->file.dir != NULL) + (rq->file.fd >= 0) > 1)
		return cr_command_refuse(&command_line, "--file, --dir and --fd exclude each other");
	if (optind + 1 != argc)
		return cr_command_refuse(&command_line, "one process id is needed");
	rq->pid = atoi(argv[optind]);
	/* The terminal is the program's that called libcr. */
	rq->file.quiet = rq->quiet = rq->quiet || rq->report_fd >= 0;
	return rq->pid > 0 ? -1 : cr_command_refuse(&command_line, "%s: is no process id", argv[optind]);
}

/* Codes of callbacks begin above the system's errors. */
static int exit_status(int rc)
{
	if (rc == -EBUSY || rc == -EAGAIN)
		return EXIT_TRY_AGAIN;
	if (rc == -CR_EOMITTED)
		return ESRCH;
	return -rc > ERRNO_MAX && (-rc & 0xff) ? -rc & 0xff : 1;
}

static void print_result(const struct request *rq, const struct result *res)
{
	const char *name = rq->file.name ? rq->file.name : rq->file.path;

	if (rq->json) {
		printf("{\"pid\": %d, \"file\": ", rq->pid);
		cr_json_string(stdout, rq->file.path, strlen(rq->file.path));
		printf(", \"bytes\": %lu, \"pages\": %lu, \"checksum\": \"%016lx\", ", res->dumped.file_bytes, res->dumped.pages, res->dumped.checksum);
		if (res->resumed)
			printf("\"stopped_ns\": %lu, ", res->stopped_ns);
		printf("\"dump_ns\": %lu}\n", res->dumped.dump_ns);
	} else if (!rq->quiet && res->resumed) {
		printf("%s: %lu bytes, stopped for %.3f ms\n", name, res->dumped.file_bytes, (double)res->stopped_ns / 1e6);
	} else if (!rq->quiet) {
		printf("%s: %lu bytes\n", name, res->dumped.file_bytes);
	}
}

static void report(const struct request *rq, int rc, const char *words)
{
	if (rq->report_fd >= 0)
		dprintf(rq->report_fd, "%d %s\n", rc < 0 ? -rc : 0, words);
}

int main(int argc, char **argv)
{
	struct request rq = { .seconds = 60, .report_fd = -1, .file.fd = -1 };
	static struct checkpoint_agent agent;
	struct result res = { .stopped_ns = 0 };
	struct cr_err err = { "" };
	int rc = options_parse(argc, argv, &rq);

	if (rc >= 0)
		return rc;
	if (kill(rq.pid, 0) && errno == ESRCH) {
		fprintf(stderr, "cr_checkpoint: no process %d\n", rq.pid);
		return 1;
	}
	rc = checkpoint_agent_open(&agent, rq.pid, rq.seconds * 1000, &err);
	if (rc < 0) {
		report(&rq, rc, err.text);
		fprintf(stderr, "cr_checkpoint: %s\n", err.text);
		return rc == -CR_ENOSUPPORT ? 1 : exit_status(rc);
	}
	rq.pid = agent.pid;
	rc = rq.check ? checkpoint_check(&agent, rq.scope ? rq.scope | rq.traced | rq.tracer : 0, rq.json, rq.quiet, rq.seconds * 1000, &err) : checkpoint(&agent, &rq, &res, &err);
	if (rq.check && rc >= 0)
		return rc;
	report(&rq, rc, rc < 0 ? err.text : "");
	if (rc < 0) {
		fprintf(stderr, "cr_checkpoint: process %d%s: %s\n", rq.pid, rq.check ? "" : " was not saved", err.text);
		return exit_status(rc);
	}
	print_result(&rq, &res);
	return 0;
}

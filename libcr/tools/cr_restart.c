/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_restart: become the process that a context file holds. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cr_proto.h"
#include "libcr/image/relocate.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/restore.h"
#include "libcr/lower/start.h"
#include "libcr/lower/tree.h"
#include "libcr/tools/option.h"
#include "libcr/tools/progress.h"
#include "libcr/tools/restart_hooks.h"
#include "libcr/tools/restart_ids.h"
#include "libcr/tools/restart_parent.h"
#include "libcr/tools/restart_report.h"

#define TRIES_VARIABLE "OMPI_CR_LAYOUT_TRIES" /* set by this command for itself */

#define BAR_DELAY_NS 1000000000u

enum { LAYOUT_TRIES = 100 };

static const char usage[] =
	"Usage: cr_restart [OPTION]... FILE\n"
	"       cr_restart [OPTION]... --rank-file FORMAT\n"
	"Go on with what was saved in FILE (cr_checkpoint). The program keeps its process id as it knows it,\n"
	"its files and its working directory; standard streams are this command's.\n"
	"\n"
	"  -f, --file FILE         the same as FILE\n"
	"  -F, --fd N              the file that is open as descriptor N\n"
	"      --rank-file FORMAT  for ompi-restart: the file's name with one %d for the rank of this process\n"
	"      --check             check everything, start nothing; --json: print what was found as JSON\n"
	"      --relocate OLD=NEW  where the saved program has a path that begins with OLD, use NEW; may be given again\n"
	"      --restore-pid       a child takes the process id that it had; this command passes signals on and ends as it does.\n"
	"                          Of several processes each takes its own, or none is started\n"
	"      --no-restore-pid    this process becomes the program, which sees its old process id (default)\n"
	"      --restore-pgid, --restore-sid   in a process group, a session of its own again if it led one, else in that one if it is there\n"
	"      --no-restore-pgid, --no-restore-sid   in this command's (default for one process; several get their own)\n"
	"      --run               let it run on (default)\n"
	"      --stop, --term, --abort, --kill, --cont   send it this signal before it runs on; --freeze, --early-stop: --stop, --early-abrt: --abort\n"
	"  -S, --signal N          send signal N\n"
	"      --run-on-success CMD    run CMD with sh when the program is about to run on\n"
	"      --run-on-fail-args CMD  ... when the arguments are wrong or the file cannot be read\n"
	"      --run-on-fail-temp CMD  ... when it may work later: no memory, something in use\n"
	"      --run-on-fail-env CMD   ... when a file or directory is missing, forbidden or changed\n"
	"      --run-on-fail-perm CMD  ... when it failed for any other reason\n"
	"      --run-on-failure CMD    all four; a status of CMD that is not 0 becomes this command's\n"
	"      --kmsg-none, --kmsg-error, --kmsg-warning, --omit-maybe, --omit-always   of BLCR: as it is anyway; --omit-never: refused\n"
	"  -q, --quiet             no words when it succeeds, no progress bar; --verbose: say what is done\n"
	"  -h, --help              print this help\n"
	"  -v, --version           print the version\n"
	"\n"
	"Exit status: that of the restarted program; 1 when the restart failed, 2 for a usage error.\n";

struct request {
	const char *file, *format;
	int fd; /* -1: none */
	bool check, json, quiet, verbose, restore_pid;
	enum cr_restore_ids pgid, sid;
	int signo;
	char **argv; /* of this command */
	struct restart_hooks hooks;
	struct restart_report report;
};

static int rank_path(const char *format, char *path, size_t bytes, struct cr_err *err)
{
	const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *mark = strstr(format, "%d");
	int n;

	if (!rank)
		rank = getenv("PMIX_RANK");
	if (!rank)
		return cr_err_set(err, EINVAL, "--rank-file needs a launcher that sets OMPI_COMM_WORLD_RANK or PMIX_RANK (mpirun, srun)");
	if (!mark)
		return cr_err_set(err, EINVAL, "--rank-file %s: no %%d in it", format);
	n = snprintf(path, bytes, "%.*s%s%s", (int)(mark - format), format, rank, mark + 2);
	return n < 0 || (size_t)n >= bytes ? cr_err_set(err, ENAMETOOLONG, "--rank-file: name too long") : 0;
}

/* Fault injection: what CR_FAULT=restart[:rank][:action] asks of this process (docs/protocol.md); "" when nothing. */
static const char *restart_fault(void)
{
	const char *text = getenv("CR_FAULT"), *mine = getenv("OMPI_COMM_WORLD_RANK");
	unsigned long rank = 0;
	char *end;

	if (!text || strncmp(text, "restart", 7) != 0)
		return "";
	text += 7;
	if (text[0] == ':' && text[1] >= '0' && text[1] <= '9') {
		rank = strtoul(text + 1, &end, 10);
		text = end;
	}
	if (!mine)
		mine = getenv("PMIX_RANK");
	if (strtoul(mine ? mine : "0", NULL, 10) != rank)
		return "";
	return *text == ':' ? text + 1 : "fail";
}

/* Everything has been checked, nothing has been changed. */
static int restart_blow(const char *fault, struct cr_err *err)
{
	if (strcmp(fault, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(fault, "stop") == 0)
		raise(SIGSTOP);
	else if (strcmp(fault, "cut") == 0)
		setenv(CR_ENV_SNAPC_SOCKET, "ompi-cr-nobody-listens-here", 1);
	else if (strcmp(fault, "fail") == 0)
		return cr_err_set(err, EIO, "fault injected in phase restart");
	return 0;
}

/* The descriptor is opened again: the restart has its own position, and closes what is below the floor. */
static int fd_path(int fd, char *path, size_t bytes, struct cr_err *err)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, bytes - 1);
	if (n < 0)
		return cr_err_set(err, EBADF, "--fd %d: no such descriptor is open", fd);
	path[n] = '\0';
	if (path[0] != '/' || access(path, R_OK))
		return cr_err_set(err, EINVAL, "--fd %d: %s: is no file that can be opened again by its name", fd, path);
	return 0;
}

#define TO(field) CR_OPTION_TO(struct request, field)

static int relocate_take(void *to, const char *rule, struct cr_err *err)
{
	(void)to;
	return cr_relocate_add(rule, err);
}

static int failure_take(void *to, const char *hook, struct cr_err *err)
{
	struct request *rq = to;

	(void)err;
	for (int i = RESTART_FAIL_ARGS; i < RESTART_CLASSES; i++)
		rq->hooks.command[i] = hook;
	return 0;
}

static const struct cr_option options[] = {
	CR_OPTION_TEXT("rank-file", 0, TO(format)),
	CR_OPTION_TEXT("file", 'f', TO(file)),
	CR_OPTION_NUMBER("fd", 'F', TO(fd), 0, INT_MAX, NULL),
	CR_OPTION_SET("check", 0, TO(check), true),
	CR_OPTION_SET("json", 0, TO(json), true),
	CR_OPTION_SET("quiet", 'q', TO(quiet), true),
	CR_OPTION_SET("verbose", 0, TO(verbose), true),
	CR_OPTION_TAKE("relocate", 0, relocate_take),
	CR_OPTION_SET("restore-pid", 0, TO(restore_pid), true),
	CR_OPTION_SET("no-restore-pid", 0, TO(restore_pid), false),
	CR_OPTION_SET("restore-pgid", 0, TO(pgid), CR_IDS_RESTORE),
	CR_OPTION_SET("no-restore-pgid", 0, TO(pgid), CR_IDS_LEAVE),
	CR_OPTION_SET("restore-sid", 0, TO(sid), CR_IDS_RESTORE),
	CR_OPTION_SET("no-restore-sid", 0, TO(sid), CR_IDS_LEAVE),
	CR_OPTION_NUMBER("signal", 'S', TO(signo), 1, 64, NULL),
	CR_OPTION_SET("run", 0, TO(signo), 0),
	CR_OPTION_SET("stop", 0, TO(signo), SIGSTOP),
	CR_OPTION_SET("freeze", 0, TO(signo), SIGSTOP),
	CR_OPTION_SET("term", 0, TO(signo), SIGTERM),
	CR_OPTION_SET("abort", 0, TO(signo), SIGABRT),
	CR_OPTION_SET("kill", 0, TO(signo), SIGKILL),
	CR_OPTION_SET("cont", 0, TO(signo), SIGCONT),
	/* of BLCR: before the program's callbacks go on, as all of them are */
	CR_OPTION_SET("early-stop", 0, TO(signo), SIGSTOP),
	CR_OPTION_SET("early-abrt", 0, TO(signo), SIGABRT),
	CR_OPTION_TEXT("run-on-success", 0, TO(hooks.command[RESTART_SUCCESS])),
	CR_OPTION_TEXT("run-on-fail-args", 0, TO(hooks.command[RESTART_FAIL_ARGS])),
	CR_OPTION_TEXT("run-on-fail-temp", 0, TO(hooks.command[RESTART_FAIL_TEMP])),
	CR_OPTION_TEXT("run-on-fail-env", 0, TO(hooks.command[RESTART_FAIL_ENV])),
	CR_OPTION_TEXT("run-on-fail-perm", 0, TO(hooks.command[RESTART_FAIL_PERM])),
	CR_OPTION_TAKE("run-on-failure", 0, failure_take),
	/* of BLCR: what happens anyway */
	CR_OPTION_NOTHING("omit-maybe", 0),
	CR_OPTION_NOTHING("omit-always", 0),
	CR_OPTION_REFUSED("omit-never", 0, "--omit-never is not supported: where cr_restart stays beside the program it has no state that could be saved; a request for it "
			  "saves the program"),
	CR_OPTION_NOTHING("kmsg-none", 0),
	CR_OPTION_NOTHING("kmsg-error", 0),
	CR_OPTION_NOTHING("kmsg-warning", 0),
	CR_OPTION_END,
};
static const struct cr_command command_line = { "cr_restart", usage, options, .version = 'v' };

/* Return: -1 to go on, else the exit status. The commands of --run-on-... are known in any case. */
static int options_parse(int argc, char **argv, struct request *rq)
{
	int status = cr_command_parse(&command_line, argc, argv, rq);

	if (status >= 0)
		return status;
	if (optind < argc && !rq->file)
		rq->file = argv[optind++];
	if (optind != argc || (rq->file != NULL) + (rq->format != NULL) + (rq->fd >= 0) != 1)
		return cr_command_refuse(&command_line, "one context file is needed: FILE, --fd or --rank-file");
	if (rq->json && !rq->check)
		return cr_command_refuse(&command_line, "--json goes with --check");
	return -1;
}

static bool any_hook(const struct restart_hooks *hooks)
{
	for (int i = 0; i < RESTART_CLASSES; i++)
		if (hooks->command[i])
			return true;
	return false;
}

/* 0 in the process that is to become the program. */
static int become_child(const struct cr_restore_needs *needs, struct cr_err *err)
{
	pid_t child = restart_child(needs->program_pid, err);

	if (child > 0)
		restart_parent(child);
	return child;
}

/* The kernel has put something of ours where memory of the program must be: begin again, with other addresses. Returns when that does not help. */
static void begin_again(char **argv)
{
	const char *tries = getenv(TRIES_VARIABLE);
	int n = tries ? atoi(tries) : 0;
	char text[16];

	if (n >= LAYOUT_TRIES)
		return;
	snprintf(text, sizeof(text), "%d", n + 1);
	setenv(TRIES_VARIABLE, text, 1);
	execv("/proc/self/exe", argv);
}

struct checking {
	struct cr_progress bar;
	struct restart_report *report;
};

static void check_progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	struct checking *c = arg;

	c->bar.total = total_bytes;
	cr_progress_set(&c->bar, done_bytes);
}

static void check_found(void *arg, const char *what, int pid, const struct cr_err *why)
{
	struct checking *c = arg;

	restart_report_add(c->report, what, pid, why);
}

/* Of a rank's, ompi-restart shows how far all are. */
static int check(struct request *rq, const char *path, struct cr_image **ret_img, struct cr_err *err)
{
	struct checking c = { .report = &rq->report };
	int rc;

	cr_progress_begin(&c.bar, "verify", 0, rq->quiet || rq->format);
	cr_progress_delay(&c.bar, BAR_DELAY_NS);
	if (rq->json)
		rc = cr_restore_check_all(path, check_found, check_progress, &c, err);
	else
		rc = cr_restore_check(path, check_progress, &c, ret_img, err);
	cr_progress_end(&c.bar);
	return rc;
}

/* Returns only after a failure. */
static int restart(struct request *rq, const char *path, enum restart_class *ret_class, int *ret_words, struct cr_err *err)
{
	struct cr_restore_how how = { .signo = rq->signo, .ready_fd = -1, .other_fd = -1, .keep_ids = rq->restore_pid, .pgid = rq->pgid, .sid = rq->sid };
	struct cr_restore_needs needs;
	struct cr_image *img;
	int rc;

	*ret_class = RESTART_FAIL_ARGS;
	rc = cr_restore_needs(path, &needs, err);
	if (rc == -EBADMSG || rc == -EINVAL || rc == -ENODATA || rc == -ENOTSUP)
		*ret_class = RESTART_FAIL_PERM;
	if (!rc && rq->restore_pid && !rq->check && !needs.tree && needs.program_pid != getpid()) {
		*ret_class = RESTART_FAIL_TEMP;
		rc = become_child(&needs, err);
		if (rc < 0)
			*ret_class = restart_class_of(rc);
	}
	if (!rc && !needs.tree && !rq->check) {
		rc = restart_ids_join(&needs, rq->pgid, rq->sid, err);
		*ret_class = rc ? restart_class_of(rc) : *ret_class;
	}
	if (rc)
		return rc;
	rc = cr_start(needs.fd_floor, NULL, err);
	if (!rc)
		rc = cr_engine_start(true, err);
	if (!rc)
		rc = cr_start_launcher_env(err);
	if (!rc) {
		*ret_words = dup(2); /* above the floor: descriptor 2 becomes the program's */
		fcntl(*ret_words, F_SETFD, FD_CLOEXEC);
	}
	if (!rc && rq->hooks.ask >= 0) { /* what is below the floor is closed */
		how.ready_fd = rq->hooks.ask = cr_fd_raise(rq->hooks.ask);
		how.other_fd = rq->hooks.answer = cr_fd_raise(rq->hooks.answer);
	}
	if (!rc && strcmp(restart_fault(), "eio") == 0)
		rc = cr_err_set(err, EIO, "%s: cannot read: %s", path, strerror(EIO));
	if (!rc)
		rc = check(rq, path, &img, err);
	if (rc == -EADDRINUSE)
		begin_again(rq->argv);
	if (!rc && rq->check) {
		if (rq->json && restart_report_print(&rq->report, path) < 0)
			exit(1);
		if (!rq->json && !rq->quiet)
			printf("%s: can be restarted here\n", path);
		exit(0);
	}
	if (!rc && rq->verbose)
		dprintf(*ret_words, "cr_restart: %s: everything is there; %s %d goes on as process %d\n", path, needs.tree ? "the tree of process" : "process",
			needs.program_pid, (int)getpid());
	how.ready = (unsigned char)RESTART_SUCCESS;
	if (!rc)
		rc = restart_blow(restart_fault(), err);
	if (!rc && cr_tree_is(img)) {
		rc = cr_tree_run(img, &how, err);
		if (rc >= 0)
			exit(rc);
	} else if (!rc) {
		rc = cr_restore_run(img, &how, err);
	}
	*ret_class = restart_class_of(rc);
	return rc;
}

int main(int argc, char **argv)
{
	struct request rq = { .fd = -1, .argv = argv, .hooks = { .ask = -1, .answer = -1 } };
	enum restart_class class = RESTART_FAIL_ARGS;
	struct cr_err err = { "" };
	int rc, words = 2, status;
	char path[PATH_MAX] = "";

	rc = options_parse(argc, argv, &rq);
	if (rc == 0)
		return 0;
	if (any_hook(&rq.hooks) && restart_hooks_start(&rq.hooks) < 0)
		fprintf(stderr, "cr_restart: warning: no process for the commands of --run-on-...: %s\n", strerror(errno));
	if (rc > 0) {
		status = restart_hooks_run(&rq.hooks, class);
		return status ? status : rc;
	}
	rc = 0;
	if (rq.format)
		rc = rank_path(rq.format, path, sizeof(path), &err);
	else if (rq.fd >= 0)
		rc = fd_path(rq.fd, path, sizeof(path), &err);
	else
		snprintf(path, sizeof(path), "%s", rq.file);
	if (!rc)
		rc = restart(&rq, path, &class, &words, &err);
	dprintf(words >= 0 ? words : 2, "cr_restart: %s\n", err.text[0] ? err.text : strerror(-rc));
	if (rq.json) {
		if (!rq.report.problems)
			restart_report_add(&rq.report, "file", 0, &err);
		restart_report_print(&rq.report, path);
	}
	status = restart_hooks_run(&rq.hooks, class);
	return status ? status : 1;
}

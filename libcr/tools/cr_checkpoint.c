/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_checkpoint: save one process that was started by cr_run. It is the coordinator of a checkpoint of one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libcr.h"
#include "libcr/lower/message.h"
#include "libcr/tools/checkpoint_file.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

enum { GRACE_S = 20, EXIT_TRY_AGAIN = 75, ERRNO_MAX = 133 };

static const char usage[] =
	"Usage: cr_checkpoint [OPTION]... PID\n"
	"Save the process PID, which cr_run started, into a context file, alone or with others. It goes on running unless told otherwise.\n"
	"\n"
	"  -f, --file NAME    write NAME instead of context.PID; an existing file is replaced when the new one is complete\n"
	"      --tree         save the process and its descendants\n"
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
	"      --check        only say whether it can be checkpointed, and why not\n"
	"      --run          let it run on (default)\n"
	"      --term, --abort, --kill, --stop, --cont   send this signal to what was saved when the file is complete\n"
	"  -S, --signal N     send signal N\n"
	"  -t, --time SEC     give up after SEC seconds (60); the process goes on\n"
	"      --sync, --nosync   fsync the file (default), or do not\n"
	"      --stopped      keep the process stopped until the file is written (no copy-on-write)\n"
	"      --json         print the result as JSON\n"
	"      --ptraced-allow, --kmsg-none, --kmsg-error, --kmsg-warning   of BLCR: as it is anyway\n"
	"  -q, --quiet, -v, --verbose\n"
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
	uint32_t save;  /* CR_DUMP_SAVE_* */
	int signo;
	int seconds;
	int report_fd; /* for libcr: the result as "<error number> <words>"; -1 none */
};

struct result {
	struct cr_msg_hello hello;
	struct cr_msg_dumped dumped;
	uint64_t stopped_ns;
	bool resumed; /* it ran on, and @stopped_ns is known */
};

static char payload[CR_MSG_MAX_BYTES + 1];

/* DUMPED may come before the answer that is waited for: the file can be complete before the process runs again. */
static struct cr_msg_dumped early_dumped;
static bool have_dumped;

/* The processes of the set, when there are several. */
static int32_t members[CR_MSG_MAX_BYTES / sizeof(int32_t)];
static uint32_t n_members;

static int target; /* the process */

static bool target_alive(void)
{
	char path[64], stat[512] = "", *p;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", target);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	(void)!read(fd, stat, sizeof(stat) - 1);
	close(fd);
	p = strrchr(stat, ')');
	return p && p[1] == ' ' && p[2] != 'Z' && p[2] != 'X';
}

/* execve ends the agent and its connections; the next program's agent comes with it. */
static int gone(struct cr_err *err)
{
	if (target_alive())
		return cr_err_set(err, EAGAIN, "it closed the connection: it begins another program (exec), or is ending: try again");
	return cr_err_set(err, ESRCH, "the process ended");
}

/* A process of ours that has no agent yet: started or executed a moment ago. */
static bool is_starting(void)
{
	char path[64], exe[CR_PATH_BYTES], *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", target);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	name = strrchr(exe, '/');
	return name && (!strcmp(name, "/cr_run") || !strcmp(name, "/cr_restart"));
}

/* Waits for one message of @want; CLOCKS and others are passed over. FAILED becomes an error. */
static int expect(int fd, uint32_t want, int timeout_ms, struct cr_err *err)
{
	struct timespec now;
	int64_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000L + now.tv_nsec / 1000000 + timeout_ms;
	if (want == CR_MSG_DUMPED && have_dumped) {
		memcpy(payload, &early_dumped, sizeof(early_dumped));
		return sizeof(early_dumped);
	}
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct cr_msg_head h;
		int64_t left;
		int n;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = end - (now.tv_sec * 1000L + now.tv_nsec / 1000000);
		if (left <= 0 || poll(&p, 1, (int)left) == 0)
			return cr_err_set(err, ETIMEDOUT, "no answer from the process within %d seconds; it goes on", timeout_ms / 1000);
		n = cr_message_recv(fd, &h, payload);
		if (n == -EPIPE || n == -ECONNRESET)
			return gone(err);
		if (n < 0)
			return cr_err_set(err, n, "bad message from the process");
		payload[n] = '\0';
		if (h.type == CR_MSG_FAILED && h.bytes >= sizeof(struct cr_msg_failed)) {
			struct cr_msg_failed *f = (void *)payload;

			f->text[sizeof(f->text) - 1] = '\0';
			return cr_err_set(err, f->error, "%s", f->text);
		}
		if (h.type == want)
			return n;
		if (h.type == CR_MSG_MEMBERS) {
			n_members = h.bytes / sizeof(int32_t);
			memcpy(members, payload, n_members * sizeof(int32_t));
		}
		if (h.type == CR_MSG_DUMPED && h.bytes >= sizeof(early_dumped)) {
			memcpy(&early_dumped, payload, sizeof(early_dumped));
			have_dumped = true;
		}
	}
}

static int ask(int fd, uint32_t type, const void *data, size_t bytes, struct cr_err *err)
{
	int rc = cr_message_send(fd, type, type == CR_MSG_CHECK ? 0 : 1, data, bytes);

	return rc == -EPIPE || rc == -ECONNRESET ? gone(err) : rc ? cr_err_set(err, rc, "cannot ask the process: %s", strerror(-rc)) : 0;
}

/* Anybody may bind an abstract name: the process that listens must be the one that is meant. */
static bool peer_is(int fd, int pid)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 && c.pid == pid;
}

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
static int signal_all(const struct request *rq, struct cr_err *err)
{
	int rc = 0;

	if (!n_members)
		members[n_members++] = rq->pid;
	for (uint32_t i = n_members; i-- > 0;)
		if (kill(members[i], rq->signo) && !(errno == ESRCH && n_members > 1))
			rc = cr_err_set(err, errno, "saved, but signal %d cannot be sent to %d: %s", rq->signo, members[i], strerror(errno));
	return rc;
}

static int checkpoint(int fd, struct request *rq, struct result *ret, struct cr_err *err)
{
	/* Callbacks of the program have all our patience; when they are late the process says so itself, a moment later. */
	struct cr_msg_begin begin = { .checkpoint = 1, .flags = rq->scope, .limit_ms = (uint32_t)rq->seconds * 1000, .signal = rq->signo,
				      .scope = scope_number(rq->scope), .target = rq->pid };
	struct cr_msg_dump dump = { .flags = (rq->stopped ? CR_DUMP_STOPPED : 0) | (rq->file.nosync ? CR_DUMP_NOSYNC : 0) | rq->save };
	bool stay = rq->signo == SIGKILL || rq->signo == SIGTERM || rq->signo == SIGABRT || rq->signo == SIGSTOP;
	int rc = checkpoint_file_init(&rq->file, rq->pid, err);

	if (rc)
		return rc;
	memcpy(begin.dest, rq->file.path, sizeof(begin.dest));
	memcpy(dump.path, rq->file.temporary, sizeof(dump.path));
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *s = &steps[i];

		if (s->request == CR_MSG_RESUME && stay)
			break; /* stays frozen until the file is complete and the signal is sent */
		rc = ask(fd, s->request, s->request == CR_MSG_BEGIN ? (void *)&begin : s->request == CR_MSG_DUMP ? (void *)&dump : NULL,
			 s->request == CR_MSG_BEGIN ? sizeof(begin) : s->request == CR_MSG_DUMP ? sizeof(dump) : 0, err);
		if (!rc)
			rc = expect(fd, s->answer, (rq->seconds + (s->request == CR_MSG_BEGIN || s->request == CR_MSG_FREEZE ? GRACE_S : 0)) * 1000, err);
		if (rc < 0)
			goto abandon;
		if (s->answer == CR_MSG_RESUMED) {
			ret->stopped_ns = ((struct cr_msg_resumed *)payload)->stopped_ns;
			ret->resumed = true;
		}
		if (rq->verbose)
			fprintf(stderr, "cr_checkpoint: step %zu of %zu done\n", i + 1, sizeof(steps) / sizeof(steps[0]));
	}
	rc = expect(fd, CR_MSG_DUMPED, rq->seconds * 1000, err);
	if (rc < 0)
		goto abandon;
	ret->dumped = *(struct cr_msg_dumped *)payload;
	rc = checkpoint_file_commit(&rq->file, err);
	if (rc)
		return rc;
	if (rq->signo) {
		rc = signal_all(rq, err);
		if (rc)
			return rc;
	}
	if (stay) {
		rc = ask(fd, CR_MSG_RESUME, NULL, 0, err);
		if (rq->signo == SIGSTOP && !rc)
			return 0;
	}
	return 0;

abandon:
	checkpoint_file_abandon(&rq->file);
	return rc;
}

static int check(int fd, const struct request *rq, struct cr_err *err)
{
	int n = ask(fd, CR_MSG_CHECK, NULL, 0, err);

	if (!n)
		n = expect(fd, CR_MSG_CHECK_REPLY, rq->seconds * 1000, err);
	if (n < 0)
		return n;
	if (n == 0) {
		if (!rq->quiet)
			printf("%d: can be checkpointed\n", rq->pid);
		return 0;
	}
	printf("%d: cannot be checkpointed:\n%s\n", rq->pid, payload);
	return 1;
}

static int number(const char *s, int min, int max)
{
	char *end;
	long v = strtol(s, &end, 10);

	return *end || end == s || v < min || v > max ? -1 : (int)v;
}

enum { OPT_CLOBBER = 256, OPT_NOCLOBBER, OPT_BACKUP, OPT_CHECK, OPT_SYNC, OPT_NOSYNC, OPT_STOPPED, OPT_JSON, OPT_REPORT, OPT_TREE, OPT_AS_EVER, OPT_SIGNAL = 512, OPT_SAVE = 1024 };

#define SAVE_ALL (CR_DUMP_SAVE_EXE | CR_DUMP_SAVE_PRIVATE | CR_DUMP_SAVE_SHARED)

static int options(int argc, char **argv, struct request *rq)
{
	static const struct option list[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ "file", required_argument, NULL, 'f' },
		{ "dir", required_argument, NULL, 'd' },
		{ "cwd", no_argument, NULL, 'c' },
		{ "fd", required_argument, NULL, 'F' },
		{ "atomic", no_argument, NULL, OPT_CLOBBER },
		{ "clobber", no_argument, NULL, OPT_CLOBBER },
		{ "backup", optional_argument, NULL, OPT_BACKUP },
		{ "noclobber", no_argument, NULL, OPT_NOCLOBBER },
		{ "save-exe", no_argument, NULL, OPT_SAVE + CR_DUMP_SAVE_EXE },
		{ "save-private", no_argument, NULL, OPT_SAVE + CR_DUMP_SAVE_PRIVATE },
		{ "save-shared", no_argument, NULL, OPT_SAVE + CR_DUMP_SAVE_SHARED },
		{ "save-all", no_argument, NULL, OPT_SAVE + SAVE_ALL },
		{ "save-none", no_argument, NULL, OPT_SAVE },
		{ "check", no_argument, NULL, OPT_CHECK },
		{ "run", no_argument, NULL, OPT_SIGNAL },
		{ "term", no_argument, NULL, OPT_SIGNAL + SIGTERM },
		{ "abort", no_argument, NULL, OPT_SIGNAL + SIGABRT },
		{ "kill", no_argument, NULL, OPT_SIGNAL + SIGKILL },
		{ "stop", no_argument, NULL, OPT_SIGNAL + SIGSTOP },
		{ "cont", no_argument, NULL, OPT_SIGNAL + SIGCONT },
		{ "signal", required_argument, NULL, 'S' },
		{ "time", required_argument, NULL, 't' },
		{ "sync", no_argument, NULL, OPT_SYNC },
		{ "nosync", no_argument, NULL, OPT_NOSYNC },
		{ "stopped", no_argument, NULL, OPT_STOPPED },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "quiet", no_argument, NULL, 'q' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "report-fd", required_argument, NULL, OPT_REPORT },
		{ "pid", no_argument, NULL, 'p' },
		{ "process", no_argument, NULL, 'p' },
		{ "tree", no_argument, NULL, OPT_TREE },
		{ "pgid", no_argument, NULL, 'g' },
		{ "group", no_argument, NULL, 'g' },
		{ "session", no_argument, NULL, 's' },
		{ "sid", no_argument, NULL, 's' },
		/* of BLCR: what happens anyway */
		{ "ptraced-allow", no_argument, NULL, OPT_AS_EVER },
		{ "kmsg-none", no_argument, NULL, OPT_AS_EVER },
		{ "kmsg-error", no_argument, NULL, OPT_AS_EVER },
		{ "kmsg-warning", no_argument, NULL, OPT_AS_EVER },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "hcf:d:F:S:t:qvpgs", list, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'V':
			puts("cr_checkpoint (ompi-cr) " PACKAGE_VERSION);
			exit(0);
		case 'f': rq->file.name = optarg; break;
		case 'd': rq->file.dir = optarg; break;
		case 'c':
		case OPT_AS_EVER: break;
		case 'F':
			rq->file.fd = number(optarg, 0, INT_MAX);
			if (rq->file.fd < 0)
				return -1;
			break;
		case OPT_CLOBBER: rq->file.noclobber = rq->file.backup = false; break;
		case OPT_NOCLOBBER: rq->file.noclobber = true; break;
		case OPT_BACKUP:
			rq->file.backup = true;
			rq->file.backup_name = optarg;
			break;
		case OPT_CHECK: rq->check = true; break;
		case 'S':
			rq->signo = number(optarg, 1, 64);
			if (rq->signo < 0)
				return -1;
			break;
		case 't':
			rq->seconds = number(optarg, 1, INT_MAX / 1000 - GRACE_S);
			if (rq->seconds < 0)
				return -1;
			break;
		case OPT_SYNC: rq->file.nosync = false; break;
		case OPT_NOSYNC: rq->file.nosync = true; break;
		case OPT_STOPPED: rq->stopped = true; break;
		case OPT_JSON: rq->json = true; break;
		case 'q': rq->quiet = true; break;
		case 'v': rq->verbose = true; break;
		case 'p': rq->scope = 0; break;
		case OPT_TREE: rq->scope = CR_BEGIN_TREE; break;
		case 'g': rq->scope = CR_BEGIN_GROUP; break;
		case 's': rq->scope = CR_BEGIN_SESSION; break;
		case OPT_REPORT: rq->report_fd = atoi(optarg); break;
		default:
			if (c == OPT_SAVE)
				rq->save = 0;
			else if (c > OPT_SAVE)
				rq->save |= (uint32_t)(c - OPT_SAVE);
			else if (c >= OPT_SIGNAL)
				rq->signo = c - OPT_SIGNAL;
			else
				return -1;
		}
	}
	if ((rq->file.name != NULL) + (rq->file.dir != NULL) + (rq->file.fd >= 0) > 1)
		return -1;
	if (optind + 1 != argc)
		return -1;
	rq->pid = atoi(argv[optind]);
	return rq->pid > 0 ? 0 : -1;
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

/* cr_restart of a tree is no part of it: its first child with an agent is the root. 0: none. */
static int root_below(int pid)
{
	DIR *proc = opendir("/proc");
	struct dirent *e;
	int root = 0;

	while (proc && !root && (e = readdir(proc))) {
		char path[300], stat[512] = "", name[64], *p;
		int fd, child = atoi(e->d_name);

		if (child <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		(void)!read(fd, stat, sizeof(stat) - 1);
		close(fd);
		p = strrchr(stat, ')');
		if (!p || strlen(p) < 5 || atoi(p + 4) != pid)
			continue;
		snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, child);
		fd = cr_message_connect(name, NULL);
		if (fd >= 0) {
			close(fd);
			root = child;
		}
	}
	if (proc)
		closedir(proc);
	return root;
}

int main(int argc, char **argv)
{
	struct request rq = { .seconds = 60, .report_fd = -1, .file.fd = -1 };
	struct result res = { .stopped_ns = 0 };
	struct cr_err err = { "" };
	char name[64];
	int fd, rc;

	if (options(argc, argv, &rq)) {
		fputs(usage, stderr);
		return 2;
	}
	if (kill(rq.pid, 0) && errno == ESRCH) {
		fprintf(stderr, "cr_checkpoint: no process %d\n", rq.pid);
		return 1;
	}
	target = rq.pid;
	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, rq.pid);
	fd = cr_message_connect(name, &err);
	if (fd == -ECONNREFUSED && is_starting()) {
		int root = root_below(rq.pid);

		if (root) {
			target = rq.pid = root;
			snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, root);
			fd = cr_message_connect(name, &err);
		}
	}
	if (fd < 0) {
		if (fd == -ECONNREFUSED && is_starting()) {
			if (rq.report_fd >= 0)
				dprintf(rq.report_fd, "%d the process is just starting\n", EAGAIN);
			fprintf(stderr, "cr_checkpoint: process %d is just starting: try again\n", rq.pid);
			return EXIT_TRY_AGAIN;
		}
		if (rq.report_fd >= 0)
			dprintf(rq.report_fd, "%d %s\n", fd == -ECONNREFUSED ? CR_ENOSUPPORT : -fd, err.text);
		if (fd == -ECONNREFUSED)
			fprintf(stderr, "cr_checkpoint: process %d was not started by cr_run (or mpirun -am ft-enable-cr)\n", rq.pid);
		else
			fprintf(stderr, "cr_checkpoint: process %d: %s\n", rq.pid, err.text);
		return 1;
	}
	if (!peer_is(fd, rq.pid)) {
		fprintf(stderr, "cr_checkpoint: another process answers in the name of process %d\n", rq.pid);
		return 1;
	}
	rc = expect(fd, CR_MSG_HELLO, rq.seconds * 1000, &err);
	if (rc >= (int)sizeof(res.hello)) {
		res.hello = *(struct cr_msg_hello *)payload;
		rc = rq.check ? check(fd, &rq, &err) : checkpoint(fd, &rq, &res, &err);
		if (rq.check && rc >= 0)
			return rc;
	}
	if (rq.report_fd >= 0)
		dprintf(rq.report_fd, "%d %s\n", rc < 0 ? -rc : 0, rc < 0 ? err.text : "");
	if (rc < 0) {
		fprintf(stderr, "cr_checkpoint: process %d was not saved: %s\n", rq.pid, err.text);
		return exit_status(rc);
	}
	if (rq.json) {
		printf("{\"pid\": %d, \"file\": \"%s\", \"bytes\": %lu, \"pages\": %lu, \"checksum\": \"%016lx\", ", rq.pid, rq.file.path, res.dumped.file_bytes,
		       res.dumped.pages, res.dumped.checksum);
		if (res.resumed)
			printf("\"stopped_ns\": %lu, ", res.stopped_ns);
		printf("\"dump_ns\": %lu}\n", res.dumped.dump_ns);
	} else if (!rq.quiet && res.resumed) {
		printf("%s: %lu bytes, stopped for %.3f ms\n", rq.file.name ? rq.file.name : rq.file.path, res.dumped.file_bytes, (double)res.stopped_ns / 1e6);
	} else if (!rq.quiet) {
		printf("%s: %lu bytes\n", rq.file.name ? rq.file.name : rq.file.path, res.dumped.file_bytes);
	}
	return 0;
}

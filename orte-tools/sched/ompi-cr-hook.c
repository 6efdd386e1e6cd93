/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-cr-hook: the command lines of batch schedulers, turned into the requests of hook.h. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/tools/option.h"
#include "orte-tools/sched/hook.h"

#define LSF_REFERENCE "ompi-cr.reference"

static const char usage[] =
	"Usage: ompi-cr-hook [OPTION]... SUBCOMMAND [WORD]...\n"
	"Save, end or bring back a job on behalf of a batch scheduler. The words are those of the scheduler's documentation:\n"
	"\n"
#define HOOK(name, function, least, most, words) "  " name " " words "\n"
#include "orte-tools/sched/hooks.def"
#undef HOOK
	"\n"
	"  -q, --quiet    errors only; -v, --verbose: say which mpirun is saved, where the snapshot and the reference are, what is restarted\n"
	"  -h, --help     print this help\n"
	"      --version  print the version\n"
	"\n"
	"By the names echkpnt.ompicr and erestart.ompicr it is lsf-echkpnt and lsf-erestart. docs/schedulers.md shows the lines for each scheduler.\n"
	"Exit status: 0 done; 1 not done, and a job that was to be saved runs as before; 2 wrong usage.\n";

static int fail(int status, const char *words)
{
	fprintf(stderr, "ompi-cr-hook: %s\n", words);
	return status;
}

static int result(int rc, const struct cr_err *err)
{
	return rc < 0 ? fail(HOOK_FAILED, err->text) : 0;
}

static bool number_parse(const char *text, pid_t *ret)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 2 || n > INT_MAX)
		return false;
	*ret = (pid_t)n;
	return true;
}

/* The name of a job as part of a file's name. */
static void name_clean(char *name)
{
	for (char *c = name; *c; c++)
		if (*c == '/' || (c == name && *c == '.'))
			*c = '_';
}

/* What most hooks begin with. */
struct request {
	struct hook_user user;
	struct hook_place place;
	struct cr_err err;
	pid_t id;
};

static int request_make(struct request *r, const char *user, const char *group, const char *path, const char *name, const char *id)
{
	memset(r, 0, sizeof(*r));
	if (id && !number_parse(id, &r->id)) {
		fprintf(stderr, "ompi-cr-hook: %s: not the number of a session or process\n", id);
		return HOOK_USAGE;
	}
	if (hook_user_find(user, group, &r->user, &r->err) < 0 || hook_place_open(path, name, &r->place, &r->err) < 0)
		return fail(HOOK_FAILED, r->err.text);
	return 0;
}

static int request_save(struct request *r, bool chain, enum hook_after after)
{
	return result(hook_save(&r->user, &r->place, chain, r->id, after, &r->err), &r->err);
}

static int request_restart(struct request *r, bool note)
{
	return result(hook_restart(&r->user, &r->place, note, &r->err), &r->err);
}

/* --- Torque --- */

static int torque_checkpoint(int n, char **w)
{
	struct request r;
	int status;

	(void)n;
	if (strcmp(w[6], "0") && strcmp(w[6], "15")) {
		fprintf(stderr, "ompi-cr-hook: signal %s: 0 (the job goes on) or 15 (it ends)\n", w[6]);
		return HOOK_USAGE;
	}
	status = request_make(&r, w[2], w[3], w[4], w[5], w[0]);
	return status ? status : request_save(&r, false, w[6][0] == '0' ? HOOK_GO_ON : HOOK_END);
}

static int torque_restart(int n, char **w)
{
	struct request r;
	int status = request_make(&r, w[2], w[3], w[4], w[5], NULL);

	(void)n;
	return status ? status : request_restart(&r, false);
}

/* --- OpenPBS --- */

static int pbs_save(char **w, enum hook_after after)
{
	struct request r;
	int status = request_make(&r, w[3], w[4], w[6], NULL, w[1]);

	return status ? status : request_save(&r, false, after);
}

static int pbs_checkpoint(int n, char **w)
{
	(void)n;
	return pbs_save(w, HOOK_GO_ON);
}

static int pbs_checkpoint_abort(int n, char **w)
{
	(void)n;
	return pbs_save(w, HOOK_END);
}

static int pbs_restart(int n, char **w)
{
	struct request r;
	int status = request_make(&r, w[3], w[4], w[6], NULL, NULL);

	(void)n;
	return status ? status : request_restart(&r, false);
}

/* The job has to end, saved or not: this takes the place of MoM's own signals. */
static int pbs_terminate(int n, char **w)
{
	struct request r;
	struct hook_job job;
	int status = request_make(&r, w[3], w[4], w[6], NULL, w[1]);

	(void)n;
	if (status)
		return status;
	if (hook_save(&r.user, &r.place, false, r.id, HOOK_END, &r.err) == 0)
		return 0;
	fprintf(stderr, "ompi-cr-hook: %s; the job is ended without a checkpoint\n", r.err.text);
	if (hook_user_become(&r.user, &r.err) < 0)
		return fail(HOOK_FAILED, r.err.text);
	job = (struct hook_job){ r.id, r.id };
	hook_job_signal(&job, false, SIGTERM);
	hook_job_signal(&job, false, SIGCONT);
	return 0;
}

/* --- Grid Engine --- */

static int sge_request(struct request *r, char **w)
{
	char name[256];
	bool array = strcmp(w[1], "undefined") && strcmp(w[1], "0");

	snprintf(name, sizeof(name), "ompi-cr-sge-%.100s%s%.100s", w[0], array ? "." : "", array ? w[1] : "");
	name_clean(name);
	return request_make(r, w[2], NULL, w[4], name, w[3]);
}

/* Of a job that was restarted, Grid Engine goes on telling the process id of the first run. */
static int sge_save(char **w, enum hook_after after)
{
	struct request r;
	int status = sge_request(&r, w);
	pid_t restarted;

	if (status)
		return status;
	restarted = r.place.dir < 0 ? hook_restarted(&r.user, &r.place) : 0;
	if (restarted)
		r.id = restarted;
	return request_save(&r, true, after);
}

static int sge_ckpt(int n, char **w)
{
	(void)n;
	return sge_save(w, HOOK_GO_ON);
}

static int sge_migr(int n, char **w)
{
	(void)n;
	return sge_save(w, HOOK_END);
}

/* $job_pid is not the job's any more. */
static int sge_restart(int n, char **w)
{
	struct request r;
	int status;

	(void)n;
	w[3] = (char *)"2";
	status = sge_request(&r, w);
	return status ? status : request_restart(&r, true);
}

static int sge_clean(int n, char **w)
{
	struct request r;
	int status;

	(void)n;
	w[3] = (char *)"2";
	status = sge_request(&r, w);
	return status ? status : result(hook_clean(&r.user, &r.place, &r.err), &r.err);
}

/* --- LSF: as the job's user --- */

struct lsf {
	enum hook_after after;
	const char *dir;
};

/* Return: index of the first word that is no option, or -1. */
static int lsf_options(int n, char **w, const char *options, struct lsf *ret)
{
	int c;

	*ret = (struct lsf){ HOOK_GO_ON, getenv("LSB_CHKPNT_DIR") };
	optind = 0;
	opterr = 1;
	while ((c = getopt(n + 1, w - 1, options)) != -1)
		switch (c) {
		case 'k':
			ret->after = HOOK_END;
			break;
		case 's':
			ret->after = HOOK_STOP;
			break;
		case 'd':
			ret->dir = optarg;
			break;
		case 'c': /* copies of open files: they stay where they are, as for every checkpoint of ompi-cr */
		case 'f': /* also when it cannot be: what cannot be saved is never dropped silently */
		case 'x': /* LSF's own */
			break;
		default:
			return -1;
		}
	return optind == n ? optind : -1;
}

static const char *user_number(char *text, size_t room)
{
	snprintf(text, room, "%u", (unsigned int)geteuid());
	return text;
}

static int lsf_echkpnt(int n, char **w)
{
	struct request r;
	struct lsf o;
	char user[24];
	int at = lsf_options(n, w, "+cfksd:x", &o), status;

	if (at < 0)
		return fail(HOOK_USAGE, "lsf-echkpnt [-c] [-f] [-k | -s] [-d DIRECTORY] [-x] PGID");
	if (!o.dir)
		return fail(HOOK_USAGE, "neither -d nor LSB_CHKPNT_DIR says where checkpoints go");
	status = request_make(&r, user_number(user, sizeof(user)), NULL, o.dir, LSF_REFERENCE, w[at - 1]);
	return status ? status : request_save(&r, false, o.after);
}

/* What LSF is to run in the place of the job's command: ourselves, with the place. */
static int lsf_erestart(int n, char **w)
{
	struct request r;
	struct hook_place command;
	struct lsf o;
	char user[24], text[2 * PATH_MAX + 128];
	int at = lsf_options(n, w, "+cf", &o), status, fd;

	if (at < 0)
		return fail(HOOK_USAGE, "lsf-erestart [-c] [-f] DIRECTORY");
	if (strpbrk(w[at - 1], "'\n"))
		return fail(HOOK_USAGE, "a directory with a quote in its name cannot be used");
	status = request_make(&r, user_number(user, sizeof(user)), NULL, w[at - 1], LSF_REFERENCE, NULL);
	if (status)
		return status;
	fd = hook_place_read(&r.place, &r.err);
	if (fd < 0)
		return fail(HOOK_FAILED, r.err.text);
	close(fd);
	snprintf(text, sizeof(text), "LSB_RESTART_CMD=%s/ompi-cr-hook lsf-run '%s'\n", CR_BINDIR, w[at - 1]);
	if (hook_place_open(w[at - 1], ".restart_cmd", &command, &r.err) < 0 || hook_place_write(&command, &r.user, text, &r.err) < 0)
		return fail(HOOK_FAILED, r.err.text);
	return 0;
}

/* LSB_RESTART_CMD */
static int lsf_run(char **w)
{
	struct request r;
	char user[24];
	int status = request_make(&r, user_number(user, sizeof(user)), NULL, w[0], LSF_REFERENCE, NULL);

	return status ? status : request_restart(&r, false);
}

/* --- Flux: as the job's user, without a place of the scheduler's --- */

static int flux_signal(int n, char **w)
{
	const char *sig = !strncmp(w[0], "SIG", 3) ? w[0] + 3 : w[0], *dir = n > 2 ? w[2] : getenv("HOME");
	bool end = !strcmp(sig, "TERM") || !strcmp(sig, "15");
	struct request r;
	char user[24], name[64];
	int status;

	snprintf(name, sizeof(name), "ompi-cr-flux-%.40s", w[1]);
	name_clean(name);
	status = request_make(&r, user_number(user, sizeof(user)), NULL, dir ? dir : "/tmp", name, w[1]);
	return status ? status : request_save(&r, false, end ? HOOK_END : HOOK_GO_ON);
}

static const struct {
	const char *name;
	int (*run)(int n, char **words);
	int least, most;
	const char *words;
} hooks[] = {
#define HOOK(name, function, least, most, words) { name, function, least, most, words },
#include "orte-tools/sched/hooks.def"
#undef HOOK
};

static int hook_run(const char *name, int n, char **words)
{
	for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
		if (strcmp(hooks[i].name, name))
			continue;
		if (n >= hooks[i].least && n <= hooks[i].most)
			return hooks[i].run(n, words);
		fprintf(stderr, "ompi-cr-hook: usage: ompi-cr-hook %s %s\n", hooks[i].name, hooks[i].words);
		return HOOK_USAGE;
	}
	if (!strcmp(name, "lsf-run") && n == 1)
		return lsf_run(words);
	fprintf(stderr, "ompi-cr-hook: there is no subcommand %s; see --help\n", name);
	return HOOK_USAGE;
}

struct hook_options {
	enum hook_words words;
};

static const struct cr_option options[] = {
	CR_OPTION_SET("quiet", 'q', CR_OPTION_TO(struct hook_options, words), HOOK_WORDS_NONE),
	CR_OPTION_SET("verbose", 'v', CR_OPTION_TO(struct hook_options, words), HOOK_WORDS_MORE),
	CR_OPTION_END,
};
/* What follows the subcommand is the scheduler's. */
static const struct cr_command command_line = { "ompi-cr-hook", usage, options, .then_command = true };

int main(int argc, char **argv)
{
	struct hook_options o = { HOOK_WORDS_NOTE };
	int status, at;
	const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];

	if (!strcmp(base, "echkpnt.ompicr"))
		return hook_run("lsf-echkpnt", argc - 1, argv + 1);
	if (!strcmp(base, "erestart.ompicr"))
		return hook_run("lsf-erestart", argc - 1, argv + 1);
	status = cr_command_parse(&command_line, argc, argv, &o);
	if (status >= 0)
		return status;
	if (optind >= argc)
		return fail(HOOK_USAGE, "the subcommand is missing; see --help");
	hook_words_set(o.words);
	at = optind;
	return hook_run(argv[at], argc - at - 1, argv + at + 1);
}

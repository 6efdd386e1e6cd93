/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-restart: check a global snapshot, then become the mpirun that brings it back. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/tools/option.h"
#include "orte-tools/restart_check.h"
#include "orte-tools/restart_command.h"
#include "orte-tools/restart_info.h"
#include "orte-tools/restart_progress.h"
#include "orte-tools/tool_json.h"
#include "orte-tools/tool_ref.h"
#include "orte-tools/tool_verify.h"
#include "snapc/meta.h"

enum { EXIT_FAILED = 1 };

static const char usage[] =
	"Usage: ompi-restart [OPTION]... REF [-- MPIRUN_OPTION...]\n"
	"Bring a checkpointed job back. REF is the name that ompi-checkpoint printed, or the path of the directory.\n"
	"\n"
	"  -s, --seq N             sequence number (default: the newest)\n"
	"      --hostfile FILE, --machinefile FILE   nodes to run on; default: as the job was started\n"
	"  -i, --info              print what REF holds and exit; with -v one line per process\n"
	"      --fork              start mpirun as a child and return at once\n"
	"      --showme            print the mpirun command and exit, without checking\n"
	"      --dry-run           check everything, print the mpirun command, start nothing\n"
	"      --fallback          when the sequence is damaged, take the newest older one that is not\n"
	"      --quick             check files and structure here; page data only while each rank reads them\n"
	"      --force             also when the checkpointed job seems to be running still\n"
	"  -a, --apponly           write REF/restart-appfile, an appfile for mpirun, and exit\n"
	"      --mpirun_opts TEXT  options for mpirun in one word; the same as after --\n"
	"      --mca KEY VALUE, --gmca KEY VALUE   MCA parameter for mpirun\n"
	"      --launcher NAME     mpirun or srun (default: as the job was started); options after -- are that launcher's\n"
	"      --am NAME           AMCA parameter set (default: the saved one, else ft-enable-cr)\n"
	"      --timeout SEC       end what was started when not all ranks are back after so long (default: 600)\n"
	"      --json              print --info and --dry-run as JSON\n"
	"  -v, --verbose           say what is done; -q, --quiet: errors only, no progress bar\n"
	"  -p, --preload           of the original, as it is anyway: each rank reads and checks its whole file before it goes on\n"
	"      --crdebug           of the original; refused, with what to do instead\n"
	"  -h, --help              print this help\n"
	"      --version           print the version\n"
	"\n"
	"Long options also work with one dash. Exit status: mpirun's; before it has started 1 for a failure, 2 for a usage error.\n";

struct options {
	const char *ref, *launcher;
	int64_t seq;
	uint32_t timeout_seconds; /* 0: the setting timeout_restart */
	bool info, forked, showme, dry_run, fallback, quick, force, apponly, json, verbose, quiet;
	struct restart_request request;
	struct restart_words extra;
	char **argv;
};

#define TO(field) CR_OPTION_TO(struct options, field)

static int mca_take(void *to, const char *name, struct cr_err *err)
{
	struct options *o = to;
	const char *value = o->argv[optind];

	if (!value || !strcmp(value, "--"))
		return cr_err_set(err, EINVAL, "--mca needs a name and a value: %s", name);
	restart_words_add(&o->extra, "--mca");
	restart_words_add(&o->extra, name);
	restart_words_add(&o->extra, value);
	optind++;
	return 0;
}

static const struct cr_option options[] = {
	CR_OPTION_NUMBER("seq", 's', TO(seq), -1, UINT32_MAX, "not a sequence number"),
	CR_OPTION_TEXT("hostfile", 0, TO(request.hostfile)),
	CR_OPTION_TEXT("machinefile", 0, TO(request.hostfile)),
	CR_OPTION_SET("info", 'i', TO(info), true),
	CR_OPTION_SET("apponly", 'a', TO(apponly), true),
	CR_OPTION_SET("fork", 0, TO(forked), true),
	CR_OPTION_SET("showme", 0, TO(showme), true),
	CR_OPTION_SET("dry-run", 0, TO(dry_run), true),
	CR_OPTION_SET("fallback", 0, TO(fallback), true),
	CR_OPTION_SET("quick", 0, TO(quick), true),
	CR_OPTION_SET("force", 0, TO(force), true),
	CR_OPTION_TEXT("mpirun_opts", 0, TO(request.mpirun_opts)),
	CR_OPTION_TAKE("mca", 0, mca_take),
	CR_OPTION_TAKE("gmca", 0, mca_take),
	CR_OPTION_TEXT("am", 0, TO(request.amca)),
	CR_OPTION_TEXT("launcher", 0, TO(launcher)),
	CR_OPTION_NUMBER("timeout", 0, TO(timeout_seconds), 1, 1000000, "--timeout needs a number of seconds"),
	CR_OPTION_SET("json", 0, TO(json), true),
	CR_OPTION_SET("verbose", 'v', TO(verbose), true),
	CR_OPTION_SET("quiet", 'q', TO(quiet), true),
	CR_OPTION_NOTHING("preload", 'p'),
	CR_OPTION_REFUSED("crdebug", 0, "--crdebug is not supported: attach gdb to a rank, or set CR_DEBUG=2"),
	CR_OPTION_END,
};
static const struct cr_command command_line = { "ompi-restart", usage, options, .one_dash = true };

/* Return: -1 to go on, else the exit status. */
static int options_parse(int argc, char **argv, struct options *o)
{
	int status, after = 1;

	while (after < argc && strcmp(argv[after], "--") != 0)
		after++;
	o->argv = argv;
	status = cr_command_parse(&command_line, after, argv, o);
	if (status >= 0)
		return status;
	if (optind == after)
		return cr_command_refuse(&command_line, "REF is missing");
	if (optind + 1 < after)
		return cr_command_refuse(&command_line, "more than one REF: %s", argv[optind + 1]);
	o->ref = argv[optind];
	for (int i = after + 1; i < argc; i++)
		restart_words_add(&o->extra, argv[i]);
	return -1;
}

/* Check one sequence and say what is wrong with it. */
static int sequence_check(const struct snapc_snapshot *s, const struct options *o)
{
	struct tool_verdict *bad = NULL;
	int n = tool_verify(s, (o->quick ? 0 : TOOL_VERIFY_PAGES) | (o->quiet ? TOOL_VERIFY_QUIET : 0), &bad);

	if (n < 0)
		fprintf(stderr, "ompi-restart: no memory to check %s\n", s->dir);
	for (int i = 0; i < n; i++)
		fprintf(stderr, "ompi-restart: sequence %u, rank %d: %s: %s\n", s->seq, bad[i].rank, bad[i].path, bad[i].err.text);
	free(bad);
	return n ? -EBADMSG : 0;
}

/* One sequence, checked unless only the command is wanted. Return: 0, or -errno after words. */
static int sequence_load(const struct snapc_meta *meta, uint32_t seq, const struct options *o, struct snapc_snapshot **ret_s)
{
	struct cr_err err = { "" };
	int rc = snapc_meta_load(meta, seq, ret_s, &err);

	if (rc < 0) {
		fprintf(stderr, "ompi-restart: %s\n", err.text);
		return rc;
	}
	rc = o->showme ? 0 : sequence_check(*ret_s, o);
	if (rc < 0)
		snapc_snapshot_destroy(*ret_s);
	return rc;
}

/* The sequence to restart; with --fallback the newest one before it that is whole. */
static int sequence_choose(const struct snapc_meta *meta, const char *dir, const struct options *o, struct snapc_snapshot **ret_s)
{
	const uint32_t *seqs;
	uint32_t n = snapc_meta_sequences(meta, &seqs), wanted;

	while (n > 0 && o->seq >= 0 && seqs[n - 1] != o->seq)
		n--;
	if (n == 0) {
		struct cr_err err = { "" };

		snapc_meta_load(meta, o->seq, ret_s, &err); /* says what is there instead */
		fprintf(stderr, "ompi-restart: %s\n", err.text);
		return -ENOENT;
	}
	wanted = seqs[n - 1];
	while (sequence_load(meta, seqs[n - 1], o, ret_s) < 0) {
		if (o->fallback && --n > 0)
			continue;
		fprintf(stderr, "ompi-restart: sequence %u of %s is damaged; nothing was started%s\n", wanted, dir,
			o->fallback ? ", and no older one is whole" :
			n == 1      ? ", and there is no older one" :
				      "; --fallback takes the newest older one that is whole, -s N another");
		return -EBADMSG;
	}
	if (seqs[n - 1] != wanted)
		fprintf(stderr, "ompi-restart: sequence %u is damaged, falling back to sequence %u: what was computed in between is computed again\n",
			wanted, seqs[n - 1]);
	return 0;
}

/* The program's files would be written by two jobs at once. */
static int running_check(const struct snapc_snapshot *s)
{
	const struct snapc_job *job = s->job;

	if (!restart_job_runs(job))
		return 0;
	fprintf(stderr, "ompi-restart: the checkpointed job (mpirun pid %lld) is still running on this host; end it first, or add --force\n",
		(long long)job->mpirun_pid);
	return -EBUSY;
}

static int appfile_write(const struct snapc_snapshot *s, const char *restorer)
{
	char path[PATH_MAX];
	FILE *f;
	int bad;

	if (snprintf(path, sizeof(path), "%s/restart-appfile", s->dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	f = fopen(path, "we");
	if (!f) {
		fprintf(stderr, "ompi-restart: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	fprintf(f, "-np %u %s --rank-file %s/%u/opal_snapshot_%%d.ckpt/cr_context\n", s->np, restorer, s->dir, s->seq);
	bad = ferror(f);
	if (fclose(f) != 0 || bad) {
		fprintf(stderr, "ompi-restart: %s: cannot write\n", path);
		return -EIO;
	}
	printf("Created Appfile:\n\t%s\nUse it with:\n\t%s=%s %s=%u mpirun -am ft-enable-cr --app %s\n", path, SNAPC_ENV_RESTARTED_FROM, s->dir,
	       SNAPC_ENV_RESTARTED_SEQ, s->seq, path);
	return 0;
}

static void command_show(const struct snapc_snapshot *s, const struct restart_words *command, bool json)
{
	if (!json) {
		restart_words_print(stdout, command);
		return;
	}
	fputs("{\"reference\": ", stdout);
	tool_json_string(stdout, s->dir);
	printf(", \"sequence\": %u, \"np\": %u, \"command\": ", s->seq, s->np);
	tool_json_strings(stdout, command->words);
	puts("}");
}

static int command_run(const struct snapc_snapshot *s, const struct restart_words *command, const struct options *o)
{
	if (restart_environment_set(s, o->timeout_seconds) < 0) {
		fprintf(stderr, "ompi-restart: no memory for the environment\n");
		return EXIT_FAILED;
	}
	if (o->verbose)
		restart_words_print(stderr, command);
	fflush(stdout);
	if (o->forked) {
		pid_t pid = fork();

		if (pid < 0) {
			fprintf(stderr, "ompi-restart: fork: %s\n", strerror(errno));
			return EXIT_FAILED;
		}
		if (pid > 0) {
			if (o->verbose)
				fprintf(stderr, "ompi-restart: mpirun runs as process %d\n", (int)pid);
			return 0;
		}
	}
	if (!o->quiet && !o->forked)
		restart_progress_start(s);
	execvp(command->words[0], command->words);
	fprintf(stderr, "ompi-restart: %s: cannot execute: %s; is Open MPI in PATH?\n", command->words[0], strerror(errno));
	return EXIT_FAILED;
}

static int dry_run_check(const struct snapc_snapshot *s, const struct restart_words *command, const struct options *o)
{
	bool elsewhere = o->request.hostfile || o->request.srun || !restart_one_host(s);
	int rc = o->force ? 0 : running_check(s);

	return rc < 0 ? rc : restart_check(s, command->words[0], o->request.restorer, elsewhere, o->quiet);
}

static int restart(struct options *o, struct snapc_snapshot *s)
{
	struct restart_words command;
	struct cr_err err = { "" };
	int status = EXIT_FAILED;

	o->request.s = s;
	o->request.extra = o->extra.words;
	if (o->apponly)
		return appfile_write(s, o->request.restorer) < 0 ? EXIT_FAILED : 0;
	if (restart_launcher_choose(o->launcher, s->job, &o->request.srun, &err) < 0 || restart_command_make(&o->request, &command, &err) < 0) {
		fprintf(stderr, "ompi-restart: %s\n", err.text);
		return EXIT_FAILED;
	}
	if (o->showme || o->dry_run) {
		if (o->showme || dry_run_check(s, &command, o) == 0) {
			command_show(s, &command, o->json);
			status = 0;
		}
	} else if (o->force || running_check(s) == 0) {
		status = command_run(s, &command, o);
	}
	restart_words_free(&command);
	return status;
}

int main(int argc, char **argv)
{
	struct options o = { .seq = -1, .request = { .mpirun = "mpirun", .restorer = CR_BINDIR "/cr_restart" } };
	struct snapc_snapshot *s;
	struct snapc_meta *meta;
	struct cr_err err = { "" };
	char dir[PATH_MAX];
	int status = options_parse(argc, argv, &o);

	if (status >= 0)
		return status;
	if (getenv("OMPI_CR_RESTORER"))
		o.request.restorer = getenv("OMPI_CR_RESTORER");
	if (tool_ref_resolve(o.ref, NULL, dir, &err) < 0 || snapc_meta_open(dir, &meta, &err) < 0) {
		fprintf(stderr, "ompi-restart: %s\n", err.text);
		return EXIT_FAILED;
	}
	status = EXIT_FAILED;
	if (o.info)
		status = restart_info(meta, o.seq, o.verbose, o.json) < 0 ? EXIT_FAILED : 0;
	else if (sequence_choose(meta, dir, &o, &s) == 0) {
		status = restart(&o, s);
		snapc_snapshot_destroy(s);
	}
	snapc_meta_close(meta);
	restart_words_free(&o.extra);
	return status;
}

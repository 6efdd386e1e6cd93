/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-cr-batch: the command line. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/tools/option.h"
#include "libcr/tools/process_stat.h"
#include "orte-tools/sched/batch.h"
#include "orte-tools/sched/batch_env.h"
#include "orte-tools/tool_ref.h"

static const char usage[] =
	"Usage: ompi-cr-batch [OPTION]... mpirun|srun [ARGUMENT]...\n"
	"Run an MPI job in a batch script so that it survives preemption and time limits: as the script's last line, with the scheduler asked for a warning.\n"
	"\n"
	"    #SBATCH --requeue --signal=B:USR1@60\n"
	"    ompi-cr-batch mpirun ./program\n"
	"\n"
	"The first run starts the job under protection. At SIGUSR1 it is checkpointed, ended and requeued; the next run restarts it from the newest snapshot\n"
	"that is whole. When the program ends by itself, its exit status is the job's.\n"
	"\n"
	"      --dir DIR    where the jobs' snapshots are kept, on all nodes the same (default: OMPI_CR_SNAPSHOT_DIR, else HOME)\n"
	"      --grace SEC  from the warning to the requeue at the latest (default: 50)\n"
	"      --keep N     keep the snapshots of the newest N starts (default: 2)\n"
	"      --drain SEC  look so often whether a node is being drained, and leave it (Slurm; default: 60; 0: never)\n"
	"      --job NAME   name of the job (default: the scheduler's id)\n"
	"  -q, --quiet      say only what went wrong; -v, --verbose: also how each checkpoint goes\n"
	"  -h, --help       print this help\n"
	"      --version    print the version\n"
	"\n"
	"Exit status: the program's; 75 (Grid Engine: 99) asks for a requeue; 1 failed, 2 wrong usage.\n";

struct options {
	const char *dir, *job;
	int grace_s, keep, drain_s;
	bool quiet, verbose;
};

#define TO(field) CR_OPTION_TO(struct options, field)

static const struct cr_option options[] = {
	CR_OPTION_TEXT("dir", 0, TO(dir)),
	CR_OPTION_NUMBER("grace", 0, TO(grace_s), 1, 86400, "--grace: not a number of seconds"),
	CR_OPTION_NUMBER("keep", 0, TO(keep), 1, 1000000, "--keep: not a number"),
	CR_OPTION_NUMBER("drain", 0, TO(drain_s), 0, 86400, "--drain: not a number of seconds"),
	CR_OPTION_TEXT("job", 0, TO(job)),
	CR_OPTION_SET("quiet", 'q', TO(quiet), true),
	CR_OPTION_SET("verbose", 'v', TO(verbose), true),
	CR_OPTION_END,
};
static const struct cr_command command_line = { "ompi-cr-batch", usage, options, .then_command = true };

static const char *base_name(const char *word)
{
	const char *slash = strrchr(word, '/');

	return slash ? slash + 1 : word;
}

static bool is_mpirun(const char *word)
{
	static const char *const names[] = { "mpirun", "mpiexec", "orterun" };
	const char *base = base_name(word);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t n = strlen(names[i]);

		if (!strncmp(base, names[i], n) && (!base[n] || base[n] == '.'))
			return true;
	}
	return false;
}

/* Is mpirun's line protected already? Return: 1; 0; -EINVAL with a message: by something else. */
static int mpirun_protected(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i++)
		if (!strcmp(argv[i], "-am") || !strcmp(argv[i], "--am")) {
			if (strstr(argv[i + 1], "ft-enable-cr"))
				return 1;
			cr_command_refuse(&command_line, "the parameter set ft-enable-cr is missing in -am %s", argv[i + 1]);
			return -EINVAL;
		}
	return 0;
}

/* Our component is found by an mpirun whose environment says nothing else. */
static void environment_complete(void)
{
	if (access(CR_MCADIR "/mca_schizo_ompicr.so", R_OK) == 0)
		setenv("OMPI_MCA_mca_base_component_path", CR_MCADIR ":SYSTEM_DEFAULT:USER_DEFAULT", 0);
	setenv(BATCH_ENV_RUNS, "1", 1);
}

/* mpirun's command with "-am ft-enable-cr", or srun's with ompi-cr-srun in its place; NULL with a message. */
static char **command_make(int argc, char **argv)
{
	char **command = calloc((size_t)argc + 3, sizeof(*command));
	bool srun = !strcmp(base_name(argv[0]), "srun") || !strcmp(base_name(argv[0]), "ompi-cr-srun");
	int n = 0, rc = 0;

	if (!command)
		return NULL;
	if (!srun && !is_mpirun(argv[0])) {
		cr_command_refuse(&command_line, "the command has to be srun, or mpirun, mpiexec or orterun of Open MPI, not %s", argv[0]);
		rc = -EINVAL;
	} else if (!srun) {
		rc = mpirun_protected(argc, argv);
	}
	if (rc < 0) {
		free(command);
		return NULL;
	}
	environment_complete();
	command[n++] = srun ? (char *)CR_BINDIR "/ompi-cr-srun" : argv[0];
	if (!srun && !rc) {
		command[n++] = (char *)"-am";
		/* by its name where mpirun is told where to look */
		command[n++] = getenv("OMPI_MCA_mca_base_param_file_path") ? (char *)"ft-enable-cr" : (char *)CR_AMCADIR "/ft-enable-cr";
	}
	for (int i = 1; i < argc; i++)
		command[n++] = argv[i];
	return command;
}

/* FNV-1a of the words, for a name: a script that nobody has written for us may have several lines of mpirun. */
static unsigned int command_number(char *const *words)
{
	uint32_t hash = 2166136261u;

	for (; *words; words++)
		for (const char *c = *words;; c++) {
			hash = (hash ^ (unsigned char)*c) * 16777619u;
			if (!*c)
				break;
		}
	return hash;
}

/* "<scheduler>-<id>[_<task>]", only characters that are safe in a file name. */
static void name_make(const struct batch *b, const char *job, char *ret, size_t room)
{
	const char *task = b->sched->task_variable ? getenv(b->sched->task_variable) : NULL;

	if (job)
		snprintf(ret, room, "%s", job);
	else
		snprintf(ret, room, "%s-%s%s%s", b->sched->name, b->id, task && isdigit((unsigned char)task[0]) ? "_" : "",
			 task && isdigit((unsigned char)task[0]) ? task : "");
	if (!job && getenv(BATCH_ENV_AUTO) && strlen(ret) + 12 < room)
		sprintf(ret + strlen(ret), "-%08x", command_number(b->command));
	for (char *c = ret; *c; c++)
		if (*c == '/' || (c == ret && *c == '.'))
			*c = '_';
}

/* The batch shell, when we are below it: then somebody between us and it waits, and at last the shell. */
static pid_t shell_find(const struct batch *b)
{
	const char *text = b->sched->shell_variable ? getenv(b->sched->shell_variable) : NULL;
	long shell = text ? atol(text) : 0;
	struct cr_process_stat st = { .parent = getpid() };

	while (shell > 1 && cr_process_stat(st.parent, &st) && st.parent > 1)
		if (st.parent == shell)
			return st.parent;
	return 0;
}

static int seconds_parse(const char *text, int *ret)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 1 || n > 86400)
		return -EINVAL;
	*ret = (int)n;
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .dir = tool_snapshot_dir(), .grace_s = 50, .keep = 2, .drain_s = 60 };
	static struct batch b;
	struct cr_err err = { "" };
	char name[256];
	int status;

	if (getenv(BATCH_ENV_GRACE) && seconds_parse(getenv(BATCH_ENV_GRACE), &o.grace_s) < 0)
		return cr_command_refuse(&command_line, BATCH_ENV_GRACE ": not a number of seconds: %s", getenv(BATCH_ENV_GRACE));
	status = cr_command_parse(&command_line, argc, argv, &o);
	if (status >= 0)
		return status;
	if (optind == argc)
		return cr_command_refuse(&command_line, "the command is missing");
	b.command = command_make(argc - optind, argv + optind);
	if (!b.command)
		return BATCH_USAGE;
	b.sched = batch_scheduler_find();
	b.grace_s = o.grace_s;
	b.keep = (unsigned int)o.keep;
	b.drain_s = o.drain_s;
	b.quiet = o.quiet;
	b.verbose = o.verbose;
	b.shell = shell_find(&b);
	if (!getenv(b.sched->id_variable) && !o.job)
		return cr_command_refuse(&command_line, "this is not a batch job of a scheduler that is known: --job gives it a name");
	snprintf(b.id, sizeof(b.id), "%s", getenv(b.sched->id_variable) ? getenv(b.sched->id_variable) : o.job);
	name_make(&b, o.job, name, sizeof(name));
	if (batch_place_open(o.dir, name, b.sched->again() || o.job, &b.place, &err) < 0) {
		fprintf(stderr, "ompi-cr-batch: %s\n", err.text);
		return BATCH_FAILED;
	}
	status = batch_run(&b);
	free(b.command);
	return status;
}

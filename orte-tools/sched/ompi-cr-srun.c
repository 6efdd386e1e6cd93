/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-cr-srun: srun under protection. Stands in the place of mpirun: it is the process that names the job, starts the global snapcd, has every rank
 * started through ompi-cr-task and ends with srun.
 *
 * Signals that it is sent go on to srun; those that a terminal sends to both are left to srun.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/cr_proto.h"
#include "orte-tools/mca/schizo_ompicr.h"
#include "orte-tools/sched/srun_line.h"
#include "snapc/settings.h"
#include "snapc/snapshot.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif
#define EXPORT_BYTES 16384

extern char **environ;

enum { SRUN_FAILED = 1, SRUN_USAGE = 2 };

static const char usage[] =
	"Usage: ompi-cr-srun [OPTION of srun]... [--] PROGRAM [ARGUMENT]...\n"
	"Run an MPI program by `srun --mpi=pmix` so that ompi-checkpoint can save it and ompi-restart bring it back.\n"
	"\n"
	"    ompi-cr-srun -n 64 ./program\n"
	"\n"
	"All options are srun's but:\n"
	"\n"
	"      --help     print this help\n"
	"      --version  print the version\n"
	"\n"
	"--mpi=pmix is added when no --mpi is there. Settings: see ompi-cr-info. Several programs (\":\", --multi-prog) and --bcast are refused;\n"
	"--export is completed with what the ranks need.\n"
	"Exit status: srun's; 0 when the job was ended by ompi-checkpoint --term; 1 it could not be started, 2 wrong usage.\n";

static int fail(int status, const char *words)
{
	fprintf(stderr, "ompi-cr-srun: %s\n", words);
	return status;
}

/* --- the command --- */

static int options_check(const struct srun_line *line)
{
	static const char *const not[] = { "multi-prog", "bcast" };
	const char *mpi = srun_line_get(line, "mpi", 0);

	if (!line->program[0])
		return fail(SRUN_USAGE, "the program is missing");
	for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++)
		if (srun_line_get(line, not[i], 0)) {
			fprintf(stderr, "ompi-cr-srun: --%s cannot be used: every rank has to be started through ompi-cr\n", not[i]);
			return SRUN_USAGE;
		}
	if (mpi && strncmp(mpi, "pmix", 4)) {
		fprintf(stderr, "ompi-cr-srun: --mpi=%s: Open MPI's ranks are started by --mpi=pmix\n", mpi);
		return SRUN_USAGE;
	}
	return 0;
}

static bool ours(const char *entry)
{
	return !strncmp(entry, "OMPI_CR_", 8) || !strncmp(entry, "OMPI_MCA_", 9) || !strncmp(entry, "CR_", 3);
}

/* When srun is told which variables go to the ranks, what we need goes with them. "" when nothing has to be said. */
static int export_make(const struct srun_line *line, char *ret, size_t room)
{
	const char *given = srun_line_get(line, "export", 0);
	size_t used;

	ret[0] = '\0';
	if (!given)
		given = getenv("SLURM_EXPORT_ENV");
	if (!given || !strncmp(given, "ALL", 3))
		return 0;
	used = (size_t)snprintf(ret, room, "--export=%s", strcmp(given, "NONE") && strcmp(given, "NIL") ? given : "PATH");
	for (char **e = environ; *e && used < room; e++)
		if (ours(*e))
			used += (size_t)snprintf(ret + used, room - used, ",%.*s", (int)strcspn(*e, "="), *e);
	return used < room ? 0 : -ENAMETOOLONG;
}

/* @restored: the program is the restorer, which is what protection is made of. */
static char **command_make(const struct srun_line *line, bool restored, const char *export)
{
	size_t n = 0, noptions = 0, nwords = 0;
	char **command;

	while (line->options[noptions])
		noptions++;
	while (line->program[nwords])
		nwords++;
	command = calloc(noptions + nwords + 8, sizeof(*command));
	if (!command)
		return NULL;
	command[n++] = (char *)"srun";
	for (char **o = line->options; *o; o++)
		if (!*export || !srun_option_value(*o, "export", 0))
			command[n++] = *o;
	if (!srun_line_get(line, "mpi", 0))
		command[n++] = (char *)"--mpi=pmix";
	if (*export)
		command[n++] = (char *)(uintptr_t)export;
	command[n++] = (char *)"--";
	command[n++] = (char *)CR_PKGLIBEXECDIR "/ompi-cr-task";
	if (restored)
		command[n++] = (char *)"--restored";
	for (char **w = line->program; *w; w++)
		command[n++] = *w;
	return command;
}

/* Ourselves again, in the form of srun_line.h. */
static int form_set(const char *self, const struct srun_line *line)
{
	size_t n = 0, words = 3;
	char **argv;

	for (char **o = line->options; *o; o++)
		words++;
	for (char **w = line->program; *w; w++)
		words++;
	argv = calloc(words, sizeof(*argv));
	if (!argv)
		return fail(SRUN_FAILED, "no memory for the command line");
	argv[n++] = (char *)(uintptr_t)self;
	for (char **o = line->options; *o; o++)
		argv[n++] = *o;
	argv[n++] = (char *)"--";
	for (char **w = line->program; *w; w++)
		argv[n++] = *w;
	execv("/proc/self/exe", argv);
	return fail(SRUN_FAILED, strerror(errno));
}

static bool form_is(char *const *argv, const struct srun_line *line)
{
	size_t i = 0;

	for (; line->options[i]; i++)
		if (!argv[i] || strcmp(argv[i], line->options[i]))
			return false;
	return argv[i] && !strcmp(argv[i], "--");
}

/* --- the coordinator --- */

struct srun {
	struct ompicr_coord coord;
	struct snapc_settings *settings;
	char job[32], dir[PATH_MAX];
	pid_t srun;
	bool terminated; /* the coordinator has asked for the end */
};

static int coordinator_start(struct srun *s)
{
	const char *from = getenv(SNAPC_ENV_RESTARTED_FROM), *slurm = getenv("SLURM_JOB_ID");
	struct ompicr_coord *c = &s->coord;
	struct cr_err err = { "" };

	if (snapc_settings_load(&s->settings, &err) < 0 || snapc_settings_export(s->settings) < 0)
		return fail(SRUN_FAILED, err.text[0] ? err.text : "no memory for the settings");
	if (ompicr_snapshot_dir(s->dir, sizeof(s->dir)) < 0)
		return fail(SRUN_FAILED, "the path of the snapshot directory is too long; set OMPI_CR_SNAPSHOT_DIR");
	snprintf(s->job, sizeof(s->job), "%.20s.%d", slurm ? slurm : "srun", (int)getpid());
	c->mpirun_pid = getpid();
	c->job = s->job;
	c->snapshot_dir = s->dir;
	c->snapcd = CR_SNAPCD;
	c->keep = s->settings->all[SNAPC_SETTING_KEEP].value;
	c->auth = s->settings->all[SNAPC_SETTING_AUTH].value;
	c->network = s->settings->all[SNAPC_SETTING_NETWORK].value;
	c->port = s->settings->all[SNAPC_SETTING_PORT].value;
	c->restarted_from = from && *from ? from : NULL;
	c->restarted_seq = getenv(SNAPC_ENV_RESTARTED_SEQ);
	setenv(SNAPC_ENV_OMPI_VERSION, CR_OMPI_VERSION, 1);
	if (ompicr_coord_start(c) < 0) {
		fprintf(stderr, "ompi-cr-srun: the coordinator cannot be started: %s\nompi-cr-srun: no rank was started\n", c->words);
		return SRUN_FAILED;
	}
	unsetenv(SNAPC_ENV_OMPI_VERSION);
	if (!c->coordinator[0]) {
		fprintf(stderr, "ompi-cr-srun: the coordinator does not listen on a network: its log is %s\nompi-cr-srun: no rank was started\n", c->log);
		return SRUN_FAILED;
	}
	return 0;
}

/* What goes to the ranks by srun. What ft-enable-cr says for mpirun is said here as well; a value that is set goes first. */
static void environment_set(const struct srun *s)
{
	setenv(CR_ENV_SNAPC_SOCKET, s->coord.socket, 1);
	setenv(CR_ENV_COORDINATOR, s->coord.coordinator, 1);
	setenv("OMPI_MCA_mpi_warn_on_fork", "0", 0);
	setenv("OMPI_MCA_mpi_leave_pinned", "0", 0);
	unsetenv(SNAPC_ENV_RESTARTED_FROM);
	unsetenv(SNAPC_ENV_RESTARTED_SEQ);
}

/* --- running --- */

static pid_t srun_start(char *const *command, const sigset_t *mask)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	/* A job without the process that names it would run on unprotected, and nobody could tell it to end. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(SRUN_FAILED);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	fprintf(stderr, "ompi-cr-srun: %s: cannot execute: %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Return: another one has taken its place. */
static bool coordinator_again(struct srun *s)
{
	int rc;

	if (s->terminated || s->coord.leaves)
		return false;
	setenv(SNAPC_ENV_OMPI_VERSION, CR_OMPI_VERSION, 1);
	rc = ompicr_coord_again(&s->coord);
	unsetenv(SNAPC_ENV_OMPI_VERSION);
	if (rc == 0)
		fprintf(stderr, "ompi-cr: the coordinator of job %s has died, with its supervisor: another one is started (log: %s)\n", s->job, s->coord.log);
	return rc == 0;
}

static void coordinator_says(struct srun *s, struct pollfd *p)
{
	char text[256];
	ssize_t n = read(s->coord.fd, text, sizeof(text) - 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && coordinator_again(s)) {
		p->fd = s->coord.fd;
		return;
	}
	if (n <= 0) {
		p->fd = -1;
		if (!s->terminated)
			fprintf(stderr, "ompi-cr: the coordinator of job %s has ended (log: %s); the job runs on, without protection\n", s->job,
				s->coord.log);
		return;
	}
	text[n] = '\0';
	if (!ompicr_coord_heard(&s->coord, text))
		fprintf(stderr, "ompi-cr: the coordinator of job %s cannot be replaced: %s\n", s->job, s->coord.words);
	if (strstr(text, "terminate\n")) {
		s->terminated = true;
		kill(s->srun, SIGTERM); /* srun ends the step */
	}
}

static void signal_take(const struct srun *s, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != (ssize_t)sizeof(info) || info.ssi_signo == SIGCHLD)
		return;
	if (info.ssi_code != SI_KERNEL) /* from a terminal: srun has it already */
		kill(s->srun, (int)info.ssi_signo);
}

/* Return: exit status. */
static int srun_wait(struct srun *s, int fd)
{
	struct pollfd p[2] = { { .fd = s->coord.fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
	int status = 0;

	while (waitpid(s->srun, &status, WNOHANG) != s->srun) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			coordinator_says(s, &p[0]);
		if (p[1].revents)
			signal_take(s, fd);
	}
	if (s->terminated)
		return 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int srun_run(const struct srun_line *line)
{
	static const int passed[] = { SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCONT };
	char *export = malloc(EXPORT_BYTES), **command;
	static struct srun s;
	sigset_t set, old;
	int fd, rc;

	if (!export)
		return fail(SRUN_FAILED, "no memory");
	rc = coordinator_start(&s);
	if (rc)
		return rc;
	environment_set(&s);
	if (export_make(line, export, EXPORT_BYTES) < 0)
		return fail(SRUN_FAILED, "too many variables have to go to the ranks: leave --export away");
	command = command_make(line, s.coord.restarted_from != NULL, export);
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(passed) / sizeof(passed[0]); i++)
		sigaddset(&set, passed[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (!command || fd < 0)
		return fail(SRUN_FAILED, "no memory");
	s.srun = srun_start(command, &old);
	if (s.srun < 0)
		return fail(SRUN_FAILED, strerror(errno));
	if (!srun_line_get(line, "quiet", 'Q'))
		fprintf(stderr, "ompi-cr: job %s (ompi-cr-srun pid %d), snapshots in %s\n", s.job, (int)getpid(), s.dir);
	rc = srun_wait(&s, fd);
	free(command);
	free(export);
	return rc;
}

int main(int argc, char **argv)
{
	struct srun_line line;
	struct cr_err err = { "" };
	int rc;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts("ompi-cr-srun (ompi-cr) " PACKAGE_VERSION);
		return 0;
	}
	if (argc < 2 || srun_line_parse(argv + 1, &line, &err) < 0)
		return fail(SRUN_USAGE, argc < 2 ? "the program is missing; see --help" : err.text);
	rc = options_check(&line);
	if (!rc)
		rc = form_is(argv + 1, &line) ? srun_run(&line) : form_set(argv[0], &line);
	srun_line_free(&line);
	return rc;
}

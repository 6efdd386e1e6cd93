/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cr_run: start a program so that it can be checkpointed. It becomes the lower half of the program's process. */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/cr_proto.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/ipc.h"
#include "libcr/lower/start.h"
#include "libcr/lower/tree.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

static const char usage[] =
	"Usage: cr_run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
	"Start PROGRAM, unmodified, so that it can be checkpointed (cr_checkpoint PID) and restarted (cr_restart FILE).\n"
	"Programs that it executes are started in the same way. MPI programs: mpirun -am ft-enable-cr PROGRAM.\n"
	"\n"
	"      --run      the default\n"
	"      --omit     leave PROGRAM and what it executes out of checkpoints; the later of the two counts\n"
	"  -h, --help     print this help\n"
	"      --version  print the version\n"
	"\n"
	"Statically linked programs cannot be started. Set-user-id programs executed by PROGRAM run unprotected.\n"
	"Exit status: that of PROGRAM; 126 when it cannot be executed, 127 when it is not found, 2 for a usage error.\n";

static void die(int status, const char *program, const char *text) __attribute__((noreturn));
static void die(int status, const char *program, const char *text)
{
	fprintf(stderr, "cr_run: %s%s%s\n", program ? program : "", program ? ": " : "", text);
	exit(status);
}

/* As execvp searches. Returns malloc'ed, or NULL with errno. */
static char *program_find(const char *name)
{
	const char *path = getenv("PATH"), *p, *end;
	int denied = 0;
	struct stat st;

	if (strchr(name, '/'))
		return strdup(name);
	if (!path)
		path = "/usr/local/bin:/bin:/usr/bin";
	for (p = path;; p = end + 1) {
		char *full;

		end = strchrnul(p, ':');
		if (asprintf(&full, "%.*s%s%s", (int)(end - p), p, end > p ? "/" : "", name) < 0)
			return NULL;
		if (!stat(full, &st) && S_ISREG(st.st_mode)) {
			if (!access(full, X_OK))
				return full;
			denied = 1;
		}
		free(full);
		if (!*end)
			break;
	}
	errno = denied ? EACCES : ENOENT;
	return NULL;
}

/* What a launcher has found, which looks in more places. Returns malloc'ed, or NULL. */
static char *program_given(const char *name)
{
	const char *given = getenv(CR_ENV_PROGRAM), *last = given ? strrchr(given, '/') : NULL;

	return last && strcmp(last + 1, name) == 0 ? strdup(given) : NULL;
}

/* The upper half's environment: our libraries first in LD_PRELOAD, the user's value kept aside for libcr.so to put back. */
static void preload_set(void)
{
	const char *own = getenv("LD_PRELOAD");
	char *value, path[1200];

	snprintf(path, sizeof(path), "%s/libmpi.so.40", cr_lower.upper_dir);
	if (asprintf(&value, "%s/libcr.so%s%s%s%s", cr_lower.upper_dir, access(path, R_OK) ? "" : ":", access(path, R_OK) ? "" : path,
		     own && *own ? ":" : "", own && *own ? own : "") < 0)
		die(126, NULL, "out of memory");
	setenv("OMPI_CR_USER_PRELOAD", own ? own : "", 1);
	setenv("LD_PRELOAD", value, 1);
	free(value);
}

/* The lower half's own environment stays as it was: the program gets a copy. */
static char **environment_for_program(bool keep_omit, bool omit)
{
	extern char **environ;
	char **copy, **saved = environ;
	size_t n = 0;

	while (environ[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	if (!copy)
		die(126, NULL, "out of memory");
	memcpy(copy, environ, n * sizeof(*copy));
	environ = copy;
	preload_set();
	unsetenv(CR_ENV_PROGRAM);
	if (!keep_omit && (omit ? setenv(CR_OMIT_ENV, "1", 1) : unsetenv(CR_OMIT_ENV)) < 0)
		die(126, NULL, "out of memory");
	copy = environ;
	environ = saved;
	return copy;
}

/* Is this process protected already, as what a protected program executes is? libcr.so is there then. */
static bool inside(void)
{
	int (*protected)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "cr_protected");

	return protected && protected();
}

static void become(char **argv, bool omit) __attribute__((noreturn));
static void become(char **argv, bool omit)
{
	if ((omit ? setenv(CR_OMIT_ENV, "1", 1) : unsetenv(CR_OMIT_ENV)) < 0)
		die(126, NULL, "out of memory");
	execvp(argv[0], argv);
	die(errno == ENOENT ? 127 : 126, argv[0], strerror(errno));
}

static int script(char **argv, char *path, char ***ret_argv, char **ret_path)
{
	static char interp[512], *arg;
	int rc = cr_exec_probe(path, interp, sizeof(interp), &arg);
	size_t n = 0, k = 0;
	char **v;

	if (rc <= 0)
		return rc;
	while (argv[n])
		n++;
	v = calloc(n + 4, sizeof(*v));
	if (!v)
		die(126, NULL, "out of memory");
	v[k++] = interp;
	if (arg)
		v[k++] = arg;
	v[k++] = path;
	for (size_t i = 1; i < n; i++)
		v[k++] = argv[i];
	*ret_argv = v;
	*ret_path = interp;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { "exec", required_argument, NULL, 'x' },
		{ "stdio", required_argument, NULL, 's' }, { "mask", required_argument, NULL, 'm' },
		{ "tree", required_argument, NULL, 't' }, { "ipc", required_argument, NULL, 'i' }, { "run", no_argument, NULL, 'r' }, { "omit", no_argument, NULL, 'o' }, { NULL, 0, NULL, 0 },
	};
	struct cr_err err = { "" };
	struct cr_exec x;
	const char *stdio = NULL;
	char *path = NULL, **env, **av, *real;
	uint64_t sp, mask;
	int c, rc, floor, descendant = 0, omit = 0, tree_fd = -1, ipc_fd = -1;

	cr_sys4(SYS_rt_sigprocmask, SIG_BLOCK, 0, &mask, 8);
	while ((c = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("cr_run (ompi-cr) " PACKAGE_VERSION);
			return 0;
		case 'x': /* from exec of a protected program: the file; the arguments follow as they are */
			path = optarg;
			descendant = 1;
			break;
		case 's': /* likewise: the standard streams before the program changed them */
			stdio = optarg;
			break;
		case 'm': /* likewise: the signal mask that the program had */
			mask = strtoull(optarg, NULL, 16);
			break;
		case 't': /* likewise: the table of ids of the restarted tree that it belongs to */
			tree_fd = (int)strtoul(optarg, NULL, 16);
			break;
		case 'i': /* likewise: the table of System V objects */
			ipc_fd = (int)strtoul(optarg, NULL, 16);
			break;
		case 'r':
		case 'o':
			omit = c == 'o';
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	av = argv + optind;
	if (!av[0]) {
		fputs("cr_run: no program given\n", stderr);
		fputs(usage, stderr);
		return 2;
	}
	if (!path && inside())
		become(av, omit);
	if (!path) {
		path = program_given(av[0]);
		if (!path)
			path = program_find(av[0]);
		if (!path)
			die(errno == ENOENT ? 127 : 126, av[0], strerror(errno));
		if (access(path, X_OK))
			die(errno == ENOENT ? 127 : 126, path, strerror(errno));
	}
	if (script(av, path, &av, &path) < 0)
		die(126, path, "not a program that can be started: neither a dynamically linked x86-64 ELF file nor a script");
	rc = cr_start(0, stdio, &err);
	if (!rc)
		rc = cr_filter_install(cr_lower.fd_floor, false, &floor, &cr_lower.filter_inherited, &err);
	if (!rc) {
		cr_lower.fd_floor = floor;
		cr_thread_state_record();
		/* A descendant may have lost what it takes, or its program's environment may be older than a restart on another machine. */
		rc = cr_engine_start(!descendant, &err);
	}
	if (!rc)
		rc = cr_ipc_table_open(ipc_fd, &err);
	if (!rc)
		rc = cr_window_create(&err);
	if (!rc) {
		cr_start_limit();
		CR_PRIVATE->fd_floor = (uint32_t)floor;
		if (tree_fd >= 0)
			cr_tree_attach(tree_fd);
		CR_PRIVATE->program_pid = cr_id_to_program(getpid());
		CR_PRIVATE->program_ppid = cr_id_to_program(getppid());
		real = realpath(path, NULL);
		snprintf(CR_PRIVATE->exe, sizeof(CR_PRIVATE->exe), "%s", real ? real : path);
		prctl(PR_SET_NAME, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
		rc = cr_exec_load(path, &x, &err);
	}
	cr_lower.omits = descendant ? getenv(CR_OMIT_ENV) != NULL : omit;
	env = environment_for_program(descendant, omit);
	if (!rc)
		rc = cr_exec_stack(&x, path, av, env, &sp, &err);
	if (!rc)
		rc = cr_signals_install() ? cr_err_set(&err, EINVAL, "cannot install signal handlers") : 0;
	if (!rc)
		rc = cr_agent_start(true, &err);
	if (rc)
		die(126, NULL, err.text);
	if (err.text[0] && !descendant)
		fprintf(stderr, "cr_run: warning: %s: the program runs, but the job cannot be checkpointed (ranks on other nodes than mpirun's are not "
			"supported yet)\n", err.text);
	mask &= ~CR_RESERVED_MASK;
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);
	cr_enter_program(sp, x.start_ip);
}

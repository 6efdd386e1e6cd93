/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ompi-cr-task: what srun starts in the place of each rank. The first rank of a node starts the node's snapcd (local role), which ends with the step; every
 * rank waits until it listens, and becomes the program through cr_run.
 *
 *   ompi-cr-task [--restored] PROGRAM [ARGUMENT]...       --restored: PROGRAM is the restorer, which needs no cr_run
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "include/cr_proto.h"
#include "orte-tools/mca/schizo_ompicr.h"
#include "snapc/listener.h"

#define LISTEN_TIMEOUT_MS 30000
#define LISTEN_PAUSE_MS 10

static bool listens(const char *name)
{
	struct sockaddr_un address;
	socklen_t bytes;
	bool yes;
	int fd;

	if (snapc_address(name, &address, &bytes) < 0)
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	yes = fd >= 0 && connect(fd, (struct sockaddr *)&address, bytes) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

static void listening_wait(const char *name)
{
	const struct timespec pause = { 0, LISTEN_PAUSE_MS * 1000000L };

	for (int i = 0; i < LISTEN_TIMEOUT_MS / LISTEN_PAUSE_MS && !listens(name); i++)
		nanosleep(&pause, NULL);
}

static void node_start(const char *socket)
{
	static struct ompicr_coord c;
	const char *job = getenv("SLURM_JOB_ID"), *step = getenv("SLURM_STEP_ID");
	char name[64];

	snprintf(name, sizeof(name), "%.30s.%.20s", job ? job : "srun", step ? step : "0");
	c.mpirun_pid = getppid(); /* slurmstepd: the step of this node */
	c.node = true;
	c.job = name;
	c.snapcd = CR_SNAPCD;
	snprintf(c.socket, sizeof(c.socket), "%s", socket);
	if (ompicr_coord_start(&c) < 0)
		fprintf(stderr, "ompi-cr: node %s: the coordinator of this node cannot be started: %s\nompi-cr: the job runs, and cannot be checkpointed\n",
			getenv("SLURMD_NODENAME") ? getenv("SLURMD_NODENAME") : "?", c.words);
	if (c.fd >= 0)
		close(c.fd);
}

/* As srun does, which looks into the working directory too. */
static void program_look(const char *name)
{
	char path[PATH_MAX], dir[PATH_MAX / 2];
	struct stat st;

	if (strchr(name, '/') || !getcwd(dir, sizeof(dir)) || snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		setenv(CR_ENV_PROGRAM, path, 1);
}

int main(int argc, char **argv)
{
	const char *base = getenv(CR_ENV_SNAPC_SOCKET), *node = getenv("SLURM_NODEID"), *local = getenv("SLURM_LOCALID");
	bool restored = argc > 1 && !strcmp(argv[1], "--restored");
	char **program = argv + 1 + restored, socket[64];

	if (argc < 2 + restored) {
		fputs("ompi-cr-task: ompi-cr-srun starts it, not a user\n", stderr);
		return 2;
	}
	/* slurmstepd leaves sockets of its own open for its tasks (PMIx listens on one); no task of srun has descriptors beyond these by right. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	if (base && *base && node && local && getenv(CR_ENV_COORDINATOR)) {
		if (snprintf(socket, sizeof(socket), "%.48s-%.12s", base, node) >= (int)sizeof(socket))
			return 2;
		if (!strcmp(local, "0"))
			node_start(socket);
		else
			listening_wait(socket);
		setenv(CR_ENV_SNAPC_SOCKET, socket, 1);
	}
	unsetenv(CR_ENV_COORDINATOR);
	if (!restored) {
		program_look(program[0]);
		*--program = (char *)CR_BINDIR "/cr_run"; /* in the place of our own name */
		execv(program[0], program);
	} else {
		execvp(program[0], program);
	}
	fprintf(stderr, "ompi-cr-task: %s: cannot execute: %s\n", program[0], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}

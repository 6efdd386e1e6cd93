/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "orte-tools/restart_check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As execvp() looks for it. */
static bool found(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];
	size_t n;

	if (strchr(name, '/'))
		return access(name, X_OK) == 0;
	for (; path && *path; path += n + (path[n] == ':')) {
		n = strcspn(path, ":");
		if (snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, name) < (int)sizeof(file) && access(file, X_OK) == 0)
			return true;
	}
	return false;
}

bool restart_one_host(const struct snapc_snapshot *s)
{
	for (uint32_t i = 1; i < s->np; i++)
		if (strcmp(s->ranks[i].host, s->ranks[0].host))
			return false;
	return true;
}

/* Return: exit status of `cr_restart --check`; -errno. Its words go to standard error, what it prints when all is well to nowhere. */
static int rank_check(const struct snapc_snapshot *s, const struct snapc_rank *rank, const char *restorer, bool quiet)
{
	char path[PATH_MAX];
	int status, null;
	pid_t pid;

	if (snprintf(path, sizeof(path), "%s/%u/%s", s->dir, s->seq, rank->context_file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0)
			dup2(null, STDIN_FILENO), dup2(null, STDOUT_FILENO);
		execl(restorer, restorer, "--check", path, quiet ? "--quiet" : (char *)NULL, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int restart_check(const struct snapc_snapshot *s, const char *launcher, const char *restorer, bool elsewhere, bool quiet)
{
	int bad = 0;

	if (!found(launcher)) {
		fprintf(stderr, "ompi-restart: no %s in PATH: is Open MPI there?\n", launcher);
		return -ENOENT;
	}
	if (!found(restorer)) {
		fprintf(stderr, "ompi-restart: %s cannot be run: install ompi-cr on this node, at the same path as on the others\n", restorer);
		return -ENOENT;
	}
	if (elsewhere) {
		fprintf(stderr, "ompi-restart: what the ranks need on other hosts is not checked: `cr_restart --check FILE` there tells\n");
		return 0;
	}
	for (uint32_t i = 0; i < s->np; i++) {
		int rc = rank_check(s, &s->ranks[i], restorer, quiet);

		if (rc == 0)
			continue;
		fprintf(stderr, "ompi-restart: rank %d cannot be restarted on this host%s%s\n", (int)s->ranks[i].rank, rc < 0 ? ": " : "", rc < 0 ? strerror(-rc) : "");
		bad++;
	}
	return bad ? -EBADMSG : 0;
}

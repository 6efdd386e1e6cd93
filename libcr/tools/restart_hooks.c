/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The runner of the hooks: a process beside the restarting one.
 *
 * cr_restart becomes the program, which must find no child that it has not made; so the runner is nobody's child but init's.
 */
#include "libcr/tools/restart_hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum restart_class restart_class_of(int rc)
{
	switch (-rc) {
	case ENOMEM:
	case EBUSY:
	case EAGAIN:
	case EADDRINUSE:
	case EINTR:
		return RESTART_FAIL_TEMP;
	case EACCES:
	case EPERM:
	case ENOENT:
	case EEXIST:
	case EISDIR:
	case ENOTDIR:
	case ESTALE:
	case ENOTTY:
	case EBADF:
	case EMFILE:
	case EROFS:
	case ENOSPC:
	case ELOOP:
	case ENAMETOOLONG:
		return RESTART_FAIL_ENV;
	}
	return RESTART_FAIL_PERM;
}

static void runner(const struct restart_hooks *hooks, int ask, int answer) __attribute__((noreturn));
static void runner(const struct restart_hooks *hooks, int ask, int answer)
{
	uint8_t class, reply = 0;
	int status;

	if (read(ask, &class, 1) == 1 && class < RESTART_CLASSES && hooks->command[class]) {
		status = system(hooks->command[class]);
		reply = status == -1 ? 127 : WIFEXITED(status) ? (uint8_t)WEXITSTATUS(status) : (uint8_t)(128 + WTERMSIG(status));
	}
	signal(SIGPIPE, SIG_IGN);
	(void)!write(answer, &reply, 1);
	_exit(0);
}

int restart_hooks_start(struct restart_hooks *hooks)
{
	int ask[2], answer[2];
	pid_t child;

	hooks->ask = hooks->answer = -1;
	if (pipe2(ask, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(answer, O_CLOEXEC) < 0) {
		close(ask[0]);
		close(ask[1]);
		return -errno;
	}
	child = fork();
	if (child == 0) {
		close(ask[1]);
		close(answer[0]);
		if (fork() == 0)
			runner(hooks, ask[0], answer[1]);
		_exit(0);
	}
	close(ask[0]);
	close(answer[1]);
	if (child < 0 || waitpid(child, NULL, 0) < 0) {
		close(ask[1]);
		close(answer[0]);
		return -errno;
	}
	hooks->ask = ask[1];
	hooks->answer = answer[0];
	return 0;
}

int restart_hooks_run(struct restart_hooks *hooks, enum restart_class class)
{
	uint8_t to = (uint8_t)class, status = 0;

	if (hooks->ask < 0 || !hooks->command[class] || write(hooks->ask, &to, 1) != 1)
		return 0;
	while (read(hooks->answer, &status, 1) < 0 && errno == EINTR)
		;
	return status;
}

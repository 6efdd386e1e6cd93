/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A child with a chosen process id, and the parent that stands for it.
 */
#include "libcr/tools/restart_parent.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int busy(pid_t pid, struct cr_err *err)
{
	char path[64], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f) {
		if (fgets(name, sizeof(name), f))
			name[strcspn(name, "\n")] = '\0';
		fclose(f);
	}
	return cr_err_set(err, EBUSY, "process id %d is in use%s%s%s; end that process, or restart with --no-restore-pid: the program goes on to see its number", (int)pid,
			  name[0] ? " by \"" : "", name, name[0] ? "\"" : "");
}

pid_t restart_child(pid_t pid, struct cr_err *err)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1 };
	long child = syscall(SYS_clone3, &args, sizeof(args));

	if (child >= 0)
		return (pid_t)child;
	if (errno == EEXIST)
		return busy(pid, err);
	if (errno == EPERM)
		return cr_err_set(err, EPERM, "process id %d cannot be chosen without the capability CAP_CHECKPOINT_RESTORE; restart with --no-restore-pid: the program goes on to see its number",
				  (int)pid);
	return cr_err_set(err, errno, "a process with id %d cannot be made: %s", (int)pid, strerror(errno));
}

static void die_by(int sig)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	setrlimit(RLIMIT_CORE, &none); /* the child has left its own */
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	kill(getpid(), sig);
}

/* Looks what became of @child; does not return when it has ended. */
static void look(pid_t child)
{
	int status;

	while (waitpid(child, &status, WNOHANG | WUNTRACED) == child) {
		if (WIFEXITED(status))
			_exit(WEXITSTATUS(status));
		if (WIFSIGNALED(status)) {
			die_by(WTERMSIG(status));
			_exit(128 + WTERMSIG(status));
		}
		if (WIFSTOPPED(status))
			kill(getpid(), SIGSTOP); /* goes on with SIGCONT, which it passes on */
	}
}

void restart_parent(pid_t child)
{
	sigset_t all;
	siginfo_t info;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (;;) {
		look(child);
		if (sigwaitinfo(&all, &info) < 0)
			continue;
		/* A terminal has told the child itself, when it is in the same group. */
		if (info.si_signo != SIGCHLD && (info.si_code != SI_KERNEL || getpgid(child) != getpgrp()))
			kill(child, info.si_signo);
	}
}

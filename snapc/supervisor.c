/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Watching the daemon, and replacing it. */
#include "snapc/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "snapc/log.h"

#define SUPERVISOR_NAME "snapcd-watch"
#define DAEMON_NAME "snapcd"
/* So many deaths within so long: it would die for ever. */
#define DEATHS_MOST 5
#define DEATHS_NS 600000000000LL
#define PAUSE_MOST_MS 8000
#define PINGS 4 /* within the time that a daemon may be silent */

struct supervisor {
	const struct snapc_supervised *s;
	pid_t daemon;
	int pidfd;   /* of the daemon */
	int control; /* to it */
	int signals;
	bool leaving;
	bool nested; /* made by a daemon */
	unsigned unanswered; /* pings */
	int64_t deaths[DEATHS_MOST];
	unsigned ndeaths;
};

static int64_t supervisor_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void snapc_supervisor_tell(int control, enum snapc_supervisor_word word)
{
	char byte = (char)word;

	if (control >= 0)
		(void)!send(control, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* --- the daemon's life as it looks from here --- */

static void __attribute__((noreturn)) supervisor_child(const struct supervisor *v, int control, bool again)
{
	sigset_t none;

	prctl(PR_SET_NAME, DAEMON_NAME);
	if (v->signals >= 0)
		close(v->signals);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (v->nested) /* above us on the stack and in memory is what is left of another daemon */
		_exit(v->s->work(v->s->arg, control, again));
	exit(v->s->work(v->s->arg, control, again));
}

static int supervisor_start(struct supervisor *v, bool again)
{
	int pair[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	v->daemon = fork();
	if (v->daemon < 0) {
		rc = -errno;
		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	if (v->daemon == 0) {
		close(pair[0]);
		supervisor_child(v, pair[1], again);
	}
	close(pair[1]);
	v->control = pair[0];
	v->pidfd = (int)syscall(SYS_pidfd_open, v->daemon, 0);
	v->unanswered = 0;
	v->leaving = false;
	return v->pidfd < 0 ? -errno : 0;
}

static void supervisor_forget(struct supervisor *v)
{
	close(v->control);
	if (v->pidfd >= 0)
		close(v->pidfd);
	v->control = v->pidfd = -1;
}

static void supervisor_hear(struct supervisor *v)
{
	char byte;

	while (recv(v->control, &byte, 1, MSG_DONTWAIT) == 1) {
		if (byte == SNAPC_SUPERVISOR_ALIVE)
			v->unanswered = 0;
		else if (byte == SNAPC_SUPERVISOR_LEAVING)
			v->leaving = true;
		else if (byte == SNAPC_SUPERVISOR_ALONE && v->s->alone)
			v->s->alone(v->s->arg);
	}
}

/* Counted in questions, not in time: when it is us who stood still, the daemon has as many as before. */
static void supervisor_ping(struct supervisor *v)
{
	static const char ask = 'P';

	if (v->unanswered > PINGS) {
		snapc_log(SNAPC_LOG_ERROR, "the daemon (process %d) has not answered for about %u s: it is killed", (int)v->daemon, v->s->watchdog_s);
		kill(v->daemon, SIGKILL);
		return;
	}
	v->unanswered++;
	(void)!send(v->control, &ask, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void supervisor_signal(struct supervisor *v)
{
	struct signalfd_siginfo info;

	if (read(v->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		kill(v->daemon, (int)info.ssi_signo);
}

/* Until the daemon has ended. */
static void supervisor_watch(struct supervisor *v)
{
	int timeout_ms = v->s->watchdog_s ? (int)(v->s->watchdog_s * 1000 / PINGS) : -1;
	bool open = true;

	while (v->pidfd >= 0) {
		struct pollfd p[] = { { v->pidfd, POLLIN, 0 }, { open ? v->control : -1, POLLIN, 0 }, { v->signals, POLLIN, 0 } };
		int n = poll(p, sizeof(p) / sizeof(p[0]), timeout_ms);

		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0) {
			if (n == 0)
				supervisor_ping(v);
			continue;
		}
		if (p[1].revents) {
			supervisor_hear(v);
			if (p[1].revents & (POLLHUP | POLLERR))
				open = false;
		}
		if (p[2].revents)
			supervisor_signal(v);
		if (p[0].revents)
			break;
	}
	supervisor_hear(v);
}

/* Return: milliseconds until the next one may start, or -1: no more. */
static int supervisor_patience(struct supervisor *v)
{
	int64_t now = supervisor_ns();
	unsigned recent = 0;

	v->deaths[v->ndeaths++ % DEATHS_MOST] = now;
	for (unsigned i = 0; i < DEATHS_MOST && i < v->ndeaths; i++)
		recent += now - v->deaths[i] < DEATHS_NS;
	if (recent >= DEATHS_MOST)
		return -1;
	return recent < 2 ? 0 : 250 << recent > PAUSE_MOST_MS ? PAUSE_MOST_MS : 250 << recent;
}

static void supervisor_words(int status, char *text, size_t bytes)
{
	if (status < 0)
		snprintf(text, bytes, "has ended");
	else if (WIFSIGNALED(status))
		snprintf(text, bytes, "was ended by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(text, bytes, "has ended with status %d", WEXITSTATUS(status));
}

static void supervisor_pause(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* The daemon has ended, and was to go on. Return: 0 another one runs, -errno: no more. */
static int supervisor_replace(struct supervisor *v, int status)
{
	char words[128];
	int pause;

	supervisor_words(status, words, sizeof(words));
	pause = supervisor_patience(v);
	if (pause < 0) {
		snapc_log(SNAPC_LOG_ERROR, "the daemon (process %d) %s, for the %uth time within %d s: it is given up", (int)v->daemon, words,
			  (unsigned)DEATHS_MOST, (int)(DEATHS_NS / 1000000000));
		return -EOWNERDEAD;
	}
	snapc_log(SNAPC_LOG_ERROR, "the daemon (process %d) %s: a new one takes its place%s", (int)v->daemon, words, pause ? ", after a pause" : "");
	supervisor_pause(pause);
	return supervisor_start(v, true);
}

/* From the daemon that runs now to the end of its last successor. Return: exit status. */
static int supervisor_run(struct supervisor *v)
{
	int rc, status;

	do {
		supervisor_watch(v);
		if (waitpid(v->daemon, &status, 0) < 0)
			status = -1; /* not our child */
		supervisor_forget(v);
		if (v->leaving)
			return status > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 0;
		rc = supervisor_replace(v, status);
	} while (rc == 0);
	snapc_log(SNAPC_LOG_ERROR, SNAPC_WORDS_UNPROTECTED ": %s", strerror(-rc));
	if (v->s->given_up)
		v->s->given_up(v->s->arg);
	return 1;
}

static int supervisor_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int snapc_supervise(const struct snapc_supervised *s)
{
	struct supervisor v = { .s = s, .pidfd = -1, .control = -1 };

	prctl(PR_SET_NAME, SUPERVISOR_NAME);
	v.signals = supervisor_signals();
	if (supervisor_start(&v, false) < 0) {
		snapc_log(SNAPC_LOG_ERROR, "no daemon can be started: %s", strerror(errno));
		return 1;
	}
	return supervisor_run(&v);
}

/* --- the other way round --- */

static bool supervisor_kept(const int *fds, size_t n, int fd)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] == fd)
			return true;
	return false;
}

/* Everything that the daemon has open besides what its successor needs: connections would live on without it. */
static void supervisor_close(const int *fds, size_t n, int highest)
{
	for (int fd = 3; fd <= highest; fd++)
		if (!supervisor_kept(fds, n, fd))
			close(fd);
	close_range((unsigned)highest + 1, ~0u, 0);
}

static void __attribute__((noreturn)) supervisor_become(const struct snapc_supervised *s, pid_t daemon, int control)
{
	struct supervisor v = { .s = s, .daemon = daemon, .control = control, .signals = -1 };
	int kept[SNAPC_SUPERVISED_FDS + 1], highest = control;
	const int *fds;
	size_t n;

	prctl(PR_SET_NAME, SUPERVISOR_NAME);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	fds = s->keep(s->arg, &n);
	for (size_t i = 0; i < n; i++) {
		kept[i] = fds[i];
		highest = fds[i] > highest ? fds[i] : highest;
	}
	kept[n++] = control;
	supervisor_close(kept, n, highest);
	v.nested = true;
	v.signals = supervisor_signals();
	v.pidfd = (int)syscall(SYS_pidfd_open, daemon, 0);
	if (getppid() != daemon) { /* it has died meanwhile, and its number may be another's */
		if (v.pidfd >= 0)
			close(v.pidfd);
		v.pidfd = -1;
	}
	_exit(supervisor_run(&v));
}

int snapc_supervisor_again(const struct snapc_supervised *s, int old_control)
{
	pid_t daemon = getpid(), child;
	int pair[2], rc;

	close(old_control);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	child = fork();
	if (child < 0) {
		rc = -errno;
		close(pair[0]);
		close(pair[1]);
		return rc;
	}
	if (child == 0)
		supervisor_become(s, daemon, pair[0]);
	close(pair[0]);
	return pair[1];
}

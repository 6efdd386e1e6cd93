/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One run of a batch job: start or restart, wait, save when warned, requeue.
 *
 * RUNNING --warned--> SAVING --saved--> SAVED --mpirun ends--> requeue
 *                       |  ^
 *                       |  +-- a failed checkpoint is tried again until the grace time is over, the job goes on meanwhile
 *                       +----- then the job is ended and requeued with the snapshots that it has
 * mpirun ends by itself in RUNNING or SAVING: its status is ours.
 * All signals are blocked and taken one at a time, so nothing here runs in a handler.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "orte-tools/sched/batch.h"
#include "snapc/snapshot.h"

#define RETRY_MS 1000         /* between attempts at a checkpoint */
#define TOOL_LATE_MS 5000     /* ompi-checkpoint has told the coordinator the deadline; so much later it is not waited for */
#define KILL_AFTER_MS 10000   /* for a job that is to end: until SIGTERM, and from that to SIGKILL */
#define REQUEUED_MS 120000    /* the scheduler ends a job that was requeued; longer than this it has forgotten */

enum batch_state { RUNNING, SAVING, SAVED, GIVEN_UP };

struct run {
	struct batch *b;
	enum batch_state state;
	pid_t job, tool;      /* mpirun, ompi-checkpoint; 0: not running */
	pid_t look;           /* for a drained node */
	int job_status;
	bool terminated;      /* SIGTERM came: mpirun was given one as well */
	bool ending;          /* mpirun was sent SIGTERM by us */
	long long deadline;   /* of SAVING; afterwards: of mpirun's end */
	long long next_try;
	long long next_look;
};

/* What the scheduler sends: before the end, and at the end. */
static const int warnings[] = { SIGUSR1, SIGTERM, 0 };

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/*
 * For a scheduler that signals every process of the job, by process group and by group id: we alone are warned. mpirun would hand a warning on to the ranks,
 * which get it themselves too, and die of it: it is ignored by all that do not handle it. mpirun ends with us all the same.
 */
static bool set_apart(pid_t parent)
{
	return setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent && signal(SIGUSR1, SIG_IGN) != SIG_ERR &&
	       signal(SIGUSR2, SIG_IGN) != SIG_ERR && setenv("OMPI_MCA_ess_base_forward_signals", "none", 1) == 0;
}

/* @quiet: its standard output is nobody's. @apart: see set_apart(). */
static pid_t spawn(char *const *argv, bool quiet, bool apart)
{
	pid_t self = getpid(), pid = fork();
	sigset_t none;

	if (pid == 0) {
		if (apart && !set_apart(self))
			_exit(126);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (quiet && !freopen("/dev/null", "w", stdout))
			_exit(126);
		execvp(argv[0], argv);
		fprintf(stderr, "ompi-cr-batch: %s: cannot execute: %s\n", argv[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (pid < 0)
		fprintf(stderr, "ompi-cr-batch: fork: %s\n", strerror(errno));
	return pid < 0 ? 0 : pid;
}

/* Run a command to its end, for its status. */
static int command_run(char *const *argv)
{
	pid_t pid = spawn(argv, true, false);
	int status = 0;

	if (!pid)
		return 127;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return status_of(status);
}

/* What is no mistake is not said with --quiet. */
__attribute__((format(printf, 2, 3))) static void say(const struct batch *b, const char *fmt, ...)
{
	va_list ap;

	if (b->quiet)
		return;
	fputs("ompi-cr-batch: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- starting --- */

/* The newest snapshot that is whole, into place.ref. */
static bool snapshot_choose(struct batch *b)
{
	while (b->place.ref[0]) {
		/* --force: a job that is still being ended is no reason to take an older snapshot */
		char *dry[] = { (char *)CR_BINDIR "/ompi-restart", (char *)"--dry-run", (char *)"--force", (char *)"--fallback", b->place.ref, NULL };

		if (command_run(dry) == 0)
			return true;
		fprintf(stderr, "ompi-cr-batch: no sequence of %s is whole\n", b->place.ref);
		if (batch_place_older(&b->place) < 0)
			break;
	}
	return false;
}

static pid_t job_start(struct batch *b)
{
	char *restart[] = { (char *)CR_BINDIR "/ompi-restart", (char *)"--fallback", b->place.ref, NULL };
	bool had = b->place.ref[0] != '\0';

	setenv(SNAPC_ENV_DIR, b->place.dir, 1);
	if (snapshot_choose(b)) {
		say(b, "%s %s, run %u: going on from %s", b->sched->name, b->id, b->place.run, b->place.ref);
		return spawn(restart, false, b->sched->group);
	}
	say(b, "%s %s, run %u: %s", b->sched->name, b->id, b->place.run,
	    had ? "no snapshot is whole: starting from the beginning" : "starting from the beginning");
	return spawn(b->command, false, b->sched->group);
}

/* --- saving --- */

static void save_try(struct run *r)
{
	char pid[24], timeout[24];
	char *argv[] = { (char *)CR_BINDIR "/ompi-checkpoint", (char *)(r->b->verbose ? "--verbose" : "--quiet"), (char *)"--term", (char *)"--timeout", timeout, pid, NULL };
	long long left = (r->deadline - now_ms()) / 1000;

	snprintf(pid, sizeof(pid), "%d", (int)r->job);
	snprintf(timeout, sizeof(timeout), "%lld", left > 1 ? left : 1);
	r->tool = spawn(argv, true, r->b->sched->group);
}

static void save_begin(struct run *r, const char *why)
{
	if (r->state != RUNNING || !r->job)
		return;
	say(r->b, "%s: taking a checkpoint", why);
	r->state = SAVING;
	r->deadline = now_ms() + r->b->grace_s * 1000LL;
	save_try(r);
}

/* A node that an administrator drains is left while there is time. A scheduler that does not answer is asked again. */
static void drain_look(struct run *r)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)(uintptr_t)r->b->sched->drained, NULL };

	r->next_look = now_ms() + r->b->drain_s * 1000LL;
	r->look = spawn(argv, true, r->b->sched->group);
}

static void job_stop(struct run *r)
{
	kill(r->job, r->ending ? SIGKILL : SIGTERM);
	r->ending = true;
	r->deadline = now_ms() + KILL_AFTER_MS;
}

static void give_up(struct run *r)
{
	fprintf(stderr, "ompi-cr-batch: no checkpoint within %d s: the job is ended and requeued, it will go on from %s\n", r->b->grace_s,
		batch_place_saved(&r->b->place) || r->b->place.ref[0] ? "its last snapshot" : "the beginning");
	r->state = GIVEN_UP;
	job_stop(r);
}

static void tool_ended(struct run *r, int status)
{
	r->tool = 0;
	if (r->state != SAVING)
		return;
	if (status_of(status) == 0) {
		r->state = SAVED;
		r->deadline = now_ms() + KILL_AFTER_MS;
		say(r->b, "saved");
		return;
	}
	r->next_try = now_ms() + RETRY_MS;
}

/* --- the end --- */

/* Ask for the requeue. The scheduler answers with SIGTERM, to us or to the shell; where it does not, our status asks again. */
static int requeue(struct batch *b)
{
	long long until = now_ms() + REQUEUED_MS;
	struct timespec tick = { 0, 200000000 };
	struct cr_err err = { "" };
	sigset_t end;

	if (b->sched->cancelled(b->id)) {
		say(b, "%s %s was cancelled: not requeued", b->sched->name, b->id);
		return 128 + SIGTERM;
	}
	batch_place_prune(&b->place, b->keep);
	if (!b->sched->requeue)
		return b->sched->requeue_status;
	if (b->sched->requeue(b->id, &err) < 0) {
		fprintf(stderr, "ompi-cr-batch: %s; asking for it by exit status %d\n", err.text, b->sched->requeue_status);
		return b->sched->requeue_status;
	}
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGCHLD);
	while (now_ms() < until && sigtimedwait(&end, NULL, &tick) != SIGTERM)
		if (b->shell && batch_shell_poll(b->shell, warnings) == SIGTERM)
			break;
	return b->sched->requeue_status;
}

static int run_end(struct run *r)
{
	struct batch *b = r->b;
	struct cr_err err = { "" };
	int status = status_of(r->job_status);

	if (r->state == SAVED || r->state == GIVEN_UP)
		return requeue(b);
	if (r->terminated && status != 0) {
		fprintf(stderr, "ompi-cr-batch: the job was ended before a checkpoint of it was complete\n");
		return requeue(b);
	}
	/* A job that failed (a node died, a disk was full) goes on from its last snapshot when somebody has it requeued. */
	if (status == 0 && batch_place_ended(&b->place, &err) < 0)
		fprintf(stderr, "ompi-cr-batch: %s\n", err.text);
	return status;
}

/* --- the loop --- */

static void children_reap(struct run *r)
{
	int status;

	if (r->tool && waitpid(r->tool, &status, WNOHANG) == r->tool)
		tool_ended(r, status);
	if (r->look && waitpid(r->look, &status, WNOHANG) == r->look) {
		r->look = 0;
		if (status_of(status) == 0)
			save_begin(r, "a node is being drained");
	}
	if (r->job && waitpid(r->job, &status, WNOHANG) == r->job) {
		r->job = 0;
		r->job_status = status;
	}
}

static void signal_take(struct run *r, int sig)
{
	if (sig == r->b->sched->warning)
		sig = SIGUSR1;
	switch (sig) {
	case SIGUSR1:
		save_begin(r, "warned by the scheduler");
		break;
	case SIGTERM:
		r->terminated = true;
		save_begin(r, "ended by the scheduler");
		break;
	case SIGINT:
	case SIGHUP:
	case SIGQUIT:
	case SIGUSR2:
		if (r->job)
			kill(r->job, sig);
		break;
	default:
		break;
	}
}

static void deadlines_meet(struct run *r)
{
	long long now = now_ms();

	if (r->job && r->state == RUNNING && r->b->drain_s && r->b->sched->drained && !r->look && now >= r->next_look)
		drain_look(r);
	if (!r->job || r->state == RUNNING)
		return;
	if (r->state != SAVING) {
		if (now >= r->deadline)
			job_stop(r);
	} else if (r->tool) {
		if (now >= r->deadline + TOOL_LATE_MS)
			kill(r->tool, SIGKILL);
	} else if (now >= r->deadline) {
		give_up(r);
	} else if (now >= r->next_try) {
		save_try(r);
	}
}

int batch_run(struct batch *b)
{
	static const int taken[] = { SIGCHLD, SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct run r = { .b = b };
	struct timespec tick = { 0, 200000000 };
	sigset_t set;
	int sig;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (b->shell)
		b->shell = batch_shell_guard(b->shell, warnings);
	if (b->shell < 0) {
		fprintf(stderr,
			"ompi-cr-batch: the batch shell would die of the scheduler's warning, and it cannot be guarded against it (%s): write `exec ompi-cr-batch ...` "
			"in the batch script\n",
			strerror(-b->shell));
		return BATCH_USAGE;
	}
	r.next_look = now_ms() + b->drain_s * 1000LL;
	r.job = job_start(b);
	if (!r.job)
		return BATCH_FAILED;
	while (r.job || r.tool) {
		sig = sigtimedwait(&set, NULL, &tick);
		if (sig == SIGCHLD || sig < 0) {
			while (b->shell && (sig = batch_shell_poll(b->shell, warnings)) > 0)
				signal_take(&r, sig);
			children_reap(&r);
		} else {
			signal_take(&r, sig);
		}
		deadlines_meet(&r);
	}
	return run_end(&r);
}

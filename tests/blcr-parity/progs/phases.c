/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two phases, seen from inside: what has run, and what still runs, when each callback is called. Linked with -rdynamic: callbacks have names. */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <fcntl.h>

#include "parity.h"

int hangs(void *arg);
static volatile unsigned long counted, released;
static volatile int signal_began, thread_ended, over;

static void *count(void *arg)
{
	(void)arg;
	while (!over)
		counted++;
	return NULL;
}

static pthread_t counter(void)
{
	pthread_t t;

	NEED(pthread_create(&t, NULL, count, NULL) == 0);
	while (!counted)
		sched_yield();
	return t;
}

/* The other threads run while we do, one that is in the middle of its work too. */
static int looks_around(void *arg)
{
	unsigned long from = counted;

	(void)arg;
	while (counted < from + 1000)
		sched_yield();
	NEED(!signal_began);
	thread_ended++;
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
	return 0;
}

static int begins(void *arg)
{
	(void)arg;
	NEED(thread_ended == 2);
	signal_began++;
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
	return 0;
}

static void *count_as_client(void *arg)
{
	NEED(cr_init() >= 0 && cr_register_callback(begins, NULL, CR_SIGNAL_CONTEXT) >= 0);
	return count(arg);
}

/* All callbacks in thread context, then those in signal context; meanwhile no thread stands still. */
static int order(void)
{
	cr_client_id_t id = cr_init();
	pthread_t t;

	NEED(cr_register_callback(looks_around, NULL, CR_THREAD_CONTEXT) >= 0);
	NEED(cr_register_callback(looks_around, NULL, CR_THREAD_CONTEXT) >= 0);
	NEED(cr_register_callback(begins, NULL, CR_SIGNAL_CONTEXT) >= 0);
	NEED(pthread_create(&t, NULL, count_as_client, NULL) == 0);
	while (!counted)
		sched_yield();
	NEED(checkpoint("order") == 0);
	NEED(cr_enter_cs(id) == 0 && cr_leave_cs(id) == 0);
	NEED(signal_began == 2);
	over = 1;
	return pthread_join(t, NULL);
}

/* With no callback in thread context those in signal context come at once; with all signals blocked they come as well. */
static int blocked(void)
{
	cr_client_id_t id = cr_init();
	sigset_t all, now;

	sigfillset(&all);
	NEED(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
	thread_ended = 2;
	NEED(cr_register_callback(begins, NULL, CR_SIGNAL_CONTEXT) >= 0);
	NEED(checkpoint("blocked") == 0);
	NEED(cr_enter_cs(id) == 0 && cr_leave_cs(id) == 0);
	NEED(signal_began == 1);
	NEED(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0 && sigismember(&now, SIGUSR1) == 1);
	return 0;
}

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	NEED(d != NULL);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static int nothing(void *arg)
{
	++*(int *)arg;
	return 0;
}

/* The first registration in thread context makes a thread, the second one none; it sleeps. */
static int makes_thread(void)
{
	int before, ran = 0;

	NEED(cr_init() >= 0);
	NEED(cr_register_callback(nothing, &ran, CR_SIGNAL_CONTEXT) >= 0);
	before = threads();
	NEED(cr_register_callback(nothing, &ran, CR_THREAD_CONTEXT) >= 0);
	NEED(threads() == before + 1);
	NEED(cr_register_callback(nothing, &ran, CR_THREAD_CONTEXT) >= 0);
	NEED(threads() == before + 1);
	NEED(ran == 0);
	NEED(checkpoint("thread") == 0 && ran == 3);
	return 0;
}

int hangs(void *arg)
{
	(void)arg;
	while (!released)
		usleep(1000);
	return cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ETEMPFAIL ? 0 : 1;
}

/* When the request has failed: it is readable by this thread too, which does not hang. */
static void *releases(void *arg)
{
	NEED(cr_wait_checkpoint(arg, NULL) > 0);
	released = 1;
	return NULL;
}

/* A callback that does not come to an end: the request fails with its name, the program goes on, later requests succeed. */
static int late(int context)
{
	cr_client_id_t id = cr_init();
	cr_checkpoint_handle_t h;
	cr_checkpoint_args_t args;
	cr_callback_id_t cb;
	pthread_t t = counter(), r;
	unsigned long from;
	int ran = 0;
	char words[512];

	cb = cr_register_callback(hangs, NULL, CR_THREAD_CONTEXT);
	NEED(cb >= 0);
	if (context == CR_SIGNAL_CONTEXT) {
		NEED(cr_replace_callback(cb, nothing, &ran, CR_THREAD_CONTEXT) == cb);
		cb = cr_register_callback(hangs, NULL, CR_SIGNAL_CONTEXT);
	}
	cr_initialize_checkpoint_args_t(&args);
	args.cr_scope = CR_SCOPE_PROC;
	args.cr_file = "late";
	args.cr_timeout = 2;
	from = counted;
	NEED(cr_request_checkpoint(&args, &h) == 0);
	if (context == CR_SIGNAL_CONTEXT) /* our own thread hangs: somebody else lets it go */
		NEED(pthread_create(&r, NULL, releases, &h) == 0);
	if (context == CR_SIGNAL_CONTEXT)
		NEED(pthread_join(r, NULL) == 0);
	NEED(cr_wait_checkpoint(&h, NULL) > 0);
	released = 1;
	NEED(cr_log_checkpoint(&h, sizeof(words), words) > 1);
	REFUSED(cr_reap_checkpoint(&h), ETIMEDOUT);
	fprintf(stderr, "%s\n", words);
	NEED(strstr(words, "hangs") != NULL);
	NEED(counted > from);
	NEED(access("late", F_OK) != 0);
	NEED(cr_enter_cs(id) == 0 && cr_leave_cs(id) == 0);
	NEED(cr_replace_callback(cb, nothing, &ran, context) == cb);
	NEED(checkpoint("late") == 0 && ran > 0);
	over = 1;
	return pthread_join(t, NULL);
}

static int late_thread(void) { return late(CR_THREAD_CONTEXT); }
static int late_signal(void) { return late(CR_SIGNAL_CONTEXT); }

/* A critical section that is not left in time: named, and the program goes on. */
static int late_section(void)
{
	cr_client_id_t id = cr_init();
	cr_checkpoint_handle_t h;
	cr_checkpoint_args_t args;
	char words[512];

	cr_initialize_checkpoint_args_t(&args);
	args.cr_scope = CR_SCOPE_PROC;
	args.cr_file = "section";
	args.cr_timeout = 1;
	NEED(cr_enter_cs(id) == 0);
	NEED(cr_request_checkpoint(&args, &h) == 0);
	NEED(cr_wait_checkpoint(&h, NULL) > 0);
	NEED(cr_log_checkpoint(&h, sizeof(words), words) > 1 && strstr(words, "critical section"));
	REFUSED(cr_reap_checkpoint(&h), ETIMEDOUT);
	NEED(cr_status() == CR_STATE_IDLE);
	NEED(cr_leave_cs(id) == 0);
	NEED(checkpoint("section") == 0);
	return 0;
}

static int marks(void *arg)
{
	NEED(close(creat("called", 0600)) == 0);
	(void)arg;
	return 0;
}

static int exits(void *arg)
{
	(void)arg;
	_exit(3);
}

static int crashes(void *arg)
{
	int *volatile nowhere = (int *)8;

	(void)arg;
	return *nowhere; /* a fault, not a signal that can be blocked */
}

static int execs(void *arg)
{
	(void)arg;
	return execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
}

/* The same with a callback that ends the program, in the one context or the other. */
static int cb_exit(cr_callback_t callback, int context)
{
	NEED(cr_init() >= 0 && cr_register_callback(callback, NULL, context) >= 0);
	NEED(close(creat("ready", 0600)) == 0);
	while (access("end", F_OK))
		usleep(10000);
	return 0;
}

static int exits_thread(void) { return cb_exit(exits, CR_THREAD_CONTEXT); }
static int exits_signal(void) { return cb_exit(exits, CR_SIGNAL_CONTEXT); }
static int crashes_thread(void) { return cb_exit(crashes, CR_THREAD_CONTEXT); }
static int crashes_signal(void) { return cb_exit(crashes, CR_SIGNAL_CONTEXT); }
static int execs_thread(void) { return cb_exit(execs, CR_THREAD_CONTEXT); }
static int execs_signal(void) { return cb_exit(execs, CR_SIGNAL_CONTEXT); }

/* Sits there until the file "end" comes; says in the file "called" that its callback ran. */
static int idle(void)
{
	NEED(cr_init() >= 0 && cr_register_callback(marks, NULL, CR_THREAD_CONTEXT) >= 0);
	NEED(close(creat("ready", 0600)) == 0);
	while (access("end", F_OK))
		usleep(10000);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "order", order }, { "blocked", blocked }, { "makes_thread", makes_thread }, { "late_thread", late_thread },
		{ "late_signal", late_signal }, { "late_section", late_section }, { "idle", idle },
		{ "exits_thread", exits_thread }, { "exits_signal", exits_signal }, { "crashes_thread", crashes_thread },
		{ "crashes_signal", crashes_signal }, { "execs_thread", execs_thread }, { "execs_signal", execs_signal }, { NULL, NULL },
	};

	return run_part(parts, argc, argv);
}

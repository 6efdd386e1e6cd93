/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows that need a restart: each part sets something up, saves itself, and looks at it again twice: when it goes on, and when cr_restart has
 * brought it back. Arguments: part. The context file is "context" in the working directory; exit status 0 in both lives when all is well.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "parity.h"

/* 1 in the first life, 0 in the second. */
static int save(void)
{
	int rc = cr_self_checkpoint("context", PATIENCE_S);

	if (rc < 0)
		fprintf(stderr, "not saved: %s\n", cr_strerror(-rc));
	NEED(rc >= 0);
	return rc;
}

static int plain(void)
{
	NEED(cr_protected() && cr_epoch() == 1);
	NEED(save() ? cr_epoch() == 1 : cr_epoch() == 2);
	return 0;
}

static char trace[256];
static pthread_t main_thread;

/* Callbacks of several threads may speak at the same time. */
static void say(const char *word)
{
	static cr_spinlock_t lock = CR_SPINLOCK_INITIALIZER;

	cr_spinlock_lock(&lock);
	strncat(trace, word, sizeof(trace) - strlen(trace) - 1);
	cr_spinlock_unlock(&lock);
}

static int callback(void *arg)
{
	const char *name = arg;
	char behind[3] = "";
	int rc;

	say(name);
	rc = cr_checkpoint(CR_CHECKPOINT_READY);
	NEED(rc >= 0);
	behind[0] = rc ? 'r' : 'c';
	behind[1] = name[0];
	say(behind);
	return 0;
}

/* Waits until the callbacks in thread context are done with what comes behind the checkpoint. */
static void settle(cr_client_id_t id)
{
	NEED(cr_enter_cs(id) == 0 && cr_leave_cs(id) == 0);
}

/* The stack: newest first on the way down, the other way round on the way up; in both lives. Again in the second life. */
static int stack(int context)
{
	cr_client_id_t id = cr_init();
	int first;

	NEED(cr_register_callback(callback, (void *)"1", context) >= 0);
	NEED(cr_register_callback(callback, (void *)"2", context) >= 0);
	NEED(cr_register_callback(callback, (void *)"3", context) >= 0);
	first = save();
	settle(id);
	NEED(!strcmp(trace, first ? "321c1c2c3" : "321r1r2r3"));
	trace[0] = '\0';
	NEED(checkpoint("context.again") == 0);
	settle(id);
	NEED(!strcmp(trace, "321c1c2c3"));
	return 0;
}

static int stack_thread(void) { return stack(CR_THREAD_CONTEXT); }
static int stack_signal(void) { return stack(CR_SIGNAL_CONTEXT); }

static int hook_ran[CR_NUM_HOOKS];

static void hook(cr_hook_event_t event)
{
	hook_ran[event]++;
}

static int hooks(void)
{
	cr_client_id_t id = cr_init();
	int first;

	for (int e = 0; e < CR_NUM_HOOKS; e++)
		NEED(cr_register_hook((cr_hook_event_t)e, hook) == NULL);
	NEED(cr_register_hook(CR_HOOK_CONT_THREAD_CONTEXT, hook) == hook);
	NEED(checkpoint("none") == 0);
	settle(id);
	NEED(hook_ran[CR_HOOK_CONT_NO_CALLBACKS] == 1 && !hook_ran[CR_HOOK_CONT_SIGNAL_CONTEXT] && !hook_ran[CR_HOOK_CONT_THREAD_CONTEXT]);
	NEED(cr_register_callback(callback, (void *)"t", CR_THREAD_CONTEXT) >= 0);
	NEED(cr_register_callback(callback, (void *)"t", CR_THREAD_CONTEXT) >= 0);
	NEED(cr_register_callback(callback, (void *)"s", CR_SIGNAL_CONTEXT) >= 0);
	NEED(cr_register_callback(callback, (void *)"s", CR_SIGNAL_CONTEXT) >= 0);
	memset(hook_ran, 0, sizeof(hook_ran));
	first = save();
	settle(id);
	for (int e = 0; e < CR_NUM_HOOKS; e++) {
		int expect = first ? e == CR_HOOK_CONT_SIGNAL_CONTEXT || e == CR_HOOK_CONT_THREAD_CONTEXT :
				     e == CR_HOOK_RSTRT_SIGNAL_CONTEXT || e == CR_HOOK_RSTRT_THREAD_CONTEXT;

		NEED(hook_ran[e] == expect);
	}
	return 0;
}

static int info_callback(void *arg)
{
	const struct cr_checkpoint_info *info = cr_get_checkpoint_info();
	const struct cr_restart_info *restart;
	int rc;

	(void)arg;
	NEED(info && info->dest && strstr(info->dest, "/context") && info->signal == 0 && info->requester > 0 && info->scope == CR_SCOPE_PROC);
	NEED(!cr_get_restart_info());
	rc = cr_checkpoint(CR_CHECKPOINT_READY);
	restart = cr_get_restart_info();
	NEED(rc ? restart && strstr(restart->src, "context") && restart->requester == rc : !restart);
	say("i");
	return 0;
}

static int get_info(void)
{
	cr_client_id_t id = cr_init();

	NEED(!cr_get_checkpoint_info() && !cr_get_restart_info());
	NEED(cr_register_callback(info_callback, NULL, CR_THREAD_CONTEXT) >= 0);
	save();
	settle(id);
	NEED(!strcmp(trace, "i"));
	return 0;
}

static int overlap_callback(void *arg)
{
	cr_checkpoint_handle_t h;
	cr_checkpoint_args_t args;

	(void)arg;
	cr_initialize_checkpoint_args_t(&args);
	args.cr_scope = CR_SCOPE_PROC;
	args.cr_file = "overlap";
	REFUSED(cr_request_checkpoint(&args, &h), EBUSY);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) >= 0);
	REFUSED(cr_request_checkpoint(&args, &h), EBUSY); /* continue and restart */
	say("o");
	return 0;
}

static int overlap(void)
{
	cr_client_id_t id = cr_init();

	NEED(cr_register_callback(overlap_callback, NULL, CR_THREAD_CONTEXT) >= 0);
	save();
	settle(id);
	NEED(!strcmp(trace, "o"));
	return 0;
}

/* A program may close in its callbacks what cannot be saved, and open it again behind. */
static int unsaved = -1;

static int closes(void *arg)
{
	(void)arg;
	close(unsaved);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) >= 0);
	unsaved = socket(AF_NETLINK, SOCK_RAW, 0);
	return 0;
}

static int closing(int context)
{
	cr_client_id_t id = cr_init();
	char why[1024];

	unsaved = socket(AF_NETLINK, SOCK_RAW, 0);
	NEED(unsaved >= 0);
	NEED(cr_nocr_query(0, why, sizeof(why)) > 0);
	NEED(checkpoint("context.no") != 0);
	NEED(cr_register_callback(closes, NULL, context) >= 0);
	save();
	settle(id);
	NEED(unsaved >= 0 && fcntl(unsaved, F_GETFD) >= 0);
	return 0;
}

static int closing_thread(void) { return closing(CR_THREAD_CONTEXT); }
static int closing_signal(void) { return closing(CR_SIGNAL_CONTEXT); }

/* The request does not survive its requester's restart. */
static int stale(void)
{
	cr_checkpoint_handle_t h;
	int rc;

	request(&h, "context");
	NEED(cr_wait_checkpoint(&h, NULL) == 1);
	rc = cr_reap_checkpoint(&h) ? errno : 0;
	NEED(rc == (cr_epoch() == 1 ? 0 : CR_ERESTARTED));
	REFUSED(cr_reap_checkpoint(&h), EINVAL);
	return 0;
}

/* The callback thread is saved like any other: the function goes on in it, with its variables. */
static pthread_t callback_thread;
static __thread int of_thread;

static int same_thread(void *arg)
{
	int local = 4711;

	callback_thread = pthread_self();
	of_thread = 42;
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) >= 0);
	NEED(local == 4711 && of_thread == 42 && pthread_equal(callback_thread, pthread_self()));
	say(arg);
	return 0;
}

static int thread_saved(void)
{
	cr_client_id_t id = cr_init();

	NEED(cr_register_callback(same_thread, (void *)"x", CR_THREAD_CONTEXT) >= 0);
	save();
	settle(id);
	return strcmp(trace, "x");
}

static volatile int woken;

static void *other(void *arg)
{
	cr_client_id_t id = cr_init();

	main_thread = pthread_self();
	NEED(cr_register_callback(callback, arg, CR_SIGNAL_CONTEXT) >= 0);
	woken = 1;
	while (woken != 2) /* computes */
		;
	NEED(cr_enter_cs(id) == 0 && cr_leave_cs(id) == 0);
	return NULL;
}

/* Has nothing to do with libcr: is saved without callbacks. */
static void *no_client(void *arg)
{
	volatile unsigned long n = 0;

	while (woken != 2)
		n++;
	return arg;
}

/* Threads of all three kinds: each takes part, in either life. */
static int kinds(void)
{
	cr_client_id_t id = cr_init();
	pthread_t t, n;
	int first;

	NEED(pthread_create(&n, NULL, no_client, NULL) == 0);
	NEED(cr_register_callback(callback, (void *)"T", CR_THREAD_CONTEXT) >= 0);
	NEED(pthread_create(&t, NULL, other, (void *)"S") == 0);
	while (!woken)
		sched_yield();
	first = save();
	settle(id);
	NEED(!strncmp(trace, "TS", 2));
	NEED(!!strstr(trace, first ? "cS" : "rS") && !!strstr(trace, first ? "cT" : "rT") && strlen(trace) == 6);
	woken = 2;
	NEED(pthread_join(t, NULL) == 0 && pthread_join(n, NULL) == 0);
	trace[0] = '\0';
	NEED(checkpoint("context.again") == 0); /* a thread that has ended is not waited for */
	settle(id);
	NEED(!strcmp(trace, "TcT"));
	return 0;
}

/* exec in the RESTART part of a callback in signal context, while there is one in thread context. */
static int lam_callback(void *arg)
{
	(void)arg;
	if (cr_checkpoint(CR_CHECKPOINT_READY) > 0)
		execl("/bin/true", "true", (char *)NULL);
	return 0;
}

static int lam(void)
{
	cr_init();
	NEED(cr_register_callback(callback, (void *)"T", CR_THREAD_CONTEXT) >= 0);
	NEED(cr_register_callback(lam_callback, NULL, CR_SIGNAL_CONTEXT) >= 0);
	return save() ? 0 : 1;
}

static int by_fd(void)
{
	int fd = open("context.fd", O_WRONLY | O_CREAT | O_TRUNC, 0600);

	NEED(fd >= 0);
	NEED(cr_request_fd(fd) == 0);
	if (cr_epoch() == 1) /* the descriptor is part of what was saved: opened again, it is as long as it was then */
		NEED(rename("context.fd", "context") == 0 && close(open("context.fd", O_WRONLY | O_CREAT, 0600)) == 0);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "simple", plain }, { "stack_thread", stack_thread }, { "stack_signal", stack_signal }, { "hooks", hooks }, { "get_info", get_info },
		{ "overlap", overlap }, { "closing_thread", closing_thread }, { "closing_signal", closing_signal }, { "stale", stale },
		{ "kinds", kinds }, { "lam", lam }, { "by_fd", by_fd },
		{ "thread_saved", thread_saved }, { NULL, NULL },
	};

	return run_part(parts, argc, argv);
}

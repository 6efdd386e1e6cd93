/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The SEQ rows: the order in which callbacks, critical sections and outcomes come. Run by cr_run; context files go to the working directory. */
#include <pthread.h>
#include <sys/wait.h>

#include "parity.h"

static cr_client_id_t me;

static int stage1_callback(void *arg)
{
	NEED(arg == &me);
	seq(4);
	NEED(cr_status() == CR_STATE_ACTIVE);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
	seq(5);
	return 0;
}

static int temp_once(void *arg)
{
	int *left = arg;

	if (!*left)
		return 0;
	--*left;
	NEED(cr_checkpoint(CR_CHECKPOINT_TEMP_FAILURE) == -CR_ETEMPFAIL);
	return 0;
}

/* One thread, one callback in signal context: a critical section puts the checkpoint off, status tells, leaving takes it. */
static int stage0001(void)
{
	cr_checkpoint_handle_t h;
	cr_callback_id_t id;
	int left = 1;

	me = cr_init();
	NEED(me >= 0 && cr_init() == me);
	id = cr_register_callback(stage1_callback, &me, CR_SIGNAL_CONTEXT);
	NEED(id >= 0);
	NEED(cr_status() == CR_STATE_IDLE);
	seq(1);
	NEED(cr_enter_cs(me) == 0);
	request(&h, "stage1");
	while (cr_status() != CR_STATE_PENDING)
		usleep(1000);
	seq(2);
	NEED(cr_enter_cs(me) == 0 && cr_leave_cs(me) == 0); /* nested: neither waits nor lets it begin */
	NEED(cr_status() == CR_STATE_PENDING);
	seq(3);
	NEED(cr_leave_cs(me) == 0);
	seq(6);
	NEED(result(&h) == 0);
	NEED(access("stage1", R_OK) == 0);
	NEED(cr_replace_callback(id, temp_once, &left, CR_SIGNAL_CONTEXT) == id);
	NEED(checkpoint("stage1.no") == CR_ETEMPFAIL);
	NEED(access("stage1.no", F_OK) != 0);
	NEED(checkpoint("stage1.yes") == 0);
	return 0;
}

static pthread_t main_thread;

static int stage2_thread(void *arg)
{
	int status;
	pid_t child;

	(void)arg;
	seq(1);
	NEED(!pthread_equal(pthread_self(), main_thread));
	NEED(cr_enter_cs(CR_ID_CALLBACK) == 0 && cr_leave_cs(CR_ID_CALLBACK) == 0);
	child = fork();
	if (child == 0)
		_exit(7);
	NEED(child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
	/* this and the other one go on at the same time */
	return 0;
}

static int stage2_signal(void *arg)
{
	(void)arg;
	seq(2);
	NEED(pthread_equal(pthread_self(), main_thread));
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
	return 0;
}

/* Both kinds: thread context first; fork and wait inside; critical sections of callbacks. */
static int stage0002(void)
{
	main_thread = pthread_self();
	me = cr_init();
	NEED(cr_register_callback(stage2_signal, NULL, CR_SIGNAL_CONTEXT) >= 0);
	NEED(cr_register_callback(stage2_thread, NULL, CR_THREAD_CONTEXT) >= 0);
	NEED(checkpoint("stage2") == 0);
	NEED(seq_last == 2);
	return 0;
}

static int never(void *arg)
{
	(void)arg;
	return 0;
}

static void *stage4_thread(void *arg)
{
	(void)arg;
	REFUSED(cr_enter_cs(0), CR_ENOINIT); /* main has called cr_init(), we have not */
	return NULL;
}

/* Nothing without what it needs; no bad argument. */
static int stage0004(void)
{
	cr_checkpoint_handle_t h = 0;
	cr_checkpoint_args_t args;
	pthread_t t;

	REFUSED(cr_register_callback(never, NULL, CR_THREAD_CONTEXT), CR_ENOINIT);
	REFUSED(cr_replace_callback(0, never, NULL, CR_THREAD_CONTEXT), CR_ENOINIT);
	REFUSED(cr_enter_cs(0), CR_ENOINIT);
	REFUSED(cr_tryenter_cs(0), CR_ENOINIT);
	REFUSED(cr_leave_cs(0), CR_ENOINIT);
	REFUSED(cr_status(), CR_ENOINIT);
	errno = 0;
	NEED(cr_register_hook(CR_HOOK_CONT_THREAD_CONTEXT, NULL) == CR_HOOK_FN_ERROR && errno == CR_ENOINIT);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ENOTCB);
	NEED(cr_forward_checkpoint(CR_SCOPE_PROC, 0) == -CR_ENOTCB);
	me = cr_init();
	REFUSED(cr_register_callback(NULL, NULL, CR_THREAD_CONTEXT), EINVAL);
	REFUSED(cr_register_callback(never, NULL, 0), EINVAL);
	REFUSED(cr_register_callback(never, NULL, CR_THREAD_CONTEXT | CR_SIGNAL_CONTEXT), EINVAL);
	REFUSED(cr_replace_self(never, NULL, CR_THREAD_CONTEXT), CR_ENOTCB);
	REFUSED(cr_enter_cs(-5), EINVAL);
	REFUSED(cr_leave_cs(me), EINVAL);
	REFUSED(cr_enter_cs(CR_ID_CALLBACK), CR_ENOTCB);
	errno = 0;
	NEED(cr_register_hook(CR_NUM_HOOKS, NULL) == CR_HOOK_FN_ERROR && errno == EINVAL);
	NEED(!cr_get_checkpoint_info() && !cr_get_restart_info());
	REFUSED(cr_wait_checkpoint(&h, NULL), EINVAL);
	REFUSED(cr_reap_checkpoint(&h), EINVAL);
	cr_initialize_checkpoint_args_t(&args);
	REFUSED(cr_request_checkpoint(&args, &h), EINVAL); /* neither scope nor destination */
	args.cr_scope = CR_SCOPE_PROC;
	REFUSED(cr_request_checkpoint(&args, &h), EINVAL);
	args.cr_fd = 900;
	REFUSED(cr_request_checkpoint(&args, &h), EBADF);
	args.cr_fd = -1;
	args.cr_file = "stage4";
	args.cr_target = 0x3ffffff;
	REFUSED(cr_request_checkpoint(&args, &h), ESRCH);
	NEED(pthread_create(&t, NULL, stage4_thread, NULL) == 0 && pthread_join(t, NULL) == 0);
	return 0;
}

static int section_callback(void *arg)
{
	(void)arg;
	seq(3);
	return 0;
}

/* A critical section keeps callbacks in thread context out; who comes behind the request waits. */
static int critical_sections(void)
{
	cr_checkpoint_handle_t h;

	me = cr_init();
	NEED(cr_register_callback(section_callback, NULL, CR_THREAD_CONTEXT) >= 0);
	NEED(cr_tryenter_cs(me) == 0);
	seq(1);
	request(&h, "sections");
	while (cr_status() != CR_STATE_PENDING)
		usleep(1000);
	usleep(50000);
	seq(2);
	NEED(cr_leave_cs(me) == 0);
	NEED(cr_enter_cs(me) == 0); /* behind the callback */
	seq(4);
	NEED(cr_leave_cs(me) == 0);
	NEED(result(&h) == 0);
	return 0;
}

static int ran[4];
static cr_callback_id_t replaced;

static int third(void *arg)
{
	ran[3]++;
	(void)arg;
	return 0;
}

static int second(void *arg)
{
	ran[2]++;
	NEED(arg == ran);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == 0);
	REFUSED(cr_replace_self(third, NULL, CR_SIGNAL_CONTEXT), EINVAL);
	NEED(cr_replace_self(third, NULL, CR_THREAD_CONTEXT) == replaced); /* in the CONTINUE part */
	return 0;
}

static int first(void *arg)
{
	(void)arg;
	ran[1]++;
	REFUSED(cr_replace_callback(replaced, second, NULL, CR_THREAD_CONTEXT), EBUSY);
	REFUSED(cr_register_callback(second, NULL, CR_THREAD_CONTEXT), EBUSY);
	NEED(cr_replace_self(second, ran, CR_THREAD_CONTEXT) == replaced); /* in the CHECKPOINT part: from the next time on */
	return 0;
}

static int replace_cb(void)
{
	me = cr_init();
	replaced = cr_register_callback(never, NULL, CR_THREAD_CONTEXT);
	REFUSED(cr_replace_callback(replaced + 77, first, NULL, CR_THREAD_CONTEXT), EINVAL);
	REFUSED(cr_replace_callback(replaced, first, NULL, CR_SIGNAL_CONTEXT), EINVAL);
	NEED(cr_replace_callback(replaced, first, NULL, CR_THREAD_CONTEXT) == replaced);
	for (int i = 1; i <= 3; i++) {
		NEED(checkpoint("replace") == 0);
		NEED(cr_enter_cs(me) == 0 && cr_leave_cs(me) == 0); /* the CONTINUE parts are done */
		NEED(ran[i] == 1 && (i == 3 || ran[i + 1] == 0));
	}
	NEED(cr_replace_callback(replaced, NULL, NULL, CR_THREAD_CONTEXT) == replaced);
	NEED(checkpoint("replace") == 0 && ran[3] == 1);
	return 0;
}

static int outer_result, inner_runs, outer_flags;

static int older(void *arg)
{
	(void)arg;
	inner_runs++;
	return 0;
}

static int refuses(void *arg)
{
	(void)arg;
	outer_result = cr_checkpoint(outer_flags);
	return 0;
}

static int returns_7(void *arg)
{
	(void)arg;
	return 7;
}

static int failed(int context)
{
	static const struct {
		int flags, result, error;
	} t[] = {
		{ CR_CHECKPOINT_TEMP_FAILURE, -CR_ETEMPFAIL, CR_ETEMPFAIL },
		{ CR_CHECKPOINT_OMIT, -CR_EOMITTED, ESRCH },
		{ CR_CHECKPOINT_TEMP_CODE(911), -911, 911 },
		{ CR_CHECKPOINT_PERM_CODE(65535), -65535, 65535 },
		{ CR_CHECKPOINT_PERM_FAILURE, -CR_EPERMFAIL, CR_EPERMFAIL },
	};
	cr_callback_id_t id;

	me = cr_init();
	NEED(cr_register_callback(older, NULL, context) >= 0);
	id = cr_register_callback(refuses, NULL, context); /* newest: runs first */
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		outer_flags = t[i].flags;
		outer_result = 0;
		NEED(checkpoint("failed") == t[i].error);
		NEED(access("failed", F_OK) != 0);
		NEED(cr_enter_cs(me) == 0 && cr_leave_cs(me) == 0);
		NEED(outer_result == t[i].result);
		NEED(inner_runs == 0); /* what comes later in the stack is skipped */
	}
	NEED(cr_replace_callback(id, returns_7, NULL, context) == id);
	NEED(checkpoint("failed") == CR_EPERMFAIL);
	outer_flags = CR_CHECKPOINT_READY;
	NEED(cr_replace_callback(id, refuses, NULL, context) == id);
	NEED(checkpoint("failed") == 0);
	NEED(inner_runs == 1);
	return 0;
}

static int failed_cb(void) { return failed(CR_SIGNAL_CONTEXT); }
static int failed_cb2(void) { return failed(CR_THREAD_CONTEXT); }

static volatile int stress_over, stress_sections, stress_inside, stress_callbacks;

static int stress_callback(void *arg)
{
	(void)arg;
	NEED(__atomic_load_n(&stress_inside, __ATOMIC_SEQ_CST) == 0);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) >= 0);
	NEED(__atomic_load_n(&stress_inside, __ATOMIC_SEQ_CST) == 0);
	__atomic_fetch_add(&stress_callbacks, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void *stress_thread(void *arg)
{
	cr_client_id_t id = cr_init();
	int mine = 0, try = arg != NULL;

	NEED(id >= 0);
	while (!stress_over) {
		if (!try)
			NEED(cr_enter_cs(id) == 0);
		else if (cr_tryenter_cs(id)) {
			usleep(200);
			continue;
		}
		__atomic_fetch_add(&stress_inside, 1, __ATOMIC_SEQ_CST);
		usleep(100);
		__atomic_fetch_sub(&stress_inside, 1, __ATOMIC_SEQ_CST);
		NEED(cr_leave_cs(id) == 0);
		mine++;
	}
	__atomic_fetch_add(&stress_sections, mine, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Threads that are nearly always inside against checkpoints, one after the other: both get their turns. */
static int stress(int context, int try)
{
	pthread_t t[4];

	me = cr_init();
	NEED(cr_register_callback(stress_callback, NULL, context) >= 0);
	for (int i = 0; i < 4; i++)
		NEED(pthread_create(&t[i], NULL, stress_thread, try ? t : NULL) == 0);
	for (int i = 0; i < 12; i++)
		NEED(checkpoint("stress") == 0);
	NEED(cr_enter_cs(me) == 0 && cr_leave_cs(me) == 0);
	stress_over = 1;
	for (int i = 0; i < 4; i++)
		NEED(pthread_join(t[i], NULL) == 0);
	NEED(stress_callbacks == 12 && stress_sections > 12);
	return 0;
}

static int cs_enter_leave(void) { return stress(CR_SIGNAL_CONTEXT, 0); }
static int cs_enter_leave2(void) { return stress(CR_THREAD_CONTEXT, 0); }
static int cr_tryenter(void) { return stress(CR_THREAD_CONTEXT, 1); }

static int edeadlk(void)
{
	cr_checkpoint_handle_t h;
	cr_checkpoint_args_t args;

	cr_initialize_checkpoint_args_t(&args);
	args.cr_file = "edeadlk";
	args.cr_flags = CR_CHKPT_PROHIBIT_SELF;
	for (int scope = CR_SCOPE_PROC; scope <= CR_SCOPE_TREE; scope++) {
		args.cr_scope = (cr_scope_t)scope;
		REFUSED(cr_request_checkpoint(&args, &h), EDEADLK);
	}
	args.cr_scope = CR_SCOPE_TREE;
	args.cr_target = getppid();
	REFUSED(cr_request_checkpoint(&args, &h), EDEADLK);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "stage0001", stage0001 }, { "stage0002", stage0002 }, { "stage0004", stage0004 }, { "critical_sections", critical_sections },
		{ "replace_cb", replace_cb }, { "failed_cb", failed_cb }, { "failed_cb2", failed_cb2 }, { "cs_enter_leave", cs_enter_leave },
		{ "cs_enter_leave2", cs_enter_leave2 }, { "cr_tryenter_cs", cr_tryenter }, { "edeadlk", edeadlk }, { NULL, NULL },
	};

	return run_part(parts, argc, argv);
}

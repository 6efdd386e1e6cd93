/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "Can this be checkpointed?" asked and answered, as the program does it for itself; and, with a process id as argument, for another one by
 * a program that cr_run did not start.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <time.h>

#include "parity.h"

static char why[4096];
static volatile unsigned long counted;

static void *count(void *arg)
{
	for (;;)
		counted++;
	return arg;
}

static int inside(void)
{
	int fd;

	NEED(cr_nocr_query(0, why, sizeof(why)) == 0);
	NEED(checkpoint("nocr") == 0);
	NEED(cr_nocr_set(7, "the device is mapped") == 0);
	NEED(cr_nocr_set(8, "so is the other") == 0);
	NEED(cr_nocr_query(0, why, sizeof(why)) == 2 && strstr(why, "the device is mapped") && strstr(why, "so is the other"));
	NEED(unlink("nocr") == 0);
	NEED(checkpoint("nocr") == ENOTSUP && access("nocr", F_OK) < 0);
	NEED(cr_nocr_clear(7) == 0 && cr_nocr_clear(7) == -ENOENT);
	NEED(cr_nocr_query(0, why, sizeof(why)) == 1 && !strstr(why, "the device"));
	NEED(cr_nocr_set(8, "so is the other") == 0 && cr_nocr_query(0, why, sizeof(why)) == 1); /* the same mark */
	NEED(cr_nocr_clear(8) == 0);
	NEED(cr_nocr_query(getpid(), why, sizeof(why)) == 0);
	/* What nobody marked is found at its place, at the moment it is there, and gone with it. */
	fd = socket(AF_NETLINK, SOCK_RAW, 0);
	NEED(fd >= 0);
	NEED(cr_nocr_query(0, why, sizeof(why)) == 1 && strstr(why, "netlink"));
	NEED(close(fd) == 0 && cr_nocr_query(0, why, sizeof(why)) == 0);
	NEED(checkpoint("nocr") == 0);
	for (unsigned long i = 0; i < 256; i++)
		NEED(cr_nocr_set(100 + i, "one of many") == 0);
	NEED(cr_nocr_set(999, "one too many") == -ENOSPC);
	for (unsigned long i = 0; i < 256; i++)
		NEED(cr_nocr_clear(100 + i) == 0);
	NEED(cr_nocr_query(0, why, sizeof(why)) == 0);
	return 0;
}

/* Counts, and writes how far it is, until the file "end" comes. */
static int target(void)
{
	pthread_t t;

	NEED(pthread_create(&t, NULL, count, NULL) == 0);
	NEED(close(creat("ready", 0600)) == 0);
	while (access("end", F_OK))
		usleep(10000);
	return 0;
}

static int outside(pid_t pid)
{
	NEED(!cr_protected() && cr_nocr_set(1, "nobody asks us") == 0);
	NEED(cr_nocr_query(0, why, sizeof(why)) == -CR_ENOSUPPORT);
	NEED(cr_nocr_query(getppid(), why, sizeof(why)) == -CR_ENOSUPPORT);
	NEED(cr_nocr_query(0x3ffffff, why, sizeof(why)) == -ESRCH);
	NEED(cr_nocr_query(pid, why, sizeof(why)) == 0);
	NEED(cr_nocr_set_for(pid, 42, "a third party says so") == 0);
	NEED(cr_nocr_query(pid, why, sizeof(why)) == 1 && !strcmp(why, "a third party says so"));
	return 0;
}

/* A program that cr_run did not start: every call says so, none does harm. */
static int without(void)
{
	cr_checkpoint_handle_t h = 0;
	cr_checkpoint_args_t args;

	NEED(!cr_protected() && cr_epoch() == 0);
	REFUSED(cr_init(), ENOSYS);
	REFUSED(cr_register_callback(NULL, NULL, CR_THREAD_CONTEXT), ENOSYS);
	REFUSED(cr_replace_callback(0, NULL, NULL, CR_THREAD_CONTEXT), ENOSYS);
	REFUSED(cr_replace_self(NULL, NULL, CR_THREAD_CONTEXT), ENOSYS);
	REFUSED(cr_enter_cs(0), ENOSYS);
	REFUSED(cr_enter_cs(CR_ID_CALLBACK), ENOSYS);
	REFUSED(cr_tryenter_cs(0), ENOSYS);
	REFUSED(cr_leave_cs(0), ENOSYS);
	REFUSED(cr_status(), ENOSYS);
	REFUSED(cr_request_file("file"), ENOSYS);
	REFUSED(cr_wait_checkpoint(&h, NULL), ENOSYS);
	REFUSED(cr_reap_checkpoint(&h), ENOSYS);
	cr_initialize_checkpoint_args_t(&args);
	REFUSED(cr_request_checkpoint(&args, &h), ENOSYS);
	NEED(cr_self_checkpoint("file", 0) == -ENOSYS && access("file", F_OK) < 0);
	NEED(cr_checkpoint(CR_CHECKPOINT_READY) == -CR_ENOTCB && cr_forward_checkpoint(CR_SCOPE_PROC, 0) == -ENOSYS);
	errno = 0;
	NEED(cr_register_hook(CR_HOOK_CONT_THREAD_CONTEXT, NULL) == CR_HOOK_FN_ERROR && errno == ENOSYS);
	NEED(!cr_get_checkpoint_info() && !cr_get_restart_info());
	NEED(cr_nocr_set(1, "x") == 0);
	return 0;
}

static long cost(int set)
{
	struct timespec a, b;

	if (set)
		cr_nocr_set(5, "set");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < 200000; i++)
		NEED(getppid() > 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	if (set)
		cr_nocr_clear(5);
	return (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec;
}

/* A mark costs nothing where it is not looked at: least times of several turns, far apart only if something looked. */
static int free_of_charge(void)
{
	long without_mark = -1, with_mark = -1;

	for (int i = 0; i < 15; i++) {
		long a = cost(0), b = cost(1);

		without_mark = without_mark < 0 || a < without_mark ? a : without_mark;
		with_mark = with_mark < 0 || b < with_mark ? b : with_mark;
	}
	NEED(with_mark < 2 * without_mark);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct part parts[] = {
		{ "inside", inside }, { "target", target }, { "without", without }, { "free", free_of_charge }, { NULL, NULL },
	};

	if (argc == 2 && atoi(argv[1]) > 0)
		return outside(atoi(argv[1]));
	return run_part(parts, argc, argv);
}

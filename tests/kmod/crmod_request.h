/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests as a program makes them, and processes to make them for: each task counts in shared memory, so whether it runs can be seen. */
#ifndef CRMOD_REQUEST_H
#define CRMOD_REQUEST_H

#include "crmod.h"

#define COUNTERS 256
static atomic_uint *counter; /* of all processes */

static UNUSED void counters_init(void)
{
	counter = mmap(NULL, COUNTERS * sizeof(*counter), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counter == MAP_FAILED)
		exit(2);
}

static UNUSED void count_forever(unsigned int i)
{
	for (;;) {
		atomic_fetch_add(&counter[i], 1);
		if (i & 1)
			usleep(500);
		else
			sched_yield();
	}
}

static UNUSED void *count_thread(void *arg)
{
	count_forever((unsigned int)(uintptr_t)arg);
	return NULL;
}

/* A child with threads that count at first, first+1, ... */
static UNUSED pid_t counting_child(unsigned int first, unsigned int threads)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned int i = 1; i < threads; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, count_thread, (void *)(uintptr_t)(first + i)))
			_exit(3);
	}
	count_forever(first);
	return 0;
}

/* All of n counters go on. Returns false when they do not within a minute. */
static UNUSED bool counters_run(unsigned int first, unsigned int n)
{
	uint64_t end = now_ns() + 60 * SECOND;

	for (unsigned int i = first; i < first + n; i++) {
		unsigned int before = atomic_load(&counter[i]);

		while (atomic_load(&counter[i]) == before) {
			if (now_ns() > end)
				return false;
			usleep(1000);
		}
	}
	return true;
}

/* None of n counters goes on while we look. */
static UNUSED bool counters_stand(unsigned int first, unsigned int n)
{
	unsigned int before[COUNTERS];
	bool stand = true;

	for (unsigned int i = 0; i < n; i++)
		before[i] = atomic_load(&counter[first + i]);
	for (int look = 0; look < 10; look++)
		nap();
	for (unsigned int i = 0; i < n; i++)
		stand &= before[i] == atomic_load(&counter[first + i]);
	return stand;
}

static UNUSED void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static UNUSED struct cr_ioc_request request_of(uint32_t scope, pid_t target)
{
	return (struct cr_ioc_request){ .scope = scope, .target = target, .deadline_ns = now_ns() + 120 * SECOND, .hold_ns = 120 * SECOND };
}

/* REQUEST and WAIT. Returns what REQUEST said, or ret_result of WAIT. */
static UNUSED long stop_set(int fd, struct cr_ioc_request *r, struct cr_ioc_wait *w)
{
	long err = dev_call(fd, CR_IOC_REQUEST, r);

	if (err)
		return err;
	*w = (struct cr_ioc_wait){ 0 };
	while ((err = dev_call(fd, CR_IOC_WAIT, w)) == -EINTR)
		;
	if (err)
		return err;
	if (w->ret_state != CR_IOC_STOPPED && w->ret_state != CR_IOC_DONE)
		return -EPROTO;
	return w->ret_result;
}

static UNUSED long stop_pid(int fd, uint32_t scope, pid_t target, struct cr_ioc_wait *w)
{
	struct cr_ioc_request r = request_of(scope, target);

	return stop_set(fd, &r, w);
}

/* WAIT until the request is over: for ends that come by themselves. */
static UNUSED long wait_done(int fd, struct cr_ioc_wait *w)
{
	uint64_t end = now_ns() + 60 * SECOND;
	long err;

	do {
		*w = (struct cr_ioc_wait){ 0 };
		err = dev_call(fd, CR_IOC_WAIT, w);
		if (err)
			return err;
		usleep(1000);
	} while (w->ret_state != CR_IOC_DONE && now_ns() < end);
	return w->ret_result;
}

/* The state of a process in the request; -1: not in it. */
static UNUSED int state_of(int fd, pid_t pid)
{
	struct cr_ioc_process p[COUNTERS];
	struct cr_ioc_list l = { .processes = (uintptr_t)p, .count = COUNTERS };

	if (dev_call(fd, CR_IOC_LIST, &l))
		return -1;
	for (uint32_t i = 0; i < l.ret_count && i < COUNTERS; i++) {
		if (p[i].ret_pid == pid)
			return (int)p[i].ret_state;
	}
	return -1;
}

#endif

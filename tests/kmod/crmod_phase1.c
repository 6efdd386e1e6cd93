// SPDX-License-Identifier: GPL-2.0-or-later
/* Callback threads: woken first, all of them answer before anybody else is stopped; OMIT, TEMP and PERM; those that die without an answer. */
#include "crmod_request.h"

enum habit { ANSWER, DIE, EXIT_THREAD, CLOSE, EXEC, SLOW, LAST };

struct plan {
	unsigned int first; /* counters: first = main, first+1 = second thread; first+2: calls seen; first+3: last result, negated, +1 */
	enum habit habit;
	uint32_t outcome;
	uint32_t code;
};

static const char *self_path;

static void *callback_thread(void *arg)
{
	struct plan *plan = arg;
	int fd = open(CR_IOC_DEVICE, O_RDWR | O_CLOEXEC);

	if (fd < 0 || dev_call(fd, CR_IOC_PHASE1, NULL))
		_exit(7);
	atomic_store(&counter[plan->first + 2], 1); /* registered */
	for (;;) {
		struct cr_ioc_ready ready = { .outcome = plan->outcome, .code = plan->code };
		struct cr_ioc_called called = { 0 };
		unsigned int others = atomic_load(&counter[10]);
		long err = dev_call(fd, CR_IOC_PHASE1_WAIT, &called);

		if (err)
			_exit(8);
		atomic_fetch_add(&counter[plan->first + 2], 1);
		switch (plan->habit) {
		case DIE:
			kill(getpid(), SIGKILL);
			break;
		case EXIT_THREAD:
			pthread_exit(NULL);
		case CLOSE:
			close(fd);
			count_forever(plan->first + 1);
			break;
		case EXEC:
			execl(self_path, self_path, "--sleep", NULL);
			break;
		case SLOW:
			/* The rest of the process, and of the other processes, still runs */
			if (!counters_run(plan->first, 2))
				_exit(9);
			usleep(100000);
			break;
		case LAST:
			/* When the callback thread of the process that counts from 8 has been called too */
			while (atomic_load(&counter[10]) == others)
				usleep(1000);
			break;
		default:
			break;
		}
		ready.request = called.ret_request;
		err = dev_call(fd, CR_IOC_PHASE1_READY, &ready);
		if (err)
			_exit(10);
		atomic_store(&counter[plan->first + 3], 1u + (unsigned int)-ready.ret_result);
	}
	return NULL;
}

static pid_t phase1_child(unsigned int first, enum habit habit, uint32_t outcome, uint32_t code)
{
	struct plan plan = { first, habit, outcome, code };
	pid_t pid;

	for (unsigned int i = 0; i < 4; i++)
		atomic_store(&counter[first + i], 0);
	pid = fork();
	if (!pid) {
		pthread_t t, u;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&t, NULL, callback_thread, &plan);
		pthread_create(&u, NULL, count_thread, (void *)(uintptr_t)(first + 1));
		count_forever(first);
	}
	counters_run(first, 2);
	while (!atomic_load(&counter[first + 2]))
		nap();
	return pid;
}

static unsigned int calls(unsigned int first)
{
	return atomic_load(&counter[first + 2]) - 1;
}

/* The result that the callback thread got; waits for it. */
static int result(unsigned int first)
{
	uint64_t end = now_ns() + 60 * SECOND;
	unsigned int got;

	while (!(got = atomic_load(&counter[first + 3])) && now_ns() < end)
		usleep(1000);
	atomic_store(&counter[first + 3], 0);
	return got ? -(int)(got - 1) : 1;
}

static long stop_two(int fd, pid_t a, pid_t b, uint32_t flags, struct cr_ioc_wait *w)
{
	int32_t pids[2] = { a, b };
	struct cr_ioc_request r = request_of(CR_IOC_PIDS, 0);

	r.pids = (uintptr_t)pids;
	r.count = 2;
	r.flags = flags;
	return stop_set(fd, &r, w);
}

static void test_ready(int fd)
{
	pid_t a = phase1_child(0, SLOW, CR_IOC_READY, 0), b = phase1_child(8, ANSWER, CR_IOC_READY, 0), c = phase1_child(16, ANSWER, CR_IOC_READY, 0);
	struct cr_ioc_wait w;
	bool good = true;

	is(stop_two(fd, a, b, 0, &w), 0, "two processes with callback threads, one of them slow");
	ok(w.ret_processes == 2 && w.ret_tasks == 6, "all 6 tasks are inside (%u, %u)", w.ret_processes, w.ret_tasks);
	ok(calls(0) == 1 && calls(8) == 1, "each callback thread was called once");
	ok(calls(16) == 0, "that of another process sleeps on");
	ok(counters_stand(0, 2) && counters_stand(8, 2), "all stand");
	dev_call(fd, CR_IOC_RESUME, NULL);
	is(result(0), 0, "the first callback thread is told that it is done");
	is(result(8), 0, "so is the second");
	ok(counters_run(0, 2) && counters_run(8, 2), "all go on");
	for (unsigned int i = 2; i < 12 && good; i++) {
		good = stop_two(fd, a, b, 0, &w) == 0 && calls(0) == i && calls(8) == i && w.ret_tasks == 6;
		dev_call(fd, CR_IOC_RESUME, NULL);
		good = good && result(0) == 0 && result(8) == 0;
	}
	ok(good, "10 more times");
	end_child(a);
	end_child(b);
	end_child(c);
}

static void test_outcomes(int fd)
{
	pid_t a = phase1_child(0, ANSWER, CR_IOC_OMIT, 0), b = phase1_child(8, ANSWER, CR_IOC_READY, 0);
	struct cr_ioc_wait w;
	int status;

	is(stop_two(fd, a, b, 0, &w), 0, "one process asks to be omitted");
	ok(w.ret_processes == 1 && state_of(fd, a) == CR_IOC_P_OMITTED && state_of(fd, b) == CR_IOC_P_INSIDE, "the other one is inside");
	ok(counters_run(0, 2) && counters_stand(8, 2), "the omitted one runs, the other stands");
	is(result(0), -ECANCELED, "the omitted one is told so");
	dev_call(fd, CR_IOC_RESUME, NULL);
	is(result(8), 0, "the other one was checkpointed");
	is(stop_pid(fd, CR_IOC_PROC, a, &w), -ESRCH, "alone it leaves nobody");
	result(0);
	end_child(a);

	a = phase1_child(0, LAST, CR_IOC_TEMP, 17);
	is(stop_two(fd, a, b, 0, &w), -ECANCELED, "one says TEMP");
	ok(w.ret_why == CR_IOC_WHY_OUTCOME && w.ret_outcome == CR_IOC_TEMP && w.ret_code == 17 && w.ret_pid == a, "with its number");
	is(result(0), -ECANCELED, "it is told that there was no checkpoint");
	is(result(8), -ECANCELED, "so is the other");
	ok(counters_run(0, 2) && counters_run(8, 2), "both go on");
	end_child(a);

	a = phase1_child(0, LAST, CR_IOC_PERM, 3);
	is(stop_two(fd, a, b, 0, &w), -ECANCELED, "one says PERM");
	ok(w.ret_outcome == CR_IOC_PERM && w.ret_code == 3, "the requester learns it");
	ok(counters_run(0, 2) && counters_run(8, 2), "without the flag nobody is killed");
	result(8);
	is(stop_two(fd, a, b, CR_IOC_KILL_ON_PERM, &w), -ECANCELED, "PERM, and the requester wants them killed");
	ok(waitpid(a, &status, 0) == a && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the first is dead");
	ok(waitpid(b, &status, 0) == b && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "so is the other");
}

static void test_bad_habits(int fd)
{
	static const struct {
		enum habit habit;
		const char *words;
		unsigned int processes;
	} cases[] = {
		{ DIE, "a callback thread is killed with its process", 1 },
		{ EXIT_THREAD, "a callback thread ends", 2 },
		{ CLOSE, "a callback thread closes its descriptor", 2 },
		{ EXEC, "a callback thread executes another program", 1 },
	};
	pid_t b = phase1_child(8, ANSWER, CR_IOC_READY, 0);
	struct cr_ioc_request r;
	struct cr_ioc_wait w;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t a = phase1_child(0, cases[i].habit, CR_IOC_READY, 0);

		is(stop_two(fd, a, b, 0, &w), 0, cases[i].words);
		ok(w.ret_processes == cases[i].processes && counters_stand(8, 2), "the request goes on without it (%u)", w.ret_processes);
		dev_call(fd, CR_IOC_RESUME, NULL);
		is(result(8), 0, "the other process was checkpointed");
		end_child(a);
	}
	end_child(b);

	b = phase1_child(8, ANSWER, CR_IOC_READY, 0);
	kill(b, SIGSTOP);
	waitpid(b, NULL, WUNTRACED);
	r = request_of(CR_IOC_PROC, b);
	r.deadline_ns = now_ns() + SECOND;
	is(stop_set(fd, &r, &w), -EBUSY, "a process that job control has stopped is refused before it is called");
	ok(calls(8) == 0, "indeed");
	kill(b, SIGCONT);
	end_child(b);
}

static void test_edges(int fd)
{
	struct cr_ioc_ready ready = { 0 };
	struct cr_ioc_called called;
	int other = dev_open();

	is(dev_call(fd, CR_IOC_PHASE1_WAIT, &called), -EPERM, "PHASE1_WAIT without PHASE1");
	is(dev_call(fd, CR_IOC_PHASE1_READY, &ready), -EPERM, "PHASE1_READY without PHASE1");
	is(dev_call(other, CR_IOC_PHASE1, NULL), 0, "PHASE1");
	is(dev_call(other, CR_IOC_PHASE1, NULL), -EBUSY, "PHASE1 twice");
	is(dev_call(fd, CR_IOC_PHASE1, NULL), -EBUSY, "PHASE1 by another descriptor");
	ready.request = 12345;
	is(dev_call(other, CR_IOC_PHASE1_READY, &ready), 0, "an answer that nobody asked for");
	is(ready.ret_result, -ESRCH, "belongs to no request");
	ready.outcome = 3;
	is(dev_call(other, CR_IOC_PHASE1_READY, &ready), -EINVAL, "an outcome that is not known");
	ready.outcome = CR_IOC_TEMP;
	ready.code = 65536;
	is(dev_call(other, CR_IOC_PHASE1_READY, &ready), -EINVAL, "a number that is too large");
	close(other);
}

int main(int argc, char **argv)
{
	int fd;

	self_path = argv[0];
	if (argc > 1 && !strcmp(argv[1], "--sleep")) {
		sleep(600);
		return 0;
	}
	counters_init();
	fd = dev_open();
	test_edges(fd);
	test_ready(fd);
	test_outcomes(fd);
	test_bad_habits(fd);
	return tap_end();
}

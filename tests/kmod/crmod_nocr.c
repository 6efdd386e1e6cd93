// SPDX-License-Identifier: GPL-2.0-or-later
/* NOCR marks: set, read, refused with, cleared. */
#include "crmod_request.h"

static struct cr_ioc_nocr mark(pid_t pid, const char *reason)
{
	struct cr_ioc_nocr n = { .pid = pid };

	snprintf(n.reason, sizeof(n.reason), "%s", reason);
	return n;
}

int main(void)
{
	struct cr_ioc_nocr n;
	struct cr_ioc_wait w;
	int fd, other;
	pid_t pid;

	counters_init();
	pid = counting_child(0, 2);
	fd = dev_open();
	other = dev_open();
	counters_run(0, 2);
	n = mark(pid, "");
	is(dev_call(other, CR_IOC_NOCR_SET, &n), -EINVAL, "a mark without a reason");
	memset(n.reason, 'x', sizeof(n.reason));
	is(dev_call(other, CR_IOC_NOCR_SET, &n), -EINVAL, "a reason without an end");
	n = mark(pid, "talks to a device");
	is(dev_call(other, CR_IOC_NOCR_SET, &n), 0, "a mark on another process");
	n = mark(pid, "");
	is(dev_call(fd, CR_IOC_NOCR_GET, &n), 0, "it is listed");
	ok(n.ret_tid == pid && !strcmp(n.reason, "talks to a device"), "with task and reason: %d %s", n.ret_tid, n.reason);
	n.index = 1;
	is(dev_call(fd, CR_IOC_NOCR_GET, &n), -ENOENT, "there is one");
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), -EOPNOTSUPP, "a request for a marked process");
	ok(w.ret_why == CR_IOC_WHY_NOCR && w.ret_pid == pid, "names it");
	ok(counters_run(0, 2), "the process never noticed");
	n = mark(pid, "another one");
	is(dev_call(other, CR_IOC_NOCR_SET, &n), 0, "the mark is replaced");
	n = mark(pid, "");
	is(dev_call(fd, CR_IOC_NOCR_CLEAR, &n), -ENOENT, "another descriptor has no mark to clear");
	is(dev_call(other, CR_IOC_NOCR_CLEAR, &n), 0, "its own is cleared");
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "then it can be stopped");
	dev_call(fd, CR_IOC_RESUME, NULL);
	n = mark(pid, "until close");
	dev_call(other, CR_IOC_NOCR_SET, &n);
	close(other);
	is(stop_pid(fd, CR_IOC_PROC, pid, &w), 0, "a mark ends with its descriptor");
	dev_call(fd, CR_IOC_RESUME, NULL);
	n = mark(0, "myself");
	is(dev_call(fd, CR_IOC_NOCR_SET, &n), 0, "a mark on oneself");
	is(dev_call(fd, CR_IOC_NOCR_CLEAR, &n), 0, "and taken back");
	n = mark(2, "kernel");
	is(dev_call(fd, CR_IOC_NOCR_SET, &n), -EPERM, "a thread of the kernel");
	n = mark(-1, "x");
	is(dev_call(fd, CR_IOC_NOCR_SET, &n), -EINVAL, "no task at all");
	end_child(pid);
	n = mark(pid, "gone");
	is(dev_call(fd, CR_IOC_NOCR_SET, &n), -ESRCH, "a process that has ended");
	return tap_end();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program of ours (cr_checkpoint) started on behalf of the program, outside of its family, process group and session: it is nothing that the
 * program could wait for or a checkpoint would find. It has none of the program's descriptors, and the signals' default actions.
 * Context: lower %fs, a thread of the program.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"

#define STACK_BYTES 65536UL

struct helper {
	const char *path;
	const char *const *argv;
	char *stack;
	int fd;
	volatile int error;
	volatile uint32_t go;      /* futex: its parent has been reaped */
	volatile uint32_t running; /* futex: 0 when it has executed, or ended */
};

extern char **environ;

/* Both share our memory, this one until it executes (the kernel clears @running then): raw system calls only. */
static int helper_exec(void *arg)
{
	struct helper *h = arg;
	uint64_t none = 0;
	int null;

	cr_sys1(SYS_set_tid_address, &h->running);
	while (!h->go)
		cr_sys4(SYS_futex, &h->go, FUTEX_WAIT, 0, 0);
	cr_sys0(SYS_setsid);
	cr_sys3(SYS_dup3, h->fd, 3, 0);
	cr_sys3(SYS_close_range, 4, ~0U, 0);
	null = (int)cr_sys4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	for (int i = 0; i < 3 && null >= 0; i++)
		cr_sys3(SYS_dup3, null, i, 0);
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
	h->error = (int)-cr_sys3(SYS_execve, h->path, h->argv, environ);
	return 1;
}

/* Ends at once, so that the helper is nobody's child. */
static int helper_main(void *arg)
{
	struct helper *h = arg;
	long pid = cr_clone_thread(CLONE_VM, h->stack + STACK_BYTES / 2, helper_exec, h);

	if (pid < 0) {
		h->error = (int)-pid;
		h->running = 0;
	}
	return 0;
}

int cr_helper_start(const char *const *argv)
{
	struct helper h = { .argv = argv, .running = 1 };
	uint64_t all = ~0UL, old;
	int fds[2], pid, status, rd;
	char path[1200];

	snprintf(path, sizeof(path), "%s", cr_lower.self_path);
	snprintf(strrchr(path, '/') + 1, 32, "%s", argv[0]);
	h.path = path;
	h.stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h.stack == MAP_FAILED)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC)) {
		munmap(h.stack, STACK_BYTES);
		return -errno;
	}
	rd = cr_fd_raise(fds[0]);
	h.fd = cr_fd_raise(fds[1]);
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, 8);
	pid = rd < 0 || h.fd < 0 ? -EMFILE : (int)cr_clone_thread(CLONE_VM | CLONE_VFORK, h.stack + STACK_BYTES, helper_main, &h);
	while (pid > 0 && waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	/* Only now: a checkpoint that it asks for at once must not find a child. */
	__atomic_store_n(&h.go, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &h.go, FUTEX_WAKE, 1);
	while (pid > 0 && h.running)
		cr_sys4(SYS_futex, &h.running, FUTEX_WAIT, 1, 0);
	cr_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, 0, 8);
	if (h.fd >= 0)
		close(h.fd);
	munmap(h.stack, STACK_BYTES);
	if (pid > 0 && h.error)
		pid = -h.error;
	if (pid < 0) {
		if (rd >= 0)
			close(rd);
		return pid;
	}
	fcntl(rd, F_SETFL, O_NONBLOCK);
	return rd;
}

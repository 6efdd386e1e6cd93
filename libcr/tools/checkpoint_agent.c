/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dialogue with an agent. */
#include "libcr/tools/checkpoint_agent.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "libcr.h"
#include "libcr/tools/process_stat.h"

#define IDLE_MS 100

/* execve ends the agent and its connections; the next program's agent comes with it. */
static int gone(const struct checkpoint_agent *a, struct cr_err *err)
{
	if (cr_process_runs(a->pid))
		return cr_err_set(err, EAGAIN, "it closed the connection: it begins another program (exec), or is ending: try again");
	return cr_err_set(err, ESRCH, "the process ended");
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

/* What comes beside the answer that is waited for. */
static void note(struct checkpoint_agent *a, const struct cr_msg_head *h)
{
	if (h->type == CR_MSG_MEMBERS) {
		a->n_members = h->bytes / sizeof(int32_t);
		memcpy(a->members, a->payload, a->n_members * sizeof(int32_t));
	}
	if (h->type == CR_MSG_DUMPED && h->bytes >= sizeof(a->early_dumped)) {
		memcpy(&a->early_dumped, a->payload, sizeof(a->early_dumped));
		a->have_dumped = true;
	}
}

int checkpoint_agent_expect(struct checkpoint_agent *a, uint32_t want, int timeout_ms, struct cr_err *err)
{
	int64_t end = now_ms() + timeout_ms;

	if (want == CR_MSG_DUMPED && a->have_dumped) {
		memcpy(a->payload, &a->early_dumped, sizeof(a->early_dumped));
		return sizeof(a->early_dumped);
	}
	for (;;) {
		struct pollfd p = { .fd = a->fd, .events = POLLIN };
		int64_t left = end - now_ms(), wait = a->idle && left > IDLE_MS ? IDLE_MS : left;
		struct cr_msg_head h;
		int n;

		if (left <= 0)
			return cr_err_set(err, ETIMEDOUT, "no answer from the process within %d seconds; it goes on", timeout_ms / 1000);
		if (poll(&p, 1, (int)wait) == 0) {
			if (a->idle)
				a->idle(a->idle_arg);
			continue;
		}
		n = cr_message_recv(a->fd, &h, a->payload);
		if (n == -EPIPE || n == -ECONNRESET)
			return gone(a, err);
		if (n < 0)
			return cr_err_set(err, n, "bad message from the process");
		a->payload[n] = '\0';
		if (h.type == CR_MSG_FAILED && h.bytes >= sizeof(struct cr_msg_failed)) {
			struct cr_msg_failed *f = (void *)a->payload;

			f->text[sizeof(f->text) - 1] = '\0';
			return cr_err_set(err, f->error, "%s", f->text);
		}
		if (h.type == want)
			return n;
		note(a, &h);
	}
}

int checkpoint_agent_ask(struct checkpoint_agent *a, uint32_t type, const void *data, size_t bytes, struct cr_err *err)
{
	int rc = cr_message_send(a->fd, type, type == CR_MSG_CHECK ? 0 : 1, data, bytes);

	return rc == -EPIPE || rc == -ECONNRESET ? gone(a, err) : rc ? cr_err_set(err, rc, "cannot ask the process: %s", strerror(-rc)) : 0;
}

/* A process of ours that has no agent yet: started or executed a moment ago. */
static bool is_starting(int pid)
{
	char path[64], exe[CR_PATH_BYTES], *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	name = strrchr(exe, '/');
	return name && (!strcmp(name, "/cr_run") || !strcmp(name, "/cr_restart"));
}

static int connect_to(int pid, struct cr_err *err)
{
	char name[64];

	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, pid);
	return cr_message_connect(name, err);
}

/* cr_restart of a tree is no part of it: its first child with an agent is the root. Return: the connection; *@ret_pid the process. */
static int connect_below(int parent, int *ret_pid)
{
	DIR *proc = opendir("/proc");
	int fd = -ECONNREFUSED;
	struct dirent *e;

	while (proc && fd < 0 && (e = readdir(proc))) {
		struct cr_process_stat st;
		int pid = atoi(e->d_name);

		if (pid <= 0 || !cr_process_stat(pid, &st) || st.parent != parent)
			continue;
		fd = connect_to(pid, NULL);
		if (fd >= 0)
			*ret_pid = pid;
	}
	if (proc)
		closedir(proc);
	return fd < 0 ? -ECONNREFUSED : fd;
}

/* Anybody may bind an abstract name: the process that listens must be the one that is meant. */
static bool peer_is(int fd, int pid)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 && c.pid == pid;
}

int checkpoint_agent_open(struct checkpoint_agent *a, int pid, int timeout_ms, struct cr_err *err)
{
	struct cr_err why = { "" };
	int n;

	a->pid = pid;
	a->fd = connect_to(pid, &why);
	if (a->fd == -ECONNREFUSED && is_starting(pid)) {
		a->fd = connect_below(pid, &a->pid);
		if (a->fd < 0)
			return cr_err_set(err, EAGAIN, "process %d is just starting: try again", pid);
	}
	if (a->fd == -ECONNREFUSED)
		return cr_err_set(err, CR_ENOSUPPORT, "process %d was not started by cr_run (or mpirun -am ft-enable-cr)", pid);
	if (a->fd < 0)
		return cr_err_set(err, a->fd, "process %d: %s", pid, why.text);
	if (!peer_is(a->fd, a->pid)) {
		close(a->fd);
		return cr_err_set(err, EPERM, "another process answers in the name of process %d", a->pid);
	}
	n = checkpoint_agent_expect(a, CR_MSG_HELLO, timeout_ms, &why);
	if (n < (int)sizeof(a->hello)) {
		close(a->fd);
		return cr_err_set(err, n < 0 ? n : EPROTO, "process %d was not saved: %s", a->pid, n < 0 ? why.text : "its agent is of another version");
	}
	memcpy(&a->hello, a->payload, sizeof(a->hello));
	return 0;
}

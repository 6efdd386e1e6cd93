/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds processes: a tree, a group, a session; and asks what one of them is. */
#include "libcr/lower/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/lower/agent_private.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/mem_private.h"
#include "libcr/lower/message.h"
#include "libcr/lower/set.h"

#define HELLO_S 5

/* "pid (name) state ppid pgrp session tty tpgid flags ...": the exit signal is field 38. */
bool cr_proc_get(int pid, struct cr_proc *ret)
{
	char path[64], line[1024], *open_, *close_;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = cr_file_open_high(path, O_RDONLY, 0, cr_lower.fd_floor);
	if (fd >= 0) {
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
	}
	if (n <= 0)
		return false;
	line[n] = '\0';
	open_ = strchr(line, '(');
	close_ = strrchr(line, ')');
	memset(ret, 0, sizeof(*ret));
	if (!open_ || !close_ ||
	    sscanf(close_ + 1, " %c %d %d %d %*d %d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %*u %*d %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %d",
		   &ret->state, &ret->ppid, &ret->pgid, &ret->sid, &ret->foreground, &ret->exit_signal) != 6)
		return false;
	*close_ = '\0';
	snprintf(ret->name, sizeof(ret->name), "%.15s", open_ + 1);
	ret->pid = pid;
	return true;
}

bool cr_proc_is_starting(int pid)
{
	char path[64], exe[CR_PATH_BYTES], *name;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return n < 0 && errno == ENOENT;
	exe[n] = '\0';
	name = strrchr(exe, '/');
	return name && (strncmp(name, "/cr_run", 7) == 0 || strncmp(name, "/cr_restart", 11) == 0);
}

static int procs_all(struct cr_proc **ret, unsigned int *ret_n)
{
	DIR *dir = cr_file_opendir_high("/proc", cr_lower.fd_floor);
	unsigned int n = 0, room = 0;
	struct cr_proc *all = NULL;
	struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		struct cr_proc *more;
		int pid = atoi(e->d_name);

		if (pid <= 0)
			continue;
		if (n == room) {
			room = room ? 2 * room : 256;
			more = reallocarray(all, room, sizeof(*all));
			if (!more) {
				free(all);
				closedir(dir);
				return -ENOMEM;
			}
			all = more;
		}
		if (cr_proc_get(pid, &all[n]))
			n++;
	}
	closedir(dir);
	*ret = all;
	*ret_n = n;
	return 0;
}

static const struct cr_proc *proc_of(const struct cr_proc *all, unsigned int n, int pid)
{
	for (unsigned int i = 0; i < n; i++)
		if (all[i].pid == pid)
			return &all[i];
	return NULL;
}

/* Is it an agent of this process's rank? mpirun may have one too. One that is silent is taken for one: who connects to it says why. */
static bool is_of_rank(int fd)
{
	struct timeval tv = { .tv_sec = HELLO_S };
	static char buf[CR_MSG_MAX_BYTES];
	const struct cr_msg_hello *hello = (void *)buf;
	struct cr_msg_head h;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	return cr_message_recv(fd, &h, buf) < 0 || (h.type == CR_MSG_HELLO && h.bytes >= sizeof(*hello) && hello->rank == cr_agent_rank());
}

static bool has_agent(int pid)
{
	char name[64];
	bool is;
	int fd;

	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, pid);
	fd = cr_message_connect(name, NULL);
	if (fd < 0)
		return false;
	is = is_of_rank(fd);
	close(fd);
	return is;
}

static bool is_family(int parent)
{
	return parent > 1 && cr_proc_is_starting(parent) && has_agent(parent);
}

/* The outermost ancestor that has an agent, without a gap between. */
static int family_root(const struct cr_proc *all, unsigned int n)
{
	int root = getpid();
	const struct cr_proc *p = proc_of(all, n, root);

	while (p && is_family(p->ppid)) {
		root = p->ppid;
		p = proc_of(all, n, root);
	}
	return root;
}

bool cr_procs_family(void)
{
	siginfo_t si;

	/* The writer of a context file has no exit signal, so it is not meant. */
	return waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0 || is_family(getppid());
}

static bool descends(const struct cr_proc *all, unsigned int n, const struct cr_proc *p, int root)
{
	for (int depth = 0; p && depth < 4096; depth++) {
		if (p->pid == root)
			return true;
		p = proc_of(all, n, p->ppid);
	}
	return false;
}

/* The writer of an earlier context file is a clone of the agent without an exit signal. */
static bool is_writer(const struct cr_proc *p)
{
	return p->exit_signal == 0 && strcmp(p->name, CR_AGENT_NAME) == 0;
}

/* Parents before children, and otherwise by age, which ids tell mostly. */
static void put_in_order(struct cr_proc *p, unsigned int n)
{
	for (unsigned int at = 0; at < n; at++) {
		for (unsigned int i = at; i < n; i++) {
			struct cr_proc first = p[i];

			if (proc_of(p + at, n - at, first.ppid) && first.ppid != first.pid)
				continue;
			memmove(p + at + 1, p + at, (i - at) * sizeof(*p));
			p[at] = first;
			break;
		}
	}
}

int cr_procs_find(const struct cr_msg_begin *m, int skip, struct cr_proc **ret, unsigned int *ret_n, struct cr_err *err)
{
	const struct cr_proc *self;
	struct cr_proc *all;
	unsigned int n, kept = 0;
	int root = getpid(), rc = procs_all(&all, &n);
	bool *in;

	if (rc)
		return cr_err_set(err, rc, "/proc: cannot be listed: %s; who belongs to the set is unknown", strerror(-rc));
	self = proc_of(all, n, root);
	if (!self) {
		free(all);
		return cr_err_set(err, ESRCH, "/proc does not show this process; is it mounted?");
	}
	if (m->flags & CR_BEGIN_FAMILY)
		root = family_root(all, n);
	in = calloc(n, sizeof(*in));
	if (!in) {
		free(all);
		return cr_err_set(err, ENOMEM, "out of memory");
	}
	for (unsigned int i = 0; i < n; i++) {
		if (all[i].pid == skip || is_writer(&all[i]))
			continue;
		if (m->flags & CR_BEGIN_GROUP)
			in[i] = all[i].pgid == self->pgid;
		else if (m->flags & CR_BEGIN_SESSION)
			in[i] = all[i].sid == self->sid;
		else
			in[i] = descends(all, n, &all[i], root);
	}
	for (unsigned int i = 0; i < n; i++)
		if (in[i])
			all[kept++] = all[i];
	free(in);
	put_in_order(all, kept);
	rc = cr_traced_mark(m->flags, all, kept, err);
	if (rc) {
		free(all);
		return rc;
	}
	*ret = all;
	*ret_n = kept;
	return 0;
}

int cr_procs_ended(struct cr_proc **ret, unsigned int *ret_n)
{
	unsigned int n, kept = 0;
	struct cr_proc *all;
	int rc = procs_all(&all, &n);

	for (unsigned int i = 0; !rc && i < n; i++)
		if (all[i].ppid == getpid() && all[i].exit_signal && (all[i].state == 'Z' || cr_set_left_out(all[i].pid)))
			all[kept++] = all[i];
	if (rc)
		return rc;
	*ret = all;
	*ret_n = kept;
	return 0;
}

bool cr_proc_maps(int pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino, uint64_t offset, uint64_t bytes)
{
	unsigned int their_major, their_minor;
	unsigned long start, end, at, number;
	char path[64], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = cr_mem_proc_open(path);
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%lx-%lx %*s %lx %x:%x %lu", &start, &end, &at, &their_major, &their_minor, &number) == 6 && number == ino &&
			their_major == dev_major && their_minor == dev_minor && (!bytes || (at <= offset && at + (end - start) >= offset + bytes));
	fclose(f);
	return found;
}

bool cr_proc_holds(int pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	const struct dirent *entry;
	char path[64 + NAME_MAX];
	bool found = false;
	struct stat st;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = cr_file_opendir_high(path, cr_lower.fd_floor);
	while (dir && !found && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, entry->d_name);
		found = entry->d_name[0] != '.' && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == ino &&
			((major(st.st_dev) == dev_major && minor(st.st_dev) == dev_minor) || dev_major == 0 || major(st.st_dev) == 0);
	}
	if (dir)
		closedir(dir);
	return found;
}

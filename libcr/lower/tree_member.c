/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A process's part in a checkpoint of several: what it tells the leader about itself, and what it must know about the others.
 */
#include "libcr/lower/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/image/cr_vma.h"
#include "libcr/lower/agent_private.h"
#include "libcr/lower/cr_mem.h"
#include "libcr/lower/files_set.h"
#include "libcr/lower/message.h"
#include "libcr/lower/set.h"

static int32_t *set_pids;
static struct cr_set_fd *set_fds;

void cr_member_clear(void)
{
	free(set_pids);
	free(set_fds);
	set_pids = NULL;
	set_fds = NULL;
	cr_set = (struct cr_set){ .active = false };
}

static void keep_first(void *arg, const char *reason)
{
	struct cr_err *first = arg;

	if (!first->text[0])
		cr_err_set(first, 0, "%s", reason);
}

static bool file_mapped(uint32_t member, const struct stat *st)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n; i++)
		if (i != member && cr_proc_maps(cr_set.pids[i], major(st->st_dev), minor(st->st_dev), st->st_ino, 0, 0))
			return true;
	return false;
}

int cr_member_know(const struct cr_msg_give *give, const int32_t *pids)
{
	cr_member_clear();
	set_pids = calloc(give->n + give->n_left + 1, sizeof(*set_pids));
	if (!set_pids)
		return -ENOMEM;
	memcpy(set_pids, pids, (give->n + give->n_left) * sizeof(*set_pids));
	cr_set = (struct cr_set){ .active = true, .gathering = true, .pids = set_pids, .n = give->n, .n_left = give->n_left, .skip = give->skip, .program_id = cr_id_to_program,
				   .file_mapped = file_mapped };
	return 0;
}

/* Everything that stands against it but descriptors, which are looked at when they are saved. */
int cr_member_set(const struct cr_msg_give *give, const int32_t *pids, struct cr_err *err)
{
	struct cr_err first = { "" };

	if (cr_member_know(give, pids))
		return cr_err_set(err, ENOMEM, "out of memory");
	return cr_dump_check(0, keep_first, &first) ? cr_err_set(err, ENOTSUP, "%s", first.text) : 0;
}

int cr_member_share(const struct cr_msg_share *share, uint32_t n)
{
	set_fds = calloc(n + 1, sizeof(*set_fds));
	if (!set_fds)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		set_fds[i] = (struct cr_set_fd){ share[i].fd, share[i].number };
	cr_set.fds = set_fds;
	cr_set.n_fds = n;
	cr_set.gathering = false;
	return 0;
}

/* The status as wait(2) would give it, without taking the child away. */
static int ended_status(int pid)
{
	siginfo_t si = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) || si.si_pid != pid)
		return 0;
	return si.si_code == CLD_EXITED ? (si.si_status & 0xff) << 8 : (si.si_status & 0x7f) | (si.si_code == CLD_DUMPED ? 0x80 : 0);
}

static int describe_ended(struct cr_msg_given *given, struct cr_msg_ended **ret, struct cr_err *err)
{
	struct cr_msg_ended *ended;
	struct cr_proc *p;
	unsigned int n;
	int rc = cr_procs_ended(&p, &n);

	if (rc)
		return cr_err_set(err, rc, "/proc: cannot be listed: %s", strerror(-rc));
	ended = calloc(n + 1, sizeof(*ended));
	for (unsigned int i = 0; ended && i < n; i++) {
		ended[i].pid = cr_id_to_program(p[i].pid);
		ended[i].pgid = cr_id_to_program(p[i].pgid);
		ended[i].sid = cr_id_to_program(p[i].sid);
		/* In the life that goes on from here who asked for this checkpoint has done its work, and who was left out is dead. */
		ended[i].status = p[i].pid == cr_set.skip ? 0 : cr_set_left_out(p[i].pid) ? SIGKILL : ended_status(p[i].pid);
		memcpy(ended[i].name, p[i].name, sizeof(ended[i].name));
	}
	free(p);
	if (!ended)
		return cr_err_set(err, ENOMEM, "out of memory");
	given->n_ended = n;
	*ret = ended;
	return 0;
}

int cr_member_describe(struct cr_msg_given *ret, struct cr_msg_ended **ret_ended, struct cr_err *err)
{
	struct cr_proc self;

	if (!cr_proc_get(getpid(), &self))
		return cr_err_set(err, ESRCH, "/proc does not show this process; is it mounted?");
	*ret = (struct cr_msg_given){
		.pid = CR_PRIVATE->program_pid,
		.ppid = self.ppid == cr_lower.kernel_ppid ? CR_PRIVATE->program_ppid : cr_id_to_program(self.ppid),
		.pgid = cr_id_to_program(self.pgid),
		.sid = cr_id_to_program(self.sid),
		.kernel_pid = self.pid,
		.coordinated = cr_agent.conn[0] >= 0,
		.foreground = self.foreground > 0 ? cr_id_to_program(self.foreground) : 0,
		.fd_floor = cr_lower.fd_floor,
		.omits = cr_lower.omits,
	};
	memcpy(ret->name, self.name, sizeof(ret->name));
	return describe_ended(ret, ret_ended, err);
}

/* The program's descriptors; *ret is malloc'ed. */
static int list_fds(int **ret, uint32_t *ret_n)
{
	DIR *dir = cr_file_opendir_high("/proc/thread-self/fd", cr_lower.fd_floor);
	uint32_t n = 0, room = 0;
	int *fds = NULL, *more;
	struct dirent *e;

	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || atoi(e->d_name) >= cr_lower.fd_floor)
			continue;
		if (n == room) {
			room = room ? 2 * room : 64;
			more = reallocarray(fds, room, sizeof(*fds));
			if (!more) {
				free(fds);
				closedir(dir);
				return -ENOMEM;
			}
			fds = more;
		}
		fds[n++] = atoi(e->d_name);
	}
	closedir(dir);
	*ret = fds;
	*ret_n = n;
	return 0;
}

int cr_member_fds(int **ret, uint32_t *ret_n)
{
	return list_fds(ret, ret_n);
}

static int send_fds(int fd, const int *fds, uint32_t n)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(CR_GIVE_FDS * sizeof(int))];
	} control;
	char byte = 'F';
	struct iovec iov = { &byte, 1 };

	for (uint32_t at = 0; at < n; at += CR_GIVE_FDS) {
		uint32_t now = n - at < CR_GIVE_FDS ? n - at : CR_GIVE_FDS;
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(now * sizeof(int)) };
		ssize_t r;

		memset(&control, 0, sizeof(control));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(now * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds + at, now * sizeof(int));
		do
			r = sendmsg(fd, &m, MSG_NOSIGNAL);
		while (r < 0 && errno == EINTR);
		if (r != 1)
			return r < 0 ? -errno : -EIO;
	}
	return 0;
}

int cr_member_give(int fd, uint32_t checkpoint, struct cr_err *err)
{
	struct cr_msg_ended *ended = NULL;
	struct cr_msg_given given;
	size_t bytes;
	int *fds = NULL, rc;
	char *rest;

	rc = cr_member_describe(&given, &ended, err);
	if (rc)
		return rc;
	rc = list_fds(&fds, &given.n_fds);
	if (rc) {
		free(ended);
		return cr_err_set(err, rc, "its descriptors cannot be listed: %s", strerror(-rc));
	}
	bytes = given.n_fds * sizeof(*fds) + given.n_ended * sizeof(*ended);
	rest = malloc(bytes + 1);
	if (rest) {
		memcpy(rest, fds, given.n_fds * sizeof(*fds));
		memcpy(rest + given.n_fds * sizeof(*fds), ended, given.n_ended * sizeof(*ended));
		rc = cr_message_send2(fd, CR_MSG_GIVEN, checkpoint, &given, sizeof(given), rest, bytes);
		if (!rc)
			rc = send_fds(fd, fds, given.n_fds);
	}
	if (!rest || rc)
		rc = cr_err_set(err, rest ? rc : ENOMEM, "its descriptors cannot be passed to the leader: %s", strerror(rest ? -rc : ENOMEM));
	free(rest);
	free(fds);
	free(ended);
	return rc;
}

/* --- what memory asks (cr_mem.h) --- */

static bool shared_within(const struct cr_vma *vma)
{
	bool within = false;
	struct cr_proc p;

	if (!cr_set.active)
		return cr_set.gathering;
	for (uint32_t i = 0; !within && i < cr_set.n; i++)
		within = cr_set.pids[i] != getpid() && cr_proc_maps(cr_set.pids[i], vma->dev_major, vma->dev_minor, vma->ino, 0, 0);
	/* Who launched the set may hold it too. */
	for (int pid = getppid(); within && pid > 1 && cr_proc_get(pid, &p); pid = p.ppid)
		if (!cr_set_has(pid) && cr_proc_maps(pid, vma->dev_major, vma->dev_minor, vma->ino, 0, 0))
			return false;
	return within;
}

static bool used_within(const struct cr_vma *vma)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n; i++)
		if (cr_set.pids[i] != getpid() && cr_proc_maps(cr_set.pids[i], vma->dev_major, vma->dev_minor, vma->ino, 0, 0))
			return true;
	return false;
}

static bool held_within(const struct cr_vma *vma)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n; i++)
		if (cr_set.pids[i] != getpid() && cr_proc_holds(cr_set.pids[i], vma->dev_major, vma->dev_minor, vma->ino))
			return true;
	return false;
}

static bool saved_before(const struct cr_vma *vma)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n && cr_set.pids[i] != getpid(); i++)
		if (cr_proc_maps(cr_set.pids[i], vma->dev_major, vma->dev_minor, vma->ino, vma->offset, vma->end - vma->start))
			return true;
	return false;
}

static char *other_name(const char *name, uint32_t dev_major, uint32_t dev_minor, uint64_t ino)
{
	struct stat st = { .st_ino = ino, .st_dev = makedev(dev_major, dev_minor) };

	return cr_file_other_name(name, &st, cr_lower.fd_floor);
}

void cr_member_hooks(void)
{
	cr_mem_set.other_name = other_name;
	cr_mem_set.shared_within = shared_within;
	cr_mem_set.used_within = used_within;
	cr_mem_set.held_within = held_within;
	cr_mem_set.saved_before = saved_before;
}

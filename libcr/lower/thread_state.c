/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the program changed of its threads since the launch: privileges, processors, timer slack, priority of input and output.
 *
 * All of it belongs to single threads. The agent, which the program cannot reach, still has what the process was launched with: what a thread has in
 * common with it is left to whoever restarts; what differs is the program's doing and is made so again.
 */
#include "libcr/lower/lower.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/thread_payload.h"

#define WHO_PROCESS 1 /* IOPRIO_WHO_PROCESS */
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

/* Of /proc/.../status */
struct privileges {
	unsigned int uid[4], gid[4]; /* real, effective, saved, file system */
	uint64_t cap[5];             /* inheritable, permitted, effective, bounding, ambient */
	unsigned int no_new_privs;
	unsigned int seccomp, filters; /* mode; how many filters, 0 before Linux 5.9 */
	uint32_t *groups;
	uint32_t n_groups;
};

static int take_groups(struct privileges *p, const char *text)
{
	char *end;

	for (;;) {
		unsigned long gid = strtoul(text, &end, 10);
		uint32_t *more;

		if (end == text)
			return 0;
		more = reallocarray(p->groups, p->n_groups + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		p->groups = more;
		p->groups[p->n_groups++] = (uint32_t)gid;
		text = end;
	}
}

static int privileges_read(int tid, struct privileges *p)
{
	static const char *const caps[] = { "CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:" };
	char path[64], *line = NULL;
	size_t line_max = 0;
	bool found = false;
	int r = 0, fd;
	FILE *f;

	memset(p, 0, sizeof(*p));
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC); /* above the floor, also when the program has no number left: fopen's own would be below */
	f = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (!f) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && getline(&line, &line_max, f) > 0) {
		found |= sscanf(line, "Uid: %u %u %u %u", &p->uid[0], &p->uid[1], &p->uid[2], &p->uid[3]) == 4;
		sscanf(line, "Gid: %u %u %u %u", &p->gid[0], &p->gid[1], &p->gid[2], &p->gid[3]);
		sscanf(line, "NoNewPrivs: %u", &p->no_new_privs);
		sscanf(line, "Seccomp: %u", &p->seccomp);
		sscanf(line, "Seccomp_filters: %u", &p->filters);
		for (size_t i = 0; i < 5; i++)
			if (strncmp(line, caps[i], 7) == 0)
				p->cap[i] = strtoull(line + 7, NULL, 16);
		if (strncmp(line, "Groups:", 7) == 0)
			r = take_groups(p, line + 7);
	}
	free(line);
	fclose(f);
	return r == 0 && !found ? -ESRCH : r; /* it has ended since the file was opened */
}

static bool same_ids(const struct privileges *a, const struct privileges *b)
{
	return memcmp(a->uid, b->uid, sizeof(a->uid)) == 0 && memcmp(a->gid, b->gid, sizeof(a->gid)) == 0;
}

static bool same_privileges(const struct privileges *a, const struct privileges *b)
{
	return memcmp(a->cap, b->cap, sizeof(a->cap)) == 0 && a->no_new_privs == b->no_new_privs && a->n_groups == b->n_groups &&
	       (a->n_groups == 0 || memcmp(a->groups, b->groups, a->n_groups * sizeof(*a->groups)) == 0);
}

/* Not the agent's: SECCOMP_FILTER_FLAG_TSYNC gives the program's to every thread of the process. */
static unsigned int launch_seccomp, launch_filters;

void cr_thread_state_record(void)
{
	struct privileges p;

	if (privileges_read((int)syscall(SYS_gettid), &p) == 0) {
		launch_seccomp = p.seccomp;
		launch_filters = p.filters;
	}
	free(p.groups);
}

/* How many reasons; 0 also when the thread is gone. */
static int check_thread(int tid, const struct privileges *launch, cr_nocr_fn report, void *arg)
{
	struct privileges p;
	char text[CR_ERR_TEXT_BYTES];
	bool there = privileges_read(tid, &p) == 0;
	int n = 0;

	if (there && (p.seccomp != launch_seccomp || p.filters > launch_filters)) {
		snprintf(text, sizeof(text), "thread %d has restricted its system calls (%s), which a checkpoint cannot save; ask for it before that", cr_id_to_program(tid),
			 p.seccomp == 1 ? "seccomp, strict mode" : "a seccomp filter");
		report(arg, text);
		n++;
	}
	if (there && !same_ids(&p, launch)) {
		snprintf(text, sizeof(text), "thread %d runs as user %u and group %u and was launched as user %u and group %u; a checkpoint cannot save a changed identity: start the program as that user",
			 cr_id_to_program(tid), p.uid[1], p.gid[1], launch->uid[1], launch->gid[1]);
		report(arg, text);
		n++;
	}
	free(p.groups);
	if ((sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK) == SCHED_DEADLINE) {
		snprintf(text, sizeof(text), "thread %d is scheduled by deadlines (SCHED_DEADLINE), which a checkpoint cannot save; give it another policy before the checkpoint",
			 cr_id_to_program(tid));
		report(arg, text);
		n++;
	}
	return n;
}

int cr_thread_state_check(cr_nocr_fn report, void *arg)
{
	struct privileges launch;
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int n = 0;

	if (privileges_read((int)syscall(SYS_gettid), &launch) == 0) {
		while (tasks && (entry = readdir(tasks))) {
			int tid = atoi(entry->d_name);

			if (tid > 0 && !cr_tid_is_lower(tid))
				n += check_thread(tid, &launch, report, arg);
		}
	}
	free(launch.groups);
	if (tasks)
		closedir(tasks);
	else if (fd >= 0)
		close(fd);
	return n;
}

/* The kernel finds the owner by the thread id in the mutex, which is another one after a restart. */
static bool waits_for_owner(const struct cr_slot *s)
{
	const greg_t *g = ((const ucontext_t *)s->uc)->uc_mcontext.gregs;
	const uint8_t *code = (const uint8_t *)g[REG_RIP];
	long op = g[REG_RSI] & FUTEX_CMD_MASK;

	return g[REG_RAX] == SYS_futex && (op == FUTEX_LOCK_PI || op == FUTEX_LOCK_PI2 || op == FUTEX_WAIT_REQUEUE_PI) && code[0] == 0x0f && code[1] == 0x05;
}

int cr_thread_state_put(struct cr_image_writer *w, const struct cr_slot *s, struct cr_err *err)
{
	int agent = (int)syscall(SYS_gettid), r;
	struct cr_thread_state_payload *p;
	struct privileges now, launch = { .n_groups = 0 };
	uint8_t here[sizeof(p->processors)] = { 0 };

	r = privileges_read(s->tid, &now);
	if (r == 0)
		r = privileges_read(agent, &launch);
	p = calloc(1, sizeof(*p) + now.n_groups * sizeof(*now.groups));
	if (r < 0 || !p || now.n_groups > CR_THREAD_MAX_GROUPS) {
		r = cr_err_set(err, r < 0 ? r : ENOMEM, "the privileges of thread %d cannot be read", cr_id_to_program(s->tid));
		goto out;
	}
	if (waits_for_owner(s)) {
		r = cr_err_set(err, ENOTSUP, "thread %d waits for a mutex with priority inheritance, which a checkpoint cannot save; try again when it has it, or use PTHREAD_PRIO_NONE",
			       cr_id_to_program(s->tid));
		goto out;
	}
	/* A running program may have changed it after it was asked. */
	if (!same_ids(&now, &launch)) {
		r = cr_err_set(err, ENOTSUP, "thread %d changed its user or group; a checkpoint cannot save a changed identity", cr_id_to_program(s->tid));
		goto out;
	}
	p->tid = cr_id_to_program(s->tid);
	p->timer_slack_ns = s->timer_slack_ns;
	p->death_signal = s->death_signal;
	p->io_priority = (int32_t)syscall(SYS_ioprio_get, WHO_PROCESS, s->tid);
	p->securebits = s->securebits;
	p->no_new_privs = now.no_new_privs;
	p->cap_inheritable = now.cap[0];
	p->cap_permitted = now.cap[1];
	p->cap_effective = now.cap[2];
	p->cap_bounding = now.cap[3];
	p->cap_ambient = now.cap[4];
	if (!same_privileges(&now, &launch) || s->securebits != (uint32_t)prctl(PR_GET_SECUREBITS))
		p->flags |= CR_THREAD_PRIVILEGES;
	if (syscall(SYS_sched_getaffinity, s->tid, sizeof(p->processors), p->processors) > 0 &&
	    syscall(SYS_sched_getaffinity, agent, sizeof(here), here) > 0 && memcmp(here, p->processors, sizeof(here)) != 0)
		p->flags |= CR_THREAD_AFFINITY;
	p->n_groups = now.n_groups;
	if (now.n_groups)
		memcpy(p + 1, now.groups, now.n_groups * sizeof(*now.groups));
	r = cr_image_put(w, CR_REC_THREAD_STATE, p, sizeof(*p) + now.n_groups * sizeof(*now.groups), err);
out:
	free(p);
	free(now.groups);
	free(launch.groups);
	return r;
}

int cr_thread_state_find(const struct cr_image *img, int32_t tid, struct cr_thread_state_payload *ret, const uint32_t **ret_groups)
{
	struct cr_image_record rec = { .cursor = 0 };

	while (cr_image_next(img, &rec) == 1) {
		if (rec.type != CR_REC_THREAD_STATE || rec.bytes < sizeof(*ret))
			continue;
		memcpy(ret, rec.data, sizeof(*ret));
		*ret_groups = (const void *)((const char *)rec.data + sizeof(*ret));
		if (ret->tid == tid && ret->n_groups <= CR_THREAD_MAX_GROUPS && rec.bytes == sizeof(*ret) + ret->n_groups * sizeof(**ret_groups))
			return 1;
	}
	return 0;
}

int cr_thread_state_restore_check(const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_thread_state_payload p;
	struct privileges here;
	int r = privileges_read((int)syscall(SYS_gettid), &here);

	while (r == 0 && cr_image_next(img, &rec) == 1) {
		uint64_t missing;

		if (rec.type != CR_REC_THREAD_STATE)
			continue;
		if (rec.bytes < sizeof(p)) {
			r = cr_err_set(err, EBADMSG, "THREAD_STATE record: %llu bytes are too few", (unsigned long long)rec.bytes);
			break;
		}
		memcpy(&p, rec.data, sizeof(p));
		missing = p.flags & CR_THREAD_PRIVILEGES ? p.cap_permitted & ~here.cap[1] : 0;
		if (missing)
			r = cr_err_set(err, EPERM, "thread %d had capabilities (%#llx) that are not there now; restart it with the privileges that it was launched with",
				       p.tid, (unsigned long long)missing);
	}
	free(here.groups);
	return r;
}

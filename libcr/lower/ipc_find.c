/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which System V queues and semaphores belong to the process, or to the set that it is saved with, and whether somebody else uses them.
 *
 * Known is: who got one (msgget, semget) or operated on a semaphore, from the table; who used one last, from the kernel. What a process that has ended
 * got belongs to its family: a script that runs ipcmk.
 * A reason against a checkpoint: one of ours that somebody outside of the set uses too, whose data would be put back behind that one's back.
 */
#include "libcr/lower/ipc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sem.h>
#include <time.h>
#include <unistd.h>

#include "libcr/lower/files_set.h"
#include "libcr/lower/process_set.h"
#include "libcr/lower/set.h"

/* Time stamps of the kernel's objects are whole seconds of another clock. */
#define SLACK_NS 2000000000LL

struct cr_ipc_table *cr_ipc_table;

/* --- objects --- */

static bool queue_parse(const char *line, struct cr_ipc_object *o)
{
	long sent, received;

	/* key msqid perms cbytes qnum lspid lrpid uid gid cuid cgid stime rtime ctime */
	if (sscanf(line, "%d %d %o %lu %lu %d %d %u %u %u %u %ld %ld", &o->key, &o->id, &o->mode, &o->bytes, &o->n, &o->sender, &o->receiver, &o->uid, &o->gid, &o->cuid,
		   &o->cgid, &sent, &received) != 13)
		return false;
	o->used_s = sent > received ? sent : received;
	return true;
}

static bool semaphores_parse(const char *line, struct cr_ipc_object *o)
{
	long used, changed;

	/* key semid perms nsems uid gid cuid cgid otime ctime; SETVAL counts as a change */
	if (sscanf(line, "%d %d %o %lu %u %u %u %u %ld %ld", &o->key, &o->id, &o->mode, &o->n, &o->uid, &o->gid, &o->cuid, &o->cgid, &used, &changed) != 10)
		return false;
	o->used_s = used > changed ? used : changed;
	return true;
}

int cr_ipc_each(enum cr_ipc_kind kind, int (*fn)(void *arg, const struct cr_ipc_object *o), void *arg)
{
	FILE *f = cr_file_fopen_high(kind == CR_IPC_QUEUE ? "/proc/sysvipc/msg" : "/proc/sysvipc/sem", cr_process_floor());
	char line[512];
	int rc = 0;

	if (!f) /* a kernel without them */
		return errno == ENOENT ? 0 : -errno;
	while (!rc && fgets(line, sizeof(line), f)) {
		struct cr_ipc_object o = { .kind = kind };

		if (kind == CR_IPC_QUEUE ? queue_parse(line, &o) : semaphores_parse(line, &o)) {
			o.mode &= 0777;
			rc = fn(arg, &o);
		}
	}
	fclose(f);
	return rc;
}

struct wanted {
	int id;
	struct cr_ipc_object *ret;
};

static int take_wanted(void *arg, const struct cr_ipc_object *o)
{
	const struct wanted *w = arg;

	if (o->id != w->id)
		return 0;
	*w->ret = *o;
	return 1;
}

bool cr_ipc_get(enum cr_ipc_kind kind, int id, struct cr_ipc_object *ret)
{
	struct wanted w = { id, ret };

	return cr_ipc_each(kind, take_wanted, &w) > 0;
}

void cr_ipc_words(const struct cr_ipc_object *o, char *ret, size_t bytes)
{
	snprintf(ret, bytes, "System V %s %d (key %#x)", o->kind == CR_IPC_QUEUE ? "message queue" : "semaphore set", o->id, (unsigned int)o->key);
}

/* --- processes --- */

struct process {
	char name[16];
	char state;
	int parent;
	uint64_t start; /* clock ticks since the machine was started */
};

static bool process_get(int pid, struct process *ret)
{
	char path[64], line[1024], *open_, *close_;
	unsigned long long start;
	bool ok = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = cr_file_fopen_high(path, cr_process_floor());
	if (!f)
		return false;
	if (fgets(line, sizeof(line), f)) {
		open_ = strchr(line, '(');
		close_ = strrchr(line, ')');
		ok = open_ && close_ &&
		     sscanf(close_ + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ret->state, &ret->parent, &start) == 3;
		if (ok) {
			*close_ = '\0';
			snprintf(ret->name, sizeof(ret->name), "%.15s", open_ + 1);
			ret->start = start;
		}
	}
	fclose(f);
	return ok && ret->state != 'Z' && ret->state != 'X';
}

uint64_t cr_ipc_start_of(int pid)
{
	struct process p;

	return process_get(pid, &p) ? p.start : 0;
}

bool cr_ipc_runs(int pid, uint64_t start)
{
	struct process p;

	return process_get(pid, &p) && (!start || p.start == start);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

uint64_t cr_ipc_start_ns(uint64_t start)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);

	return start / hz * 1000000000 + start % hz * 1000000000 / hz;
}

/* Does the process run that had this number at @boot_ns? */
static bool runs_since(int pid, int64_t boot_ns, struct process *ret)
{
	return process_get(pid, ret) && (int64_t)cr_ipc_start_ns(ret->start) <= boot_ns;
}

static bool in_set(int pid)
{
	return pid == getpid() || cr_set_has(pid);
}

static bool is_ancestor(int pid)
{
	struct process p;
	int at = getppid();

	for (int depth = 0; at > 1 && depth < 4096; depth++, at = p.parent)
		if (at == pid)
			return true;
		else if (!process_get(at, &p))
			return false;
	return false;
}

/* --- whose is it? --- */

static void outside(struct cr_ipc_verdict *v, int pid, const struct process *p)
{
	v->outside = pid;
	memcpy(v->name, p->name, sizeof(v->name));
}

/* A message that a thread waited for names that thread. */
static int process_of(int tid)
{
	char path[64], line[256];
	int pid = tid;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	f = tid > 0 ? cr_file_fopen_high(path, cr_process_floor()) : NULL;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %d", &pid) == 1)
			break;
	if (f)
		fclose(f);
	return pid;
}

static void judge_last(const struct cr_ipc_object *o, int tid, struct cr_ipc_verdict *v)
{
	int pid = process_of(tid);

	int64_t then_ns = o->used_s * 1000000000 - (clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME)) + SLACK_NS;
	struct process p;

	if (pid > 0 && in_set(pid))
		v->ours = true;
	else if (pid > 0 && o->used_s && runs_since(pid, then_ns, &p))
		outside(v, pid, &p);
}

static void judge_semaphores(const struct cr_ipc_object *o, struct cr_ipc_verdict *v)
{
	int before = 0;

	for (unsigned long i = 0; i < o->n; i++) {
		int pid = semctl(o->id, (int)i, GETPID);

		if (pid > 0 && pid != before)
			judge_last(o, pid, v);
		before = pid;
	}
}

static void judge_table(const struct cr_ipc_object *o, struct cr_ipc_verdict *v)
{
	for (int i = 0; cr_ipc_table && i < CR_IPC_USES; i++) {
		const struct cr_ipc_use *u = &cr_ipc_table->uses[i];
		struct process p;

		if (u->kind != o->kind || u->id != o->id)
			continue;
		if (in_set(u->pid) || !runs_since(u->pid, (int64_t)u->time_ns, &p)) {
			v->ours = true;
			continue;
		}
		outside(v, u->pid, &p);
		v->ours |= is_ancestor(u->pid); /* and this process may have the number from there */
	}
}

void cr_ipc_judge(const struct cr_ipc_object *o, struct cr_ipc_verdict *ret)
{
	*ret = (struct cr_ipc_verdict){ .ours = false };
	judge_table(o, ret);
	if (o->kind == CR_IPC_SEMAPHORES) {
		judge_semaphores(o, ret);
		return;
	}
	judge_last(o, o->sender, ret);
	judge_last(o, o->receiver, ret);
	if (!ret->outside && o->used_s && !o->sender && !o->receiver)
		ret->outside = -1;
}

static int refuse_object(void *arg, const struct cr_ipc_object *o)
{
	struct cr_ipc_verdict v;
	char words[80];

	cr_ipc_judge(o, &v);
	if (!v.ours || !v.outside)
		return 0;
	cr_ipc_words(o, words, sizeof(words));
	if (v.outside > 0)
		cr_process_refuse(arg, "%s is used by process %d (%s) too, which is not saved with it; save both together (--tree, --pgid, --session), end that process, or remove it (IPC_RMID) before the checkpoint",
				  words, v.outside, v.name);
	else
		cr_process_refuse(arg, "%s is used by a process of another PID namespace too, which is not saved with it; remove it (IPC_RMID) before the checkpoint", words);
	return 0;
}

void cr_process_check_ipc(struct cr_process_refusals *refusals)
{
	/* Who is saved together is not known yet. */
	if (cr_set.gathering && !cr_set.active)
		return;
	if (cr_ipc_table && cr_ipc_table->lost)
		cr_process_refuse(refusals, "more System V queues or semaphores were used than can be kept in mind (%d uses, %d of SEM_UNDO); use fewer at a time",
				  CR_IPC_USES, CR_IPC_UNDOS);
	cr_ipc_each(CR_IPC_QUEUE, refuse_object, refusals);
	cr_ipc_each(CR_IPC_SEMAPHORES, refuse_object, refusals);
}

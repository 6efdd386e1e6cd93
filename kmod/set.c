// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which tasks a request names. A scan goes through the processes of the machine and adds what is not on the lists yet; it is repeated when all that was found
 * is inside. A task that is inside cannot make another one, so when a scan adds nothing the set is complete.
 *
 * Two steps, because under RCU nothing may sleep: references are collected first, then each is looked at.
 */
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched/jobctl.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "compat.h"
#include "crk.h"

static unsigned int max_tasks = 65536;
module_param(max_tasks, uint, 0644);
MODULE_PARM_DESC(max_tasks, "largest number of tasks of one request");

LIST_HEAD(crk_members);

/* A growing list of references to tasks. */
struct crk_found {
	struct task_struct **task;
	unsigned int n;
	unsigned int room;
};

struct crk_refusal {
	enum cr_ioc_why why;
	struct pid *who;
};

static int crk_refuse(struct crk_refusal *r, int err, enum cr_ioc_why why, struct pid *who)
{
	r->why = why;
	r->who = get_pid(who);
	return err;
}

/* A task may be reaped while we look at it: its pid is only safe with a reference that was taken under RCU. */
static int crk_refuse_task(struct crk_refusal *r, int err, enum cr_ioc_why why, struct task_struct *task)
{
	r->why = why;
	r->who = get_task_pid(task, PIDTYPE_PID);
	return err;
}

static void crk_found_clear(struct crk_found *found)
{
	while (found->n)
		put_task_struct(found->task[--found->n]);
}

/* Makes room for twice as many and forgets what was found: the caller begins again. */
static int crk_found_grow(struct crk_found *found, struct crk_refusal *r)
{
	unsigned int room = found->room ? 2 * found->room : 64;
	struct task_struct **task;

	crk_found_clear(found);
	if (found->room && found->room >= READ_ONCE(max_tasks))
		return crk_refuse(r, -E2BIG, CR_IOC_WHY_LIMIT, NULL);
	task = kvmalloc_array(room, sizeof(struct task_struct *), GFP_KERNEL_ACCOUNT);
	if (!task)
		return -ENOMEM;
	kvfree(found->task);
	found->task = task;
	found->room = room;
	return 0;
}

static bool crk_found_add(struct crk_found *found, struct task_struct *task)
{
	if (found->n == found->room)
		return false;
	found->task[found->n++] = get_task_struct(task);
	return true;
}

struct crk_process *crk_set_find(struct crk_request *req, struct pid *pid)
{
	struct crk_process *p;

	list_for_each_entry(p, &req->processes, entry) {
		if (p->pid == pid)
			return p;
	}
	return NULL;
}

/* Under RCU: a thread of the group that has not begun to exit, the leader if possible. NULL: the process is ending. */
static struct task_struct *crk_set_alive(struct task_struct *leader)
{
	struct task_struct *t;

	for_each_thread(leader, t) {
		if (!(READ_ONCE(t->flags) & PF_EXITING))
			return t;
	}
	return NULL;
}

/* Under RCU. @p is a thread group leader. */
static bool crk_set_wants(struct crk_request *req, struct task_struct *p)
{
	struct task_struct *q;
	unsigned int i;

	if ((p->flags & PF_KTHREAD) || task_tgid(p) == req->owner)
		return false;
	switch (req->scope) {
	case CR_IOC_PROC:
		return task_tgid(p) == req->target;
	case CR_IOC_PGRP:
		return task_pgrp(p) == req->target;
	case CR_IOC_SESSION:
		return task_session(p) == req->target;
	case CR_IOC_TREE:
		for (q = p; q != &init_task; q = rcu_dereference(q->real_parent)) {
			if (task_tgid(q) == req->target || (q != p && crk_set_find(req, task_tgid(q))))
				return true;
		}
		return false;
	default:
		for (i = 0; i < req->count; i++) {
			if (task_tgid(p) == req->pids[i])
				return true;
		}
		return false;
	}
}

static int crk_set_collect(struct crk_request *req, struct crk_found *found, struct crk_refusal *r)
{
	struct task_struct *p, *t;
	int err;

again:
	if (!found->room || found->n == found->room) {
		err = crk_found_grow(found, r);
		if (err)
			return err;
	}
	rcu_read_lock();
	for_each_process(p) {
		t = crk_set_wants(req, p) ? crk_set_alive(p) : NULL;
		if (t && !crk_found_add(found, t)) {
			rcu_read_unlock();
			goto again;
		}
	}
	rcu_read_unlock();
	return 0;
}

/* New entry for @task's process @pid, which the requester may read and no other request has; NULL in *ret_p when it is ending. */
static int crk_set_enter(struct crk_request *req, struct task_struct *task, struct pid *pid, struct crk_process **ret_p, struct crk_refusal *r)
{
	struct crk_process *p, *other;
	int err;

	*ret_p = NULL;
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	err = crk_access_get(task, &p->mm);
	if (err) {
		kfree(p);
		if (err == -ESRCH)
			return 0;
		if (err == -EPERM || err == -EACCES)
			return crk_refuse(r, err, CR_IOC_WHY_ACCESS, pid);
		return err;
	}
	p->request = req;
	p->pid = get_pid(pid);
	INIT_LIST_HEAD(&p->tasks);
	spin_lock_bh(&crk_lock);
	list_for_each_entry(other, &crk_members, member) {
		if (other->pid == pid) {
			spin_unlock_bh(&crk_lock);
			err = crk_refuse(r, -EBUSY, CR_IOC_WHY_BUSY, pid);
			goto drop;
		}
	}
	if (req->state == CR_IOC_DONE) {
		spin_unlock_bh(&crk_lock);
		err = -ECANCELED;
		goto drop;
	}
	list_add_tail(&p->entry, &req->processes);
	list_add_tail(&p->member, &crk_members);
	spin_unlock_bh(&crk_lock);
	*ret_p = p;
	return 0;

drop:
	put_pid(p->pid);
	mmdrop(p->mm);
	kfree(p);
	return err;
}

static bool crk_set_knows(struct crk_process *p, struct task_struct *task)
{
	struct crk_task *t;

	list_for_each_entry(t, &p->tasks, entry) {
		if (t->task == task)
			return true;
	}
	return false;
}

static int crk_set_add_task(struct crk_process *p, struct task_struct *task, struct crk_refusal *r)
{
	struct crk_request *req = p->request;
	struct crk_task *t;

	if (task->flags & CRK_PF_WORKER)
		return crk_refuse_task(r, -EOPNOTSUPP, CR_IOC_WHY_WORKER, task);
	if (READ_ONCE(task->ptrace))
		return crk_refuse_task(r, -EBUSY, CR_IOC_WHY_TRACED, task);
	if (READ_ONCE(task->jobctl) & JOBCTL_STOPPED)
		return crk_refuse_task(r, -EBUSY, CR_IOC_WHY_JOBCTL, task);
	if (req->tasks >= READ_ONCE(max_tasks))
		return crk_refuse(r, -E2BIG, CR_IOC_WHY_LIMIT, NULL);
	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return -ENOMEM;
	t->process = p;
	t->task = get_task_struct(task);
	spin_lock_bh(&crk_lock);
	list_add_tail(&t->entry, &p->tasks);
	req->tasks++;
	spin_unlock_bh(&crk_lock);
	return 0;
}

/* Adds the threads of @task's group that are not on the list. */
static int crk_set_threads(struct crk_process *p, struct task_struct *task, struct crk_found *found, struct crk_refusal *r)
{
	struct task_struct *t;
	unsigned int i;
	int added = 0, err;

again:
	if (!found->room || found->n == found->room) {
		err = crk_found_grow(found, r);
		if (err)
			return err;
	}
	rcu_read_lock();
	for_each_thread(task, t) {
		if (!(READ_ONCE(t->flags) & PF_EXITING) && !crk_set_knows(p, t) && !crk_found_add(found, t)) {
			rcu_read_unlock();
			goto again;
		}
	}
	rcu_read_unlock();
	for (i = 0, err = 0; i < found->n && !err; i++) {
		err = crk_set_add_task(p, found->task[i], r);
		added += !err;
	}
	crk_found_clear(found);
	return err ? err : added;
}

static int crk_set_one(struct crk_request *req, struct task_struct *task, struct crk_found *threads, struct crk_refusal *r)
{
	struct pid *pid = get_task_pid(task, PIDTYPE_TGID);
	struct crk_process *p;
	struct pid *marked;
	int err = 0;

	if (!pid)
		return 0; /* reaped by now */
	p = crk_set_find(req, pid);
	if (!p)
		err = crk_set_enter(req, task, pid, &p, r);
	put_pid(pid);
	if (err == -EAGAIN)
		return 1; /* between two programs: one more scan */
	if (err || !p || READ_ONCE(p->omitted) || READ_ONCE(p->gone))
		return err;
	marked = crk_nocr_find(p->pid);
	if (marked) {
		err = crk_refuse(r, -EOPNOTSUPP, CR_IOC_WHY_NOCR, marked);
		put_pid(marked);
		return err;
	}
	return crk_set_threads(p, task, threads, r);
}

int crk_set_scan(struct crk_request *req, enum cr_ioc_why *ret_why, struct pid **ret_who)
{
	struct crk_found found = {}, threads = {};
	struct crk_refusal r = { .why = CR_IOC_WHY_NONE };
	int added = 0, err;
	unsigned int i;

	err = crk_set_collect(req, &found, &r);
	for (i = 0; i < found.n && err >= 0; i++) {
		err = crk_set_one(req, found.task[i], &threads, &r);
		if (err > 0)
			added += err;
		cond_resched();
	}
	crk_found_clear(&threads);
	crk_found_clear(&found);
	kvfree(threads.task);
	kvfree(found.task);
	*ret_why = r.why;
	*ret_who = r.who;
	return err < 0 ? err : added;
}

/* The request has no other reference. */
void crk_set_destroy(struct crk_request *req)
{
	struct crk_process *p, *next;
	struct crk_task *t, *after;

	list_for_each_entry_safe(p, next, &req->processes, entry) {
		list_for_each_entry_safe(t, after, &p->tasks, entry) {
			put_task_struct(t->task);
			kfree(t);
		}
		put_pid(p->pid);
		mmdrop(p->mm);
		kfree(p);
	}
}

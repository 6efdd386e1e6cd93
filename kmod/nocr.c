// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NOCR marks: a task cannot be checkpointed, and why. Set by the task or by another one that may read it; a mark lives until it is cleared or the descriptor
 * through which it was set is closed, so nobody can be locked out. Nothing is kept in the task: a process without marks costs one look at an empty list.
 */
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "crk.h"

#define CRK_MARKS_PER_FILE 64u

struct crk_mark {
	struct list_head all;  /* crk_marks */
	struct list_head file; /* crk_file.marks */
	struct pid *tid;       /* reference */
	struct pid *tgid;      /* reference */
	char reason[CR_IOC_REASON_BYTES];
};

static LIST_HEAD(crk_marks);

static void crk_mark_destroy(struct crk_mark *m)
{
	if (!m)
		return;
	put_pid(m->tid);
	put_pid(m->tgid);
	kfree(m);
}

/* The task, when the caller may read it. */
static int crk_nocr_task(s32 nr, struct task_struct **ret_task)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct pid *pid;
	int err = 0;

	if (nr < 0)
		return -EINVAL;
	if (!nr) {
		*ret_task = get_task_struct(current);
		return 0;
	}
	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return -ESRCH;
	if (!same_thread_group(task, current)) {
		err = task->flags & PF_KTHREAD ? -EPERM : crk_access_get(task, &mm);
		if (!err)
			mmdrop(mm);
	}
	if (err) {
		put_task_struct(task);
		return err;
	}
	*ret_task = task;
	return 0;
}

/* The mark that this file has on the task; NULL. Holds crk_lock. */
static struct crk_mark *crk_nocr_of(struct crk_file *f, struct pid *tid)
{
	struct crk_mark *m;

	list_for_each_entry(m, &f->marks, file) {
		if (m->tid == tid)
			return m;
	}
	return NULL;
}

int crk_nocr_set(struct crk_file *f, struct cr_ioc_nocr __user *arg)
{
	struct crk_mark *m, *old = NULL;
	struct task_struct *task;
	struct cr_ioc_nocr a;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.index || a.pad || !a.reason[0] || strnlen(a.reason, sizeof(a.reason)) == sizeof(a.reason))
		return -EINVAL;
	err = crk_nocr_task(a.pid, &task);
	if (err)
		return err;
	m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	if (!m) {
		put_task_struct(task);
		return -ENOMEM;
	}
	m->tid = get_task_pid(task, PIDTYPE_PID);
	m->tgid = get_task_pid(task, PIDTYPE_TGID);
	put_task_struct(task);
	strscpy(m->reason, a.reason, sizeof(m->reason));
	if (!m->tid) {
		crk_mark_destroy(m);
		return -ESRCH;
	}
	spin_lock_bh(&crk_lock);
	old = crk_nocr_of(f, m->tid);
	if (old) {
		list_del(&old->all);
		list_del(&old->file);
	} else if (f->n_marks == CRK_MARKS_PER_FILE) {
		err = -ENOSPC;
		old = m;
	} else {
		f->n_marks++;
	}
	if (!err) {
		list_add_tail(&m->all, &crk_marks);
		list_add_tail(&m->file, &f->marks);
	}
	spin_unlock_bh(&crk_lock);
	crk_mark_destroy(old);
	return err;
}

int crk_nocr_clear(struct crk_file *f, struct cr_ioc_nocr __user *arg)
{
	struct crk_mark *m = NULL;
	struct cr_ioc_nocr a;
	struct pid *tid;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.index || a.pad || a.pid < 0)
		return -EINVAL;
	tid = a.pid ? find_get_pid(a.pid) : get_pid(task_pid(current));
	spin_lock_bh(&crk_lock);
	if (tid)
		m = crk_nocr_of(f, tid);
	if (m) {
		list_del(&m->all);
		list_del(&m->file);
		f->n_marks--;
	}
	spin_unlock_bh(&crk_lock);
	put_pid(tid);
	if (!m)
		return -ENOENT;
	crk_mark_destroy(m);
	return 0;
}

int crk_nocr_get(struct cr_ioc_nocr __user *arg)
{
	struct task_struct *task;
	struct cr_ioc_nocr a;
	struct crk_mark *m;
	struct pid *tgid;
	u32 i = 0;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.pad)
		return -EINVAL;
	err = crk_nocr_task(a.pid, &task);
	if (err)
		return err;
	tgid = get_task_pid(task, PIDTYPE_TGID);
	put_task_struct(task);
	err = -ENOENT;
	spin_lock_bh(&crk_lock);
	list_for_each_entry(m, &crk_marks, all) {
		if (m->tgid == tgid && i++ == a.index) {
			a.ret_tid = pid_vnr(m->tid);
			memcpy(a.reason, m->reason, sizeof(a.reason));
			err = 0;
			break;
		}
	}
	spin_unlock_bh(&crk_lock);
	put_pid(tgid);
	if (!err && copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
	return err;
}

struct pid *crk_nocr_find(struct pid *tgid)
{
	struct pid *tid = NULL;
	struct crk_mark *m;

	spin_lock_bh(&crk_lock);
	rcu_read_lock();
	list_for_each_entry(m, &crk_marks, all) {
		/* A task that has ended has no number any more; its mark means nothing. */
		if (m->tgid == tgid && pid_task(m->tid, PIDTYPE_PID)) {
			tid = get_pid(m->tid);
			break;
		}
	}
	rcu_read_unlock();
	spin_unlock_bh(&crk_lock);
	return tid;
}

void crk_nocr_release(struct crk_file *f)
{
	struct crk_mark *m, *next;

	spin_lock_bh(&crk_lock);
	list_for_each_entry(m, &f->marks, file)
		list_del(&m->all);
	spin_unlock_bh(&crk_lock);
	list_for_each_entry_safe(m, next, &f->marks, file)
		crk_mark_destroy(m);
}

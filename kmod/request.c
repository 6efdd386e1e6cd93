// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A request from REQUEST to its end. Its states, and who moves it:
 *
 *	PHASE1_RUNNING <-> STOPPING -> STOPPED -> DONE		and from each of them at once to DONE
 *
 * The requester moves it forward inside WAIT, with its own credentials. Anybody may end it: the requester, a process by its outcome, the timer.
 * crk_request_end() is the only way to DONE and wakes all who wait.
 */
#include <linux/cred.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "crk.h"

static atomic64_t crk_last_id;

void crk_request_get(struct crk_request *req)
{
	kref_get(&req->ref);
}

static void crk_request_destroy(struct kref *ref)
{
	struct crk_request *req = container_of(ref, struct crk_request, ref);
	u32 i;

	timer_shutdown_sync(&req->timer);
	crk_set_destroy(req);
	for (i = 0; i < req->count; i++)
		put_pid(req->pids[i]);
	kvfree(req->pids);
	put_pid(req->target);
	put_pid(req->owner);
	put_pid(req->who);
	kfree(req);
}

/* Context: a process, without crk_lock when the reference may be the last. */
void crk_request_put(struct crk_request *req)
{
	kref_put(&req->ref, crk_request_destroy);
}

void crk_request_arrived(struct crk_request *req)
{
	if (--req->pending == 0)
		wake_up_all(&req->requester);
}

void crk_request_end(struct crk_request *req, int result, enum cr_ioc_why why, struct pid *who)
{
	struct crk_process *p;

	if (req->state == CR_IOC_DONE)
		return;
	req->result = result;
	req->why = why;
	req->who = get_pid(who);
	WRITE_ONCE(req->state, CR_IOC_DONE);
	list_for_each_entry(p, &req->processes, entry) {
		list_del_init(&p->member);
		if (req->outcome == CR_IOC_PERM && (req->flags & CR_IOC_KILL_ON_PERM) && !p->omitted && !p->gone)
			kill_pid(p->pid, SIGKILL, 1);
	}
	crk_phase1_forget(req);
	wake_up_all(&req->inside);
	wake_up_all(&req->requester);
}

/* Somebody who is not inside, for the message. Holds crk_lock. */
static struct pid *crk_request_late(struct crk_request *req)
{
	struct crk_process *p;
	struct crk_task *t;

	list_for_each_entry(p, &req->processes, entry) {
		list_for_each_entry(t, &p->tasks, entry) {
			if (t->state == CRK_CALLED || t->state == CRK_TRIGGERED)
				return task_pid(t->task);
		}
	}
	return NULL;
}

static void crk_request_timeout(struct timer_list *timer)
{
	struct crk_request *req = from_timer(req, timer, timer);

	spin_lock(&crk_lock);
	if (time_before(jiffies, req->expires))
		mod_timer(&req->timer, req->expires); /* moved while this waited for the lock */
	else if (req->state == CR_IOC_STOPPED)
		crk_request_end(req, -ETIMEDOUT, CR_IOC_WHY_HELD, NULL);
	else
		crk_request_end(req, -ETIMEDOUT, CR_IOC_WHY_DEADLINE, crk_request_late(req));
	spin_unlock(&crk_lock);
}

/* Holds crk_lock, or is alone. */
static void crk_request_arm(struct crk_request *req, u64 ns)
{
	req->expires = jiffies + min_t(u64, nsecs_to_jiffies64(ns) + 1, MAX_JIFFY_OFFSET);
	mod_timer(&req->timer, req->expires);
}

static bool crk_request_is_kthread(struct pid *pid)
{
	struct task_struct *task;
	bool kthread;

	rcu_read_lock();
	task = pid_task(pid, PIDTYPE_PID);
	kthread = task && (task->flags & PF_KTHREAD);
	rcu_read_unlock();
	return kthread;
}

static int crk_request_targets(struct crk_request *req, const struct cr_ioc_request *a)
{
	const s32 __user *from = u64_to_user_ptr(a->pids);
	u32 i;

	if (req->scope != CR_IOC_PIDS) {
		if (a->count || a->pids || a->target <= 0)
			return -EINVAL;
		req->target = find_get_pid(a->target);
		if (!req->target)
			return -ESRCH;
		return crk_request_is_kthread(req->target) ? -EPERM : 0;
	}
	if (a->target || !a->count || a->count > CR_IOC_PIDS_MAX)
		return -EINVAL;
	req->pids = kvcalloc(a->count, sizeof(struct pid *), GFP_KERNEL_ACCOUNT);
	if (!req->pids)
		return -ENOMEM;
	for (i = 0; i < a->count; i++) {
		s32 nr;

		if (get_user(nr, from + i))
			return -EFAULT;
		if (nr <= 0)
			return -EINVAL;
		req->pids[i] = find_get_pid(nr);
		if (!req->pids[i])
			return -ESRCH;
		req->count = i + 1;
		if (crk_request_is_kthread(req->pids[i]))
			return -EPERM;
	}
	return 0;
}

static struct crk_request *crk_request_alloc(const struct cr_ioc_request *a)
{
	struct crk_request *req = kzalloc(sizeof(*req), GFP_KERNEL_ACCOUNT);

	if (!req)
		return NULL;
	kref_init(&req->ref);
	req->id = atomic64_inc_return(&crk_last_id);
	INIT_LIST_HEAD(&req->processes);
	init_waitqueue_head(&req->requester);
	init_waitqueue_head(&req->inside);
	timer_setup(&req->timer, crk_request_timeout, 0);
	req->state = CR_IOC_STOPPING;
	req->scope = a->scope;
	req->flags = a->flags;
	req->deadline_ns = a->deadline_ns;
	req->hold_ns = a->hold_ns;
	req->owner = get_pid(task_tgid(current));
	return req;
}

int crk_request_create(struct file *filp, struct cr_ioc_request __user *arg)
{
	struct crk_file *f = filp->private_data;
	struct crk_request *req, *old;
	struct cr_ioc_request a;
	u64 now;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.scope > CR_IOC_PIDS || (a.flags & ~CR_IOC_KILL_ON_PERM) || !a.hold_ns)
		return -EINVAL;
	now = ktime_get_ns();
	if (a.deadline_ns <= now)
		return -ETIMEDOUT;
	err = mutex_lock_interruptible(&f->lock);
	if (err)
		return err;
	old = f->request;
	if (old && READ_ONCE(old->state) != CR_IOC_DONE) {
		err = -EBUSY;
		goto unlock;
	}
	req = crk_request_alloc(&a);
	if (!req) {
		err = -ENOMEM;
		goto unlock;
	}
	err = crk_request_targets(req, &a);
	if (err)
		goto put;
	if (put_user(req->id, &arg->ret_request)) {
		err = -EFAULT;
		goto put;
	}
	spin_lock_bh(&crk_lock);
	f->request = req;
	crk_request_arm(req, a.deadline_ns - now);
	spin_unlock_bh(&crk_lock);
	if (old)
		crk_request_put(old);
	mutex_unlock(&f->lock);
	return 0;

put:
	crk_request_put(req);
unlock:
	mutex_unlock(&f->lock);
	return err;
}

/* Starts the callbacks of what is new; when there are none, the stop. Returns how many tasks it set in motion. Holds crk_lock. */
static int crk_request_trigger(struct crk_request *req)
{
	struct crk_process *p;
	struct crk_task *t;
	int called = 0, triggered = 0;

	list_for_each_entry(p, &req->processes, entry) {
		list_for_each_entry(t, &p->tasks, entry) {
			if (t->state == CRK_NEW && !p->omitted && crk_phase1_call(t))
				called++;
		}
	}
	if (called) {
		req->state = CR_IOC_PHASE1_RUNNING;
		return called;
	}
	req->state = CR_IOC_STOPPING;
	list_for_each_entry(p, &req->processes, entry) {
		list_for_each_entry(t, &p->tasks, entry) {
			if (t->state == CRK_NEW && !p->omitted) {
				crk_stop_trigger(t);
				triggered++;
			}
		}
	}
	return triggered;
}

/* Phase-1 tasks have no task_work: those that ended or exec'ed without an answer are noticed here. Holds crk_lock. */
static void crk_request_reap(struct crk_request *req)
{
	struct crk_process *p;
	struct crk_task *t;

	list_for_each_entry(p, &req->processes, entry) {
		list_for_each_entry(t, &p->tasks, entry) {
			if (t->state == CRK_CALLED && crk_stop_is_gone(t)) {
				t->state = CRK_GONE;
				if (!(READ_ONCE(t->task->flags) & PF_EXITING))
					p->gone = true;
				crk_request_arrived(req);
			}
		}
	}
}

static void crk_request_count(struct crk_request *req, u32 *ret_processes, u32 *ret_tasks)
{
	struct crk_process *p;
	struct crk_task *t;
	u32 tasks;

	*ret_processes = *ret_tasks = 0;
	list_for_each_entry(p, &req->processes, entry) {
		tasks = 0;
		list_for_each_entry(t, &p->tasks, entry)
			tasks += READ_ONCE(t->state) == CRK_INSIDE;
		*ret_processes += tasks > 0;
		*ret_tasks += tasks;
	}
}

/* Everything that was found has come in: look for more, or be done with it. */
static void crk_request_step(struct crk_request *req)
{
	struct pid *who = NULL;
	enum cr_ioc_why why;
	u32 processes, tasks;
	int added;

	added = crk_set_scan(req, &why, &who);
	spin_lock_bh(&crk_lock);
	if (req->state == CR_IOC_DONE) {
		;
	} else if (added < 0) {
		crk_request_end(req, added, why, who);
	} else if (crk_request_trigger(req) == 0 && added == 0 && req->pending == 0) {
		crk_request_count(req, &processes, &tasks);
		if (tasks) {
			req->state = CR_IOC_STOPPED;
			crk_request_arm(req, req->hold_ns);
		} else {
			crk_request_end(req, -ESRCH, CR_IOC_WHY_NOBODY, req->target);
		}
	}
	spin_unlock_bh(&crk_lock);
	put_pid(who);
}

static int crk_request_drive(struct crk_request *req)
{
	long left;

	while (READ_ONCE(req->state) < CR_IOC_STOPPED) {
		if (READ_ONCE(req->pending) == 0) {
			crk_request_step(req);
			cond_resched();
			if (signal_pending(current))
				return -ERESTARTSYS;
			continue;
		}
		/* Woken by the last who arrives. Once in a while the dead among the phase-1 tasks are looked for. */
		left = wait_event_interruptible_timeout(req->requester, READ_ONCE(req->state) == CR_IOC_DONE || READ_ONCE(req->pending) == 0,
							HZ / 10);
		if (left < 0)
			return left;
		if (left == 0) {
			spin_lock_bh(&crk_lock);
			crk_request_reap(req);
			spin_unlock_bh(&crk_lock);
		}
	}
	return 0;
}

int crk_request_wait(struct file *filp, struct cr_ioc_wait __user *arg)
{
	struct crk_file *f = filp->private_data;
	const struct cred *caller;
	struct crk_request *req;
	struct cr_ioc_wait a;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.flags || a.pad)
		return -EINVAL;
	err = mutex_lock_interruptible(&f->lock);
	if (err)
		return err;
	req = f->request;
	if (!req || req->owner != task_tgid(current)) {
		err = req ? -EPERM : -ENOENT;
		goto unlock;
	}
	/* Who opened the device is asked what it may see, not who was made to call us. */
	caller = override_creds(filp->f_cred);
	err = crk_request_drive(req);
	revert_creds(caller);
	if (err)
		goto unlock;
	memset(&a, 0, sizeof(a));
	crk_request_count(req, &a.ret_processes, &a.ret_tasks);
	spin_lock_bh(&crk_lock);
	a.ret_state = req->state;
	a.ret_result = req->result;
	a.ret_why = req->why;
	a.ret_pid = req->who ? pid_vnr(req->who) : 0;
	a.ret_outcome = req->outcome;
	a.ret_code = req->code;
	spin_unlock_bh(&crk_lock);
	if (copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
unlock:
	mutex_unlock(&f->lock);
	return err;
}

static void crk_request_describe(struct crk_process *p, struct cr_ioc_process *ret)
{
	bool waiting = false;
	struct crk_task *t;

	memset(ret, 0, sizeof(*ret));
	ret->ret_pid = pid_vnr(p->pid);
	spin_lock_bh(&crk_lock);
	list_for_each_entry(t, &p->tasks, entry) {
		ret->ret_tasks += t->state == CRK_INSIDE;
		waiting |= t->state < CRK_INSIDE;
	}
	if (p->omitted)
		ret->ret_state = CR_IOC_P_OMITTED;
	else if (p->gone || (!waiting && !ret->ret_tasks))
		ret->ret_state = CR_IOC_P_GONE;
	else
		ret->ret_state = waiting ? CR_IOC_P_WAITING : CR_IOC_P_INSIDE;
	spin_unlock_bh(&crk_lock);
}

int crk_request_list(struct file *filp, struct cr_ioc_list __user *arg)
{
	struct crk_file *f = filp->private_data;
	struct cr_ioc_process __user *to;
	struct cr_ioc_process one;
	struct crk_process *p;
	struct cr_ioc_list a;
	u32 n = 0;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	to = u64_to_user_ptr(a.processes);
	err = mutex_lock_interruptible(&f->lock);
	if (err)
		return err;
	if (!f->request || f->request->owner != task_tgid(current)) {
		err = f->request ? -EPERM : -ENOENT;
		goto unlock;
	}
	list_for_each_entry(p, &f->request->processes, entry) {
		if (n < a.count) {
			crk_request_describe(p, &one);
			if (copy_to_user(to + n, &one, sizeof(one))) {
				err = -EFAULT;
				goto unlock;
			}
		}
		n++;
	}
	if (put_user(n, &arg->ret_count))
		err = -EFAULT;
unlock:
	mutex_unlock(&f->lock);
	return err;
}

/* Without the mutex, so that another thread can end what one waits for. */
int crk_request_resume(struct file *filp)
{
	struct crk_file *f = filp->private_data;
	struct crk_request *req;
	int err = 0;

	spin_lock_bh(&crk_lock);
	req = f->request;
	if (!req)
		err = -ENOENT;
	else if (req->owner != task_tgid(current))
		err = -EPERM;
	else if (req->state == CR_IOC_STOPPED)
		crk_request_end(req, 0, CR_IOC_WHY_NONE, NULL);
	else if (req->state != CR_IOC_DONE)
		crk_request_end(req, -ECANCELED, CR_IOC_WHY_REQUESTER, NULL);
	else
		err = req->result;
	spin_unlock_bh(&crk_lock);
	return err;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Phase-1 tasks: callback threads that sleep in PHASE1_WAIT until a request names their process, run callbacks, and answer with PHASE1_READY. Nobody else of
 * any process is stopped before all of them have answered. An answer that belongs to a request that is over changes nothing: its number is another one.
 */
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "crk.h"

static LIST_HEAD(crk_clients);

/* The file's client when the caller is its task and still runs the program that registered. */
static struct crk_client *crk_phase1_mine(struct crk_file *f)
{
	struct crk_client *c = READ_ONCE(f->client);

	return c && c->task == current && c->exec_id == current->self_exec_id ? c : NULL;
}

int crk_phase1_register(struct crk_file *f)
{
	struct crk_client *c, *other;
	int err = 0;

	c = kzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);
	if (!c)
		return -ENOMEM;
	c->task = get_task_struct(current);
	c->exec_id = current->self_exec_id;
	init_waitqueue_head(&c->wait);
	spin_lock_bh(&crk_lock);
	if (f->client)
		err = -EBUSY;
	list_for_each_entry(other, &crk_clients, entry) {
		if (other->task == current && other->exec_id == c->exec_id)
			err = -EBUSY;
	}
	if (!err) {
		WRITE_ONCE(f->client, c);
		list_add_tail(&c->entry, &crk_clients);
	}
	spin_unlock_bh(&crk_lock);
	if (err) {
		put_task_struct(c->task);
		kfree(c);
	}
	return err;
}

bool crk_phase1_call(struct crk_task *t)
{
	struct crk_client *c;

	list_for_each_entry(c, &crk_clients, entry) {
		if (c->task != t->task || c->exec_id != READ_ONCE(t->task->self_exec_id) || c->called)
			continue;
		c->called = t;
		c->last_id = t->process->request->id;
		c->last_result = -ECANCELED;
		t->state = CRK_CALLED;
		t->process->request->pending++;
		wake_up_all(&c->wait);
		return true;
	}
	return false;
}

void crk_phase1_forget(struct crk_request *req)
{
	struct crk_client *c;

	list_for_each_entry(c, &crk_clients, entry) {
		if (c->called && c->called->process->request == req) {
			c->called = NULL;
			c->last_result = req->result;
		}
	}
}

int crk_phase1_wait(struct crk_file *f, struct cr_ioc_called __user *arg)
{
	struct crk_client *c = crk_phase1_mine(f);
	struct cr_ioc_called a = {};
	int err;

	if (!c)
		return -EPERM;
	do {
		err = wait_event_interruptible(c->wait, READ_ONCE(c->called));
		if (err)
			return err;
		spin_lock_bh(&crk_lock);
		if (c->called) {
			struct crk_request *req = c->called->process->request;

			a.ret_request = req->id;
			a.ret_deadline_ns = req->deadline_ns;
			a.ret_requester = pid_vnr(req->owner);
		}
		spin_unlock_bh(&crk_lock);
	} while (!a.ret_request); /* it ended in between: the next one */
	return copy_to_user(arg, &a, sizeof(a)) ? -EFAULT : 0;
}

/* The process of @t stays out. Its other phase-1 tasks go on too. Holds crk_lock. */
static void crk_phase1_omit(struct crk_process *p)
{
	struct crk_client *c;
	struct crk_task *t;

	WRITE_ONCE(p->omitted, true);
	list_del_init(&p->member);
	list_for_each_entry(t, &p->tasks, entry) {
		if (t->state == CRK_CALLED || t->state == CRK_TRIGGERED)
			crk_request_arrived(p->request);
		t->state = CRK_GONE;
	}
	list_for_each_entry(c, &crk_clients, entry) {
		if (c->called && c->called->process == p) {
			c->called = NULL;
			c->last_result = -ECANCELED;
		}
	}
	wake_up_all(&p->request->inside);
}

/* Holds crk_lock, which is dropped while the task waits. Returns what the phase-1 task is told. */
static int crk_phase1_answer(struct crk_client *c, const struct cr_ioc_ready *a) __must_hold(&crk_lock)
{
	struct crk_task *t = c->called;
	struct crk_request *req;

	if (!t || t->process->request->id != a->request)
		return c->last_id == a->request ? c->last_result : -ESRCH;
	req = t->process->request;
	c->called = NULL;
	switch (a->outcome) {
	case CR_IOC_READY:
		t->state = CRK_INSIDE;
		crk_request_arrived(req);
		crk_stop_wait(t);
		return req->state == CR_IOC_DONE ? req->result : -ECANCELED;
	case CR_IOC_OMIT:
		crk_phase1_omit(t->process);
		return -ECANCELED;
	default:
		req->outcome = a->outcome;
		req->code = a->code;
		t->state = CRK_GONE;
		crk_request_end(req, -ECANCELED, CR_IOC_WHY_OUTCOME, t->process->pid);
		return -ECANCELED;
	}
}

int crk_phase1_ready(struct crk_file *f, struct cr_ioc_ready __user *arg)
{
	struct crk_client *c = crk_phase1_mine(f);
	struct crk_request *req = NULL;
	struct cr_ioc_ready a;

	if (!c)
		return -EPERM;
	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.pad || a.code > 65535)
		return -EINVAL;
	switch (a.outcome) {
	case CR_IOC_READY:
	case CR_IOC_OMIT:
		if (a.code)
			return -EINVAL;
		break;
	case CR_IOC_TEMP:
	case CR_IOC_PERM:
		break;
	default:
		return -EINVAL;
	}
	spin_lock_bh(&crk_lock);
	if (c->called) {
		req = c->called->process->request;
		crk_request_get(req);
	}
	a.ret_result = crk_phase1_answer(c, &a);
	spin_unlock_bh(&crk_lock);
	if (req)
		crk_request_put(req);
	return put_user(a.ret_result, &arg->ret_result) ? -EFAULT : 0;
}

/* The last descriptor is closed: a task that was called and has not answered comes in like any other. */
void crk_phase1_release(struct crk_file *f)
{
	struct crk_client *c = f->client;

	if (!c)
		return;
	spin_lock_bh(&crk_lock);
	list_del(&c->entry);
	if (c->called && c->called->state == CRK_CALLED) {
		c->called->state = CRK_NEW;
		crk_request_arrived(c->called->process->request);
	}
	spin_unlock_bh(&crk_lock);
	put_task_struct(c->task);
	kfree(c);
}

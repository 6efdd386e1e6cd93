// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stopping one task. A task_work is queued to it; it runs when the task is about to return to user mode, where the task holds no lock of the kernel, or when it
 * exits. So it always runs, and nobody waits for a task that has died. A system call that was cut short is begun again by the kernel.
 *
 * The wait ends for a fatal signal at once, takes part in the freezer and in no load average, and is left by every task when the request ends.
 */
#include <linux/freezer.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>

#include "crk.h"

/* Exits, or runs another program than the one that was named: our reference keeps the old mm from being made anew at the same address. */
bool crk_stop_is_gone(struct crk_task *t)
{
	return (READ_ONCE(t->task->flags) & PF_EXITING) || READ_ONCE(t->task->mm) != t->process->mm;
}

/*
 * Called by the task itself with crk_lock held and its state INSIDE; returns with it held. Nothing orders the condition but crk_lock: both fields are
 * written under it, followed by a wake-up, and prepare_to_wait() comes before each look at them.
 */
void crk_stop_wait(struct crk_task *t) __must_hold(&crk_lock)
{
	struct crk_request *req = t->process->request;

	spin_unlock_bh(&crk_lock);
	(void)___wait_event(req->inside, READ_ONCE(req->state) == CR_IOC_DONE || READ_ONCE(t->process->omitted),
			    (TASK_UNINTERRUPTIBLE | TASK_WAKEKILL | TASK_NOLOAD | TASK_FREEZABLE), 0, 0, schedule());
	spin_lock_bh(&crk_lock);
	if (req->state != CR_IOC_DONE && !t->process->omitted) {
		t->state = CRK_GONE;
		t->process->gone = true;
	}
}

static void crk_stop_work(struct callback_head *work)
{
	struct crk_task *t = container_of(work, struct crk_task, work);
	struct crk_request *req = t->process->request;

	spin_lock_bh(&crk_lock);
	if (req->state != CR_IOC_DONE && !t->process->omitted) {
		t->state = crk_stop_is_gone(t) ? CRK_GONE : CRK_INSIDE;
		if (t->state == CRK_GONE && !(current->flags & PF_EXITING))
			t->process->gone = true;
		crk_request_arrived(req);
		if (t->state == CRK_INSIDE)
			crk_stop_wait(t);
	}
	spin_unlock_bh(&crk_lock);
	crk_request_put(req);
	module_put(THIS_MODULE);
}

/* Holds crk_lock: the work may run on another processor before this returns, and waits for the lock. */
void crk_stop_trigger(struct crk_task *t)
{
	struct crk_request *req = t->process->request;

	init_task_work(&t->work, crk_stop_work);
	t->state = CRK_TRIGGERED;
	crk_request_get(req);
	__module_get(THIS_MODULE);
	if (!task_work_add(t->task, &t->work, TWA_SIGNAL)) {
		req->pending++;
		return;
	}
	/* It exits and is past the point where works run. Neither reference is the last: the caller's file has both. */
	t->state = CRK_GONE;
	crk_request_put(req);
	module_put(THIS_MODULE);
}

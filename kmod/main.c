// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crmod: one misc device. This file opens, closes and dispatches; the state is on the open file (struct crk_file).
 *
 * The device is made with mode 0660 for root; a udev rule gives it to a group. The module cannot be unloaded while a descriptor is open (fops.owner)
 * or a task_work of ours is queued or waits (stop.c).
 */
#include <linux/miscdevice.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "crk.h"

DEFINE_SPINLOCK(crk_lock);

static int crk_open(struct inode *inode, struct file *filp)
{
	struct crk_file *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return -ENOMEM;
	mutex_init(&f->lock);
	INIT_LIST_HEAD(&f->marks);
	filp->private_data = f;
	return nonseekable_open(inode, filp);
}

/* The requester ends while a child of it still has the descriptor: release would come too late. */
static int crk_flush(struct file *filp, fl_owner_t id)
{
	struct crk_file *f = filp->private_data;

	if (!(current->flags & PF_EXITING))
		return 0;
	spin_lock_bh(&crk_lock);
	if (f->request && f->request->owner == task_tgid(current))
		crk_request_end(f->request, -ECANCELED, CR_IOC_WHY_REQUESTER, NULL);
	spin_unlock_bh(&crk_lock);
	return 0;
}

static int crk_release(struct inode *inode, struct file *filp)
{
	struct crk_file *f = filp->private_data;

	if (f->request) {
		spin_lock_bh(&crk_lock);
		crk_request_end(f->request, -ECANCELED, CR_IOC_WHY_REQUESTER, NULL);
		spin_unlock_bh(&crk_lock);
		crk_request_put(f->request);
	}
	crk_phase1_release(f);
	crk_nocr_release(f);
	kfree(f);
	return 0;
}

static int crk_version(struct cr_ioc_version __user *arg)
{
	struct cr_ioc_version v = {
		.ret_abi = CR_IOC_ABI,
		.ret_features = CR_IOC_FEATURE_STOP | CR_IOC_FEATURE_PHASE1 | CR_IOC_FEATURE_PAGES | CR_IOC_FEATURE_NOCR |
				CR_IOC_FEATURE_SELF,
	};

	return copy_to_user(arg, &v, sizeof(v)) ? -EFAULT : 0;
}

static long crk_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct crk_file *f = filp->private_data;
	void __user *p = (void __user *)arg;

	switch (cmd) {
	case CR_IOC_VERSION:
		return crk_version(p);
	case CR_IOC_REQUEST:
		return crk_request_create(filp, p);
	case CR_IOC_WAIT:
		return crk_request_wait(filp, p);
	case CR_IOC_LIST:
		return crk_request_list(filp, p);
	case CR_IOC_RESUME:
		return crk_request_resume(filp);
	case CR_IOC_PAGES:
		return crk_pages_read(filp, p);
	case CR_IOC_AREAS:
		return crk_areas_read(p);
	case CR_IOC_PHASE1:
		return crk_phase1_register(f);
	case CR_IOC_PHASE1_WAIT:
		return crk_phase1_wait(f, p);
	case CR_IOC_PHASE1_READY:
		return crk_phase1_ready(f, p);
	case CR_IOC_NOCR_SET:
		return crk_nocr_set(f, p);
	case CR_IOC_NOCR_CLEAR:
		return crk_nocr_clear(f, p);
	case CR_IOC_NOCR_GET:
		return crk_nocr_get(p);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations crk_fops = {
	.owner = THIS_MODULE,
	.open = crk_open,
	.flush = crk_flush,
	.release = crk_release,
	.unlocked_ioctl = crk_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice crk_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "crmod",
	.fops = &crk_fops,
	.mode = 0660,
};

static int __init crk_init(void)
{
	int err = crk_access_init();

	if (err)
		return err;
	err = misc_register(&crk_misc);
	if (err)
		crk_access_exit();
	return err;
}

static void __exit crk_exit(void)
{
	misc_deregister(&crk_misc);
	/* A task that has just put its reference to the module may still execute the last instructions of crk_stop_work(). */
	synchronize_rcu_tasks();
	crk_access_exit();
}

module_init(crk_init);
module_exit(crk_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The ompi-cr developers");
MODULE_DESCRIPTION("Checkpoint of a set of processes by the kernel");
MODULE_VERSION("1");

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * May the caller read a process? The answer is the kernel's own: opening /proc/PID/mem makes the check of ptrace (credentials, dumpable, security modules) and
 * hands out the mm that it was made for. ptrace_may_access() is not exported to modules; this is, and nobody can put another file in its place, because
 * it is opened below a mount of proc that only this module has.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/mount.h>
#include <linux/pid_namespace.h>
#include <linux/proc_fs.h>
#include <linux/sched/mm.h>

#include "crk.h"

static struct vfsmount *crk_proc;

int crk_access_init(void)
{
	struct file_system_type *type = get_fs_type("proc");
	struct vfsmount *mnt;

	if (!type)
		return -ENODEV;
	mnt = kern_mount(type);
	if (IS_ERR(mnt))
		return PTR_ERR(mnt);
	crk_proc = mnt;
	return 0;
}

void crk_access_exit(void)
{
	kern_unmount(crk_proc);
}

int crk_access_get(struct task_struct *task, struct mm_struct **ret_mm)
{
	struct path root = { .mnt = crk_proc, .dentry = crk_proc->mnt_root };
	struct mm_struct *mm, *now;
	char name[32];
	struct file *mem;
	pid_t pid;

	pid = task_pid_nr_ns(task, proc_pid_ns(crk_proc->mnt_sb));
	if (!pid)
		return -ESRCH;
	snprintf(name, sizeof(name), "%d/mem", pid);
	mem = file_open_root(&root, name, O_RDWR | O_LARGEFILE, 0);
	if (IS_ERR(mem))
		return PTR_ERR(mem) == -ENOENT ? -ESRCH : PTR_ERR(mem);
	mm = mem->private_data;
	if (mm)
		mmgrab(mm);
	fput(mem);
	if (!mm)
		return -ESRCH;
	/* The number may be another process's by now, or the process may run another program: then it is looked at again. */
	now = get_task_mm(task);
	if (now != mm) {
		mmdrop(mm);
		mm = NULL;
	}
	if (now)
		mmput(now);
	if (!mm)
		return now ? -EAGAIN : -ESRCH;
	*ret_mm = mm;
	return 0;
}

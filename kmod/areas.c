// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the caller's own mappings are, beyond what /proc/PID/maps says: the flags of smaps, without its walk through every page. A process may always know that
 * of itself, so nothing is checked.
 */
#include <linux/mm.h>
#include <linux/pkeys.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "crk.h"

#define CRK_AREAS 64

static void crk_area_describe(struct vm_area_struct *vma, struct cr_ioc_area *ret)
{
	ret->ret_start = vma->vm_start;
	ret->ret_end = vma->vm_end;
	ret->ret_flags = vma->anon_vma ? CR_IOC_AREA_CONTENT : 0;
#define CRK_AREA_FLAG(bit, flag, letters) ret->ret_flags |= vma->vm_flags & (flag) ? 1ull << (bit) : 0;
	CR_IOC_AREA_FLAGS(CRK_AREA_FLAG)
#undef CRK_AREA_FLAG
	ret->ret_pkey = vma_pkey(vma);
	ret->ret_pad = 0;
}

/* The next areas from *at on, at most @max. *at is moved behind them, to TASK_SIZE_MAX when there are no more. Returns how many. */
static int crk_areas_collect(struct mm_struct *mm, u64 *at, struct cr_ioc_area *ret, u32 max)
{
	struct vm_area_struct *vma;
	u32 n = 0;
	int err;

	err = mmap_read_lock_killable(mm);
	if (err)
		return err;
	for (; n < max && *at < TASK_SIZE_MAX; *at = vma->vm_end) {
		vma = find_vma(mm, *at);
		if (!vma) {
			*at = TASK_SIZE_MAX;
			break;
		}
		crk_area_describe(vma, &ret[n++]);
	}
	mmap_read_unlock(mm);
	return n;
}

int crk_areas_read(struct cr_ioc_areas __user *arg)
{
	struct cr_ioc_area *areas;
	struct cr_ioc_areas a;
	u64 at;
	int n, err = 0;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.flags || a.pad || !a.max)
		return -EINVAL;
	areas = kcalloc(CRK_AREAS, sizeof(*areas), GFP_KERNEL_ACCOUNT);
	if (!areas)
		return -ENOMEM;
	a.ret_n = 0;
	at = a.start;
	while (a.ret_n < a.max && at < TASK_SIZE_MAX) {
		n = crk_areas_collect(current->mm, &at, areas, min_t(u32, a.max - a.ret_n, CRK_AREAS));
		if (n < 0) {
			err = n;
			break;
		}
		if (copy_to_user(u64_to_user_ptr(a.areas) + a.ret_n * sizeof(*areas), areas, n * sizeof(*areas))) {
			err = -EFAULT;
			break;
		}
		a.ret_n += n;
		cond_resched();
	}
	kfree(areas);
	a.ret_next = at;
	if (!err && copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
	return err;
}

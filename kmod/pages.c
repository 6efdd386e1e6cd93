// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of a stopped process, or of the caller itself, from its page tables. Nothing is faulted in that was never there; pages in swap are read back. Tables are walked under the
 * target's mmap_lock a batch at a time; the copy to the caller, which may fault, is made without it.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "crk.h"

#define CRK_BATCH 64

struct crk_batch {
	struct mm_struct *mm;
	unsigned int n;
	struct crk_batch_page {
		struct page *page; /* reference */
		unsigned long addr;
		unsigned long area; /* start of its area: runs do not cross areas */
		bool keep_zero;	    /* of a file: a zero page replaces its content */
	} page[CRK_BATCH];
};

/* What has been copied to the caller. */
struct crk_copied {
	const struct cr_ioc_pages *a;
	struct cr_ioc_run run; /* the open run */
	unsigned long area;
	u32 runs; /* the open one included */
	u64 bytes;
};

static bool crk_batch_full(const struct crk_batch *b)
{
	return b->n == CRK_BATCH;
}

static void crk_batch_add(struct crk_batch *b, struct vm_area_struct *vma, unsigned long addr, struct page *page)
{
	b->page[b->n++] = (struct crk_batch_page){
		.page = page,
		.addr = addr,
		.area = vma->vm_start,
		.keep_zero = !vma_is_anonymous(vma),
	};
}

static void crk_batch_put(struct crk_batch *b)
{
	while (b->n)
		put_page(b->page[--b->n].page);
}

/*
 * One page by the kernel's own means: swapped, migrating, or part of a huge one. FOLL_FORCE, because memory without read permission is content too;
 * FOLL_DUMP, so that the huge zero page is a hole. @hole: there may be nothing; else a page that cannot be had is an error, never left out.
 */
static int crk_batch_fetch(struct crk_batch *b, struct vm_area_struct *vma, unsigned long addr, bool hole)
{
	struct page *page;
	long n = crk_get_pages(b->mm, addr, 1, FOLL_FORCE | FOLL_DUMP, &page);

	if (n == -EFAULT)
		return hole ? 0 : -EIO;
	if (n < 0)
		return n;
	if (n == 0)
		return -EIO;
	if (PageAnon(page))
		crk_batch_add(b, vma, addr, page);
	else
		put_page(page);
	return 0;
}

/* The entries of one table, up to @stop. *addr is the first that was not looked at. */
static int crk_walk_ptes(struct crk_batch *b, struct vm_area_struct *vma, pmd_t *pmdp, pmd_t pmdval, unsigned long *addr, unsigned long stop)
{
	spinlock_t *ptl = crk_pte_lock(pmdval);
	int err = 0;
	pte_t *ptep;

	spin_lock(ptl);
	if (!pmd_same(pmdval, READ_ONCE(*pmdp)))
		goto unlock; /* became a huge page: look again */
	ptep = pte_offset_kernel(&pmdval, *addr);
	for (; *addr < stop && !crk_batch_full(b); *addr += PAGE_SIZE, ptep++) {
		pte_t pte = READ_ONCE(*ptep);
		struct page *page;

		if (pte_none(pte))
			continue;
		if (!pte_present(pte)) {
			err = -EAGAIN;
			break;
		}
		if (is_zero_pfn(pte_pfn(pte)))
			continue;
		if (pte_special(pte) || pte_devmap(pte)) {
			err = -EOPNOTSUPP;
			break;
		}
		page = pte_page(pte);
		if (!PageAnon(page))
			continue; /* as in the file */
		get_page(page);
		crk_batch_add(b, vma, *addr, page);
	}
unlock:
	spin_unlock(ptl);
	return err;
}

static int crk_walk_pmd(struct crk_batch *b, struct vm_area_struct *vma, pmd_t *pmdp, unsigned long *addr, unsigned long stop)
{
	pmd_t pmdval = READ_ONCE(*pmdp);
	int err;

	if (pmd_none(pmdval)) {
		*addr = stop;
		return 0;
	}
	if (!pmd_present(pmdval) || pmd_trans_huge(pmdval) || pmd_devmap(pmdval)) {
		err = crk_batch_fetch(b, vma, *addr, true);
		*addr += PAGE_SIZE;
		return err;
	}
	rcu_read_lock(); /* newer kernels may free a table under the read side of mmap_lock, after a grace period */
	err = crk_walk_ptes(b, vma, pmdp, pmdval, addr, stop);
	rcu_read_unlock();
	if (err == -EAGAIN) {
		err = crk_batch_fetch(b, vma, *addr, false);
		*addr += PAGE_SIZE;
	}
	return err;
}

/* Descends to the table of *addr and takes what it holds; steps over what is not there. Holds the target's mmap_lock. */
static int crk_walk_step(struct crk_batch *b, struct vm_area_struct *vma, unsigned long *addr, unsigned long stop)
{
	pgd_t *pgd = pgd_offset(b->mm, *addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(READ_ONCE(*pgd))) {
		*addr = pgd_addr_end(*addr, stop);
		return 0;
	}
	p4d = p4d_offset(pgd, *addr);
	if (p4d_none(READ_ONCE(*p4d))) {
		*addr = p4d_addr_end(*addr, stop);
		return 0;
	}
	pud = pud_offset(p4d, *addr);
	if (pud_none(READ_ONCE(*pud))) {
		*addr = pud_addr_end(*addr, stop);
		return 0;
	}
	if (!pud_present(READ_ONCE(*pud)) || pud_leaf(READ_ONCE(*pud)))
		return -EOPNOTSUPP;
	return crk_walk_pmd(b, vma, pmd_offset(pud, *addr), addr, pmd_addr_end(*addr, stop));
}

/* Shared memory and device memory are not in the page tables alone; huge TLB pages are not restored. */
static bool crk_area_refused(struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_SHARED | VM_MAYSHARE | VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_HUGETLB);
}

static int crk_batch_fill(struct crk_batch *b, unsigned long *addr, unsigned long end)
{
	struct vm_area_struct *vma;
	int err;

	err = mmap_read_lock_killable(b->mm);
	if (err)
		return err;
	while (*addr < end && !crk_batch_full(b) && !err) {
		vma = find_vma(b->mm, *addr);
		if (!vma || vma->vm_start >= end) {
			*addr = end;
			break;
		}
		if (*addr < vma->vm_start)
			*addr = vma->vm_start;
		err = crk_area_refused(vma) ? -EOPNOTSUPP : crk_walk_step(b, vma, addr, min(end, vma->vm_end));
		if (need_resched() || fatal_signal_pending(current))
			break;
	}
	mmap_read_unlock(b->mm);
	return err;
}

static int crk_copied_close_run(struct crk_copied *c)
{
	struct cr_ioc_run __user *to = u64_to_user_ptr(c->a->runs);

	if (!c->run.ret_bytes)
		return 0;
	return copy_to_user(to + c->runs - 1, &c->run, sizeof(c->run)) ? -EFAULT : 0;
}

/* Returns 1 when the caller's room is used up, 0, or a negative errno. */
static int crk_copied_add(struct crk_copied *c, const struct crk_batch_page *p)
{
	bool new_run = !c->run.ret_bytes || p->addr != c->run.ret_addr + c->run.ret_bytes || p->area != c->area;
	unsigned long left;
	void *from;
	int err;

	if (c->a->buf_bytes - c->bytes < PAGE_SIZE || (new_run && c->runs == c->a->max_runs))
		return 1;
	from = kmap_local_page(p->page);
	if (!p->keep_zero && !memchr_inv(from, 0, PAGE_SIZE)) {
		kunmap_local(from);
		return 0;
	}
	left = copy_to_user(u64_to_user_ptr(c->a->buf + c->bytes), from, PAGE_SIZE);
	kunmap_local(from);
	if (left)
		return -EFAULT;
	if (new_run) {
		err = crk_copied_close_run(c);
		if (err)
			return err;
		c->run.ret_addr = p->addr;
		c->run.ret_bytes = 0;
		c->area = p->area;
		c->runs++;
	}
	c->run.ret_bytes += PAGE_SIZE;
	c->bytes += PAGE_SIZE;
	return 0;
}

/* *next: where to go on. -EOPNOTSUPP is reported only when nothing was copied, so that the caller gets what came before. */
static int crk_pages_copy(struct crk_batch *b, struct crk_copied *c, u64 *next)
{
	unsigned long addr = c->a->start;
	int err = 0, fill = 0;
	unsigned int i;

	while (addr < c->a->end && !fill && !err) {
		fill = crk_batch_fill(b, &addr, c->a->end);
		*next = addr;
		for (i = 0; i < b->n && !err; i++) {
			err = crk_copied_add(c, &b->page[i]);
			if (err)
				*next = b->page[i].addr;
		}
		crk_batch_put(b);
		if (fatal_signal_pending(current))
			fill = -EINTR;
		cond_resched();
	}
	if (err < 0)
		return err;
	if (!err && fill && !(fill == -EOPNOTSUPP && c->bytes))
		return fill;
	return crk_copied_close_run(c);
}

static int crk_pages_check(const struct cr_ioc_pages *a)
{
	if (a->flags || !PAGE_ALIGNED(a->start) || !PAGE_ALIGNED(a->end) || a->start >= a->end || a->end > TASK_SIZE_MAX)
		return -EINVAL;
	if (!a->max_runs || a->buf_bytes < PAGE_SIZE || a->pid < 0)
		return -EINVAL;
	return 0;
}

/* Is the process still inside? Asked before the copy and after it. */
static int crk_pages_state(struct crk_request *req, struct crk_process *p)
{
	int err = 0;

	spin_lock_bh(&crk_lock);
	if (req->state == CR_IOC_DONE)
		err = req->result ? req->result : -ECANCELED;
	else if (req->state != CR_IOC_STOPPED)
		err = -EBUSY;
	else if (p->gone || p->omitted)
		err = -ESRCH;
	spin_unlock_bh(&crk_lock);
	return err;
}

/* @mm is in use by the caller, or referenced. */
static int crk_pages_mm(struct mm_struct *mm, struct cr_ioc_pages *a)
{
	struct crk_copied c = { .a = a };
	u64 next = a->start;
	struct crk_batch *b;
	int err;

	b = kzalloc(sizeof(*b), GFP_KERNEL_ACCOUNT);
	if (!b)
		return -ENOMEM;
	b->mm = mm;
	err = crk_pages_copy(b, &c, &next);
	kfree(b);
	a->ret_runs = c.runs;
	a->ret_bytes = c.bytes;
	a->ret_next = next;
	return err;
}

static int crk_pages_process(struct crk_request *req, struct crk_process *p, struct cr_ioc_pages *a)
{
	int err, state;

	err = crk_pages_state(req, p);
	if (err)
		return err;
	if (!mmget_not_zero(p->mm))
		return -ESRCH;
	err = crk_pages_mm(p->mm, a);
	mmput(p->mm);
	state = crk_pages_state(req, p);
	return state ? state : err;
}

static int crk_pages_of_request(struct crk_file *f, struct cr_ioc_pages *a)
{
	struct crk_process *p = NULL;
	struct pid *pid;
	int err;

	err = mutex_lock_interruptible(&f->lock);
	if (err)
		return err;
	if (!f->request || f->request->owner != task_tgid(current)) {
		err = f->request ? -EPERM : -ENOENT;
		goto unlock;
	}
	pid = find_get_pid(a->pid);
	if (pid)
		p = crk_set_find(f->request, pid);
	put_pid(pid);
	err = p ? crk_pages_process(f->request, p, a) : -ESRCH;
unlock:
	mutex_unlock(&f->lock);
	return err;
}

/*
 * The caller's own memory needs no request and no check: nobody else's can be had in this way, whoever opened the descriptor, and a process may read its own as
 * /proc/self/mem. It takes no lock of the file either, so that a child that is left with its parent's descriptor is never in the way of anybody.
 */
int crk_pages_read(struct file *filp, struct cr_ioc_pages __user *arg)
{
	struct cr_ioc_pages a;
	int err;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	err = crk_pages_check(&a);
	if (err)
		return err;
	err = a.pid ? crk_pages_of_request(filp->private_data, &a) : crk_pages_mm(current->mm, &a);
	if ((!err || err == -EOPNOTSUPP) && copy_to_user(arg, &a, sizeof(a)))
		err = -EFAULT;
	return err;
}

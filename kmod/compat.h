/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The only place that knows kernel versions: 6.1 and 6.12. */
#ifndef CRK_COMPAT_H
#define CRK_COMPAT_H

#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/timer.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#define crk_get_pages(mm, addr, nr, flags, pages) get_user_pages_remote(mm, addr, nr, flags, pages, NULL)
#define crk_pte_lock(pmdval)			  ptlock_ptr(page_ptdesc(pmd_page(pmdval)))
#define CRK_PF_WORKER				  (PF_IO_WORKER | PF_USER_WORKER)
#else
#define crk_get_pages(mm, addr, nr, flags, pages) get_user_pages_remote(mm, addr, nr, flags, pages, NULL, NULL)
#define crk_pte_lock(pmdval)			  ptlock_ptr(pmd_page(pmdval))
#define CRK_PF_WORKER				  PF_IO_WORKER
#endif

/* Flags of areas that came later. */
#ifndef VM_SHADOW_STACK
#define VM_SHADOW_STACK VM_NONE
#endif
#ifndef VM_SEALED
#define VM_SEALED VM_NONE
#endif

#endif

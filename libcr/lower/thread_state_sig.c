/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Gives a restored thread its privileges and settings, in the thread itself, on the program's %fs.
 *
 * Order: what needs a capability comes before the capabilities are given up.
 */
#include "libcr/lower/lower.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/syscall.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/image/thread_payload.h"

#define CAPABILITIES 64

static long set_capabilities(const struct cr_thread_state_payload *p)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3, .pid = 0 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(p->cap_effective >> (32 * i));
		data[i].permitted = (uint32_t)(p->cap_permitted >> (32 * i));
		data[i].inheritable = (uint32_t)(p->cap_inheritable >> (32 * i));
	}
	return cr_sys2(SYS_capset, &head, data);
}

static long drop_bounding(uint64_t keep)
{
	for (unsigned int cap = 0; cap < CAPABILITIES; cap++) {
		long r;

		if (keep >> cap & 1 || cr_sys6(SYS_prctl, PR_CAPBSET_READ, cap, 0, 0, 0, 0) <= 0)
			continue;
		r = cr_sys6(SYS_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0, 0);
		if (r < 0)
			return r;
	}
	return 0;
}

static long set_ambient(uint64_t ambient)
{
	long r = cr_sys6(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0);

	for (unsigned int cap = 0; cap < CAPABILITIES && r >= 0; cap++)
		if (ambient >> cap & 1)
			r = cr_sys6(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0, 0);
	return r;
}

static int set_privileges(const struct cr_thread_state_payload *p, const uint32_t *groups, const char **ret_what)
{
	long r;

	*ret_what = "supplementary groups";
	r = cr_sys2(SYS_setgroups, p->n_groups, groups);
	if (r >= 0) {
		*ret_what = "bounding set of capabilities";
		r = drop_bounding(p->cap_bounding);
	}
	if (r >= 0 && cr_sys1(SYS_prctl, PR_GET_SECUREBITS) != (long)p->securebits) {
		*ret_what = "securebits";
		r = cr_sys6(SYS_prctl, PR_SET_SECUREBITS, p->securebits, 0, 0, 0, 0);
	}
	if (r >= 0) {
		*ret_what = "capabilities";
		r = set_capabilities(p);
	}
	if (r >= 0) {
		*ret_what = "ambient capabilities";
		r = set_ambient(p->cap_ambient);
	}
	if (r >= 0 && p->no_new_privs) {
		*ret_what = "no_new_privs";
		r = cr_sys6(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
	}
	return (int)(r < 0 ? r : 0);
}

int cr_thread_state_apply(const struct cr_thread_state_payload *p, const uint32_t *groups, const char **ret_what)
{
	/* Wishes: a machine that cannot grant them computes on without. */
	if (p->flags & CR_THREAD_AFFINITY)
		cr_sys3(SYS_sched_setaffinity, 0, sizeof(p->processors), p->processors);
	cr_sys3(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, p->io_priority);
	if (p->timer_slack_ns)
		cr_sys2(SYS_prctl, PR_SET_TIMERSLACK, p->timer_slack_ns);
	cr_sys2(SYS_prctl, PR_SET_PDEATHSIG, p->death_signal);
	return p->flags & CR_THREAD_PRIVILEGES ? set_privileges(p, groups, ret_what) : 0;
}

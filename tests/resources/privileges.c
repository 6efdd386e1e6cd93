/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process gives up or takes: supplementary groups, capabilities, securebits, no_new_privs; dumpable.
 */
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "resource.h"

#define DROPPED (1U << CAP_SYS_TIME | 1U << CAP_NET_RAW)

static int as_root;

static void caps(struct __user_cap_data_struct data[2], long nr)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	CHECK(syscall(nr, &head, data) == 0);
}

static void setup(void)
{
	struct __user_cap_data_struct data[2];
	gid_t groups[] = { 12, 3456, 7 };

	as_root = getuid() == 0;
	if (as_root) {
		CHECK(setgroups(3, groups) == 0);
		CHECK(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) == 0);
		CHECK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0) == 0);
		caps(data, SYS_capget);
		data[0].effective &= ~DROPPED;
		data[0].permitted &= ~DROPPED;
		data[0].inheritable = 1U << CAP_KILL;
		caps(data, SYS_capset);
		CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0);
	}
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_TIMERSLACK, 123456) == 0 && prctl(PR_SET_PDEATHSIG, 0) == 0);
}

static void verify(void)
{
	struct __user_cap_data_struct data[2];
	gid_t groups[8];

	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_TIMERSLACK) == 123456);
	if (!as_root)
		return;
	CHECK(getgroups(8, groups) == 3);
	CHECK(groups[0] + groups[1] + groups[2] == 12 + 3456 + 7);
	CHECK(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT, 0, 0, 0) == 0 && prctl(PR_CAPBSET_READ, CAP_CHOWN, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_SECUREBITS) == SECBIT_NOROOT);
	caps(data, SYS_capget);
	CHECK(!(data[0].effective & DROPPED) && !(data[0].permitted & DROPPED) && data[0].inheritable == 1U << CAP_KILL);
	CHECK(data[0].effective & 1U << CAP_CHOWN);
	CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0) == 0);
}

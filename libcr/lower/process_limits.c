/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resource limits of the process.
 *
 * RLIMIT_NOFILE is saved and not restored: the lower half keeps its descriptors between the program's numbers and the limit.
 */
#include "libcr/lower/process_set.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

_Static_assert(RLIM_NLIMITS == CR_PROCESS_LIMITS, "PROCESS payload holds every limit");
_Static_assert(RLIM_INFINITY == UINT64_MAX, "PROCESS payload stores RLIM_INFINITY as it is");

/* A lower hard limit than the program had counts when reaching it would end or starve the program in the middle of its work. */
static const struct {
	const char *name;
	bool required;
} limits[CR_PROCESS_LIMITS] = {
	[RLIMIT_CPU] = { "cpu", false },	[RLIMIT_FSIZE] = { "fsize", true },	 [RLIMIT_DATA] = { "data", true },
	[RLIMIT_STACK] = { "stack", true },	[RLIMIT_CORE] = { "core", false },	 [RLIMIT_RSS] = { "rss", false },
	[RLIMIT_NPROC] = { "nproc", false },	[RLIMIT_NOFILE] = { "nofile", false },	 [RLIMIT_MEMLOCK] = { "memlock", false },
	[RLIMIT_AS] = { "as", true },		[RLIMIT_LOCKS] = { "locks", false },	 [RLIMIT_SIGPENDING] = { "sigpending", false },
	[RLIMIT_MSGQUEUE] = { "msgqueue", false }, [RLIMIT_NICE] = { "nice", false },	 [RLIMIT_RTPRIO] = { "rtprio", false },
	[RLIMIT_RTTIME] = { "rttime", false },
};

int cr_process_limits_save(struct cr_process_payload *p, struct cr_err *err)
{
	struct rlimit now;
	int i;

	for (i = 0; i < CR_PROCESS_LIMITS; i++) {
		if (getrlimit((__rlimit_resource_t)i, &now) < 0)
			return cr_err_set(err, errno, "limit %s cannot be read: %s", limits[i].name, strerror(errno));
		p->limits[i].soft = now.rlim_cur;
		p->limits[i].hard = now.rlim_max;
	}
	return 0;
}

int cr_process_limits_check(const struct cr_process_payload *p, struct cr_err *err)
{
	struct rlimit now;
	int i;

	for (i = 0; i < CR_PROCESS_LIMITS; i++) {
		if (p->limits[i].soft > p->limits[i].hard)
			return cr_err_set(err, EBADMSG, "PROCESS record: limit %s is above its own ceiling", limits[i].name);
		if (!limits[i].required || getrlimit((__rlimit_resource_t)i, &now) < 0 || p->limits[i].soft <= now.rlim_max)
			continue;
		/* Raising the ceiling to its own value changes nothing and tells whether we could raise it. */
		if (now.rlim_max != RLIM_INFINITY) {
			struct rlimit more = { now.rlim_cur, now.rlim_max + 1 };

			if (setrlimit((__rlimit_resource_t)i, &more) == 0) {
				setrlimit((__rlimit_resource_t)i, &now);
				continue;
			}
		}
		return cr_err_set(err, EPERM, "limit %s was %llu at the checkpoint and at most %llu is allowed here; raise the hard limit (ulimit -H)",
				  limits[i].name, (unsigned long long)p->limits[i].soft, (unsigned long long)now.rlim_max);
	}
	return 0;
}

int cr_process_limits_restore(const struct cr_process_payload *p, struct cr_err *err)
{
	struct rlimit now, want;
	int i;

	for (i = 0; i < CR_PROCESS_LIMITS; i++) {
		if (i == RLIMIT_NOFILE)
			continue;
		want = (struct rlimit){ .rlim_cur = p->limits[i].soft, .rlim_max = p->limits[i].hard };
		if (setrlimit((__rlimit_resource_t)i, &want) == 0)
			continue;
		if (getrlimit((__rlimit_resource_t)i, &now) < 0)
			return cr_err_set(err, errno, "limit %s cannot be read: %s", limits[i].name, strerror(errno));
		if (want.rlim_max > now.rlim_max)
			want.rlim_max = now.rlim_max;
		if (want.rlim_cur > want.rlim_max)
			want.rlim_cur = want.rlim_max;
		if (setrlimit((__rlimit_resource_t)i, &want) < 0)
			return cr_err_set(err, errno, "limit %s cannot be set to %llu: %s", limits[i].name, (unsigned long long)want.rlim_cur, strerror(errno));
	}
	return 0;
}

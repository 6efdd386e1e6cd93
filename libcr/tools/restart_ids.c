/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups and sessions have the ids of the processes that made them: a leader makes its own again, under the id that it has now and that the program
 * sees as its old one; anybody else can only join one that is there.
 */
#include "libcr/tools/restart_ids.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int join_session(const struct cr_restore_needs *needs, struct cr_err *err)
{
	if (needs->program_sid != needs->program_pid)
		return getsid(0) == needs->program_sid ? 0 : cr_err_set(err, EPERM, "session %d cannot be made again: the process that made it is not in the file; "
									"restart without --restore-sid", needs->program_sid);
	if (getsid(0) == getpid() || setsid() >= 0)
		return 0;
	return cr_err_set(err, errno, "no session can be made: this command leads a process group already; begin it with setsid(1), or add --restore-pid");
}

static int join_group(const struct cr_restore_needs *needs, struct cr_err *err)
{
	bool leads = needs->program_pgid == needs->program_pid;
	int group = leads ? getpid() : needs->program_pgid;

	if (getpgrp() == group || (group && setpgid(0, group) == 0))
		return 0;
	if (!group)
		return cr_err_set(err, EPERM, "the process group was made outside of the program's PID namespace and cannot be joined; restart without --restore-pgid");
	return cr_err_set(err, errno, "process group %d cannot be joined: %s; there must be a process of this session in it, or restart without --restore-pgid", group,
			  strerror(errno));
}

int restart_ids_join(const struct cr_restore_needs *needs, enum cr_restore_ids pgid, enum cr_restore_ids sid, struct cr_err *err)
{
	int rc = 0;

	if ((pgid == CR_IDS_RESTORE || sid == CR_IDS_RESTORE) && (needs->program_pgid < 0 || needs->program_sid < 0))
		return cr_err_set(err, ENODATA, "the file does not say in which process group and session the process was: it is of an earlier version");
	if (sid == CR_IDS_RESTORE)
		rc = join_session(needs, err);
	if (!rc && pgid == CR_IDS_RESTORE)
		rc = join_group(needs, err);
	return rc;
}

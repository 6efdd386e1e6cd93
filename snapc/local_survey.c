/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be known of a process from outside: how much memory of its own it has in the part that a checkpoint saves, and whether it is stopped. Reads /proc; the process is not disturbed. */
#include "libcr/tools/process_memory.h"
#include "libcr/tools/process_stat.h"
#include "snapc/local_private.h"

void snapc_survey(pid_t pid, struct snapc_link_survey *ret_survey)
{
	ret_survey->private_bytes = cr_process_memory(pid);
}

bool snapc_survey_is_stopped(pid_t pid)
{
	struct cr_process_stat st;

	return cr_process_stat(pid, &st) && st.state == 'T';
}

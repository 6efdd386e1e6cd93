/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What can be known of a process from outside: how much memory of its own it has in the part that a checkpoint saves, and whether it is stopped. Reads /proc; the process is not disturbed. */
#include <inttypes.h>
#include <stdio.h>

#include "libcr/cr_layout.h"
#include "libcr/tools/process_stat.h"
#include "snapc/local_private.h"

static uint64_t survey_window_bytes(FILE *smaps)
{
	uint64_t begin, end, kib, total = 0;
	bool inside = false;
	char line[4352];

	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &begin, &end) == 2 && begin < end)
			inside = begin >= CR_WINDOW_BASE && end <= CR_WINDOW_END;
		else if (inside && (sscanf(line, "Anonymous: %" SCNu64 " kB", &kib) == 1 || sscanf(line, "Swap: %" SCNu64 " kB", &kib) == 1))
			total += kib * 1024;
	}
	return total;
}

void snapc_survey(pid_t pid, struct snapc_link_survey *ret_survey)
{
	char path[64];
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	smaps = fopen(path, "re");
	if (!smaps)
		return;
	ret_survey->private_bytes = survey_window_bytes(smaps);
	fclose(smaps);
}

bool snapc_survey_is_stopped(pid_t pid)
{
	struct cr_process_stat st;

	return cr_process_stat(pid, &st) && st.state == 'T';
}

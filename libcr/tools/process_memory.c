/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads /proc/PID/smaps. */
#include "libcr/tools/process_memory.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "libcr/cr_layout.h"

static uint64_t memory_window_bytes(FILE *smaps)
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

uint64_t cr_process_memory(pid_t pid)
{
	uint64_t bytes;
	char path[64];
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	smaps = fopen(path, "re");
	if (!smaps)
		return 0;
	bytes = memory_window_bytes(smaps);
	fclose(smaps);
	return bytes;
}

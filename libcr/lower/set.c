/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is saved together with this process: the state and two questions. */
#include "libcr/lower/set.h"

#include <unistd.h>

struct cr_set cr_set;

bool cr_set_has(int pid)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n; i++)
		if (cr_set.pids[i] == pid)
			return true;
	return false;
}

bool cr_set_left_out(int pid)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n_left; i++)
		if (cr_set.pids[cr_set.n + i] == pid)
			return true;
	return cr_set.active && pid == cr_set.skip;
}

long cr_set_shared(int fd)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n_fds; i++)
		if (cr_set.fds[i].fd == fd)
			return cr_set.fds[i].number;
	return -1;
}

void cr_set_shared_close(void)
{
	for (uint32_t i = 0; i < cr_set.n_shared; i++) {
		if (cr_set.shared[i] >= 0)
			close(cr_set.shared[i]);
		cr_set.shared[i] = -1;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is saved together with this process: the state and two questions. */
#include "libcr/lower/set.h"

struct cr_set cr_set;

bool cr_set_has(int pid)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n; i++)
		if (cr_set.pids[i] == pid)
			return true;
	return false;
}

long cr_set_shared(int fd)
{
	for (uint32_t i = 0; cr_set.active && i < cr_set.n_fds; i++)
		if (cr_set.fds[i].fd == fd)
			return cr_set.fds[i].number;
	return -1;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fault injection beside the ranks: the coordinator itself, mpirun, and the tool that asked. */
#include <event2/bufferevent.h>
#include <signal.h>

#include "snapc/global_private.h"

static void fault_signal(pid_t pid, enum snapc_fault_action action)
{
	if (pid > 1)
		kill(pid, action == SNAPC_FAULT_KILL ? SIGKILL : SIGSTOP);
}

void snapc_global_blow(void *arg, enum snapc_fault_target target, enum snapc_fault_action action)
{
	struct snapc_global *global = arg;
	bool cut = action == SNAPC_FAULT_CUT;

	switch (target) {
	case SNAPC_FAULT_GLOBAL:
		if (cut)
			snapc_fault_cut_network();
		else
			raise(action == SNAPC_FAULT_KILL ? SIGKILL : SIGSTOP);
		return;
	case SNAPC_FAULT_MPIRUN:
		if (!cut)
			fault_signal(global->settings->mpirun_pid, action);
		else if (global->settings->mpirun_fd >= 0)
			shutdown(global->settings->mpirun_fd, SHUT_RDWR);
		return;
	case SNAPC_FAULT_TOOL:
		if (global->client && cut)
			shutdown(bufferevent_getfd(global->client->stream), SHUT_RDWR);
		else if (global->client)
			fault_signal(global->client->pid, action);
		return;
	default:
		return;
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fault injection at a node: what happens to a process of a rank, or to the daemon itself. */
#include <event2/bufferevent.h>
#include <signal.h>

#include "snapc/fault.h"
#include "snapc/local_private.h"
#include "snapc/log.h"

void snapc_local_blow(struct snapc_proc *proc, enum snapc_link_blow blow)
{
	snapc_log(SNAPC_LOG_DEBUG, "fault injection: %u to process %d", (unsigned int)blow, proc ? (int)proc->pid : 0);
	switch (blow) {
	case SNAPC_BLOW_KILL:
	case SNAPC_BLOW_STOP:
		if (proc && proc->pid > 0)
			kill(proc->pid, blow == SNAPC_BLOW_KILL ? SIGKILL : SIGSTOP);
		return;
	case SNAPC_BLOW_CUT:
		if (proc)
			shutdown(bufferevent_getfd(proc->stream), SHUT_RDWR);
		return;
	case SNAPC_BLOW_DAEMON_KILL:
		raise(SIGKILL);
		return;
	case SNAPC_BLOW_DAEMON_STOP:
		raise(SIGSTOP);
		return;
	case SNAPC_BLOW_DAEMON_CUT:
		snapc_fault_cut_network();
		return;
	}
}

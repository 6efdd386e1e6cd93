/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V semaphores and message queues: they belong to no process, and nothing tells who uses them but the number of the one that did so last.
 */
#include "libcr/lower/process_set.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <unistd.h>

#include "libcr/lower/files_set.h"

/* Did this process operate on one of the set's semaphores last? */
static bool used_semaphores(int id, int n)
{
	for (int i = 0; i < n; i++)
		if (semctl(id, i, GETPID) == getpid())
			return true;
	return false;
}

static void check_semaphores(struct cr_process_refusals *refusals)
{
	FILE *f = cr_file_fopen_high("/proc/sysvipc/sem", cr_process_floor());
	char line[256];
	int key, id, n;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%d %d %*o %d", &key, &id, &n) == 3 && used_semaphores(id, n))
			cr_process_refuse(refusals, "System V semaphore set %d (key %#x) was last used by this process, and whether it is used by this process alone cannot be told; remove it (IPC_RMID) before the checkpoint",
					  id, (unsigned int)key);
	}
	if (f)
		fclose(f);
}

static void check_queues(struct cr_process_refusals *refusals)
{
	FILE *f = cr_file_fopen_high("/proc/sysvipc/msg", cr_process_floor());
	int key, id, sender, receiver;
	char line[256];

	/* key msqid perms cbytes qnum lspid lrpid ... */
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%d %d %*o %*u %*u %d %d", &key, &id, &sender, &receiver) == 4 && (sender == getpid() || receiver == getpid()))
			cr_process_refuse(refusals, "System V message queue %d (key %#x) was last used by this process, and whether it is used by this process alone cannot be told; remove it (IPC_RMID) before the checkpoint",
					  id, (unsigned int)key);
	}
	if (f)
		fclose(f);
}

void cr_process_check_ipc(struct cr_process_refusals *refusals)
{
	check_semaphores(refusals);
	check_queues(refusals);
}

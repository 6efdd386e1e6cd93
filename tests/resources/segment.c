/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System V shared memory that nobody else has attached: one segment that is removed when its last user goes, attached twice; one that stays, under its number.
 */
#include <sys/ipc.h>
#include <sys/shm.h>

#include "resource.h"

#define BYTES 10000

static int stays;
static volatile char *doomed_map, *again_map, *stays_map;

static void leave(void)
{
	shmctl(stays, IPC_RMID, NULL);
}

static void setup(void)
{
	int doomed = shmget(IPC_PRIVATE, BYTES, 0600);

	CHECK(doomed >= 0 && (doomed_map = shmat(doomed, NULL, 0)) != (void *)-1 && (again_map = shmat(doomed, NULL, SHM_RDONLY)) != (void *)-1);
	CHECK(shmctl(doomed, IPC_RMID, NULL) == 0);
	doomed_map[5000] = 'd';
	CHECK((stays = shmget(IPC_PRIVATE, BYTES, 0640)) >= 0 && atexit(leave) == 0 && (stays_map = shmat(stays, NULL, 0)) != (void *)-1);
	stays_map[9000] = 's';
}

static void verify(void)
{
	struct shmid_ds ds;

	CHECK(doomed_map[5000] == 'd' && again_map[5000] == 'd' && doomed_map[4999] == 0);
	doomed_map[1] = 'x';
	CHECK(again_map[1] == 'x');
	doomed_map[1] = 0;
	CHECK(stays_map[9000] == 's' && stays_map[1] == 0);
	CHECK(shmctl(stays, IPC_STAT, &ds) == 0 && ds.shm_segsz == BYTES && ds.shm_nattch == 1 && (ds.shm_perm.mode & 0777) == 0640);
	CHECK(shmdt((const void *)stays_map) == 0 && shmat(stays, (const void *)stays_map, 0) == (const void *)stays_map && stays_map[9000] == 's');
	stays_map[1] = 'y'; /* what is written after a checkpoint is not there after a restart from it */
	stays_map[1] = 0;
}

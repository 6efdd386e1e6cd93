/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payloads of the IPC_QUEUE, IPC_SEMAPHORES and IPC_PROCESS records: System V objects; of SHM_FILE and SHM_DATA: POSIX shared memory.  docs/context-file-format.md, section 10.
 */
#ifndef CR_IMAGE_IPC_PAYLOAD_H
#define CR_IMAGE_IPC_PAYLOAD_H

#include <stdint.h>

/* What both kinds have. */
struct cr_ipc_head {
	int32_t id;
	int32_t key;
	uint32_t mode; /* the nine bits of permission */
	uint32_t uid, gid, cuid, cgid;
	int32_t saver_pid; /* the process that was saved, or the first of them: it must have ended before a restart takes the object again */
	uint64_t saver_start; /* when that began, in clock ticks since the machine was started */
};

/* Followed by n_messages times struct cr_ipc_message with its text, oldest first. */
struct cr_ipc_queue_payload {
	struct cr_ipc_head head;
	uint64_t qbytes; /* msg_qbytes */
	uint32_t n_messages;
	uint32_t reserved; /* 0 */
};

/* Followed by @bytes of text, and zero bytes up to a multiple of 8. */
struct cr_ipc_message {
	int64_t type;
	uint32_t bytes;
	uint32_t reserved; /* 0 */
};

/* Followed by n values (u32 each). */
struct cr_ipc_semaphores_payload {
	struct cr_ipc_head head;
	uint32_t n;
	uint32_t reserved; /* 0 */
};

/* IPC_PROCESS is an array of these: what one process has to do with one semaphore. */
struct cr_ipc_process_item {
	int32_t id, number;
	int32_t undo;  /* what its end adds to the value (SEM_UNDO) */
	uint32_t last; /* 1: it operated on it last (GETPID) */
};

/* Followed by the absolute path with its zero byte. */
struct cr_shm_file_payload {
	uint32_t mode; /* without the type */
	uint32_t uid, gid;
	uint32_t path_bytes;
	uint64_t size;
	uint64_t reserved; /* 0 */
};

/* Followed by @bytes of content; what no record covers is zero. */
struct cr_shm_data_payload {
	uint64_t offset, bytes;
	uint64_t reserved; /* 0 */
};

#define CR_IPC_QUEUE_MAX_BYTES (1UL << 30)
#define CR_IPC_SEMAPHORES_MAX 1000000u

_Static_assert(sizeof(struct cr_ipc_head) == 40 && sizeof(struct cr_ipc_queue_payload) == 56 && sizeof(struct cr_ipc_message) == 16 &&
		       sizeof(struct cr_ipc_semaphores_payload) == 48 && sizeof(struct cr_ipc_process_item) == 16 &&
		       sizeof(struct cr_shm_file_payload) == 32 && sizeof(struct cr_shm_data_payload) == 24,
	       "IPC payloads are part of the format");

#endif

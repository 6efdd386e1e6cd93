/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Payload of the TREE record: the processes of a context file that holds several.  docs/context-file-format.md, section 9.
 *
 * Ids are those that the program knows. Processes come in an order in which every parent is before its children.
 */
#ifndef CR_IMAGE_TREE_PAYLOAD_H
#define CR_IMAGE_TREE_PAYLOAD_H

#include <stdint.h>

#define CR_TREE_MAX 4096u

enum cr_tree_state {
	CR_TREE_RUNS = 1,  /* saved in part @part */
	CR_TREE_ENDED = 2, /* has ended and was not waited for: @status */
};

#define CR_TREE_F_COORDINATED 1u /* it was connected to the coordinator of the job */

/* Followed by n_processes times struct cr_tree_process. */
struct cr_tree_payload {
	uint32_t n_processes;
	uint32_t n_shared;   /* open file descriptions in part 0; its FILE record N has the one descriptor CR_TREE_FIRST_FD + N */
	int32_t foreground;  /* process group in the foreground of the controlling terminal, when it is one of the processes'; else 0 */
	uint32_t reserved;   /* 0 */
};

#define CR_TREE_FIRST_FD 3

struct cr_tree_process {
	uint32_t state;  /* enum cr_tree_state */
	uint32_t flags;  /* CR_TREE_F_* */
	uint32_t parent; /* index of the parent + 1; 0: none of these */
	uint32_t part;   /* RUNS: number of the PART record; ENDED: 0 */
	int32_t pid, ppid, pgid, sid;
	int32_t status;  /* ENDED: as wait(2) gives it */
	char name[16];
	uint32_t reserved[3]; /* 0 */
};

_Static_assert(sizeof(struct cr_tree_payload) == 16 && sizeof(struct cr_tree_process) == 64, "TREE payload is part of the format");

#endif

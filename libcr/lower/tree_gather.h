/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What gathering from the members of a set has: shared by tree_gather.c (a checkpoint: all stand still) and tree_check.c (a question: all run). */
#ifndef CR_TREE_GATHER_H
#define CR_TREE_GATHER_H

#include "libcr/lower/files_set.h"
#include "libcr/lower/tree.h"

/* A copy: descriptor @fd of member @owner. */
struct cr_gather_copy {
	int here, fd;
	uint32_t owner;
};

struct cr_gather {
	struct cr_lead_member *members;
	unsigned int n;
	unsigned int n_left;
	int skip;
	uint32_t checkpoint;
	struct cr_gathered *ret;
	struct cr_err *err;
	int rc;

	const int32_t *pids;
	struct cr_gather_copy *copies;
	unsigned int n_copies;
	char *buf; /* CR_MSG_MAX_BYTES */
	bool live; /* nobody stands still, and a member knows nothing of a set */
	int named; /* the member whose descriptor a refusal named last; -1 none */
};

/* All members' descriptors and words about themselves, on a thread with a descriptor table of its own. 0, -ESTALE: one has ended, or -errno. */
int cr_gather_ask(struct cr_gather *g);
/* The set of the copies, and who each of them comes from (malloc'ed, by its number here). */
int cr_gather_files(struct cr_gather *g, bool stopped, struct cr_file_set **ret, uint32_t **ret_owner);
/* What member @index is to be told: *ret is malloc'ed. */
int cr_gather_shares(struct cr_gather *g, uint32_t index, const struct cr_file_set *set, struct cr_msg_share **ret, uint32_t *ret_n);
/* For cr_file_refusals: whose descriptor it is. */
void cr_gather_name(void *arg, int fd, char *ret_text, size_t bytes);
/* The TREE record, in @g->ret; a reason against it names the process. */
int cr_gather_table(struct cr_gather *g);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A lower library for unit tests: one process that sends messages to itself, with posted and unexpected queues as a real library has
 * them, and a gate at its address. fake_lower_lose() is what a restart does: every real object is gone.
 */
#ifndef TEST_MATCH_LOWER_H
#define TEST_MATCH_LOWER_H

#include "crcp/upper/p2p/p2p.h"

struct fake_lower {
	int isends, irecvs, notifies, tests;
	const char *nocr; /* reason against a checkpoint */
	int synchronous; /* sends complete only when they are matched */
	void (*on_progress)(void); /* called by every Test and Iprobe: another thread's doing */
};
extern struct fake_lower fake;

void fake_lower_init(void);
void fake_lower_lose(void);
void fake_comm_init(struct crcp_comm *c, uint64_t clock_id); /* of this process alone, but with a clock as if of two */
int fake_lower_unexpected(void);
int fake_lower_posted(void);

#endif

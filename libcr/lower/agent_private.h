/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The agent's state, shared by its two files: agent.c (connections, the loop) and agent_checkpoint.c (the phases of one checkpoint). */
#ifndef CR_AGENT_PRIVATE_H
#define CR_AGENT_PRIVATE_H

#include "cr_proto.h"
#include "libcr/lower/lower.h"

#define CR_AGENT_CONN_MAX 8

enum cr_agent_phase { IDLE, SECTIONS, CALLBACKS, MEMBERS, CONVERGE, STOP, ARRIVED, DRAIN, DRAINED, SIGNALS, MEMBERS_FREEZE, FROZEN, MEMBERS_DUMP, SNAPPED };

struct cr_agent {
	int listen_fd;
	uint64_t accept_after_ns;         /* a connection could not be taken: not before this time again; 0 none */
	int conn[CR_AGENT_CONN_MAX];      /* [0] is snapcd's; -1 none */
	uint64_t reconnect_ns;   /* when snapcd is tried again; 0: not */
	unsigned reconnects;     /* trials since it last said something */
	int owner;               /* index of the connection whose checkpoint is under way, or -1 */
	uint32_t checkpoint;
	uint32_t threads; /* that are frozen */
	enum cr_agent_phase phase;
	bool frozen;
	struct cr_dump dump;
	bool dumping;
	uint64_t stop_begin_ns, freeze_begin_ns, stopped_ns;
	int stop_pause_ms;
	uint64_t callbacks_end_ns; /* deadline of the callbacks' phases */
	uint64_t callbacks_limit_ns;
	int callbacks_outcome;   /* what cr_checkpoint() is to answer when this checkpoint is given up */
	struct cr_msg_begin begin;
	uint64_t silence_end_ns; /* of the owner, while a checkpoint is under way */
	uint32_t mpi_ready;      /* last state told to snapcd */
	char *buf;               /* CR_MSG_MAX_BYTES */
	volatile uint32_t running;
};

extern struct cr_agent cr_agent;

/* The MPI layer's board while the rank is between MPI_Init and MPI_Finalize, else NULL. */
struct cr_board *cr_agent_board(void);
/* Of MPI_COMM_WORLD, as whoever started this process has it in the environment; -1: none. */
int cr_agent_rank(void);
void cr_agent_dump_kill(void);
void cr_agent_resume(void);
/* RESUMED is said, the process stopped; returns when SIGCONT has come and the program runs. */
void cr_agent_resume_stopped(void);
void cr_agent_failed(uint32_t phase, int error, const char *text);
void cr_agent_board_look(void);
void cr_agent_begin(int index, const struct cr_msg_begin *m);
void cr_agent_stop(void);
void cr_agent_freeze(void);
void cr_agent_dump(struct cr_msg_dump *m);
void cr_agent_dump_result(void);
void cr_agent_exit(const struct cr_msg_exit *m);
void cr_agent_give(int index, const struct cr_msg_give *m, size_t bytes);
void cr_agent_order(uint32_t order);
void cr_agent_tell(uint32_t type, const void *payload, size_t bytes);
void cr_agent_permit(const struct cr_msg_permit *m);
/* The leader of a set: all others have come so far too. */
void cr_agent_tree_ready(void);
void cr_agent_tree_frozen(void);
void cr_agent_tree_snapped(void);

/* agent_check.c */
struct cr_agent_text {
	char *buf;
	size_t used, room;
};
void cr_agent_text_add(void *arg, const char *reason); /* struct cr_agent_text */
/*
 * What stands against a checkpoint of a program that runs. @family: of a rank, with its children, whom a shell makes and loses at any moment: what needs
 * to know them is looked at in the checkpoint, and what was seen while one came or went is looked at again.
 */
int cr_agent_check_running(bool family, struct cr_agent_text *t);
int cr_agent_peer(int index); /* who asks; never saved itself */
void cr_agent_check(int index);
void cr_agent_check_set(int index, uint32_t flags);
void cr_agent_check_member(int index, const struct cr_msg_give *m, size_t bytes);

/* agent_callbacks.c */
/* Does the program have callbacks that may change what stands against a checkpoint? */
bool cr_agent_callbacks_registered(void);
bool cr_agent_callbacks_in_signals(void); /* in signal context */
/* BEGIN was received (in cr_agent.begin): true when there is something to wait for; cr_agent_ready() follows, or cr_agent_failed(). */
bool cr_agent_callbacks_begin(void);
/* FREEZE was received: likewise, with cr_agent_freeze_now(). */
bool cr_agent_callbacks_signal(void);
/* Look at the places, the critical sections and the deadline, and do what is due. */
void cr_agent_callbacks_look(void);
/* The checkpoint is over: the callbacks go on, with this outcome. */
void cr_agent_callbacks_resume(int outcome);
void cr_agent_ready(void);
void cr_agent_freeze_now(void);

#endif

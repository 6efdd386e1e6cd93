/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a checkpoint share: checkpoint.c (life, failure, undo), checkpoint_phases.c (the table), checkpoint_quiesce.c
 * (the cut and the drain), checkpoint_message.c (what ranks say), checkpoint_commit.c (the child that makes it valid).
 */
#ifndef SNAPC_CHECKPOINT_PRIVATE_H
#define SNAPC_CHECKPOINT_PRIVATE_H

#include <limits.h>
#include <sys/types.h>

#include "snapc/checkpoint.h"
#include "snapc/cut.h"
#include "snapc/snapshot.h"
#include "snapc/wire.h"

struct event;

/* A rank that takes part, and how far it has come. */
struct snapc_part {
	struct snapc_member member;
	bool alive;
	bool surveyed;
	bool checked;
	bool begun;
	bool arrived;
	bool drained;
	bool frozen;
	bool snapped;
	bool dumped;
	uint32_t resumes;  /* RESUMEs sent */
	uint32_t resumed;  /* RESUMEDs received */
	struct snapc_link_survey survey;
	struct cr_msg_drained in_flight;
	struct cr_msg_frozen freeze;
	struct cr_msg_dumped file;
	uint64_t stopped_ns;
	struct snapc_rank_times times;
};

enum snapc_quiesce_step {
	SNAPC_QUIESCE_CONVERGE,
	SNAPC_QUIESCE_ARRIVE,
	SNAPC_QUIESCE_DRAIN,
	SNAPC_QUIESCE_AGAIN, /* resuming everybody to begin anew */
};

struct snapc_phase_times {
	uint64_t begin_ns; /* CLOCK_REALTIME */
	uint64_t end_ns;
};

struct snapc_checkpoint {
	const struct snapc_checkpoint_world *world;
	struct snapc_checkpoint_options options;
	struct snapc_checkpoint_client client;
	struct snapc_part *parts;
	uint32_t np;
	uint32_t number;
	uint64_t begin_ns; /* CLOCK_MONOTONIC */

	enum snapc_phase_id phase;
	bool started;  /* the first phase has begun */
	bool undoing;
	bool orphan;
	bool finished;
	int rc;
	struct cr_err err;
	struct snapc_phase_times times[SNAPC_PHASE_COUNT];
	struct event *kick;     /* begin, or look again whether a phase is done */
	struct event *deadline; /* of the phase, or of the undo */
	struct event *overall;
	struct event *alive;    /* the ranks hear that there is a coordinator */

	/* quiesce */
	enum snapc_quiesce_step step;
	struct snapc_cut *cut;
	struct event *cut_wake;
	struct event *arrive_wake;
	uint32_t attempts;

	/* request, dump, commit */
	bool refused;          /* a rank gave a reason */
	bool refused_for_good; /* ... that does not pass by itself */
	bool have_seq;
	bool resume_sent;
	char dir[PATH_MAX];
	uint32_t seq;
	pid_t child;
	int child_fd;
	struct event *child_event;
	bool committed;
	bool terminated;
};

/* One row of the phase table. */
struct snapc_phase_row {
	int (*start)(struct snapc_checkpoint *c, struct cr_err *err);
	bool (*done)(const struct snapc_checkpoint *c);
	void (*undo)(struct snapc_checkpoint *c);
	void (*late)(const struct snapc_checkpoint *c, struct cr_err *err); /* who missed the deadline */
};

extern const struct snapc_phase_row snapc_phase_rows[SNAPC_PHASE_COUNT];

uint64_t snapc_monotonic_ns(void);
uint64_t snapc_realtime_ns(void);

/* checkpoint.c */
void snapc_checkpoint_send(struct snapc_checkpoint *c, uint32_t rank, uint32_t type, const void *payload, uint32_t bytes);
void snapc_checkpoint_send_all(struct snapc_checkpoint *c, uint32_t type, const void *payload, uint32_t bytes);
void snapc_checkpoint_ask(struct snapc_checkpoint *c, uint32_t rank, uint32_t kind);
__attribute__((format(printf, 3, 4))) void snapc_checkpoint_fail(struct snapc_checkpoint *c, int code, const char *fmt, ...);
void snapc_checkpoint_advance(struct snapc_checkpoint *c);
/* Every living rank for which the flag at @offset of struct snapc_part is set. */
bool snapc_checkpoint_all(const struct snapc_checkpoint *c, size_t offset);
bool snapc_checkpoint_all_resumed(const struct snapc_checkpoint *c);
/* "rank 3, rank 5 (host n1, process 77)": those whose flag is not set. */
void snapc_checkpoint_missing(const struct snapc_checkpoint *c, size_t offset, char *text, size_t bytes);
void snapc_checkpoint_resume_all(struct snapc_checkpoint *c);
void snapc_checkpoint_progress(struct snapc_checkpoint *c, const char *state);

/* checkpoint_fault.c */
void snapc_checkpoint_inject(struct snapc_checkpoint *c);
bool snapc_checkpoint_suppressed(const struct snapc_checkpoint *c, uint32_t rank, uint32_t type);

/* checkpoint_quiesce.c */
int snapc_quiesce_start(struct snapc_checkpoint *c, struct cr_err *err);
bool snapc_quiesce_done(const struct snapc_checkpoint *c);
void snapc_quiesce_late(const struct snapc_checkpoint *c, struct cr_err *err);
void snapc_quiesce_look(struct snapc_checkpoint *c);
void snapc_quiesce_clocks(struct snapc_checkpoint *c, uint32_t rank, const struct snapc_wire_msg *msg);
void snapc_quiesce_end(struct snapc_checkpoint *c);

/* checkpoint_commit.c */
int snapc_commit_start(struct snapc_checkpoint *c, struct cr_err *err);
bool snapc_commit_done(const struct snapc_checkpoint *c);
void snapc_commit_undo(struct snapc_checkpoint *c);

#endif

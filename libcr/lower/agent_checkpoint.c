/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One checkpoint as the agent lives it: what each message of the coordinator starts, what the MPI layer's board answers, and the way back to
 * running from every phase.
 *
 * Context: agent thread.
 */
#include "libcr/lower/agent_private.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/message.h"

#define STOP_RETRY_MIN_MS 1
#define CLOCK_MAX (CR_MSG_MAX_BYTES / sizeof(struct cr_msg_clock) - 4)

struct cr_board *cr_agent_board(void)
{
	struct cr_board *b = CR_GATE->board;

	return b && b->state != CR_RANK_OUTSIDE ? b : NULL;
}

void cr_agent_order(uint32_t order)
{
	struct cr_board *b = CR_GATE->board;

	if (!b)
		return;
	__atomic_store_n(&b->order, order, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &b->order, FUTEX_WAKE, 0x7fffffff);
	cr_sys3(SYS_futex, &b->order, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

void cr_agent_tell(uint32_t type, const void *payload, size_t bytes)
{
	if (cr_agent.owner >= 0)
		cr_message_send(cr_agent.conn[cr_agent.owner], type, cr_agent.checkpoint, payload, bytes);
}

void cr_agent_dump_kill(void)
{
	int status;

	if (!cr_agent.dumping)
		return;
	if (cr_agent.dump.pid > 0) {
		kill(cr_agent.dump.pid, SIGKILL);
		while (waitpid(cr_agent.dump.pid, &status, __WALL) < 0 && errno == EINTR)
			;
	}
	close(cr_agent.dump.fd);
	close(cr_agent.dump.result_fd);
	unlink(cr_agent.dump.path);
	cr_agent.dumping = false;
}

/* Back to running, from whatever phase. */
void cr_agent_resume(void)
{
	int outcome = cr_agent.phase == SNAPPED ? 0 : cr_agent.callbacks_outcome;

	cr_agent_order(CR_ORDER_RUN);
	if (cr_agent.frozen) {
		cr_thaw();
		cr_agent.stopped_ns = cr_now_ns() - cr_agent.freeze_begin_ns;
		cr_agent.frozen = false;
	} else {
		cr_lower.stop_mode = CR_STOP_NONE;
	}
	if (cr_agent.phase != IDLE)
		cr_agent_callbacks_resume(outcome);
	cr_agent.phase = IDLE;
	cr_agent_callbacks_look();
}

void cr_agent_failed(uint32_t phase, int error, const char *text)
{
	struct cr_msg_failed f = { .phase = phase, .error = error < 0 ? -error : error };

	snprintf(f.text, sizeof(f.text), "%s", text);
	cr_agent_resume();
	cr_agent_tell(CR_MSG_FAILED, &f, sizeof(f));
}

struct text {
	char *buf;
	size_t used, room;
};

static void text_add(void *arg, const char *reason)
{
	struct text *t = arg;
	int n = snprintf(t->buf + t->used, t->room - t->used, "%s%s", t->used ? "\n" : "", reason);

	if (n > 0)
		t->used = t->used + (size_t)n < t->room ? t->used + (size_t)n : t->room - 1;
}

/* Reasons that pass by themselves end with these words: EAGAIN when there is no other. */
static int refusal_code(const char *reasons)
{
	static const char passing[] = "try again";

	while (*reasons) {
		size_t n = strcspn(reasons, "\n");

		/* One is enough: the others may be of the same passing state. */
		if (n >= sizeof(passing) - 1 && memcmp(reasons + n - (sizeof(passing) - 1), passing, sizeof(passing) - 1) == 0)
			return EAGAIN;
		reasons += n + (reasons[n] == '\n');
	}
	return ENOTSUP;
}

/* @first: the report that answers BEGIN. Only what it shows as entered is remembered in the clock (cr_board.h, reported). */
static void send_clocks(bool first)
{
	struct cr_msg_clocks head = { .state = CR_RANK_RUNNING };
	struct cr_msg_clock *c = (void *)cr_agent.buf;
	struct cr_board *b = cr_agent_board();

	if (b) {
		uint32_t slots = b->clock_slots;

		head.state = b->state;
		head.asking = b->asking;
		head.ask_clock = b->ask_clock;
		head.ask_count = b->ask_count;
		for (uint32_t i = 0; i < slots && head.n < CLOCK_MAX; i++) {
			struct cr_clock *k = &b->clocks[i];
			uint64_t id = k->id, count = k->count;

			if (!id || k->size < 2)
				continue;
			c[head.n++] = (struct cr_msg_clock){ .id = id, .count = count, .size = k->size };
			/* What the coordinator takes for entered; an increment that is being asked for is not. */
			if (first)
				k->reported = (uint32_t)(head.asking && head.ask_clock == id ? count - 1 : count);
		}
	}
	if (cr_agent.owner >= 0)
		cr_message_send2(cr_agent.conn[cr_agent.owner], CR_MSG_CLOCKS, cr_agent.checkpoint, &head, sizeof(head), c, head.n * sizeof(*c));
}

/* Forward what the board says, when it is time for it. */
void cr_agent_board_look(void)
{
	struct cr_board *b = cr_agent_board();
	/* A rank that was not scheduled since the last checkpoint still shows the state it had then. */
	bool mine = b && b->served == cr_agent.checkpoint;

	switch (cr_agent.phase) {
	case CONVERGE:
		send_clocks(false);
		break;
	case STOP:
		if (!b || (mine && b->state == CR_RANK_ARRIVED)) {
			cr_lower.stop_mode = CR_STOP_NONE;
			cr_agent.phase = ARRIVED;
			cr_agent_tell(CR_MSG_ARRIVED, NULL, 0);
		}
		break;
	case DRAIN:
		if (b && mine && b->state == CR_RANK_FAILED) {
			char text[sizeof(b->error_text) + 32];

			snprintf(text, sizeof(text), "message drain: %.255s", b->error_text);
			cr_agent_failed(CR_MSG_DRAIN, EIO, text);
		} else if (!b || (mine && b->state == CR_RANK_DRAINED)) {
			struct cr_msg_drained d = { b ? b->drained_messages : 0, b ? b->drained_bytes : 0 };

			cr_agent.phase = DRAINED;
			cr_agent_tell(CR_MSG_DRAINED, &d, sizeof(d));
		}
		break;
	default:
		break;
	}
	if (cr_agent.conn[0] >= 0 && cr_agent.mpi_ready != (b != NULL)) {
		const struct cr_board *now = CR_GATE->board;
		struct cr_msg_mpi_state m = { .ready = b != NULL };

		cr_agent.mpi_ready = b != NULL;
		if (now) {
			m.rank = now->world_rank;
			m.size = now->world_size;
			m.thread_level = now->thread_level;
		}
		cr_message_send(cr_agent.conn[0], CR_MSG_MPI_STATE, 0, &m, sizeof(m));
	}
}

void cr_agent_begin(int index, const struct cr_msg_begin *m)
{
	if (cr_agent.owner >= 0 && (cr_agent.phase != IDLE || (cr_agent.dumping && cr_agent.owner != index))) {
		struct cr_msg_failed f = { .phase = CR_MSG_BEGIN, .error = EBUSY, .text = "another checkpoint of this process is under way" };

		cr_message_send(cr_agent.conn[index], CR_MSG_FAILED, m->checkpoint, &f, sizeof(f));
		return;
	}
	cr_agent_dump_kill();
	cr_agent.owner = index;
	cr_agent.checkpoint = m->checkpoint;
	cr_agent.stopped_ns = 0;
	cr_agent.begin = *m;
	if (!cr_agent_callbacks_begin())
		cr_agent_ready();
}

/* The callbacks in thread context have arrived, if there are any: what stands against a checkpoint is as they have left it. */
void cr_agent_ready(void)
{
	char reasons[CR_TEXT_BYTES];
	struct text t = { reasons, 0, sizeof(reasons) };

	reasons[0] = '\0';
	if (!cr_agent_callbacks_in_signals() && cr_dump_check(cr_agent.dumping ? cr_agent.dump.pid : 0, text_add, &t)) {
		cr_agent_failed(CR_MSG_BEGIN, refusal_code(reasons), reasons);
		return;
	}
	cr_agent.phase = CONVERGE;
	if (cr_agent_board()) {
		CR_GATE->board->permit_clock = 0;
		cr_agent_order(CR_ORDER_CONVERGE);
	}
	send_clocks(true);
}

void cr_agent_stop(void)
{
	struct cr_board *b = cr_agent_board();

	cr_agent.stop_begin_ns = cr_now_ns();
	cr_agent.phase = STOP;
	if (b) {
		b->attempt = cr_agent.checkpoint;
		cr_agent.stop_pause_ms = STOP_RETRY_MIN_MS;
		cr_agent_order(CR_ORDER_STOP);
		cr_stop_client_signal();
	}
	cr_agent_board_look();
}

/* What callbacks in signal context take away counts too: those processes are asked again when they are frozen. */
void cr_agent_freeze(void)
{
	if (!cr_agent_callbacks_signal())
		cr_agent_freeze_now();
}

void cr_agent_freeze_now(void)
{
	const char *limit = getenv("OMPI_CR_TIMEOUT_FREEZE");
	struct cr_msg_frozen f = { .stop_begin_ns = cr_agent.stop_begin_ns };
	struct cr_err err = { "" };
	char reasons[CR_TEXT_BYTES];
	struct text t = { reasons, 0, sizeof(reasons) };
	uint64_t seconds = limit && atoi(limit) > 0 ? (uint64_t)atoi(limit) : 30;
	int n;

	cr_agent.freeze_begin_ns = cr_now_ns();
	n = cr_freeze(cr_agent.freeze_begin_ns + seconds * 1000000000UL, &err);
	if (n < 0) {
		cr_agent_failed(CR_MSG_FREEZE, n, err.text);
		return;
	}
	cr_agent.frozen = true;
	cr_agent.phase = FROZEN;
	/* What the program began after it was asked: now nothing moves any more. */
	reasons[0] = '\0';
	if (cr_agent_callbacks_in_signals() ? cr_dump_check(0, text_add, &t) : cr_nocr_list(text_add, &t)) {
		cr_agent_failed(CR_MSG_FREEZE, refusal_code(reasons), reasons);
		return;
	}
	f.frozen_ns = cr_now_ns();
	f.threads = (uint32_t)n;
	cr_agent_tell(CR_MSG_FROZEN, &f, sizeof(f));
}

void cr_agent_dump(struct cr_msg_dump *m)
{
	struct cr_err err = { "" };
	int rc;

	m->path[sizeof(m->path) - 1] = '\0';
	rc = cr_dump_start(&cr_agent.dump, m->path, m->flags, &err);
	if (rc) {
		cr_agent_failed(CR_MSG_DUMP, rc, err.text);
		return;
	}
	cr_agent.dumping = true;
	cr_agent.phase = SNAPPED;
	cr_agent_tell(CR_MSG_SNAPPED, NULL, 0);
}

void cr_agent_dump_result(void)
{
	struct cr_dump_result r;
	struct cr_err err = { "" };
	struct cr_msg_dumped d;
	int rc = cr_dump_finish(&cr_agent.dump, &r, &err);

	cr_agent.dumping = false;
	if (rc) {
		cr_agent_failed(CR_MSG_DUMP, rc, err.text);
		return;
	}
	d = (struct cr_msg_dumped){ r.file_bytes, r.pages, r.checksum, cr_now_ns() - cr_agent.dump.begin_ns };
	cr_agent_tell(CR_MSG_DUMPED, &d, sizeof(d));
}

void cr_agent_exit(const struct cr_msg_exit *m)
{
	if (m->status < 0) {
		struct cr_ksigaction dfl = { 0 };
		uint64_t mask = 1UL << (-m->status - 1);

		cr_sys4(SYS_rt_sigaction, -m->status, &dfl, 0, 8);
		cr_sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, 0, 8);
		cr_sys2(SYS_kill, getpid(), -m->status);
	}
	cr_sys1(SYS_exit_group, m->status < 0 ? 128 - m->status : m->status);
}

void cr_agent_check(int index)
{
	struct text t = { cr_agent.buf, 0, CR_MSG_MAX_BYTES };

	cr_agent.buf[0] = '\0';
	/* A coordinator that asks before it begins: what callbacks may take away does not count yet. */
	if (index == 0 && cr_agent_callbacks_registered())
		cr_nocr_list(text_add, &t);
	else
		cr_dump_check(cr_agent.dumping ? cr_agent.dump.pid : 0, text_add, &t);
	cr_message_send(cr_agent.conn[index], CR_MSG_CHECK_REPLY, 0, cr_agent.buf, t.used);
}

/* What the coordinator grants: enter (clock, count). */
void cr_agent_permit(const struct cr_msg_permit *m)
{
	struct cr_board *b = CR_GATE->board;

	if (!b)
		return;
	b->permit_count = m->count;
	for (uint32_t i = 0; i < b->clock_slots; i++)
		if (b->clocks[i].id == m->clock)
			b->clocks[i].reported = (uint32_t)m->count;
	__atomic_store_n(&b->permit_clock, m->clock, __ATOMIC_SEQ_CST);
}

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
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/message.h"
#include "libcr/lower/set.h"
#include "libcr/lower/tree.h"

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
	int outcome = cr_agent.phase >= MEMBERS_DUMP ? 0 : cr_agent.callbacks_outcome;

	cr_agent_order(CR_ORDER_RUN);
	if (cr_agent.frozen) {
		cr_thaw();
		cr_agent.stopped_ns = cr_now_ns() - cr_agent.freeze_begin_ns;
		cr_agent.frozen = false;
	} else {
		cr_lower.stop_mode = CR_STOP_NONE;
	}
	if (cr_agent.phase != IDLE) {
		cr_lead_resume();
		cr_agent_callbacks_resume(outcome);
		cr_member_clear();
	}
	cr_agent.phase = IDLE;
	cr_agent_callbacks_look();
}

/* In a process of its own that shares our memory, while this thread waits in the kernel: whoever has got the answer may send SIGCONT, so SIGSTOP
 * must have been sent before it; and nothing of ours, nor of the program, must run between the two. */
static int stop_and_tell(void *arg)
{
	struct cr_msg_resumed r = { .stopped_ns = cr_now_ns() - cr_agent.freeze_begin_ns };
	int pid = *(const int *)arg;

	cr_lead_signal(SIGSTOP);
	if (cr_sys2(SYS_kill, pid, SIGSTOP) == 0)
		cr_agent_tell(CR_MSG_RESUMED, &r, sizeof(r));
	return 0;
}

void cr_agent_resume_stopped(void)
{
	static char stack[16384] __attribute__((aligned(16)));
	int pid = getpid(), child = clone(stop_and_tell, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | CLONE_FILES, &pid);

	if (child < 0) {
		cr_agent_failed(CR_MSG_RESUME, errno, "saved, but cannot be stopped: clone");
		return;
	}
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
	cr_lead_signal(SIGCONT);
	cr_agent_resume();
}

void cr_agent_failed(uint32_t phase, int error, const char *text)
{
	struct cr_msg_failed f = { .phase = phase, .error = error < 0 ? -error : error };

	snprintf(f.text, sizeof(f.text), "%s", text);
	cr_agent_resume();
	cr_agent_tell(CR_MSG_FAILED, &f, sizeof(f));
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
			uint32_t size = k->size & ~CR_CLOCK_OBJECT;

			if (!id || size < 2)
				continue;
			c[head.n++] = (struct cr_msg_clock){ .id = id, .count = count, .size = size, .flags = size != k->size ? CR_MSG_CLOCK_OBJECT : 0 };
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

#define SEVERAL (CR_BEGIN_TREE | CR_BEGIN_FAMILY | CR_BEGIN_GROUP | CR_BEGIN_SESSION)

void cr_agent_begin(int index, const struct cr_msg_begin *m)
{
	bool writing = cr_agent.dumping || cr_lead_active(), several;
	struct cr_err err = { "" };
	int rc = 0;

	if (cr_agent.owner >= 0 && (cr_agent.phase != IDLE || (writing && cr_agent.owner != index))) {
		struct cr_msg_failed f = { .phase = CR_MSG_BEGIN, .error = EBUSY, .text = "another checkpoint of this process is under way" };

		cr_message_send(cr_agent.conn[index], CR_MSG_FAILED, m->checkpoint, &f, sizeof(f));
		return;
	}
	cr_agent_dump_kill();
	cr_lead_abandon();
	cr_agent.owner = index;
	cr_agent.checkpoint = m->checkpoint;
	cr_agent.stopped_ns = 0;
	cr_agent.begin = *m;
	if (m->silence_s)
		cr_agent.silence_end_ns = cr_now_ns() + m->silence_s * 1000000000UL;
	/* A rank without a family is saved alone, unless it gets one before it is frozen. */
	several = m->flags & CR_BEGIN_FAMILY ? cr_procs_family() : m->flags & SEVERAL;
	if (several)
		rc = cr_lead_begin(m, cr_agent_peer(index), &err);
	else if (m->flags & CR_BEGIN_TRACE)
		rc = cr_traced_mark(m->flags, &(struct cr_proc){ .pid = getpid() }, 1, &err);
	if (rc < 0) {
		cr_agent_failed(CR_MSG_BEGIN, rc, err.text);
		return;
	}
	/* What needs to know the others is looked at when all are frozen. */
	cr_set.gathering = several || m->flags & CR_BEGIN_MEMBER;
	if (!cr_agent_callbacks_begin())
		cr_agent_ready();
}

static void cr_agent_converge(void);

/* The callbacks in thread context have arrived, if there are any: what stands against a checkpoint is as they have left it. */
void cr_agent_ready(void)
{
	char reasons[CR_TEXT_BYTES];
	struct cr_agent_text t = { reasons, 0, sizeof(reasons) };

	reasons[0] = '\0';
	if (cr_agent_callbacks_in_signals())
		cr_dump_prepare();
	if (!cr_agent_callbacks_in_signals() && cr_agent_check_running(cr_agent.begin.flags & CR_BEGIN_FAMILY, &t)) {
		cr_agent_failed(CR_MSG_BEGIN, refusal_code(reasons), reasons);
		return;
	}
	if (cr_agent.begin.flags & CR_BEGIN_MEMBER && cr_agent_board()) {
		/* After a restart the coordinator may have heard of the rank's shell, and not yet of the program. */
		cr_agent_failed(CR_MSG_BEGIN, EAGAIN,
				"it is in an MPI job, and an MPI job that a member of the set has started cannot be saved with it; if its job was "
				"restarted just now, try again");
		return;
	}
	if (!cr_lead_active()) {
		cr_agent_converge();
		return;
	}
	cr_agent.phase = MEMBERS;
	cr_lead_tick();
	cr_lead_events();
}

void cr_agent_tree_ready(void)
{
	cr_agent_converge();
}

static void cr_agent_converge(void)
{
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

static void frozen_tell(void)
{
	struct cr_msg_frozen f = { .stop_begin_ns = cr_agent.stop_begin_ns, .frozen_ns = cr_now_ns(), .threads = cr_agent.threads };

	cr_agent_tell(CR_MSG_FROZEN, &f, sizeof(f));
}

/* Children that a rank has made since BEGIN: it leads from here on. */
static int family_late(struct cr_err *err)
{
	int rc;

	if (cr_lead_active() || !(cr_agent.begin.flags & CR_BEGIN_FAMILY) || !cr_procs_family())
		return 0;
	rc = cr_lead_begin(&cr_agent.begin, 0, err);
	if (rc < 0)
		return rc;
	cr_set.gathering = true;
	cr_lead_freeze();
	return 0;
}

void cr_agent_freeze_now(void)
{
	const char *limit = getenv("OMPI_CR_TIMEOUT_FREEZE");
	struct cr_err err = { "" };
	char reasons[CR_TEXT_BYTES];
	struct cr_agent_text t = { reasons, 0, sizeof(reasons) };
	uint64_t seconds = limit && atoi(limit) > 0 ? (uint64_t)atoi(limit) : 30;
	int n, rc;

	cr_agent.freeze_begin_ns = cr_now_ns();
	if (cr_lead_active())
		cr_lead_freeze();
	n = cr_freeze(cr_agent.freeze_begin_ns + seconds * 1000000000UL, &err);
	if (n < 0) {
		cr_agent_failed(CR_MSG_FREEZE, n, err.text);
		return;
	}
	cr_agent.frozen = true;
	cr_agent.phase = FROZEN;
	rc = family_late(&err);
	if (rc < 0) {
		cr_agent_failed(CR_MSG_FREEZE, rc, err.text);
		return;
	}
	/* It is ending: the leader sees that, and leaves it out. */
	if (n == 0 && cr_agent.begin.flags & CR_BEGIN_MEMBER)
		return;
	/* What the program began after it was asked: now nothing moves any more. */
	reasons[0] = '\0';
	if (cr_agent_callbacks_in_signals() ? cr_dump_check(0, cr_agent_text_add, &t) : cr_nocr_list(cr_agent_text_add, &t)) {
		cr_agent_failed(CR_MSG_FREEZE, refusal_code(reasons), reasons);
		return;
	}
	cr_agent.threads = (uint32_t)n;
	if (!cr_lead_active()) {
		frozen_tell();
		return;
	}
	cr_agent.phase = MEMBERS_FREEZE;
	cr_lead_events();
}

/* All processes of the set stand still. */
void cr_agent_tree_frozen(void)
{
	struct cr_err err = { "" };
	int rc = cr_lead_gather(&err);

	if (rc == -ESTALE)
		return; /* one has ended after all: it comes again */
	if (rc) {
		cr_agent_failed(CR_MSG_FREEZE, rc, err.text);
		return;
	}
	cr_agent.phase = FROZEN;
	frozen_tell();
}

void cr_agent_tree_snapped(void)
{
	cr_agent.phase = SNAPPED;
	cr_agent_tell(CR_MSG_SNAPPED, NULL, 0);
}

/* A member's answer to its leader. */
void cr_agent_give(int index, const struct cr_msg_give *m, size_t bytes)
{
	const struct cr_msg_give give = *m;
	struct cr_err err = { "" };
	int rc = bytes == sizeof(give) + ((size_t)give.n + give.n_left) * sizeof(int32_t) ? 0 : cr_err_set(&err, EPROTO, "a list of processes is too short");

	if (!rc)
		rc = cr_member_set(&give, (const int32_t *)(const void *)(m + 1), &err);
	if (!rc)
		rc = cr_member_give(cr_agent.conn[index], cr_agent.checkpoint, &err);
	if (rc)
		cr_agent_failed(CR_MSG_GIVE, rc, err.text);
}

void cr_agent_dump(struct cr_msg_dump *m)
{
	struct cr_err err = { "" };
	int rc;

	m->path[sizeof(m->path) - 1] = '\0';
	rc = cr_lead_active() ? cr_lead_dump(m, &err) : 0;
	if (!rc)
		rc = cr_lead_active() ? cr_dump_start(&cr_agent.dump, cr_lead_self_path(), m->flags | CR_DUMP_STOPPED, &err)
				      : cr_dump_start(&cr_agent.dump, m->path, m->flags, &err);
	if (rc) {
		cr_agent_failed(CR_MSG_DUMP, rc, err.text);
		return;
	}
	cr_agent.dumping = true;
	if (cr_lead_active()) {
		cr_agent.phase = MEMBERS_DUMP;
		cr_lead_self_snapped();
		return;
	}
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
		cr_lead_abandon();
		return;
	}
	if (cr_lead_active()) {
		cr_lead_self_dumped();
		return;
	}
	d = (struct cr_msg_dumped){ r.file_bytes, r.pages, r.checksum, cr_now_ns() - cr_agent.dump.begin_ns };
	cr_agent_tell(CR_MSG_DUMPED, &d, sizeof(d));
}

void cr_agent_exit(const struct cr_msg_exit *m)
{
	cr_lead_exit(m);
	if (m->status < 0) {
		struct cr_ksigaction dfl = { 0 };
		uint64_t mask = 1UL << (-m->status - 1);

		cr_sys4(SYS_rt_sigaction, -m->status, &dfl, 0, 8);
		cr_sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, &mask, 0, 8);
		cr_sys2(SYS_kill, getpid(), -m->status);
	}
	cr_sys1(SYS_exit_group, m->status < 0 ? 128 - m->status : m->status);
}

/* What the coordinator grants: enter (clock, count). */
void cr_agent_permit(const struct cr_msg_permit *m)
{
	struct cr_board *b = CR_GATE->board;

	if (!b)
		return;
	/* Somebody may be reading: the two belong together only while the clock is the same before and after. */
	__atomic_store_n(&b->permit_clock, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&b->permit_count, m->count, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < b->clock_slots; i++)
		if (b->clocks[i].id == m->clock)
			b->clocks[i].reported = (uint32_t)m->count;
	__atomic_store_n(&b->permit_clock, m->clock, __ATOMIC_SEQ_CST);
}

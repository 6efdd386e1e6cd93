/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's side of the program's callbacks: keep critical sections out, have the callbacks run, wait for them with a deadline, let them go on.
 * libcr/cr_callbacks.h tells the order of things. The program cannot make the agent wait longer than the deadline.
 *
 * Context: agent thread.
 */
#include "libcr/lower/agent_private.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "libcr.h"
#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/tree.h"

#define LIMIT_DEFAULT_S 30

static struct cr_callbacks *callbacks(void)
{
	return CR_GATE->callbacks;
}

static bool tid_alive(int tid)
{
	return cr_sys3(SYS_tgkill, getpid(), cr_id_to_kernel(tid), 0) == 0;
}

bool cr_agent_callbacks_in_signals(void)
{
	const struct cr_callbacks *c = callbacks();

	for (int i = 1; c && i < CR_CALLBACK_PLACES; i++)
		if (c->places[i].tid && c->places[i].n)
			return true;
	return false;
}

bool cr_agent_callbacks_registered(void)
{
	const struct cr_callbacks *c = callbacks();

	return c && (c->places[0].n || cr_agent_callbacks_in_signals());
}

static void order(struct cr_callbacks *c, uint32_t value)
{
	__atomic_store_n(&c->order, value, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &c->order, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

static void deadline_set(void)
{
	cr_agent.callbacks_end_ns = cr_now_ns() + cr_agent.callbacks_limit_ns;
}

/* Nobody inside, nobody owed a turn, no callback of the checkpoint before still running. */
static bool sections_take(struct cr_callbacks *c)
{
	uint64_t w = __atomic_load_n(&c->sections, __ATOMIC_SEQ_CST);

	do {
		if ((w & CR_SECTIONS_HELD) || CR_SECTIONS_N_INSIDE(w) || CR_SECTIONS_N_OWED(w))
			return false;
	} while (!__atomic_compare_exchange_n(&c->sections, &w, w | CR_SECTIONS_HELD, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return true;
}

/* Gives up @bits; whoever waits now enters before the next checkpoint. */
static void sections_give(struct cr_callbacks *c, uint64_t bits)
{
	uint64_t w = __atomic_load_n(&c->sections, __ATOMIC_SEQ_CST), new;

	do {
		new = w & ~bits & ~(CR_SECTIONS_COUNT * CR_SECTIONS_OWED);
		new |= CR_SECTIONS_N_WAITING(w) * CR_SECTIONS_OWED;
	} while (!__atomic_compare_exchange_n(&c->sections, &w, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	__atomic_fetch_add(&c->event, 1, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &c->event, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

static bool place_counts(const struct cr_callbacks *c, int i)
{
	return c->places[i].tid && (i > 0 || c->places[i].n);
}

static bool place_in(const struct cr_callbacks *c, int i, uint32_t state)
{
	return __atomic_load_n(&c->places[i].served, __ATOMIC_SEQ_CST) == c->attempt &&
	       __atomic_load_n(&c->places[i].state, __ATOMIC_SEQ_CST) == state;
}

/* Have all from @first on, below @end, said that they are at the checkpoint? Whoever has ended does not count. */
static bool all_arrived(const struct cr_callbacks *c, int first, int end)
{
	for (int i = first; i < end; i++)
		if (place_counts(c, i) && !place_in(c, i, CR_PLACE_AT_CHECKPOINT) && tid_alive(c->places[i].tid))
			return false;
	return true;
}

static bool all_done(const struct cr_callbacks *c)
{
	for (int i = 0; i < CR_CALLBACK_PLACES; i++) {
		const struct cr_callback_place *p = &c->places[i];

		if (p->tid && p->served == c->attempt && __atomic_load_n(&p->state, __ATOMIC_SEQ_CST) != CR_PLACE_DONE && tid_alive(p->tid))
			return false;
	}
	return true;
}

static const char *context_of(const struct cr_callback_place *p, const struct cr_callbacks *c)
{
	return p == &c->places[0] ? "thread context" : "signal context";
}

/* Who leaves itself out takes its descendants along, so of a tree nothing is left without its root; a group or a session may have others. */
static const char *omitted_leader(void)
{
	if (!cr_lead_active())
		return "";
	return cr_agent.begin.flags & (CR_BEGIN_GROUP | CR_BEGIN_SESSION)
		       ? "; it is the one who was asked, and would lead the others: ask for another process of that group or session, which does not descend from it"
		       : "; it is the root of the set, and who is left out takes along what descends from it, so nothing is left";
}

static void fail_refused(struct cr_callbacks *c)
{
	int flags = c->refused_flags, code = (int)((unsigned int)flags >> 16);
	const char *by = c->refused_by;
	char text[CR_TEXT_BYTES];

	switch (flags & 0xffff) {
	case CR_CHECKPOINT_OMIT:
		code = CR_EOMITTED;
		snprintf(text, sizeof(text), "left out of the checkpoint, as %.200s asked (CR_CHECKPOINT_OMIT)%s", by, omitted_leader());
		break;
	case CR_CHECKPOINT_TEMP_FAILURE:
		code = code ? code : CR_ETEMPFAIL;
		snprintf(text, sizeof(text), "checkpoint cancelled by the application: %.200s says not now (temporary failure, code %d); try again later",
			 by, code);
		break;
	default:
		code = code ? code : CR_EPERMFAIL;
		snprintf(text, sizeof(text), "checkpoint cancelled by the application: %.200s says that this process cannot be checkpointed "
			 "(permanent failure, code %d)", by, code);
	}
	cr_agent.callbacks_outcome = code;
	cr_agent_failed(cr_agent.phase == SIGNALS ? CR_MSG_FREEZE : CR_MSG_BEGIN, code, text);
}

static void fail_late(const struct cr_callbacks *c)
{
	unsigned long seconds = (cr_agent.callbacks_limit_ns + 999999999) / 1000000000;
	char text[CR_TEXT_BYTES];

	snprintf(text, sizeof(text), "the program's callbacks were not ready within %lu s; it goes on", seconds);
	if (cr_agent.phase == SECTIONS && CR_SECTIONS_N_INSIDE(c->sections))
		snprintf(text, sizeof(text), "%lu threads did not leave their critical sections within %lu s; the program goes on",
			 (unsigned long)CR_SECTIONS_N_INSIDE(c->sections), seconds);
	for (int i = 0; i < CR_CALLBACK_PLACES; i++) {
		const struct cr_callback_place *p = &c->places[i];
		const char *name = p->running;

		if (!p->tid || place_in(c, i, CR_PLACE_AT_CHECKPOINT))
			continue;
		if (p->served != c->attempt && cr_agent.phase == SIGNALS)
			snprintf(text, sizeof(text), "thread %d could not begin its callbacks (signal context) within %lu s; the program goes on", p->tid, seconds);
		else if (name)
			snprintf(text, sizeof(text), "%.200s (%s) did not come to an end within %lu s; the program goes on", name, context_of(p, c), seconds);
		else
			continue;
		break;
	}
	cr_agent_failed(cr_agent.phase == SIGNALS ? CR_MSG_FREEZE : CR_MSG_BEGIN, ETIMEDOUT, text);
}

static void begin_threads(struct cr_callbacks *c)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	c->outcome = 0;
	c->refused_lock = 0;
	c->requester = !getsockopt(cr_agent.conn[cr_agent.owner], SOL_SOCKET, SO_PEERCRED, &peer, &len) ? peer.pid : 0;
	c->signal = cr_agent.begin.signal;
	c->scope = cr_agent.begin.scope;
	c->target = cr_agent.begin.target;
	memcpy(c->dest, cr_agent.begin.dest, sizeof(c->dest));
	c->dest[sizeof(c->dest) - 1] = '\0';
	__atomic_fetch_add(&c->attempt, 1, __ATOMIC_SEQ_CST);
	if (!place_counts(c, 0)) {
		cr_agent_ready();
		return;
	}
	cr_agent.phase = CALLBACKS;
	deadline_set();
	order(c, CR_CALLBACK_THREADS);
}

void cr_agent_callbacks_look(void)
{
	struct cr_callbacks *c = callbacks();

	if (!c)
		return;
	/* The callbacks of a checkpoint that is over are done. */
	if ((cr_agent.phase == IDLE || cr_agent.phase == SECTIONS) && (c->sections & CR_SECTIONS_HELD) && all_done(c))
		sections_give(c, CR_SECTIONS_HELD | (cr_agent.phase == SECTIONS ? 0 : CR_SECTIONS_WANTED));
	if (cr_agent.phase == SECTIONS && sections_take(c))
		begin_threads(c);
	if (cr_agent.phase == CALLBACKS || cr_agent.phase == SIGNALS) {
		int first = cr_agent.phase == SIGNALS ? 1 : 0, end = first ? CR_CALLBACK_PLACES : 1;

		for (int i = first; i < end; i++)
			if (place_in(c, i, CR_PLACE_REFUSED)) {
				fail_refused(c);
				return;
			}
		if (all_arrived(c, first, end)) {
			if (first) {
				cr_lower.stop_mode = CR_STOP_NONE;
				cr_agent_freeze_now();
			} else {
				cr_agent_ready();
			}
			return;
		}
		if (first)
			cr_stop_callbacks_signal(c);
	}
	if ((cr_agent.phase == SECTIONS || cr_agent.phase == CALLBACKS || cr_agent.phase == SIGNALS) && cr_now_ns() > cr_agent.callbacks_end_ns)
		fail_late(c);
}

bool cr_agent_callbacks_begin(void)
{
	const char *setting = getenv("OMPI_CR_TIMEOUT_CALLBACKS");
	uint64_t limit = 1000000000UL * (uint64_t)(setting && atoi(setting) > 0 ? atoi(setting) : LIMIT_DEFAULT_S);
	struct cr_callbacks *c = callbacks();

	cr_agent.callbacks_outcome = CR_ETEMPFAIL;
	if (!c)
		return false;
	if (cr_agent.begin.limit_ms)
		limit = cr_agent.begin.limit_ms * 1000000UL;
	cr_agent.callbacks_limit_ns = limit;
	deadline_set();
	cr_agent.phase = SECTIONS;
	__atomic_fetch_or(&c->sections, CR_SECTIONS_WANTED, __ATOMIC_SEQ_CST);
	cr_agent_callbacks_look();
	return true;
}

bool cr_agent_callbacks_signal(void)
{
	struct cr_callbacks *c = callbacks();
	bool any = false;

	/* cr_init() may have been called first after BEGIN: such callbacks come with the next checkpoint. */
	for (int i = 1; c && (c->sections & CR_SECTIONS_HELD) && i < CR_CALLBACK_PLACES && !any; i++)
		any = place_counts(c, i);
	if (!any)
		return false;
	cr_agent.phase = SIGNALS;
	cr_agent.stop_pause_ms = 1;
	deadline_set();
	order(c, CR_CALLBACK_SIGNALS);
	cr_agent_callbacks_look();
	return true;
}

void cr_agent_callbacks_resume(int outcome)
{
	struct cr_callbacks *c = callbacks();

	if (!c)
		return;
	if (cr_agent.phase == SECTIONS) {
		sections_give(c, CR_SECTIONS_WANTED);
		return;
	}
	c->outcome = outcome;
	order(c, CR_CALLBACK_RUN);
}

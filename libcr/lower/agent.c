/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent thread: this process's end of a checkpoint.
 *
 * It serves coordinators (snapcd through a connection of its own, cr_checkpoint through a listening abstract socket) with the messages of
 * include/cr_proto.h, moves the MPI layer's board, and makes the lower-half threads that others ask for. One checkpoint at a time; a
 * coordinator that vanishes is undone.
 */
#include "libcr/lower/agent_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcr/arch/x86_64/raw.h"
#include "libcr/lower/engine.h"
#include "libcr/lower/message.h"
#include "libcr/lower/tree.h"

#define STOP_RETRY_MAX_MS 20
/* A coordinator that says nothing for so long in the middle of a checkpoint is taken for dead. */
#define SILENCE_S 900UL
#define SOCKET_TIMEOUT_S 30
#define ACCEPT_PAUSE_MS 200
/* snapcd has died: another one takes its place, at once or within seconds. 20 ms, 40 ms ... 10 s, together about five minutes. */
#define RECONNECT_MIN_MS 20UL
#define RECONNECT_DOUBLINGS 9
#define RECONNECT_TRIALS 38
#define MEMBERS_RETRY_MS 10

struct cr_agent cr_agent;

void cr_board_notify(void)
{
	uint64_t one = 1;

	cr_sys3(SYS_write, cr_lower.notify_fd, &one, sizeof(one));
}

/* The next trial to reach snapcd: soon, then ever later, and some day never again. */
static void reconnect_later(void)
{
	uint64_t pause_ms = cr_agent.reconnects < RECONNECT_DOUBLINGS ? RECONNECT_MIN_MS << cr_agent.reconnects : RECONNECT_MIN_MS << RECONNECT_DOUBLINGS;

	cr_agent.reconnect_ns = cr_agent.reconnects++ < RECONNECT_TRIALS ? cr_now_ns() + pause_ms * 1000000 : 0;
}

static void conn_drop(int index)
{
	close(cr_agent.conn[index]);
	cr_agent.conn[index] = -1;
	if (index == 0)
		reconnect_later();
	if (cr_agent.owner == index) {
		cr_agent_resume();
		cr_agent_dump_kill();
		cr_lead_abandon();
		cr_agent.owner = -1;
	}
}

#define PAYLOAD(type) (h.bytes >= sizeof(type) ? (type *)(void *)cr_agent.buf : NULL)

static void on_message(int index)
{
	struct cr_msg_head h;
	int n = cr_message_recv(cr_agent.conn[index], &h, cr_agent.buf);
	bool mine = cr_agent.owner == index && h.checkpoint == cr_agent.checkpoint;

	if (n < 0) {
		conn_drop(index);
		return;
	}
	cr_agent.silence_end_ns = cr_now_ns() + (cr_agent.begin.silence_s ? cr_agent.begin.silence_s : SILENCE_S) * 1000000000UL;
	if (index == 0)
		cr_agent.reconnects = 0;
	if (h.type == CR_MSG_CHECK) {
		cr_agent_check(index);
	} else if (h.type == CR_MSG_CHECK_SET && PAYLOAD(struct cr_msg_check_set)) {
		cr_agent_check_set(index, PAYLOAD(struct cr_msg_check_set)->flags);
	} else if (h.type == CR_MSG_CHECK_MEMBER && PAYLOAD(struct cr_msg_give)) {
		cr_agent_check_member(index, PAYLOAD(struct cr_msg_give), (size_t)n);
	} else if (h.type == CR_MSG_GIVE && !h.checkpoint && PAYLOAD(struct cr_msg_give)) {
		/* For a question: a descriptor that was closed meanwhile ends it, and it is asked again. */
		struct cr_err err = { "" };

		if (cr_member_give(cr_agent.conn[index], 0, &err))
			conn_drop(index);
	} else if (h.type == CR_MSG_BEGIN && PAYLOAD(struct cr_msg_begin)) {
		cr_agent_begin(index, PAYLOAD(struct cr_msg_begin));
	} else if (h.type == CR_MSG_NOCR && PAYLOAD(struct cr_msg_nocr)) {
		struct cr_msg_nocr *m = PAYLOAD(struct cr_msg_nocr);
		struct cr_msg_nocr_reply r = { 0, 0 };

		m->text[sizeof(m->text) - 1] = '\0';
		r.error = m->set ? cr_nocr_set_reason(m->id, m->text) : cr_nocr_clear_reason(m->id);
		cr_message_send(cr_agent.conn[index], CR_MSG_NOCR_REPLY, 0, &r, sizeof(r));
	} else if (h.type == CR_MSG_EXIT && PAYLOAD(struct cr_msg_exit)) {
		cr_agent_exit(PAYLOAD(struct cr_msg_exit));
	} else if (!mine || h.type == CR_MSG_ALIVE) {
		return; /* of a checkpoint that is over; or nothing is to be done */
	} else if (h.type == CR_MSG_RESUME) {
		struct cr_msg_resumed r;

		/* The second one of a checkpoint takes it back: the file that is still being written is not wanted. */
		if (cr_agent.phase == IDLE) {
			cr_agent_dump_kill();
			cr_lead_abandon();
		}
		if (cr_agent.frozen && PAYLOAD(struct cr_msg_resume) && PAYLOAD(struct cr_msg_resume)->flags & CR_RESUME_STOPPED) {
			cr_agent_resume_stopped();
			return;
		}
		cr_agent_resume();
		r.stopped_ns = cr_agent.stopped_ns;
		cr_agent_tell(CR_MSG_RESUMED, &r, sizeof(r));
	} else if (h.type == CR_MSG_PERMIT && PAYLOAD(struct cr_msg_permit) && cr_agent.phase == CONVERGE) {
		cr_agent_permit(PAYLOAD(struct cr_msg_permit));
	} else if (h.type == CR_MSG_STOP && cr_agent.phase == CONVERGE) {
		cr_agent_stop();
	} else if (h.type == CR_MSG_DRAIN && cr_agent.phase == ARRIVED) {
		cr_agent.phase = DRAIN;
		if (cr_agent_board())
			cr_agent_order(CR_ORDER_DRAIN);
		cr_agent_board_look();
	} else if (h.type == CR_MSG_FREEZE && cr_agent.phase == DRAINED) {
		cr_agent_freeze();
	} else if (h.type == CR_MSG_GIVE && cr_agent.phase == FROZEN && PAYLOAD(struct cr_msg_give)) {
		cr_agent_give(index, PAYLOAD(struct cr_msg_give), (size_t)n);
	} else if (h.type == CR_MSG_SHARE && cr_agent.phase == FROZEN) {
		if (cr_member_share((void *)cr_agent.buf, h.bytes / sizeof(struct cr_msg_share)))
			cr_agent_failed(h.type, ENOMEM, "out of memory");
	} else if (h.type == CR_MSG_DUMP && cr_agent.phase == FROZEN && PAYLOAD(struct cr_msg_dump)) {
		cr_agent_dump(PAYLOAD(struct cr_msg_dump));
	} else if (cr_agent.phase != IDLE) {
		char text[96];

		snprintf(text, sizeof(text), "message %u does not fit phase %d", h.type, (int)cr_agent.phase);
		cr_agent_failed(h.type, EPROTO, text);
	}
}

int cr_agent_rank(void)
{
	const char *rank = getenv("OMPI_COMM_WORLD_RANK");

	if (!rank) /* srun */
		rank = getenv("PMIX_RANK");
	return rank ? atoi(rank) : -1;
}

static void say_hello(int index)
{
	struct cr_msg_hello h = {
		.pid = getpid(),
		.program_pid = CR_PRIVATE->program_pid,
		.rank = cr_agent_rank(),
		.size = -1,
		.epoch = (uint32_t)CR_GATE->epoch,
	};
	const char *size = getenv(getenv("OMPI_COMM_WORLD_RANK") ? "OMPI_COMM_WORLD_SIZE" : "SLURM_STEP_NUM_TASKS");
	char stat[1024], *p;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, stat, sizeof(stat) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n > 0) {
		stat[n] = '\0';
		p = strrchr(stat, ')');
		for (int field = 2; p && field < 22; field++)
			p = strchr(p + 1, ' ');
		if (p)
			h.start_time = strtoull(p, NULL, 10);
	}
	if (size)
		h.size = atoi(size);
	snprintf(h.engine, sizeof(h.engine), "%s", cr_engine->name);
	snprintf(h.exe, sizeof(h.exe), "%s", CR_PRIVATE->exe);
	cr_message_send(cr_agent.conn[index], CR_MSG_HELLO, 0, &h, sizeof(h));
}

/* A peer that is stopped must not stop us for ever. */
static void conn_limits(int fd)
{
	struct timeval tv = { .tv_sec = SOCKET_TIMEOUT_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static void reconnect(void)
{
	cr_agent.conn[0] = cr_message_connect(getenv(CR_ENV_SNAPC_SOCKET), NULL);
	if (cr_agent.conn[0] < 0) {
		cr_agent.conn[0] = -1;
		reconnect_later();
		return;
	}
	cr_agent.reconnect_ns = 0;
	cr_agent.mpi_ready = 0;
	conn_limits(cr_agent.conn[0]);
	say_hello(0);
	cr_agent_board_look(); /* and the state of MPI */
}

static void on_accept(void)
{
	int fd = accept4(cr_agent.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	/* Out of descriptors altogether, for one: whoever knocks waits. */
	if (fd < 0) {
		cr_agent.accept_after_ns = cr_now_ns() + ACCEPT_PAUSE_MS * 1000000UL;
		return;
	}
	for (int i = 1; i < CR_AGENT_CONN_MAX && !cr_message_peer_check(fd); i++)
		if (cr_agent.conn[i] < 0) {
			cr_agent.conn[i] = fd;
			conn_limits(fd);
			say_hello(i);
			return;
		}
	close(fd);
}

/*
 * A coordinator that hangs, or that is behind a network that is gone: the program runs on. Should the coordinator come back it finds this
 * answer, and the connection as it was. A command whose connection it is has nothing to come back to.
 */
static void silent(void)
{
	if (cr_agent.owner > 0)
		conn_drop(cr_agent.owner);
	else
		cr_agent_failed(CR_MSG_ALIVE, ETIMEDOUT, "the coordinator said nothing for too long (setting timeout_silence): the rank runs on");
}

static int poll_timeout_phase(void)
{
	if (cr_agent.phase == MEMBERS || cr_agent.phase == MEMBERS_FREEZE)
		return MEMBERS_RETRY_MS; /* one that is just starting is connected to again */
	if (cr_agent.phase == IDLE)
		return cr_agent.accept_after_ns ? ACCEPT_PAUSE_MS : -1;
	if (cr_agent.phase == SECTIONS || cr_agent.phase == CALLBACKS) {
		uint64_t now = cr_now_ns(), left = cr_agent.callbacks_end_ns > now ? cr_agent.callbacks_end_ns - now : 0;

		return left > 1000000000 ? 1000 : (int)(left / 1000000) + 1;
	}
	if (cr_agent.phase != STOP && cr_agent.phase != SIGNALS)
		return 1000;
	if (cr_agent.stop_pause_ms < STOP_RETRY_MAX_MS)
		cr_agent.stop_pause_ms++;
	return cr_agent.stop_pause_ms;
}

static int poll_timeout(void)
{
	int ms = poll_timeout_phase();
	uint64_t now, left_ms;

	if (!cr_agent.reconnect_ns)
		return ms;
	now = cr_now_ns();
	left_ms = cr_agent.reconnect_ns > now ? (cr_agent.reconnect_ns - now) / 1000000 + 1 : 0;
	return ms < 0 || left_ms < (uint64_t)ms ? (int)left_ms : ms;
}

static void *agent_main(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, CR_AGENT_NAME);
	cr_lower.agent_tid = (int)cr_sys0(SYS_gettid);
	if (cr_agent.conn[0] >= 0)
		say_hello(0);
	cr_thread_serve();
	cr_agent_callbacks_look(); /* after a restart: critical sections that the checkpoint still holds */
	for (;;) {
		struct pollfd p[CR_AGENT_CONN_MAX + 5];
		int n;

		p[0] = (struct pollfd){ .fd = cr_lower.notify_fd, .events = POLLIN };
		if (cr_agent.accept_after_ns && cr_now_ns() >= cr_agent.accept_after_ns)
			cr_agent.accept_after_ns = 0;
		p[1] = (struct pollfd){ .fd = cr_agent.accept_after_ns ? -1 : cr_agent.listen_fd, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = cr_agent.dumping ? cr_agent.dump.result_fd : -1, .events = POLLIN };
		for (int i = 0; i < CR_AGENT_CONN_MAX; i++)
			p[3 + i] = (struct pollfd){ .fd = cr_agent.conn[i], .events = POLLIN };
		p[CR_AGENT_CONN_MAX + 3] = (struct pollfd){ .fd = cr_lead_fd(), .events = POLLIN };
		p[CR_AGENT_CONN_MAX + 4] = (struct pollfd){ .fd = cr_lead_result_fd(), .events = POLLIN };
		n = poll(p, CR_AGENT_CONN_MAX + 5, poll_timeout());
		if (n < 0)
			continue;
		if (cr_agent.reconnect_ns && cr_now_ns() >= cr_agent.reconnect_ns)
			reconnect();
		if (n == 0 && cr_agent.phase == STOP && cr_agent_board())
			cr_stop_client_signal();
		/* A command waits for its leader without a word; snapcd speaks. */
		if (cr_agent.phase != IDLE && cr_agent.owner >= 0 && !cr_agent.dumping && !(cr_lead_active() && cr_agent.owner > 0) &&
		    cr_now_ns() > cr_agent.silence_end_ns)
			silent();
		if (p[0].revents) {
			uint64_t count;

			(void)!read(cr_lower.notify_fd, &count, sizeof(count));
			cr_thread_serve();
			cr_agent_board_look();
		}
		if (p[0].revents || n == 0)
			cr_agent_callbacks_look();
		if (p[2].revents && cr_agent.dumping)
			cr_agent_dump_result();
		if (p[CR_AGENT_CONN_MAX + 3].revents)
			cr_lead_events();
		if (p[CR_AGENT_CONN_MAX + 4].revents && cr_lead_result_fd() >= 0)
			cr_lead_result();
		cr_lead_tick();
		for (int i = 0; i < CR_AGENT_CONN_MAX; i++)
			if (p[3 + i].revents && cr_agent.conn[i] >= 0)
				on_message(i);
		if (p[1].revents)
			on_accept();
	}
	return NULL;
}

/* A forked child has its parent's descriptors: close them, forget its state. */
static void forget(void)
{
	if (!cr_agent.running)
		return;
	close(cr_agent.listen_fd);
	close(cr_lower.notify_fd);
	for (int i = 0; i < CR_AGENT_CONN_MAX; i++)
		if (cr_agent.conn[i] >= 0)
			close(cr_agent.conn[i]);
	if (cr_agent.dumping) {
		close(cr_agent.dump.fd);
		close(cr_agent.dump.result_fd);
	}
	cr_lead_forget();
	free(cr_agent.buf);
	memset(&cr_agent, 0, sizeof(cr_agent));
}

bool cr_agent_coordinated(void)
{
	const char *snapc = getenv(CR_ENV_SNAPC_SOCKET);

	return !snapc || !*snapc || cr_agent.conn[0] >= 0;
}

/* See lower.h. A process without a socket of its own or without coordinator still runs; @err says what is missing. */
int cr_agent_start(bool connect_snapc, struct cr_err *err)
{
	const char *snapc = getenv(CR_ENV_SNAPC_SOCKET);
	pthread_attr_t attr;
	pthread_t t;
	char name[64];
	int rc;

	forget();
	cr_member_hooks();
	cr_agent.owner = -1;
	for (int i = 0; i < CR_AGENT_CONN_MAX; i++)
		cr_agent.conn[i] = -1;
	cr_agent.buf = malloc(CR_MSG_MAX_BYTES);
	cr_lower.notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, getpid());
	cr_agent.listen_fd = cr_message_listen(name, err);
	if (!cr_agent.buf || cr_lower.notify_fd < 0)
		return cr_err_set(err, ENOMEM, "out of memory or descriptors");
	if (connect_snapc && snapc && *snapc) {
		struct cr_err why = { "" };

		cr_agent.conn[0] = cr_message_connect(snapc, &why);
		if (cr_agent.conn[0] >= 0) {
			conn_limits(cr_agent.conn[0]);
		} else {
			cr_err_set(err, ECONNREFUSED, "no connection to the coordinator: %.400s", why.text);
			reconnect_later();
		}
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&t, &attr, agent_main, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return cr_err_set(err, rc, "cannot start the agent thread: %s", strerror(rc));
	cr_agent.running = 1;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent thread: this process's end of a checkpoint.
 *
 * It serves coordinators (snapcd through a connection of its own, cr_checkpoint through a listening abstract socket) with the messages of
 * include/cr_proto.h, moves the MPI layer's board, and makes the lower-half threads that others ask for. One checkpoint at a time; a
 * coordinator that vanishes is undone.
 */
#include "libcr/lower/lower.h"

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
#include "libcr/lower/message.h"

#define CONN_MAX 8
#define STOP_RETRY_MIN_MS 1
#define STOP_RETRY_MAX_MS 20
/* A coordinator that says nothing for so long in the middle of a checkpoint is taken for dead. */
#define SILENCE_NS 900000000000UL
#define SOCKET_TIMEOUT_S 30
#define CLOCK_MAX (CR_MSG_MAX_BYTES / sizeof(struct cr_msg_clock) - 4)

enum phase { IDLE, CONVERGE, STOP, ARRIVED, DRAIN, DRAINED, FROZEN, SNAPPED };

static struct agent {
	int listen_fd;
	int conn[CONN_MAX];      /* [0] is snapcd's; -1 none */
	int owner;               /* index of the connection whose checkpoint is under way, or -1 */
	uint32_t checkpoint;
	enum phase phase;
	bool frozen;
	struct cr_dump dump;
	bool dumping;
	uint64_t stop_begin_ns, freeze_begin_ns, stopped_ns;
	int stop_pause_ms;
	uint64_t silence_end_ns; /* of the owner, while a checkpoint is under way */
	uint32_t mpi_ready;      /* last state told to snapcd */
	char *buf;               /* CR_MSG_MAX_BYTES */
	volatile uint32_t running;
} agent;

void cr_board_notify(void)
{
	uint64_t one = 1;

	cr_sys3(SYS_write, cr_lower.notify_fd, &one, sizeof(one));
}

static struct cr_board *board_active(void)
{
	struct cr_board *b = CR_GATE->board;

	return b && b->state != CR_RANK_OUTSIDE ? b : NULL;
}

static void board_order(uint32_t order)
{
	struct cr_board *b = CR_GATE->board;

	if (!b)
		return;
	__atomic_store_n(&b->order, order, __ATOMIC_SEQ_CST);
	cr_sys3(SYS_futex, &b->order, FUTEX_WAKE, 0x7fffffff);
	cr_sys3(SYS_futex, &b->order, FUTEX_WAKE_PRIVATE, 0x7fffffff);
}

static void tell(uint32_t type, const void *payload, size_t bytes)
{
	if (agent.owner >= 0)
		cr_message_send(agent.conn[agent.owner], type, agent.checkpoint, payload, bytes);
}

static void dump_kill(void)
{
	int status;

	if (!agent.dumping)
		return;
	if (agent.dump.pid > 0) {
		kill(agent.dump.pid, SIGKILL);
		while (waitpid(agent.dump.pid, &status, __WALL) < 0 && errno == EINTR)
			;
	}
	close(agent.dump.fd);
	close(agent.dump.result_fd);
	unlink(agent.dump.path);
	agent.dumping = false;
}

/* Back to running, from whatever phase. */
static void resume(void)
{
	board_order(CR_ORDER_RUN);
	if (agent.frozen) {
		cr_thaw();
		agent.stopped_ns = cr_now_ns() - agent.freeze_begin_ns;
		agent.frozen = false;
	} else {
		cr_lower.stop_mode = CR_STOP_NONE;
	}
	agent.phase = IDLE;
}

static void failed(uint32_t phase, int error, const char *text)
{
	struct cr_msg_failed f = { .phase = phase, .error = error < 0 ? -error : error };

	snprintf(f.text, sizeof(f.text), "%s", text);
	resume();
	tell(CR_MSG_FAILED, &f, sizeof(f));
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

		if (n < sizeof(passing) - 1 || memcmp(reasons + n - (sizeof(passing) - 1), passing, sizeof(passing) - 1) != 0)
			return ENOTSUP;
		reasons += n + (reasons[n] == '\n');
	}
	return EAGAIN;
}

/* @first: the report that answers BEGIN. Only what it shows as entered is remembered in the clock (cr_board.h, reported). */
static void send_clocks(bool first)
{
	struct cr_msg_clocks head = { .state = CR_RANK_RUNNING };
	struct cr_msg_clock *c = (void *)agent.buf;
	struct cr_board *b = board_active();

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
	if (agent.owner >= 0)
		cr_message_send2(agent.conn[agent.owner], CR_MSG_CLOCKS, agent.checkpoint, &head, sizeof(head), c, head.n * sizeof(*c));
}

/* Forward what the board says, when it is time for it. */
static void board_look(void)
{
	struct cr_board *b = board_active();
	/* A rank that was not scheduled since the last checkpoint still shows the state it had then. */
	bool mine = b && b->served == agent.checkpoint;

	switch (agent.phase) {
	case CONVERGE:
		send_clocks(false);
		break;
	case STOP:
		if (!b || (mine && b->state == CR_RANK_ARRIVED)) {
			cr_lower.stop_mode = CR_STOP_NONE;
			agent.phase = ARRIVED;
			tell(CR_MSG_ARRIVED, NULL, 0);
		}
		break;
	case DRAIN:
		if (b && mine && b->state == CR_RANK_FAILED) {
			char text[sizeof(b->error_text) + 32];

			snprintf(text, sizeof(text), "message drain: %.255s", b->error_text);
			failed(CR_MSG_DRAIN, EIO, text);
		} else if (!b || (mine && b->state == CR_RANK_DRAINED)) {
			struct cr_msg_drained d = { b ? b->drained_messages : 0, b ? b->drained_bytes : 0 };

			agent.phase = DRAINED;
			tell(CR_MSG_DRAINED, &d, sizeof(d));
		}
		break;
	default:
		break;
	}
	if (agent.conn[0] >= 0 && agent.mpi_ready != (b != NULL)) {
		const struct cr_board *now = CR_GATE->board;
		struct cr_msg_mpi_state m = { .ready = b != NULL };

		agent.mpi_ready = b != NULL;
		if (now) {
			m.rank = now->world_rank;
			m.size = now->world_size;
			m.thread_level = now->thread_level;
		}
		cr_message_send(agent.conn[0], CR_MSG_MPI_STATE, 0, &m, sizeof(m));
	}
}

static void on_begin(int index, const struct cr_msg_begin *m)
{
	char reasons[CR_TEXT_BYTES];
	struct text t = { reasons, 0, sizeof(reasons) };

	if (agent.owner >= 0 && (agent.phase != IDLE || (agent.dumping && agent.owner != index))) {
		struct cr_msg_failed f = { .phase = CR_MSG_BEGIN, .error = EBUSY, .text = "another checkpoint of this process is under way" };

		cr_message_send(agent.conn[index], CR_MSG_FAILED, m->checkpoint, &f, sizeof(f));
		return;
	}
	dump_kill();
	agent.owner = index;
	agent.checkpoint = m->checkpoint;
	agent.stopped_ns = 0;
	reasons[0] = '\0';
	if (cr_dump_check(agent.dumping ? agent.dump.pid : 0, text_add, &t)) {
		failed(CR_MSG_BEGIN, refusal_code(reasons), reasons);
		return;
	}
	agent.phase = CONVERGE;
	if (board_active()) {
		CR_GATE->board->permit_clock = 0;
		board_order(CR_ORDER_CONVERGE);
	}
	send_clocks(true);
}

static void on_stop(void)
{
	struct cr_board *b = board_active();

	agent.stop_begin_ns = cr_now_ns();
	agent.phase = STOP;
	if (b) {
		b->attempt = agent.checkpoint;
		agent.stop_pause_ms = STOP_RETRY_MIN_MS;
		board_order(CR_ORDER_STOP);
		cr_stop_client_signal();
	}
	board_look();
}

static void on_freeze(void)
{
	const char *limit = getenv("OMPI_CR_TIMEOUT_FREEZE");
	struct cr_msg_frozen f = { .stop_begin_ns = agent.stop_begin_ns };
	struct cr_err err = { "" };
	char reasons[CR_TEXT_BYTES];
	struct text t = { reasons, 0, sizeof(reasons) };
	uint64_t seconds = limit && atoi(limit) > 0 ? (uint64_t)atoi(limit) : 30;
	int n;

	agent.freeze_begin_ns = cr_now_ns();
	n = cr_freeze(agent.freeze_begin_ns + seconds * 1000000000UL, &err);
	if (n < 0) {
		failed(CR_MSG_FREEZE, n, err.text);
		return;
	}
	agent.frozen = true;
	agent.phase = FROZEN;
	/* What the program began after it was asked: now nothing moves any more. */
	reasons[0] = '\0';
	if (cr_nocr_list(text_add, &t)) {
		failed(CR_MSG_FREEZE, refusal_code(reasons), reasons);
		return;
	}
	f.frozen_ns = cr_now_ns();
	f.threads = (uint32_t)n;
	tell(CR_MSG_FROZEN, &f, sizeof(f));
}

static void on_dump(struct cr_msg_dump *m)
{
	struct cr_err err = { "" };
	int rc;

	m->path[sizeof(m->path) - 1] = '\0';
	rc = cr_dump_start(&agent.dump, m->path, m->flags & CR_DUMP_STOPPED, !(m->flags & CR_DUMP_NOSYNC), &err);
	if (rc) {
		failed(CR_MSG_DUMP, rc, err.text);
		return;
	}
	agent.dumping = true;
	agent.phase = SNAPPED;
	tell(CR_MSG_SNAPPED, NULL, 0);
}

static void on_dump_result(void)
{
	struct cr_dump_result r;
	struct cr_err err = { "" };
	struct cr_msg_dumped d;
	int rc = cr_dump_finish(&agent.dump, &r, &err);

	agent.dumping = false;
	if (rc) {
		failed(CR_MSG_DUMP, rc, err.text);
		return;
	}
	d = (struct cr_msg_dumped){ r.file_bytes, r.pages, r.checksum, cr_now_ns() - agent.dump.begin_ns };
	tell(CR_MSG_DUMPED, &d, sizeof(d));
}

static void on_exit_order(const struct cr_msg_exit *m)
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

static void on_check(int index)
{
	struct text t = { agent.buf, 0, CR_MSG_MAX_BYTES };

	agent.buf[0] = '\0';
	cr_dump_check(agent.dumping ? agent.dump.pid : 0, text_add, &t);
	cr_message_send(agent.conn[index], CR_MSG_CHECK_REPLY, 0, agent.buf, t.used);
}

static void conn_drop(int index)
{
	close(agent.conn[index]);
	agent.conn[index] = -1;
	if (agent.owner == index) {
		resume();
		dump_kill();
		agent.owner = -1;
	}
}

#define PAYLOAD(type) (h.bytes >= sizeof(type) ? (type *)(void *)agent.buf : NULL)

static void on_message(int index)
{
	struct cr_msg_head h;
	int n = cr_message_recv(agent.conn[index], &h, agent.buf);
	bool mine = agent.owner == index && h.checkpoint == agent.checkpoint;

	if (n < 0) {
		conn_drop(index);
		return;
	}
	agent.silence_end_ns = cr_now_ns() + SILENCE_NS;
	if (h.type == CR_MSG_CHECK) {
		on_check(index);
	} else if (h.type == CR_MSG_BEGIN && PAYLOAD(struct cr_msg_begin)) {
		on_begin(index, PAYLOAD(struct cr_msg_begin));
	} else if (h.type == CR_MSG_EXIT && PAYLOAD(struct cr_msg_exit)) {
		on_exit_order(PAYLOAD(struct cr_msg_exit));
	} else if (!mine) {
		return; /* of a checkpoint that is over */
	} else if (h.type == CR_MSG_RESUME) {
		struct cr_msg_resumed r;

		/* The second one of a checkpoint takes it back: the file that is still being written is not wanted. */
		if (agent.dumping && agent.phase == IDLE)
			dump_kill();
		resume();
		r.stopped_ns = agent.stopped_ns;
		tell(CR_MSG_RESUMED, &r, sizeof(r));
	} else if (h.type == CR_MSG_PERMIT && PAYLOAD(struct cr_msg_permit) && agent.phase == CONVERGE && CR_GATE->board) {
		struct cr_board *b = CR_GATE->board;

		b->permit_count = PAYLOAD(struct cr_msg_permit)->count;
		for (uint32_t i = 0; i < b->clock_slots; i++)
			if (b->clocks[i].id == PAYLOAD(struct cr_msg_permit)->clock)
				b->clocks[i].reported = (uint32_t)b->permit_count;
		__atomic_store_n(&b->permit_clock, PAYLOAD(struct cr_msg_permit)->clock, __ATOMIC_SEQ_CST);
	} else if (h.type == CR_MSG_STOP && agent.phase == CONVERGE) {
		on_stop();
	} else if (h.type == CR_MSG_DRAIN && agent.phase == ARRIVED) {
		agent.phase = DRAIN;
		if (board_active())
			board_order(CR_ORDER_DRAIN);
		board_look();
	} else if (h.type == CR_MSG_FREEZE && agent.phase == DRAINED) {
		on_freeze();
	} else if (h.type == CR_MSG_DUMP && agent.phase == FROZEN && PAYLOAD(struct cr_msg_dump)) {
		on_dump(PAYLOAD(struct cr_msg_dump));
	} else if (agent.phase != IDLE) {
		char text[96];

		snprintf(text, sizeof(text), "message %u does not fit phase %d", h.type, (int)agent.phase);
		failed(h.type, EPROTO, text);
	}
}

static void say_hello(int index)
{
	struct cr_msg_hello h = {
		.pid = getpid(),
		.program_pid = CR_PRIVATE->program_pid,
		.rank = -1,
		.size = -1,
		.epoch = (uint32_t)CR_GATE->epoch,
		.engine = "user",
	};
	const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *size = getenv("OMPI_COMM_WORLD_SIZE");
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
	if (!rank)
		rank = getenv("PMIX_RANK");
	if (rank)
		h.rank = atoi(rank);
	if (size)
		h.size = atoi(size);
	snprintf(h.exe, sizeof(h.exe), "%s", CR_PRIVATE->exe);
	cr_message_send(agent.conn[index], CR_MSG_HELLO, 0, &h, sizeof(h));
}

/* A peer that is stopped must not stop us for ever. */
static void conn_limits(int fd)
{
	struct timeval tv = { .tv_sec = SOCKET_TIMEOUT_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

static void on_accept(void)
{
	int fd = accept4(agent.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (int i = 1; i < CONN_MAX && !cr_message_peer_check(fd); i++)
		if (agent.conn[i] < 0) {
			agent.conn[i] = fd;
			conn_limits(fd);
			say_hello(i);
			return;
		}
	close(fd);
}

static int poll_timeout(void)
{
	if (agent.phase == IDLE)
		return -1;
	if (agent.phase != STOP)
		return 1000;
	if (agent.stop_pause_ms < STOP_RETRY_MAX_MS)
		agent.stop_pause_ms++;
	return agent.stop_pause_ms;
}

static void *agent_main(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "cr-agent");
	cr_lower.agent_tid = (int)cr_sys0(SYS_gettid);
	if (agent.conn[0] >= 0)
		say_hello(0);
	cr_thread_serve();
	for (;;) {
		struct pollfd p[CONN_MAX + 3];
		int n;

		p[0] = (struct pollfd){ .fd = cr_lower.notify_fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = agent.listen_fd, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = agent.dumping ? agent.dump.result_fd : -1, .events = POLLIN };
		for (int i = 0; i < CONN_MAX; i++)
			p[3 + i] = (struct pollfd){ .fd = agent.conn[i], .events = POLLIN };
		n = poll(p, CONN_MAX + 3, poll_timeout());
		if (n < 0)
			continue;
		if (n == 0 && agent.phase == STOP && board_active())
			cr_stop_client_signal();
		if (agent.phase != IDLE && agent.owner >= 0 && cr_now_ns() > agent.silence_end_ns)
			conn_drop(agent.owner);
		if (p[0].revents) {
			uint64_t count;

			(void)!read(cr_lower.notify_fd, &count, sizeof(count));
			cr_thread_serve();
			board_look();
		}
		if (p[2].revents)
			on_dump_result();
		for (int i = 0; i < CONN_MAX; i++)
			if (p[3 + i].revents && agent.conn[i] >= 0)
				on_message(i);
		if (p[1].revents)
			on_accept();
	}
	return NULL;
}

/* A forked child has its parent's descriptors: close them, forget its state. */
static void forget(void)
{
	if (!agent.running)
		return;
	close(agent.listen_fd);
	close(cr_lower.notify_fd);
	for (int i = 0; i < CONN_MAX; i++)
		if (agent.conn[i] >= 0)
			close(agent.conn[i]);
	if (agent.dumping) {
		close(agent.dump.fd);
		close(agent.dump.result_fd);
	}
	free(agent.buf);
	memset(&agent, 0, sizeof(agent));
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
	agent.owner = -1;
	for (int i = 0; i < CONN_MAX; i++)
		agent.conn[i] = -1;
	agent.buf = malloc(CR_MSG_MAX_BYTES);
	cr_lower.notify_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	snprintf(name, sizeof(name), CR_AGENT_SOCKET_FMT, getpid());
	agent.listen_fd = cr_message_listen(name, err);
	if (!agent.buf || cr_lower.notify_fd < 0)
		return cr_err_set(err, ENOMEM, "out of memory or descriptors");
	if (connect_snapc && snapc && *snapc) {
		agent.conn[0] = cr_message_connect(snapc, err);
		if (agent.conn[0] >= 0)
			conn_limits(agent.conn[0]);
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&t, &attr, agent_main, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return cr_err_set(err, rc, "cannot start the agent thread: %s", strerror(rc));
	agent.running = 1;
	return 0;
}

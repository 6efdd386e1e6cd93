/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One connection to the agent of a process. A peer that breaks the protocol loses its connection, nothing else. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "snapc/local_private.h"
#include "snapc/log.h"

static void agent_read(struct bufferevent *stream, void *arg)
{
	struct snapc_proc *proc = arg;
	struct evbuffer *in = bufferevent_get_input(stream);
	struct snapc_wire_msg msg;
	struct cr_err err = { "" };
	struct cr_msg_head head;
	unsigned char *data;
	size_t want;
	int64_t taken;

	for (;;) {
		if (evbuffer_copyout(in, &head, sizeof(head)) < (ssize_t)sizeof(head))
			return;
		want = snapc_wire_expected(&head, sizeof(head));
		if (evbuffer_get_length(in) < want)
			want = sizeof(head); /* judge the head now, the rest when it is there */
		data = evbuffer_pullup(in, (ssize_t)want);
		if (!data)
			return;
		taken = snapc_wire_parse(data, want, SNAPC_WIRE_TO_COORDINATOR, &msg, &err);
		if (taken == 0)
			return;
		if (taken < 0) {
			snapc_log(SNAPC_LOG_ERROR, "process %d: %s; its connection is closed", (int)proc->pid, err.text);
			snapc_local_gone(proc);
			return;
		}
		snapc_log(SNAPC_LOG_TRACE, "process %d rank %d: %s (checkpoint %u, %u bytes)", (int)proc->pid, proc->hello ? proc->rank : -1,
			  snapc_wire_name(msg.type), msg.checkpoint, msg.bytes);
		snapc_local_message(proc, &msg);
		evbuffer_drain(in, (size_t)taken);
	}
}

static void agent_event(struct bufferevent *stream, short what, void *arg)
{
	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		snapc_local_gone(arg);
}

static void agent_died(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	snapc_local_gone(arg);
}

/* Without a pidfd (another pid namespace) the end of the connection has to do. */
static void agent_watch(struct snapc_proc *proc)
{
	proc->pidfd = proc->pid > 0 ? (int)syscall(SYS_pidfd_open, proc->pid, 0) : -1;
	if (proc->pidfd < 0)
		return;
	proc->death = event_new(proc->local->base, proc->pidfd, EV_READ, agent_died, proc);
	if (proc->death)
		event_add(proc->death, NULL);
}

void snapc_agent_accept(void *arg, int fd, const struct ucred *peer)
{
	struct snapc_local *local = arg;
	struct snapc_proc *proc = calloc(1, sizeof(*proc));

	if (!proc) {
		close(fd);
		return;
	}
	proc->stream = bufferevent_socket_new(local->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!proc->stream) {
		free(proc);
		close(fd);
		return;
	}
	proc->local = local;
	proc->pid = peer->pid;
	proc->number = ++local->last_number;
	proc->next = local->procs;
	local->procs = proc;
	bufferevent_setcb(proc->stream, agent_read, NULL, agent_event, proc);
	/* One message may be as large as this, and a peer that sends without end must not fill our memory. */
	bufferevent_setwatermark(proc->stream, EV_READ, 0, CR_MSG_MAX_BYTES + sizeof(struct cr_msg_head));
	bufferevent_enable(proc->stream, EV_READ | EV_WRITE);
	agent_watch(proc);
}

void snapc_agent_send(struct snapc_proc *proc, uint32_t type, uint32_t checkpoint, const void *payload, uint32_t bytes)
{
	struct cr_msg_head head;
	struct evbuffer *out = bufferevent_get_output(proc->stream);

	snapc_wire_head(type, checkpoint, bytes, &head);
	evbuffer_expand(out, sizeof(head) + bytes); /* one piece, so one send */
	evbuffer_add(out, &head, sizeof(head));
	if (bytes)
		evbuffer_add(out, payload, bytes);
	snapc_log(SNAPC_LOG_TRACE, "to process %d rank %d: %s (checkpoint %u)", (int)proc->pid, proc->rank, snapc_wire_name(type), checkpoint);
}

void snapc_agent_destroy(struct snapc_proc *proc)
{
	bufferevent_free(proc->stream);
	if (proc->death)
		event_free(proc->death);
	if (proc->pidfd >= 0)
		close(proc->pidfd);
	free(proc);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames over one TCP connection. */
#include "snapc/link_stream.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "snapc/log.h"

/* A node that is silent for this long on the level of TCP is gone. */
#define STREAM_IDLE_SECONDS 20
#define STREAM_PROBE_SECONDS 5
#define STREAM_PROBES 4
#define STREAM_UNACKNOWLEDGED_MS 40000

struct snapc_link_stream {
	struct bufferevent *stream;
	enum snapc_link_stage stage;
	struct snapc_link_stream_user user;
	bool finishing;
};

static void stream_options(int fd)
{
	const int on = 1, idle = STREAM_IDLE_SECONDS, probe = STREAM_PROBE_SECONDS, probes = STREAM_PROBES, lost = STREAM_UNACKNOWLEDGED_MS;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &probe, sizeof(probe));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost, sizeof(lost));
}

/* Return: 1 a frame was taken; 0 more is needed; -1 the stream has ended or was destroyed. */
static int stream_frame(struct snapc_link_stream *s, struct evbuffer *in)
{
	struct snapc_link_frame head;
	struct snapc_link_msg msg;
	struct cr_err err = { "" };
	const void *payload;
	uint64_t *copy;
	size_t want;
	int64_t taken;
	unsigned char *data;
	bool there;

	if (evbuffer_copyout(in, &head, sizeof(head)) < (ssize_t)sizeof(head))
		return 0;
	taken = snapc_link_parse(&head, sizeof(head), s->stage, &msg, &payload, &err); /* judge the head before waiting for the rest */
	if (taken < 0)
		goto broken;
	want = snapc_link_expected(&head, sizeof(head));
	if (evbuffer_get_length(in) < want)
		return 0;
	data = evbuffer_pullup(in, (ssize_t)want);
	copy = malloc(want); /* of an alignment that holds for every payload */
	if (!data || !copy) {
		free(copy);
		cr_err_set(&err, ENOMEM, "out of memory");
		goto broken;
	}
	taken = snapc_link_parse(data, want, s->stage, &msg, &payload, &err);
	if (taken <= 0) {
		free(copy);
		goto broken;
	}
	memcpy(copy, payload, msg.bytes);
	evbuffer_drain(in, (size_t)taken);
	there = s->user.frame(s->user.arg, &msg, copy);
	free(copy);
	return there ? 1 : -1;
broken:
	s->user.ended(s->user.arg, err.text);
	return -1;
}

static void stream_read(struct bufferevent *stream, void *arg)
{
	struct snapc_link_stream *s = arg;
	struct evbuffer *in = bufferevent_get_input(stream);
	int rc;

	if (s->finishing) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	do
		rc = stream_frame(s, in);
	while (rc > 0 && !s->finishing);
}

static void stream_written(struct bufferevent *stream, void *arg)
{
	struct snapc_link_stream *s = arg;

	(void)stream;
	if (s->finishing)
		s->user.ended(s->user.arg, "closed");
}

static void stream_event(struct bufferevent *stream, short what, void *arg)
{
	struct snapc_link_stream *s = arg;

	if (what & BEV_EVENT_CONNECTED)
		stream_options(bufferevent_getfd(stream));
	else if (what & BEV_EVENT_EOF)
		s->user.ended(s->user.arg, "the peer closed the connection");
	else if (what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		s->user.ended(s->user.arg, strerror(EVUTIL_SOCKET_ERROR()));
}

struct snapc_link_stream *snapc_link_stream_create(struct event_base *base, int fd, enum snapc_link_stage stage,
						   const struct snapc_link_stream_user *user)
{
	struct snapc_link_stream *s = calloc(1, sizeof(*s));

	if (s)
		s->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!s || !s->stream) {
		free(s);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	s->stage = stage;
	s->user = *user;
	if (fd >= 0)
		stream_options(fd);
	bufferevent_setcb(s->stream, stream_read, stream_written, stream_event, s);
	/* Before the peer is known it may not fill our memory; afterwards one message may be as large as the largest. */
	snapc_link_stream_stage(s, stage);
	bufferevent_enable(s->stream, EV_READ | EV_WRITE);
	return s;
}

void snapc_link_stream_stage(struct snapc_link_stream *s, enum snapc_link_stage stage)
{
	size_t room = sizeof(struct snapc_link_frame) + sizeof(struct snapc_link_proof);

	if (stage == SNAPC_LINK_AT_GLOBAL || stage == SNAPC_LINK_AT_NODE)
		room = sizeof(struct snapc_link_frame) + SNAPC_LINK_TOPOLOGY_BYTES;
	s->stage = stage;
	bufferevent_setwatermark(s->stream, EV_READ, 0, room);
}

void snapc_link_stream_destroy(struct snapc_link_stream *s)
{
	if (!s)
		return;
	bufferevent_free(s->stream);
	free(s);
}

int snapc_link_stream_connect(struct snapc_link_stream *s, const struct sockaddr *address, int bytes)
{
	return bufferevent_socket_connect(s->stream, address, bytes) < 0 ? -ECONNREFUSED : 0;
}

void snapc_link_stream_send(struct snapc_link_stream *s, const struct snapc_link_msg *msg, const void *payload)
{
	struct evbuffer *out = bufferevent_get_output(s->stream);
	struct snapc_link_frame frame;

	snapc_link_frame_make(msg, &frame);
	evbuffer_expand(out, sizeof(frame) + msg->bytes); /* one piece, so one send */
	if (evbuffer_add(out, &frame, sizeof(frame)) < 0 || (msg->bytes && evbuffer_add(out, payload, msg->bytes) < 0)) {
		snapc_log(SNAPC_LOG_ERROR, "out of memory");
		abort();
	}
}

void snapc_link_stream_finish(struct snapc_link_stream *s)
{
	s->finishing = true;
	if (!evbuffer_get_length(bufferevent_get_output(s->stream)))
		bufferevent_trigger(s->stream, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

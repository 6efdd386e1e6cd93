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

static struct snapc_link_counts stream_counts;

struct snapc_link_stream {
	struct bufferevent *stream;
	struct event *flush;
	struct evbuffer *queued; /* messages of this turn of the event loop, as in a BATCH */
	uint32_t nqueued;
	struct snapc_link_msg first; /* of them */
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

/* Return: 1; -1 the stream has ended or was destroyed. */
static int stream_batch(struct snapc_link_stream *s, const void *batch, size_t bytes)
{
	struct snapc_link_msg msg;
	struct cr_err err = { "" };
	const void *payload;
	size_t at = 0;
	int rc;

	while ((rc = snapc_link_batch_next(batch, bytes, &at, s->stage, &msg, &payload, &err)) > 0) {
		stream_counts.messages_in++;
		if (!s->user.frame(s->user.arg, &msg, payload))
			return -1;
	}
	if (rc < 0)
		s->user.ended(s->user.arg, err.text);
	return rc < 0 ? -1 : 1;
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
	int rc;

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
	stream_counts.frames_in++;
	if (msg.kind == SNAPC_LINK_BATCH) {
		rc = stream_batch(s, copy, msg.bytes);
	} else {
		stream_counts.messages_in++;
		rc = s->user.frame(s->user.arg, &msg, copy) ? 1 : -1;
	}
	free(copy);
	return rc;
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

static void stream_need(int rc)
{
	if (rc < 0) {
		snapc_log(SNAPC_LOG_ERROR, "out of memory");
		abort();
	}
}

/* What is queued as one frame: a BATCH, or the message itself when there is but one. */
static void stream_flush(struct snapc_link_stream *s)
{
	const struct snapc_link_msg batch = { .kind = SNAPC_LINK_BATCH, .rank = -1, .bytes = (uint32_t)evbuffer_get_length(s->queued) };
	struct evbuffer *out = bufferevent_get_output(s->stream);
	struct snapc_link_frame frame;

	if (!s->nqueued)
		return;
	snapc_link_frame_make(s->nqueued > 1 ? &batch : &s->first, &frame);
	if (s->nqueued == 1) {
		evbuffer_drain(s->queued, sizeof(s->first));
		stream_need(evbuffer_add(out, &frame, sizeof(frame)));
		stream_need(evbuffer_remove_buffer(s->queued, out, s->first.bytes));
		evbuffer_drain(s->queued, evbuffer_get_length(s->queued));
	} else {
		stream_need(evbuffer_add(out, &frame, sizeof(frame)));
		stream_need(evbuffer_add_buffer(out, s->queued));
	}
	stream_counts.frames_out++;
	stream_counts.messages_out += s->nqueued;
	s->nqueued = 0;
}

static void stream_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	stream_flush(arg);
}

static void stream_release(struct snapc_link_stream *s)
{
	if (!s)
		return;
	if (s->flush)
		event_free(s->flush);
	if (s->queued)
		evbuffer_free(s->queued);
	free(s);
}

struct snapc_link_stream *snapc_link_stream_create(struct event_base *base, int fd, enum snapc_link_stage stage,
						   const struct snapc_link_stream_user *user)
{
	struct snapc_link_stream *s = calloc(1, sizeof(*s));

	if (s) {
		s->flush = event_new(base, -1, 0, stream_turn, s);
		s->queued = evbuffer_new();
	}
	if (s && s->flush && s->queued)
		s->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!s || !s->stream) {
		stream_release(s);
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
	stream_release(s);
}

struct bufferevent *snapc_link_stream_leave(struct snapc_link_stream *s)
{
	struct bufferevent *stream = s->stream;

	stream_flush(s);
	bufferevent_setcb(stream, NULL, NULL, NULL, NULL);
	stream_release(s);
	return stream;
}

int snapc_link_stream_connect(struct snapc_link_stream *s, const struct sockaddr *address, int bytes)
{
	return bufferevent_socket_connect(s->stream, address, bytes) < 0 ? -ECONNREFUSED : 0;
}

void snapc_link_stream_send(struct snapc_link_stream *s, const struct snapc_link_msg *msg, const void *payload)
{
	static const char fill[8];
	size_t room = snapc_link_batch_room(msg);

	if (evbuffer_get_length(s->queued) + room > SNAPC_LINK_BATCH_BYTES)
		stream_flush(s);
	if (!s->nqueued++) {
		s->first = *msg;
		event_active(s->flush, EV_TIMEOUT, 0);
	}
	stream_need(evbuffer_add(s->queued, msg, sizeof(*msg)));
	stream_need(msg->bytes ? evbuffer_add(s->queued, payload, msg->bytes) : 0);
	stream_need(evbuffer_add(s->queued, fill, room - sizeof(*msg) - msg->bytes));
	if (room > SNAPC_LINK_BATCH_BYTES) /* alone */
		stream_flush(s);
}

const struct snapc_link_counts *snapc_link_stream_counts(void)
{
	return &stream_counts;
}

void snapc_link_stream_finish(struct snapc_link_stream *s)
{
	stream_flush(s);
	s->finishing = true;
	if (!evbuffer_get_length(bufferevent_get_output(s->stream)))
		bufferevent_trigger(s->stream, EV_WRITE, BEV_OPT_DEFER_CALLBACKS);
}

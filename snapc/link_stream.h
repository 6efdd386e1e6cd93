/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One TCP connection between nodes, cut into frames.  What both ends share: reading, judging, sending; the conversation is that of
 * link_server.c and link_client.c.
 *
 * Everything that is sent in one turn of the event loop becomes one frame (BATCH) and leaves in one system call, without delay (TCP_NODELAY).  A peer that vanishes without a
 * word is noticed within a minute.
 */
#ifndef SNAPC_LINK_STREAM_H
#define SNAPC_LINK_STREAM_H

#include "snapc/link_wire.h"

struct bufferevent;
struct event_base;
struct snapc_link_stream;

struct snapc_link_stream_user {
	/* A frame. @payload is aligned to 8 bytes, borrowed. Return: false when the stream was destroyed inside. */
	_Bool (*frame)(void *arg, const struct snapc_link_msg *msg, const void *payload);
	/* The connection has ended, for the reason given; destroy the stream inside or later. */
	void (*ended)(void *arg, const char *why);
	void *arg;
};

/* @fd: connected, given; -1: snapc_link_stream_connect() follows. Return: NULL: no memory, and @fd is closed. */
struct snapc_link_stream *snapc_link_stream_create(struct event_base *base, int fd, enum snapc_link_stage stage,
						   const struct snapc_link_stream_user *user);
void snapc_link_stream_destroy(struct snapc_link_stream *stream);

struct sockaddr;
/* Begin to connect. Return: 0 or -errno. */
int snapc_link_stream_connect(struct snapc_link_stream *stream, const struct sockaddr *address, int bytes);

void snapc_link_stream_stage(struct snapc_link_stream *stream, enum snapc_link_stage stage);
void snapc_link_stream_send(struct snapc_link_stream *stream, const struct snapc_link_msg *msg, const void *payload);
struct snapc_link_counts {
	uint64_t frames_in, frames_out;
	uint64_t messages_in, messages_out; /* a BATCH is several */
};
/* Of all streams of this process, those that have ended included. */
const struct snapc_link_counts *snapc_link_stream_counts(void);

/* Flush, and give the connection to somebody who speaks otherwise; the stream is destroyed. */
struct bufferevent *snapc_link_stream_leave(struct snapc_link_stream *stream);

/* Send what is queued, and then end the connection: ended() is called. */
void snapc_link_stream_finish(struct snapc_link_stream *stream);

#endif

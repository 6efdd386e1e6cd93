/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A link inside one process: two queues, emptied from the event loop, so that nobody is called back while he sends. */
#include "snapc/link.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/log.h"

struct queue_item {
	struct queue_item *next;
	struct snapc_link_msg msg;
	uint64_t payload[];
};

struct queue_end {
	struct snapc_link link; /* first: the user's pointer */
	struct queue_end *peer;
	struct queue_item *first; /* waiting for this end */
	struct queue_item **last;
	struct event *wake;
};

struct snapc_link_queue {
	struct queue_end local;
	struct queue_end global;
};

static void queue_send(struct snapc_link *link, const struct snapc_link_msg *msg, const void *payload)
{
	struct queue_end *to = ((struct queue_end *)link)->peer;
	struct queue_item *item = malloc(sizeof(*item) + msg->bytes);

	if (!item) {
		snapc_log(SNAPC_LOG_ERROR, "out of memory");
		abort();
	}
	item->next = NULL;
	item->msg = *msg;
	if (msg->bytes)
		memcpy(item->payload, payload, msg->bytes);
	*to->last = item;
	to->last = &item->next;
	event_active(to->wake, EV_TIMEOUT, 0);
}

/* Delivers what was there at the beginning; what the receiver causes waits for the next turn of the loop. */
static void queue_deliver(evutil_socket_t fd, short what, void *arg)
{
	struct queue_end *end = arg;
	struct queue_item *item = end->first, *next;

	(void)fd;
	(void)what;
	end->first = NULL;
	end->last = &end->first;
	for (; item; item = next) {
		next = item->next;
		if (end->link.receive)
			end->link.receive(end->link.arg, &item->msg, item->payload);
		free(item);
	}
}

static int queue_end_init(struct queue_end *end, struct queue_end *peer, struct event_base *base)
{
	end->link.send = queue_send;
	end->peer = peer;
	end->last = &end->first;
	end->wake = event_new(base, -1, 0, queue_deliver, end);
	return end->wake ? 0 : -1;
}

static void queue_end_fini(struct queue_end *end)
{
	struct queue_item *next;

	for (struct queue_item *item = end->first; item; item = next) {
		next = item->next;
		free(item);
	}
	if (end->wake)
		event_free(end->wake);
}

struct snapc_link_queue *snapc_link_queue_create(struct event_base *base)
{
	struct snapc_link_queue *queue = calloc(1, sizeof(*queue));

	if (!queue)
		return NULL;
	if (queue_end_init(&queue->local, &queue->global, base) < 0 || queue_end_init(&queue->global, &queue->local, base) < 0) {
		snapc_link_queue_destroy(queue);
		return NULL;
	}
	return queue;
}

void snapc_link_queue_destroy(struct snapc_link_queue *queue)
{
	if (!queue)
		return;
	queue_end_fini(&queue->local);
	queue_end_fini(&queue->global);
	free(queue);
}

struct snapc_link *snapc_link_queue_local(struct snapc_link_queue *queue)
{
	return &queue->local.link;
}

struct snapc_link *snapc_link_queue_global(struct snapc_link_queue *queue)
{
	return &queue->global.link;
}

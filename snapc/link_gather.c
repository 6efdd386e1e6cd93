/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Counting questions down and answers up. */
#include "snapc/link_gather.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "snapc/link_wire.h"
#include "snapc/log.h"

#define GATHER_TYPES (CR_MSG_NOCR_REPLY + 1)
#define GATHER_SURVEY 0 /* no CR_MSG_* has this number */
#define GATHER_BYTES (256u << 10) /* more is not kept back */

struct snapc_link_gather {
	struct snapc_link *above;
	struct event *timer;
	struct evbuffer *kept; /* messages as in a BATCH */
	uint32_t checkpoint;
	uint32_t asked[GATHER_TYPES]; /* by the type of the answer */
	uint32_t answered[GATHER_TYPES];
};

/* The answers to a message for a rank. */
static const struct {
	uint32_t question;
	uint32_t answer;
} gather_answers[] = {
	{ CR_MSG_CHECK, CR_MSG_CHECK_REPLY }, { CR_MSG_BEGIN, CR_MSG_CLOCKS },	{ CR_MSG_STOP, CR_MSG_ARRIVED }, { CR_MSG_DRAIN, CR_MSG_DRAINED },
	{ CR_MSG_FREEZE, CR_MSG_FROZEN },     { CR_MSG_DUMP, CR_MSG_SNAPPED },	{ CR_MSG_DUMP, CR_MSG_DUMPED },	 { CR_MSG_RESUME, CR_MSG_RESUMED },
};

static void gather_flush(struct snapc_link_gather *gather)
{
	size_t bytes = evbuffer_get_length(gather->kept);
	struct snapc_link_msg msg;
	const unsigned char *all;

	evtimer_del(gather->timer);
	if (!bytes)
		return;
	all = evbuffer_pullup(gather->kept, -1);
	for (size_t at = 0; all && at < bytes; at += snapc_link_batch_room(&msg)) {
		memcpy(&msg, all + at, sizeof(msg));
		gather->above->send(gather->above, &msg, all + at + sizeof(msg));
	}
	evbuffer_drain(gather->kept, bytes);
}

static void gather_late(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	gather_flush(arg);
}

static void gather_keep(struct snapc_link_gather *gather, const struct snapc_link_msg *msg, const void *payload)
{
	static const struct timeval moment = { .tv_usec = SNAPC_GATHER_MS * 1000 };
	static const char fill[8];
	size_t room = snapc_link_batch_room(msg);

	if (evbuffer_add(gather->kept, msg, sizeof(*msg)) < 0 || (msg->bytes && evbuffer_add(gather->kept, payload, msg->bytes) < 0) ||
	    evbuffer_add(gather->kept, fill, room - sizeof(*msg) - msg->bytes) < 0) {
		snapc_log(SNAPC_LOG_ERROR, "out of memory");
		abort();
	}
	if (!evtimer_pending(gather->timer, NULL))
		evtimer_add(gather->timer, &moment);
}

struct snapc_link_gather *snapc_link_gather_create(struct event_base *base, struct snapc_link *above)
{
	struct snapc_link_gather *gather = calloc(1, sizeof(*gather));

	if (!gather)
		return NULL;
	gather->above = above;
	gather->timer = evtimer_new(base, gather_late, gather);
	gather->kept = evbuffer_new();
	if (!gather->timer || !gather->kept) {
		snapc_link_gather_destroy(gather);
		return NULL;
	}
	return gather;
}

void snapc_link_gather_destroy(struct snapc_link_gather *gather)
{
	if (!gather)
		return;
	if (gather->timer)
		event_free(gather->timer);
	if (gather->kept)
		evbuffer_free(gather->kept);
	free(gather);
}

void snapc_link_gather_reset(struct snapc_link_gather *gather)
{
	evtimer_del(gather->timer);
	evbuffer_drain(gather->kept, evbuffer_get_length(gather->kept));
	memset(gather->asked, 0, sizeof(gather->asked));
	memset(gather->answered, 0, sizeof(gather->answered));
}

void snapc_link_gather_asked(struct snapc_link_gather *gather, const struct snapc_link_msg *msg)
{
	if (msg->kind == SNAPC_LINK_ASK_SURVEY) {
		gather->asked[GATHER_SURVEY]++;
		return;
	}
	if (msg->kind != SNAPC_LINK_TO_AGENT)
		return;
	if (msg->checkpoint != gather->checkpoint) {
		gather->checkpoint = msg->checkpoint;
		memset(gather->asked + 1, 0, sizeof(gather->asked) - sizeof(gather->asked[0]));
		memset(gather->answered + 1, 0, sizeof(gather->answered) - sizeof(gather->answered[0]));
	}
	for (size_t i = 0; i < sizeof(gather_answers) / sizeof(gather_answers[0]); i++)
		if (gather_answers[i].question == msg->type)
			gather->asked[gather_answers[i].answer]++;
}

void snapc_link_gather_send(struct snapc_link_gather *gather, const struct snapc_link_msg *msg, const void *payload)
{
	uint32_t answer = msg->kind == SNAPC_LINK_SURVEY ? GATHER_SURVEY : msg->type;
	bool counts = msg->kind == SNAPC_LINK_SURVEY || (msg->kind == SNAPC_LINK_FROM_AGENT && answer && answer < GATHER_TYPES);

	if (counts && gather->answered[answer] < gather->asked[answer] && snapc_link_batch_room(msg) < GATHER_BYTES) {
		gather_keep(gather, msg, payload);
		if (++gather->answered[answer] < gather->asked[answer] && evbuffer_get_length(gather->kept) < GATHER_BYTES)
			return;
		gather_flush(gather);
		return;
	}
	gather_flush(gather);
	gather->above->send(gather->above, msg, payload);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a node to its coordinator, again and again. */
#include "snapc/link_client.h"

#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapc/link_address.h"
#include "snapc/link_stream.h"
#include "snapc/log.h"

/* One address gets this long before the next is tried. */
#define CLIENT_PATIENCE_SECONDS 5
#define CLIENT_PAUSE_MS 200
#define CLIENT_PAUSE_MOST_MS 10000

struct snapc_link_client {
	struct snapc_link link; /* first: the user's pointer */
	struct event_base *base;
	const struct snapc_auth *auth;
	struct snapc_link_client_user user;
	const char *addresses;
	const char *next; /* of them */
	struct snapc_link_stream *stream;
	struct event *timer; /* next trial, or the patience for this one */
	unsigned pause_ms;
	bool up;
	uint32_t node;
	char sent_to[SNAPC_LINK_ADDRESSES_BYTES]; /* a node above us; @next may point here */
	unsigned char global_nonce[SNAPC_LINK_NONCE_BYTES];
	struct snapc_link_proof proof; /* what we say of ourselves; nonce and credential of this trial */
};

static void client_later(struct snapc_link_client *client, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	evtimer_add(client->timer, &tv);
}

/* Many nodes may lose the same one above them at once: not all of them should knock at the same moment. */
static unsigned client_jitter(unsigned ms)
{
	uint32_t random = 0;

	snapc_auth_random(&random, sizeof(random), NULL);
	return ms / 2 + random % (ms / 2 + 1);
}

/* Back to the coordinator. */
static void client_rewind(struct snapc_link_client *client)
{
	client->next = client->addresses;
	client->proof.node = SNAPC_LINK_NO_NODE;
}

static void client_ended(void *arg, const char *why)
{
	struct snapc_link_client *client = arg;
	bool was_up = client->up;

	snapc_link_stream_destroy(client->stream);
	client->stream = NULL;
	client->up = false;
	if (was_up) {
		snapc_log(SNAPC_LOG_ERROR, "the connection to the coordinator has ended: %s", why);
		client->pause_ms = CLIENT_PAUSE_MS;
		client_rewind(client);
		client->user.down(client->user.arg);
	} else {
		client->user.failed(client->user.arg, why);
	}
	if (*client->next) {
		client_later(client, 0);
		return;
	}
	client_rewind(client);
	client_later(client, client_jitter(client->pause_ms));
	client->pause_ms = client->pause_ms * 2 > CLIENT_PAUSE_MOST_MS ? CLIENT_PAUSE_MOST_MS : client->pause_ms * 2;
}

static bool client_give_up(struct snapc_link_client *client, const char *why)
{
	client_ended(client, why);
	return false;
}

static struct snapc_auth_scene client_scene(const struct snapc_link_client *client)
{
	return (struct snapc_auth_scene){ .global_nonce = client->global_nonce, .node_nonce = client->proof.nonce, .instance = client->proof.instance,
					  .host = client->proof.host, .node = client->proof.node, .addresses = client->proof.addresses };
}

static bool client_challenge(struct snapc_link_client *client, const struct snapc_link_challenge *challenge)
{
	struct snapc_auth_scene scene = client_scene(client);
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_PROOF, .rank = -1, .bytes = sizeof(client->proof) };
	struct cr_err err = { "" };

	if (challenge->method != client->auth->method)
		return client_give_up(client, "it asks for another way of authentication than the job has");
	memcpy(client->global_nonce, challenge->nonce, sizeof(client->global_nonce));
	memset(client->proof.credential, 0, sizeof(client->proof.credential));
	if (snapc_auth_random(client->proof.nonce, sizeof(client->proof.nonce), &err) < 0 ||
	    snapc_auth_prove(client->auth, 0, &scene, client->proof.credential, &err) < 0)
		return client_give_up(client, err.text);
	snapc_link_stream_send(client->stream, &msg, &client->proof);
	snapc_link_stream_stage(client->stream, SNAPC_LINK_AT_NODE_PROVEN);
	return true;
}

static bool client_welcome(struct snapc_link_client *client, const struct snapc_link_welcome *welcome)
{
	struct snapc_auth_scene scene = client_scene(client);
	struct cr_err err = { "" };

	if (snapc_auth_check(client->auth, 1, &scene, welcome->credential, &err) < 0)
		return client_give_up(client, err.text);
	evtimer_del(client->timer);
	snapc_link_stream_stage(client->stream, SNAPC_LINK_AT_NODE);
	client->up = true;
	client->pause_ms = CLIENT_PAUSE_MS;
	client->node = welcome->node;
	client->user.up(client->user.arg, welcome->node);
	return true;
}

/* Whoever says so has to prove that he may. */
static bool client_redirect(struct snapc_link_client *client, const struct snapc_link_redirect *redirect)
{
	struct snapc_auth_scene scene = client_scene(client);
	struct cr_err err = { "" };

	if (client->proof.node != SNAPC_LINK_NO_NODE)
		return client_give_up(client, "it was sent on twice");
	if (snapc_auth_check(client->auth, 1, &scene, redirect->credential, &err) < 0)
		return client_give_up(client, err.text);
	snapc_link_stream_destroy(client->stream);
	client->stream = NULL;
	if (!redirect->addresses[0]) { /* in a moment there will be a place */
		client_rewind(client);
		client_later(client, client_jitter(CLIENT_PAUSE_MS));
		return false;
	}
	memcpy(client->sent_to, redirect->addresses, sizeof(client->sent_to));
	client->next = client->sent_to;
	client->proof.node = redirect->node;
	client_later(client, 0);
	return false;
}

static bool client_frame(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_link_client *client = arg;

	if (client->up && msg->kind == SNAPC_LINK_LEAVE && msg->node == client->node)
		return client_give_up(client, "it was told to come to the coordinator again");
	if (client->up) {
		if (client->link.receive)
			client->link.receive(client->link.arg, msg, payload);
		return client->up;
	}
	if (msg->kind == SNAPC_LINK_CHALLENGE)
		return client_challenge(client, payload);
	if (msg->kind == SNAPC_LINK_WELCOME)
		return client_welcome(client, payload);
	if (msg->kind == SNAPC_LINK_REDIRECT)
		return client_redirect(client, payload);
	return client_give_up(client, ((const struct snapc_link_refused *)payload)->text);
}

static void client_begin(struct snapc_link_client *client)
{
	struct snapc_link_stream_user user = { .frame = client_frame, .ended = client_ended, .arg = client };
	struct sockaddr_storage address;
	int bytes = snapc_link_address_next(&client->next, &address), rc;

	if (bytes > 0)
		client->stream = snapc_link_stream_create(client->base, -1, SNAPC_LINK_AT_NODE_FIRST, &user);
	if (!client->stream) {
		client_ended(client, bytes > 0 ? "no memory" : "no usable address");
		return;
	}
	client_later(client, CLIENT_PATIENCE_SECONDS * 1000);
	rc = snapc_link_stream_connect(client->stream, (struct sockaddr *)&address, bytes);
	if (rc < 0 && client->stream) /* some versions of libevent tell it by the event as well */
		client_ended(client, strerror(errno));
}

static void client_timer(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_link_client *client = arg;

	(void)fd;
	(void)what;
	if (client->stream)
		client_ended(client, "it does not answer");
	else
		client_begin(client);
}

static void client_send(struct snapc_link *link, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_link_client *client = (struct snapc_link_client *)link;

	if (client->up)
		snapc_link_stream_send(client->stream, msg, payload);
}

int snapc_link_client_create(struct event_base *base, const struct snapc_auth *auth, const char *addresses, const char *own,
			     const struct snapc_link_client_user *user, struct snapc_link_client **ret_client, struct cr_err *err)
{
	struct snapc_link_client *client = calloc(1, sizeof(*client));
	int rc;

	if (!client)
		return cr_err_set(err, ENOMEM, "no memory for a connection");
	client->base = base;
	client->auth = auth;
	client->user = *user;
	client->addresses = client->next = addresses;
	client->pause_ms = CLIENT_PAUSE_MS;
	client->link.send = client_send;
	client->timer = evtimer_new(base, client_timer, client);
	rc = client->timer ? snapc_auth_random(&client->proof.instance, sizeof(client->proof.instance), err) :
			     cr_err_set(err, ENOMEM, "no memory for a connection");
	if (rc < 0) {
		snapc_link_client_destroy(client);
		return rc;
	}
	if (gethostname(client->proof.host, sizeof(client->proof.host) - 1) < 0)
		snprintf(client->proof.host, sizeof(client->proof.host), "localhost");
	snprintf(client->proof.addresses, sizeof(client->proof.addresses), "%s", own);
	client->proof.node = SNAPC_LINK_NO_NODE;
	client_later(client, 0);
	*ret_client = client;
	return 0;
}

void snapc_link_client_destroy(struct snapc_link_client *client)
{
	if (!client)
		return;
	snapc_link_stream_destroy(client->stream);
	if (client->timer)
		event_free(client->timer);
	free(client);
}

struct snapc_link *snapc_link_client_link(struct snapc_link_client *client)
{
	return &client->link;
}

uint64_t snapc_link_client_instance(const struct snapc_link_client *client)
{
	return client->proof.instance;
}

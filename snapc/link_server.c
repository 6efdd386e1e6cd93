/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nodes that connect, and those that only try. */
#include "snapc/link_server.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "snapc/link_address.h"
#include "snapc/link_stream.h"
#include "snapc/log.h"

#define SERVER_PENDING_MOST 64
#define SERVER_PENDING_SECONDS 10
/* Lines in the log about strangers, per so many seconds. */
#define SERVER_LINES 8
#define SERVER_LINES_SECONDS 10

/* One connection; pending until it has proved who it is. */
struct server_peer {
	struct snapc_link link; /* first: the user's pointer */
	struct server_peer *next;
	struct snapc_link_server *server;
	struct snapc_link_stream *stream;
	struct event *deadline; /* of a pending one; later: frees it outside of its own callbacks */
	unsigned char nonce[SNAPC_LINK_NONCE_BYTES];
	uint64_t instance;
	uint32_t node;
	bool member;
	bool dead;
	char from[SNAPC_LINK_ADDRESS_BYTES];
	char host[SNAPC_HOST_BYTES];
};

struct snapc_link_server {
	struct event_base *base;
	const struct snapc_auth *auth;
	struct snapc_link_server_user user;
	struct evconnlistener *events;
	struct server_peer *peers; /* newest first */
	uint32_t pending;
	char addresses[SNAPC_LINK_ADDRESSES_BYTES];
	uint64_t lines_since;
	uint32_t lines;
};

static uint64_t server_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

static void server_complain(struct snapc_link_server *server, const char *from, const char *why)
{
	uint64_t now = server_seconds();

	if (now - server->lines_since >= SERVER_LINES_SECONDS) {
		if (server->lines > SERVER_LINES)
			snapc_log(SNAPC_LOG_ERROR, "%u more connections were refused", server->lines - SERVER_LINES);
		server->lines_since = now;
		server->lines = 0;
	}
	if (++server->lines <= SERVER_LINES)
		snapc_log(SNAPC_LOG_ERROR, "refused: connection from %s: %s", from, why);
}

static void peer_destroy(struct server_peer *peer)
{
	struct snapc_link_server *server = peer->server;
	struct server_peer **at = &server->peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	if (!peer->member)
		server->pending--;
	snapc_link_stream_destroy(peer->stream);
	if (peer->deadline)
		event_free(peer->deadline);
	free(peer);
}

/* The stream is ended here; the memory stays until nobody is inside it. */
static void peer_end(struct server_peer *peer, const char *why)
{
	struct timeval now = { 0 };

	if (peer->dead)
		return;
	peer->dead = true;
	snapc_link_stream_destroy(peer->stream);
	peer->stream = NULL;
	if (peer->member)
		peer->server->user.node_down(peer->server->user.arg, peer->node, why);
	evtimer_add(peer->deadline, &now);
}

static void peer_refuse(struct server_peer *peer, const char *why)
{
	struct snapc_link_refused refused;
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_REFUSED, .rank = -1, .bytes = sizeof(refused) };

	server_complain(peer->server, peer->from, why);
	memset(&refused, 0, sizeof(refused));
	strncpy(refused.text, why, sizeof(refused.text) - 1);
	snapc_link_stream_send(peer->stream, &msg, &refused);
	snapc_link_stream_finish(peer->stream);
}

static void peer_send(struct snapc_link *link, const struct snapc_link_msg *msg, const void *payload)
{
	struct server_peer *peer = (struct server_peer *)link;

	if (!peer->dead)
		snapc_link_stream_send(peer->stream, msg, payload);
}

/* The same daemon again, while its former connection has not been noticed to be dead. */
static void server_replace(struct snapc_link_server *server, uint64_t instance)
{
	for (struct server_peer *p = server->peers; p; p = p->next)
		if (p->member && !p->dead && p->instance == instance)
			peer_end(p, "it has connected again");
}

/* Return: false when the stream was destroyed. */
static bool peer_admit(struct server_peer *peer, const struct snapc_link_proof *proof)
{
	struct snapc_link_server *server = peer->server;
	struct snapc_auth_scene scene = { .global_nonce = peer->nonce, .node_nonce = proof->nonce, .instance = proof->instance, .host = proof->host };
	struct snapc_link_welcome welcome;
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_WELCOME, .rank = -1, .bytes = sizeof(welcome) };
	struct cr_err err = { "" };
	int64_t node;

	memset(&welcome, 0, sizeof(welcome));
	if (snapc_auth_check(server->auth, 0, &scene, proof->credential, &err) < 0 ||
	    snapc_auth_prove(server->auth, 1, &scene, welcome.credential, &err) < 0) {
		peer_refuse(peer, err.text);
		return true;
	}
	server_replace(server, proof->instance);
	peer->instance = proof->instance;
	memcpy(peer->host, proof->host, sizeof(peer->host));
	peer->link.send = peer_send;
	node = server->user.node_up(server->user.arg, &peer->link, peer->host);
	if (node < 0) {
		peer_refuse(peer, strerror((int)-node));
		return true;
	}
	evtimer_del(peer->deadline);
	peer->member = true;
	peer->node = (uint32_t)node;
	server->pending--;
	snapc_log(SNAPC_LOG_INFO, "node %s (%s) is number %u", peer->host, peer->from, peer->node);
	welcome.node = peer->node;
	snapc_link_stream_send(peer->stream, &msg, &welcome);
	snapc_link_stream_stage(peer->stream, SNAPC_LINK_AT_GLOBAL);
	return true;
}

static bool peer_frame(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct server_peer *peer = arg;
	struct snapc_link_msg stamped = *msg;

	if (!peer->member)
		return peer_admit(peer, payload);
	stamped.node = peer->node; /* not what it says of itself */
	if (peer->link.receive)
		peer->link.receive(peer->link.arg, &stamped, payload);
	return !peer->dead;
}

static void peer_ended(void *arg, const char *why)
{
	struct server_peer *peer = arg;

	if (!peer->member && strcmp(why, "closed") != 0)
		server_complain(peer->server, peer->from, why);
	else if (peer->member)
		snapc_log(SNAPC_LOG_INFO, "node %s is gone: %s", peer->host, why);
	peer_end(peer, why);
}

static void peer_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct server_peer *peer = arg;

	(void)fd;
	(void)what;
	if (!peer->dead)
		server_complain(peer->server, peer->from, "it has not said who it is in time");
	peer_destroy(peer);
}

static void server_make_room(struct snapc_link_server *server)
{
	struct server_peer *oldest = NULL;

	if (server->pending < SERVER_PENDING_MOST)
		return;
	for (struct server_peer *p = server->peers; p; p = p->next)
		if (!p->member && !p->dead)
			oldest = p;
	if (oldest) {
		server_complain(server, oldest->from, "too many connections at once");
		peer_destroy(oldest);
	}
}

static void server_accept(struct evconnlistener *events, evutil_socket_t fd, struct sockaddr *address, int bytes, void *arg)
{
	struct snapc_link_server *server = arg;
	struct server_peer *peer = calloc(1, sizeof(*peer));
	struct snapc_link_stream_user user = { .frame = peer_frame, .ended = peer_ended, .arg = peer };
	struct snapc_link_challenge challenge = { .method = server->auth->method };
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_CHALLENGE, .rank = -1, .bytes = sizeof(challenge) };
	struct timeval patience = { .tv_sec = SERVER_PENDING_SECONDS };

	(void)events;
	if (!peer || snapc_auth_random(peer->nonce, sizeof(peer->nonce), NULL) < 0) {
		free(peer);
		evutil_closesocket(fd);
		return;
	}
	server_make_room(server);
	peer->server = server;
	peer->deadline = evtimer_new(server->base, peer_deadline, peer);
	peer->stream = snapc_link_stream_create(server->base, fd, SNAPC_LINK_AT_GLOBAL_FIRST, &user);
	if (!peer->deadline || !peer->stream) {
		snapc_link_stream_destroy(peer->stream);
		if (peer->deadline)
			event_free(peer->deadline);
		free(peer);
		return;
	}
	peer->next = server->peers;
	server->peers = peer;
	server->pending++;
	snapc_link_address_text(address, bytes, peer->from);
	evtimer_add(peer->deadline, &patience);
	memcpy(challenge.nonce, peer->nonce, sizeof(challenge.nonce));
	snapc_link_stream_send(peer->stream, &msg, &challenge);
}

int snapc_link_server_create(struct event_base *base, const struct snapc_auth *auth, unsigned port, const char *network,
			     const struct snapc_link_server_user *user, struct snapc_link_server **ret_server, struct cr_err *err)
{
	struct snapc_link_server *server = calloc(1, sizeof(*server));
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t bytes = sizeof(any);
	int rc;

	if (!server)
		return cr_err_set(err, ENOMEM, "no memory for a listener");
	server->base = base;
	server->auth = auth;
	server->user = *user;
	server->events = evconnlistener_new_bind(base, server_accept, server, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 512,
						 (struct sockaddr *)&any, sizeof(any));
	if (!server->events) {
		rc = cr_err_set(err, errno ? errno : EIO, "cannot listen on TCP port %u: %s", port, strerror(errno));
		free(server);
		return rc;
	}
	if (getsockname(evconnlistener_get_fd(server->events), (struct sockaddr *)&any, &bytes) < 0)
		rc = cr_err_set(err, errno, "the port is not known: %s", strerror(errno));
	else
		rc = snapc_link_addresses(ntohs(any.sin_port), network, server->addresses, sizeof(server->addresses), err);
	if (rc < 0) {
		snapc_link_server_destroy(server);
		return rc;
	}
	*ret_server = server;
	return 0;
}

void snapc_link_server_shut(struct snapc_link_server *server)
{
	struct server_peer *next;

	if (server->events)
		evconnlistener_free(server->events);
	server->events = NULL;
	for (struct server_peer *p = server->peers; p; p = next) {
		next = p->next;
		if (!p->member && !p->dead)
			peer_end(p, "nobody is expected any more");
	}
}

void snapc_link_server_destroy(struct snapc_link_server *server)
{
	if (!server)
		return;
	if (server->events)
		evconnlistener_free(server->events);
	while (server->peers)
		peer_destroy(server->peers);
	free(server);
}

const char *snapc_link_server_addresses(const struct snapc_link_server *server)
{
	return server->addresses;
}

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
#include <unistd.h>

#include "snapc/link_address.h"
#include "snapc/link_stream.h"
#include "snapc/log.h"

#define SERVER_QUEUE 512
#define SERVER_PENDING_MOST 64
#define SERVER_PENDING_SECONDS 10
/* Lines in the log about strangers, per so many seconds. */
#define SERVER_LINES 8
#define SERVER_LINES_SECONDS 10

/* One connection; pending until it has proved who it is. */
struct snapc_link_peer {
	struct snapc_link_peer *next;
	struct snapc_link_server *server;
	struct snapc_link_stream *stream;
	struct event *deadline; /* of a pending one; later: frees it outside of its own callbacks */
	unsigned char nonce[SNAPC_LINK_NONCE_BYTES];
	bool member;
	bool dead;
	char from[SNAPC_LINK_ADDRESS_BYTES];
};

struct snapc_link_server {
	struct event_base *base;
	const struct snapc_auth *auth;
	struct snapc_link_server_user user;
	struct evconnlistener *events;
	struct snapc_link_peer *peers; /* newest first */
	uint32_t pending;
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

static void peer_destroy(struct snapc_link_peer *peer)
{
	struct snapc_link_server *server = peer->server;
	struct snapc_link_peer **at = &server->peers;

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
static void peer_end(struct snapc_link_peer *peer, const char *why)
{
	struct timeval now = { 0 };

	if (peer->dead)
		return;
	peer->dead = true;
	snapc_link_stream_destroy(peer->stream);
	peer->stream = NULL;
	if (peer->member)
		peer->server->user.gone(peer->server->user.arg, peer, why);
	evtimer_add(peer->deadline, &now);
}

static void peer_refuse(struct snapc_link_peer *peer, const char *why)
{
	struct snapc_link_refused refused;
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_REFUSED, .rank = -1, .bytes = sizeof(refused) };

	server_complain(peer->server, peer->from, why);
	memset(&refused, 0, sizeof(refused));
	strncpy(refused.text, why, sizeof(refused.text) - 1);
	snapc_link_stream_send(peer->stream, &msg, &refused);
	snapc_link_stream_finish(peer->stream);
}

static void peer_redirect(struct snapc_link_peer *peer, const struct snapc_link_verdict *verdict, const char *credential)
{
	struct snapc_link_redirect redirect;
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_REDIRECT, .rank = -1, .bytes = sizeof(redirect) };

	memset(&redirect, 0, sizeof(redirect));
	redirect.node = verdict->node;
	strncpy(redirect.addresses, verdict->addresses, sizeof(redirect.addresses) - 1);
	memcpy(redirect.credential, credential, sizeof(redirect.credential));
	snapc_link_stream_send(peer->stream, &msg, &redirect);
	snapc_link_stream_finish(peer->stream);
}

/* It is no node: its connection goes to whoever serves tools. */
static void peer_hand_over(struct snapc_link_peer *peer, const struct snapc_link_proof *proof, const struct snapc_link_welcome *welcome)
{
	const struct snapc_link_msg msg = { .kind = SNAPC_LINK_WELCOME, .rank = -1, .bytes = sizeof(*welcome) };
	struct bufferevent *stream;
	char who[SNAPC_HOST_BYTES + SNAPC_LINK_ADDRESS_BYTES + 8];

	snprintf(who, sizeof(who), "%s (%s)", proof->host, peer->from);
	snapc_link_stream_send(peer->stream, &msg, welcome);
	stream = snapc_link_stream_leave(peer->stream);
	peer->stream = NULL;
	peer_end(peer, "handed over");
	peer->server->user.tool(peer->server->user.arg, stream, who);
}

static void peer_admit(struct snapc_link_peer *peer, const struct snapc_link_proof *proof)
{
	struct snapc_link_server *server = peer->server;
	struct snapc_auth_scene scene = { .global_nonce = peer->nonce, .node_nonce = proof->nonce, .instance = proof->instance, .host = proof->host,
					  .node = proof->node, .addresses = proof->addresses };
	struct snapc_link_verdict verdict = { .what = SNAPC_LINK_REFUSE_IT };
	struct snapc_link_welcome welcome;
	struct snapc_link_msg msg = { .kind = SNAPC_LINK_WELCOME, .rank = -1, .bytes = sizeof(welcome) };
	struct cr_err err = { "" };

	memset(&welcome, 0, sizeof(welcome));
	if (snapc_auth_check(server->auth, 0, &scene, proof->credential, &err) < 0 ||
	    snapc_auth_prove(server->auth, 1, &scene, welcome.credential, &err) < 0) {
		peer_refuse(peer, err.text);
		return;
	}
	server->user.judge(server->user.arg, proof, &verdict);
	if (verdict.what == SNAPC_LINK_REFUSE_IT) {
		peer_refuse(peer, verdict.why);
		return;
	}
	if (verdict.what == SNAPC_LINK_SEND_IT_ON) {
		peer_redirect(peer, &verdict, welcome.credential);
		return;
	}
	welcome.node = verdict.node;
	if (verdict.what == SNAPC_LINK_IS_TOOL) {
		peer_hand_over(peer, proof, &welcome);
		return;
	}
	evtimer_del(peer->deadline);
	peer->member = true;
	server->pending--;
	snapc_link_stream_send(peer->stream, &msg, &welcome);
	snapc_link_stream_stage(peer->stream, SNAPC_LINK_AT_GLOBAL);
	server->user.up(server->user.arg, peer, verdict.node);
}

/* Return: false when the stream was destroyed. */
static bool peer_frame(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapc_link_peer *peer = arg;
	const char *why = "it broke a rule";

	if (!peer->member)
		peer_admit(peer, payload);
	else if (!peer->server->user.message(peer->server->user.arg, peer, msg, payload, &why))
		peer_end(peer, why);
	return !peer->dead;
}

static void peer_ended(void *arg, const char *why)
{
	struct snapc_link_peer *peer = arg;

	if (!peer->member && strcmp(why, "closed") != 0)
		server_complain(peer->server, peer->from, why);
	peer_end(peer, why);
}

static void peer_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct snapc_link_peer *peer = arg;

	(void)fd;
	(void)what;
	if (!peer->dead)
		server_complain(peer->server, peer->from, "it has not said who it is in time");
	peer_destroy(peer);
}

static void server_make_room(struct snapc_link_server *server)
{
	struct snapc_link_peer *oldest = NULL;

	if (server->pending < SERVER_PENDING_MOST)
		return;
	for (struct snapc_link_peer *p = server->peers; p; p = p->next)
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
	struct snapc_link_peer *peer = calloc(1, sizeof(*peer));
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

/* One socket for both families, or for IPv4 where the kernel has no IPv6. Return: a descriptor that is bound, or -errno. */
static int server_bind(unsigned port, int *ret_family)
{
	struct sockaddr_in6 any6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons((uint16_t)port) };
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const int on = 1, off = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	*ret_family = AF_INET6;
	if (fd >= 0 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&any6, sizeof(any6)) == 0)
		return fd;
	if (fd >= 0 && errno == EADDRINUSE) {
		close(fd);
		return -EADDRINUSE;
	}
	if (fd >= 0)
		close(fd);
	*ret_family = AF_INET;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0)
		return fd;
	rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The kernel's choice. Return: 0: not known. */
static unsigned server_port(int fd)
{
	struct sockaddr_storage at;
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	socklen_t bytes = sizeof(at);

	if (getsockname(fd, (struct sockaddr *)&at, &bytes) < 0)
		return 0;
	memcpy(&in6, &at, sizeof(in6));
	memcpy(&in, &at, sizeof(in));
	return ntohs(at.ss_family == AF_INET6 ? in6.sin6_port : in.sin_port);
}

int snapc_link_server_listen(unsigned port, const char *network, int *ret_fd, char *ret_addresses, struct cr_err *err)
{
	int family, rc, fd = server_bind(port, &family);

	if (fd < 0)
		return cr_err_set(err, fd, "cannot listen on TCP port %u: %s", port, strerror(-fd));
	if (listen(fd, SERVER_QUEUE) < 0)
		rc = cr_err_set(err, errno, "cannot listen on TCP port %u: %s", port, strerror(errno));
	else
		rc = snapc_link_addresses(server_port(fd), network, family, ret_addresses, SNAPC_LINK_ADDRESSES_BYTES, err);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

int snapc_link_server_create(struct event_base *base, const struct snapc_auth *auth, int fd, const struct snapc_link_server_user *user,
			     struct snapc_link_server **ret_server, struct cr_err *err)
{
	struct snapc_link_server *server = calloc(1, sizeof(*server));

	if (!server)
		return cr_err_set(err, ENOMEM, "no memory for a listener");
	server->base = base;
	server->auth = auth;
	server->user = *user;
	server->events = evconnlistener_new(base, server_accept, server, LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!server->events) {
		free(server);
		return cr_err_set(err, ENOMEM, "no memory for a listener");
	}
	*ret_server = server;
	return 0;
}

void snapc_link_server_shut(struct snapc_link_server *server)
{
	struct snapc_link_peer *next;

	if (server->events)
		evconnlistener_free(server->events);
	server->events = NULL;
	for (struct snapc_link_peer *p = server->peers; p; p = next) {
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

void snapc_link_peer_send(struct snapc_link_peer *peer, const struct snapc_link_msg *msg, const void *payload)
{
	if (!peer->dead)
		snapc_link_stream_send(peer->stream, msg, payload);
}

void snapc_link_peer_end(struct snapc_link_peer *peer, const char *why)
{
	peer_end(peer, why);
}

const char *snapc_link_peer_from(const struct snapc_link_peer *peer)
{
	return peer->from;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The service thread: accepts the job's ranks and gives each connection its turn. It blocks nowhere but in epoll_wait.
 *
 * A checkpoint needs no word with this thread: the ranks wait for the answers of all that they have asked for before they say that they are
 * drained, and memory is captured only after all have said so.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/remote_conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROOF_NS 60000000000UL /* for a connection to prove itself */
#define UNPROVEN_MAX 64
#define ACCEPT_REST_US 100000

/* A connection and its place here. */
struct guest {
	struct guest *next, *next_ready;
	struct cr_remote_conn *conn;
	bool queued;
	bool waits_out; /* epoll looks for room to send */
	bool proven;
	uint64_t begin_ns;
};

static struct {
	int listen_fd, epoll_fd;
	struct cr_remote_endpoint endpoint; /* ok: it runs */
	struct guest *guests;
	struct guest *ready, *ready_last;
	int n_unproven;
	bool accept_rests;
} service = { .listen_fd = -1, .epoll_fd = -1 };

static void guest_destroy(struct guest *g)
{
	struct guest **link = &service.guests;

	while (*link != g)
		link = &(*link)->next;
	*link = g->next;
	service.n_unproven -= !g->proven;
	cr_remote_conn_destroy(g->conn);
	free(g);
}

static void watch(struct guest *g, bool out)
{
	struct epoll_event e = { .events = out ? EPOLLOUT : EPOLLIN, .data.ptr = g };

	if (out != g->waits_out)
		epoll_ctl(service.epoll_fd, EPOLL_CTL_MOD, cr_remote_conn_fd(g->conn), &e);
	g->waits_out = out;
}

/* True: it has more to do, but it is the next one's turn. */
static bool serve(struct guest *g)
{
	bool out;
	int rc = cr_remote_conn_serve(g->conn, &out);

	if (rc < 0) {
		guest_destroy(g);
		return false;
	}
	if (!g->proven && cr_remote_conn_is_proven(g->conn)) {
		g->proven = true;
		service.n_unproven--;
	}
	watch(g, out);
	return rc > 0;
}

/* ---- new ones ---- */
static void drop_unproven(uint64_t older_than_ns)
{
	struct guest *next, *oldest = NULL;

	for (struct guest *g = service.guests; g; g = next) {
		next = g->next;
		if (g->proven)
			continue;
		if (g->begin_ns < older_than_ns)
			guest_destroy(g);
		else if (!oldest || g->begin_ns < oldest->begin_ns)
			oldest = g;
	}
	if (service.n_unproven >= UNPROVEN_MAX && oldest)
		guest_destroy(oldest);
}

static void on_accept(void)
{
	int fd = accept4(service.listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN };
	struct guest *g;

	service.accept_rests = fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED; /* out of descriptors, for one */
	if (fd < 0)
		return;
	drop_unproven(cr_now_ns() - PROOF_NS);
	g = calloc(1, sizeof(*g));
	if (!g) {
		close(fd);
		return;
	}
	g->conn = cr_remote_conn_create(fd, service.endpoint.secret);
	e.data.ptr = g;
	if (!g->conn || epoll_ctl(service.epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
		cr_remote_conn_destroy(g->conn);
		free(g);
		return;
	}
	g->begin_ns = cr_now_ns();
	g->next = service.guests;
	service.guests = g;
	service.n_unproven++;
}

/* Those with something to do, each once. A connection that is destroyed is not among them: serve() has taken it out, and what has not proved
 * itself never has more to do than has come. */
static void queue_add(struct guest *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->next_ready = NULL;
	if (service.ready)
		service.ready_last->next_ready = c;
	else
		service.ready = c;
	service.ready_last = c;
}

static void *service_main(void *arg)
{
	struct epoll_event event[32];

	(void)arg;
	prctl(PR_SET_NAME, "cr-remote");
	for (;;) {
		int n = epoll_wait(service.epoll_fd, event, 32, service.ready ? 0 : -1);
		struct guest *c, *last;
		bool knocks = false;

		for (int i = 0; i < n; i++) {
			if (event[i].data.ptr)
				queue_add(event[i].data.ptr);
			else
				knocks = true;
		}
		last = service.ready_last;
		while ((c = service.ready) != NULL) {
			service.ready = c->next_ready;
			c->queued = false;
			if (serve(c))
				queue_add(c);
			if (c == last)
				break;
		}
		if (knocks)
			on_accept();
		if (service.accept_rests)
			usleep(ACCEPT_REST_US);
	}
	return NULL;
}

/* ---- begin and end ---- */
static int open_service(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(a);
	struct epoll_event e = { .events = EPOLLIN };
	uint32_t mask[CR_REMOTE_ADDRESSES];
	struct cr_remote_endpoint *p = &service.endpoint;

	service.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	service.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (service.listen_fd < 0 || service.epoll_fd < 0 || bind(service.listen_fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
	    listen(service.listen_fd, 1024) < 0 || getsockname(service.listen_fd, (struct sockaddr *)&a, &bytes) < 0 ||
	    epoll_ctl(service.epoll_fd, EPOLL_CTL_ADD, service.listen_fd, &e) < 0)
		return -errno;
	if (getrandom(p->secret, sizeof(p->secret), 0) != (ssize_t)sizeof(p->secret))
		return -EIO;
	p->port = ntohs(a.sin_port);
	p->n = (uint16_t)cr_remote_addresses(p->address, mask, CR_REMOTE_ADDRESSES);
	return p->n ? 0 : -ENETUNREACH;
}

static void close_service(void)
{
	while (service.guests)
		guest_destroy(service.guests);
	if (service.listen_fd >= 0)
		close(service.listen_fd);
	if (service.epoll_fd >= 0)
		close(service.epoll_fd);
	memset(&service, 0, sizeof(service));
	service.listen_fd = service.epoll_fd = -1;
}

int cr_remote_start(const struct cr_remote_setup *setup, struct cr_remote_endpoint *ret)
{
	pthread_attr_t attr;
	pthread_t t;
	int rc = 0;

	if (!service.endpoint.ok) {
		rc = open_service();
		if (!rc)
			rc = cr_remote_calls_init(setup);
		if (!rc) {
			pthread_attr_init(&attr);
			pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
			pthread_attr_setstacksize(&attr, 256 << 10);
			rc = -pthread_create(&t, &attr, service_main, NULL);
			pthread_attr_destroy(&attr);
		}
		if (rc) {
			close_service();
			return rc;
		}
		service.endpoint.ok = 1;
	}
	*ret = service.endpoint;
	return 0;
}

void cr_remote_forget(void)
{
	if (!service.endpoint.ok)
		return;
	cr_remote_calls_forget();
	close_service();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Internet sockets that are not connected: listening TCP on IPv4 and IPv6, bound and unbound UDP, a TCP socket that was only made; their options.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "resource.h"

static int tcp4, tcp6, udp, loose, fresh, on = 1;
static struct sockaddr_in at4, at_udp;
static struct sockaddr_in6 at6;

/* Options that nothing else here looks at. */
static const struct {
	int *fd, level, name, value;
} options[] = {
	{ &fresh, IPPROTO_TCP, TCP_CORK, 1 },	    { &fresh, IPPROTO_TCP, TCP_SYNCNT, 4 },	  { &fresh, IPPROTO_TCP, TCP_LINGER2, 11 },
	{ &fresh, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 777 }, { &fresh, IPPROTO_IP, IP_RECVTTL, 1 },	  { &loose, IPPROTO_IP, IP_RECVTOS, 1 },
	{ &loose, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO }, { &loose, IPPROTO_IP, IP_MINTTL, 5 }, { &loose, SOL_SOCKET, SO_NO_CHECK, 1 },
	{ &loose, SOL_SOCKET, SO_RXQ_OVFL, 1 },	    { &loose, IPPROTO_UDP, UDP_CORK, 0 },	  { &udp, IPPROTO_UDP, UDP_GRO, 1 },
	{ &tcp6, IPPROTO_IPV6, IPV6_RECVTCLASS, 1 }, { &tcp6, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1 }, { &tcp6, IPPROTO_IPV6, IPV6_RECVERR, 1 },
	{ &tcp6, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO }, { &tcp6, IPPROTO_IPV6, IPV6_DONTFRAG, 1 }, { &tcp6, IPPROTO_IPV6, IPV6_MINHOPCOUNT, 8 },
};

static void check_options(int set)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		socklen_t len = sizeof(int);
		int now = -1;

		if (*options[i].fd < 0)
			continue;
		if (set)
			CHECK(setsockopt(*options[i].fd, options[i].level, options[i].name, &options[i].value, len) == 0);
		CHECK(getsockopt(*options[i].fd, options[i].level, options[i].name, &now, &len) == 0 && now == options[i].value);
	}
}

static void setup(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT };
	struct linger linger = { 1, 9 };
	socklen_t len = sizeof(at4);

	CHECK((tcp4 = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && setsockopt(tcp4, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	CHECK(setsockopt(tcp4, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
	CHECK(bind(tcp4, (void *)&in, sizeof(in)) == 0 && listen(tcp4, 5) == 0 && getsockname(tcp4, (void *)&at4, &len) == 0);
	tcp6 = socket(AF_INET6, SOCK_STREAM, 0);
	len = sizeof(at6);
	if (tcp6 >= 0) /* a machine may be without */
		CHECK(setsockopt(tcp6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0 && bind(tcp6, (void *)&in6, sizeof(in6)) == 0 && listen(tcp6, 5) == 0 &&
		      getsockname(tcp6, (void *)&at6, &len) == 0);
	CHECK((udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) >= 0 && bind(udp, (void *)&in, sizeof(in)) == 0);
	len = sizeof(at_udp);
	CHECK(getsockname(udp, (void *)&at_udp, &len) == 0 && setsockopt(udp, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) == 0);
	CHECK((loose = socket(AF_INET, SOCK_DGRAM, 0)) >= 0);
	CHECK((fresh = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && setsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	check_options(1);
}

static void verify(void)
{
	struct linger linger = { 0 };
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	socklen_t len = sizeof(linger);
	int c, s, v = 0;
	char got[8];

	CHECK(getsockopt(tcp4, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff == 1 && linger.l_linger == 9);
	len = sizeof(in);
	CHECK(getsockname(tcp4, (void *)&in, &len) == 0 && memcmp(&in, &at4, sizeof(in)) == 0);
	CHECK((c = socket(AF_INET, SOCK_STREAM, 0)) >= 0 && connect(c, (void *)&at4, sizeof(at4)) == 0 && (s = accept(tcp4, NULL, NULL)) >= 0);
	CHECK(write(c, "ping", 4) == 4 && read(s, got, 8) == 4);
	linger = (struct linger){ 1, 0 };
	CHECK(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0 && close(s) == 0 && close(c) == 0);
	if (tcp6 >= 0) {
		len = sizeof(in6);
		CHECK(getsockname(tcp6, (void *)&in6, &len) == 0 && in6.sin6_port == at6.sin6_port);
		len = sizeof(v);
		CHECK(getsockopt(tcp6, IPPROTO_IPV6, IPV6_V6ONLY, &v, &len) == 0 && v == 1);
		CHECK(getsockopt(tcp6, SOL_SOCKET, SO_ACCEPTCONN, &v, &len) == 0 && v == 1);
	}
	CHECK(sendto(loose, "data", 4, 0, (void *)&at_udp, sizeof(at_udp)) == 4);
	while (recv(udp, got, 8, 0) != 4)
		CHECK(errno == EAGAIN);
	len = sizeof(v);
	CHECK(getsockopt(udp, SOL_SOCKET, SO_BROADCAST, &v, &len) == 0 && v == 1);
	CHECK(getsockopt(fresh, IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0 && v == 1);
	len = sizeof(in);
	CHECK(getpeername(fresh, (void *)&in, &len) == -1 && errno == ENOTCONN);
	check_options(0);
}

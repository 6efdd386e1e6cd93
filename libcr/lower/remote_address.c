/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where this node can be reached, and the way to another node.
 *
 * A node may have addresses that lead nowhere from elsewhere, or to somebody else (two bridges with the same private network): all are
 * told, and the caller tries one after the other until the one that knows the secret answers.
 */
#include "libcr/lower/lower.h"
#include "libcr/lower/remote.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INTERFACES 64

static uint32_t address_of(const struct sockaddr *a)
{
	struct sockaddr_in in;

	memcpy(&in, a, sizeof(in));
	return in.sin_addr.s_addr;
}

static int add_from(int fd, const struct ifreq *list, int n_list, bool loopback, uint32_t *address, uint32_t *mask, int n, int max)
{
	for (int i = 0; i < n_list && n < max; i++) {
		struct ifreq r = list[i];

		if (list[i].ifr_addr.sa_family != AF_INET || ioctl(fd, SIOCGIFFLAGS, &r) < 0 || !(r.ifr_flags & IFF_UP) ||
		    ((r.ifr_flags & IFF_LOOPBACK) != 0) != loopback)
			continue;
		address[n] = address_of(&list[i].ifr_addr);
		mask[n] = ioctl(fd, SIOCGIFNETMASK, &r) < 0 ? 0xffffffffu : address_of(&r.ifr_netmask);
		n++;
	}
	return n;
}

int cr_remote_addresses(uint32_t *ret_address, uint32_t *ret_mask, int max)
{
	struct ifreq list[INTERFACES];
	struct ifconf c = { .ifc_len = sizeof(list), .ifc_req = list };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), n = 0, n_list;

	if (fd < 0)
		return 0;
	if (ioctl(fd, SIOCGIFCONF, &c) == 0) {
		n_list = c.ifc_len / (int)sizeof(list[0]);
		n = add_from(fd, list, n_list, false, ret_address, ret_mask, 0, max);
		if (n == 0) /* a node by itself */
			n = add_from(fd, list, n_list, true, ret_address, ret_mask, 0, max);
	}
	close(fd);
	return n;
}

static int connect_one(uint32_t address, uint16_t port, int patience_ms)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = address };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, error = 0, n;
	uint64_t end = cr_now_ns() + (uint64_t)patience_ms * 1000000;
	socklen_t bytes = sizeof(error);
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		error = errno;
		goto fail;
	}
	do {
		uint64_t now = cr_now_ns();

		n = poll(&p, 1, now < end ? (int)((end - now) / 1000000) + 1 : 0);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	else
		error = ETIMEDOUT;
	if (error)
		goto fail;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
fail:
	close(fd);
	return -error;
}

int cr_remote_connect(const struct cr_remote_endpoint *e, int patience_ms, int (*prove)(int fd, void *arg), void *arg)
{
	uint32_t own[CR_REMOTE_ADDRESSES], mask[CR_REMOTE_ADDRESSES];
	int n = cr_remote_addresses(own, mask, CR_REMOTE_ADDRESSES), rc = -EHOSTUNREACH;

	for (int near = 1; near >= 0; near--)
		for (int i = 0; i < e->n && i < CR_REMOTE_ADDRESSES; i++) {
			int same = 0, fd;

			for (int k = 0; k < n; k++)
				same = same || ((own[k] ^ e->address[i]) & mask[k]) == 0;
			if (same != near)
				continue;
			fd = connect_one(e->address[i], e->port, patience_ms);
			rc = fd < 0 ? fd : prove(fd, arg);
			if (fd >= 0 && rc == 0)
				return fd;
			if (fd >= 0)
				close(fd);
		}
	return rc;
}

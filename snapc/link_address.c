/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of interfaces, chosen as mpirun's *_if_include parameters choose. */
#include "snapc/link_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One word: an interface's name, an address, or a network. Return: 1, 0, -EINVAL. */
static int address_word(const char *word, size_t length, const char *interface, uint32_t address)
{
	char text[64], *slash;
	struct in_addr network;
	long bits = 32;
	char *end;

	if (length >= sizeof(text))
		return -EINVAL;
	memcpy(text, word, length);
	text[length] = 0;
	if (!strcmp(text, interface))
		return 1;
	slash = strchr(text, '/');
	if (slash) {
		*slash = 0;
		bits = strtol(slash + 1, &end, 10);
		if (!slash[1] || *end || bits < 0 || bits > 32)
			return -EINVAL;
	}
	if (inet_pton(AF_INET, text, &network) != 1)
		return slash ? -EINVAL : 0; /* the name of another interface */
	return bits == 0 || (ntohl(network.s_addr) ^ address) >> (32 - bits) == 0;
}

static int address_chosen(const char *network, const char *interface, uint32_t address)
{
	bool without = network[0] == '^';
	int rc = 0;

	for (const char *at = network + without; *at && rc == 0; at += *at == ',') {
		size_t length = strcspn(at, ",");

		rc = length ? address_word(at, length, interface, address) : 0;
		at += length;
	}
	return rc < 0 ? rc : (rc > 0) != without;
}

static int address_append(char *text, size_t bytes, const struct sockaddr_in *address, unsigned port)
{
	char name[INET_ADDRSTRLEN];
	size_t used = strlen(text);

	inet_ntop(AF_INET, &address->sin_addr, name, sizeof(name));
	return snprintf(text + used, bytes - used, "%s%s:%u", used ? "," : "", name, port) < (int)(bytes - used) ? 0 : -ENAMETOOLONG;
}

int snapc_link_addresses(unsigned port, const char *network, char *ret_text, size_t bytes, struct cr_err *err)
{
	bool given = network && *network;
	struct ifaddrs *list;
	int rc = 0;

	ret_text[0] = 0;
	if (getifaddrs(&list) < 0)
		return cr_err_set(err, errno, "the interfaces of this node are not known: %s", strerror(errno));
	for (int loopback = 0; loopback <= 1 && !ret_text[0] && rc == 0; loopback++) {
		for (struct ifaddrs *i = list; i && rc == 0; i = i->ifa_next) {
			struct sockaddr_in address;
			int chosen = 1;

			if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) ||
			    (!given && !loopback && (i->ifa_flags & IFF_LOOPBACK)))
				continue;
			memcpy(&address, i->ifa_addr, sizeof(address));
			if (given)
				chosen = address_chosen(network, i->ifa_name, ntohl(address.sin_addr.s_addr));
			if (chosen < 0)
				rc = cr_err_set(err, EINVAL, "\"%s\" is not a list of interfaces and networks like eth0,10.0.0.0/8", network);
			else if (chosen && address_append(ret_text, bytes, &address, port) < 0)
				rc = cr_err_set(err, ENAMETOOLONG, "this node has too many addresses: name a network");
		}
		if (given)
			break;
	}
	freeifaddrs(list);
	if (rc == 0 && !ret_text[0])
		rc = cr_err_set(err, ENODEV, "this node has no address in \"%s\"", given ? network : "any network");
	return rc;
}

int snapc_link_address_next(const char **list, struct sockaddr_in *ret_address)
{
	size_t length = strcspn(*list, ",");
	char text[SNAPC_LINK_ADDRESS_BYTES], *colon, *end;
	long port;

	if (!length)
		return 0;
	if (length >= sizeof(text))
		return -EINVAL;
	memcpy(text, *list, length);
	text[length] = 0;
	*list += length;
	*list += **list == ',';
	colon = strrchr(text, ':');
	if (!colon)
		return -EINVAL;
	*colon = 0;
	port = strtol(colon + 1, &end, 10);
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sin_family = AF_INET;
	ret_address->sin_port = htons((uint16_t)port);
	if (!colon[1] || *end || port < 1 || port > 65535 || inet_pton(AF_INET, text, &ret_address->sin_addr) != 1)
		return -EINVAL;
	return 1;
}

void snapc_link_address_text(const struct sockaddr *address, int bytes, char *ret_text)
{
	char name[INET_ADDRSTRLEN] = "?";
	struct sockaddr_in in;

	snprintf(ret_text, SNAPC_LINK_ADDRESS_BYTES, "?");
	if (!address || bytes < (int)sizeof(in) || address->sa_family != AF_INET)
		return;
	memcpy(&in, address, sizeof(in));
	inet_ntop(AF_INET, &in.sin_addr, name, sizeof(name));
	snprintf(ret_text, SNAPC_LINK_ADDRESS_BYTES, "%s:%u", name, ntohs(in.sin_port));
}

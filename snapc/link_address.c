/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of interfaces, chosen as mpirun's *_if_include parameters choose. */
#include "snapc/link_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bytes of an address, and how many there are; 0: of no family that we speak. */
static size_t address_bytes(const struct sockaddr *address, const unsigned char **ret_bytes)
{
	if (address->sa_family == AF_INET) {
		*ret_bytes = (const unsigned char *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
		return sizeof(struct in_addr);
	}
	if (address->sa_family == AF_INET6) {
		*ret_bytes = (const unsigned char *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
		return sizeof(struct in6_addr);
	}
	*ret_bytes = NULL;
	return 0;
}

static bool address_in_network(const unsigned char *address, const unsigned char *network, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return !memcmp(address, network, whole) && (!rest || ((address[whole] ^ network[whole]) >> (8 - rest)) == 0);
}

/* One word: an interface's name, an address, or a network, of either family. Return: 1, 0, -EINVAL. */
static int address_word(const char *word, size_t length, const char *interface, const struct sockaddr *address)
{
	char text[SNAPC_LINK_ADDRESS_BYTES], *slash;
	unsigned char network[sizeof(struct in6_addr)];
	const unsigned char *bytes;
	size_t nbytes = address_bytes(address, &bytes), of_network;
	long bits;
	char *end;

	if (length >= sizeof(text))
		return -EINVAL;
	memcpy(text, word, length);
	text[length] = 0;
	if (!strcmp(text, interface))
		return 1;
	slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	if (inet_pton(AF_INET, text, network) == 1)
		of_network = sizeof(struct in_addr);
	else if (inet_pton(AF_INET6, text, network) == 1)
		of_network = sizeof(struct in6_addr);
	else
		return slash ? -EINVAL : 0; /* the name of another interface */
	bits = (long)of_network * 8;
	if (slash) {
		bits = strtol(slash + 1, &end, 10);
		if (!slash[1] || *end || bits < 0 || bits > (long)of_network * 8)
			return -EINVAL;
	}
	return of_network == nbytes && address_in_network(bytes, network, (unsigned)bits);
}

static int address_chosen(const char *network, const char *interface, const struct sockaddr *address)
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

/* An address of a link means nothing on another node. */
static bool address_usable(const struct ifaddrs *i)
{
	const unsigned char *bytes;

	if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || !address_bytes(i->ifa_addr, &bytes))
		return false;
	return i->ifa_addr->sa_family != AF_INET6 || !(bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80);
}

static int address_append(char *text, size_t bytes, const struct sockaddr *address, unsigned port)
{
	char name[INET6_ADDRSTRLEN];
	bool six = address->sa_family == AF_INET6;
	const unsigned char *of;
	size_t used = strlen(text);

	address_bytes(address, &of);
	inet_ntop(address->sa_family, of, name, sizeof(name));
	return snprintf(text + used, bytes - used, "%s%s%s%s:%u", used ? "," : "", six ? "[" : "", name, six ? "]" : "", port) < (int)(bytes - used) ?
		       0 :
		       -ENAMETOOLONG;
}

/* One family of one list, so that IPv4 comes first. */
static int addresses_of(const struct ifaddrs *list, int family, unsigned port, const char *network, bool loopback, char *text, size_t bytes,
			struct cr_err *err)
{
	bool given = network && *network;

	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		int chosen = 1;

		if (!address_usable(i) || i->ifa_addr->sa_family != family || (!given && !loopback && (i->ifa_flags & IFF_LOOPBACK)))
			continue;
		if (given)
			chosen = address_chosen(network, i->ifa_name, i->ifa_addr);
		if (chosen < 0)
			return cr_err_set(err, EINVAL, "\"%s\" is not a list of interfaces and networks like eth0,10.0.0.0/8,fd00::/8", network);
		if (chosen && address_append(text, bytes, i->ifa_addr, port) < 0)
			return cr_err_set(err, ENAMETOOLONG, "this node has too many addresses: name a network");
	}
	return 0;
}

int snapc_link_addresses(unsigned port, const char *network, int family, char *ret_text, size_t bytes, struct cr_err *err)
{
	bool given = network && *network;
	struct ifaddrs *list;
	int rc = 0;

	ret_text[0] = 0;
	if (getifaddrs(&list) < 0)
		return cr_err_set(err, errno, "the interfaces of this node are not known: %s", strerror(errno));
	for (int loopback = 0; loopback <= 1 && !ret_text[0] && rc == 0; loopback++) {
		rc = addresses_of(list, AF_INET, port, network, loopback, ret_text, bytes, err);
		if (rc == 0 && family == AF_INET6)
			rc = addresses_of(list, AF_INET6, port, network, loopback, ret_text, bytes, err);
		if (given)
			break;
	}
	freeifaddrs(list);
	if (rc == 0 && !ret_text[0])
		rc = cr_err_set(err, ENODEV, "this node has no address in \"%s\"", given ? network : "any network");
	return rc;
}

/* "10.0.0.1:4711" or "[fd00::1]:4711" without the port: into the family's structure. Return: its bytes, or -EINVAL. */
static int address_parse(char *text, uint16_t port, struct sockaddr_storage *ret_address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	size_t length = strlen(text);

	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1) {
		memcpy(ret_address, &in, sizeof(in));
		return sizeof(in);
	}
	if (length < 2 || text[0] != '[' || text[length - 1] != ']')
		return -EINVAL;
	text[length - 1] = 0;
	if (inet_pton(AF_INET6, text + 1, &in6.sin6_addr) != 1)
		return -EINVAL;
	memcpy(ret_address, &in6, sizeof(in6));
	return sizeof(in6);
}

int snapc_link_address_next(const char **list, struct sockaddr_storage *ret_address)
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
	if (!colon[1] || *end || port < 1 || port > 65535)
		return -EINVAL;
	return address_parse(text, (uint16_t)port, ret_address);
}

void snapc_link_address_text(const struct sockaddr *address, int bytes, char *ret_text)
{
	char name[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	snprintf(ret_text, SNAPC_LINK_ADDRESS_BYTES, "?");
	if (address && bytes >= (int)sizeof(in) && address->sa_family == AF_INET) {
		memcpy(&in, address, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, name, sizeof(name));
		snprintf(ret_text, SNAPC_LINK_ADDRESS_BYTES, "%s:%u", name, ntohs(in.sin_port));
	} else if (address && bytes >= (int)sizeof(in6) && address->sa_family == AF_INET6) {
		memcpy(&in6, address, sizeof(in6));
		if (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr)) {
			inet_ntop(AF_INET, in6.sin6_addr.s6_addr + 12, name, sizeof(name));
			snprintf(ret_text, SNAPC_LINK_ADDRESS_BYTES, "%s:%u", name, ntohs(in6.sin6_port));
		} else {
			inet_ntop(AF_INET6, &in6.sin6_addr, name, sizeof(name));
			snprintf(ret_text, SNAPC_LINK_ADDRESS_BYTES, "[%s]:%u", name, ntohs(in6.sin6_port));
		}
	}
}

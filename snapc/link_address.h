/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network addresses of this node and as text: "10.0.0.1:4711,[fd00::1]:4711". IPv4 and IPv6. */
#ifndef SNAPC_LINK_ADDRESS_H
#define SNAPC_LINK_ADDRESS_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "libcr/cr_err.h"

#define SNAPC_LINK_ADDRESS_BYTES 64

/**
 * snapc_link_addresses - where others may reach a port of this node
 * @network: interfaces ("eth0") or networks ("10.0.0.0/8", "fd00::/8"), separated by commas, "^" in front: all but these; NULL or "": all. Loopback only
 *   when it is named, or when there is nothing else; link-local addresses of IPv6 never, since they mean nothing on another node.
 * @family: AF_INET6: of both families, those of IPv4 first; AF_INET: of IPv4 alone
 *
 * Return: 0; -EINVAL, -ENODEV (nothing matches), -ENAMETOOLONG with words.
 */
int snapc_link_addresses(unsigned port, const char *network, int family, char *ret_text, size_t bytes, struct cr_err *err);

/* Take the first address off the list at *@list, moving it on. Return: bytes of the address; 0: the list is at its end; -EINVAL. */
int snapc_link_address_next(const char **list, struct sockaddr_storage *ret_address);

void snapc_link_address_text(const struct sockaddr *address, int bytes, char *ret_text);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of sockets that a checkpoint keeps.  Private to libcr/lower/files_socket*.c.
 */
#ifndef CR_FILES_SOCKET_H
#define CR_FILES_SOCKET_H

#include <stdbool.h>

#include "libcr/image/file_payload.h"

struct cr_socket_option {
	int level;
	int name;
	bool required; /* a restart that cannot set it fails */
};

/* Borrowed. */
const struct cr_socket_option *cr_socket_options(unsigned int *ret_n);
/* Does a socket of this family and type have the option? */
bool cr_socket_option_fits(const struct cr_socket_option *option, const struct cr_file_socket *s);

#endif

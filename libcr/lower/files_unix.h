/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel tells about a UNIX socket that its descriptor does not: who is at the other end.  Private to libcr/lower/files_*.c.
 */
#ifndef CR_FILES_UNIX_H
#define CR_FILES_UNIX_H

#include <stdbool.h>
#include <stdint.h>

#define CR_UNIX_WAITERS 128

struct cr_unix_diag {
	uint32_t state; /* TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE, ... */
	bool has_peer;
	uint32_t peer_ino; /* 0: the other end is closed */
	uint32_t shut;     /* bit 0: receives nothing more, bit 1: sends nothing more */
	uint32_t waiting;  /* LISTEN: connections to be accepted; else bytes to be read */
	uint32_t backlog;  /* LISTEN */
	uint32_t waiters[CR_UNIX_WAITERS]; /* LISTEN: inode numbers of the sockets that wait, in order; 0: of a closed one */
	uint32_t n_waiters;
	uint32_t vfs_ino, vfs_dev; /* the file that it is bound to; 0: none */
};

/* 0 or a negative errno; -ENOENT: no such socket, or a kernel without CONFIG_UNIX_DIAG. */
int cr_unix_diag_get(uint32_t ino, struct cr_unix_diag *ret);

#endif

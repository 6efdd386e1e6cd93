/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection of the memory service: a state machine that takes what is there and goes on when more comes.
 */
#ifndef CR_REMOTE_CONN_H
#define CR_REMOTE_CONN_H

#include "libcr/lower/remote.h"

struct cr_remote_conn;

/* For an accepted socket, which it owns from now on; the challenge has left. @secret: borrowed for its life. NULL: it failed, the socket is closed. */
struct cr_remote_conn *cr_remote_conn_create(int fd, const uint8_t *secret);
void cr_remote_conn_destroy(struct cr_remote_conn *c);
int cr_remote_conn_fd(const struct cr_remote_conn *c);
/* Has it proved that it belongs to the job? */
bool cr_remote_conn_is_proven(const struct cr_remote_conn *c);
/* At most some requests. 1: there is more to do; 0: it waits, to send (*ret_out) or for more to come; a negative errno: it is over. */
int cr_remote_conn_serve(struct cr_remote_conn *c, bool *ret_out);

#endif

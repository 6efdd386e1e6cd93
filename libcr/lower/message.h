/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sending and receiving the messages of include/cr_proto.h on a blocking unix socket. Used by the agent and by cr_checkpoint. */
#ifndef CR_MESSAGE_H
#define CR_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "cr_proto.h"
#include "libcr/cr_err.h"

/* One call, one message. 0 or -errno (-EPIPE: the peer is gone). No SIGPIPE. */
int cr_message_send(int fd, uint32_t type, uint32_t checkpoint, const void *payload, size_t bytes);
int cr_message_send2(int fd, uint32_t type, uint32_t checkpoint, const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Receives one message into @buf of at least CR_MSG_MAX_BYTES. Returns the payload's length; -EPIPE at end of file, -EPROTO on a bad head. */
int cr_message_recv(int fd, struct cr_msg_head *ret_head, void *buf);

/* Connects to an abstract unix socket whose server runs as this user or root (or anybody when this user is root). Returns the descriptor or -errno. */
int cr_message_connect(const char *abstract_name, struct cr_err *err);
/* Binds and listens. */
int cr_message_listen(const char *abstract_name, struct cr_err *err);
/* 0 when the peer may command a process of this user: same user or root. */
int cr_message_peer_check(int fd);


/*
 * One question without a checkpoint (CHECK, NOCR) to the agent of process @pid, as the kernel knows it. cr_ask_send returns a descriptor that
 * becomes readable with the answer, or -errno; -CR_ENOSUPPORT: not started by cr_run; -EPERM: of another user. cr_ask_receive waits 10 s at
 * most, closes the descriptor and returns the answer's length, -errno. Several answers may come on the way to the one of @type.
 */
int cr_ask_send(int pid, uint32_t type, const void *payload, uint64_t bytes);
int cr_ask_receive(int fd, uint32_t type, char *buf, uint64_t bytes);

#endif

# SPDX-License-Identifier: GPL-2.0-or-later
# Point-to-point part of the MPI layer: sources of the program's libmpi.so.40 (linked by crcp/local.mk) and their unit tests.

crcp_p2p_sources = \
	crcp/upper/stop.c \
	crcp/upper/p2p/board.c \
	crcp/upper/p2p/bookmark.c \
	crcp/upper/p2p/buffer.c \
	crcp/upper/p2p/clock.c \
	crcp/upper/p2p/deliver.c \
	crcp/upper/p2p/exchange.c \
	crcp/upper/p2p/handle.c \
	crcp/upper/p2p/log.c \
	crcp/upper/p2p/log.h \
	crcp/upper/p2p/message.c \
	crcp/upper/p2p/os.h \
	crcp/upper/p2p/p2p.h \
	crcp/upper/p2p/persistent.c \
	crcp/upper/p2p/probe.c \
	crcp/upper/p2p/progress.c \
	crcp/upper/p2p/recv.c \
	crcp/upper/p2p/request.c \
	crcp/upper/p2p/send.c \
	crcp/upper/p2p/sendrecv.c \
	crcp/upper/p2p/wait.c

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

check_PROGRAMS += tests/unit/test_log tests/unit/test_match
TESTS += tests/unit/test_log tests/unit/test_match
tests_unit_test_log_SOURCES = tests/unit/test_log.c crcp/upper/p2p/log.c
tests_unit_test_log_CPPFLAGS = $(AM_CPPFLAGS) $(OMPI_CFLAGS)
tests_unit_test_log_CFLAGS = $(UNIT_CFLAGS)
tests_unit_test_log_LDADD = $(UNIT_LIBS)
# The whole of the part, on a lower library of one process; it brings the handles of mpi.h itself and must not be linked with a real one.
tests_unit_test_match_SOURCES = tests/unit/test_match.c tests/unit/test_match_lower.c tests/unit/test_match_lower.h $(crcp_p2p_sources)
tests_unit_test_match_CPPFLAGS = $(AM_CPPFLAGS) $(OMPI_CFLAGS)
tests_unit_test_match_CFLAGS = $(UNIT_CFLAGS) -fno-stack-protector -mfsgsbase
tests_unit_test_match_LDADD = $(UNIT_LIBS)

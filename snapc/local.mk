# SPDX-License-Identifier: GPL-2.0-or-later
# The coordinator: snapcd, its client ompi-checkpoint, their tests.

noinst_LTLIBRARIES += snapc/libsnapc.la
snapc_libsnapc_la_SOURCES = \
	snapc/log.h snapc/log.c snapc/wire.h snapc/wire.c snapc/messages.def snapc/cut.h snapc/cut.c \
	snapc/fault.h snapc/fault.c snapc/phases.def snapc/line.h snapc/line.c snapc/registry.h snapc/registry.c \
	snapc/link.h snapc/link_queue.c snapc/listener.h snapc/listener.c \
	snapc/local.h snapc/local_private.h snapc/local.c snapc/local_agent.c snapc/local_survey.c \
	snapc/checkpoint.h snapc/checkpoint_private.h snapc/checkpoint.c snapc/checkpoint_phases.c snapc/checkpoint_quiesce.c \
	snapc/checkpoint_message.c snapc/checkpoint_commit.c \
	snapc/global.h snapc/global_private.h snapc/global.c snapc/global_tool.c
snapc_libsnapc_la_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS) $(LIBEVENT_CFLAGS)
snapc_libsnapc_la_LIBADD = snapc/libsnapshot.la $(LIBEVENT_LIBS)

pkglibexec_PROGRAMS += snapc/snapcd
snapc_snapcd_SOURCES = snapc/snapcd.c
snapc_snapcd_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS) $(LIBEVENT_CFLAGS)
snapc_snapcd_LDADD = snapc/libsnapc.la

bin_PROGRAMS += orte-tools/ompi-checkpoint
orte_tools_ompi_checkpoint_SOURCES = orte-tools/ompi-checkpoint.c orte-tools/checkpoint_list.h orte-tools/checkpoint_list.c
orte_tools_ompi_checkpoint_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_ompi_checkpoint_LDADD = snapc/libsnapc.la

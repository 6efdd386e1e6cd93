# SPDX-License-Identifier: GPL-2.0-or-later
# The coordinator: snapcd, its client ompi-checkpoint, their tests.

noinst_LTLIBRARIES += snapc/libsnapc.la
snapc_libsnapc_la_SOURCES = \
	snapc/log.h snapc/log.c snapc/wire.h snapc/wire.c snapc/messages.def snapc/cut.h snapc/cut.c \
	snapc/fault.h snapc/fault.c snapc/phases.def snapc/line.h snapc/line.c snapc/registry.h snapc/registry.c \
	snapc/link.h snapc/link_queue.c snapc/listener.h snapc/listener.c snapc/supervisor.h snapc/supervisor.c \
	snapc/local.h snapc/local_private.h snapc/local.c snapc/local_agent.c snapc/local_survey.c snapc/local_fault.c \
	snapc/checkpoint.h snapc/checkpoint_private.h snapc/checkpoint.c snapc/checkpoint_phases.c snapc/checkpoint_quiesce.c \
	snapc/checkpoint_message.c snapc/checkpoint_commit.c snapc/checkpoint_fault.c \
	snapc/global.h snapc/global_private.h snapc/global.c snapc/global_node.c snapc/global_interval.c snapc/global_tool.c snapc/global_fault.c snapc/global_restart.c \
	snapc/interval.h snapc/interval.c snapc/settings.h snapc/settings.c snapc/settings.def \
	snapc/link_wire.h snapc/link_wire.c snapc/link_stream.h snapc/link_stream.c snapc/link_address.h snapc/link_address.c \
	snapc/link_server.h snapc/link_server.c snapc/link_client.h snapc/link_client.c snapc/link_tree.h snapc/link_tree.c \
	snapc/link_relay.h snapc/link_relay.c snapc/link_gather.h snapc/link_gather.c snapc/auth.h snapc/auth.c
snapc_libsnapc_la_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS) $(LIBEVENT_CFLAGS) $(MUNGE_CFLAGS) $(NETTLE_CFLAGS)
snapc_libsnapc_la_LIBADD = snapc/libsnapshot.la $(LIBEVENT_LIBS) $(MUNGE_LIBS) $(NETTLE_LIBS) -lm

pkglibexec_PROGRAMS += snapc/snapcd
snapc_snapcd_SOURCES = snapc/snapcd_private.h snapc/snapcd.c snapc/snapcd_global.c snapc/snapcd_node.c \
	snapc/snapcd_options.h snapc/snapcd_options.c
snapc_snapcd_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS) $(LIBEVENT_CFLAGS)
snapc_snapcd_LDADD = snapc/libsnapc.la

bin_PROGRAMS += orte-tools/ompi-checkpoint
orte_tools_ompi_checkpoint_SOURCES = orte-tools/ompi-checkpoint.c orte-tools/checkpoint_dialogue.h orte-tools/checkpoint_dialogue.c \
	orte-tools/checkpoint_answer.c orte-tools/checkpoint_options.h orte-tools/checkpoint_options.c \
	orte-tools/checkpoint_list.h orte-tools/checkpoint_list.c orte-tools/checkpoint_job.h orte-tools/checkpoint_job.c \
	orte-tools/tool_job.h orte-tools/tool_job.c orte-tools/tool_remote.h orte-tools/tool_remote.c \
	orte-tools/checkpoint_progress.h orte-tools/checkpoint_progress.c
orte_tools_ompi_checkpoint_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
orte_tools_ompi_checkpoint_LDADD = orte-tools/libtools.la snapc/libsnapc.la

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_cut tests/unit/test_cut_model tests/unit/test_proto tests/unit/test_proto_line tests/unit/test_link
TESTS += tests/unit/test_cut tests/unit/test_cut_model tests/unit/test_proto tests/unit/test_proto_line tests/unit/test_link

tests_unit_test_link_SOURCES = tests/unit/test_link.c
tests_unit_test_link_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_link_LDADD = snapc/libsnapc.la $(UNIT_LIBS)

tests_unit_test_cut_SOURCES = tests/unit/test_cut.c
tests_unit_test_cut_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_cut_LDADD = snapc/libsnapc.la $(UNIT_LIBS)

tests_unit_test_cut_model_SOURCES = tests/unit/test_cut_model.c
tests_unit_test_cut_model_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_cut_model_LDADD = snapc/libsnapc.la $(UNIT_LIBS)

tests_unit_test_proto_SOURCES = tests/unit/test_proto.c
tests_unit_test_proto_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_proto_LDADD = snapc/libsnapc.la $(UNIT_LIBS)

tests_unit_test_proto_line_SOURCES = tests/unit/test_proto_line.c
tests_unit_test_proto_line_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_proto_line_LDADD = snapc/libsnapc.la $(UNIT_LIBS)
endif

# A job whose ranks and mpirun are played, and snapcd and ompi-checkpoint against it.
check_PROGRAMS += tests/unit/fake_job
tests_unit_fake_job_SOURCES = tests/unit/fake_job.c
tests_unit_fake_job_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)
TESTS += tests/unit/test_phase_snapcd.sh tests/unit/test_fanin.sh tests/unit/test_replace.sh
EXTRA_DIST += tests/unit/test_phase_snapcd.sh tests/unit/test_fanin.sh tests/unit/test_replace.sh tests/unit/fanin_lib.sh

# Built by clang with its own flags, so not an automake program.
EXTRA_DIST += tests/fuzz/fuzz_proto.c
if HAVE_CLANG
FUZZ_TARGETS += tests/fuzz/fuzz_proto
check_DATA += tests/fuzz/fuzz_proto
endif
FUZZ_PROTO_C = tests/fuzz/fuzz_proto.c snapc/wire.c snapc/link_wire.c snapc/cut.c snapc/line.c snapc/fault.c
tests/fuzz/fuzz_proto: $(FUZZ_PROTO_C)
	@$(MKDIR_P) tests/fuzz
	$(AM_V_GEN)cd $(srcdir) && $(CLANG) -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$(WARN_CFLAGS) -I. -Iinclude $(FUZZ_PROTO_C) -o $(abs_top_builddir)/$@
	@$(MKDIR_P) $@.corpus && $@ -make_corpus=$@.corpus
CLEANFILES += tests/fuzz/fuzz_proto tests/fuzz/fuzz_proto.corpus/good-*

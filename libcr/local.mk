# SPDX-License-Identifier: GPL-2.0-or-later
# The process layer: lower half (cr_run, cr_restart), blob, libcr.so of the upper half, cr_checkpoint.

include_HEADERS += include/libcr.h
noinst_HEADERS += include/cr_proto.h libcr/cr_err.h libcr/cr_layout.h libcr/cr_gate.h libcr/cr_crossing.h libcr/cr_board.h libcr/cr_callbacks.h libcr/cr_remote.h \
	libcr/lower/remote.h libcr/lower/remote_conn.h libcr/lower/remote_wire.h \
	libcr/lower/lower.h libcr/lower/private.h libcr/lower/start.h libcr/lower/restore.h libcr/lower/message.h libcr/lower/fd_limit.h \
	libcr/lower/cr_mem.h libcr/lower/cr_files.h libcr/arch/x86_64/fs.h libcr/arch/x86_64/raw.h libcr/arch/x86_64/cpu.h libcr/image/thread_payload.h libcr/image/tree_payload.h
EXTRA_DIST += libcr/arch/x86_64/cpu_features.def libcr/arch/x86_64/blob.S libcr/arch/x86_64/blob.map libcr/arch/x86_64/blob.lds libcr/arch/x86_64/blob_bin.S libcr/upper/libcr.map

# ---- the blob: a vdso-like shared object, embedded in the lower half
libcr/blob.o: $(srcdir)/libcr/arch/x86_64/blob.S $(srcdir)/libcr/lower/private.h $(srcdir)/libcr/cr_layout.h
	@$(MKDIR_P) libcr
	$(AM_V_CC)$(CC) $(AM_CPPFLAGS) -c -o $@ $(srcdir)/libcr/arch/x86_64/blob.S
libcr/blob.so: libcr/blob.o $(srcdir)/libcr/arch/x86_64/blob.map $(srcdir)/libcr/arch/x86_64/blob.lds
	$(AM_V_CCLD)$(CC) -shared -nostdlib -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both \
		-Wl,-T,$(srcdir)/libcr/arch/x86_64/blob.lds -Wl,--version-script=$(srcdir)/libcr/arch/x86_64/blob.map -Wl,-z,max-page-size=4096 -Wl,-z,noseparate-code \
		-Wl,--build-id=none -Wl,-Bsymbolic -o $@ libcr/blob.o
libcr/blob_bin.o: libcr/blob.so $(srcdir)/libcr/arch/x86_64/blob_bin.S
	$(AM_V_CC)$(CC) -c -I. -o $@ $(srcdir)/libcr/arch/x86_64/blob_bin.S
CLEANFILES += libcr/blob.o libcr/blob.so libcr/blob_bin.o

# ---- code that runs in signal handlers and on the program's %fs: no TLS, no stack protector, no vector registers
noinst_LTLIBRARIES += libcr/libcr_sig.la libcr/libcr_lower.la
libcr_libcr_sig_la_SOURCES = libcr/lower/memory_sig.c libcr/lower/signal_sig.c libcr/lower/ids_sig.c libcr/lower/syscall_sig.c \
	libcr/lower/exec_sig.c libcr/lower/exec_env_sig.c libcr/lower/patch_sig.c libcr/lower/copy_sig.c libcr/lower/thread_state_sig.c libcr/lower/ipc_sig.c
libcr_libcr_sig_la_CFLAGS = $(AM_CFLAGS) -fno-stack-protector -ftls-model=initial-exec -mgeneral-regs-only -mfsgsbase -fno-tree-loop-distribute-patterns

libcr_libcr_lower_la_SOURCES = libcr/lower/window.c libcr/lower/exec_image.c libcr/lower/descriptors.c libcr/lower/seccomp.c \
	libcr/lower/threads.c libcr/lower/thread_state.c libcr/lower/thunk.c libcr/lower/nocr.c libcr/lower/freeze.c libcr/lower/dump.c libcr/lower/pending.c libcr/lower/restore.c \
	libcr/lower/ask.c libcr/lower/helper.c libcr/lower/agent_callbacks.c \
	libcr/lower/remote_address.c libcr/lower/remote_call.c libcr/lower/remote_combine.c libcr/lower/remote_conn.c libcr/lower/remote_memory.c libcr/lower/remote_serve.c libcr/lower/remote_wire.c \
	libcr/lower/tree.h libcr/lower/tree_find.c libcr/lower/traced.c libcr/lower/tree_lead.c libcr/lower/tree_gather.c libcr/lower/tree_gather.h libcr/lower/tree_check.c libcr/lower/tree_member.c libcr/lower/tree_merge.c libcr/lower/tree_restore.c \
	libcr/lower/agent.c libcr/lower/agent_checkpoint.c libcr/lower/agent_check.c libcr/lower/agent_private.h libcr/lower/message.c libcr/lower/start.c libcr/lower/ipc_table.c libcr/arch/x86_64/cpu.c libcr/arch/x86_64/lower.S $(libcr_lower_files_sources)
libcr_libcr_lower_la_CFLAGS = $(AM_CFLAGS) -fno-stack-protector -mfsgsbase
libcr_libcr_lower_la_CPPFLAGS = $(AM_CPPFLAGS) -DCR_UPPERDIR='"$(upperdir)"'

lower_libs = libcr/libcr_lower.la libcr/libcr_sig.la libcr/lower/libcr_mem.la libcr/image/libcr_image.la $(XXHASH_LIBS) -ldl -lpthread
lower_ldflags = -Wl,-z,now -rdynamic -pie

bin_PROGRAMS += cr_run cr_restart cr_checkpoint
cr_run_SOURCES = libcr/tools/cr_run.c
cr_run_CFLAGS = $(AM_CFLAGS) -fno-stack-protector
cr_run_LDFLAGS = $(lower_ldflags)
cr_run_LDADD = $(lower_libs) libcr/blob_bin.o
cr_run_DEPENDENCIES = libcr/libcr_lower.la libcr/libcr_sig.la libcr/lower/libcr_mem.la libcr/image/libcr_image.la libcr/blob_bin.o

# For the tools: command lines, progress bars, /proc
noinst_LTLIBRARIES += libcr/libcr_tool.la
libcr_libcr_tool_la_SOURCES = libcr/tools/option.h libcr/tools/option.c libcr/tools/process_stat.h libcr/tools/process_stat.c libcr/tools/progress.h libcr/tools/progress.c \
	libcr/tools/dump_progress.h libcr/tools/dump_progress.c libcr/tools/process_memory.h libcr/tools/process_memory.c
libcr_libcr_tool_la_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS)

cr_restart_SOURCES = libcr/tools/cr_restart.c libcr/tools/restart_report.h libcr/tools/restart_report.c libcr/tools/json.h libcr/tools/json.c libcr/tools/progress.h libcr/tools/progress.c libcr/tools/option.h libcr/tools/option.c libcr/tools/restart_hooks.c libcr/tools/restart_hooks.h libcr/tools/restart_ids.c libcr/tools/restart_ids.h libcr/tools/restart_parent.c libcr/tools/restart_parent.h
cr_restart_CFLAGS = $(AM_CFLAGS) -fno-stack-protector
cr_restart_LDFLAGS = $(lower_ldflags)
cr_restart_LDADD = $(lower_libs) libcr/blob_bin.o
cr_restart_DEPENDENCIES = $(cr_run_DEPENDENCIES)

cr_checkpoint_SOURCES = libcr/tools/cr_checkpoint.c libcr/tools/checkpoint_agent.c libcr/tools/checkpoint_agent.h libcr/tools/checkpoint_check.c libcr/tools/checkpoint_check.h libcr/tools/checkpoint_file.c libcr/tools/checkpoint_file.h \
	libcr/tools/checkpoint_watch.c libcr/tools/checkpoint_watch.h libcr/tools/json.h libcr/tools/json.c libcr/tools/dump_progress.h libcr/tools/dump_progress.c libcr/tools/progress.h libcr/tools/progress.c \
	libcr/tools/process_memory.h libcr/tools/process_memory.c libcr/tools/option.h libcr/tools/option.c libcr/tools/process_stat.h libcr/tools/process_stat.c libcr/lower/message.c

# ---- upper half
upper_LTLIBRARIES += libcr/upper/libcr.la
libcr_upper_libcr_la_SOURCES = libcr/upper/libcr.c libcr/upper/callbacks.c libcr/upper/sections.c libcr/upper/request.c libcr/upper/nocr.c libcr/upper/strerror.c \
	libcr/lower/ask.c libcr/lower/message.c libcr/upper/upper.h
libcr_upper_libcr_la_CFLAGS = $(AM_CFLAGS) -fno-stack-protector -ftls-model=initial-exec -mfsgsbase
libcr_upper_libcr_la_LDFLAGS = -module -avoid-version -shared -Wl,--version-script=$(srcdir)/libcr/upper/libcr.map

# For -lcr: the same file, found where linkers look. A program under cr_run gets the launcher's copy, by its soname.
dist_man_MANS += docs/man/libcr.3
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libcr/libcr.pc
install-exec-hook:
	$(MKDIR_P) $(DESTDIR)$(libdir)
	cd $(DESTDIR)$(libdir) && ln -sf ompi-cr/upper/libcr.so libcr.so
uninstall-local:
	rm -f $(DESTDIR)$(libdir)/libcr.so

# ---- tests
check_PROGRAMS += tests/unit/doctor
tests_unit_doctor_SOURCES = tests/unit/doctor.c
tests_unit_doctor_LDADD = libcr/image/libcr_image.la
TESTS += tests/abi/sig_symbols.sh
dist_noinst_SCRIPTS += tests/abi/sig_symbols.sh
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_remote
TESTS += tests/unit/test_remote
tests_unit_test_remote_SOURCES = tests/unit/test_remote.c libcr/lower/remote_address.c libcr/lower/remote_call.c libcr/lower/remote_combine.c libcr/lower/remote_conn.c libcr/lower/remote_memory.c \
	libcr/lower/remote_serve.c libcr/lower/remote_wire.c
tests_unit_test_remote_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_remote_LDADD = $(UNIT_LIBS) -lpthread
endif

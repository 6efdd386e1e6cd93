# SPDX-License-Identifier: GPL-2.0-or-later
# Open files of the program and process state: the lower half compiles these sources in.

libcr_lower_files_sources = \
	libcr/lower/set.h libcr/lower/set.c \
	libcr/image/file_payload.h libcr/image/process_payload.h \
	libcr/image/ipc_payload.h libcr/lower/ipc.h libcr/lower/cr_files.h libcr/lower/files_ops.h libcr/lower/files_place.h libcr/lower/files_queue.h libcr/lower/files_set.h libcr/lower/files_socket.h libcr/lower/files_unix.h libcr/lower/files_view.h libcr/lower/process_set.h \
	libcr/lower/files_ancestor.c libcr/lower/files_anon.c libcr/lower/files_epoll.c libcr/lower/files_inotify.c libcr/lower/files_lock.c libcr/lower/files_memfd.c libcr/lower/files_mqueue.c libcr/lower/files_nameless.c \
	libcr/lower/files_ops.c libcr/lower/files_passed.c libcr/lower/files_queue.c libcr/lower/files_queue_restore.c libcr/lower/files_queue_save.c libcr/lower/files_socket.c libcr/lower/files_socket_restore.c libcr/lower/files_unix.c \
	libcr/lower/files_describe.c libcr/lower/files_kind.c libcr/lower/files_object.c libcr/lower/files_pipe.c libcr/lower/files_restore.c \
	libcr/lower/files_restore_check.c libcr/lower/files_save.c libcr/lower/files_set.c libcr/lower/files_shared.c libcr/lower/files_unlinked.c libcr/lower/files_view.c \
	libcr/lower/process.c libcr/lower/process_children.c libcr/lower/ipc_find.c libcr/lower/ipc_save.c libcr/lower/ipc_restore.c libcr/lower/shm_file.h libcr/lower/shm_file.c libcr/lower/process_limits.c libcr/lower/process_settings.c libcr/lower/process_timers.c

if HAVE_CMOCKA
check_LTLIBRARIES += tests/unit/libfiles_harness.la
tests_unit_libfiles_harness_la_SOURCES = libcr/lower/ipc_sig.c tests/unit/test_files_harness.c tests/unit/test_files_harness.h $(libcr_lower_files_sources)
tests_unit_libfiles_harness_la_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_libfiles_harness_la_LIBADD = libcr/image/libcr_image.la

check_PROGRAMS += tests/unit/test_files tests/unit/test_files_refuse tests/unit/test_process
TESTS += tests/unit/test_files tests/unit/test_files_refuse tests/unit/test_process

tests_unit_test_files_SOURCES = tests/unit/test_files.c
tests_unit_test_files_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_files_LDADD = tests/unit/libfiles_harness.la $(UNIT_LIBS)

tests_unit_test_files_refuse_SOURCES = tests/unit/test_files_refuse.c
tests_unit_test_files_refuse_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_files_refuse_LDADD = tests/unit/libfiles_harness.la $(UNIT_LIBS)

tests_unit_test_process_SOURCES = tests/unit/test_process.c
tests_unit_test_process_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_process_LDADD = tests/unit/libfiles_harness.la $(UNIT_LIBS)
endif

# SPDX-License-Identifier: GPL-2.0-or-later
# The global snapshot: metadata, commit, description of the job.

noinst_LTLIBRARIES += snapc/libsnapshot.la
snapc_libsnapshot_la_SOURCES = \
	snapc/snapshot.h snapc/meta.h snapc/meta_block.h snapc/meta_block.c snapc/meta_file.h snapc/meta_types.h snapc/meta_types.c \
	snapc/meta_read.c snapc/meta_load.c snapc/meta_write.c \
	snapc/snapshot_disk.h snapc/snapshot_disk.c snapc/snapshot_sweep.h snapc/snapshot_sweep.c \
	snapc/snapshot_begin.c snapc/snapshot_commit.c snapc/snapshot_job.c snapc/snapshot_node.c \
	snapc/snapshot_mpirun.h snapc/snapshot_mpirun.c snapc/snapshot_mpirun.def
snapc_libsnapshot_la_CFLAGS = $(AM_CFLAGS) $(SANITIZE_CFLAGS) $(HDF5_CFLAGS) $(HWLOC_CFLAGS) $(XXHASH_CFLAGS)
snapc_libsnapshot_la_LIBADD = libcr/libcr_tool.la $(HDF5_LIBS) $(HWLOC_LIBS) $(XXHASH_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_meta tests/unit/test_snapshot
TESTS += tests/unit/test_meta tests/unit/test_snapshot

tests_unit_test_meta_SOURCES = tests/unit/test_meta.c tests/unit/test_snapshot_make.h
tests_unit_test_meta_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_meta_LDADD = snapc/libsnapshot.la $(UNIT_LIBS)

tests_unit_test_snapshot_SOURCES = tests/unit/test_snapshot.c tests/unit/test_snapshot_make.h
tests_unit_test_snapshot_CFLAGS = $(UNIT_CFLAGS) $(SANITIZE_CFLAGS)
tests_unit_test_snapshot_LDADD = snapc/libsnapshot.la $(UNIT_LIBS)
endif

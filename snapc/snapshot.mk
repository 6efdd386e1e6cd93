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
snapc_libsnapshot_la_LIBADD = $(HDF5_LIBS) $(HWLOC_LIBS) $(XXHASH_LIBS)

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An open global_snapshot_meta.h5: shared by meta_read.c and meta_write.c, private to them. */
#ifndef SNAPC_META_FILE_H
#define SNAPC_META_FILE_H

#include <limits.h>

#include "snapc/meta_types.h"

struct snapc_meta {
	hid_t file;
	char path[PATH_MAX];
	char dir[PATH_MAX];
	uint32_t next_seq;
	uint32_t *seqs; /* ascending */
	uint32_t nseqs;
};

/* As snapc_meta_open(). @access H5F_ACC_RDWR: the copy in memory may be changed; the file on disk never is. */
int meta_open(const char *dir, unsigned int access, struct snapc_meta **ret_meta, struct cr_err *err);
/* A name for an HDF5 file that lives in memory: HDF5 takes files of the same name for the same file, so it is different every time. */
void meta_memory_name(char *ret_name, size_t bytes);
/* "/sequence/N" */
void meta_seq_name(uint32_t seq, char *ret_name, size_t bytes);
/* Names of the topologies that a sequence uses are added to @ret_names, without doubles. */
int meta_seq_topologies(const struct snapc_meta *meta, uint32_t seq, char ***ret_names, uint32_t *ret_n, struct cr_err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of global_snapshot_meta.h5 as HDF5 compound types, and the few HDF5 calls that both the writer and the reader need.
 *
 * Every HDF5 identifier made here is closed by the caller. Functions return 0 or -EIO (HDF5 refused) or -ENOMEM; HDF5 never prints.
 */
#ifndef SNAPC_META_TYPES_H
#define SNAPC_META_TYPES_H

#include <hdf5.h>
#include <stdint.h>

#include "snapc/meta.h"

/* Row of /sequence/N/ranks, as in memory. */
struct meta_rank_row {
	int32_t rank;
	int32_t pid;
	char *host;
	char *engine;
	char *context_file;
	uint64_t file_bytes;
	uint64_t pages;
	uint64_t checksum;
	char *binding;
	uint64_t messages;
	uint64_t message_bytes;
	uint64_t stopped_ns;
};

/* Row of /sequence/N/timeline. */
struct meta_times_row {
	int32_t rank;
	int32_t pad;
	uint64_t checked_ns;
	uint64_t arrived_ns;
	uint64_t drained_ns;
	uint64_t frozen_ns;
	uint64_t snapped_ns;
	uint64_t resumed_ns;
	uint64_t dumped_ns;
	uint64_t write_ns;
};

/* Row of /sequence/N/nodes; @topology names a data set under /topology, or is "". */
struct meta_node_row {
	char *host;
	char *topology;
};

/* Row of /sequence/N/phases. */
struct meta_phase_row {
	char *name;
	uint64_t begin_ns;
	uint64_t end_ns;
};

hid_t meta_type_string(void);
hid_t meta_type_rank(void);
hid_t meta_type_times(void);
hid_t meta_type_node(void);
hid_t meta_type_phase(void);

/* HDF5 prints nothing on its own from here on (per thread). */
void meta_hdf5_quiet(void);

int meta_put_u64(hid_t object, const char *name, uint64_t value);
int meta_put_i64(hid_t object, const char *name, int64_t value);
int meta_put_string(hid_t object, const char *name, const char *value);
/* One-dimensional data set of @n rows of @type (in memory). */
int meta_put_table(hid_t group, const char *name, hid_t type, const void *rows, uint64_t n);
/* One-dimensional data set of strings; @strings is NULL-terminated, NULL stands for none. */
int meta_put_strings(hid_t group, const char *name, char *const *strings);

int meta_get_u64(hid_t object, const char *name, uint64_t *ret_value);
int meta_get_i64(hid_t object, const char *name, int64_t *ret_value);
/* Result: given, free(). */
int meta_get_string(hid_t object, const char *name, char **ret_value);
/* Result: given, meta_free_strings(). */
int meta_get_strings(hid_t group, const char *name, char ***ret_strings);
void meta_free_strings(char **strings);
/* Reads a table; @row_bytes must be the size of @type. Strings in it belong to HDF5: meta_free_table(). @ret_rows is never NULL. */
int meta_get_table(hid_t group, const char *name, hid_t type, size_t row_bytes, void **ret_rows, uint64_t *ret_n);
void meta_free_table(hid_t type, void *rows, uint64_t n);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compound types, attributes and tables of global_snapshot_meta.h5. */
#include "snapc/meta_types.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_MAX_ROWS (1u << 24)

void meta_hdf5_quiet(void)
{
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

hid_t meta_type_string(void)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
		H5Tclose(type);
		return -1;
	}
	return type;
}

struct member {
	const char *name;
	size_t offset;
	enum { M_STRING, M_I32, M_U64 } kind;
};

static hid_t compound(size_t bytes, const struct member *members, size_t n)
{
	hid_t type = H5Tcreate(H5T_COMPOUND, bytes), string = meta_type_string();
	int bad = type < 0 || string < 0;

	for (size_t i = 0; i < n && !bad; i++) {
		hid_t kind = members[i].kind == M_STRING ? string : members[i].kind == M_I32 ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT64;

		bad = H5Tinsert(type, members[i].name, members[i].offset, kind) < 0;
	}
	if (string >= 0)
		H5Tclose(string);
	if (bad && type >= 0)
		H5Tclose(type);
	return bad ? -1 : type;
}

#define MEMBER(row, field, kind) { #field, offsetof(struct row, field), kind }
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

hid_t meta_type_rank(void)
{
	static const struct member members[] = {
		MEMBER(meta_rank_row, rank, M_I32),
		MEMBER(meta_rank_row, pid, M_I32),
		MEMBER(meta_rank_row, host, M_STRING),
		MEMBER(meta_rank_row, engine, M_STRING),
		MEMBER(meta_rank_row, context_file, M_STRING),
		MEMBER(meta_rank_row, file_bytes, M_U64),
		MEMBER(meta_rank_row, pages, M_U64),
		MEMBER(meta_rank_row, checksum, M_U64),
		MEMBER(meta_rank_row, binding, M_STRING),
		MEMBER(meta_rank_row, messages, M_U64),
		MEMBER(meta_rank_row, message_bytes, M_U64),
		MEMBER(meta_rank_row, stopped_ns, M_U64),
	};

	return compound(sizeof(struct meta_rank_row), members, COUNT(members));
}

hid_t meta_type_times(void)
{
	static const struct member members[] = {
		MEMBER(meta_times_row, rank, M_I32),
		MEMBER(meta_times_row, pad, M_I32),
		MEMBER(meta_times_row, checked_ns, M_U64),
		MEMBER(meta_times_row, arrived_ns, M_U64),
		MEMBER(meta_times_row, drained_ns, M_U64),
		MEMBER(meta_times_row, frozen_ns, M_U64),
		MEMBER(meta_times_row, snapped_ns, M_U64),
		MEMBER(meta_times_row, resumed_ns, M_U64),
		MEMBER(meta_times_row, dumped_ns, M_U64),
		MEMBER(meta_times_row, write_ns, M_U64),
	};

	return compound(sizeof(struct meta_times_row), members, COUNT(members));
}

hid_t meta_type_node(void)
{
	static const struct member members[] = {
		MEMBER(meta_node_row, host, M_STRING),
		MEMBER(meta_node_row, topology, M_STRING),
	};

	return compound(sizeof(struct meta_node_row), members, COUNT(members));
}

hid_t meta_type_phase(void)
{
	static const struct member members[] = {
		MEMBER(meta_phase_row, name, M_STRING),
		MEMBER(meta_phase_row, begin_ns, M_U64),
		MEMBER(meta_phase_row, end_ns, M_U64),
	};

	return compound(sizeof(struct meta_phase_row), members, COUNT(members));
}

static int put_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
	hid_t space = H5Screate(H5S_SCALAR);
	hid_t attr = space < 0 ? -1 : H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
	int bad = attr < 0 || H5Awrite(attr, type, value) < 0;

	if (attr >= 0)
		H5Aclose(attr);
	if (space >= 0)
		H5Sclose(space);
	return bad ? -EIO : 0;
}

int meta_put_u64(hid_t object, const char *name, uint64_t value)
{
	return put_attribute(object, name, H5T_NATIVE_UINT64, &value);
}

int meta_put_i64(hid_t object, const char *name, int64_t value)
{
	return put_attribute(object, name, H5T_NATIVE_INT64, &value);
}

int meta_put_string(hid_t object, const char *name, const char *value)
{
	hid_t type = meta_type_string();
	int rc;

	if (type < 0)
		return -EIO;
	rc = put_attribute(object, name, type, &value);
	H5Tclose(type);
	return rc;
}

int meta_put_table(hid_t group, const char *name, hid_t type, const void *rows, uint64_t n)
{
	hsize_t dims = n;
	hid_t space = H5Screate_simple(1, &dims, NULL);
	hid_t set = space < 0 ? -1 : H5Dcreate2(group, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	int bad = set < 0 || (n > 0 && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0);

	if (set >= 0)
		H5Dclose(set);
	if (space >= 0)
		H5Sclose(space);
	return bad ? -EIO : 0;
}

int meta_put_strings(hid_t group, const char *name, char *const *strings)
{
	hid_t type = meta_type_string();
	uint64_t n = 0;
	int rc;

	if (type < 0)
		return -EIO;
	while (strings && strings[n])
		n++;
	rc = meta_put_table(group, name, type, strings, n);
	H5Tclose(type);
	return rc;
}

/* The class is compared first: HDF5 would convert, and a string where a number should be must be refused. */
static int get_attribute(hid_t object, const char *name, hid_t type, H5T_class_t class, void *ret_value)
{
	hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
	hid_t have = attr < 0 ? -1 : H5Aget_type(attr);
	hid_t space = attr < 0 ? -1 : H5Aget_space(attr);
	int bad = have < 0 || space < 0 || H5Tget_class(have) != class || H5Sget_simple_extent_npoints(space) != 1 ||
		  (class == H5T_STRING && H5Tis_variable_str(have) <= 0) || H5Aread(attr, type, ret_value) < 0;

	if (space >= 0)
		H5Sclose(space);
	if (have >= 0)
		H5Tclose(have);
	if (attr >= 0)
		H5Aclose(attr);
	return bad ? -EIO : 0;
}

int meta_get_u64(hid_t object, const char *name, uint64_t *ret_value)
{
	return get_attribute(object, name, H5T_NATIVE_UINT64, H5T_INTEGER, ret_value);
}

int meta_get_i64(hid_t object, const char *name, int64_t *ret_value)
{
	return get_attribute(object, name, H5T_NATIVE_INT64, H5T_INTEGER, ret_value);
}

int meta_get_string(hid_t object, const char *name, char **ret_value)
{
	hid_t type = meta_type_string();
	char *value = NULL;
	int rc;

	if (type < 0)
		return -EIO;
	rc = get_attribute(object, name, type, H5T_STRING, &value);
	if (rc == 0) {
		*ret_value = strdup(value ? value : "");
		rc = *ret_value ? 0 : -ENOMEM;
		free(value);
	}
	H5Tclose(type);
	return rc;
}

int meta_get_table(hid_t group, const char *name, hid_t type, size_t row_bytes, void **ret_rows, uint64_t *ret_n)
{
	hid_t set = H5Dopen2(group, name, H5P_DEFAULT);
	hid_t have = set < 0 ? -1 : H5Dget_type(set);
	hid_t space = set < 0 ? -1 : H5Dget_space(set);
	hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
	void *rows = NULL;
	int rc = -EIO;

	if (have < 0 || n < 0 || n > TABLE_MAX_ROWS || H5Tget_class(have) != H5Tget_class(type) || H5Tget_size(type) != row_bytes)
		goto out;
	rows = calloc(n > 0 ? (size_t)n : 1, row_bytes);
	if (!rows) {
		rc = -ENOMEM;
		goto out;
	}
	if (n > 0 && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) < 0)
		goto out;
	*ret_rows = rows;
	*ret_n = (uint64_t)n;
	rows = NULL;
	rc = 0;
out:
	free(rows);
	if (space >= 0)
		H5Sclose(space);
	if (have >= 0)
		H5Tclose(have);
	if (set >= 0)
		H5Dclose(set);
	return rc;
}

void meta_free_table(hid_t type, void *rows, uint64_t n)
{
	hsize_t dims = n;
	hid_t space = n > 0 ? H5Screate_simple(1, &dims, NULL) : -1;

	if (space >= 0) {
		H5Dvlen_reclaim(type, space, H5P_DEFAULT, rows);
		H5Sclose(space);
	}
	free(rows);
}

int meta_get_strings(hid_t group, const char *name, char ***ret_strings)
{
	hid_t type = meta_type_string();
	char **rows, **copy;
	void *table;
	uint64_t n;
	int rc;

	if (type < 0)
		return -EIO;
	rc = meta_get_table(group, name, type, sizeof(char *), &table, &n);
	if (rc < 0)
		goto out;
	rows = table;
	copy = calloc(n + 1, sizeof(*copy));
	for (uint64_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(rows[i] ? rows[i] : "");
		if (!copy[i]) {
			meta_free_strings(copy);
			copy = NULL;
		}
	}
	meta_free_table(type, table, n);
	rc = copy ? 0 : -ENOMEM;
	if (copy)
		*ret_strings = copy;
out:
	H5Tclose(type);
	return rc;
}

void meta_free_strings(char **strings)
{
	for (char **s = strings; s && *s; s++)
		free(*s);
	free(strings);
}

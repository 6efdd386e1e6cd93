/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data representations of the program: its functions are called from below; after a restart they are registered again.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

struct datarep {
	struct datarep *next;
	char *name;
	MPI_Datarep_conversion_function *read, *write;
	MPI_Datarep_extent_function *extent;
	void *extra;
};

static uint64_t convert_upcall(MPI_Datarep_conversion_function *fn, const struct datarep *d, uint64_t *a)
{
	return (uint64_t)(int64_t)fn((void *)a[0], crcp_datatype_find((MPI_Datatype)a[1]), (int)a[2], (void *)a[3], (MPI_Offset)a[4], d->extra);
}

static uint64_t read_upcall(void *arg, uint64_t *a)
{
	return convert_upcall(((struct datarep *)arg)->read, arg, a);
}

static uint64_t write_upcall(void *arg, uint64_t *a)
{
	return convert_upcall(((struct datarep *)arg)->write, arg, a);
}

static uint64_t extent_upcall(void *arg, uint64_t *a)
{
	const struct datarep *d = arg;

	return (uint64_t)(int64_t)d->extent(crcp_datatype_find((MPI_Datatype)a[0]), (MPI_Aint *)a[1], d->extra);
}

static struct datarep *datareps;

static int register_below(struct datarep *d)
{
	MPI_Datarep_conversion_function *read_fn = NULL, *write_fn = NULL;
	MPI_Datarep_extent_function *extent_fn = NULL;
	const char *name = d->name;

	if (d->read)
		read_fn = (MPI_Datarep_conversion_function *)CR_GATE->thunk_create(read_upcall, d);
	if (d->write)
		write_fn = (MPI_Datarep_conversion_function *)CR_GATE->thunk_create(write_upcall, d);
	if (d->extent)
		extent_fn = (MPI_Datarep_extent_function *)CR_GATE->thunk_create(extent_upcall, d);
	return CR_LOWER(crcp_lower.MPI_Register_datarep(name, read_fn, write_fn, extent_fn, NULL));
}

/* MPI lets nobody take one back, so they live as long as the program. */
CRCP_API(int, MPI_Register_datarep,
	 (const char *name, MPI_Datarep_conversion_function *read_fn, MPI_Datarep_conversion_function *write_fn, MPI_Datarep_extent_function *extent_fn,
	  void *extra))
{
	struct datarep *d;
	int r = MPI_ERR_NO_MEM;

	crcp_call_begin();
	d = crcp_alloc(sizeof(*d));
	if (d) {
		*d = (struct datarep){ NULL, name ? crcp_dup(name, strlen(name) + 1) : NULL, read_fn, write_fn, extent_fn, extra };
		r = register_below(d);
	}
	if (r == MPI_SUCCESS) {
		crcp_abi_lock();
		d->next = datareps;
		datareps = d;
		crcp_abi_unlock();
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Register_datarep");
}

/* A library that does not take it will say so when a view asks for it. */
void crcp_datareps_rebuild(void)
{
	for (struct datarep *d = datareps; d; d = d->next)
		(void)register_below(d);
}

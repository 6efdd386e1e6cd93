/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lower table: open the real libmpi in the lower half and look every function up.  Done at the first call and after a restart.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef CRCP_REAL_LIBMPI
#define CRCP_REAL_LIBMPI "libmpi.so.40"
#endif

struct crcp_state crcp;
struct crcp_lower_table crcp_lower;

/* The names of the table's members, in their order; the real library is asked for the PMPI_ entry, so that no profiler sees us twice. */
static const char *const names[] = {
#define CRCP_CALL(class, ret, name, args) "P" #name,
#include "crcp/mpi_calls.def"
#undef CRCP_CALL
};
#define NAMES (sizeof(names) / sizeof(names[0]))
_Static_assert(sizeof(struct crcp_lower_table) == NAMES * sizeof(void *), "one pointer per name");

/* Is the gate's page there at all? Without the lower half it is not, and touching it would only give a segmentation fault. */
static int gate_present(void)
{
	unsigned char vec;

	return mincore((void *)CR_GATE_ADDR, CR_PAGE_BYTES, &vec) == 0 && CR_GATE->magic == CR_GATE_MAGIC && CR_GATE->version == CR_GATE_VERSION;
}

int crcp_lower_load(char *err, size_t err_bytes)
{
	static char message[256]; /* the lower half writes it: must not lie in a frame that is gone */
	const char *path = CRCP_REAL_LIBMPI;
	const char *missing = NULL;
	const char *own;
	void *table[NAMES];
	void *library;

	if (!gate_present()) {
		snprintf(err, err_bytes, "this libmpi belongs to ompi-cr; start the program with mpirun -am ft-enable-cr");
		return -ENOEXEC;
	}
	own = CR_GATE->lower_getenv ? CR_GATE->lower_getenv("OMPI_CR_REAL_LIBMPI") : NULL;
	if (own && *own)
		path = own;
	{
		void *(*open_below)(const char *, char *, size_t) = CR_GATE->lower_open;

		message[0] = 0;
		library = CR_LOWER(open_below(path, message, sizeof(message)));
	}
	if (!library) {
		snprintf(err, err_bytes, "cannot open the real %s below: %s", path, message);
		return -ENOENT;
	}
	for (size_t i = 0; i < NAMES; i++) {
		void *(*look_up)(void *, const char *) = CR_GATE->lower_sym;
		const char *name = names[i];

		table[i] = CR_LOWER(look_up(library, name));
		if (!table[i]) {
			snprintf(err, err_bytes, "the real %s has no %s: it is not of the series this libmpi was made for", path, name);
			return -ENOENT;
		}
	}
	memcpy(&crcp_lower, table, sizeof(table));
	crcp.libmpi = library;
	crcp.epoch = CR_GATE->epoch;
	if (crcp_predefined_load(&missing) != 0) {
		snprintf(err, err_bytes, "the real %s has no %s: it is not of the series this libmpi was made for", path, missing);
		crcp.libmpi = NULL;
		return -ENOENT;
	}
	return 0;
}

void crcp_lower_need(void)
{
	char err[512];

	if (crcp.libmpi || crcp_lower_load(err, sizeof(err)) == 0)
		return;
	fprintf(stderr, "libmpi: %s\n", err);
	_exit(1);
}

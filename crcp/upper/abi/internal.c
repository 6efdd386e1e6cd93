/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions that the real library exports for its own plugins.  They are there, so that nothing is missing; calling one ends the program.
 */
#include "crcp/upper/abi/objects.h"
#include "crcp/upper/abi/plain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noreturn)) void crcp_internal_call(const char *symbol);
void crcp_internal_call(const char *symbol)
{
	fprintf(stderr, "libmpi: %s is an internal function of the MPI library, not available to a program under ompi-cr\n", symbol);
	abort();
}

/* Extension "cuda": it has no profiling entry, so it is not in mpi_calls.def. */
int MPIX_Query_cuda_support(void)
{
	void *(*look_up)(void *, const char *);
	int (*lower)(void);
	void *library;
	int r;

	crcp_call_begin();
	look_up = CR_GATE->lower_sym;
	library = crcp.libmpi;
	lower = (int (*)(void))CR_LOWER(look_up(library, "MPIX_Query_cuda_support"));
	r = lower ? CR_LOWER(lower()) : 0;
	crcp_call_end();
	return r;
}

/* Extension "affinity": where the process is bound, in words. A launcher's matter that changes with a restart. */
int OMPI_Affinity_str(ompi_affinity_fmt_t format, char ompi_bound[OMPI_AFFINITY_STRING_MAX], char current_binding[OMPI_AFFINITY_STRING_MAX],
		      char exists[OMPI_AFFINITY_STRING_MAX])
{
	int (*lower)(ompi_affinity_fmt_t, char *, char *, char *);
	void *(*look_up)(void *, const char *);
	void *library;
	int r;

	crcp_call_begin();
	look_up = CR_GATE->lower_sym;
	library = crcp.libmpi;
	lower = (int (*)(ompi_affinity_fmt_t, char *, char *, char *))CR_LOWER(look_up(library, "OMPI_Affinity_str"));
	r = lower ? CR_LOWER(lower(format, ompi_bound, current_binding, exists)) : MPI_ERR_UNSUPPORTED_OPERATION;
	crcp_call_end();
	return r;
}

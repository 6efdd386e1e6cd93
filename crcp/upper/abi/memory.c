/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses and memory.  MPI_Alloc_mem gives the program's own memory: the real library's would not be saved.
 */
#include "crcp/upper/abi/objects.h"

#include <stdlib.h>

CRCP_API(int, MPI_Alloc_mem, (MPI_Aint size, MPI_Info info, void *baseptr))
{
	void *p = NULL;

	(void)info;
	if (size < 0 || !baseptr)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Alloc_mem");
	if (size > 0 && posix_memalign(&p, 64, (size_t)size) != 0)
		return crcp_error(NULL, MPI_ERR_NO_MEM, "MPI_Alloc_mem");
	*(void **)baseptr = p;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Free_mem, (void *base))
{
	free(base);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Get_address, (const void *location, MPI_Aint *address))
{
	if (!address)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Get_address");
	*address = (MPI_Aint)location;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Address, (void *location, MPI_Aint *address))
{
	if (!address)
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Address");
	*address = (MPI_Aint)location;
	return MPI_SUCCESS;
}

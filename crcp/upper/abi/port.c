/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports and published names.  The name of a port leads to a socket of the library's, and others may hold it: a restart could not bring it back, so no
 * checkpoint is taken while a port is open or a name is published.
 */
#include "crcp/upper/abi/objects.h"

static const char text[] = "a port is open or a name is published (MPI_Open_port, MPI_Publish_name): close and unpublish it first";
static int marked; /* how many of them there are */

static void mark(void)
{
	crcp_nocr_add(CRCP_NOCR_PORT, text);
	__atomic_fetch_add(&marked, 1, __ATOMIC_RELAXED);
}

static void unmark(void)
{
	int n = __atomic_load_n(&marked, __ATOMIC_RELAXED);

	/* what another process has opened may be closed here */
	while (n > 0 && !__atomic_compare_exchange_n(&marked, &n, n - 1, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	if (n > 0)
		crcp_nocr_drop(CRCP_NOCR_PORT);
}

static int ended(int r, const char *name)
{
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, name);
}

CRCP_API(int, MPI_Open_port, (MPI_Info info, char *port_name))
{
	MPI_Info real;
	int r;

	crcp_call_begin();
	real = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_Open_port(real, port_name));
	if (r == MPI_SUCCESS)
		mark();
	return ended(r, "MPI_Open_port");
}

CRCP_API(int, MPI_Close_port, (const char *port_name))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_Close_port(port_name));
	if (r == MPI_SUCCESS)
		unmark();
	return ended(r, "MPI_Close_port");
}

CRCP_API(int, MPI_Publish_name, (const char *service_name, MPI_Info info, const char *port_name))
{
	MPI_Info real;
	int r;

	crcp_call_begin();
	real = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_Publish_name(service_name, real, port_name));
	if (r == MPI_SUCCESS)
		mark();
	return ended(r, "MPI_Publish_name");
}

CRCP_API(int, MPI_Unpublish_name, (const char *service_name, MPI_Info info, const char *port_name))
{
	MPI_Info real;
	int r;

	crcp_call_begin();
	real = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_Unpublish_name(service_name, real, port_name));
	if (r == MPI_SUCCESS)
		unmark();
	return ended(r, "MPI_Unpublish_name");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Persistent collectives (MPIX_..._init): the arguments are kept, with references to datatypes and operation, and after a restart every
 * request that still exists is made again, in order of creation, which is the same on all members of a communicator.
 *
 * MPI lets the program change neither the buffers' places nor the arrays of counts before the request is freed, so pointers will do.
 */
#include "crcp/upper/abi/plain.h"

#include <errno.h>

static struct crcp_pcoll *first, *last;

static void references(const struct crcp_pcoll *p, void (*act)(MPI_Datatype))
{
	for (int i = 0; i < 2; i++)
		if (p->types[i])
			act(p->types[i]);
	for (int side = 0; side < 2; side++)
		for (int i = 0; p->arrays[side] && i < p->array_n[side]; i++)
			act(p->arrays[side][i]);
}

static void hold(MPI_Datatype t)
{
	if (crcp_is_live(t))
		crcp_datatype_get(t);
}

static void release(MPI_Datatype t)
{
	if (crcp_is_live(t))
		crcp_datatype_put(t);
}

static void keep(struct crcp_pcoll *p)
{
	references(p, hold);
	crcp_handle_get((void *)p->op);
	crcp_abi_lock();
	p->next = NULL;
	p->prev = last;
	if (last)
		last->next = p;
	else
		first = p;
	last = p;
	crcp_abi_unlock();
}

int crcp_pcoll_init(const struct crcp_pcoll *args, MPI_Info info, MPI_Request *request, const char *function)
{
	struct crcp_pcoll *p = NULL;
	MPI_Request real = NULL;
	MPI_Info real_info;
	int r;

	crcp_call_begin();
	crcp_enter_collective(args->comm);
	real_info = crcp_info_real(info);
	r = args->make(args, real_info, &real);
	if (r == MPI_SUCCESS) {
		p = crcp_dup(args, args->bytes);
		if (!p)
			r = MPI_ERR_NO_MEM;
	}
	if (p) {
		keep(p);
		*request = p->request = crcp_request_wrap(real, 'C', crcp_comm(args->comm));
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(crcp_is_live(args->comm) ? crcp_comm(args->comm) : NULL, r, function);
}

void crcp_pcoll_drop(MPI_Request request)
{
	struct crcp_pcoll *p;

	crcp_abi_lock();
	for (p = first; p && p->request != request; p = p->next)
		;
	if (p) {
		if (p->prev)
			p->prev->next = p->next;
		else
			first = p->next;
		if (p->next)
			p->next->prev = p->prev;
		else
			last = p->prev;
	}
	crcp_abi_unlock();
	if (!p)
		return;
	references(p, release);
	crcp_op_put(p->op);
	crcp_free(p);
}

int crcp_pcolls_rebuild(void)
{
	MPI_Info none = (MPI_Info)crcp_real(MPI_INFO_NULL);

	for (struct crcp_pcoll *p = first; p; p = p->next) {
		MPI_Request real = NULL;

		if (p->make(p, none, &real) != MPI_SUCCESS)
			return -EIO;
		((struct crcp_handle *)(void *)p->request)->real = real;
	}
	return 0;
}

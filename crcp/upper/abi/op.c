/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reduction operations of the program.  The real operation calls a thunk, which comes back to the upper half and calls the program's
 * function with the program's handle of the datatype, in the language it was written in.
 *
 * Thunk and real operation are made when the operation is first used (a language library says only after MPI_Op_create what the function
 * is), shared by all operations with the same function and never freed: a non-blocking reduction may outlive MPI_Op_free.
 */
#include "crcp/upper/abi/objects.h"
#include "crcp/upper/p2p/os.h"

#include <errno.h>

struct crcp_op_impl {
	struct crcp_op_impl *next;
	void *fn;            /* C or Fortran function; C++ and Java: the language library's intercept */
	int commute;
	uint32_t language;   /* OMPI_OP_FLAG_*; 0: C */
	void *extra[3];      /* C++: user's function. Java: environment, object, base type */
	void *thunk;
	void *real;
};
static struct crcp_op_impl *impls;

static inline struct crcp_op *op_of(MPI_Op op) { return (struct crcp_op *)(void *)op; }

/* The program's part of a reduction: a[0] in, a[1] inout, a[2] int *count, a[3] MPI_Datatype *. */
static uint64_t op_upcall(void *arg, uint64_t *a)
{
	const struct crcp_op_impl *p = arg;
	void *in = (void *)a[0], *inout = (void *)a[1];
	int *count = (int *)a[2];
	MPI_Datatype type = crcp_datatype_find(*(MPI_Datatype *)a[3]);
	MPI_Fint fint;

	switch (p->language) {
	case 0:
		((MPI_User_function *)p->fn)(in, inout, count, &type);
		break;
	case OMPI_OP_FLAG_FORTRAN:
		fint = crcp_fint_assign((struct crcp_handle *)(void *)type);
		((void (*)(void *, void *, MPI_Fint *, MPI_Fint *))p->fn)(in, inout, count, &fint);
		break;
	case OMPI_OP_FLAG_CXX:
		((void (*)(void *, void *, int *, MPI_Datatype *, void *))p->fn)(in, inout, count, &type, p->extra[0]);
		break;
	default:
		((void (*)(void *, void *, int *, MPI_Datatype *, int, void *, void *))p->fn)(in, inout, count, &type, (int)(intptr_t)p->extra[2], p->extra[0],
											     p->extra[1]);
	}
	return 0;
}

static int impl_make_real(struct crcp_op_impl *p)
{
	MPI_User_function *fn;
	MPI_Op real = NULL;
	int commute = p->commute;

	p->thunk = CR_GATE->thunk_create(op_upcall, p);
	if (!p->thunk)
		return -ENOMEM;
	fn = (MPI_User_function *)p->thunk;
	if (CR_LOWER(crcp_lower.MPI_Op_create(fn, commute, &real)) != MPI_SUCCESS)
		return -EINVAL;
	p->real = real;
	return 0;
}

static bool impl_is(const struct crcp_op_impl *p, const struct crcp_op_impl *want)
{
	return p->fn == want->fn && p->commute == want->commute && p->language == want->language && p->extra[0] == want->extra[0] &&
	       p->extra[1] == want->extra[1] && p->extra[2] == want->extra[2];
}

static uint32_t making; /* one thread at a time: two may use an operation, or two with the same function, for the first time */

/* That of an operation with the same function, or one of its own. NULL: out of memory. */
static void *op_make_real(struct crcp_op *op)
{
	struct crcp_op_impl *p, *draft = op->impl;

	draft->language = op->ompi_flags & (OMPI_OP_FLAG_FORTRAN | OMPI_OP_FLAG_CXX | OMPI_OP_FLAG_JAVA);
	for (p = impls; p && !impl_is(p, draft); p = p->next)
		;
	if (p) {
		op->impl = p;
		crcp_free(draft);
		return p->real;
	}
	if (impl_make_real(draft) != 0)
		return NULL;
	draft->next = impls;
	impls = draft;
	return draft->real;
}

MPI_Op crcp_op_real(MPI_Op handle)
{
	struct crcp_op *op = op_of(handle);
	void *real = op ? __atomic_load_n(&op->h.real, __ATOMIC_ACQUIRE) : NULL;

	if (!op || real)
		return (MPI_Op)real;
	while (crcp.multiple && __atomic_exchange_n(&making, 1, __ATOMIC_ACQUIRE))
		crcp_os_yield();
	if (!op->h.real)
		__atomic_store_n(&op->h.real, op_make_real(op), __ATOMIC_RELEASE);
	__atomic_store_n(&making, 0, __ATOMIC_RELEASE);
	return op->h.real ? (MPI_Op)op->h.real : (MPI_Op)crcp_real(MPI_OP_NULL);
}

/* Live operations, to renew their real handle. */
static struct crcp_op **ops;
static int ops_n, ops_size;

static int ops_add(struct crcp_op *op)
{
	if (ops_n == ops_size) {
		int size = ops_size ? 2 * ops_size : 32;
		struct crcp_op **table = crcp_alloc((size_t)size * sizeof(*table));

		if (!table)
			return -ENOMEM;
		for (int i = 0; i < ops_n; i++)
			table[i] = ops[i];
		crcp_free(ops);
		ops = table;
		ops_size = size;
	}
	ops[ops_n++] = op;
	return 0;
}

int crcp_ops_rebuild(void)
{
	for (struct crcp_op_impl *p = impls; p; p = p->next)
		if (impl_make_real(p) != 0)
			return -ENOMEM;
	for (int i = 0; i < ops_n; i++)
		if (ops[i]->h.real)
			ops[i]->h.real = ops[i]->impl->real;
	return 0;
}

CRCP_API(int, MPI_Op_create, (MPI_User_function * function, int commute, MPI_Op *ret_op))
{
	struct crcp_op *op;
	int r = MPI_SUCCESS;

	if (!function || !ret_op)
		return crcp_error(NULL, function ? MPI_ERR_OP : MPI_ERR_ARG, "MPI_Op_create");
	crcp_call_begin();
	op = crcp_alloc(sizeof(*op));
	if (op)
		op->impl = crcp_alloc(sizeof(*op->impl));
	crcp_abi_lock();
	if (!op || !op->impl || ops_add(op) != 0)
		r = MPI_ERR_NO_MEM;
	crcp_abi_unlock();
	if (r == MPI_SUCCESS) {
		op->h = (struct crcp_handle){ .kind = CRCP_OP, .fint = -1, .refs = 1 };
		op->impl->fn = (void *)function;
		op->impl->commute = commute != 0;
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(NULL, r, "MPI_Op_create");
	*ret_op = (MPI_Op)(void *)op;
	return MPI_SUCCESS;
}

void crcp_op_put(MPI_Op handle)
{
	struct crcp_op *op = op_of(handle);

	if (!op || (op->h.flags & CRCP_H_PREDEFINED) || __atomic_sub_fetch(&op->h.refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	crcp_abi_lock();
	for (int i = 0; i < ops_n; i++)
		if (ops[i] == op) {
			ops[i] = ops[--ops_n];
			break;
		}
	crcp_abi_unlock();
	crcp_fint_release(&op->h);
	if (!op->h.real)
		crcp_free(op->impl); /* never used: nobody else has it */
	crcp_free(op);
}

CRCP_API(int, MPI_Op_free, (MPI_Op * handle))
{
	struct crcp_op *op = handle ? op_of(*handle) : NULL;

	if (!op || (op->h.flags & CRCP_H_PREDEFINED))
		return crcp_error(NULL, MPI_ERR_OP, "MPI_Op_free");
	crcp_call_begin();
	crcp_op_put(*handle);
	crcp_call_end();
	*handle = MPI_OP_NULL;
	return MPI_SUCCESS;
}

/* The language libraries name the program's function after MPI_Op_create got their intercept. */
CRCP_EXPORT void ompi_op_set_cxx_callback(MPI_Op op, MPI_User_function *fn);
CRCP_EXPORT void ompi_op_set_java_callback(MPI_Op op, void *environment, void *object, int base_type);

void ompi_op_set_cxx_callback(MPI_Op op, MPI_User_function *fn)
{
	op_of(op)->ompi_flags |= OMPI_OP_FLAG_CXX;
	op_of(op)->impl->extra[0] = (void *)fn;
}

void ompi_op_set_java_callback(MPI_Op op, void *environment, void *object, int base_type)
{
	op_of(op)->ompi_flags |= OMPI_OP_FLAG_JAVA;
	op_of(op)->impl->extra[0] = environment;
	op_of(op)->impl->extra[1] = object;
	op_of(op)->impl->extra[2] = (void *)(intptr_t)base_type;
}

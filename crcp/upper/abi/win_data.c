/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One-sided operations as copies: between two descriptions of data, one in this process, one in mapped memory or in another process.
 *
 * Data without gaps is copied as it is. The rest goes through the real library's pack and unpack. Memory of another process that has
 * gaps is read as a whole, but written run by run, as what lies in the gaps is not ours: unpacking a pattern shows where the runs are.
 */
#include "crcp/upper/abi/win.h"

#include <limits.h>
#include <string.h>

static int type_size(MPI_Datatype type)
{
	const struct crcp_extent *e = crcp_datatype_extent(crcp_datatype(type));

	return e ? (int)e->size : 0;
}

static bool is_padded_pair(MPI_Datatype type)
{
	return type == MPI_DOUBLE_INT || type == MPI_LONG_INT || type == MPI_SHORT_INT || type == MPI_LONG_DOUBLE_INT;
}

struct crcp_win_data crcp_win_describe(int count, MPI_Datatype type)
{
	const struct crcp_datatype_head *head = (const struct crcp_datatype_head *)(void *)type;
	struct crcp_win_data d = { .type = type, .count = count };
	const struct crcp_extent *e;

	if ((head->h.flags & CRCP_H_PREDEFINED) && head->size_plus_1 && !is_padded_pair(type)) {
		d.flat = true;
		d.bytes = (size_t)count * (head->size_plus_1 - 1);
		d.span = (MPI_Aint)d.bytes;
		return d;
	}
	e = crcp_datatype_extent(crcp_datatype(type));
	d.bytes = e ? (size_t)count * (size_t)e->size : 0;
	if (d.bytes == 0) {
		d.flat = true;
		return d;
	}
	d.low = e->true_low;
	d.span = e->true_extent + (count - 1) * (e->extent > 0 ? e->extent : -e->extent);
	if (e->extent < 0)
		d.low += (count - 1) * e->extent;
	return d;
}

/* ---- the real library's packing; MPI error code ---- */
int crcp_win_pack(const void *from, const struct crcp_win_data *d, void *to)
{
	MPI_Comm self = (MPI_Comm)crcp_real(MPI_COMM_SELF);
	MPI_Datatype type = (MPI_Datatype)crcp_real((void *)d->type);
	int count = d->count, bytes = (int)d->bytes, at = 0;

	return d->bytes > INT_MAX ? MPI_ERR_COUNT : CR_LOWER(crcp_lower.MPI_Pack(from, count, type, to, bytes, &at, self));
}

int crcp_win_unpack(const void *from, void *to, const struct crcp_win_data *d)
{
	MPI_Comm self = (MPI_Comm)crcp_real(MPI_COMM_SELF);
	MPI_Datatype type = (MPI_Datatype)crcp_real((void *)d->type);
	int count = d->count, bytes = (int)d->bytes, at = 0;

	return d->bytes > INT_MAX ? MPI_ERR_COUNT : CR_LOWER(crcp_lower.MPI_Unpack(from, bytes, &at, to, count, type, self));
}

/* ---- the target's side ---- */
/* Packed data of the place. */
static int gather(const struct crcp_win_place *p, const struct crcp_win_data *t, void *to)
{
	char *whole;
	int r;

	if (p->here && t->flat) {
		memcpy(to, p->here, t->bytes);
		return MPI_SUCCESS;
	}
	if (p->here)
		return crcp_win_pack(p->here, t, to);
	if (p->peer->far)
		return crcp_win_far_get(p->peer, p->at, t, to);
	if (t->flat)
		return crcp_win_fetch(p->peer->pid, p->at, to, t->bytes);
	whole = crcp_alloc((size_t)t->span);
	if (!whole)
		return MPI_ERR_NO_MEM;
	r = crcp_win_fetch(p->peer->pid, p->at + (uint64_t)t->low, whole, (size_t)t->span);
	if (r == MPI_SUCCESS)
		r = crcp_win_pack(whole - t->low, t, to);
	crcp_free(whole);
	return r;
}

static int store_runs(const struct crcp_win_place *p, const struct crcp_win_data *t, const char *pattern, const char *whole)
{
	size_t end = (size_t)t->span, at = 0;
	int r = MPI_SUCCESS;

	while (at < end && r == MPI_SUCCESS) {
		size_t begin = at;

		while (at < end && pattern[at])
			at++;
		if (at > begin)
			r = crcp_win_store(p->peer->pid, p->at + (uint64_t)t->low + begin, whole + begin, at - begin);
		while (at < end && !pattern[at])
			at++;
	}
	return r;
}

/* Packed data into the place. */
static int scatter(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *from)
{
	char *pattern, *whole, *ones;
	int r;

	if (p->here && t->flat) {
		memcpy(p->here, from, t->bytes);
		return MPI_SUCCESS;
	}
	if (p->here)
		return crcp_win_unpack(from, p->here, t);
	if (p->peer->far)
		return crcp_win_far_put(p->peer, p->at, t, from);
	if (t->flat)
		return crcp_win_store(p->peer->pid, p->at, from, t->bytes);
	pattern = crcp_alloc(2 * (size_t)t->span + t->bytes);
	if (!pattern)
		return MPI_ERR_NO_MEM;
	whole = pattern + t->span;
	ones = whole + t->span;
	memset(ones, 1, t->bytes);
	r = crcp_win_unpack(ones, pattern - t->low, t);
	if (r == MPI_SUCCESS)
		r = crcp_win_unpack(from, whole - t->low, t);
	if (r == MPI_SUCCESS)
		r = store_runs(p, t, pattern, whole);
	crcp_free(pattern);
	return r;
}

/* ---- put, get ---- */
int crcp_win_put(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o)
{
	void *packed;
	int r;

	if (o->bytes != t->bytes)
		return MPI_ERR_TRUNCATE;
	if (o->bytes == 0)
		return MPI_SUCCESS;
	if (o->flat)
		return scatter(p, t, origin);
	packed = crcp_alloc(o->bytes);
	if (!packed)
		return MPI_ERR_NO_MEM;
	r = crcp_win_pack(origin, o, packed);
	if (r == MPI_SUCCESS)
		r = scatter(p, t, packed);
	crcp_free(packed);
	return r;
}

int crcp_win_get(const struct crcp_win_place *p, const struct crcp_win_data *t, void *origin, const struct crcp_win_data *o)
{
	void *packed;
	int r;

	if (o->bytes != t->bytes)
		return MPI_ERR_TRUNCATE;
	if (o->bytes == 0)
		return MPI_SUCCESS;
	if (o->flat)
		return gather(p, t, origin);
	packed = crcp_alloc(o->bytes);
	if (!packed)
		return MPI_ERR_NO_MEM;
	r = gather(p, t, packed);
	if (r == MPI_SUCCESS)
		r = crcp_win_unpack(packed, origin, o);
	crcp_free(packed);
	return r;
}

/* ---- accumulate ---- */
/* The one predefined type that @type is made of; NULL: none with a size. */
static MPI_Datatype leaf_of(MPI_Datatype type)
{
	const struct crcp_datatype *d = crcp_datatype(type);

	if (d->head.h.flags & CRCP_H_PREDEFINED)
		return type_size(type) > 0 ? type : NULL;
	if (d->nd == 0)
		return type; /* MPI_Type_create_f90_real and its like */
	for (int i = 0; i < d->nd; i++) {
		MPI_Datatype leaf = leaf_of((MPI_Datatype)(void *)d->types[i]);

		if (leaf)
			return leaf;
	}
	return NULL;
}

/* What the target's service knows @leaf as: it may be a handle that this rank has made for an ordinary type. */
static MPI_Datatype wire_leaf(MPI_Datatype leaf)
{
	const struct crcp_datatype *d = crcp_datatype(leaf);
	int size = type_size(leaf);

	if (d->head.h.flags & CRCP_H_PREDEFINED)
		return leaf;
	if (d->combiner == MPI_COMBINER_F90_REAL)
		return size == 4 ? MPI_REAL4 : size == 8 ? MPI_REAL8 : MPI_REAL16;
	if (d->combiner == MPI_COMBINER_F90_COMPLEX)
		return size == 8 ? MPI_COMPLEX8 : size == 16 ? MPI_COMPLEX16 : MPI_COMPLEX32;
	return size == 1 ? MPI_INTEGER1 : size == 2 ? MPI_INTEGER2 : size == 4 ? MPI_INTEGER4 : MPI_INTEGER8;
}

/* @in op @inout, two arrays of a predefined type. */
static int reduce(const struct crcp_win_data *array, void *in, void *inout, MPI_Op op)
{
	MPI_Datatype type = (MPI_Datatype)crcp_real((void *)array->type);
	MPI_Op real_op = crcp_op_real(op);
	int count = array->count;

	return CR_LOWER(crcp_lower.MPI_Reduce_local(in, inout, count, type, real_op));
}

int crcp_win_combine(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o, MPI_Op op)
{
	struct crcp_win_data array;
	MPI_Datatype leaf;
	char *mine, *theirs, *memory;
	size_t room;
	int r;

	if (op == MPI_REPLACE)
		return crcp_win_put(p, t, origin, o);
	if (o->bytes != t->bytes)
		return MPI_ERR_TRUNCATE;
	leaf = t->bytes ? leaf_of(t->type) : NULL;
	if (!leaf)
		return MPI_SUCCESS;
	array = crcp_win_describe((int)(t->bytes / (size_t)type_size(leaf)), leaf);
	room = ((size_t)array.span + 63) & ~(size_t)63;
	if (p->here && t->type == leaf && o->type == leaf && array.flat)
		return reduce(&array, (void *)(uintptr_t)origin, p->here, op);
	memory = crcp_alloc(3 * room);
	if (!memory)
		return MPI_ERR_NO_MEM;
	mine = memory + room;
	theirs = mine + room;
	/* Both sides as arrays of the leaf. */
	r = o->flat ? (memcpy(memory, origin, o->bytes), MPI_SUCCESS) : crcp_win_pack(origin, o, memory);
	if (r == MPI_SUCCESS)
		r = crcp_win_unpack(memory, mine, &array);
	if (r == MPI_SUCCESS)
		r = gather(p, t, memory);
	if (r == MPI_SUCCESS)
		r = crcp_win_unpack(memory, theirs, &array);
	if (r == MPI_SUCCESS)
		r = reduce(&array, mine, theirs, op);
	if (r == MPI_SUCCESS)
		r = crcp_win_pack(theirs, &array, memory);
	if (r == MPI_SUCCESS)
		r = scatter(p, t, memory);
	crcp_free(memory);
	return r;
}

/* ---- at a rank that its service leads to ---- */
/* The real library's opinion of @op on @leaf: it is asked about one element that is nobody's. */
static int judge_reduction(MPI_Datatype leaf, MPI_Op op)
{
	struct crcp_win_data one = crcp_win_describe(1, leaf);
	char in[64] __attribute__((aligned(64))) = { 0 }, inout[64] __attribute__((aligned(64))) = { 0 };

	return one.span > (MPI_Aint)sizeof(in) ? MPI_ERR_TYPE : reduce(&one, in, inout, op);
}

static int combine_packed(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *packed, void *old, MPI_Op op)
{
	MPI_Datatype leaf = NULL;
	int r = MPI_SUCCESS;

	if (op != MPI_REPLACE && op != MPI_NO_OP) {
		leaf = leaf_of(t->type);
		r = judge_reduction(leaf, op);
		leaf = wire_leaf(leaf);
	}
	return r == MPI_SUCCESS ? crcp_win_far_combine(p->peer, p->at, t, packed, old, leaf, op) : r;
}

int crcp_win_combine_far(const struct crcp_win_place *p, const struct crcp_win_data *t, const void *origin, const struct crcp_win_data *o, void *result,
			 const struct crcp_win_data *res, MPI_Op op)
{
	bool gives = res != NULL, takes = op != MPI_NO_OP;
	char *memory = NULL, *old = result;
	const void *packed = origin;
	int r = MPI_SUCCESS;

	if ((takes && o->bytes != t->bytes) || (gives && res->bytes != t->bytes))
		return MPI_ERR_TRUNCATE;
	if (t->bytes == 0)
		return MPI_SUCCESS;
	if ((takes && !o->flat) || (gives && !res->flat)) {
		memory = crcp_alloc(2 * t->bytes);
		if (!memory)
			return MPI_ERR_NO_MEM;
	}
	if (takes && !o->flat) {
		r = crcp_win_pack(origin, o, memory);
		packed = memory;
	}
	if (gives && !res->flat)
		old = memory + t->bytes;
	if (r == MPI_SUCCESS)
		r = combine_packed(p, t, takes ? packed : NULL, gives ? old : NULL, op);
	if (r == MPI_SUCCESS && gives && !res->flat)
		r = crcp_win_unpack(old, result, res);
	crcp_free(memory);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datatype records: a derived type keeps the call that made it, with references to the types it was made of, so that it can be made again
 * even when the program has freed those.  A hash table leads from the real type to the record, for callbacks from below.
 */
#include "crcp/upper/abi/objects.h"

#include <errno.h>
#include <string.h>

#define BUCKETS 1024

static struct crcp_datatype *types, *types_tail; /* live derived types, in order of creation */
static struct crcp_datatype *buckets[BUCKETS];

static struct crcp_datatype **bucket_of(const void *real)
{
	uint64_t x = (uint64_t)(uintptr_t)real >> 4;

	return &buckets[(x ^ x >> 10 ^ x >> 20) % BUCKETS];
}

void crcp_datatype_index(struct crcp_datatype *t)
{
	struct crcp_datatype **b = bucket_of(t->head.h.real);

	crcp_abi_lock();
	t->hash_next = *b;
	*b = t;
	crcp_abi_unlock();
}

static void datatype_unindex(struct crcp_datatype *t)
{
	crcp_abi_lock();
	for (struct crcp_datatype **link = bucket_of(t->head.h.real); *link; link = &(*link)->hash_next)
		if (*link == t) {
			*link = t->hash_next;
			break;
		}
	crcp_abi_unlock();
}

MPI_Datatype crcp_datatype_find(MPI_Datatype real)
{
	struct crcp_datatype *t;

	crcp_abi_lock();
	for (t = *bucket_of(real); t && t->head.h.real != real; t = t->hash_next)
		;
	crcp_abi_unlock();
	return t ? (MPI_Datatype)(void *)t : MPI_DATATYPE_NULL;
}

static void datatype_keep_size(struct crcp_datatype *t)
{
	MPI_Datatype real = (MPI_Datatype)t->head.h.real;
	MPI_Count size = 0;

	if (CR_LOWER(crcp_lower.MPI_Type_size_x(real, &size)) == MPI_SUCCESS && size >= 0)
		t->head.size_plus_1 = (uint64_t)size + 1;
}

void crcp_datatypes_init_predefined(void)
{
	memset(buckets, 0, sizeof(buckets));
	for (int i = 0; i < crcp_predefined_n; i++) {
		struct crcp_datatype *t = crcp_predefined[i].object;

		if (crcp_predefined[i].kind != CRCP_DATATYPE)
			continue;
		crcp_datatype_index(t);
		if (!(t->head.h.flags & CRCP_H_NULL) && strcmp(crcp_predefined[i].symbol, "ompi_mpi_unavailable") != 0)
			datatype_keep_size(t);
	}
}

static void datatype_free_record(struct crcp_datatype *t)
{
	crcp_free(t->ints);
	crcp_free(t->aints);
	crcp_free(t->types);
	crcp_free(t->name);
	crcp_free(t);
}

/* A record for @real and the call that made it; the arrays are copied, the types referenced. NULL: out of memory. */
static struct crcp_datatype *datatype_create(MPI_Datatype real, int combiner, int ni, const int *ints, int na, const MPI_Aint *aints, int nd,
					     const MPI_Datatype *of)
{
	struct crcp_datatype *t = crcp_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->head.h = (struct crcp_handle){ .real = real, .kind = CRCP_DATATYPE, .fint = -1, .refs = 1 };
	t->combiner = combiner;
	t->ni = ni;
	t->na = na;
	t->nd = nd;
	t->ints = crcp_dup(ints, (size_t)ni * sizeof(*ints));
	t->aints = crcp_dup(aints, (size_t)na * sizeof(*aints));
	t->types = crcp_dup(of, (size_t)nd * sizeof(*of));
	if ((ni && !t->ints) || (na && !t->aints) || (nd && !t->types)) {
		datatype_free_record(t);
		return NULL;
	}
	for (int i = 0; i < nd; i++)
		crcp_datatype_get(of[i]);
	datatype_keep_size(t);
	crcp_datatype_index(t);
	crcp_abi_lock();
	t->prev = types_tail;
	if (types_tail)
		types_tail->next = t;
	else
		types = t;
	types_tail = t;
	crcp_abi_unlock();
	return t;
}

int crcp_datatype_adopt(int r, MPI_Datatype real, int combiner, int ni, const int *ints, int na, const MPI_Aint *aints, int nd, const MPI_Datatype *of,
			MPI_Datatype *ret_type, const char *function)
{
	struct crcp_datatype *t = NULL;

	if (r == MPI_SUCCESS) {
		t = datatype_create(real, combiner, ni, ints, na, aints, nd, of);
		if (!t)
			r = MPI_ERR_NO_MEM;
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_error(NULL, r, function);
	*ret_type = (MPI_Datatype)(void *)t;
	return MPI_SUCCESS;
}

void crcp_datatype_get(MPI_Datatype type)
{
	struct crcp_datatype *t = crcp_datatype(type);

	if (!(t->head.h.flags & CRCP_H_PREDEFINED))
		__atomic_add_fetch(&t->head.h.refs, 1, __ATOMIC_RELAXED);
}

void crcp_datatype_put(MPI_Datatype type)
{
	struct crcp_datatype *t = crcp_datatype(type);
	MPI_Datatype real;

	if ((t->head.h.flags & CRCP_H_PREDEFINED) || __atomic_sub_fetch(&t->head.h.refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	datatype_unindex(t);
	real = (MPI_Datatype)t->head.h.real;
	CR_LOWER(crcp_lower.MPI_Type_free(&real));
	crcp_abi_lock();
	if (t->prev)
		t->prev->next = t->next;
	else
		types = t->next;
	if (t->next)
		t->next->prev = t->prev;
	else
		types_tail = t->prev;
	crcp_abi_unlock();
	crcp_fint_release(&t->head.h);
	for (int i = 0; i < t->nd; i++)
		crcp_datatype_put((MPI_Datatype)(void *)t->types[i]);
	datatype_free_record(t);
}

int crcp_datatypes_rebuild(void)
{
	crcp_datatypes_init_predefined();
	for (struct crcp_datatype *t = types; t; t = t->next) {
		MPI_Datatype real = NULL;

		if (crcp_datatype_construct(t, &real) != MPI_SUCCESS)
			return -EINVAL;
		if (t->committed && t->combiner != MPI_COMBINER_F90_REAL && t->combiner != MPI_COMBINER_F90_COMPLEX &&
		    t->combiner != MPI_COMBINER_F90_INTEGER)
			CR_LOWER(crcp_lower.MPI_Type_commit(&real));
		if (t->name) {
			const char *name = t->name;

			CR_LOWER(crcp_lower.MPI_Type_set_name(real, name));
		}
		t->head.h.real = real;
		crcp_datatype_index(t);
	}
	return 0;
}

/* ---- the calls that do not make a type ---- */
CRCP_API(int, MPI_Type_commit, (MPI_Datatype * type))
{
	MPI_Datatype real;
	int r;

	crcp_call_begin();
	real = type ? CRCP_REAL(MPI_Datatype, *type) : NULL;
	r = CR_LOWER(crcp_lower.MPI_Type_commit(&real));
	if (r == MPI_SUCCESS)
		crcp_datatype(*type)->committed = 1;
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_commit");
}

CRCP_API(int, MPI_Type_free, (MPI_Datatype * type))
{
	struct crcp_datatype *t = type ? crcp_datatype(*type) : NULL;
	MPI_Datatype real;
	int r;

	if (!t || (t->head.h.flags & CRCP_H_PREDEFINED) || t->combiner == MPI_COMBINER_F90_REAL || t->combiner == MPI_COMBINER_F90_COMPLEX ||
	    t->combiner == MPI_COMBINER_F90_INTEGER) {
		crcp_call_begin();
		real = t ? (MPI_Datatype)t->head.h.real : NULL;
		r = CR_LOWER(crcp_lower.MPI_Type_free(&real)); /* a predefined type is refused there */
		crcp_call_end();
		return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_free");
	}
	crcp_attrs_end(t);
	crcp_call_begin();
	crcp_datatype_put(*type);
	crcp_call_end();
	*type = MPI_DATATYPE_NULL;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Type_get_envelope, (MPI_Datatype type, int *ni, int *na, int *nd, int *combiner))
{
	const struct crcp_datatype *t = crcp_datatype(type);

	if (!crcp_is_live(type) || !ni || !na || !nd || !combiner)
		return crcp_error(NULL, crcp_is_live(type) ? MPI_ERR_ARG : MPI_ERR_TYPE, "MPI_Type_get_envelope");
	*ni = t->ni;
	*na = t->na;
	*nd = t->nd;
	*combiner = t->combiner;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Type_get_contents,
	 (MPI_Datatype type, int max_integers, int max_addresses, int max_datatypes, int integers[], MPI_Aint addresses[], MPI_Datatype datatypes[]))
{
	const struct crcp_datatype *t = crcp_datatype(type);

	if (!crcp_is_live(type) || t->combiner == MPI_COMBINER_NAMED) /* as Open MPI judges them */
		return crcp_error(NULL, crcp_is_live(type) ? MPI_ERR_INTERN : MPI_ERR_TYPE, "MPI_Type_get_contents");
	if (max_integers < t->ni || max_addresses < t->na || max_datatypes < t->nd || (t->ni && !integers) || (t->na && !addresses) ||
	    (t->nd && !datatypes))
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Type_get_contents");
	if (t->ni)
		memcpy(integers, t->ints, (size_t)t->ni * sizeof(*integers));
	if (t->na)
		memcpy(addresses, t->aints, (size_t)t->na * sizeof(*addresses));
	for (int i = 0; i < t->nd; i++) {
		datatypes[i] = (MPI_Datatype)(void *)t->types[i];
		crcp_datatype_get(datatypes[i]); /* the program frees the derived ones */
	}
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Type_set_name, (MPI_Datatype type, const char *name))
{
	MPI_Datatype real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Datatype, type);
	r = CR_LOWER(crcp_lower.MPI_Type_set_name(real, name));
	if (r == MPI_SUCCESS && !(crcp_datatype(type)->head.h.flags & CRCP_H_PREDEFINED)) {
		crcp_free(crcp_datatype(type)->name);
		crcp_datatype(type)->name = crcp_dup(name, strlen(name) + 1);
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_set_name");
}

CRCP_API(int, MPI_Type_get_name, (MPI_Datatype type, char *name, int *length))
{
	MPI_Datatype real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Datatype, type);
	r = CR_LOWER(crcp_lower.MPI_Type_get_name(real, name, length));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_get_name");
}

static int match_size(int class, int size, MPI_Datatype *ret_type)
{
	MPI_Datatype real = NULL;
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_Type_match_size(class, size, &real));
	if (r == MPI_SUCCESS)
		*ret_type = crcp_datatype_find(real);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_Type_match_size, (int class, int size, MPI_Datatype *type))
{
	int r = match_size(class, size, type);

	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Type_match_size");
}

/* For MPI_TYPE_MATCH_SIZE of Fortran: the kind is Open MPI's flag word, 0x1000 integer, 0x2000 real, 0x3000 complex. */
CRCP_EXPORT MPI_Datatype ompi_datatype_match_size(int size, uint16_t kind, uint16_t language);
MPI_Datatype ompi_datatype_match_size(int size, uint16_t kind, uint16_t language)
{
	static const int class[4] = { 0, MPI_TYPECLASS_INTEGER, MPI_TYPECLASS_REAL, MPI_TYPECLASS_COMPLEX };
	MPI_Datatype type = MPI_DATATYPE_NULL;

	(void)language;
	if (match_size(class[kind >> 12 & 3], size, &type) != MPI_SUCCESS)
		return MPI_DATATYPE_NULL;
	return type;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyvals and attributes.  They are wholly ours: the real objects carry none, and the program's copy and delete functions are called
 * here, on the program's handles.
 *
 * An attribute remembers the language it was set in, because MPI (section 17.2.7) defines what the other language sees: C sees the
 * address of what Fortran set, Fortran sees the pointer that C set as an integer.
 */
#include "crcp/upper/abi/attr.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_USER_KEYVAL 32

struct keyval {
	uint32_t kind; /* of object: CRCP_COMM, CRCP_DATATYPE or CRCP_WIN */
	int flags;
	int refs;  /* attributes, and one while the program has not freed it */
	int freed;
	union crcp_attr_fn copy, remove;
	union crcp_attr_value extra;
	void *bindings; /* free()d with the keyval, for the C++ library */
};

static struct keyval **keyvals; /* [keyval - FIRST_USER_KEYVAL] */
static int keyvals_n;

struct crcp_attrs **crcp_attrs_of(void *object)
{
	switch (((struct crcp_handle *)object)->kind) {
	case CRCP_COMM:
		return &((struct crcp_comm_full *)object)->ompi_keyhash;
	case CRCP_DATATYPE:
		return &((struct crcp_datatype *)object)->ompi_keyhash;
	default:
		return &((struct crcp_win *)object)->ompi_keyhash;
	}
}

static struct keyval *keyval_of(int key)
{
	int i = key - FIRST_USER_KEYVAL;

	return i >= 0 && i < __atomic_load_n(&keyvals_n, __ATOMIC_ACQUIRE) ? __atomic_load_n(&keyvals, __ATOMIC_ACQUIRE)[i] : NULL;
}

static void keyval_put(int key)
{
	struct keyval *k = keyval_of(key);

	if (!k || __atomic_sub_fetch(&k->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	keyvals[key - FIRST_USER_KEYVAL] = NULL;
	free(k->bindings);
	crcp_free(k);
}

int crcp_keyval_create(uint32_t kind, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, union crcp_attr_value extra, int flags, void *bindings)
{
	struct keyval *k = crcp_alloc(sizeof(*k));
	int i;

	if (!k)
		return MPI_ERR_NO_MEM;
	*k = (struct keyval){ .kind = kind, .flags = flags, .refs = 1, .copy = copy, .remove = removal, .extra = extra, .bindings = bindings };
	crcp_abi_lock();
	for (i = 0; i < keyvals_n && keyvals[i]; i++)
		;
	if (i == keyvals_n) {
		int n = keyvals_n ? keyvals_n * 2 : 32;
		struct keyval **table = crcp_alloc((size_t)n * sizeof(*table));

		if (!table) {
			crcp_abi_unlock();
			crcp_free(k);
			return MPI_ERR_NO_MEM;
		}
		if (keyvals_n)
			memcpy(table, keyvals, (size_t)keyvals_n * sizeof(*table));
		/* the old table stays for those that read it, without a lock; the size comes last */
		__atomic_store_n(&keyvals, table, __ATOMIC_RELEASE);
		__atomic_store_n(&keyvals_n, n, __ATOMIC_RELEASE);
	}
	keyvals[i] = k;
	crcp_abi_unlock();
	*key = FIRST_USER_KEYVAL + i;
	return MPI_SUCCESS;
}

int crcp_keyval_free(uint32_t kind, int *key)
{
	struct keyval *k = keyval_of(*key);

	if (!k || k->kind != kind || k->freed)
		return MPI_ERR_OTHER; /* what Open MPI says of a wrong keyval */
	k->freed = 1;
	keyval_put(*key);
	*key = MPI_KEYVAL_INVALID;
	return MPI_SUCCESS;
}

/* ---- what each language sees ---- */
void *crcp_attr_as_c(struct crcp_attrs *a)
{
	switch (a->language) {
	case ATTR_C:
		return a->value.pointer;
	case ATTR_INT:
		return &a->value.integer;
	case ATTR_FINT:
		return &a->value.fint;
	default:
		return &a->value.aint;
	}
}

MPI_Aint crcp_attr_as_aint(const struct crcp_attrs *a)
{
	switch (a->language) {
	case ATTR_C:
		return (MPI_Aint)a->value.pointer;
	case ATTR_INT:
		return a->value.integer;
	case ATTR_FINT:
		return a->value.fint;
	default:
		return a->value.aint;
	}
}

static struct crcp_attrs *attr_find(struct crcp_attrs *a, int key)
{
	while (a && a->keyval != key)
		a = a->next;
	return a;
}

static int attr_remove_call(void *object, const struct keyval *k, int key, struct crcp_attrs *a)
{
	MPI_Fint fobject, fkey = key, fvalue, fextra, ierr = MPI_SUCCESS;
	MPI_Aint avalue, aextra;

	if (!k || !k->remove.any)
		return MPI_SUCCESS;
	if (!(k->flags & KEYVAL_FORTRAN))
		return k->remove.remove(object, key, crcp_attr_as_c(a), k->extra.pointer);
	fobject = crcp_fint_assign(object);
	if (k->flags & KEYVAL_FORTRAN_INT) {
		fvalue = (MPI_Fint)crcp_attr_as_aint(a);
		fextra = k->extra.fint;
		k->remove.remove_fint(&fobject, &fkey, &fvalue, &fextra, &ierr);
	} else {
		avalue = crcp_attr_as_aint(a);
		aextra = k->extra.aint;
		k->remove.remove_aint(&fobject, &fkey, &avalue, &aextra, &ierr);
	}
	return ierr;
}

/* The list of an object may be changed by several threads, each for its own key. Inside a call. */
static struct crcp_attrs *attr_of(void *object, int key)
{
	struct crcp_attrs *a;

	crcp_abi_lock();
	a = attr_find(*crcp_attrs_of(object), key);
	crcp_abi_unlock();
	return a;
}

/* The function that was called before may have done it already. */
static void attr_unlink(void *object, struct crcp_attrs *a)
{
	struct crcp_attrs **link;
	int key = a->keyval;
	bool found;

	crcp_abi_lock();
	for (link = crcp_attrs_of(object); *link && *link != a; link = &(*link)->next)
		;
	found = *link != NULL;
	if (found)
		*link = a->next;
	crcp_abi_unlock();
	if (!found)
		return;
	crcp_free(a);
	keyval_put(key);
}

int crcp_attr_delete(void *object, int key)
{
	struct crcp_attrs *a;
	const struct keyval *k = keyval_of(key);
	int r;

	if (!k || k->kind != ((struct crcp_handle *)object)->kind)
		return MPI_ERR_OTHER;
	a = attr_of(object, key);
	if (!a)
		return MPI_ERR_OTHER;
	r = attr_remove_call(object, k, key, a);
	if (r != MPI_SUCCESS)
		return MPI_ERR_OTHER; /* whatever the function said, as Open MPI */
	attr_unlink(object, a);
	return MPI_SUCCESS;
}

static int attr_put(void *object, int key, enum crcp_attr_language language, union crcp_attr_value value)
{
	struct crcp_attrs **list = crcp_attrs_of(object), *a;
	struct keyval *k = keyval_of(key);

	crcp_call_begin(); /* also from MPI_Comm_dup and its like, when their own call has ended */
	a = crcp_alloc(sizeof(*a));
	if (a) {
		*a = (struct crcp_attrs){ .keyval = key, .language = language, .value = value };
		if (k)
			__atomic_add_fetch(&k->refs, 1, __ATOMIC_ACQ_REL);
		crcp_abi_lock();
		a->next = *list;
		*list = a;
		crcp_abi_unlock();
	}
	crcp_call_end();
	return a ? MPI_SUCCESS : MPI_ERR_NO_MEM;
}

int crcp_attr_set(void *object, int key, enum crcp_attr_language language, union crcp_attr_value value)
{
	const struct keyval *k = keyval_of(key);
	int r;

	if (!k || k->kind != ((struct crcp_handle *)object)->kind)
		return MPI_ERR_OTHER;
	if (attr_of(object, key)) {
		r = crcp_attr_delete(object, key);
		if (r != MPI_SUCCESS)
			return r;
	}
	return attr_put(object, key, language, value);
}

/* An attribute, NULL when there is none in @list; *ret_valid false when there is no such keyval. Inside a call. */
struct crcp_attrs *crcp_attr_get(struct crcp_attrs **list, int key, bool *ret_valid)
{
	struct crcp_attrs *a;

	*ret_valid = (key >= 0 && key <= MPI_WIN_MODEL) || keyval_of(key);
	if (!*ret_valid)
		return NULL;
	crcp_abi_lock();
	a = attr_find(*list, key);
	crcp_abi_unlock();
	return a;
}

int crcp_attr_set_int(void *object, int keyval, int value)
{
	struct crcp_attrs *a = attr_find(*crcp_attrs_of(object), keyval);
	union crcp_attr_value v = { .aint = 0 };

	v.integer = value;
	if (a) {
		a->value = v;
		return MPI_SUCCESS;
	}
	return attr_put(object, keyval, ATTR_INT, v);
}

int crcp_attr_set_aint(void *object, int keyval, MPI_Aint value)
{
	return attr_put(object, keyval, ATTR_AINT, (union crcp_attr_value){ .aint = value });
}

int crcp_attr_set_pointer(void *object, int keyval, void *value)
{
	struct crcp_attrs *a = attr_find(*crcp_attrs_of(object), keyval);
	union crcp_attr_value v = { .pointer = value };

	if (a) {
		a->value = v;
		return MPI_SUCCESS;
	}
	return attr_put(object, keyval, ATTR_C, v);
}

/* ---- at dup and free ---- */
static int attr_copy_one(void *from, void *to, const struct keyval *k, struct crcp_attrs *a)
{
	MPI_Fint ffrom, fkey = a->keyval, fin, fout = 0, fextra, flag = 0, ierr = MPI_SUCCESS;
	MPI_Aint ain, aout = 0, aextra;
	union crcp_attr_value out = { .aint = 0 };
	int cflag = 0, r;

	if (!k->copy.any)
		return MPI_SUCCESS;
	if (!(k->flags & KEYVAL_FORTRAN)) {
		r = k->copy.copy(from, a->keyval, k->extra.pointer, crcp_attr_as_c(a), &out.pointer, &cflag, to);
		return r != MPI_SUCCESS || !cflag ? r : attr_put(to, a->keyval, ATTR_C, out);
	}
	ffrom = crcp_fint_assign(from);
	if (k->flags & KEYVAL_FORTRAN_INT) {
		fin = (MPI_Fint)crcp_attr_as_aint(a);
		fextra = k->extra.fint;
		k->copy.copy_fint(&ffrom, &fkey, &fextra, &fin, &fout, &flag, &ierr);
		out.fint = fout;
		return ierr != MPI_SUCCESS || !flag ? ierr : attr_put(to, a->keyval, ATTR_FINT, out);
	}
	ain = crcp_attr_as_aint(a);
	aextra = k->extra.aint;
	k->copy.copy_aint(&ffrom, &fkey, &aextra, &ain, &aout, &flag, &ierr);
	out.aint = aout;
	return ierr != MPI_SUCCESS || !flag ? ierr : attr_put(to, a->keyval, ATTR_AINT, out);
}

/* Oldest first, as they were set. */
static int attr_copy_list(void *from, void *to, struct crcp_attrs *a)
{
	const struct keyval *k;
	int r;

	if (!a)
		return MPI_SUCCESS;
	r = attr_copy_list(from, to, a->next);
	if (r != MPI_SUCCESS)
		return r;
	k = keyval_of(a->keyval);
	return k ? attr_copy_one(from, to, k, a) : attr_put(to, a->keyval, a->language, a->value);
}

int crcp_attrs_copy(void *from, void *to)
{
	return attr_copy_list(from, to, *crcp_attrs_of(from));
}

int crcp_attrs_delete_all(void *object)
{
	struct crcp_attrs **list = crcp_attrs_of(object), *a;

	while ((a = *list)) {
		const struct keyval *k = keyval_of(a->keyval);
		int r = k ? attr_remove_call(object, k, a->keyval, a) : MPI_SUCCESS;

		if (r != MPI_SUCCESS)
			return r;
		crcp_call_begin();
		attr_unlink(object, a);
		crcp_call_end();
	}
	return MPI_SUCCESS;
}

/* As Open MPI frees a datatype or a window: the first function that fails is the last one called, and the object goes all the same. */
void crcp_attrs_end(void *object)
{
	struct crcp_attrs **list = crcp_attrs_of(object);

	if (crcp_attrs_delete_all(object) == MPI_SUCCESS)
		return;
	crcp_call_begin();
	while (*list)
		attr_unlink(object, *list);
	crcp_call_end();
}

/* The real library's predefined attributes of MPI_COMM_WORLD. */
void crcp_attr_init_predefined(void)
{
	static const int keys[] = { MPI_TAG_UB, MPI_HOST, MPI_IO, MPI_WTIME_IS_GLOBAL, MPI_APPNUM, MPI_LASTUSEDCODE, MPI_UNIVERSE_SIZE };
	MPI_Comm world = (MPI_Comm)crcp_real(MPI_COMM_WORLD);

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		int key = keys[i], flag = 0, *value = NULL;
		int r = CR_LOWER(crcp_lower.MPI_Comm_get_attr(world, key, &value, &flag));

		if (r == MPI_SUCCESS && flag && value)
			crcp_attr_set_int(MPI_COMM_WORLD, key, *value);
	}
}

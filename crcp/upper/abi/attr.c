/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keyvals and attributes.  They are wholly ours: the real objects carry none, and the program's copy and delete functions are called
 * here, on the program's handles.
 *
 * An attribute remembers the language it was set in, because MPI (section 17.2.7) defines what the other language sees: C sees the
 * address of what Fortran set, Fortran sees the pointer that C set as an integer.
 */
#include "crcp/upper/abi/objects.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_USER_KEYVAL 32
#define KEYVAL_FORTRAN 0x2 /* Open MPI's OMPI_KEYVAL_F77 */
#define KEYVAL_FORTRAN_INT 0x4

enum attr_language { ATTR_C, ATTR_INT, ATTR_FINT, ATTR_AINT };

union crcp_attr_fn {
	void *any;
	int (*copy)(void *from, int keyval, void *extra, void *in, void *out, int *flag, void *to);
	int (*remove)(void *object, int keyval, void *value, void *extra);
	void (*copy_fint)(MPI_Fint *from, MPI_Fint *keyval, MPI_Fint *extra, MPI_Fint *in, MPI_Fint *out, MPI_Fint *flag, MPI_Fint *ierr);
	void (*remove_fint)(MPI_Fint *object, MPI_Fint *keyval, MPI_Fint *value, MPI_Fint *extra, MPI_Fint *ierr);
	void (*copy_aint)(MPI_Fint *from, MPI_Fint *keyval, MPI_Aint *extra, MPI_Aint *in, MPI_Aint *out, MPI_Fint *flag, MPI_Fint *ierr);
	void (*remove_aint)(MPI_Fint *object, MPI_Fint *keyval, MPI_Aint *value, MPI_Aint *extra, MPI_Fint *ierr);
};

union value {
	void *pointer;
	int integer;
	MPI_Fint fint;
	MPI_Aint aint;
};

struct keyval {
	uint32_t kind; /* of object: CRCP_COMM, CRCP_DATATYPE or CRCP_WIN */
	int flags;
	int refs;  /* attributes, and one while the program has not freed it */
	int freed;
	union crcp_attr_fn copy, remove;
	union value extra;
	void *bindings; /* free()d with the keyval, for the C++ library */
};

struct crcp_attrs {
	struct crcp_attrs *next; /* newest first */
	int keyval;
	enum attr_language language;
	union value value;
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
	return key >= FIRST_USER_KEYVAL && key - FIRST_USER_KEYVAL < keyvals_n ? keyvals[key - FIRST_USER_KEYVAL] : NULL;
}

static void keyval_put(int key)
{
	struct keyval *k = keyval_of(key);

	if (!k || --k->refs > 0)
		return;
	keyvals[key - FIRST_USER_KEYVAL] = NULL;
	free(k->bindings);
	crcp_free(k);
}

static int keyval_create(uint32_t kind, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, union value extra, int flags, void *bindings)
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
		crcp_free(keyvals);
		keyvals = table;
		keyvals_n = n;
	}
	keyvals[i] = k;
	crcp_abi_unlock();
	*key = FIRST_USER_KEYVAL + i;
	return MPI_SUCCESS;
}

static int keyval_free(uint32_t kind, int *key)
{
	struct keyval *k = keyval_of(*key);

	if (!k || k->kind != kind || k->freed)
		return MPI_ERR_KEYVAL;
	k->freed = 1;
	keyval_put(*key);
	*key = MPI_KEYVAL_INVALID;
	return MPI_SUCCESS;
}

/* ---- what each language sees ---- */
static void *as_c(struct crcp_attrs *a)
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

static MPI_Aint as_aint(const struct crcp_attrs *a)
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
		return k->remove.remove(object, key, as_c(a), k->extra.pointer);
	fobject = crcp_fint_assign(object);
	if (k->flags & KEYVAL_FORTRAN_INT) {
		fvalue = (MPI_Fint)as_aint(a);
		fextra = k->extra.fint;
		k->remove.remove_fint(&fobject, &fkey, &fvalue, &fextra, &ierr);
	} else {
		avalue = as_aint(a);
		aextra = k->extra.aint;
		k->remove.remove_aint(&fobject, &fkey, &avalue, &aextra, &ierr);
	}
	return ierr;
}

static int attr_delete(void *object, int key)
{
	struct crcp_attrs **link = crcp_attrs_of(object), *a;
	const struct keyval *k = keyval_of(key);
	int r;

	if (!k || k->kind != ((struct crcp_handle *)object)->kind)
		return MPI_ERR_KEYVAL;
	a = attr_find(*link, key);
	if (!a)
		return MPI_ERR_KEYVAL;
	r = attr_remove_call(object, k, key, a);
	if (r != MPI_SUCCESS)
		return r;
	for (; *link && *link != a; link = &(*link)->next)
		;
	if (*link) {
		*link = a->next;
		crcp_free(a);
		keyval_put(key);
	}
	return MPI_SUCCESS;
}

static int attr_put(void *object, int key, enum attr_language language, union value value)
{
	struct crcp_attrs **list = crcp_attrs_of(object), *a;
	struct keyval *k = keyval_of(key);

	crcp_call_begin(); /* also from MPI_Comm_dup and its like, when their own call has ended */
	a = crcp_alloc(sizeof(*a));
	if (a) {
		*a = (struct crcp_attrs){ .next = *list, .keyval = key, .language = language, .value = value };
		*list = a;
		if (k)
			k->refs++;
	}
	crcp_call_end();
	return a ? MPI_SUCCESS : MPI_ERR_NO_MEM;
}

static int attr_set(void *object, int key, enum attr_language language, union value value)
{
	const struct keyval *k = keyval_of(key);
	int r;

	if (!k || k->kind != ((struct crcp_handle *)object)->kind)
		return MPI_ERR_KEYVAL;
	if (attr_find(*crcp_attrs_of(object), key)) {
		r = attr_delete(object, key);
		if (r != MPI_SUCCESS)
			return r;
	}
	return attr_put(object, key, language, value);
}

/* @object's attribute, NULL when it has none; *ret_valid false when there is no such keyval. */
static struct crcp_attrs *attr_get(struct crcp_attrs *list, int key, bool *ret_valid)
{
	*ret_valid = (key >= 0 && key <= MPI_WIN_MODEL) || keyval_of(key);
	return *ret_valid ? attr_find(list, key) : NULL;
}

int crcp_attr_set_int(void *object, int keyval, int value)
{
	struct crcp_attrs *a = attr_find(*crcp_attrs_of(object), keyval);
	union value v = { .aint = 0 };

	v.integer = value;
	if (a) {
		a->value = v;
		return MPI_SUCCESS;
	}
	return attr_put(object, keyval, ATTR_INT, v);
}

int crcp_attr_set_aint(void *object, int keyval, MPI_Aint value)
{
	return attr_put(object, keyval, ATTR_AINT, (union value){ .aint = value });
}

int crcp_attr_set_pointer(void *object, int keyval, void *value)
{
	struct crcp_attrs *a = attr_find(*crcp_attrs_of(object), keyval);
	union value v = { .pointer = value };

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
	union value out = { .aint = 0 };
	int cflag = 0, r;

	if (!k->copy.any)
		return MPI_SUCCESS;
	if (!(k->flags & KEYVAL_FORTRAN)) {
		r = k->copy.copy(from, a->keyval, k->extra.pointer, as_c(a), &out.pointer, &cflag, to);
		return r != MPI_SUCCESS || !cflag ? r : attr_put(to, a->keyval, ATTR_C, out);
	}
	ffrom = crcp_fint_assign(from);
	if (k->flags & KEYVAL_FORTRAN_INT) {
		fin = (MPI_Fint)as_aint(a);
		fextra = k->extra.fint;
		k->copy.copy_fint(&ffrom, &fkey, &fextra, &fin, &fout, &flag, &ierr);
		out.fint = fout;
		return ierr != MPI_SUCCESS || !flag ? ierr : attr_put(to, a->keyval, ATTR_FINT, out);
	}
	ain = as_aint(a);
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
		/* the function may have changed the list */
		for (struct crcp_attrs **link = list; *link; link = &(*link)->next)
			if (*link == a) {
				*link = a->next;
				keyval_put(a->keyval);
				crcp_free(a);
				break;
			}
		crcp_call_end();
	}
	return MPI_SUCCESS;
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

/* ---- the calls ---- */
static int judge(struct crcp_comm *c, int r, const char *function)
{
	return r == MPI_SUCCESS ? r : crcp_raise(c, r, function);
}

static int set_c(void *object, int key, void *value, const char *function)
{
	struct crcp_comm *c;
	int r = MPI_ERR_ARG;

	if (!crcp_is_up() || !crcp_is_live(object))
		return crcp_raise(NULL, crcp_is_live(object) ? MPI_ERR_OTHER : MPI_ERR_COMM, function);
	c = ((struct crcp_handle *)object)->kind == CRCP_COMM ? object : NULL;
	crcp_call_begin();
	r = attr_set(object, key, ATTR_C, (union value){ .pointer = value });
	crcp_call_end();
	return judge(c, r, function);
}

static int get_c(void *object, int key, void *value, int *flag, const char *function)
{
	struct crcp_attrs *a;
	bool valid;

	if (!crcp_is_live(object))
		return crcp_raise(NULL, MPI_ERR_COMM, function);
	a = attr_get(*crcp_attrs_of(object), key, &valid);
	if (!valid)
		return crcp_raise(((struct crcp_handle *)object)->kind == CRCP_COMM ? object : NULL, MPI_ERR_KEYVAL, function);
	*flag = a != NULL;
	if (a)
		*(void **)value = as_c(a);
	return MPI_SUCCESS;
}

static int delete_c(void *object, int key, const char *function)
{
	int r;

	if (!crcp_is_live(object))
		return crcp_raise(NULL, MPI_ERR_COMM, function);
	crcp_call_begin();
	r = attr_delete(object, key);
	crcp_call_end();
	return judge(((struct crcp_handle *)object)->kind == CRCP_COMM ? object : NULL, r, function);
}

static int create_c(uint32_t kind, void *copy, void *removal, int *key, void *extra, const char *function)
{
	int r;

	crcp_call_begin();
	r = keyval_create(kind, (union crcp_attr_fn){ .any = copy }, (union crcp_attr_fn){ .any = removal }, key, (union value){ .pointer = extra }, 0, NULL);
	crcp_call_end();
	return judge(NULL, r, function);
}

static int free_c(uint32_t kind, int *key, const char *function)
{
	int r;

	crcp_call_begin();
	r = keyval_free(kind, key);
	crcp_call_end();
	return judge(NULL, r, function);
}

#define ATTRIBUTE_CALLS(noun, type, kind, copy_fn, delete_fn)                                                  \
	CRCP_API(int, MPI_##noun##_create_keyval, (copy_fn * copy, delete_fn * removal, int *key, void *extra)) \
	{                                                                                                      \
		return create_c(kind, (void *)copy, (void *)removal, key, extra, "MPI_" #noun "_create_keyval"); \
	}                                                                                                      \
	CRCP_API(int, MPI_##noun##_free_keyval, (int *key))                                                    \
	{                                                                                                      \
		return free_c(kind, key, "MPI_" #noun "_free_keyval");                                         \
	}                                                                                                      \
	CRCP_API(int, MPI_##noun##_set_attr, (type object, int key, void *value))                              \
	{                                                                                                      \
		return set_c((void *)object, key, value, "MPI_" #noun "_set_attr");                            \
	}                                                                                                      \
	CRCP_API(int, MPI_##noun##_get_attr, (type object, int key, void *value, int *flag))                   \
	{                                                                                                      \
		return get_c((void *)object, key, value, flag, "MPI_" #noun "_get_attr");                      \
	}                                                                                                      \
	CRCP_API(int, MPI_##noun##_delete_attr, (type object, int key))                                        \
	{                                                                                                      \
		return delete_c((void *)object, key, "MPI_" #noun "_delete_attr");                             \
	}

ATTRIBUTE_CALLS(Comm, MPI_Comm, CRCP_COMM, MPI_Comm_copy_attr_function, MPI_Comm_delete_attr_function)
ATTRIBUTE_CALLS(Type, MPI_Datatype, CRCP_DATATYPE, MPI_Type_copy_attr_function, MPI_Type_delete_attr_function)
ATTRIBUTE_CALLS(Win, MPI_Win, CRCP_WIN, MPI_Win_copy_attr_function, MPI_Win_delete_attr_function)

CRCP_API(int, MPI_Keyval_create, (MPI_Copy_function * copy, MPI_Delete_function *removal, int *key, void *extra))
{
	return create_c(CRCP_COMM, (void *)copy, (void *)removal, key, extra, "MPI_Keyval_create");
}

CRCP_API(int, MPI_Keyval_free, (int *key))
{
	return free_c(CRCP_COMM, key, "MPI_Keyval_free");
}

CRCP_API(int, MPI_Attr_put, (MPI_Comm comm, int key, void *value))
{
	return set_c((void *)comm, key, value, "MPI_Attr_put");
}

CRCP_API(int, MPI_Attr_get, (MPI_Comm comm, int key, void *value, int *flag))
{
	return get_c((void *)comm, key, value, flag, "MPI_Attr_get");
}

CRCP_API(int, MPI_Attr_delete, (MPI_Comm comm, int key))
{
	return delete_c((void *)comm, key, "MPI_Attr_delete");
}

/* ---- what Open MPI's Fortran and C++ libraries call; they raise the error themselves ---- */
enum ompi_attr_type { OMPI_COMM_ATTR = 1, OMPI_TYPE_ATTR = 2, OMPI_WIN_ATTR = 3 };

static uint32_t kind_of(int type)
{
	return type == OMPI_COMM_ATTR ? CRCP_COMM : type == OMPI_TYPE_ATTR ? CRCP_DATATYPE : CRCP_WIN;
}

CRCP_EXPORT int ompi_attr_create_keyval(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, void *extra, int flags, void *bindings);
CRCP_EXPORT int ompi_attr_create_keyval_fint(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, MPI_Fint extra, int flags,
					     void *bindings);
CRCP_EXPORT int ompi_attr_create_keyval_aint(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, MPI_Aint extra, int flags,
					     void *bindings);
CRCP_EXPORT int ompi_attr_set_fint(int type, void *object, struct crcp_attrs **list, int key, MPI_Fint value, bool predefined);
CRCP_EXPORT int ompi_attr_set_aint(int type, void *object, struct crcp_attrs **list, int key, MPI_Aint value, bool predefined);
CRCP_EXPORT int ompi_attr_get_fint(struct crcp_attrs *list, int key, MPI_Fint *value, int *flag);
CRCP_EXPORT int ompi_attr_get_aint(struct crcp_attrs *list, int key, MPI_Aint *value, int *flag);

static int create_ompi(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, union value extra, int flags, void *bindings)
{
	int r;

	crcp_call_begin();
	r = keyval_create(kind_of(type), copy, removal, key, extra, flags, bindings);
	crcp_call_end();
	return r;
}

int ompi_attr_create_keyval(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, void *extra, int flags, void *bindings)
{
	return create_ompi(type, copy, removal, key, (union value){ .pointer = extra }, flags, bindings);
}

int ompi_attr_create_keyval_fint(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, MPI_Fint extra, int flags, void *bindings)
{
	return create_ompi(type, copy, removal, key, (union value){ .fint = extra }, flags | KEYVAL_FORTRAN_INT, bindings);
}

int ompi_attr_create_keyval_aint(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, MPI_Aint extra, int flags, void *bindings)
{
	return create_ompi(type, copy, removal, key, (union value){ .aint = extra }, flags, bindings);
}

static int set_ompi(void *object, int key, enum attr_language language, union value value)
{
	int r;

	if (!crcp_is_live(object))
		return MPI_ERR_ARG;
	crcp_call_begin();
	r = attr_set(object, key, language, value);
	crcp_call_end();
	return r;
}

int ompi_attr_set_fint(int type, void *object, struct crcp_attrs **list, int key, MPI_Fint value, bool predefined)
{
	(void)type, (void)list, (void)predefined;
	return set_ompi(object, key, ATTR_FINT, (union value){ .fint = value });
}

int ompi_attr_set_aint(int type, void *object, struct crcp_attrs **list, int key, MPI_Aint value, bool predefined)
{
	(void)type, (void)list, (void)predefined;
	return set_ompi(object, key, ATTR_AINT, (union value){ .aint = value });
}

int ompi_attr_get_aint(struct crcp_attrs *list, int key, MPI_Aint *value, int *flag)
{
	bool valid;
	const struct crcp_attrs *a = attr_get(list, key, &valid);

	*flag = a != NULL;
	if (a)
		*value = as_aint(a);
	return valid ? MPI_SUCCESS : MPI_KEYVAL_INVALID;
}

int ompi_attr_get_fint(struct crcp_attrs *list, int key, MPI_Fint *value, int *flag)
{
	MPI_Aint wide = 0;
	int r = ompi_attr_get_aint(list, key, &wide, flag);

	if (*flag)
		*value = (MPI_Fint)wide;
	return r;
}

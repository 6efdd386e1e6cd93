/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attribute calls of C, and the functions behind those of Fortran and C++.
 */
#include "crcp/upper/abi/attr.h"

static int judge(struct crcp_comm *c, int r, const char *function)
{
	return r == MPI_SUCCESS ? r : crcp_error(c, r, function);
}

/* What is wrong with an object that is not live, or with the library's state. */
static int bad(const void *object)
{
	if (crcp_is_live(object))
		return MPI_ERR_OTHER;
	if (!object)
		return MPI_ERR_COMM;
	switch (((const struct crcp_handle *)object)->kind) {
	case CRCP_DATATYPE:
		return MPI_ERR_TYPE;
	case CRCP_WIN:
		return MPI_ERR_WIN;
	default:
		return MPI_ERR_COMM;
	}
}

static int set_c(void *object, int key, void *value, const char *function)
{
	struct crcp_comm *c;
	int r = MPI_ERR_ARG;

	if (!crcp_is_up() || !crcp_is_live(object))
		return crcp_error(NULL, bad(object), function);
	c = ((struct crcp_handle *)object)->kind == CRCP_COMM ? object : NULL;
	crcp_call_begin();
	r = crcp_attr_set(object, key, ATTR_C, (union crcp_attr_value){ .pointer = value });
	crcp_call_end();
	return judge(c, r, function);
}

static int get_c(void *object, int key, void *value, int *flag, const char *function)
{
	struct crcp_attrs *a;
	bool valid;

	if (!crcp_is_live(object))
		return crcp_error(NULL, bad(object), function);
	if (!value || !flag)
		return crcp_error(NULL, MPI_ERR_ARG, function);
	crcp_call_begin();
	a = crcp_attr_get(crcp_attrs_of(object), key, &valid);
	if (a)
		*(void **)value = crcp_attr_as_c(a);
	crcp_call_end();
	if (!valid)
		return crcp_error(((struct crcp_handle *)object)->kind == CRCP_COMM ? object : NULL,
				  key == MPI_KEYVAL_INVALID ? MPI_ERR_KEYVAL : MPI_ERR_OTHER, function);
	*flag = a != NULL;
	return MPI_SUCCESS;
}

static int delete_c(void *object, int key, const char *function)
{
	int r;

	if (!crcp_is_live(object))
		return crcp_error(NULL, bad(object), function);
	crcp_call_begin();
	r = crcp_attr_delete(object, key);
	crcp_call_end();
	return judge(((struct crcp_handle *)object)->kind == CRCP_COMM ? object : NULL, r, function);
}

static int create_c(uint32_t kind, void *copy, void *removal, int *key, void *extra, const char *function)
{
	int r;

	crcp_call_begin();
	r = crcp_keyval_create(kind, (union crcp_attr_fn){ .any = copy }, (union crcp_attr_fn){ .any = removal }, key, (union crcp_attr_value){ .pointer = extra }, 0, NULL);
	crcp_call_end();
	return judge(NULL, r, function);
}

static int free_c(uint32_t kind, int *key, const char *function)
{
	int r;

	if (!key)
		return crcp_error(NULL, MPI_ERR_ARG, function);
	crcp_call_begin();
	r = crcp_keyval_free(kind, key);
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

static int create_ompi(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, union crcp_attr_value extra, int flags, void *bindings)
{
	int r;

	crcp_call_begin();
	r = crcp_keyval_create(kind_of(type), copy, removal, key, extra, flags, bindings);
	crcp_call_end();
	return r;
}

int ompi_attr_create_keyval(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, void *extra, int flags, void *bindings)
{
	return create_ompi(type, copy, removal, key, (union crcp_attr_value){ .pointer = extra }, flags, bindings);
}

int ompi_attr_create_keyval_fint(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, MPI_Fint extra, int flags, void *bindings)
{
	return create_ompi(type, copy, removal, key, (union crcp_attr_value){ .fint = extra }, flags | KEYVAL_FORTRAN_INT, bindings);
}

int ompi_attr_create_keyval_aint(int type, union crcp_attr_fn copy, union crcp_attr_fn removal, int *key, MPI_Aint extra, int flags, void *bindings)
{
	return create_ompi(type, copy, removal, key, (union crcp_attr_value){ .aint = extra }, flags, bindings);
}

static int set_ompi(void *object, int key, enum crcp_attr_language language, union crcp_attr_value value)
{
	int r;

	if (!crcp_is_live(object))
		return MPI_ERR_ARG;
	crcp_call_begin();
	r = crcp_attr_set(object, key, language, value);
	crcp_call_end();
	return r;
}

int ompi_attr_set_fint(int type, void *object, struct crcp_attrs **list, int key, MPI_Fint value, bool predefined)
{
	(void)type, (void)list, (void)predefined;
	return set_ompi(object, key, ATTR_FINT, (union crcp_attr_value){ .fint = value });
}

int ompi_attr_set_aint(int type, void *object, struct crcp_attrs **list, int key, MPI_Aint value, bool predefined)
{
	(void)type, (void)list, (void)predefined;
	return set_ompi(object, key, ATTR_AINT, (union crcp_attr_value){ .aint = value });
}

int ompi_attr_get_aint(struct crcp_attrs *list, int key, MPI_Aint *value, int *flag)
{
	const struct crcp_attrs *a;
	bool valid;

	crcp_call_begin();
	a = crcp_attr_get(&list, key, &valid);
	*flag = a != NULL;
	if (a)
		*value = crcp_attr_as_aint(a);
	crcp_call_end();
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

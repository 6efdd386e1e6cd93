/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MPI_T where more than passing on is needed: datatypes come back as the program's handles, objects go down as real ones, and what the
 * library gives out gets a record (tool_handles.c), so that it survives.
 */
#include "crcp/upper/abi/tool.h"

static int inits, level;

/* May be called before MPI_Init: the table real -> record is filled then, or here. */
static MPI_Datatype type_of(MPI_Datatype real)
{
	void *found;

	if (real == NULL)
		return NULL;
	found = crcp_predefined_find(CRCP_DATATYPE, real);
	return found ? (MPI_Datatype)found : MPI_DATATYPE_NULL;
}

CRCP_API(int, MPI_T_init_thread, (int required, int *provided))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_init_thread(required, provided));
	if (r == MPI_SUCCESS) {
		__atomic_add_fetch(&inits, 1, __ATOMIC_RELAXED);
		level = required;
	}
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_finalize, (void))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_finalize());
	if (r == MPI_SUCCESS)
		__atomic_sub_fetch(&inits, 1, __ATOMIC_RELAXED);
	crcp_call_end();
	return r;
}

void crcp_tools_reinit(void)
{
	int provided = 0, *p = &provided;

	for (int i = 0; i < inits; i++)
		CR_LOWER(crcp_lower.MPI_T_init_thread(level, p));
	if (inits > 0)
		crcp_tools_rewrite();
}

/* An enumeration of the library, as the program sees it. */
static MPI_T_enum enum_of(MPI_T_enum real, int index, int var_class)
{
	return real ? (MPI_T_enum)(void *)crcp_tool_adopt(CRCP_TOOL_ENUM, real, index, var_class, NULL) : MPI_T_ENUM_NULL;
}

CRCP_API(int, MPI_T_cvar_get_info,
	 (int index, char *name, int *name_len, int *verbosity, MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len, int *bind,
	  int *scope))
{
	MPI_Datatype real = NULL, *place = datatype ? &real : NULL;
	MPI_T_enum real_enum = NULL, *enum_place = enumtype ? &real_enum : NULL;
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_cvar_get_info(index, name, name_len, verbosity, place, enum_place, desc, desc_len, bind, scope));
	if (r == MPI_SUCCESS && datatype)
		*datatype = type_of(real);
	if (r == MPI_SUCCESS && enumtype)
		*enumtype = enum_of(real_enum, index, -1);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_get_info,
	 (int index, char *name, int *name_len, int *verbosity, int *var_class, MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len,
	  int *bind, int *readonly, int *continuous, int *atomic))
{
	MPI_Datatype real = NULL, *place = datatype ? &real : NULL;
	MPI_T_enum real_enum = NULL, *enum_place = enumtype ? &real_enum : NULL;
	int r, class = 0, *class_place = &class;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_pvar_get_info(index, name, name_len, verbosity, class_place, place, enum_place, desc, desc_len, bind, readonly,
						    continuous, atomic));
	if (r == MPI_SUCCESS && datatype)
		*datatype = type_of(real);
	if (r == MPI_SUCCESS && var_class)
		*var_class = class;
	if (r == MPI_SUCCESS && enumtype)
		*enumtype = enum_of(real_enum, index, class);
	crcp_call_end();
	return r;
}

/* @object points to a handle of the kind that the variable is bound to; 0: to none. */
static bool is_bound_below(int bind)
{
	return bind != MPI_T_BIND_NO_OBJECT;
}

CRCP_API(int, MPI_T_cvar_handle_alloc, (int index, void *object, MPI_T_cvar_handle *handle, int *count))
{
	void *real = NULL, *place = object;
	int bind = MPI_T_BIND_NO_OBJECT, *b = &bind, r;
	MPI_T_cvar_handle made = NULL;
	struct crcp_tool *t = NULL;

	crcp_call_begin();
	CR_LOWER(crcp_lower.MPI_T_cvar_get_info(index, NULL, NULL, NULL, NULL, NULL, NULL, NULL, b, NULL));
	if (is_bound_below(bind) && object) {
		real = CRCP_REAL(void *, *(void **)object);
		place = &real;
	}
	r = CR_LOWER(crcp_lower.MPI_T_cvar_handle_alloc(index, place, handle ? &made : NULL, count));
	if (r == MPI_SUCCESS) {
		t = crcp_tool_adopt(CRCP_TOOL_CVAR, made, index, -1, place == &real ? *(void **)object : NULL);
		r = t ? MPI_SUCCESS : MPI_T_ERR_MEMORY;
	}
	if (t) {
		t->bytes *= *count;
		*handle = (MPI_T_cvar_handle)(void *)t;
	}
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_cvar_handle_free, (MPI_T_cvar_handle * handle))
{
	struct crcp_tool *t = handle ? (struct crcp_tool *)(void *)*handle : NULL;
	MPI_T_cvar_handle real;
	int r;

	crcp_call_begin();
	real = t ? (MPI_T_cvar_handle)t->real : NULL;
	r = CR_LOWER(crcp_lower.MPI_T_cvar_handle_free(handle ? &real : NULL));
	if (r == MPI_SUCCESS) {
		crcp_tool_drop(t);
		*handle = MPI_T_CVAR_HANDLE_NULL;
	}
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_cvar_write, (MPI_T_cvar_handle handle, const void *value))
{
	MPI_T_cvar_handle real;
	int r;

	crcp_call_begin();
	real = (MPI_T_cvar_handle)crcp_tool_real((void *)handle);
	r = CR_LOWER(crcp_lower.MPI_T_cvar_write(real, value));
	if (r == MPI_SUCCESS && handle)
		crcp_tool_keep_value((struct crcp_tool *)(void *)handle, value);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_session_create, (MPI_T_pvar_session * session))
{
	MPI_T_pvar_session real = NULL;
	struct crcp_tool *t = NULL;
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_pvar_session_create(session ? &real : NULL));
	if (r == MPI_SUCCESS) {
		t = crcp_tool_adopt(CRCP_TOOL_SESSION, real, 0, -1, NULL);
		r = t ? MPI_SUCCESS : MPI_T_ERR_MEMORY;
	}
	if (t)
		*session = (MPI_T_pvar_session)(void *)t;
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_session_free, (MPI_T_pvar_session * session))
{
	struct crcp_tool *t = session ? (struct crcp_tool *)(void *)*session : NULL;
	MPI_T_pvar_session real;
	int r;

	crcp_call_begin();
	real = t ? (MPI_T_pvar_session)t->real : NULL;
	r = CR_LOWER(crcp_lower.MPI_T_pvar_session_free(session ? &real : NULL));
	if (r == MPI_SUCCESS) {
		crcp_tool_drop_session(t);
		*session = MPI_T_PVAR_SESSION_NULL;
	}
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_handle_alloc, (MPI_T_pvar_session session, int index, void *object, MPI_T_pvar_handle *handle, int *count))
{
	void *real = NULL, *place = object;
	int bind = MPI_T_BIND_NO_OBJECT, class = 0, *b = &bind, *c = &class, r;
	MPI_T_pvar_session real_session;
	MPI_T_pvar_handle made = NULL;
	struct crcp_tool *t = NULL;

	crcp_call_begin();
	real_session = (MPI_T_pvar_session)crcp_tool_real((void *)session);
	CR_LOWER(crcp_lower.MPI_T_pvar_get_info(index, NULL, NULL, NULL, c, NULL, NULL, NULL, NULL, b, NULL, NULL, NULL));
	if (is_bound_below(bind) && object) {
		real = CRCP_REAL(void *, *(void **)object);
		place = &real;
	}
	r = CR_LOWER(crcp_lower.MPI_T_pvar_handle_alloc(real_session, index, place, handle ? &made : NULL, count));
	if (r == MPI_SUCCESS) {
		t = crcp_tool_adopt(CRCP_TOOL_PVAR, made, index, class, place == &real ? *(void **)object : NULL);
		r = t ? MPI_SUCCESS : MPI_T_ERR_MEMORY;
	}
	if (t) {
		t->session = (struct crcp_tool *)(void *)session;
		*handle = (MPI_T_pvar_handle)(void *)t;
	}
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_handle_free, (MPI_T_pvar_session session, MPI_T_pvar_handle *handle))
{
	struct crcp_tool *t = handle && *handle != MPI_T_PVAR_ALL_HANDLES ? (struct crcp_tool *)(void *)*handle : NULL;
	MPI_T_pvar_session real_session;
	MPI_T_pvar_handle real;
	int r;

	crcp_call_begin();
	real = handle ? (MPI_T_pvar_handle)crcp_tool_real((void *)*handle) : NULL;
	real_session = (MPI_T_pvar_session)crcp_tool_real((void *)session);
	r = CR_LOWER(crcp_lower.MPI_T_pvar_handle_free(real_session, handle ? &real : NULL));
	if (r == MPI_SUCCESS) {
		crcp_tool_drop(t);
		*handle = MPI_T_PVAR_HANDLE_NULL;
	}
	crcp_call_end();
	return r;
}

#define START_STOP(what, on)                                                                                     \
	CRCP_API(int, MPI_T_pvar_##what, (MPI_T_pvar_session session, MPI_T_pvar_handle handle))                 \
	{                                                                                                        \
		MPI_T_pvar_session real_session;                                                                 \
		MPI_T_pvar_handle real;                                                                          \
		int r;                                                                                           \
                                                                                                                 \
		crcp_call_begin();                                                                               \
		real_session = (MPI_T_pvar_session)crcp_tool_real((void *)session);                              \
		real = (MPI_T_pvar_handle)crcp_tool_real((void *)handle);                                        \
		r = CR_LOWER(crcp_lower.MPI_T_pvar_##what(real_session, real));                                  \
		if (r == MPI_SUCCESS)                                                                            \
			crcp_tool_note_started((struct crcp_tool *)(void *)session,                              \
					       handle == MPI_T_PVAR_ALL_HANDLES ? NULL : (struct crcp_tool *)(void *)handle, on); \
		crcp_call_end();                                                                                 \
		return r;                                                                                        \
	}
START_STOP(start, 1)
START_STOP(stop, 0)

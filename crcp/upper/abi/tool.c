/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MPI_T where more than passing on is needed: datatypes come back as the program's handles, objects go down as real ones, and a process
 * that holds a session or a handle cannot be checkpointed.
 */
#include "crcp/upper/abi/objects.h"

static const char nocr_text[] = "a handle or session of the MPI tool information interface (MPI_T) is open (not saved yet)";

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
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_finalize, (void))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_finalize());
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_cvar_get_info,
	 (int index, char *name, int *name_len, int *verbosity, MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len, int *bind,
	  int *scope))
{
	MPI_Datatype real = NULL, *place = datatype ? &real : NULL;
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_cvar_get_info(index, name, name_len, verbosity, place, enumtype, desc, desc_len, bind, scope));
	if (r == MPI_SUCCESS && datatype)
		*datatype = type_of(real);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_get_info,
	 (int index, char *name, int *name_len, int *verbosity, int *var_class, MPI_Datatype *datatype, MPI_T_enum *enumtype, char *desc, int *desc_len,
	  int *bind, int *readonly, int *continuous, int *atomic))
{
	MPI_Datatype real = NULL, *place = datatype ? &real : NULL;
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_pvar_get_info(index, name, name_len, verbosity, var_class, place, enumtype, desc, desc_len, bind, readonly,
						    continuous, atomic));
	if (r == MPI_SUCCESS && datatype)
		*datatype = type_of(real);
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
	int bind = MPI_T_BIND_NO_OBJECT, r;

	crcp_call_begin();
	crcp_nocr_add(CRCP_NOCR_TOOL, nocr_text);
	CR_LOWER(crcp_lower.MPI_T_cvar_get_info(index, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &bind, NULL));
	if (is_bound_below(bind) && object) {
		real = CRCP_REAL(void *, *(void **)object);
		place = &real;
	}
	r = CR_LOWER(crcp_lower.MPI_T_cvar_handle_alloc(index, place, handle, count));
	if (r != MPI_SUCCESS)
		crcp_nocr_drop(CRCP_NOCR_TOOL);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_cvar_handle_free, (MPI_T_cvar_handle * handle))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_cvar_handle_free(handle));
	if (r == MPI_SUCCESS)
		crcp_nocr_drop(CRCP_NOCR_TOOL);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_session_create, (MPI_T_pvar_session * session))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_pvar_session_create(session));
	if (r == MPI_SUCCESS)
		crcp_nocr_add(CRCP_NOCR_TOOL, nocr_text);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_session_free, (MPI_T_pvar_session * session))
{
	int r;

	crcp_call_begin();
	r = CR_LOWER(crcp_lower.MPI_T_pvar_session_free(session));
	if (r == MPI_SUCCESS)
		crcp_nocr_drop(CRCP_NOCR_TOOL);
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_T_pvar_handle_alloc, (MPI_T_pvar_session session, int index, void *object, MPI_T_pvar_handle *handle, int *count))
{
	void *real = NULL, *place = object;
	int bind = MPI_T_BIND_NO_OBJECT, r;

	crcp_call_begin();
	CR_LOWER(crcp_lower.MPI_T_pvar_get_info(index, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &bind, NULL, NULL, NULL));
	if (is_bound_below(bind) && object) {
		real = CRCP_REAL(void *, *(void **)object);
		place = &real;
	}
	r = CR_LOWER(crcp_lower.MPI_T_pvar_handle_alloc(session, index, place, handle, count));
	crcp_call_end();
	return r;
}

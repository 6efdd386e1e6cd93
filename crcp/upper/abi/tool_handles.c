/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Handles of the tool information interface. After a restart variables are found again by name; control variables get the values that the
 * program wrote; performance variables are the new library's and count from its start.
 */
#include "crcp/upper/abi/tool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct crcp_tool *first, *last;

struct written {
	struct written *next;
	char name[CRCP_TOOL_NAME_BYTES];
	int bytes;
	char value[];
};
static struct written *written;

void *crcp_tool_real(void *handle)
{
	if (!handle || handle == (void *)MPI_T_PVAR_ALL_HANDLES)
		return handle;
	return ((struct crcp_tool *)handle)->real;
}

/* An enumeration has one record, and it is on the list for good. Under the lock. */
static struct crcp_tool *known_enum(const void *real)
{
	struct crcp_tool *t;

	for (t = first; t && (t->kind != CRCP_TOOL_ENUM || t->real != real); t = t->next)
		;
	return t;
}

/* The record for @t: @t, or the one that another thread has made meanwhile. */
static struct crcp_tool *link_last(struct crcp_tool *t)
{
	struct crcp_tool *known;

	crcp_abi_lock();
	known = t->kind == CRCP_TOOL_ENUM ? known_enum(t->real) : NULL;
	if (!known) {
		t->prev = last;
		if (last)
			last->next = t;
		else
			first = t;
		last = t;
	}
	crcp_abi_unlock();
	if (!known)
		return t;
	crcp_free(t);
	return known;
}

/* Under the lock. */
static void unlink_tool(struct crcp_tool *t)
{
	if (t->prev)
		t->prev->next = t->next;
	else
		first = t->next;
	if (t->next)
		t->next->prev = t->prev;
	else
		last = t->prev;
}

void crcp_tool_drop(struct crcp_tool *t)
{
	if (!t)
		return;
	crcp_abi_lock();
	unlink_tool(t);
	crcp_abi_unlock();
	crcp_free(t);
}

void crcp_tool_drop_session(struct crcp_tool *session)
{
	struct crcp_tool *next;

	crcp_abi_lock();
	for (struct crcp_tool *t = first; t; t = next) {
		next = t->next;
		if (t->session != session)
			continue;
		unlink_tool(t);
		crcp_free(t);
	}
	crcp_abi_unlock();
	crcp_tool_drop(session);
}

static int element_bytes(MPI_Datatype real, int *ret_is_text)
{
	static const struct {
		MPI_Datatype type;
		int bytes;
	} known[] = { { MPI_CHAR, 1 }, { MPI_C_BOOL, 1 }, { MPI_INT, 4 }, { MPI_UNSIGNED, 4 }, { MPI_LONG, 8 }, { MPI_UNSIGNED_LONG, 8 },
		      { MPI_UNSIGNED_LONG_LONG, 8 }, { MPI_COUNT, 8 }, { MPI_DOUBLE, 8 } };

	*ret_is_text = real && real == crcp_real(MPI_CHAR);
	for (size_t i = 0; real && i < sizeof(known) / sizeof(known[0]); i++)
		if (real == crcp_real(known[i].type))
			return known[i].bytes;
	return 0;
}

/* Name, type and enumeration of a variable. */
static int describe(int index, int is_pvar, char *name, MPI_Datatype *type, MPI_T_enum *values)
{
	int length = CRCP_TOOL_NAME_BYTES, *l = &length;

	*values = NULL;
	if (is_pvar)
		return CR_LOWER(crcp_lower.MPI_T_pvar_get_info(index, name, l, NULL, NULL, type, values, NULL, NULL, NULL, NULL, NULL, NULL));
	return CR_LOWER(crcp_lower.MPI_T_cvar_get_info(index, name, l, NULL, type, values, NULL, NULL, NULL, NULL));
}

struct crcp_tool *crcp_tool_adopt(enum crcp_tool_kind kind, void *real, int index, int var_class, void *object)
{
	MPI_Datatype type = NULL;
	struct crcp_tool *t;
	MPI_T_enum values;

	if (kind == CRCP_TOOL_ENUM) {
		crcp_abi_lock();
		t = known_enum(real);
		crcp_abi_unlock();
		if (t)
			return t;
	}
	t = crcp_alloc(sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct crcp_tool){ .real = real, .kind = kind, .var_class = var_class, .object = object };
	if (kind != CRCP_TOOL_SESSION)
		describe(index, var_class >= 0, t->name, &type, &values);
	t->bytes = element_bytes(type, &t->is_text);
	return link_last(t);
}

void crcp_tool_keep_value(const struct crcp_tool *t, const void *value)
{
	int bytes = t->is_text ? (int)strlen(value) + 1 : t->bytes;
	struct written *w, **link;

	if (bytes == 0)
		return;
	w = crcp_alloc(sizeof(*w) + (size_t)bytes);
	if (!w)
		return;
	memcpy(w->name, t->name, sizeof(w->name));
	w->bytes = bytes;
	memcpy(w->value, value, (size_t)bytes);
	crcp_abi_lock();
	for (link = &written; *link && strcmp((*link)->name, w->name) != 0; link = &(*link)->next)
		;
	if (*link) {
		struct written *old = *link;

		w->next = old->next;
		*link = w;
		crcp_free(old);
	} else {
		*link = w;
	}
	crcp_abi_unlock();
}

void crcp_tool_note_started(struct crcp_tool *session, struct crcp_tool *t, int started)
{
	if (t) {
		t->started = started;
		return;
	}
	crcp_abi_lock();
	for (t = first; t; t = t->next)
		if (t->kind == CRCP_TOOL_PVAR && t->session == session)
			t->started = started;
	crcp_abi_unlock();
}

/* ---- after a restart ---- */
void crcp_tools_rewrite(void)
{
	for (struct written *w = written; w; w = w->next) {
		MPI_T_cvar_handle handle = NULL;
		int index = 0, count = 0, *i = &index, *n = &count;
		const char *name = w->name;
		void *value = w->value;

		/* What may not be written any more had its effect on the program before. */
		if (CR_LOWER(crcp_lower.MPI_T_cvar_get_index(name, i)) != MPI_SUCCESS ||
		    CR_LOWER(crcp_lower.MPI_T_cvar_handle_alloc(index, NULL, &handle, n)) != MPI_SUCCESS)
			continue;
		CR_LOWER(crcp_lower.MPI_T_cvar_write(handle, value));
		CR_LOWER(crcp_lower.MPI_T_cvar_handle_free(&handle));
	}
}

static int find(const struct crcp_tool *t, int *index)
{
	const char *name = t->name;
	int var_class = t->var_class;

	if (var_class >= 0)
		return CR_LOWER(crcp_lower.MPI_T_pvar_get_index(name, var_class, index));
	return CR_LOWER(crcp_lower.MPI_T_cvar_get_index(name, index));
}

static int rebuild(struct crcp_tool *t)
{
	void *object = t->object ? crcp_real(t->object) : NULL, *place = t->object ? &object : NULL;
	MPI_T_pvar_session session = t->session ? (MPI_T_pvar_session)t->session->real : NULL;
	MPI_T_pvar_handle pvar = NULL;
	MPI_T_cvar_handle cvar = NULL;
	MPI_T_enum values = NULL;
	MPI_Datatype type;
	int index = 0, count = 0, *n = &count, r;
	char name[CRCP_TOOL_NAME_BYTES];

	if (t->kind == CRCP_TOOL_SESSION) {
		r = CR_LOWER(crcp_lower.MPI_T_pvar_session_create(&session));
		t->real = session;
		return r;
	}
	r = find(t, &index);
	if (r != MPI_SUCCESS)
		return r;
	switch (t->kind) {
	case CRCP_TOOL_CVAR:
		r = CR_LOWER(crcp_lower.MPI_T_cvar_handle_alloc(index, place, &cvar, n));
		t->real = cvar;
		break;
	case CRCP_TOOL_PVAR:
		r = CR_LOWER(crcp_lower.MPI_T_pvar_handle_alloc(session, index, place, &pvar, n));
		t->real = pvar;
		if (r == MPI_SUCCESS && t->started)
			r = CR_LOWER(crcp_lower.MPI_T_pvar_start(session, pvar));
		break;
	default:
		r = describe(index, t->var_class >= 0, name, &type, &values);
		t->real = values;
	}
	return r;
}

int crcp_tools_rebuild(void)
{
	for (struct crcp_tool *t = first; t; t = t->next) {
		char text[CRCP_TOOL_NAME_BYTES + 200];
		int n;

		if (rebuild(t) == MPI_SUCCESS)
			continue;
		n = snprintf(text, sizeof(text), "ompi-cr: rank %d: the MPI library of the restart gives no handle for its variable \"%s\", which the program holds\n",
			     crcp.board.world_rank, t->name);
		if (write(2, text, (size_t)n) < 0)
			return -EIO;
		return -ENOENT;
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the program holds of the tool information interface: records behind its opaque handles, so that a restart can ask for them again. */
#ifndef CRCP_TOOL_H
#define CRCP_TOOL_H

#include "crcp/upper/abi/objects.h"

enum crcp_tool_kind { CRCP_TOOL_CVAR = 1, CRCP_TOOL_SESSION, CRCP_TOOL_PVAR, CRCP_TOOL_ENUM };
#define CRCP_TOOL_NAME_BYTES 256

struct crcp_tool {
	void *real;
	enum crcp_tool_kind kind;
	struct crcp_tool *prev, *next;   /* all, in order of creation */
	char name[CRCP_TOOL_NAME_BYTES]; /* of the variable; its index may be another after a restart */
	int var_class;                   /* of a performance variable, else -1 */
	void *object;                    /* that it is bound to: the program's handle; NULL: none */
	struct crcp_tool *session;       /* PVAR */
	int started;                     /* PVAR: MPI_T_pvar_start was called */
	int bytes;                       /* CVAR: of the whole value; 0: not known */
	int is_text;
};

/**
 * crcp_tool_adopt - the record of what the library has given
 * @var_class: class of the performance variable @index, or -1: a control variable, a session
 * @object: the program's handle that it is bound to, or NULL
 *
 * Context: inside a call. An enumeration has one record, however often it is asked for.
 * Return: the record, or NULL when out of memory.
 */
struct crcp_tool *crcp_tool_adopt(enum crcp_tool_kind kind, void *real, int index, int var_class, void *object);
void crcp_tool_drop(struct crcp_tool *t); /* NULL is allowed */
void crcp_tool_drop_session(struct crcp_tool *session); /* and the handles of it */
/* A control variable was written: a restart writes it again. */
void crcp_tool_keep_value(const struct crcp_tool *t, const void *value);
/* MPI_T_pvar_start and stop: @t, or all of @session when it is NULL. */
void crcp_tool_note_started(struct crcp_tool *session, struct crcp_tool *t, int started);

#endif

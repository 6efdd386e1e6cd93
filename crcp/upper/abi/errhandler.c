/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Error handlers.  The real objects only ever have MPI_ERRORS_ARE_FATAL, when the program's handler is that one, or MPI_ERRORS_RETURN;
 * then a wrapper that gets an error code runs the program's function here, in the upper half, on the program's handle.
 */
#include "crcp/upper/abi/objects.h"
#include "crcp/upper/abi/win.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline struct crcp_errhandler *eh_of(MPI_Errhandler e) { return (struct crcp_errhandler *)(void *)e; }

void crcp_handle_get(void *handle)
{
	struct crcp_handle *h = handle;

	if (h && !(h->flags & CRCP_H_PREDEFINED))
		__atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
}

static void eh_put(struct crcp_errhandler *e)
{
	if (!e || (e->h.flags & CRCP_H_PREDEFINED) || __atomic_sub_fetch(&e->h.refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	crcp_fint_release(&e->h);
	crcp_free(e);
}

MPI_Errhandler crcp_errhandler_of(MPI_Errhandler *place, MPI_Errhandler none)
{
	MPI_Errhandler e;

	crcp_call_begin();
	crcp_abi_lock();
	e = *place ? *place : none;
	crcp_handle_get((void *)e);
	crcp_abi_unlock();
	crcp_call_end();
	return e;
}

static bool is_fatal(MPI_Errhandler e)
{
	return e == NULL || e == MPI_ERRORS_ARE_FATAL;
}

MPI_Errhandler crcp_real_handler_for(MPI_Errhandler program)
{
	return (MPI_Errhandler)(is_fatal(program) ? crcp_real(MPI_ERRORS_ARE_FATAL) : crcp_real(MPI_ERRORS_RETURN));
}

/* Run @handler for an error on @object, of kind COMM, WIN or FILE. Returns the code that the call returns. */
static int eh_run(const struct crcp_errhandler *e, void *object, int code, const char *function)
{
	crcp_errhandler_fn *fn;
	MPI_Fint fint, fcode = code;

	switch (((struct crcp_handle *)object)->kind) {
	case CRCP_COMM:
		fn = e->comm_fn;
		break;
	case CRCP_WIN:
		fn = e->win_fn;
		break;
	default:
		fn = e->file_fn;
	}
	if (!fn)
		return code;
	switch (e->language) {
	case CRCP_LANG_FORTRAN:
		fint = crcp_fint_assign(object);
		fn(&fint, &fcode);
		return fcode;
	case CRCP_LANG_CXX:
		if (e->cxx_dispatch)
			e->cxx_dispatch(&object, &code, function, fn);
		return code;
	default:
		fn(&object, &code, function, NULL);
		return code;
	}
}

/* The program's handler is fatal: let the real library say so and abort, in its words and with the name of the program's call. */
static void abort_below(MPI_Comm real, int code, const char *function)
{
	int (*fatal)(MPI_Comm *, int *, ...); /* returns nothing */

	crcp_call_begin();
	fatal = (int (*)(MPI_Comm *, int *, ...))crcp_lower_find("ompi_mpi_errors_are_fatal_comm_handler");
	if (fatal)
		CR_LOWER(fatal(&real, &code, function));
	CR_LOWER(crcp_lower.MPI_Abort(real, code));
	abort();
}

/* The handler at @place, or @none, runs for an error on @object. Another thread may set another one meanwhile: this one lives until it has returned. */
static int eh_invoke(MPI_Errhandler *place, MPI_Errhandler none, void *object, int code, const char *function)
{
	const struct crcp_handle *h = object;
	MPI_Errhandler handler;

	if (code == MPI_SUCCESS)
		return code;
	handler = crcp_errhandler_of(place, none);
	if (is_fatal(handler))
		abort_below((MPI_Comm)(h->kind == CRCP_COMM ? h->real : crcp_real(MPI_COMM_WORLD)), code, function);
	if (handler == MPI_ERRORS_RETURN)
		return code;
	code = eh_run(eh_of(handler), object, code, function);
	crcp_call_begin();
	eh_put(eh_of(handler));
	crcp_call_end();
	return code;
}

int crcp_error(struct crcp_comm *comm, int code, const char *function)
{
	void *world = MPI_COMM_WORLD;
	struct crcp_comm *c = comm ? comm : world;

	if (!crcp.initialized || crcp.finalized)
		return code; /* judged below, where no handler of the program exists */
	return eh_invoke(&c->errhandler, MPI_ERRORS_ARE_FATAL, c, code, function);
}

int crcp_win_error(struct crcp_win *w, int code, const char *function)
{
	if (!crcp_is_live(w))
		return crcp_error(NULL, code, function);
	return eh_invoke(&w->errhandler, MPI_ERRORS_ARE_FATAL, w, code, function);
}

int crcp_file_error(struct crcp_file *f, int code, const char *function)
{
	struct crcp_file *null = (struct crcp_file *)(void *)MPI_FILE_NULL;

	if (!f)
		f = null;
	return eh_invoke(&f->errhandler, MPI_ERRORS_RETURN, f, code, function);
}

/* ---- making and freeing ---- */
static struct crcp_errhandler *eh_create(int type, crcp_errhandler_fn *fn, int language)
{
	struct crcp_errhandler *e = crcp_alloc(sizeof(*e));

	if (!e)
		return NULL;
	e->h = (struct crcp_handle){ .kind = CRCP_ERRHANDLER, .fint = -1, .refs = 1 };
	e->type = type;
	e->language = language;
	if (type == CRCP_EH_COMM)
		e->comm_fn = fn;
	else if (type == CRCP_EH_WIN)
		e->win_fn = fn;
	else
		e->file_fn = fn;
	return e;
}

static int create_c(int type, crcp_errhandler_fn *fn, MPI_Errhandler *ret, const char *function)
{
	struct crcp_errhandler *e;

	if (!fn || !ret)
		return crcp_error(NULL, MPI_ERR_ARG, function);
	crcp_call_begin();
	e = eh_create(type, fn, CRCP_LANG_C);
	crcp_call_end();
	if (!e)
		return crcp_error(NULL, MPI_ERR_NO_MEM, function);
	*ret = (MPI_Errhandler)(void *)e;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Comm_create_errhandler, (MPI_Comm_errhandler_function * fn, MPI_Errhandler *errhandler))
{
	return create_c(CRCP_EH_COMM, (crcp_errhandler_fn *)(void *)fn, errhandler, "MPI_Comm_create_errhandler");
}

CRCP_API(int, MPI_Errhandler_create, (MPI_Handler_function * fn, MPI_Errhandler *errhandler))
{
	return create_c(CRCP_EH_COMM, (crcp_errhandler_fn *)(void *)fn, errhandler, "MPI_Errhandler_create");
}

CRCP_API(int, MPI_Win_create_errhandler, (MPI_Win_errhandler_function * fn, MPI_Errhandler *errhandler))
{
	return create_c(CRCP_EH_WIN, (crcp_errhandler_fn *)(void *)fn, errhandler, "MPI_Win_create_errhandler");
}

CRCP_API(int, MPI_File_create_errhandler, (MPI_File_errhandler_function * fn, MPI_Errhandler *errhandler))
{
	return create_c(CRCP_EH_FILE, (crcp_errhandler_fn *)(void *)fn, errhandler, "MPI_File_create_errhandler");
}

CRCP_API(int, MPI_Errhandler_free, (MPI_Errhandler * errhandler))
{
	struct crcp_errhandler *e = errhandler ? eh_of(*errhandler) : NULL;

	if (!crcp_is_live(e))
		return crcp_error(NULL, MPI_ERR_ARG, "MPI_Errhandler_free");
	crcp_call_begin();
	eh_put(e);
	crcp_call_end();
	*errhandler = MPI_ERRHANDLER_NULL;
	return MPI_SUCCESS;
}

/* ---- an object's handler ---- */
static MPI_Errhandler *place_of(void *object, int *ret_type)
{
	switch (((struct crcp_handle *)object)->kind) {
	case CRCP_COMM:
		*ret_type = CRCP_EH_COMM;
		return &((struct crcp_comm *)object)->errhandler;
	case CRCP_WIN:
		*ret_type = CRCP_EH_WIN;
		return &((struct crcp_win *)object)->errhandler;
	default:
		*ret_type = CRCP_EH_FILE;
		return &((struct crcp_file *)object)->errhandler;
	}
}

static void keep_below(void *object, MPI_Errhandler handler)
{
	MPI_Errhandler real = crcp_real_handler_for(handler);
	void *target = crcp_real(object);

	switch (((struct crcp_handle *)object)->kind) {
	case CRCP_COMM:
		CR_LOWER(crcp_lower.MPI_Comm_set_errhandler((MPI_Comm)target, real));
		break;
	case CRCP_WIN:
		if (target) /* else a window of our own */
			CR_LOWER(crcp_lower.MPI_Win_set_errhandler((MPI_Win)target, real));
		break;
	default:
		CR_LOWER(crcp_lower.MPI_File_set_errhandler((MPI_File)target, real));
	}
}

static int set(void *object, MPI_Errhandler handler, int bad, const char *function)
{
	MPI_Errhandler *place, old, now;
	int type;

	/* MPI_FILE_NULL has a handler: the one that new files begin with */
	if (!object || (!crcp_is_live(object) && ((struct crcp_handle *)object)->kind != CRCP_FILE))
		return crcp_error(NULL, bad, function);
	place = place_of(object, &type);
	if (!crcp_is_live((void *)handler) || (eh_of(handler)->type != CRCP_EH_PREDEFINED && eh_of(handler)->type != type))
		return crcp_error(NULL, MPI_ERR_ARG, function);
	crcp_call_begin();
	crcp_abi_lock();
	crcp_handle_get((void *)handler);
	old = *place;
	*place = handler;
	crcp_abi_unlock();
	/* Whoever tells the real object last, of threads that set at once, tells it what is set in the end. */
	do {
		now = __atomic_load_n(place, __ATOMIC_ACQUIRE);
		keep_below(object, now);
	} while (now != __atomic_load_n(place, __ATOMIC_ACQUIRE));
	eh_put(eh_of(old));
	crcp_call_end();
	return MPI_SUCCESS;
}

static int get(void *object, MPI_Errhandler *ret, int bad, const char *function)
{
	MPI_Errhandler *place;
	int type;

	if (!object || (!crcp_is_live(object) && ((struct crcp_handle *)object)->kind != CRCP_FILE) || !ret)
		return crcp_error(NULL, object ? MPI_ERR_ARG : bad, function);
	place = place_of(object, &type);
	*ret = crcp_errhandler_of(place, type == CRCP_EH_FILE ? MPI_ERRORS_RETURN : MPI_ERRORS_ARE_FATAL); /* the program frees it */
	return MPI_SUCCESS;
}

static int call(void *object, int code, int bad, const char *function)
{
	if (!crcp_is_live(object))
		return crcp_error(NULL, bad, function);
	if (((struct crcp_handle *)object)->kind == CRCP_COMM)
		crcp_error(object, code, function);
	else if (((struct crcp_handle *)object)->kind == CRCP_WIN)
		crcp_win_error(object, code, function);
	else
		crcp_file_error(object, code, function);
	return MPI_SUCCESS;
}

#define HANDLER_CALLS(noun, type, bad)                                                                          \
	CRCP_API(int, MPI_##noun##_set_errhandler, (type object, MPI_Errhandler handler))                       \
	{                                                                                                       \
		return set((void *)object, handler, bad, "MPI_" #noun "_set_errhandler");                       \
	}                                                                                                       \
	CRCP_API(int, MPI_##noun##_get_errhandler, (type object, MPI_Errhandler * ret_handler))                 \
	{                                                                                                       \
		return get((void *)object, ret_handler, bad, "MPI_" #noun "_get_errhandler");                   \
	}                                                                                                       \
	CRCP_API(int, MPI_##noun##_call_errhandler, (type object, int code))                                    \
	{                                                                                                       \
		return call((void *)object, code, bad, "MPI_" #noun "_call_errhandler");                        \
	}
HANDLER_CALLS(Comm, MPI_Comm, MPI_ERR_COMM)
HANDLER_CALLS(Win, MPI_Win, MPI_ERR_WIN)
HANDLER_CALLS(File, MPI_File, MPI_ERR_FILE)

CRCP_API(int, MPI_Errhandler_set, (MPI_Comm comm, MPI_Errhandler handler))
{
	return set((void *)comm, handler, MPI_ERR_COMM, "MPI_Errhandler_set");
}

CRCP_API(int, MPI_Errhandler_get, (MPI_Comm comm, MPI_Errhandler *handler))
{
	return get((void *)comm, handler, MPI_ERR_COMM, "MPI_Errhandler_get");
}

/* ---- what Open MPI's Fortran and C++ libraries call ---- */
CRCP_EXPORT MPI_Errhandler ompi_errhandler_create(int type, crcp_errhandler_fn *fn, int language);
CRCP_EXPORT int ompi_errhandler_invoke(MPI_Errhandler handler, void *object, int type, int code, const char *message);

MPI_Errhandler ompi_errhandler_create(int type, crcp_errhandler_fn *fn, int language)
{
	struct crcp_errhandler *e;

	crcp_call_begin();
	e = eh_create(type, fn, language);
	crcp_call_end();
	return (MPI_Errhandler)(void *)e;
}

/* They read @handler and @type out of the record at offsets of the real one, where ours has nothing: the record itself knows better. */
int ompi_errhandler_invoke(MPI_Errhandler handler, void *object, int type, int code, const char *message)
{
	(void)handler, (void)type;
	if (!crcp_is_live(object))
		return crcp_error(NULL, code, message);
	switch (((struct crcp_handle *)object)->kind) {
	case CRCP_COMM:
		return crcp_error(object, code, message);
	case CRCP_WIN:
		return crcp_win_error(object, code, message);
	default:
		return crcp_file_error(object, code, message);
	}
}

#define FATAL_BEFORE_INIT(kind)                                                                                   \
	CRCP_EXPORT void ompi_mpi_errors_are_fatal_##kind##_handler(void *object, int *code, const char *message, ...); \
	void ompi_mpi_errors_are_fatal_##kind##_handler(void *object, int *code, const char *message, ...)        \
	{                                                                                                         \
		(void)object;                                                                                     \
		crcp_lower_need();                                                                                \
		if (crcp_is_up())                                                                                 \
			abort_below((MPI_Comm)crcp_real(MPI_COMM_WORLD), code ? *code : MPI_ERR_OTHER, message);      \
		fprintf(stderr, "*** %s was called before MPI_INIT or after MPI_FINALIZE; this is not allowed.\n", message ? message : "An MPI function"); \
		exit(1);                                                                                          \
	}
FATAL_BEFORE_INIT(comm)
FATAL_BEFORE_INIT(win)
FATAL_BEFORE_INIT(file)

/* ---- error classes and codes of the program ---- */
struct added {
	struct added *next;
	int kind; /* 0 class, 1 code, 2 string */
	int number;
	char *text;
};
static struct added *added, **added_end = &added;
static int adding; /* crcp_below_lock: the list has them in the order in which the real library numbers them */

static void keep_added(int kind, int number, const char *text)
{
	struct added *a = crcp_alloc(sizeof(*a));

	if (!a)
		return;
	a->kind = kind;
	a->number = number;
	a->text = text ? crcp_dup(text, strlen(text) + 1) : NULL;
	*added_end = a;
	added_end = &a->next;
}

void crcp_file_keep_handler(struct crcp_file *f)
{
	keep_below(f, f->errhandler);
}

/* New files begin with the handler of MPI_FILE_NULL. */
static void file_handler_rebuild(void)
{
	struct crcp_file *none = (struct crcp_file *)(void *)MPI_FILE_NULL;

	if (none->errhandler)
		keep_below(none, none->errhandler);
}

/* The real library numbers them in the order in which they are added: the same order gives the same numbers. */
int crcp_errors_rebuild(void)
{
	file_handler_rebuild();
	for (const struct added *a = added; a; a = a->next) {
		int number = a->number;
		const char *text = a->text ? a->text : "";

		if (a->kind == 0)
			CR_LOWER(crcp_lower.MPI_Add_error_class(&number));
		else if (a->kind == 1)
			CR_LOWER(crcp_lower.MPI_Add_error_code(a->number, &number));
		else
			CR_LOWER(crcp_lower.MPI_Add_error_string(number, text));
	}
	return 0;
}

CRCP_API(int, MPI_Add_error_class, (int *class))
{
	int r;

	crcp_call_begin();
	crcp_below_lock(&adding);
	r = CR_LOWER(crcp_lower.MPI_Add_error_class(class));
	if (r == MPI_SUCCESS)
		keep_added(0, *class, NULL);
	crcp_below_unlock(&adding);
	crcp_attr_init_predefined(); /* MPI_LASTUSEDCODE */
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Add_error_class");
}

CRCP_API(int, MPI_Add_error_code, (int class, int *code))
{
	int r;

	crcp_call_begin();
	crcp_below_lock(&adding);
	r = CR_LOWER(crcp_lower.MPI_Add_error_code(class, code));
	if (r == MPI_SUCCESS)
		keep_added(1, class, NULL);
	crcp_below_unlock(&adding);
	crcp_attr_init_predefined();
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Add_error_code");
}

CRCP_API(int, MPI_Add_error_string, (int code, const char *text))
{
	int r;

	crcp_call_begin();
	crcp_below_lock(&adding);
	r = CR_LOWER(crcp_lower.MPI_Add_error_string(code, text));
	if (r == MPI_SUCCESS)
		keep_added(2, code, text);
	crcp_below_unlock(&adding);
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Add_error_string");
}

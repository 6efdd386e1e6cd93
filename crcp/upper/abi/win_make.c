/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows of the layer: made, freed, and opened again after a restart.
 *
 * A window has a communicator of its own, a duplicate of the one that it was made over: for its barriers and messages, and because the
 * program may free the other. Its id, which all ranks share, orders the windows for the rebuild.
 */
#include "crcp/upper/abi/win.h"

#include <string.h>

static const char nocr_text[] = "an MPI window is the real library's: its processes are not all of this job, or could neither share memory nor connect";
static struct crcp_win_own *windows; /* the layer's own */

static void insert(struct crcp_win_own *o)
{
	struct crcp_win_own **link = &windows, *before = NULL;

	crcp_abi_lock();
	while (*link && (*link)->comm->clock_id < o->comm->clock_id) {
		before = *link;
		link = &before->next;
	}
	o->prev = before;
	o->next = *link;
	if (o->next)
		o->next->prev = o;
	*link = o;
	crcp_abi_unlock();
}

static void take_out(struct crcp_win_own *o)
{
	crcp_abi_lock();
	if (o->prev)
		o->prev->next = o->next;
	else
		windows = o->next;
	if (o->next)
		o->next->prev = o->prev;
	crcp_abi_unlock();
}

static void own_free(struct crcp_win_own *o)
{
	if (!o)
		return;
	crcp_win_part_drop(o);
	if (o->info)
		crcp_info_destroy(o->info);
	while (o->attached) {
		struct crcp_win_attached *a = o->attached;

		o->attached = a->next;
		crcp_free(a);
	}
	crcp_free(o->start_ranks);
	crcp_free(o->post_ranks);
	crcp_free(o->peers);
	crcp_free(o->locks);
	crcp_free(o);
}

/* ---- making ---- */
struct making {
	int flavor;
	void *base;
	MPI_Aint size;
	int disp_unit;
	MPI_Info info;
	MPI_Comm comm;
};

static bool info_says(MPI_Info info, const char *key)
{
	bool says = false;

	if (!crcp_is_live(info))
		return false;
	crcp_abi_lock();
	for (const struct crcp_info_pair *p = ((struct crcp_info *)(void *)info)->pairs; p; p = p->next)
		if (strcmp(p->key, key) == 0)
			says = strcmp(p->value, "true") == 0;
	crcp_abi_unlock();
	return says;
}

static struct crcp_win_own *own_create(const struct making *m)
{
	const struct crcp_comm *c = crcp_comm(m->comm);
	struct crcp_win_own *o = crcp_alloc(sizeof(*o));

	if (!o)
		return NULL;
	o->rank = c->rank;
	o->size = c->size;
	o->flavor = m->flavor;
	o->peers = crcp_alloc((size_t)c->size * sizeof(*o->peers));
	o->locks = crcp_alloc((size_t)c->size);
	if (crcp_is_live(m->info) && !(((struct crcp_handle *)(void *)m->info)->flags & CRCP_H_PREDEFINED))
		o->info = crcp_info_copy((struct crcp_info *)(void *)m->info);
	if (!o->peers || !o->locks) {
		own_free(o);
		return NULL;
	}
	return o;
}

static void keep_attributes(struct crcp_win *w, const struct crcp_win_own *o, const struct making *m)
{
	void *base = crcp_win_has_memory(o) ? o->peers[o->rank].here : m->base;

	crcp_attr_set_pointer(w, MPI_WIN_BASE, base);
	crcp_attr_set_aint(w, MPI_WIN_SIZE, m->size);
	crcp_attr_set_int(w, MPI_WIN_DISP_UNIT, m->disp_unit);
	crcp_attr_set_int(w, MPI_WIN_CREATE_FLAVOR, o->flavor);
	crcp_attr_set_int(w, MPI_WIN_MODEL, MPI_WIN_UNIFIED);
}

/* The window of @m, or NULL on all ranks: it is for the real library. Inside a call, the collective has been entered. */
static struct crcp_win *make(const struct making *m)
{
	MPI_Comm parent = (MPI_Comm)crcp_real(m->comm), real = NULL;
	MPI_Errhandler back = MPI_ERRORS_RETURN;
	struct crcp_win *w = crcp_alloc(sizeof(*w));
	struct crcp_win_own *o = own_create(m);
	bool ok;

	ok = w && o && crcp_win_os_init();
	if (!crcp_win_all_agree(parent, ok) ||
	    !crcp_win_reach(o, parent, (uint64_t)(uintptr_t)m->base, (uint64_t)m->size, m->disp_unit, info_says(m->info, "alloc_shared_noncontig")))
		goto fail;
	if (CR_LOWER(crcp_lower.MPI_Comm_dup(parent, &real)) != MPI_SUCCESS)
		goto fail;
	o->comm = crcp_comm_adopt(crcp_comm(m->comm), real, CRCP_ID_DERIVED);
	if (!o->comm)
		goto fail;
	PMPI_Comm_set_errhandler(crcp_win_comm(o), back); /* the window's own handler is told */
	w->h = (struct crcp_handle){ .kind = CRCP_WIN, .fint = -1, .refs = 1 };
	w->errhandler = MPI_ERRORS_ARE_FATAL;
	w->own = o;
	o->win = w;
	keep_attributes(w, o, m);
	insert(o);
	return w;
fail:
	own_free(o);
	crcp_free(w);
	return NULL;
}

/* The real library judges wrong arguments, and makes what is not for us. */
static int make_native(const struct making *m, void *ret_base, MPI_Win *ret_win, const char *function)
{
	MPI_Win real = NULL;
	MPI_Comm comm = CRCP_REAL(MPI_Comm, m->comm);
	MPI_Info info = crcp_info_real(m->info);
	MPI_Aint size = m->size;
	int unit = m->disp_unit, r;
	void *base = m->base;

	crcp_nocr_add(CRCP_NOCR_WIN, nocr_text);
	if (m->flavor == MPI_WIN_FLAVOR_CREATE)
		r = CR_LOWER(crcp_lower.MPI_Win_create(base, size, unit, info, comm, &real));
	else if (m->flavor == MPI_WIN_FLAVOR_ALLOCATE)
		r = CR_LOWER(crcp_lower.MPI_Win_allocate(size, unit, info, comm, ret_base, &real));
	else if (m->flavor == MPI_WIN_FLAVOR_SHARED)
		r = CR_LOWER(crcp_lower.MPI_Win_allocate_shared(size, unit, info, comm, ret_base, &real));
	else
		r = CR_LOWER(crcp_lower.MPI_Win_create_dynamic(info, comm, &real));
	return crcp_win_adopt_native(m->comm, r, real, ret_win, function);
}

static int win_make(const struct making *m, void *ret_base, MPI_Win *ret_win, const char *function)
{
	bool gives = m->flavor == MPI_WIN_FLAVOR_ALLOCATE || m->flavor == MPI_WIN_FLAVOR_SHARED;
	bool sound = crcp_is_live(m->comm) && !crcp_comm(m->comm)->recipe->inter && !crcp_comm(m->comm)->recipe->foreign && m->size >= 0 &&
		     m->disp_unit > 0 && ret_win && (ret_base || !gives) && m->info;
	struct crcp_win *w;

	crcp_call_begin();
	crcp_enter_collective(m->comm);
	w = sound && crcp_is_up() ? make(m) : NULL;
	if (!w)
		return make_native(m, ret_base, ret_win, function);
	*ret_win = (MPI_Win)(void *)w;
	if (gives)
		*(void **)ret_base = w->own->peers[w->own->rank].here;
	crcp_call_end();
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_create, (void *base, MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, MPI_Win *win))
{
	struct making m = { MPI_WIN_FLAVOR_CREATE, base, size, disp_unit, info, comm };

	return win_make(&m, NULL, win, "MPI_Win_create");
}

CRCP_API(int, MPI_Win_allocate, (MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, void *baseptr, MPI_Win *win))
{
	struct making m = { MPI_WIN_FLAVOR_ALLOCATE, NULL, size, disp_unit, info, comm };

	return win_make(&m, baseptr, win, "MPI_Win_allocate");
}

CRCP_API(int, MPI_Win_allocate_shared, (MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, void *baseptr, MPI_Win *win))
{
	struct making m = { MPI_WIN_FLAVOR_SHARED, NULL, size, disp_unit, info, comm };

	return win_make(&m, baseptr, win, "MPI_Win_allocate_shared");
}

CRCP_API(int, MPI_Win_create_dynamic, (MPI_Info info, MPI_Comm comm, MPI_Win *win))
{
	struct making m = { MPI_WIN_FLAVOR_DYNAMIC, MPI_BOTTOM, 0, 1, info, comm };

	return win_make(&m, NULL, win, "MPI_Win_create_dynamic");
}

/* ---- freeing ---- */
static void release(struct crcp_win *w)
{
	MPI_Errhandler handler = w->errhandler;

	if (handler)
		PMPI_Errhandler_free(&handler);
	crcp_fint_release(&w->h);
	crcp_free(w->name);
	crcp_free(w);
}

/* In one call: at a stop all ranks have the window or none has. */
static int free_own(struct crcp_win *w)
{
	struct crcp_win_own *o = w->own;
	MPI_Comm real;
	int r;

	if (o->n_locks || o->lock_all || o->started || o->posted)
		return MPI_ERR_RMA_SYNC;
	crcp_call_begin();
	crcp_collective_enter(o->comm);
	real = (MPI_Comm)o->comm->h.real;
	r = o->is_far ? crcp_win_far_sync(NULL) : MPI_SUCCESS;
	if (r == MPI_SUCCESS)
		r = CR_LOWER(crcp_lower.MPI_Barrier(real));
	if (r == MPI_SUCCESS)
		r = CR_LOWER(crcp_lower.MPI_Comm_free(&real));
	if (r == MPI_SUCCESS) {
		take_out(o);
		crcp_comm_retire(o->comm);
		own_free(o);
		release(w);
	}
	crcp_call_end();
	return r;
}

static int free_native(MPI_Win *win, struct crcp_win *w)
{
	MPI_Win real;
	int r;

	crcp_call_begin();
	real = win ? CRCP_REAL(MPI_Win, *win) : NULL;
	r = CR_LOWER(crcp_lower.MPI_Win_free(&real));
	if (r == MPI_SUCCESS && w) {
		crcp_nocr_drop(CRCP_NOCR_WIN);
		release(w);
	}
	crcp_call_end();
	return r;
}

CRCP_API(int, MPI_Win_free, (MPI_Win * win))
{
	struct crcp_win *w = win && crcp_is_live(*win) ? crcp_win(*win) : NULL;
	int r;

	if (w)
		crcp_attrs_end(w);
	r = w && w->own ? free_own(w) : free_native(win, w);
	if (r != MPI_SUCCESS)
		return crcp_win_error(w, r, "MPI_Win_free");
	*win = MPI_WIN_NULL;
	return MPI_SUCCESS;
}

/* ---- after a restart ---- */
int crcp_wins_rebuild(void)
{
	int r = 0;

	for (struct crcp_win_own *o = windows; o && r == 0; o = o->next)
		r = crcp_win_rebuild(o);
	return r;
}

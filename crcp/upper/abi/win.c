/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions about windows; what is special to dynamic and shared ones; and the records of windows that are the real library's (win.h),
 * which mark the process as long as they are there.
 */
#include "crcp/upper/abi/win.h"

#include <string.h>

MPI_File crcp_file_real(MPI_File file)
{
	return CRCP_REAL(MPI_File, file);
}

/* The real library's predefined attributes, among ours. */
static void keep_attributes(struct crcp_win *w)
{
	static const int numbers[] = { MPI_WIN_DISP_UNIT, MPI_WIN_CREATE_FLAVOR, MPI_WIN_MODEL };
	MPI_Win real = (MPI_Win)w->h.real;
	void *base = NULL;
	MPI_Aint *size = NULL;
	int flag = 0, *number = NULL;

	CR_LOWER(crcp_lower.MPI_Win_get_attr(real, MPI_WIN_BASE, &base, &flag));
	if (flag)
		crcp_attr_set_pointer(w, MPI_WIN_BASE, base);
	CR_LOWER(crcp_lower.MPI_Win_get_attr(real, MPI_WIN_SIZE, &size, &flag));
	if (flag)
		crcp_attr_set_aint(w, MPI_WIN_SIZE, *size);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int key = numbers[i];

		CR_LOWER(crcp_lower.MPI_Win_get_attr(real, key, &number, &flag));
		if (flag)
			crcp_attr_set_int(w, key, *number);
	}
}

int crcp_win_adopt_native(MPI_Comm comm, int r, MPI_Win real, MPI_Win *ret_win, const char *function)
{
	struct crcp_win *w = NULL;

	if (r == MPI_SUCCESS) {
		w = crcp_alloc(sizeof(*w));
		if (!w)
			r = MPI_ERR_NO_MEM;
	}
	if (w) {
		w->h = (struct crcp_handle){ .real = real, .kind = CRCP_WIN, .fint = -1, .refs = 1 };
		w->errhandler = MPI_ERRORS_ARE_FATAL;
		keep_attributes(w);
		*ret_win = (MPI_Win)(void *)w;
	} else {
		crcp_nocr_drop(CRCP_NOCR_WIN);
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(crcp_is_live(comm) ? crcp_comm(comm) : NULL, r, function);
}

CRCP_API(int, MPI_Win_get_group, (MPI_Win win, MPI_Group *group))
{
	MPI_Win real;
	MPI_Group real_group = NULL, made = NULL;
	int r;

	if (crcp_win_own(win) && group)
		return PMPI_Comm_group(crcp_win_comm(crcp_win_own(win)), group);
	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_get_group(real, &real_group));
	if (r == MPI_SUCCESS)
		made = crcp_group_adopt(real_group);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_win_error(crcp_win(win), r, "MPI_Win_get_group");
	*group = made;
	return MPI_SUCCESS;
}

/* ---- info ---- */
CRCP_API(int, MPI_Win_get_info, (MPI_Win win, MPI_Info *info))
{
	struct crcp_win_own *o = crcp_win_own(win);
	MPI_Win real;
	MPI_Info real_info = NULL, made = NULL;
	int r;

	if (o && info)
		return o->info ? PMPI_Info_dup((MPI_Info)(void *)o->info, info) : PMPI_Info_create(info);
	if (o)
		return crcp_win_error(crcp_win(win), MPI_ERR_ARG, "MPI_Win_get_info");
	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_get_info(real, &real_info));
	if (r == MPI_SUCCESS)
		made = crcp_info_adopt(real_info);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_win_error(crcp_win(win), r, "MPI_Win_get_info");
	*info = made;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_set_info, (MPI_Win win, MPI_Info info))
{
	struct crcp_win_own *o = crcp_win_own(win);
	MPI_Info kept;
	int r = MPI_SUCCESS;

	if (!o)
		return crcp_native_MPI_Win_set_info(win, info);
	if (!crcp_is_live(info))
		return crcp_win_error(crcp_win(win), MPI_ERR_INFO, "MPI_Win_set_info");
	if (!o->info) {
		r = PMPI_Info_dup(info, &kept);
		if (r == MPI_SUCCESS)
			o->info = (struct crcp_info *)(void *)kept;
		return r;
	}
	kept = (MPI_Info)(void *)o->info;
	for (const struct crcp_info_pair *p = ((struct crcp_info *)(void *)info)->pairs; p && r == MPI_SUCCESS; p = p->next)
		r = PMPI_Info_set(kept, p->key, p->value);
	return r;
}

/* ---- names ---- */
CRCP_API(int, MPI_Win_set_name, (MPI_Win win, const char *name))
{
	struct crcp_win *w = crcp_win(win);
	MPI_Win real;
	char *copy;
	int r = MPI_SUCCESS;

	crcp_call_begin();
	if (crcp_win_own(win)) {
		copy = name ? crcp_alloc(MPI_MAX_OBJECT_NAME) : NULL;
		if (copy) {
			strncpy(copy, name, MPI_MAX_OBJECT_NAME - 1);
			crcp_free(w->name);
			w->name = copy;
		} else {
			r = name ? MPI_ERR_NO_MEM : MPI_ERR_ARG;
		}
	} else {
		real = CRCP_REAL(MPI_Win, win);
		r = CR_LOWER(crcp_lower.MPI_Win_set_name(real, name));
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_win_error(w, r, "MPI_Win_set_name");
}

CRCP_API(int, MPI_Win_get_name, (MPI_Win win, char *name, int *length))
{
	const struct crcp_win *w = crcp_win(win);
	MPI_Win real;
	int r;

	if (crcp_win_own(win) && name && length) {
		strcpy(name, w->name ? w->name : "");
		*length = (int)strlen(name);
		return MPI_SUCCESS;
	}
	if (crcp_win_own(win))
		return crcp_win_error(crcp_win(win), MPI_ERR_ARG, "MPI_Win_get_name");
	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_get_name(real, name, length));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_win_error(crcp_win(win), r, "MPI_Win_get_name");
}

/* ---- shared windows ---- */
CRCP_API(int, MPI_Win_shared_query, (MPI_Win win, int rank, MPI_Aint *size, int *disp_unit, void *baseptr))
{
	const struct crcp_win_own *o = crcp_win_own(win);
	int i = rank;

	if (!o)
		return crcp_native_MPI_Win_shared_query(win, rank, size, disp_unit, baseptr);
	if ((rank < 0 || rank >= o->size) && rank != MPI_PROC_NULL)
		return crcp_win_error(crcp_win(win), MPI_ERR_RANK, "MPI_Win_shared_query");
	if (o->flavor != MPI_WIN_FLAVOR_SHARED)
		return crcp_win_error(crcp_win(win), MPI_ERR_RMA_FLAVOR, "MPI_Win_shared_query");
	if (rank == MPI_PROC_NULL) /* the first that has any */
		for (i = 0; i < o->size - 1 && o->peers[i].bytes == 0; i++)
			;
	*size = (MPI_Aint)o->peers[i].bytes;
	*disp_unit = o->peers[i].disp_unit;
	*(void **)baseptr = o->peers[i].here;
	return MPI_SUCCESS;
}

/* ---- dynamic windows: what is attached is kept for the answers alone ---- */
static int attach(struct crcp_win_own *o, uint64_t base, uint64_t bytes)
{
	struct crcp_win_attached *a, *new;

	if (o->flavor != MPI_WIN_FLAVOR_DYNAMIC)
		return MPI_ERR_RMA_FLAVOR;
	new = crcp_alloc(sizeof(*new));
	if (!new)
		return MPI_ERR_NO_MEM;
	crcp_abi_lock();
	for (a = o->attached; a; a = a->next)
		if (base < a->base + a->bytes && a->base < base + bytes)
			break;
	if (!a) {
		*new = (struct crcp_win_attached){ .next = o->attached, .base = base, .bytes = bytes };
		o->attached = new;
	}
	crcp_abi_unlock();
	if (a)
		crcp_free(new);
	return a ? MPI_ERR_RMA_ATTACH : MPI_SUCCESS;
}

static int detach(struct crcp_win_own *o, uint64_t base)
{
	struct crcp_win_attached *a, **link;

	if (o->flavor != MPI_WIN_FLAVOR_DYNAMIC)
		return MPI_ERR_RMA_FLAVOR;
	crcp_abi_lock();
	for (link = &o->attached; (a = *link) != NULL && a->base != base; link = &a->next)
		;
	if (a)
		*link = a->next;
	crcp_abi_unlock();
	if (!a)
		return MPI_ERR_BASE;
	crcp_free(a);
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_attach, (MPI_Win win, void *base, MPI_Aint size))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_attach(win, base, size);
	crcp_call_begin();
	r = size < 0 ? MPI_ERR_ARG : attach(o, (uint64_t)(uintptr_t)base, (uint64_t)size);
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_win_error(crcp_win(win), r, "MPI_Win_attach");
}

CRCP_API(int, MPI_Win_detach, (MPI_Win win, const void *base))
{
	struct crcp_win_own *o = crcp_win_own(win);
	int r;

	if (!o)
		return crcp_native_MPI_Win_detach(win, base);
	crcp_call_begin();
	r = detach(o, (uint64_t)(uintptr_t)base);
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_win_error(crcp_win(win), r, "MPI_Win_detach");
}

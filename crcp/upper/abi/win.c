/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Windows run natively; while one exists the process cannot be checkpointed, and says so.
 */
#include "crcp/upper/abi/objects.h"

#include <string.h>

static const char nocr_text[] = "an MPI window is open (one-sided communication is not saved yet)";

static inline struct crcp_win *win_of(MPI_Win w) { return (struct crcp_win *)(void *)w; }

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

static int adopt(MPI_Comm comm, int r, MPI_Win real, MPI_Win *ret_win, const char *function)
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

/* The mark is set before the collective call: nobody may be asked to stop while others are in it. */
#define MAKE_WINDOW(name, params, lower_args)                                     \
	CRCP_API(int, MPI_Win_##name, params)                                     \
	{                                                                         \
		MPI_Win real = NULL;                                              \
		MPI_Comm real_comm;                                               \
		MPI_Info real_info;                                               \
		int r;                                                            \
                                                                                  \
		crcp_call_begin();                                                \
		crcp_nocr_add(CRCP_NOCR_WIN, nocr_text);                          \
		crcp_enter_collective(comm);                                      \
		real_comm = CRCP_REAL(MPI_Comm, comm);                            \
		real_info = crcp_info_real(info);                                 \
		r = CR_LOWER(crcp_lower.MPI_Win_##name lower_args);               \
		return adopt(comm, r, real, win, "MPI_Win_" #name);               \
	}
MAKE_WINDOW(create, (void *base, MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, MPI_Win *win),
	    (base, size, disp_unit, real_info, real_comm, &real))
MAKE_WINDOW(allocate, (MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, void *baseptr, MPI_Win *win),
	    (size, disp_unit, real_info, real_comm, baseptr, &real))
MAKE_WINDOW(allocate_shared, (MPI_Aint size, int disp_unit, MPI_Info info, MPI_Comm comm, void *baseptr, MPI_Win *win),
	    (size, disp_unit, real_info, real_comm, baseptr, &real))
MAKE_WINDOW(create_dynamic, (MPI_Info info, MPI_Comm comm, MPI_Win *win), (real_info, real_comm, &real))

CRCP_API(int, MPI_Win_free, (MPI_Win * win))
{
	struct crcp_win *w = win && crcp_is_live(*win) ? win_of(*win) : NULL;
	MPI_Errhandler handler;
	MPI_Win real;
	int r;

	if (w) {
		r = crcp_attrs_delete_all(w);
		if (r != MPI_SUCCESS)
			return crcp_win_error(w, r, "MPI_Win_free");
	}
	crcp_call_begin();
	real = win ? CRCP_REAL(MPI_Win, *win) : NULL;
	r = CR_LOWER(crcp_lower.MPI_Win_free(&real));
	if (r == MPI_SUCCESS && w) {
		crcp_nocr_drop(CRCP_NOCR_WIN);
		handler = w->errhandler;
		if (handler)
			PMPI_Errhandler_free(&handler);
		crcp_fint_release(&w->h);
		crcp_free(w->name);
		crcp_free(w);
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_win_error(w, r, "MPI_Win_free");
	*win = MPI_WIN_NULL;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_get_group, (MPI_Win win, MPI_Group *group))
{
	MPI_Win real;
	MPI_Group real_group = NULL, made = NULL;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_get_group(real, &real_group));
	if (r == MPI_SUCCESS)
		made = crcp_group_adopt(real_group);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_win_error(win_of(win), r, "MPI_Win_get_group");
	*group = made;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_get_info, (MPI_Win win, MPI_Info *info))
{
	MPI_Win real;
	MPI_Info real_info = NULL, made = NULL;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_get_info(real, &real_info));
	if (r == MPI_SUCCESS)
		made = crcp_info_adopt(real_info);
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_win_error(win_of(win), r, "MPI_Win_get_info");
	*info = made;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_Win_set_name, (MPI_Win win, const char *name))
{
	MPI_Win real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_set_name(real, name));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_win_error(win_of(win), r, "MPI_Win_set_name");
}

CRCP_API(int, MPI_Win_get_name, (MPI_Win win, char *name, int *length))
{
	MPI_Win real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_Win, win);
	r = CR_LOWER(crcp_lower.MPI_Win_get_name(real, name, length));
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_win_error(win_of(win), r, "MPI_Win_get_name");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files run natively; what is needed to open them again is remembered beside (file_recipe.c).
 *
 * A file that is shared with processes of another job keeps the process from being checkpointed while it is open.
 */
#include "crcp/upper/abi/file.h"

#include <string.h>

static const char nocr_text[] = "a file is open with MPI_File_open on a communicator with processes of another job";

static inline struct crcp_file *file_of(MPI_File f) { return crcp_file_of(f); }

static int fail(MPI_File file, int r, const char *function)
{
	return r == MPI_SUCCESS ? r : crcp_file_error(file_of(file), r, function);
}

static struct crcp_file *file_create(void)
{
	struct crcp_file *none = file_of(MPI_FILE_NULL), *f = crcp_alloc(sizeof(*f));

	if (!f)
		return NULL;
	f->h = (struct crcp_handle){ .kind = CRCP_FILE, .fint = -1, .refs = 1 };
	f->errhandler = crcp_errhandler_of(&none->errhandler, MPI_ERRORS_RETURN);
	f->etype = f->filetype = crcp_datatype(MPI_BYTE);
	return f;
}

static void file_destroy(struct crcp_file *f)
{
	MPI_Errhandler handler = f->errhandler;

	crcp_file_recipe_destroy(f);
	crcp_datatype_put((MPI_Datatype)(void *)f->etype);
	crcp_datatype_put((MPI_Datatype)(void *)f->filetype);
	if (crcp_is_live((void *)handler))
		PMPI_Errhandler_free(&handler);
	crcp_fint_release(&f->h);
	crcp_free(f);
}

CRCP_API(int, MPI_File_open, (MPI_Comm comm, const char *filename, int amode, MPI_Info info, MPI_File *ret_file))
{
	bool group = crcp_is_live(comm) && !crcp_comm(comm)->recipe->inter, foreign = group && crcp_comm(comm)->recipe->foreign;
	struct crcp_file *f = NULL;
	MPI_File real = NULL;
	MPI_Comm real_comm;
	MPI_Info real_info;
	int r = MPI_SUCCESS;

	crcp_call_begin();
	crcp_enter_collective(comm);
	if (group && filename && ret_file) {
		f = file_create();
		if (f && foreign)
			crcp_nocr_add(CRCP_NOCR_FILE, nocr_text);
		else if (f)
			f->recipe = crcp_file_recipe_create(crcp_comm(comm), filename, amode, info);
		if (!f || (!foreign && !f->recipe))
			r = MPI_ERR_NO_MEM;
	}
	real_comm = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	if (r == MPI_SUCCESS)
		r = CR_LOWER(crcp_lower.MPI_File_open(real_comm, filename, amode, real_info, ret_file ? &real : NULL));
	if (r == MPI_SUCCESS && f) {
		f->h.real = real;
		if (f->recipe)
			crcp_file_publish(f);
		*ret_file = (MPI_File)(void *)f;
	} else if (f) {
		if (foreign)
			crcp_nocr_drop(CRCP_NOCR_FILE);
		file_destroy(f);
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_file_error(NULL, r, "MPI_File_open");
}

CRCP_API(int, MPI_File_close, (MPI_File * file))
{
	struct crcp_file *f = file && crcp_is_live(*file) ? file_of(*file) : NULL;
	MPI_File real;
	int r;

	crcp_call_begin();
	if (f)
		crcp_file_collective(*file);
	real = file ? CRCP_REAL(MPI_File, *file) : NULL;
	r = CR_LOWER(crcp_lower.MPI_File_close(file ? &real : NULL));
	if (r == MPI_SUCCESS && f) {
		if (!f->recipe)
			crcp_nocr_drop(CRCP_NOCR_FILE);
		file_destroy(f);
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_file_error(f, r, "MPI_File_close");
	*file = MPI_FILE_NULL;
	return MPI_SUCCESS;
}

/* The view that the library has set: @disp may have been MPI_DISPLACEMENT_CURRENT. */
static void keep_view(struct crcp_file *f, MPI_Datatype etype, MPI_Datatype filetype, MPI_Info info)
{
	MPI_Datatype real_etype = NULL, real_filetype = NULL, byte = (MPI_Datatype)crcp_real(MPI_BYTE);
	MPI_File real = (MPI_File)f->h.real;
	char datarep[MPI_MAX_DATAREP_STRING];
	MPI_Offset disp = 0;

	crcp_datatype_get(etype);
	crcp_datatype_get(filetype);
	crcp_datatype_put((MPI_Datatype)(void *)f->etype);
	crcp_datatype_put((MPI_Datatype)(void *)f->filetype);
	f->etype = crcp_datatype(etype);
	f->filetype = crcp_datatype(filetype);
	if (!f->recipe || CR_LOWER(crcp_lower.MPI_File_get_view(real, &disp, &real_etype, &real_filetype, datarep)) != MPI_SUCCESS)
		return;
	if (real_etype != byte && crcp_datatype_find(real_etype) == MPI_DATATYPE_NULL)
		CR_LOWER(crcp_lower.MPI_Type_free(&real_etype));
	if (real_filetype != byte && crcp_datatype_find(real_filetype) == MPI_DATATYPE_NULL)
		CR_LOWER(crcp_lower.MPI_Type_free(&real_filetype));
	f->recipe->disp = disp;
	memcpy(f->recipe->datarep, datarep, sizeof(datarep));
	crcp_file_keep_info(f, info);
}

CRCP_API(int, MPI_File_set_view,
	 (MPI_File file, MPI_Offset disp, MPI_Datatype etype, MPI_Datatype filetype, const char *datarep, MPI_Info info))
{
	MPI_Datatype real_etype, real_filetype;
	MPI_Info real_info;
	MPI_File real;
	int r;

	crcp_call_begin();
	crcp_file_collective(file);
	real = CRCP_REAL(MPI_File, file);
	real_etype = CRCP_REAL(MPI_Datatype, etype);
	real_filetype = CRCP_REAL(MPI_Datatype, filetype);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_File_set_view(real, disp, real_etype, real_filetype, datarep, real_info));
	if (r == MPI_SUCCESS && crcp_is_live(file))
		keep_view(file_of(file), etype, filetype, info);
	crcp_call_end();
	return fail(file, r, "MPI_File_set_view");
}

CRCP_API(int, MPI_File_set_info, (MPI_File file, MPI_Info info))
{
	MPI_Info real_info;
	MPI_File real;
	int r;

	crcp_call_begin();
	crcp_file_collective(file);
	real = CRCP_REAL(MPI_File, file);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_File_set_info(real, real_info));
	if (r == MPI_SUCCESS && crcp_file_recipe(file))
		crcp_file_keep_info(file_of(file), info);
	crcp_call_end();
	return fail(file, r, "MPI_File_set_info");
}

CRCP_API(int, MPI_File_get_amode, (MPI_File file, int *amode))
{
	MPI_File real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_File, file);
	r = CR_LOWER(crcp_lower.MPI_File_get_amode(real, amode));
	if (r == MPI_SUCCESS && crcp_file_recipe(file)) /* after a restart it was opened with less */
		*amode = file_of(file)->recipe->amode;
	crcp_call_end();
	return fail(file, r, "MPI_File_get_amode");
}

CRCP_API(int, MPI_File_get_view, (MPI_File file, MPI_Offset *disp, MPI_Datatype *etype, MPI_Datatype *filetype, char *datarep))
{
	MPI_Datatype real_etype = NULL, real_filetype = NULL;
	MPI_File real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_File, file);
	r = CR_LOWER(crcp_lower.MPI_File_get_view(real, disp, etype ? &real_etype : NULL, filetype ? &real_filetype : NULL, datarep));
	if (r == MPI_SUCCESS) {
		/* the real library gives duplicates; the program gets its own types with a reference, which it frees */
		if (real_etype != crcp_real(MPI_BYTE) && crcp_datatype_find(real_etype) == MPI_DATATYPE_NULL)
			CR_LOWER(crcp_lower.MPI_Type_free(&real_etype));
		if (real_filetype != crcp_real(MPI_BYTE) && crcp_datatype_find(real_filetype) == MPI_DATATYPE_NULL)
			CR_LOWER(crcp_lower.MPI_Type_free(&real_filetype));
		*etype = (MPI_Datatype)(void *)file_of(file)->etype;
		*filetype = (MPI_Datatype)(void *)file_of(file)->filetype;
		crcp_datatype_get(*etype);
		crcp_datatype_get(*filetype);
	}
	crcp_call_end();
	return fail(file, r, "MPI_File_get_view");
}

CRCP_API(int, MPI_File_get_group, (MPI_File file, MPI_Group *group))
{
	MPI_Group real_group = NULL, made = NULL;
	MPI_File real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_File, file);
	r = CR_LOWER(crcp_lower.MPI_File_get_group(real, group ? &real_group : NULL));
	if (r == MPI_SUCCESS)
		made = crcp_group_adopt(real_group);
	crcp_call_end();
	if (r == MPI_SUCCESS)
		*group = made;
	return fail(file, r, "MPI_File_get_group");
}

CRCP_API(int, MPI_File_get_info, (MPI_File file, MPI_Info *info))
{
	MPI_Info real_info = NULL, made = NULL;
	MPI_File real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_File, file);
	r = CR_LOWER(crcp_lower.MPI_File_get_info(real, info ? &real_info : NULL));
	if (r == MPI_SUCCESS)
		made = crcp_info_adopt(real_info);
	crcp_call_end();
	if (r == MPI_SUCCESS)
		*info = made;
	return fail(file, r, "MPI_File_get_info");
}

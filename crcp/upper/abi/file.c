/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files run natively; while one is open the process cannot be checkpointed, and says so.
 */
#include "crcp/upper/abi/objects.h"

static const char nocr_text[] = "a file is open with MPI_File_open (MPI input and output is not saved yet)";

static inline struct crcp_file *file_of(MPI_File f) { return (struct crcp_file *)(void *)f; }

static int fail(MPI_File file, int r, const char *function)
{
	return r == MPI_SUCCESS ? r : crcp_file_error(file_of(file), r, function);
}

CRCP_API(int, MPI_File_open, (MPI_Comm comm, const char *filename, int amode, MPI_Info info, MPI_File *ret_file))
{
	struct crcp_file *none = (struct crcp_file *)(void *)MPI_FILE_NULL, *f = NULL;
	MPI_File real = NULL;
	MPI_Comm real_comm;
	MPI_Info real_info;
	int r;

	crcp_call_begin();
	crcp_nocr_add(CRCP_NOCR_FILE, nocr_text);
	crcp_enter_collective(comm);
	real_comm = CRCP_REAL(MPI_Comm, comm);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_File_open(real_comm, filename, amode, real_info, &real));
	if (r == MPI_SUCCESS) {
		f = crcp_alloc(sizeof(*f));
		if (!f)
			r = MPI_ERR_NO_MEM;
	}
	if (f) {
		f->h = (struct crcp_handle){ .real = real, .kind = CRCP_FILE, .fint = -1, .refs = 1 };
		f->errhandler = none->errhandler ? none->errhandler : MPI_ERRORS_RETURN;
		crcp_handle_get((void *)f->errhandler);
		f->etype = f->filetype = crcp_datatype(MPI_BYTE);
	} else {
		crcp_nocr_drop(CRCP_NOCR_FILE);
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_file_error(none, r, "MPI_File_open");
	*ret_file = (MPI_File)(void *)f;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_File_close, (MPI_File * file))
{
	struct crcp_file *f = file && crcp_is_live(*file) ? file_of(*file) : NULL;
	MPI_Errhandler handler;
	MPI_File real;
	int r;

	crcp_call_begin();
	real = file ? CRCP_REAL(MPI_File, *file) : NULL;
	r = CR_LOWER(crcp_lower.MPI_File_close(&real));
	if (r == MPI_SUCCESS && f) {
		crcp_nocr_drop(CRCP_NOCR_FILE);
		crcp_datatype_put((MPI_Datatype)(void *)f->etype);
		crcp_datatype_put((MPI_Datatype)(void *)f->filetype);
		handler = f->errhandler;
		PMPI_Errhandler_free(&handler);
		crcp_fint_release(&f->h);
		crcp_free(f);
	}
	crcp_call_end();
	if (r != MPI_SUCCESS)
		return crcp_file_error(f, r, "MPI_File_close");
	*file = MPI_FILE_NULL;
	return MPI_SUCCESS;
}

CRCP_API(int, MPI_File_set_view,
	 (MPI_File file, MPI_Offset disp, MPI_Datatype etype, MPI_Datatype filetype, const char *datarep, MPI_Info info))
{
	struct crcp_file *f = file_of(file);
	MPI_Datatype real_etype, real_filetype;
	MPI_Info real_info;
	MPI_File real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_File, file);
	real_etype = CRCP_REAL(MPI_Datatype, etype);
	real_filetype = CRCP_REAL(MPI_Datatype, filetype);
	real_info = crcp_info_real(info);
	r = CR_LOWER(crcp_lower.MPI_File_set_view(real, disp, real_etype, real_filetype, datarep, real_info));
	if (r == MPI_SUCCESS && crcp_is_live(file)) {
		crcp_datatype_get(etype);
		crcp_datatype_get(filetype);
		crcp_datatype_put((MPI_Datatype)(void *)f->etype);
		crcp_datatype_put((MPI_Datatype)(void *)f->filetype);
		f->etype = crcp_datatype(etype);
		f->filetype = crcp_datatype(filetype);
	}
	crcp_call_end();
	return fail(file, r, "MPI_File_set_view");
}

CRCP_API(int, MPI_File_get_view, (MPI_File file, MPI_Offset *disp, MPI_Datatype *etype, MPI_Datatype *filetype, char *datarep))
{
	MPI_Datatype real_etype = NULL, real_filetype = NULL;
	MPI_File real;
	int r;

	crcp_call_begin();
	real = CRCP_REAL(MPI_File, file);
	r = CR_LOWER(crcp_lower.MPI_File_get_view(real, disp, &real_etype, &real_filetype, datarep));
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
	r = CR_LOWER(crcp_lower.MPI_File_get_group(real, &real_group));
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
	r = CR_LOWER(crcp_lower.MPI_File_get_info(real, &real_info));
	if (r == MPI_SUCCESS)
		made = crcp_info_adopt(real_info);
	crcp_call_end();
	if (r == MPI_SUCCESS)
		*info = made;
	return fail(file, r, "MPI_File_get_info");
}

/* ---- data representations of the program: its functions are called from below ---- */
struct datarep {
	MPI_Datarep_conversion_function *read, *write;
	MPI_Datarep_extent_function *extent;
	void *extra;
};

static uint64_t convert_upcall(MPI_Datarep_conversion_function *fn, const struct datarep *d, uint64_t *a)
{
	return (uint64_t)(int64_t)fn((void *)a[0], crcp_datatype_find((MPI_Datatype)a[1]), (int)a[2], (void *)a[3], (MPI_Offset)a[4], d->extra);
}

static uint64_t read_upcall(void *arg, uint64_t *a)
{
	return convert_upcall(((struct datarep *)arg)->read, arg, a);
}

static uint64_t write_upcall(void *arg, uint64_t *a)
{
	return convert_upcall(((struct datarep *)arg)->write, arg, a);
}

static uint64_t extent_upcall(void *arg, uint64_t *a)
{
	const struct datarep *d = arg;

	return (uint64_t)(int64_t)d->extent(crcp_datatype_find((MPI_Datatype)a[0]), (MPI_Aint *)a[1], d->extra);
}

CRCP_API(int, MPI_Register_datarep,
	 (const char *name, MPI_Datarep_conversion_function *read_fn, MPI_Datarep_conversion_function *write_fn, MPI_Datarep_extent_function *extent_fn,
	  void *extra))
{
	MPI_Datarep_conversion_function *lower_read, *lower_write;
	MPI_Datarep_extent_function *lower_extent;
	struct datarep *d;
	int r = MPI_ERR_NO_MEM;

	crcp_call_begin();
	d = crcp_alloc(sizeof(*d));
	if (d) {
		*d = (struct datarep){ read_fn, write_fn, extent_fn, extra };
		lower_read = read_fn ? (MPI_Datarep_conversion_function *)CR_GATE->thunk_create(read_upcall, d) : NULL;
		lower_write = write_fn ? (MPI_Datarep_conversion_function *)CR_GATE->thunk_create(write_upcall, d) : NULL;
		lower_extent = extent_fn ? (MPI_Datarep_extent_function *)CR_GATE->thunk_create(extent_upcall, d) : NULL;
		r = CR_LOWER(crcp_lower.MPI_Register_datarep(name, lower_read, lower_write, lower_extent, NULL));
		if (r == MPI_SUCCESS)
			crcp_nocr_add(CRCP_NOCR_DATAREP, "a data representation was registered with MPI_Register_datarep (not saved yet)");
	}
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_error(NULL, r, "MPI_Register_datarep");
}

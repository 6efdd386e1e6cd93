/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split collectives: both calls count as collectives of the file. A checkpoint between the two ends the operation below; the program's
 * second call finds the result.
 */
#include "crcp/upper/abi/file.h"

/* The end of a first call. */
static int begun(MPI_File file, int r, int (*end)(MPI_File, void *, MPI_Status *), const void *buf, const char *function)
{
	struct crcp_file_recipe *recipe = crcp_file_recipe(file);

	if (r == MPI_SUCCESS && recipe)
		recipe->split = (struct crcp_split){ .state = CRCP_SPLIT_BEGUN, .end = end, .buf = (void *)(uintptr_t)buf };
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_file_error(crcp_file_of(file), r, function);
}

/* Another operation of the kind is under way: the library below has forgotten it when a checkpoint has ended it. */
static bool is_ended(MPI_File file)
{
	struct crcp_file_recipe *recipe = crcp_file_recipe(file);

	return recipe && recipe->split.state == CRCP_SPLIT_ENDED;
}

static int finish(MPI_File file, void *buf, MPI_Status *status, int (*end)(MPI_File, void *, MPI_Status *), const char *function)
{
	struct crcp_file_recipe *recipe = crcp_file_recipe(file);
	MPI_File real;
	int r;

	crcp_call_begin();
	crcp_file_collective(file);
	if (is_ended(file) && recipe->split.end == end) {
		r = recipe->split.code;
		if (status != MPI_STATUS_IGNORE)
			*status = recipe->split.status;
	} else {
		real = CRCP_REAL(MPI_File, file);
		r = end(real, buf, status);
	}
	if (recipe)
		recipe->split.state = CRCP_SPLIT_NONE;
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_file_error(crcp_file_of(file), r, function);
}

/* Done at once, at the first call (crcp_file_at_once): as if a checkpoint had come between the two. */
static int begun_at_once(MPI_File file, int r, int (*end)(MPI_File, void *, MPI_Status *), const MPI_Status *status, const char *function)
{
	struct crcp_file_recipe *recipe = crcp_file_recipe(file);

	if (r == MPI_SUCCESS)
		recipe->split = (struct crcp_split){ .state = CRCP_SPLIT_ENDED, .end = end, .code = MPI_SUCCESS, .status = *status };
	crcp_call_end();
	return r == MPI_SUCCESS ? r : crcp_file_error(crcp_file_of(file), r, function);
}

#define SPLIT(what, cv, is_shared, params, ...)                                                                 \
	static int what##_end(MPI_File real, void *buf, MPI_Status *status)                                     \
	{                                                                                                       \
		return CR_LOWER(crcp_lower.MPI_File_##what##_end(real, buf, status));                           \
	}                                                                                                       \
	CRCP_API(int, MPI_File_##what##_begin, params)                                                          \
	{                                                                                                       \
		MPI_Datatype real_type;                                                                         \
		MPI_Status status = { 0 };                                                                      \
		MPI_File real;                                                                                  \
		int r;                                                                                          \
                                                                                                                \
		crcp_call_begin();                                                                              \
		crcp_file_collective(file);                                                                     \
		if (is_shared)                                                                                  \
			crcp_file_uses_shared(file);                                                            \
		real = CRCP_REAL(MPI_File, file);                                                               \
		real_type = CRCP_REAL(MPI_Datatype, type);                                                      \
		if (crcp_file_at_once() && crcp_file_recipe(file)) {                                            \
			MPI_Status *s = &status;                                                                \
			r = is_ended(file) ? MPI_ERR_OTHER : CR_LOWER(crcp_lower.MPI_File_##what(__VA_ARGS__, s)); \
			return begun_at_once(file, r, what##_end, s, "MPI_File_" #what "_begin");               \
		}                                                                                               \
		r = is_ended(file) ? MPI_ERR_OTHER : CR_LOWER(crcp_lower.MPI_File_##what##_begin(__VA_ARGS__)); \
		return begun(file, r, what##_end, buf, "MPI_File_" #what "_begin");                             \
	}                                                                                                       \
	CRCP_API(int, MPI_File_##what##_end, (MPI_File file, cv void *buf, MPI_Status *status))                 \
	{                                                                                                       \
		return finish(file, (void *)(uintptr_t)buf, status, what##_end, "MPI_File_" #what "_end");      \
	}
SPLIT(read_all, , false, (MPI_File file, void *buf, int count, MPI_Datatype type), real, buf, count, real_type)
SPLIT(read_at_all, , false, (MPI_File file, MPI_Offset offset, void *buf, int count, MPI_Datatype type), real, offset, buf, count, real_type)
SPLIT(read_ordered, , true, (MPI_File file, void *buf, int count, MPI_Datatype type), real, buf, count, real_type)
SPLIT(write_all, const, false, (MPI_File file, const void *buf, int count, MPI_Datatype type), real, buf, count, real_type)
SPLIT(write_at_all, const, false, (MPI_File file, MPI_Offset offset, const void *buf, int count, MPI_Datatype type), real, offset, buf, count, real_type)
SPLIT(write_ordered, const, true, (MPI_File file, const void *buf, int count, MPI_Datatype type), real, buf, count, real_type)

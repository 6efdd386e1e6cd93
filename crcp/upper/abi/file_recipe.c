/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered of an open file, what is noted of it at a checkpoint, and how it is opened again after a restart.
 *
 * A file is opened again by all who had it open, where it was: under its absolute path, with the view, pointers and atomicity of the checkpoint.
 * It is never made, emptied or cut: MPI_MODE_CREATE, EXCL and APPEND are left out. Its content is the program's; what is written after
 * the checkpoint is written again after the restart, over the same bytes.
 *
 * Every rank opens its files in the order of their clock ids, which all members share, so no two wait for each other in a circle.
 */
#include "crcp/upper/abi/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOT_AGAIN (MPI_MODE_CREATE | MPI_MODE_EXCL | MPI_MODE_APPEND)

static struct crcp_file *files;

/* ---- what is remembered ---- */
/* "ufs:name" asks some libraries for a kind of file system: the length of that. */
static size_t prefix_bytes(const char *filename)
{
	const char *colon = strchr(filename, ':'), *slash = strchr(filename, '/');
	struct stat st;

	if (!colon || (slash && slash < colon) || stat(filename, &st) == 0)
		return 0;
	return (size_t)(colon + 1 - filename);
}

static int keep_path(struct crcp_file_recipe *f, const char *filename)
{
	size_t prefix = prefix_bytes(filename), dir = 0;
	char cwd[4096];

	cwd[0] = '\0';
	if (filename[prefix] != '/') {
		if (!getcwd(cwd, sizeof(cwd) - 1))
			return -errno;
		dir = strlen(cwd);
		cwd[dir++] = '/';
	}
	f->path = crcp_alloc(strlen(filename) + dir + 1);
	if (!f->path)
		return -ENOMEM;
	memcpy(f->path, filename, prefix);
	memcpy(f->path + prefix, cwd, dir);
	strcpy(f->path + prefix + dir, filename + prefix);
	f->name = f->path + prefix;
	return 0;
}

static void recipe_free(struct crcp_file_recipe *f)
{
	crcp_free(f->path);
	crcp_free((void *)(uintptr_t)f->members.world_ranks);
	crcp_info_destroy(f->info);
	crcp_free(f);
}

struct crcp_file_recipe *crcp_file_recipe_create(struct crcp_comm *comm, const char *filename, int amode, MPI_Info info)
{
	struct crcp_file_recipe *f = crcp_alloc(sizeof(*f));

	if (!f)
		return NULL;
	f->members.rank = comm->rank;
	f->members.size = comm->size;
	f->members.clock_id = crcp_clock_id(comm->clock_id, crcp_comm_child(comm), comm->world_ranks, comm->size);
	f->members.world_ranks = crcp_dup(comm->world_ranks, (size_t)comm->size * sizeof(int));
	f->amode = amode;
	f->uses_shared = (amode & MPI_MODE_APPEND) != 0;
	strcpy(f->datarep, "native");
	if (crcp_is_live(info) && !(((struct crcp_handle *)(void *)info)->flags & CRCP_H_PREDEFINED))
		f->info = crcp_info_copy((struct crcp_info *)(void *)info);
	if (!f->members.world_ranks || keep_path(f, filename) < 0) {
		recipe_free(f);
		return NULL;
	}
	return f;
}

void crcp_file_keep_info(struct crcp_file *f, MPI_Info info)
{
	struct crcp_file_recipe *recipe = f->recipe;

	if (!crcp_is_live(info) || ((struct crcp_handle *)(void *)info)->flags & CRCP_H_PREDEFINED)
		return;
	if (!recipe->info)
		recipe->info = crcp_info_copy((struct crcp_info *)(void *)info);
	else
		crcp_info_merge(recipe->info, (struct crcp_info *)(void *)info);
}

void crcp_file_publish(struct crcp_file *f)
{
	struct crcp_file_recipe *recipe = f->recipe;
	struct stat st;

	if (stat(recipe->name, &st) == 0) {
		recipe->dev = st.st_dev;
		recipe->ino = st.st_ino;
	}
	crcp_clock_attach(&recipe->members);
	crcp_abi_lock();
	recipe->prev = NULL;
	recipe->next = files;
	if (files)
		files->recipe->prev = f;
	files = f;
	crcp_abi_unlock();
}

void crcp_file_recipe_destroy(struct crcp_file *f)
{
	struct crcp_file_recipe *recipe = f->recipe;

	if (!recipe)
		return;
	crcp_abi_lock();
	if (recipe->prev)
		recipe->prev->recipe->next = recipe->next;
	else if (files == f)
		files = recipe->next;
	if (recipe->next)
		recipe->next->recipe->prev = recipe->prev;
	crcp_abi_unlock();
	crcp_clock_detach(&recipe->members);
	recipe_free(recipe);
	f->recipe = NULL;
}

void crcp_file_collective(MPI_File file)
{
	struct crcp_file_recipe *recipe = crcp_file_recipe(file);

	if (recipe)
		crcp_collective_enter(&recipe->members);
}

void crcp_file_uses_shared(MPI_File file)
{
	struct crcp_file_recipe *recipe = crcp_file_recipe(file);

	if (recipe)
		recipe->uses_shared = 1;
}

/* ---- what a drain notes: no stdio, it may run in a signal handler ---- */
static int drain_fail(int code, const struct crcp_file_recipe *recipe, const char *what)
{
	char *text = crcp.board.error_text;
	size_t room = sizeof(crcp.board.error_text) - 1, about = strlen(what), name = strlen(recipe->name);

	if (name > room - about)
		name = room - about;
	memcpy(text, recipe->name, name);
	strcpy(text + name, what);
	return code;
}

/* The second call of a split collective that all members have begun: the program finds its result later. */
static void split_end(struct crcp_file *f)
{
	struct crcp_split *s = &f->recipe->split;

	if (s->state != CRCP_SPLIT_BEGUN)
		return;
	s->code = s->end((MPI_File)f->h.real, s->buf, &s->status);
	s->state = CRCP_SPLIT_ENDED;
}

static int note(struct crcp_file *f)
{
	struct crcp_file_recipe *recipe = f->recipe;
	MPI_File real = (MPI_File)f->h.real;
	MPI_Offset *position = &recipe->position, *shared = &recipe->shared;
	int *atomic = &recipe->atomic;
	struct stat st;

	split_end(f);
	if (CR_LOWER(crcp_lower.MPI_File_get_position(real, position)) != MPI_SUCCESS)
		recipe->position = -1;
	if (CR_LOWER(crcp_lower.MPI_File_get_atomicity(real, atomic)) != MPI_SUCCESS)
		recipe->atomic = 0;
	recipe->shared = -1;
	if (recipe->uses_shared && CR_LOWER(crcp_lower.MPI_File_get_position_shared(real, shared)) != MPI_SUCCESS)
		return drain_fail(-ENOTSUP, recipe, ", open with MPI_File_open, has a shared pointer that the MPI library does not tell (sequential mode): close it first");
	if (!recipe->ino) /* it had no name that could be looked at here */
		return 0;
	if (stat(recipe->name, &st) < 0 || st.st_dev != recipe->dev || st.st_ino != recipe->ino)
		return drain_fail(-ENOENT, recipe, ", open with MPI_File_open, was removed or replaced: a restart could not open it; close it first");
	return 0;
}

int crcp_files_drain(void)
{
	int r = 0;

	for (struct crcp_file *f = files; f && r == 0; f = f->recipe->next)
		r = note(f);
	return r;
}

/* ---- opening again ---- */
static int rebuild_fail(const struct crcp_file_recipe *recipe, const char *what, int code)
{
	char text[MPI_MAX_ERROR_STRING + 400], why[MPI_MAX_ERROR_STRING];
	char *where = why;
	int length = 0, *l = &length;

	why[0] = '\0';
	CR_LOWER(crcp_lower.MPI_Error_string(code, where, l));
	length = snprintf(text, sizeof(text), "ompi-cr: rank %d: %s, open at the checkpoint, cannot be %s again: %s\n", crcp.board.world_rank, recipe->path, what,
			  why);
	if (write(2, text, (size_t)length) < 0)
		return -EIO;
	return -EIO;
}

/* The shared pointer of all: whoever has used it knows it. */
static int put_shared(struct crcp_file_recipe *recipe, MPI_File real, MPI_Comm comm)
{
	MPI_Datatype number = (MPI_Datatype)crcp_real(MPI_INT64_T);
	MPI_Op op = (MPI_Op)crcp_real(MPI_MAX);
	int64_t mine = recipe->shared, all = -1;
	int64_t *in = &mine, *out = &all;
	int r;

	r = CR_LOWER(crcp_lower.MPI_Allreduce(in, out, 1, number, op, comm));
	if (r == MPI_SUCCESS && all >= 0)
		r = CR_LOWER(crcp_lower.MPI_File_seek_shared(real, (MPI_Offset)all, MPI_SEEK_SET));
	return r;
}

static int put_state(struct crcp_file *f, MPI_File real, MPI_Comm comm)
{
	struct crcp_file_recipe *recipe = f->recipe;
	MPI_Datatype etype = (MPI_Datatype)f->etype->head.h.real, filetype = (MPI_Datatype)f->filetype->head.h.real;
	MPI_Info none = (MPI_Info)crcp_real(MPI_INFO_NULL);
	const char *datarep = recipe->datarep;
	MPI_Offset disp = recipe->disp, position = recipe->position;
	int r;

	r = CR_LOWER(crcp_lower.MPI_File_set_view(real, disp, etype, filetype, datarep, none));
	if (r != MPI_SUCCESS)
		return rebuild_fail(recipe, "given its view", r);
	r = recipe->atomic ? CR_LOWER(crcp_lower.MPI_File_set_atomicity(real, 1)) : MPI_SUCCESS;
	if (r != MPI_SUCCESS)
		return rebuild_fail(recipe, "made atomic", r);
	r = put_shared(recipe, real, comm);
	/* A sequential file has no other pointer, and a library may not let us set it. */
	if (r == MPI_SUCCESS && position >= 0 && !(recipe->amode & MPI_MODE_SEQUENTIAL))
		r = CR_LOWER(crcp_lower.MPI_File_seek(real, position, MPI_SEEK_SET));
	return r == MPI_SUCCESS ? 0 : rebuild_fail(recipe, "positioned", r);
}

static int rebuild(struct crcp_file *f)
{
	struct crcp_file_recipe *recipe = f->recipe;
	MPI_Info info = crcp_info_real(recipe->info ? (MPI_Info)(void *)recipe->info : MPI_INFO_NULL);
	int amode = recipe->amode & ~NOT_AGAIN, r;
	const char *path = recipe->path;
	MPI_File real = NULL;
	MPI_Comm comm;

	r = crcp_comm_make_plain(recipe->members.world_ranks, recipe->members.size, &comm);
	if (r < 0)
		return r;
	r = CR_LOWER(crcp_lower.MPI_File_open(comm, path, amode, info, &real));
	if (r != MPI_SUCCESS) {
		r = rebuild_fail(recipe, "opened", r);
	} else {
		f->h.real = real;
		crcp_file_keep_handler(f);
		r = put_state(f, real, comm);
	}
	CR_LOWER(crcp_lower.MPI_Comm_free(&comm));
	return r;
}

int crcp_files_rebuild(void)
{
	uint64_t done = 0;

	/* In the order of their ids: a program has few files. */
	for (;;) {
		struct crcp_file *next = NULL;
		int r;

		for (struct crcp_file *f = files; f; f = f->recipe->next)
			if (f->recipe->members.clock_id > done && (!next || f->recipe->members.clock_id < next->recipe->members.clock_id))
				next = f;
		if (!next)
			return 0;
		done = next->recipe->members.clock_id;
		r = rebuild(next);
		if (r < 0)
			return r;
	}
}

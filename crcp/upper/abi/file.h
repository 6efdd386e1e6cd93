/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Open files: what is needed to open them again, and who knows what about them. */
#ifndef CRCP_FILE_H
#define CRCP_FILE_H

#include <sys/types.h>

#include "crcp/upper/abi/objects.h"

enum crcp_split_state { CRCP_SPLIT_NONE = 0, CRCP_SPLIT_BEGUN, CRCP_SPLIT_ENDED };

/* A split collective between its two calls. */
struct crcp_split {
	enum crcp_split_state state;
	int (*end)(MPI_File real, void *buf, MPI_Status *status); /* the second call below, upper-half code */
	void *buf;
	MPI_Status status; /* ENDED: by a drain; the program has yet to fetch it */
	int code;
};

struct crcp_file_recipe {
	struct crcp_file *prev, *next; /* open files */
	struct crcp_comm members;      /* no communicator of the program: clock, size and world ranks of those who opened the file */
	char *path;                    /* as it is opened again: absolute, behind the prefix that names a kind of file system */
	const char *name;              /* @path without the prefix */
	int amode;
	struct crcp_info *info;        /* all hints that were given so far; owned; NULL: none */
	char datarep[MPI_MAX_DATAREP_STRING];
	dev_t dev;                     /* of the file under @name when it was opened */
	ino_t ino;
	int uses_shared;               /* this rank has used the shared pointer, or it did not begin at 0 */
	struct crcp_split split;

	/* noted by a drain */
	MPI_Offset disp;
	MPI_Offset position; /* -1: the library does not tell */
	MPI_Offset shared;   /* -1: this rank has not used it */
	int atomic;
};

static inline struct crcp_file *crcp_file_of(MPI_File f) { return (struct crcp_file *)(void *)f; }
static inline struct crcp_file_recipe *crcp_file_recipe(MPI_File f) { return crcp_is_live(f) ? crcp_file_of(f)->recipe : NULL; }

/**
 * crcp_file_recipe_create - what is needed to open a file again
 * @comm: that it is opened on, live; an intra-communicator
 * @filename: as the program names it
 * @amode: as the program gives it
 * @info: the program's handle
 *
 * Context: inside a call, before the file is opened below. All members of @comm call it in the same order as other collectives.
 * Return: the recipe, or NULL when out of memory.
 */
struct crcp_file_recipe *crcp_file_recipe_create(struct crcp_comm *comm, const char *filename, int amode, MPI_Info info);
/* The file is open: count its collectives, find it at a checkpoint. */
void crcp_file_publish(struct crcp_file *f);
/* Takes the record out of everything. NULL, and one that was not published, are allowed. */
void crcp_file_recipe_destroy(struct crcp_file *f);
/* Hints that were given later. */
void crcp_file_keep_info(struct crcp_file *f, MPI_Info info);

#endif

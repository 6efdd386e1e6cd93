/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where cr_checkpoint puts the complete context file. */
#ifndef CR_CHECKPOINT_FILE_H
#define CR_CHECKPOINT_FILE_H

#include <stdbool.h>

#include "libcr/cr_err.h"

/* When the file exists. */
enum checkpoint_replace { CHECKPOINT_REPLACE, CHECKPOINT_NOCLOBBER, CHECKPOINT_BACKUP };

struct checkpoint_file {
	const char *name, *dir; /* as the user gave them; NULL: none */
	int fd;                 /* the file is copied to it; -1: none */
	bool nosync;
	bool quiet;             /* no bar while it is copied */
	enum checkpoint_replace replace;
	const char *backup_name; /* NULL: NAME.~N~ */
	char path[1024];         /* absolute; of a temporary one with @fd */
	char temporary[1024];    /* what the process writes */
};

/* Decides the paths for process @pid, and refuses what would fail in the end: 0 or a negative errno. A temporary file is removed when a signal ends us. */
int checkpoint_file_init(struct checkpoint_file *f, int pid, struct cr_err *err);

/* The temporary file is complete: in one step it becomes the file. On failure it is gone and the old file is as it was. */
int checkpoint_file_commit(struct checkpoint_file *f, struct cr_err *err);

/* Removes the temporary file. */
void checkpoint_file_abandon(const struct checkpoint_file *f);

#endif

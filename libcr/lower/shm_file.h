/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of /dev/shm that a process, or a set, maps shared and nobody else does: their content. */
#ifndef CR_SHM_FILE_H
#define CR_SHM_FILE_H

#include <stdbool.h>

#include "libcr/cr_err.h"

struct cr_image;
struct cr_image_writer;

/* SHM_FILE and SHM_DATA records. Everything that may use them stands still. 0 or a negative errno. */
int cr_shm_save(struct cr_image_writer *w, struct cr_err *err);
/* Nothing changed yet. Those that will be made are known to cr_shm_makes() from then on: nobody need miss them. */
int cr_shm_restore_check(const struct cr_image *img, struct cr_err *err);
bool cr_shm_makes(const char *path);
/* Before anybody maps or opens one. */
int cr_shm_restore(const struct cr_image *img, struct cr_err *err);

#endif

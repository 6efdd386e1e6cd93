/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the upper half: find it, save it, put it back.
 *
 * The program's memory is every mapping in the window plus the extra ranges outside of it (non-PIE executables, MAP_32BIT, fixed
 * addresses). Lower half; plain libc code; runs in the agent thread, in its forked copy-on-write child, or in cr_restart.
 */
#ifndef CR_MEM_H
#define CR_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "libcr/image/cr_image.h"

struct cr_mem_range {
	uint64_t start;
	uint64_t end;
};

struct cr_mem_areas; /* parsed /proc/self/smaps of the program's ranges */

/* Receives one reason per call why a process cannot be checkpointed. */
typedef void (*cr_nocr_fn)(void *arg, const char *reason);

/* Take stock of the program's mappings. @extra: ranges outside of the window. */
int cr_mem_areas_create(const struct cr_mem_range *extra, unsigned int n_extra, struct cr_mem_areas **ret, struct cr_err *err);
void cr_mem_areas_destroy(struct cr_mem_areas *areas);
/* Reasons why these areas cannot be saved (device mappings, shared memory with somebody else, deleted shared files, ...). Returns their number. */
int cr_mem_check(const struct cr_mem_areas *areas, cr_nocr_fn report, void *arg);
/* True when the areas can be captured by fork() (no MADV_DONTFORK, no MADV_WIPEONFORK, ...). */
bool cr_mem_forkable(const struct cr_mem_areas *areas);
/* Write VMA and PAGES records. Called in the process itself or in its forked child; may change protections in a child (@in_child). */
int cr_mem_save(const struct cr_mem_areas *areas, struct cr_image_writer *w, bool in_child, struct cr_err *err);
/* Before anything is changed: can every area of the image be put back here? (ranges free, files present and unchanged) */
int cr_mem_restore_check(const struct cr_image *img, struct cr_err *err);
/* Map and fill every area. The last protections are applied. On failure the process is to exit. */
int cr_mem_restore(const struct cr_image *img, struct cr_err *err);

#endif

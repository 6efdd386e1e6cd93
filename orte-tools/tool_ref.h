/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From what a user writes to a reference directory. */
#ifndef TOOL_REF_H
#define TOOL_REF_H

#include <limits.h>

#include "libcr/cr_err.h"

/* Directory of the references: the MCA parameter ompi_cr_snapshot_dir, $OMPI_CR_SNAPSHOT_DIR, $HOME. Borrowed. */
const char *tool_snapshot_dir(void);

/**
 * tool_ref_resolve - find the reference directory
 * @ref: a path (with '/'), or a name under @dir, or in the working directory; "/" at the end does no harm
 * @dir: directory of the references, or NULL for tool_snapshot_dir()
 * @ret_path: PATH_MAX bytes; absolute
 *
 * Return: 0 or -errno with words that list what was tried.
 */
int tool_ref_resolve(const char *ref, const char *dir, char *ret_path, struct cr_err *err);

#endif

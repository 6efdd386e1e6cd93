/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-snapshot list and show. */
#ifndef SNAPSHOT_PRINT_H
#define SNAPSHOT_PRINT_H

#include <stdbool.h>

#include "snapc/meta.h"

/* List every reference under @dir, or the one at @ref_dir when that is not NULL. Return: 0, or -errno said on stderr. */
int snapshot_list(const char *dir, const char *ref_dir, bool json);
/* Everything that is known of one sequence. */
void snapshot_show(const struct snapc_snapshot *s);
void snapshot_show_json(const struct snapc_snapshot *s);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ompi-checkpoint --list: the global snapshots in the snapshot directory, in the words of the original. */
#ifndef ORTE_TOOLS_CHECKPOINT_LIST_H
#define ORTE_TOOLS_CHECKPOINT_LIST_H

#include <stdbool.h>

/* Prints to stdout, errors to stderr. Return: 0 or -errno. */
int tool_list(bool json);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A job whose mpirun is on another node: found by its contact file, reached by TCP, with the proofs of docs/protocol.md, section 5. */
#ifndef ORTE_TOOLS_TOOL_REMOTE_H
#define ORTE_TOOLS_TOOL_REMOTE_H

#include <stdbool.h>

#include "libcr/cr_err.h"
#include "snapc/registry.h"

/* Is it the node's? By its whole name, or by the part before the first dot. */
bool tool_remote_is_host(const struct snapc_registry_entry *entry, const char *host);

/**
 * tool_remote_find - look through the contact files of the caller's jobs
 * @visit: called for each whose mpirun is on @host until it returns something other than 0
 * @ret_dir: PATH_MAX; where the files are, for messages
 *
 * Return: 0, or -errno with words when settings or directory cannot be read.
 */
int tool_remote_find(const char *host, int (*visit)(void *arg, const struct snapc_registry_entry *entry), void *arg, char *ret_dir, struct cr_err *err);

/**
 * tool_remote_connect - connect to a job's coordinator, and have both sides prove who they are
 * @ret_fd: carries the lines of docs/protocol.md, section 2, from here on
 *
 * Return: 0, or -errno with words.
 */
int tool_remote_connect(const struct snapc_registry_entry *entry, int *ret_fd, struct cr_err *err);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of the MPI layer in the upper half.  Not the program's malloc: objects are made again and messages are taken in while a signal
 * handler may have interrupted malloc.  Used only inside wrappers, in the drain and in the rebuild, so it never interrupts itself.
 */
#ifndef CRCP_MEM_H
#define CRCP_MEM_H

#include <stddef.h>

/**
 * crcp_alloc - get zeroed memory, aligned to 16 bytes
 * @bytes: size; 0 gives a unique pointer
 *
 * Context: upper half, either a wrapper or the drain; no signal handler of its own; threads may call it at once.
 * Return: the memory, or NULL when the system has none.
 */
void *crcp_alloc(size_t bytes);

/** crcp_free - give memory back; NULL is allowed. */
void crcp_free(void *p);

/** crcp_dup - a copy of @bytes bytes at @p, or NULL when out of memory or @bytes is 0. */
void *crcp_dup(const void *p, size_t bytes);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local role: serves the agents of this node's processes, tells the global role which process stands for which rank, and
 * passes messages on.  It decides nothing about a checkpoint.
 *
 * Several processes may have the same rank: a shell script in front of the program, commands that it runs.  The one whose
 * MPI_Init has returned stands for the rank; while there is none, the oldest.  Of several with MPI (processes that the job has spawned have
 * ranks of their own MPI_COMM_WORLD) it is the first, and the others are counted as its rivals: such a job is refused.
 */
#ifndef SNAPC_LOCAL_H
#define SNAPC_LOCAL_H

#include "snapc/link.h"

struct event_base;
struct snapc_local;

/**
 * snapc_local_create - begin to serve agents
 * @base: event loop; borrowed
 * @fd: listening socket for the agents (snapc_listener_open()); borrowed
 * @link: to the global role; borrowed; its receive callback is set here. Nothing is sent before snapc_local_connected().
 */
int snapc_local_create(struct event_base *base, int fd, struct snapc_link *link, struct snapc_local **ret_local, struct cr_err *err);
void snapc_local_destroy(struct snapc_local *local);

/* The link carries messages from now on: say who is here. @node: number of this node in them. @instance: of this daemon. */
void snapc_local_connected(struct snapc_local *local, uint32_t node, uint64_t instance);
/*
 * The link is lost.  Processes in the middle of a checkpoint are told to go on: the coordinator has given it up, or it has all of their files.
 * They stay connected, and are named again when the link is back.
 */
void snapc_local_disconnected(struct snapc_local *local);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes up from a node and from all nodes below it, put together.
 *
 * The coordinator asks many ranks the same thing at once and needs the answers of all.  So answers are kept back here until all of them are there that were asked
 * for by way of this node, or for a moment (SNAPC_GATHER_MS) when some take longer, and then go up as one frame.  Everything else goes at once, and
 * takes what was kept back with it: the order is never changed.
 */
#ifndef SNAPC_LINK_GATHER_H
#define SNAPC_LINK_GATHER_H

#include "snapc/link.h"

#define SNAPC_GATHER_MS 20

struct event_base;
struct snapc_link_gather;

/* @above: where it goes; borrowed. */
struct snapc_link_gather *snapc_link_gather_create(struct event_base *base, struct snapc_link *above);
void snapc_link_gather_destroy(struct snapc_link_gather *gather);

/* A message from above, for this node or one below, passes. */
void snapc_link_gather_asked(struct snapc_link_gather *gather, const struct snapc_link_msg *msg);
/* Towards the coordinator. */
void snapc_link_gather_send(struct snapc_link_gather *gather, const struct snapc_link_msg *msg, const void *payload);
/* The connection is lost, or new: forget what was asked and what was kept back. */
void snapc_link_gather_reset(struct snapc_link_gather *gather);

#endif

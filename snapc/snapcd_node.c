/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The daemon of every other node: the local role, a connection upwards, and perhaps other nodes below. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "snapc/listener.h"
#include "snapc/log.h"
#include "snapc/snapcd_private.h"

/* Without it the node has nobody below it, and no more. */
static void node_open_below(struct snapcd *d)
{
	unsigned port = (unsigned)snapc_words_number(&d->coordinator, "port", 65535, 0);
	struct cr_err err = { "" };

	d->kept.addresses[0] = 0;
	if (snapc_link_server_listen(port, snapc_words_get(&d->coordinator, "network", ""), &d->kept.nodes, d->kept.addresses, &err) < 0)
		snapc_log(SNAPC_LOG_ERROR, "no other node will be below this one: %s", err.text);
}

int snapcd_node_open(struct snapcd *d, struct cr_err *err)
{
	const char *text = getenv(CR_ENV_COORDINATOR);
	int rc;

	snprintf(d->coordinator_text, sizeof(d->coordinator_text), "%s", text ? text : "");
	if (snapc_line_parse(d->coordinator_text, &d->coordinator) < 0 || snapc_words_number(&d->coordinator, "version", 1, 0) != 1)
		return cr_err_set(err, EINVAL, CR_ENV_COORDINATOR " does not say where the coordinator is");
	d->kept.fanin = (uint32_t)snapc_words_number(&d->coordinator, "fanin", 4096, 32);
	rc = snapc_auth_join(snapc_words_get(&d->coordinator, "key", ""), snapc_words_get(&d->coordinator, "auth", ""), &d->kept.auth, err);
	d->kept.auth.secret_path[0] = 0; /* the coordinator removes it */
	if (rc == 0)
		rc = snapcd_listen(d, d->o.agent_socket, &d->kept.agents, err);
	if (rc == 0)
		node_open_below(d);
	return rc;
}

/* --- upwards --- */

static void node_up(void *arg, uint32_t node)
{
	struct snapcd *d = arg;

	snapc_log(SNAPC_LOG_INFO, "job %s: connected to the coordinator, as node %u", d->o.settings.job_id, node);
	d->node = node;
	d->connected = true;
	snapc_link_gather_reset(d->gather);
	snapc_local_connected(d->local, node, snapc_link_client_instance(d->client));
}

static void node_down(void *arg)
{
	struct snapcd *d = arg;

	d->connected = false;
	snapc_link_gather_reset(d->gather);
	snapc_local_disconnected(d->local);
	if (d->relay)
		snapc_link_relay_let_go(d->relay);
}

static void node_failed(void *arg, const char *why)
{
	(void)arg;
	snapc_log(SNAPC_LOG_ERROR, "no connection to the coordinator: %s", why);
}

/* From above: for our local role or for a node below. */
static void node_receive(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapcd *d = arg;

	snapc_link_gather_asked(d->gather, msg);
	if (msg->node == d->node)
		d->node_link.receive(d->node_link.arg, msg, payload);
	else if (d->relay)
		snapc_link_relay_down(d->relay, msg, payload);
}

/* --- from the local role, and from below --- */

static void node_send(struct snapc_link *link, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapcd *d = (struct snapcd *)((char *)link - offsetof(struct snapcd, node_link));

	if (d->connected)
		snapc_link_gather_send(d->gather, msg, payload);
}

static void node_relayed(void *arg, const struct snapc_link_msg *msg, const void *payload)
{
	struct snapcd *d = arg;

	if (d->connected)
		snapc_link_gather_send(d->gather, msg, payload);
}

static bool node_connected(void *arg)
{
	struct snapcd *d = arg;

	return d->connected;
}

int snapcd_node_init(struct snapcd *d, struct cr_err *err)
{
	const struct snapc_link_client_user user = { .up = node_up, .down = node_down, .failed = node_failed, .arg = d };
	const struct snapc_link_relay_user below = { .up = node_relayed, .connected = node_connected, .arg = d };
	struct snapc_link *above;
	int rc;

	rc = snapc_link_client_create(d->base, &d->kept.auth, snapc_words_get(&d->coordinator, "addresses", ""), d->kept.addresses, &user, &d->client, err);
	if (rc < 0)
		return rc;
	above = snapc_link_client_link(d->client);
	above->receive = node_receive;
	above->arg = d;
	d->gather = snapc_link_gather_create(d->base, above);
	if (!d->gather)
		return cr_err_set(err, ENOMEM, "no memory");
	d->node_link.send = node_send;
	rc = snapc_local_create(d->base, d->kept.agents, &d->node_link, &d->local, err);
	if (rc == 0 && d->kept.nodes >= 0)
		rc = snapc_link_relay_create(d->base, &d->kept.auth, d->kept.nodes, d->kept.fanin, &below, &d->relay, err);
	return rc;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The message log: lists and matching. Nothing here touches the lower library.
 */
#include "crcp/upper/p2p/log.h"

#include "crcp/upper/mem.h"

struct crcp_log_message *crcp_log_create(int source, int tag, uint64_t bytes)
{
	struct crcp_log_message *m;

	if (bytes > SIZE_MAX - sizeof(*m))
		return NULL;
	m = crcp_alloc(sizeof(*m) + bytes);
	if (!m)
		return NULL;
	m->next = NULL;
	m->prev = NULL;
	m->source = source;
	m->tag = tag;
	m->bytes = bytes;
	m->data = (uint8_t *)(m + 1);
	return m;
}

void crcp_log_destroy(struct crcp_log_message *m)
{
	if (m)
		crcp_free(m);
}

void crcp_log_append(struct crcp_comm *c, struct crcp_log_message *m)
{
	m->next = NULL;
	m->prev = c->log_tail;
	if (c->log_tail)
		c->log_tail->next = m;
	else
		c->log_head = m;
	c->log_tail = m;
}

struct crcp_log_message *crcp_log_match(const struct crcp_comm *c, int source, int tag)
{
	struct crcp_log_message *m;

	for (m = c->log_head; m; m = m->next)
		if ((source == MPI_ANY_SOURCE || source == m->source) && (tag == MPI_ANY_TAG || tag == m->tag))
			return m;
	return NULL;
}

void crcp_log_take(struct crcp_comm *c, struct crcp_log_message *m)
{
	if (m->prev)
		m->prev->next = m->next;
	else
		c->log_head = m->next;
	if (m->next)
		m->next->prev = m->prev;
	else
		c->log_tail = m->prev;
	m->next = NULL;
	m->prev = NULL;
}

void crcp_log_clear(struct crcp_comm *c)
{
	struct crcp_log_message *m;

	while ((m = c->log_head) != NULL) {
		crcp_log_take(c, m);
		crcp_log_destroy(m);
	}
}

void crcp_log_status(const struct crcp_log_message *m, MPI_Status *status)
{
	if (status == MPI_STATUS_IGNORE)
		return;
	status->MPI_SOURCE = m->source;
	status->MPI_TAG = m->tag;
	status->_cancelled = 0;
	status->_ucount = m->bytes;
}

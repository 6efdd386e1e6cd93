/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits in a UNIX socket, written as FILE_DATA records.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "libcr/lower/files_ops.h"
#include "libcr/lower/files_queue.h"
#include "libcr/lower/set.h"

struct queue_out {
	const struct cr_file_set *set;
	const struct cr_open_file *file;
	struct cr_image_writer *w;
	uint32_t attrs;
};

static bool has_socket_at(const struct cr_file_set *set, const struct cr_file_message *m)
{
	for (unsigned int i = 0; i < set->n; i++) {
		const struct cr_file_socket *s = set->files[i].socket;

		if (s && s->address_bytes == m->address_bytes && memcmp(s->address, m->address, m->address_bytes) == 0)
			return true;
	}
	return false;
}

static int put_who(const struct queue_out *q, const struct ucred *who, struct cr_err *err)
{
	/* In a set of several processes nobody is "this process". */
	struct cr_file_credentials c = { .pid = who->pid, .uid = who->uid, .gid = who->gid };

	if (!q->set->shared && c.pid == getpid())
		c.pid = 0;
	else if (cr_set.active)
		c.pid = cr_set.program_id(c.pid);

	return cr_file_data_put(q->file, CR_FILE_DATA_CREDENTIALS, &c, sizeof(c), q->w, err);
}

static int put(const struct queue_out *q, const struct cr_queue_kept *m, const char *content, struct cr_err *err)
{
	int32_t known[CR_FILE_MAX_RIGHTS];
	int r = 0;

	if (m->from.address_bytes && !has_socket_at(q->set, &m->from))
		return cr_err_set(err, ENOTSUP, "descriptor %d: a datagram waits in the socket that another process has sent under a name, which a checkpoint cannot save; receive it before the checkpoint",
				  q->file->fds[0].fd);
	if (m->from.address_bytes)
		r = cr_file_data_put(q->file, CR_FILE_DATA_MESSAGE, &m->from, sizeof(m->from), q->w, err);
	if (r >= 0 && m->has_who)
		r = put_who(q, &m->who, err);
	for (unsigned int i = 0; i < m->n_files; i++)
		known[i] = cr_file_passed_known(q->set, m->files[i]);
	if (r >= 0 && m->n_files)
		r = cr_file_data_put(q->file, CR_FILE_DATA_RIGHTS, known, m->n_files * sizeof(*known), q->w, err);
	return r < 0 ? r : cr_file_data_put(q->file, q->attrs, content, m->bytes, q->w, err);
}

static int put_piece(void *arg, const struct cr_queue_piece *piece, struct cr_err *err)
{
	struct cr_queue_kept m = { .from = piece->from, .who = piece->who, .has_who = piece->has_who, .bytes = piece->bytes };

	return put(arg, &m, piece->content, err);
}

int cr_file_queue_save(const struct cr_file_set *set, const struct cr_open_file *file, int sndbuf, struct cr_image_writer *w, struct cr_err *err)
{
	struct queue_out q = { .set = set, .file = file, .w = w, .attrs = file->socket->type == SOCK_STREAM ? 0 : CR_FILE_DATA_PACKET };
	int r = 0;

	if (!file->queue)
		return cr_file_queue_walk(file->fds[0].fd, false, (size_t)sndbuf, set->floor, put_piece, &q, err);
	for (unsigned int i = 0; i < file->queue->n && r >= 0; i++)
		r = put(&q, &file->queue->kept[i], file->queue->kept[i].content, err);
	return r;
}

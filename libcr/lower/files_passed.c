/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors under way in UNIX sockets (SCM_RIGHTS): their descriptions belong to the set like those that have a number.
 *
 * A description that is in a queue and nowhere else gets a number that is free; a restart makes it under that, sends it, and closes the number.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libcr/image/tree_payload.h"
#include "libcr/lower/files_queue.h"
#include "libcr/lower/set.h"

/* The longest message that there may be: who wrote it may have had any buffer. */
#define MESSAGE_BYTES (8U << 20)

struct taking {
	struct cr_file_set *set;
	unsigned int carrier;
	struct cr_file_queue *queue;
};

static bool is_carrier(const struct cr_file_set *set, const struct cr_open_file *file)
{
	int fd = file->fds[0].fd, listens = 0;
	socklen_t len = sizeof(listens);

	if (!file->n_under_way || !S_ISSOCK(file->st.st_mode) || file->flags & O_PATH || (!set->shared && cr_set_shared(fd) >= 0))
		return false;
	/* Of one that listens it tells what is under way in those that wait. */
	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && !listens;
}

bool cr_file_passed_any(const struct cr_file_set *set)
{
	for (unsigned int i = 0; i < set->n; i++)
		if (is_carrier(set, &set->files[i]))
			return true;
	return false;
}

static int no_memory(const struct taking *t, struct cr_err *err)
{
	return cr_err_set(err, ENOMEM, "descriptor %d: out of memory for what waits in the socket", t->set->files[t->carrier].fds[0].fd);
}

/* Without its descriptors. */
static struct cr_queue_kept *kept_add(struct cr_file_queue *q, const struct cr_queue_piece *piece)
{
	struct cr_queue_kept *more = reallocarray(q->kept, q->n + 1, sizeof(*more)), *m;

	if (!more)
		return NULL;
	q->kept = more;
	m = &more[q->n++];
	*m = (struct cr_queue_kept){ .from = piece->from, .who = piece->who, .has_who = piece->has_who, .bytes = piece->bytes };
	m->content = malloc(piece->bytes + 1);
	m->files = calloc(piece->n_fds + 1, sizeof(*m->files));
	if (!m->content || !m->files)
		return NULL;
	memcpy(m->content, piece->content, piece->bytes);
	return m;
}

static int keep_piece(void *arg, const struct cr_queue_piece *piece, struct cr_err *err)
{
	struct taking *t = arg;
	struct cr_queue_kept *m = kept_add(t->queue, piece);
	int r = m ? 0 : no_memory(t, err);
	unsigned int i;

	for (i = 0; i < piece->n_fds && r >= 0; i++) {
		r = cr_file_set_add_passed(t->set, piece->fds[i], t->carrier);
		if (r >= 0)
			m->files[m->n_files++] = (unsigned int)r;
		else
			cr_err_set(err, r, "descriptor %d: what is under way in the socket (SCM_RIGHTS) cannot be looked at: %s", t->set->files[t->carrier].fds[0].fd,
				   strerror(-r));
	}
	for (; i < piece->n_fds; i++)
		close(piece->fds[i]);
	return r < 0 ? r : 0;
}

int cr_file_passed_take(struct cr_file_set *set, struct cr_err *err)
{
	int r = 0;

	/* What is found is looked at in turn. */
	for (unsigned int i = 0; i < set->n && r >= 0; i++) {
		struct taking t = { .set = set, .carrier = i };

		if (!is_carrier(set, &set->files[i]))
			continue;
		t.queue = calloc(1, sizeof(*t.queue));
		if (!t.queue)
			return no_memory(&t, err);
		set->files[i].queue = t.queue;
		r = cr_file_queue_walk(set->files[i].fds[0].fd, true, MESSAGE_BYTES, set->floor, keep_piece, &t, err);
	}
	return r;
}

int cr_file_passed_number(struct cr_file_set *set, struct cr_err *err)
{
	unsigned char *used = calloc((size_t)set->floor, 1);
	int next = 3;

	if (!used)
		return cr_err_set(err, ENOMEM, "out of memory for a table of %d descriptors", set->floor);
	for (unsigned int i = 0; i < set->n; i++)
		for (unsigned int k = 0; k < set->files[i].n_fds && !set->files[i].passed; k++)
			used[set->files[i].fds[k].fd] = 1;
	for (unsigned int i = 0; i < set->n; i++) {
		if (!set->files[i].passed)
			continue;
		while (next < set->floor && used[next])
			next++;
		if (next >= set->floor) {
			free(used);
			return cr_err_set(err, EMFILE, "a descriptor that is under way in a UNIX socket (SCM_RIGHTS) needs a free number at a restart, and all %d are in use; close one, or raise the limit (ulimit -n)",
					  set->floor);
		}
		set->files[i].passed_fd = next++;
	}
	free(used);
	return 0;
}

int cr_file_passed_known(const struct cr_file_set *set, unsigned int index)
{
	const struct cr_open_file *file = &set->files[index];

	if (!set->shared)
		return file->passed ? file->passed_fd : file->fds[0].fd;
	/* Not made with what the processes share: who makes that has the new standard streams. */
	if (file->kind == CR_FILE_STREAM)
		return (int)file->fds[0].stream;
	return CR_TREE_FIRST_FD + (int)file->number;
}

void cr_file_passed_relate(const struct cr_file_set *set, void (*join)(void *arg, unsigned int a, unsigned int b), void *arg)
{
	for (unsigned int i = 0; i < set->n; i++) {
		const struct cr_file_queue *q = set->files[i].queue;

		for (unsigned int m = 0; q && m < q->n; m++)
			for (unsigned int k = 0; k < q->kept[m].n_files; k++)
				join(arg, i, q->kept[m].files[k]);
	}
}

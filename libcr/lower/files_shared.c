/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptions that several processes hold, or that belong together with one of another process: the ends of a pipe, of a pair of sockets.
 *
 * They are saved once, by the leader of the set, from copies of all the processes' descriptors; a restart makes them once, before there is a second
 * process, and every process takes its own from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include "libcr/lower/files_ops.h"
#include "libcr/lower/files_queue.h"
#include "libcr/lower/set.h"

/* Descriptions that belong together: the lowest index stands for all. */
struct groups {
	unsigned int *of;
};

static unsigned int group_find(const struct groups *g, unsigned int i)
{
	while (g->of[i] != i)
		i = g->of[i];
	return i;
}

static void group_join(void *arg, unsigned int a, unsigned int b)
{
	struct groups *g = arg;
	unsigned int x = group_find(g, a), y = group_find(g, b);

	if (x < y)
		g->of[y] = x;
	else
		g->of[x] = y;
}

static bool is_memory(const struct cr_open_file *file)
{
	return !(file->flags & O_PATH) && S_ISREG(file->st.st_mode) && file->st.st_nlink == 0;
}

/* Is the content the object's, so that all of its descriptions must be made together? */
static bool is_whole(const struct cr_open_file *file)
{
	struct statfs fs = { 0 };

	if (file->flags & O_PATH)
		return false;
	return is_memory(file) || S_ISFIFO(file->st.st_mode) || (S_ISREG(file->st.st_mode) && fstatfs(file->fds[0].fd, &fs) == 0 && fs.f_type == CR_FILE_MQUEUE_MAGIC);
}

static void find_groups(const struct cr_file_set *set, struct groups *g)
{
	unsigned int i;

	for (i = 0; i < set->n; i++) {
		g->of[i] = i;
		if (is_whole(&set->files[i]))
			group_join(g, i, set->files[i].object);
	}
	cr_file_socket_relate(set, group_join, g);
	cr_file_passed_relate(set, group_join, g);
}

static void mark_apart(struct cr_file_set *set, const struct groups *g, const uint32_t *owner, bool *several)
{
	unsigned int i, k;

	for (i = 0; i < set->n; i++) {
		unsigned int top = group_find(g, i);

		/* What is under way is with its socket, which has a lower index. */
		for (k = 0; k < set->files[i].n_fds && !set->files[i].passed; k++)
			several[top] |= owner[set->files[i].fds[k].fd] != owner[set->files[top].fds[0].fd];
		/* Another process has it as memory. */
		if (is_memory(&set->files[i]) && cr_set.file_mapped)
			several[top] |= cr_set.file_mapped(owner[set->files[top].fds[0].fd], &set->files[i].st);
	}
	for (i = 0; i < set->n; i++)
		set->files[i].apart = !several[group_find(g, i)];
}

/* Who gets signals about input and output says so when it is there again: a process of the set that has a descriptor. */
static bool owner_is_there(const struct cr_open_file *file, const uint32_t *owner)
{
	struct f_owner_ex who = { 0 };
	unsigned int k;

	if (file->flags & O_PATH || fcntl(file->fds[0].fd, F_GETOWN_EX, &who) < 0 || who.pid == 0)
		return true;
	for (k = 0; k < file->n_fds && !file->passed && who.type == F_OWNER_PID; k++)
		if (owner[file->fds[k].fd] < cr_set.n && cr_set.pids[owner[file->fds[k].fd]] == who.pid)
			return true;
	return false;
}

/* What refers to one process cannot be made before that is there. */
static void refuse_shared(const struct cr_open_file *file, const uint32_t *owner, struct cr_file_refusals *refusals)
{
	char words[400];

	if (file->kind && file->passed && is_memory(file) && cr_set.file_mapped && cr_set.file_mapped(UINT32_MAX, &file->st)) {
		cr_file_describe(file, words, sizeof(words));
		cr_file_refuse(refusals, file, "is %s, which a process has as memory while it is under way to another; receive it before the checkpoint", words);
	} else if (file->kind == CR_FILE_EPOLL || file->kind == CR_FILE_PIDFD || (file->kind && file->attrs & CR_FILE_PSEUDO && strncmp(file->path, "/proc/self", 10) == 0)) {
		cr_file_describe(file, words, sizeof(words));
		cr_file_refuse(refusals, file, "is %s, which several processes share and a checkpoint cannot save so; close it in all but one before the checkpoint", words);
	} else if (file->kind && !owner_is_there(file, owner)) {
		cr_file_refuse(refusals, file, "(%s) is shared by several processes and sends signals about input and output (F_SETOWN) to none of those that have it, which a checkpoint cannot save; switch that off before the checkpoint",
			       file->link);
	}
}

int cr_file_set_share(struct cr_file_set *set, const struct cr_stdio *stdio, const uint32_t *owner, struct cr_file_refusals *refusals)
{
	struct groups g = { .of = calloc(set->n + 1, sizeof(*g.of)) };
	bool *several = calloc(set->n + 1, sizeof(*several));
	unsigned int i;
	int n = -ENOMEM;

	if (!g.of || !several)
		goto out;
	find_groups(set, &g);
	mark_apart(set, &g, owner, several);
	cr_file_set_classify(set, stdio, refusals);
	n = 0;
	for (i = 0; i < set->n; i++) {
		struct cr_open_file *file = &set->files[i];

		/* Every process is connected to the new standard streams by itself. */
		if (file->kind == CR_FILE_STREAM)
			file->apart = true;
		if (file->apart)
			continue;
		refuse_shared(file, owner, refusals);
		file->number = (uint32_t)n++;
	}
out:
	free(g.of);
	free(several);
	return n;
}

int cr_file_shared_open(struct cr_file_restore *x, const struct cr_image_record *rec, const struct cr_file_view *view, struct cr_err *err)
{
	uint64_t number = view->head.ino;
	int fd;

	(void)rec;
	if (number >= cr_set.n_shared)
		return cr_err_set(err, EBADMSG, "descriptor %d: description %llu of what the processes share is missing", view->fds[0].fd, (unsigned long long)number);
	fd = cr_file_dup_high(cr_set.shared[number], x->floor);
	return fd < 0 ? cr_err_set(err, fd, "descriptor %d: no number at or above %d is free: %s", view->fds[0].fd, x->floor, strerror(-fd)) : fd;
}

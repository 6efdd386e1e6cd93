/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Save the program's descriptors: one FILE record per open file description, content behind the first record of its object.
 */
#include "libcr/image/tree_payload.h"
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/lower/fd_limit.h"
#include "libcr/lower/files_queue.h"

int cr_files_check(int floor, const struct cr_stdio *stdio, cr_nocr_fn report, void *arg)
{
	struct cr_file_refusals refusals = { .report = report, .arg = arg };
	struct cr_file_set *set;
	struct cr_err err;

	if (cr_file_set_create(floor, false, &set, &err) < 0) {
		report(arg, err.text);
		return 1;
	}
	/* Where they are is found out while the program stands still. */
	set->under_way = cr_file_passed_any(set);
	cr_file_set_classify(set, stdio, &refusals);
	cr_file_set_destroy(set);
	return refusals.count;
}

/* Keeps the first reason. */
static void keep_first(void *arg, const char *reason)
{
	struct cr_err *first = arg;

	if (!first->text[0])
		cr_err_set(first, 0, "%s", reason);
}

static int put_file(const struct cr_open_file *file, bool shared, struct cr_image_writer *w, struct cr_err *err)
{
	size_t path_bytes = file->path ? strlen(file->path) + 1 : 0;
	/* What processes share is known by its number; each process has the descriptors. */
	struct cr_file_fd known = shared ? (struct cr_file_fd){ .fd = CR_TREE_FIRST_FD + (int32_t)file->number } : file->fds[0];
	const struct cr_file_fd *fds = shared || file->passed ? &known : file->fds;
	unsigned int n_fds = shared ? 1 : file->n_fds;
	size_t fds_bytes = n_fds * sizeof(*fds);
	size_t bytes = sizeof(struct cr_file_payload) + fds_bytes + path_bytes;
	struct cr_file_payload *p;
	int pipe_bytes = 0, r;

	if (file->passed && !shared)
		known.fd = file->passed_fd;
	if (path_bytes > CR_FILE_MAX_PATH_BYTES || file->n_fds > CR_FILE_MAX_FDS)
		return cr_err_set(err, ENAMETOOLONG, "descriptor %d: its path is longer than %u bytes", file->fds[0].fd, CR_FILE_MAX_PATH_BYTES);
	p = calloc(1, bytes);
	if (!p)
		return cr_err_set(err, ENOMEM, "out of memory for the record of descriptor %d", file->fds[0].fd);
	if (file->kind == CR_FILE_PIPE || file->kind == CR_FILE_FIFO)
		pipe_bytes = fcntl(file->fds[0].fd, F_GETPIPE_SZ);
	*p = (struct cr_file_payload){
		.kind = file->kind,
		.attrs = file->attrs | (file->passed && !shared ? CR_FILE_PASSED : 0),
		.open_flags = (uint32_t)file->flags,
		.mode = file->st.st_mode,
		.pos = file->pos,
		.size = (uint64_t)file->st.st_size,
		.dev = file->st.st_dev,
		.ino = file->kind == CR_FILE_SHARED ? file->number : file->st.st_ino,
		.rdev = file->st.st_rdev,
		.mtime_ns = (int64_t)file->st.st_mtim.tv_sec * 1000000000 + file->st.st_mtim.tv_nsec,
		.object = file->object,
		.pipe_bytes = pipe_bytes > 0 ? (uint32_t)pipe_bytes : 0,
		.n_fds = n_fds,
		.path_bytes = (uint32_t)path_bytes,
	};
	memcpy(p + 1, fds, fds_bytes);
	if (path_bytes)
		memcpy((char *)(p + 1) + fds_bytes, file->path, path_bytes);
	r = cr_image_put(w, CR_REC_FILE, p, bytes, err);
	free(p);
	return r;
}

/* @first: the first description of its object */
static int put_content(const struct cr_file_set *set, const struct cr_open_file *file, bool first, struct cr_image_writer *w, struct cr_err *err)
{
	const struct cr_file_ops *ops = cr_file_ops_of(file->kind);
	int r = 0;

	if (ops->save && (first || !ops->save_once))
		r = ops->save(set, file, w, err);
	return r < 0 ? r : cr_file_lock_save(set, file, w, err);
}

/* The number of an object is the index of its first description, so descriptions come in the order of their objects. */
static int put_all(const struct cr_file_set *set, struct cr_image_writer *w, struct cr_err *err)
{
	unsigned int object, i;
	int r;

	for (object = 0; object < set->n; object++) {
		if (set->files[object].object != object)
			continue;
		for (i = object; i < set->n; i++) {
			if (set->files[i].object != object || set->files[i].apart)
				continue;
			r = put_file(&set->files[i], set->shared, w, err);
			if (r < 0)
				return r;
			r = put_content(set, &set->files[i], i == object, w, err);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int save_set(struct cr_file_set *set, const struct cr_stdio *stdio, struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_err first = { "" };
	struct cr_file_refusals refusals = { .report = keep_first, .arg = &first };

	cr_file_set_classify(set, stdio, &refusals);
	if (refusals.count > 1)
		return cr_err_set(err, ENOTSUP, "%.400s (and %d more reason%s)", first.text, refusals.count - 1, refusals.count > 2 ? "s" : "");
	if (refusals.count)
		return cr_err_set(err, cr_file_refusal_code(first.text), "%s", first.text);
	return put_all(set, w, err);
}

/* What memory has to know, when files have been saved. */
static struct passed_object {
	uint64_t dev, ino, bytes;
} *passed_objects;
static unsigned int n_passed_objects;

static int note_objects(const struct cr_file_set *set, struct cr_err *err)
{
	passed_objects = calloc(set->n + 1, sizeof(*passed_objects));
	if (!passed_objects)
		return cr_err_set(err, ENOMEM, "out of memory while descriptors are saved");
	for (unsigned int i = 0; i < set->n; i++) {
		const struct cr_open_file *file = &set->files[i];

		if (file->passed && (file->kind == CR_FILE_MEMFD || file->kind == CR_FILE_UNLINKED))
			passed_objects[n_passed_objects++] = (struct passed_object){ file->st.st_dev, file->st.st_ino, (uint64_t)file->st.st_size };
	}
	return 0;
}

static void forget_objects(void)
{
	free(passed_objects);
	passed_objects = NULL;
	n_passed_objects = 0;
}

void cr_files_each_passed(void (*each)(void *arg, uint64_t dev, uint64_t ino, uint64_t bytes), void *arg)
{
	for (unsigned int i = 0; i < n_passed_objects; i++)
		each(arg, passed_objects[i].dev, passed_objects[i].ino, passed_objects[i].bytes);
}

struct saving {
	char table[64]; /* in proc: the thread whose descriptor table is the program's */
	int floor;
	const struct cr_stdio *stdio;
	struct cr_image_writer *w;
	struct cr_err *err;
	int rc;
};

static int save_passed(struct saving *s)
{
	struct cr_file_set *set;
	int r;

	if (unshare(CLONE_FILES))
		return cr_err_set(s->err, errno, "unshare(CLONE_FILES): %s", strerror(errno));
	r = cr_file_set_create_in(s->table, s->floor, &set, s->err);
	if (r < 0)
		return r;
	r = cr_file_passed_take(set, s->err);
	if (r >= 0)
		r = cr_file_passed_number(set, s->err);
	if (r >= 0)
		r = save_set(set, s->stdio, s->w, s->err);
	if (r >= 0)
		r = note_objects(set, s->err);
	cr_file_set_destroy(set);
	return r;
}

static void *saving_main(void *arg)
{
	struct saving *s = arg;
	struct rlimit was;
	int raised = cr_fd_limit_raise(&was);

	s->rc = save_passed(s);
	if (!raised)
		cr_fd_limit_put_back(&was);
	return NULL;
}

/* With copies of what is under way in sockets: on a thread that may close them. */
static int save_apart(int floor, const struct cr_stdio *stdio, struct cr_image_writer *w, struct cr_err *err)
{
	struct saving s = { .table = "/proc/", .floor = floor, .stdio = stdio, .w = w, .err = err };
	ssize_t n = readlink("/proc/thread-self", s.table + 6, sizeof(s.table) - 7);
	pthread_t t;
	int r;

	if (n < 0)
		return cr_err_set(err, errno, "/proc/thread-self: %s", strerror(errno));
	r = cr_file_mqueue_quiet(floor, err);
	if (r)
		return r;
	r = pthread_create(&t, NULL, saving_main, &s);
	if (r)
		return cr_err_set(err, r, "a thread cannot be made: %s", strerror(r));
	pthread_join(t, NULL);
	return s.rc;
}

int cr_files_save(int floor, const struct cr_stdio *stdio, struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_file_set *set;
	int r;

	forget_objects();
	r = cr_file_set_create(floor, true, &set, err);
	if (r < 0)
		return r;
	if (cr_file_passed_any(set))
		r = save_apart(floor, stdio, w, err);
	else
		r = save_set(set, stdio, w, err);
	cr_file_set_destroy(set);
	return r;
}

int cr_files_save_shared(const struct cr_file_set *set, struct cr_image_writer *w, struct cr_err *err)
{
	return put_all(set, w, err);
}

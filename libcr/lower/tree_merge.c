/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Puts the files of the processes into one. The program runs meanwhile; a thread of the lower half copies, and the agent hears the result through a
 * pipe. A failure removes the file.
 */
#include "libcr/lower/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/thread_payload.h"

struct merge {
	char path[CR_PATH_BYTES];
	char (*parts)[CR_PATH_BYTES]; /* of the processes, in order */
	unsigned int n;
	struct cr_gathered gathered; /* owned */
	bool sync;
	int result_fd;
};

static int put_part(struct merge *m, struct cr_image_writer *w, unsigned int i, struct cr_err *err)
{
	int fd = cr_fd_raise(open(m->parts[i], O_RDONLY | O_CLOEXEC)), rc;

	if (fd < 0)
		return cr_err_set(err, errno, "%s: %s", m->parts[i], strerror(errno));
	rc = cr_image_put_part(w, i + 1, fd, err);
	close(fd);
	unlink(m->parts[i]);
	return rc;
}

static int put_all(struct merge *m, int fd, struct cr_image_totals *totals, struct cr_err *err)
{
	struct cr_image_writer *w = NULL;
	int rc = cr_image_writer_create(fd, &w, err);

	if (!rc)
		rc = cr_dump_put_host(w, err);
	if (!rc)
		rc = cr_image_put(w, CR_REC_TREE, m->gathered.tree, m->gathered.tree_bytes, err);
	if (!rc)
		rc = cr_image_put_part(w, 0, m->gathered.shared_fd, err);
	for (unsigned int i = 0; i < m->n && !rc; i++)
		rc = put_part(m, w, i, err);
	if (!rc)
		rc = cr_image_finish(w, totals, err);
	cr_image_writer_destroy(w);
	if (!rc && m->sync && fsync(fd))
		rc = cr_err_set(err, errno, "fsync: %s", strerror(errno));
	return rc;
}

static void *merge_main(void *arg)
{
	struct merge *m = arg;
	struct cr_image_totals totals = { 0 };
	struct cr_dump_result r = { 0 };
	struct cr_err err = { "" };
	int fd = cr_fd_raise(open(m->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)), rc;

	if (fd < 0) {
		rc = cr_err_set(&err, errno, "cannot create it: %s", strerror(errno));
	} else {
		rc = put_all(m, fd, &totals, &err);
		close(fd);
		if (rc)
			unlink(m->path);
	}
	r.error = -rc;
	r.file_bytes = totals.file_bytes;
	r.pages = totals.pages;
	r.checksum = totals.checksum;
	memcpy(r.text, err.text, sizeof(r.text));
	(void)!write(m->result_fd, &r, sizeof(r));
	close(m->result_fd);
	close(m->gathered.shared_fd);
	free(m->gathered.tree);
	free(m->parts);
	free(m);
	return NULL;
}

int cr_merge_start(const char *path, const struct cr_lead_member *members, unsigned int n, struct cr_gathered *gathered, bool sync, struct cr_err *err)
{
	struct merge *m = calloc(1, sizeof(*m));
	pthread_attr_t attr;
	int fds[2], rc;
	pthread_t t;

	if (m)
		m->parts = calloc(n, sizeof(*m->parts));
	if (!m || !m->parts || pipe2(fds, O_CLOEXEC)) {
		free(m ? m->parts : NULL);
		free(m);
		return cr_err_set(err, ENOMEM, "out of memory or descriptors");
	}
	snprintf(m->path, sizeof(m->path), "%s", path);
	m->n = n;
	for (unsigned int i = 0; i < n; i++)
		memcpy(m->parts[i], members[i].path, sizeof(m->parts[i]));
	m->gathered = *gathered;
	m->sync = sync;
	m->result_fd = fds[1];
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	rc = pthread_create(&t, &attr, merge_main, m);
	pthread_attr_destroy(&attr);
	if (rc) {
		close(fds[0]);
		close(fds[1]);
		free(m->parts);
		free(m);
		return cr_err_set(err, rc, "a thread cannot be made: %s", strerror(rc));
	}
	*gathered = (struct cr_gathered){ .shared_fd = -1 };
	return fds[0];
}

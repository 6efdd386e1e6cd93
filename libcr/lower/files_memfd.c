/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memfd: content and seals. One that is mapped shared is refused by the memory's side, which sees the mapping.
 */
#include "libcr/lower/files_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PREFIX "/memfd:"
#define DELETED " (deleted)"

bool cr_file_memfd_check(const struct cr_file_set *set, struct cr_open_file *file, struct cr_file_refusals *refusals)
{
	size_t bytes = strlen(file->link);
	struct statfs fs = { 0 };

	if (!cr_file_anon_check(set, file, refusals))
		return false;
	if (fstatfs(file->fds[0].fd, &fs) < 0 || fs.f_type == HUGETLBFS_MAGIC) {
		cr_file_refuse(refusals, file, "is a memfd of huge TLB pages (%s), which a checkpoint cannot save; make it without MFD_HUGETLB", file->link);
		return false;
	}
	if (bytes > strlen(DELETED) && strcmp(file->link + bytes - strlen(DELETED), DELETED) == 0)
		bytes -= strlen(DELETED);
	file->path = strndup(file->link, bytes);
	if (!file->path)
		cr_file_refuse(refusals, file, "is a memfd, and there is no memory for its name; try again");
	return file->path != NULL;
}

int cr_file_memfd_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_file_memfd state = { .seals = 0 };
	int seals = fcntl(file->fds[0].fd, F_GET_SEALS), r;

	if (seals < 0)
		return cr_err_set(err, errno, "descriptor %d: the seals of a memfd cannot be read: %s", file->fds[0].fd, strerror(errno));
	state.seals = (uint32_t)seals;
	r = cr_file_data_put(file, CR_FILE_DATA_STATE, &state, sizeof(state), w, err);
	return r < 0 ? r : cr_file_unlinked_save(set, file, w, err);
}

int cr_file_memfd_create(const struct cr_file_view *view, int floor, struct cr_err *err)
{
	const char *name = view->path && strncmp(view->path, PREFIX, strlen(PREFIX)) == 0 ? view->path + strlen(PREFIX) : "";
	int fd, error;

	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	error = errno;
	fd = fd < 0 ? -error : cr_file_move_high(fd, floor);
	if (fd < 0)
		return cr_err_set(err, fd, "descriptor %d: a memfd cannot be made: %s", view->fds[0].fd, strerror(-fd));
	if (ftruncate(fd, (off_t)view->head.size) < 0) {
		error = errno;
		close(fd);
		return cr_err_set(err, error, "descriptor %d: a memfd of %llu bytes cannot be made: %s", view->fds[0].fd, (unsigned long long)view->head.size,
				  strerror(error));
	}
	return fd;
}

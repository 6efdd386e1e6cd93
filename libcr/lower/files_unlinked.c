/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Content of files that have no name any more.
 *
 * Invariant: neither the position nor the times of the program's file change; holes stay holes.
 */
#include "libcr/lower/files_set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_BYTES (1024UL * 1024)
#define ALIGN_BYTES 4096UL

struct source {
	int fd;
	bool own; /* opened here: has its own position, can look for holes */
	uint32_t object;
	struct cr_file_data_payload *data; /* lies directly before @content */
	char *content; /* aligned, for O_DIRECT */
	void *memory;
};

static int source_init(struct source *s, const struct cr_file_set *set, const struct cr_open_file *file, struct cr_err *err)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", file->fds[0].fd);
	/* Closing another descriptor of the file would give up the program's POSIX locks on it. */
	fd = cr_file_has_posix_lock(file) ? -EBUSY : cr_file_open_high(path, O_RDONLY | O_NOATIME, 0, set->floor);
	if (fd == -EPERM)
		fd = cr_file_open_high(path, O_RDONLY, 0, set->floor);
	*s = (struct source){ .fd = fd, .own = true, .object = file->object };
	if (fd < 0) {
		s->fd = file->fds[0].fd;
		s->own = false;
		if (!cr_file_reads(file->flags))
			return cr_err_set(err, fd, "descriptor %d: content of the unlinked file %s cannot be read: %s", s->fd, file->path, strerror(-fd));
	}
	s->memory = aligned_alloc(ALIGN_BYTES, ALIGN_BYTES + CHUNK_BYTES);
	if (!s->memory) {
		if (s->own)
			close(s->fd);
		return cr_err_set(err, ENOMEM, "out of memory for the content of the unlinked file %s", file->path);
	}
	s->content = (char *)s->memory + ALIGN_BYTES;
	s->data = (struct cr_file_data_payload *)(s->content - sizeof(*s->data));
	return 0;
}

static void source_fini(struct source *s)
{
	free(s->memory);
	if (s->own)
		close(s->fd);
}

/* First byte at or after @offset that may not be zero, and the end of that range. */
static void next_data(const struct source *s, uint64_t offset, uint64_t size, uint64_t *ret_begin, uint64_t *ret_end)
{
	off_t begin, end;

	*ret_begin = offset;
	*ret_end = size;
	if (!s->own)
		return;
	begin = lseek(s->fd, (off_t)offset, SEEK_DATA);
	if (begin < 0) {
		if (errno == ENXIO)
			*ret_begin = size;
		return;
	}
	end = lseek(s->fd, begin, SEEK_HOLE);
	*ret_begin = (uint64_t)begin;
	if (end > begin && (uint64_t)end < size)
		*ret_end = (uint64_t)end;
}

static bool all_zero(const char *p, size_t bytes)
{
	return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

static int put_range(struct source *s, uint64_t begin, uint64_t end, struct cr_image_writer *w, struct cr_err *err)
{
	size_t want;
	ssize_t n;
	int r;

	while (begin < end) {
		want = end - begin < CHUNK_BYTES ? (size_t)(end - begin) : CHUNK_BYTES;
		/* O_DIRECT wants whole blocks; the end of the file cuts the last one. */
		n = pread(s->fd, s->content, s->own ? want : CHUNK_BYTES, (off_t)begin);
		if (n <= 0)
			return cr_err_set(err, n < 0 ? errno : EIO, "descriptor %d: an unlinked file could not be read at offset %llu: %s", s->fd,
					  (unsigned long long)begin, n < 0 ? strerror(errno) : "it is shorter than it was");
		if ((size_t)n > want)
			n = (ssize_t)want;
		if (!all_zero(s->content, (size_t)n)) {
			*s->data = (struct cr_file_data_payload){ .object = s->object, .offset = begin, .bytes = (uint64_t)n };
			r = cr_image_put(w, CR_REC_FILE_DATA, s->data, sizeof(*s->data) + (size_t)n, err);
			if (r < 0)
				return r;
		}
		begin += (uint64_t)n;
	}
	return 0;
}

int cr_file_unlinked_save(const struct cr_file_set *set, const struct cr_open_file *file, struct cr_image_writer *w, struct cr_err *err)
{
	uint64_t size = (uint64_t)file->st.st_size, begin, end;
	uint64_t offset;
	struct source s;
	int r;

	r = source_init(&s, set, file, err);
	if (r < 0)
		return r;
	for (offset = 0; offset < size && r >= 0; offset = end) {
		next_data(&s, offset, size, &begin, &end);
		r = put_range(&s, begin, end, w, err);
	}
	source_fini(&s);
	return r;
}

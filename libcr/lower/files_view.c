/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Check FILE and FILE_DATA records: lengths, numbers, text.
 *
 * Invariant: what passes can be used without looking at a length again.
 */
#include "libcr/lower/files_view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "libcr/image/relocate.h"

static bool needs_path(uint32_t kind)
{
	return kind <= CR_FILE_PATH && kind != CR_FILE_PIPE && kind != CR_FILE_STREAM;
}

static int check_fds(const struct cr_file_view *view, uint64_t offset, struct cr_err *err)
{
	uint32_t i;

	for (i = 0; i < view->head.n_fds; i++) {
		if (view->fds[i].fd < 0 || view->fds[i].stream > 2)
			return cr_err_set(err, EBADMSG, "FILE record at offset %llu: descriptor %d of stream %u makes no sense", (unsigned long long)offset,
					  view->fds[i].fd, view->fds[i].stream);
	}
	return 0;
}

int cr_file_view_parse(const struct cr_image_record *rec, struct cr_file_view *ret, struct cr_err *err)
{
	unsigned long long offset = rec->file_offset;
	struct cr_file_view view;
	uint64_t want;

	if (rec->bytes < sizeof(view.head))
		return cr_err_set(err, EBADMSG, "FILE record at offset %llu: %llu bytes are too few", offset, (unsigned long long)rec->bytes);
	memcpy(&view.head, rec->data, sizeof(view.head));
	if (view.head.kind < CR_FILE_REGULAR || view.head.kind >= CR_FILE_KINDS)
		return cr_err_set(err, EBADMSG, "FILE record at offset %llu: kind %u is not known to this version", offset, view.head.kind);
	if (view.head.n_fds == 0 || view.head.n_fds > CR_FILE_MAX_FDS || view.head.path_bytes > CR_FILE_MAX_PATH_BYTES || view.head.pos < 0 ||
	    view.head.size > INT64_MAX || view.head.pipe_bytes > INT32_MAX)
		return cr_err_set(err, EBADMSG, "FILE record at offset %llu: %u descriptors, %u bytes of path, position %lld: out of range", offset,
				  view.head.n_fds, view.head.path_bytes, (long long)view.head.pos);
	want = sizeof(view.head) + (uint64_t)view.head.n_fds * sizeof(*view.fds) + view.head.path_bytes;
	if (rec->bytes != want)
		return cr_err_set(err, EBADMSG, "FILE record at offset %llu: %llu bytes instead of %llu", offset, (unsigned long long)rec->bytes,
				  (unsigned long long)want);
	view.fds = (const void *)((const char *)rec->data + sizeof(view.head));
	view.path = view.head.path_bytes ? (const char *)(view.fds + view.head.n_fds) : NULL;
	if (view.path && (view.path[0] != '/' || memchr(view.path, '\0', view.head.path_bytes) != view.path + view.head.path_bytes - 1))
		return cr_err_set(err, EBADMSG, "FILE record at offset %llu: the path is not an absolute path", offset);
	if (!view.path && needs_path(view.head.kind))
		return cr_err_set(err, EBADMSG, "FILE record at offset %llu: the path is missing", offset);
	if (check_fds(&view, offset, err) < 0)
		return -EBADMSG;
	if (view.head.kind != CR_FILE_MEMFD && view.head.kind != CR_FILE_MQUEUE)
		view.path = cr_relocate(view.path);
	*ret = view;
	return 0;
}

int cr_file_data_parse(const struct cr_image_record *rec, struct cr_file_data_payload *ret, const void **ret_content, struct cr_err *err)
{
	if (rec->bytes >= sizeof(*ret)) {
		memcpy(ret, rec->data, sizeof(*ret));
		if (ret->bytes == rec->bytes - sizeof(*ret) && ret->offset <= INT64_MAX - ret->bytes) {
			*ret_content = (const char *)rec->data + sizeof(*ret);
			return 0;
		}
	}
	return cr_err_set(err, EBADMSG, "FILE_DATA record at offset %llu: its lengths contradict each other", (unsigned long long)rec->file_offset);
}

int cr_file_data_next(const struct cr_image *img, struct cr_image_record *rec, const struct cr_file_view *view, uint32_t attrs,
		      struct cr_file_data_payload *ret, const void **ret_content)
{
	while (cr_image_next(img, rec) > 0 && rec->type == CR_REC_FILE_DATA) {
		if (cr_file_data_parse(rec, ret, ret_content, NULL) < 0 || ret->object != view->head.object)
			return 0;
		if ((ret->attrs & ~CR_FILE_DATA_PACKET) == attrs)
			return 1;
	}
	return 0;
}

int cr_file_state_get(const struct cr_image *img, const struct cr_image_record *rec, const struct cr_file_view *view, uint32_t attrs, void *ret,
		      size_t bytes, struct cr_err *err)
{
	struct cr_image_record at = *rec;
	struct cr_file_data_payload data;
	const void *content;

	if (cr_file_data_next(img, &at, view, attrs, &data, &content) && data.bytes == bytes) {
		memcpy(ret, content, bytes);
		return 0;
	}
	return cr_err_set(err, EBADMSG, "FILE record at offset %llu: the state of descriptor %d is missing or has the wrong length",
			  (unsigned long long)rec->file_offset, view->fds[0].fd);
}

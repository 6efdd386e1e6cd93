/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writes a context file from front to back.
 *
 * Invariant: everything before @offset has been handed to the kernel, and @sum covers the header and every head in it.
 * Only create and destroy use malloc; the rest may run in a child made by a bare clone of a process with threads (strerror may take a lock).
 */
#include "libcr/image/cr_image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/image/cr_image_format.h"
#include "libcr/image/cr_image_sum.h"

#define PART_BUFFER_BYTES (1u << 20)

_Static_assert(CR_IMAGE_PAGE_BYTES == CR_PAGE_BYTES, "one page size");

struct cr_image_writer {
	int fd;
	int error; /* first failure, negative errno: the file is useless from then on */
	int fault; /* fault injection: what the next write meets */
	bool finished;
	uint64_t offset;
	uint64_t records;
	uint64_t pages;
	XXH3_state_t *sum;

	/* The PAGES record that is being gathered. */
	unsigned int n_runs;
	uint64_t run_bytes;
	struct cr_image_run runs[CR_IMAGE_RECORD_RUNS];
	const void *run_mem[CR_IMAGE_RECORD_RUNS];
};

static const uint8_t zeros[CR_IMAGE_PAGE_BYTES];

static int writer_fail(struct cr_image_writer *w, int error, struct cr_err *err)
{
	const char *remedy = "";

	switch (error) {
	case ENOSPC:
		remedy = "; free space there or use another directory";
		break;
	case EDQUOT:
		remedy = "; the quota is used up: free space there or use another directory";
		break;
	case EFBIG:
		remedy = "; raise the limit on file sizes (ulimit -f) or use a file system that holds larger files";
		break;
	}
	w->error = -error;
	return cr_err_set(err, error, "the context file cannot be written after %llu bytes: %s%s", (unsigned long long)w->offset,
			  strerrordesc_np(error), remedy);
}

/* Writes all of @iov, which it changes. */
static int writer_out(struct cr_image_writer *w, struct iovec *iov, int n, struct cr_err *err)
{
	while (n > 0) {
		ssize_t done;

		if (iov->iov_len == 0) {
			iov++;
			n--;
			continue;
		}
		done = w->fault ? -1 : writev(w->fd, iov, n);
		if (w->fault)
			errno = w->fault;
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return writer_fail(w, done < 0 ? errno : EIO, err);
		w->offset += (uint64_t)done;
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static struct iovec writer_iov(const void *data, size_t bytes)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = bytes };
}

/* A reader may do without these. */
static uint32_t record_flags(uint32_t type)
{
	return type == CR_REC_HOST ? CR_IMAGE_FLAG_OPTIONAL : 0;
}

static void head_seal(struct cr_image_writer *w, struct cr_image_head *head)
{
	head->file_offset = w->offset;
	head->head_checksum = cr_image_sum(head, offsetof(struct cr_image_head, head_checksum));
	XXH3_64bits_update(w->sum, head, sizeof(*head));
	w->records++;
}

void cr_image_writer_fault(struct cr_image_writer *w, int error)
{
	w->fault = error;
}

int cr_image_writer_create(int fd, struct cr_image_writer **ret_w, struct cr_err *err)
{
	struct cr_image_header header = {
		.magic = CR_IMAGE_MAGIC,
		.byte_order = CR_IMAGE_BYTE_ORDER,
		.version = CR_IMAGE_VERSION,
		.header_bytes = sizeof(struct cr_image_header),
		.head_bytes = sizeof(struct cr_image_head),
		.page_bytes = CR_IMAGE_PAGE_BYTES,
		.machine = CR_IMAGE_MACHINE,
		.window_base = CR_WINDOW_BASE,
		.window_end = CR_WINDOW_END,
	};
	struct iovec iov = writer_iov(&header, sizeof(header));
	struct cr_image_writer *w;
	int rc;

	w = calloc(1, sizeof(*w));
	if (!w)
		return cr_err_set(err, ENOMEM, "no memory for the writer of a context file");
	w->fd = fd;
	w->sum = XXH3_createState();
	if (!w->sum) {
		rc = cr_err_set(err, ENOMEM, "no memory for the writer of a context file");
		goto free_writer;
	}
	XXH3_64bits_reset(w->sum);
	header.checksum = cr_image_sum(&header, offsetof(struct cr_image_header, checksum));
	XXH3_64bits_update(w->sum, &header, sizeof(header));
	rc = writer_out(w, &iov, 1, err);
	if (rc < 0)
		goto free_writer;
	*ret_w = w;
	return 0;

free_writer:
	cr_image_writer_destroy(w);
	return rc;
}

static int writer_usable(const struct cr_image_writer *w, struct cr_err *err)
{
	if (w->error)
		return cr_err_set(err, w->error, "the context file could not be written earlier: %s", strerrordesc_np(-w->error));
	if (w->finished)
		return cr_err_set(err, EINVAL, "the context file is finished; nothing can be added to it");
	return 0;
}

static int writer_put(struct cr_image_writer *w, uint32_t type, const void *data, size_t bytes, struct cr_err *err)
{
	struct cr_image_head head = {
		.type = type,
		.flags = record_flags(type),
		.payload_bytes = bytes,
		.payload_checksum = cr_image_sum(data, bytes),
	};
	struct iovec iov[3];

	head_seal(w, &head);
	iov[0] = writer_iov(&head, sizeof(head));
	iov[1] = writer_iov(data, bytes);
	iov[2] = writer_iov(zeros, cr_image_round_up(bytes, CR_IMAGE_ALIGN) - bytes);
	return writer_out(w, iov, 3, err);
}

int cr_image_put(struct cr_image_writer *w, uint32_t type, const void *data, size_t bytes, struct cr_err *err)
{
	int rc;

	if (type == CR_REC_END || type == CR_REC_PAGES || type == CR_REC_PART)
		return cr_err_set(err, EINVAL, "a record of type %s is not written with cr_image_put", cr_image_type_name(type));
	rc = cr_image_flush(w, err);
	if (rc < 0)
		return rc;
	return writer_put(w, type, bytes ? data : zeros, bytes, err);
}

/* Within the kernel where that works, else through @buffer. */
static int part_copy(struct cr_image_writer *w, int fd, uint64_t bytes, char *buffer, struct cr_err *err)
{
	uint64_t done = 0;

	while (done < bytes) {
		size_t want = bytes - done < PART_BUFFER_BYTES ? (size_t)(bytes - done) : PART_BUFFER_BYTES;
		off_t from = (off_t)done;
		ssize_t n = copy_file_range(fd, &from, w->fd, NULL, bytes - done, 0);
		struct iovec iov;
		int rc;

		if (n > 0) {
			done += (uint64_t)n;
			w->offset += (uint64_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
			return writer_fail(w, errno, err);
		n = pread(fd, buffer, want, (off_t)done);
		if (n <= 0)
			return writer_fail(w, n < 0 ? errno : EIO, err);
		iov = writer_iov(buffer, (size_t)n);
		rc = writer_out(w, &iov, 1, err);
		if (rc < 0)
			return rc;
		done += (uint64_t)n;
	}
	return 0;
}

int cr_image_put_part(struct cr_image_writer *w, uint32_t number, int fd, struct cr_err *err)
{
	struct cr_image_head head = { .type = CR_REC_PART };
	struct cr_image_part part = { .number = number };
	struct cr_image_end end;
	struct iovec iov[3];
	struct stat st;
	uint64_t data;
	char *buffer;
	int rc;

	rc = cr_image_flush(w, err);
	if (rc < 0)
		return rc;
	if (fstat(fd, &st) < 0)
		return cr_err_set(err, errno, "part %u of the context file cannot be read: %s", number, strerrordesc_np(errno));
	if (st.st_size < (off_t)sizeof(end) || pread(fd, &end, sizeof(end), st.st_size - (off_t)sizeof(end)) != sizeof(end) ||
	    end.file_bytes != (uint64_t)st.st_size)
		return cr_err_set(err, ENODATA, "part %u is not a complete context file", number);
	buffer = malloc(PART_BUFFER_BYTES);
	if (!buffer)
		return cr_err_set(err, ENOMEM, "no memory for the writer of a context file");
	part.file_bytes = end.file_bytes;
	part.checksum = end.checksum;
	data = cr_image_part_offset(w->offset);
	head.payload_bytes = data + part.file_bytes - w->offset - sizeof(head);
	head.payload_checksum = cr_image_sum(&part, sizeof(part));
	iov[0] = writer_iov(&head, sizeof(head));
	iov[1] = writer_iov(&part, sizeof(part));
	iov[2] = writer_iov(zeros, data - w->offset - sizeof(head) - sizeof(part));
	head_seal(w, &head);
	rc = writer_out(w, iov, 3, err);
	if (rc == 0)
		rc = part_copy(w, fd, part.file_bytes, buffer, err);
	free(buffer);
	w->pages += end.pages;
	iov[0] = writer_iov(zeros, cr_image_round_up(w->offset, CR_IMAGE_ALIGN) - w->offset);
	return rc < 0 ? rc : writer_out(w, iov, 1, err);
}

int cr_image_flush(struct cr_image_writer *w, struct cr_err *err)
{
	struct cr_image_head head = { .type = CR_REC_PAGES };
	struct iovec iov[3 + CR_IMAGE_RECORD_RUNS];
	uint64_t pages_offset;
	size_t table_bytes = w->n_runs * sizeof(w->runs[0]);
	int rc;

	rc = writer_usable(w, err);
	if (rc < 0 || w->n_runs == 0)
		return rc;
	pages_offset = cr_image_pages_offset(w->offset, w->n_runs);
	head.payload_bytes = pages_offset + w->run_bytes - w->offset - sizeof(head);
	head.runs = w->n_runs;
	head.payload_checksum = cr_image_sum(w->runs, table_bytes);
	iov[0] = writer_iov(&head, sizeof(head));
	iov[1] = writer_iov(w->runs, table_bytes);
	iov[2] = writer_iov(zeros, pages_offset - w->offset - sizeof(head) - table_bytes);
	head_seal(w, &head);
	for (unsigned int i = 0; i < w->n_runs; i++)
		iov[3 + i] = writer_iov(w->run_mem[i], w->runs[i].bytes);
	rc = writer_out(w, iov, 3 + (int)w->n_runs, err);
	w->pages += w->run_bytes / CR_IMAGE_PAGE_BYTES;
	w->run_bytes = 0;
	w->n_runs = 0;
	return rc;
}

static bool page_is_zero(const void *mem)
{
	const uint64_t *word = mem;

	/* Most pages that are not zero show it early. */
	if (word[0] | word[1] | word[2] | word[3])
		return false;
	for (unsigned int i = 0; i < CR_IMAGE_PAGE_BYTES / sizeof(*word); i += 32) {
		uint64_t any = 0;

		for (unsigned int k = 0; k < 32; k++)
			any |= word[i + k];
		if (any)
			return false;
	}
	return true;
}

/* The checksum is taken when the run is gathered: the write that follows finds the bytes in the cache. */
static int writer_add_run(struct cr_image_writer *w, uint64_t addr, const char *mem, size_t bytes, struct cr_err *err)
{
	while (bytes > 0) {
		size_t now = CR_IMAGE_RECORD_PAGE_BYTES - w->run_bytes;
		struct cr_image_run *run;

		if (now > bytes)
			now = bytes;
		run = &w->runs[w->n_runs];
		run->addr = addr;
		run->bytes = now;
		run->checksum = cr_image_sum(mem, now);
		w->run_mem[w->n_runs++] = mem;
		w->run_bytes += now;
		if (w->run_bytes == CR_IMAGE_RECORD_PAGE_BYTES || w->n_runs == CR_IMAGE_RECORD_RUNS) {
			int rc = cr_image_flush(w, err);

			if (rc < 0)
				return rc;
		}
		addr += now;
		mem += now;
		bytes -= now;
	}
	return 0;
}

int cr_image_put_pages(struct cr_image_writer *w, uint64_t addr, const void *mem, size_t bytes, uint32_t flags, struct cr_err *err)
{
	const char *at = mem;
	size_t begin = 0, i;
	int rc;

	rc = writer_usable(w, err);
	if (rc < 0)
		return rc;
	if ((addr | bytes) % CR_IMAGE_PAGE_BYTES || (flags & ~CR_PAGES_KEEP_ZERO))
		return cr_err_set(err, EINVAL, "pages at 0x%llx, %zu bytes: not whole pages", (unsigned long long)addr, bytes);
	if (flags & CR_PAGES_KEEP_ZERO)
		return writer_add_run(w, addr, at, bytes, err);
	for (i = 0; i < bytes; i += CR_IMAGE_PAGE_BYTES) {
		/* A long run is handed on in pieces, so that its bytes are still in the cache. */
		if (!page_is_zero(at + i)) {
			if (i - begin + CR_IMAGE_PAGE_BYTES < CR_IMAGE_RECORD_PAGE_BYTES)
				continue;
			rc = writer_add_run(w, addr + begin, at + begin, i + CR_IMAGE_PAGE_BYTES - begin, err);
		} else {
			rc = writer_add_run(w, addr + begin, at + begin, i - begin, err);
		}
		if (rc < 0)
			return rc;
		begin = i + CR_IMAGE_PAGE_BYTES;
	}
	return writer_add_run(w, addr + begin, at + begin, bytes - begin, err);
}

int cr_image_finish(struct cr_image_writer *w, struct cr_image_totals *ret_totals, struct cr_err *err)
{
	struct cr_image_end end;
	int rc;

	rc = cr_image_flush(w, err);
	if (rc < 0)
		return rc;
	end.file_bytes = w->offset + sizeof(struct cr_image_head) + sizeof(end);
	end.records = w->records + 1;
	end.pages = w->pages;
	end.checksum = XXH3_64bits_digest(w->sum);
	rc = writer_put(w, CR_REC_END, &end, sizeof(end), err);
	if (rc < 0)
		return rc;
	w->finished = true;
	if (ret_totals)
		*ret_totals = (struct cr_image_totals){
			.file_bytes = end.file_bytes,
			.records = end.records,
			.pages = end.pages,
			.checksum = end.checksum,
		};
	return 0;
}

void cr_image_writer_destroy(struct cr_image_writer *w)
{
	if (!w)
		return;
	XXH3_freeState(w->sum);
	free(w);
}

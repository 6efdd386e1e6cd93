/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a context file: checks all of it once, keeps an index, and trusts the index from then on.
 *
 * Invariant: after a good open every entry of the index lies within the mapping.
 */
#include "libcr/image/cr_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcr/cr_layout.h"
#include "libcr/image/cr_image_format.h"
#include "libcr/image/cr_image_sum.h"

#define READ_CHUNK_BYTES (256u << 10)

/* A record, or one run of a PAGES record. */
struct image_entry {
	uint32_t type;
	uint64_t data_offset;
	uint64_t bytes;
	uint64_t addr;
	uint64_t checksum;
};

struct cr_image {
	int fd;
	char *name;
	const uint8_t *map;
	uint64_t bytes;
	struct image_entry *entries;
	size_t n_entries;
	size_t max_entries;
	struct cr_image_totals totals;

	struct cr_image **parts;
	uint32_t n_parts;
	bool is_part;  /* map and fd are those of the file around it */
	uint64_t base; /* of a part: where it begins in the file */
};

/* Where the scan stands. */
struct image_scan {
	struct cr_image *img;
	struct cr_err *err;
	XXH3_state_t *sum;
	uint64_t offset; /* of the head being looked at */
	uint64_t records;
	uint64_t pages;
	struct cr_image_head head; /* a copy: the file may be changed under us, the copy not */
	bool ended;
};

/* @damage: -EBADMSG damaged, -ENODATA cut, -ENOTSUP */
__attribute__((format(printf, 3, 4))) static int scan_fail(struct image_scan *s, int damage, const char *fmt, ...)
{
	char text[192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return cr_err_set(s->err, damage, "context file %s: record %llu (%s) at offset 0x%llx: %s; %s", s->img->name,
			  (unsigned long long)s->records, cr_image_type_name(s->head.type), (unsigned long long)s->offset, text,
			  damage == -ENOTSUP ? "use the release that wrote it" : "the file is damaged, use another snapshot");
}

static bool all_zero(const uint8_t *mem, uint64_t bytes)
{
	uint8_t any = 0;

	for (uint64_t i = 0; i < bytes; i++)
		any |= mem[i];
	return any == 0;
}

static int image_check_header(struct cr_image *img, struct cr_err *err)
{
	struct cr_image_header h;

	if (img->bytes < sizeof(h))
		return cr_err_set(err, ENODATA, "context file %s: only %llu bytes long, shorter than its header; the file is incomplete, use another snapshot",
				  img->name, (unsigned long long)img->bytes);
	memcpy(&h, img->map, sizeof(h));
	if (memcmp(h.magic, CR_IMAGE_MAGIC, sizeof(h.magic)) != 0)
		return cr_err_set(err, EINVAL, "%s: not a context file: it does not begin with the magic number", img->name);
	if (h.byte_order == __builtin_bswap32(CR_IMAGE_BYTE_ORDER))
		return cr_err_set(err, ENOTSUP, "context file %s: written on a machine with the other byte order; restart it there", img->name);
	if (h.checksum != cr_image_sum(&h, offsetof(struct cr_image_header, checksum)))
		return cr_err_set(err, EBADMSG, "context file %s: header at offset 0: checksum is wrong; the file is damaged, use another snapshot",
				  img->name);
	if (h.version != CR_IMAGE_VERSION)
		return cr_err_set(err, ENOTSUP, "context file %s: format version %u; this program reads version %u: use the release that wrote it",
				  img->name, h.version, CR_IMAGE_VERSION);
	if (h.byte_order != CR_IMAGE_BYTE_ORDER || h.header_bytes != sizeof(h) || h.head_bytes != sizeof(struct cr_image_head) || h.reserved)
		return cr_err_set(err, EBADMSG, "context file %s: header at offset 0: a field has a value that version %u does not allow", img->name,
				  CR_IMAGE_VERSION);
	if (h.machine != CR_IMAGE_MACHINE || h.page_bytes != CR_IMAGE_PAGE_BYTES)
		return cr_err_set(err, ENOTSUP, "context file %s: for machine type %u with pages of %u bytes; here it is %u with %u", img->name,
				  h.machine, h.page_bytes, CR_IMAGE_MACHINE, CR_IMAGE_PAGE_BYTES);
	if (h.window_base != CR_WINDOW_BASE || h.window_end != CR_WINDOW_END)
		return cr_err_set(err, ENOTSUP,
				  "context file %s: for a program at addresses 0x%llx-0x%llx; this build has it at 0x%lx-0x%lx: use the release that wrote it",
				  img->name, (unsigned long long)h.window_base, (unsigned long long)h.window_end, CR_WINDOW_BASE, CR_WINDOW_END);
	return 0;
}

static int image_scan(struct cr_image *img, struct cr_err *err);

static int scan_add(struct image_scan *s, const struct image_entry *entry)
{
	struct cr_image *img = s->img;

	if (img->n_entries == img->max_entries) {
		size_t more = img->max_entries ? 2 * img->max_entries : 256;
		struct image_entry *entries = reallocarray(img->entries, more, sizeof(*entries));

		if (!entries)
			return cr_err_set(s->err, ENOMEM, "context file %s: no memory for an index of %zu records", img->name, more);
		img->entries = entries;
		img->max_entries = more;
	}
	img->entries[img->n_entries++] = *entry;
	return 0;
}

static int scan_head(struct image_scan *s)
{
	const struct cr_image_head *h = &s->head;
	uint64_t left = s->img->bytes - s->offset;

	memset(&s->head, 0, sizeof(s->head));
	if (left == 0)
		return cr_err_set(s->err, ENODATA, "context file %s: no end record after %llu records; the checkpoint did not finish, use another snapshot",
				  s->img->name, (unsigned long long)s->records);
	if (left < sizeof(*h))
		return cr_err_set(s->err, ENODATA, "context file %s: cut within the head of record %llu at offset 0x%llx; the file is incomplete, use another snapshot",
				  s->img->name, (unsigned long long)s->records, (unsigned long long)s->offset);
	memcpy(&s->head, s->img->map + s->offset, sizeof(s->head));
	if (h->head_checksum != cr_image_sum(h, offsetof(struct cr_image_head, head_checksum)))
		return scan_fail(s, -EBADMSG, "checksum of the record's head is wrong");
	if (h->file_offset != s->offset)
		return scan_fail(s, -EBADMSG, "the head says that it belongs at offset 0x%llx", (unsigned long long)h->file_offset);
	if (strcmp(cr_image_type_name(h->type), "unknown") == 0 && !(h->flags & CR_IMAGE_FLAG_OPTIONAL))
		return scan_fail(s, -ENOTSUP, "type %u is not known to this program", h->type);
	if ((h->flags & ~CR_IMAGE_FLAG_OPTIONAL) || h->reserved || (h->runs && h->type != CR_REC_PAGES))
		return scan_fail(s, -EBADMSG, "the head has bits set that version %u does not allow", CR_IMAGE_VERSION);
	if (h->payload_bytes > left - sizeof(*h) ||
	    cr_image_round_up(h->payload_bytes, CR_IMAGE_ALIGN) > left - sizeof(*h))
		return scan_fail(s, -ENODATA, "cut: the payload has %llu bytes, %llu are left", (unsigned long long)h->payload_bytes,
				 (unsigned long long)(left - sizeof(*h)));
	return 0;
}

static int scan_run(struct image_scan *s, const struct cr_image_run *run, uint64_t data_offset, uint64_t left)
{
	struct image_entry entry = {
		.type = CR_REC_PAGES,
		.data_offset = data_offset,
		.bytes = run->bytes,
		.addr = run->addr,
		.checksum = run->checksum,
	};

	if (run->bytes == 0 || run->bytes > left || (run->addr | run->bytes) % CR_IMAGE_PAGE_BYTES || run->addr + run->bytes < run->addr)
		return scan_fail(s, -EBADMSG, "run of %llu bytes for address 0x%llx is not possible, %llu bytes are left in the record",
				 (unsigned long long)run->bytes, (unsigned long long)run->addr, (unsigned long long)left);
	s->pages += run->bytes / CR_IMAGE_PAGE_BYTES;
	return scan_add(s, &entry);
}

static int scan_pages(struct image_scan *s)
{
	uint64_t table = s->offset + sizeof(s->head);
	uint64_t end = table + s->head.payload_bytes;
	uint64_t table_bytes = (uint64_t)s->head.runs * sizeof(struct cr_image_run);
	uint64_t data = cr_image_pages_offset(s->offset, s->head.runs);

	if (s->head.runs == 0 || s->head.runs > CR_IMAGE_RUNS_MAX || data > end)
		return scan_fail(s, -EBADMSG, "%u runs do not fit in %llu bytes", s->head.runs, (unsigned long long)s->head.payload_bytes);
	if (s->head.payload_checksum != cr_image_sum(s->img->map + table, table_bytes))
		return scan_fail(s, -EBADMSG, "checksum of the run table is wrong");
	if (!all_zero(s->img->map + table + table_bytes, data - table - table_bytes))
		return scan_fail(s, -EBADMSG, "the padding after the run table is not zero");
	for (uint32_t i = 0; i < s->head.runs; i++) {
		struct cr_image_run run;
		int rc;

		memcpy(&run, s->img->map + table + i * sizeof(run), sizeof(run));
		rc = scan_run(s, &run, data, end - data);
		if (rc < 0)
			return rc;
		data += run.bytes;
	}
	if (data != end)
		return scan_fail(s, -EBADMSG, "%llu bytes belong to no run", (unsigned long long)(end - data));
	return 0;
}

static int scan_part_open(struct image_scan *s, const struct cr_image_part *p, uint64_t data)
{
	struct cr_image **parts, *part;
	char name[32];
	int rc;

	parts = reallocarray(s->img->parts, s->img->n_parts + 1, sizeof(*parts));
	if (!parts)
		return cr_err_set(s->err, ENOMEM, "context file %s: no memory to read it", s->img->name);
	s->img->parts = parts;
	part = calloc(1, sizeof(*part));
	if (!part)
		return cr_err_set(s->err, ENOMEM, "context file %s: no memory to read it", s->img->name);
	parts[s->img->n_parts++] = part;
	snprintf(name, sizeof(name), ", part %u", p->number);
	*part = (struct cr_image){ .fd = s->img->fd, .map = s->img->map + data, .bytes = p->file_bytes, .is_part = true, .base = data };
	if (asprintf(&part->name, "%s%s", s->img->name, name) < 0) {
		part->name = NULL;
		return cr_err_set(s->err, ENOMEM, "context file %s: no memory to read it", s->img->name);
	}
	rc = image_check_header(part, s->err);
	return rc < 0 ? rc : image_scan(part, s->err);
}

static int scan_part(struct image_scan *s)
{
	uint64_t at = s->offset + sizeof(s->head), data = cr_image_part_offset(s->offset), end = at + s->head.payload_bytes;
	struct cr_image_part p;
	int rc;

	if (s->img->is_part)
		return scan_fail(s, -EBADMSG, "a part within a part");
	if (data > end)
		return scan_fail(s, -EBADMSG, "%llu bytes are too few for a part", (unsigned long long)s->head.payload_bytes);
	if (s->head.payload_checksum != cr_image_sum(s->img->map + at, sizeof(p)))
		return scan_fail(s, -EBADMSG, "checksum of the part's description is wrong");
	memcpy(&p, s->img->map + at, sizeof(p));
	if (p.reserved || p.number != s->img->n_parts || p.file_bytes != end - data)
		return scan_fail(s, -EBADMSG, "part %u of %llu bytes does not fit here", p.number, (unsigned long long)p.file_bytes);
	if (!all_zero(s->img->map + at + sizeof(p), data - at - sizeof(p)))
		return scan_fail(s, -EBADMSG, "the padding before the part is not zero");
	rc = scan_part_open(s, &p, data);
	if (rc < 0)
		return rc;
	if (s->img->parts[p.number]->totals.checksum != p.checksum)
		return scan_fail(s, -EBADMSG, "the checksum of the part is not the one stated for it");
	s->pages += s->img->parts[p.number]->totals.pages;
	return scan_add(s, &(struct image_entry){ .type = CR_REC_PART, .data_offset = at, .bytes = sizeof(p), .checksum = s->head.payload_checksum });
}

static int scan_end(struct image_scan *s)
{
	struct cr_image_end end;
	uint64_t file_bytes = s->offset + sizeof(s->head) + sizeof(end);

	if (s->head.payload_bytes != sizeof(end))
		return scan_fail(s, -EBADMSG, "the payload has %llu bytes, not %zu", (unsigned long long)s->head.payload_bytes, sizeof(end));
	memcpy(&end, s->img->map + s->offset + sizeof(s->head), sizeof(end));
	if (end.file_bytes != s->img->bytes || file_bytes != s->img->bytes)
		return scan_fail(s, -EBADMSG, "the file should be %llu bytes long, it has %llu", (unsigned long long)end.file_bytes,
				 (unsigned long long)s->img->bytes);
	if (end.records != s->records + 1)
		return scan_fail(s, -EBADMSG, "%llu records expected, %llu found", (unsigned long long)end.records,
				 (unsigned long long)s->records + 1);
	if (end.pages != s->pages)
		return scan_fail(s, -EBADMSG, "%llu pages expected, %llu found", (unsigned long long)end.pages, (unsigned long long)s->pages);
	if (end.checksum != XXH3_64bits_digest(s->sum))
		return scan_fail(s, -EBADMSG, "the checksum over all record heads is wrong");
	s->img->totals = (struct cr_image_totals){
		.file_bytes = end.file_bytes,
		.records = end.records,
		.pages = end.pages,
		.checksum = end.checksum,
	};
	s->ended = true;
	return 0;
}

static int scan_plain(struct image_scan *s)
{
	struct image_entry entry = {
		.type = s->head.type,
		.data_offset = s->offset + sizeof(s->head),
		.bytes = s->head.payload_bytes,
		.checksum = s->head.payload_checksum,
	};

	if (entry.checksum != cr_image_sum(s->img->map + entry.data_offset, entry.bytes))
		return scan_fail(s, -EBADMSG, "checksum of the payload is wrong");
	if (entry.type == CR_REC_END)
		return scan_end(s);
	return scan_add(s, &entry);
}

static int scan_record(struct image_scan *s)
{
	uint64_t payload, payload_bytes, padded;
	int rc;

	rc = scan_head(s);
	if (rc < 0)
		return rc;
	payload = s->offset + sizeof(s->head);
	payload_bytes = s->head.payload_bytes;
	padded = cr_image_round_up(payload_bytes, CR_IMAGE_ALIGN);
	if (!all_zero(s->img->map + payload + payload_bytes, padded - payload_bytes))
		return scan_fail(s, -EBADMSG, "the padding after the payload is not zero");
	rc = s->head.type == CR_REC_PAGES ? scan_pages(s) : s->head.type == CR_REC_PART ? scan_part(s) : scan_plain(s);
	if (rc < 0)
		return rc;
	XXH3_64bits_update(s->sum, &s->head, sizeof(s->head));
	s->records++;
	s->offset = payload + padded;
	return 0;
}

static int image_scan(struct cr_image *img, struct cr_err *err)
{
	struct image_scan s = { .img = img, .err = err, .offset = sizeof(struct cr_image_header) };
	int rc = 0;

	s.sum = XXH3_createState();
	if (!s.sum)
		return cr_err_set(err, ENOMEM, "context file %s: no memory to read it", img->name);
	XXH3_64bits_reset(s.sum);
	XXH3_64bits_update(s.sum, img->map, sizeof(struct cr_image_header));
	while (rc == 0 && !s.ended)
		rc = scan_record(&s);
	XXH3_freeState(s.sum);
	return rc;
}

static int image_map(struct cr_image *img, struct cr_err *err)
{
	struct stat st;
	void *map;

	if (fstat(img->fd, &st) < 0)
		return cr_err_set(err, errno, "context file %s cannot be read: %s", img->name, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return cr_err_set(err, EINVAL, "%s: not a context file: not a regular file", img->name);
	img->bytes = (uint64_t)st.st_size;
	if (img->bytes == 0)
		return cr_err_set(err, ENODATA, "context file %s: empty; the checkpoint did not finish, use another snapshot", img->name);
	map = mmap(NULL, img->bytes, PROT_READ, MAP_PRIVATE, img->fd, 0);
	if (map == MAP_FAILED)
		return cr_err_set(err, errno, "context file %s cannot be mapped: %s", img->name, strerror(errno));
	img->map = map;
	return 0;
}

int cr_image_open(int fd, const char *name, struct cr_image **ret_img, struct cr_err *err)
{
	struct cr_image *img;
	int rc;

	img = calloc(1, sizeof(*img));
	if (!img)
		return cr_err_set(err, ENOMEM, "context file %s: no memory to read it", name);
	img->fd = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
	if (img->fd < 0) {
		rc = cr_err_set(err, errno, "context file %s cannot be read: %s", name, strerror(errno));
		goto close_img;
	}
	img->name = strdup(name);
	if (!img->name) {
		rc = cr_err_set(err, ENOMEM, "context file %s: no memory to read it", name);
		goto close_img;
	}
	rc = image_map(img, err);
	if (rc < 0)
		goto close_img;
	rc = image_check_header(img, err);
	if (rc < 0)
		goto close_img;
	rc = image_scan(img, err);
	if (rc < 0)
		goto close_img;
	*ret_img = img;
	return 0;

close_img:
	cr_image_close(img);
	return rc;
}

void cr_image_close(struct cr_image *img)
{
	if (!img)
		return;
	for (uint32_t i = 0; i < img->n_parts; i++)
		cr_image_close(img->parts[i]);
	free(img->parts);
	if (img->map && !img->is_part)
		munmap((void *)(uintptr_t)img->map, img->bytes);
	if (img->fd >= 0 && !img->is_part)
		close(img->fd);
	free(img->entries);
	free(img->name);
	free(img);
}

int cr_image_next(const struct cr_image *img, struct cr_image_record *rec)
{
	const struct image_entry *entry;

	if (rec->cursor >= img->n_entries)
		return 0;
	entry = &img->entries[rec->cursor++];
	rec->type = entry->type;
	rec->bytes = entry->bytes;
	rec->data = img->map + entry->data_offset;
	rec->file_offset = entry->data_offset;
	rec->addr = entry->addr;
	rec->checksum = entry->checksum;
	return 1;
}

int cr_image_find(const struct cr_image *img, uint32_t type, struct cr_image_record *rec)
{
	rec->cursor = 0;
	while (cr_image_next(img, rec) > 0)
		if (rec->type == type)
			return 0;
	return -ENOENT;
}

uint32_t cr_image_parts(const struct cr_image *img)
{
	return img->n_parts;
}

struct cr_image *cr_image_part(const struct cr_image *img, uint32_t number)
{
	return number < img->n_parts ? img->parts[number] : NULL;
}

uint64_t cr_image_base(const struct cr_image *img)
{
	return img->base;
}

void cr_image_totals(const struct cr_image *img, struct cr_image_totals *ret_totals)
{
	*ret_totals = img->totals;
}

const char *cr_image_name(const struct cr_image *img)
{
	return img->name;
}

/* Reads @rec piece by piece and checks it; @step 0 reads every piece to the same place. */
static int image_read(const struct cr_image *img, const struct cr_image_record *rec, char *mem, int step, XXH3_state_t *sum,
		      struct cr_err *err)
{
	uint64_t done = 0;

	XXH3_64bits_reset(sum);
	while (done < rec->bytes) {
		size_t want = rec->bytes - done < READ_CHUNK_BYTES ? rec->bytes - done : READ_CHUNK_BYTES;
		char *to = step ? mem + done : mem;
		ssize_t got = pread(img->fd, to, want, (off_t)(img->base + rec->file_offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return cr_err_set(err, got < 0 ? errno : ENODATA,
					  "context file %s: pages of address 0x%llx at offset 0x%llx cannot be read: %s; use another snapshot",
					  img->name, (unsigned long long)(rec->addr + done), (unsigned long long)(rec->file_offset + done),
					  got < 0 ? strerror(errno) : "the file became shorter");
		XXH3_64bits_update(sum, to, (size_t)got);
		done += (uint64_t)got;
	}
	if (XXH3_64bits_digest(sum) != rec->checksum)
		return cr_err_set(err, EBADMSG,
				  "context file %s: record PAGES: checksum of the pages of addresses 0x%llx-0x%llx at offset 0x%llx is wrong; the file is damaged, use another snapshot",
				  img->name, (unsigned long long)rec->addr, (unsigned long long)(rec->addr + rec->bytes),
				  (unsigned long long)rec->file_offset);
	return 0;
}

int cr_image_read_pages(const struct cr_image *img, const struct cr_image_record *rec, void *mem, struct cr_err *err)
{
	XXH3_state_t *sum = XXH3_createState();
	int rc;

	if (!sum)
		return cr_err_set(err, ENOMEM, "context file %s: no memory to read it", img->name);
	rc = image_read(img, rec, mem, 1, sum, err);
	XXH3_freeState(sum);
	return rc;
}

/* Pages of an image and of its parts. */
struct image_verify {
	void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes);
	void *arg;
	uint64_t total, done, told;
	XXH3_state_t *sum;
	char *mem;
};

static int verify_one(struct image_verify *v, const struct cr_image *img, struct cr_err *err)
{
	struct cr_image_record rec = { .cursor = 0 };
	int rc = 0;

	while (rc == 0 && cr_image_next(img, &rec) > 0) {
		if (rec.type != CR_REC_PAGES)
			continue;
		rc = image_read(img, &rec, v->mem, 0, v->sum, err);
		if (rc < 0)
			return rc;
		v->done += rec.bytes;
		if (v->progress && (v->done == v->total || v->done - v->told >= (16u << 20))) {
			v->progress(v->arg, v->done, v->total);
			v->told = v->done;
		}
	}
	for (uint32_t i = 0; rc == 0 && i < img->n_parts; i++)
		rc = verify_one(v, img->parts[i], err);
	return rc;
}

int cr_image_verify_pages(struct cr_image *img, void (*progress)(void *arg, uint64_t done_bytes, uint64_t total_bytes), void *arg,
			  struct cr_err *err)
{
	struct image_verify v = { .progress = progress, .arg = arg, .total = img->totals.pages * CR_IMAGE_PAGE_BYTES };
	int rc;

	v.sum = XXH3_createState();
	v.mem = malloc(READ_CHUNK_BYTES);
	if (!v.sum || !v.mem)
		rc = cr_err_set(err, ENOMEM, "context file %s: no memory to read it", img->name);
	else
		rc = verify_one(&v, img, err);
	free(v.mem);
	XXH3_freeState(v.sum);
	return rc;
}

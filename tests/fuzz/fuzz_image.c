/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: whatever the bytes are, the reader of the context file refuses or reads them without harm.
 *
 * Every input is read twice: as it is, and with its checksums put right, since few changes get past those by chance.
 *
 *	make tests/fuzz/fuzz_image && mkdir -p corpus && tests/fuzz/fuzz_image -make_corpus=corpus
 *	tests/fuzz/fuzz_image -max_total_time=60 -max_len=65536 corpus
 *
 * -make_corpus writes a few good files to start from.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/cr_image_format.h"
#include "libcr/image/cr_image_sum.h"
#include "libcr/image/cr_vma.h"
#include "libcr/lower/mem_private.h"

#define PAGE CR_IMAGE_PAGE_BYTES

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Reads all that a restart would read. */
static void read_image(int fd)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_mem_plan *plan;
	struct cr_image *img;
	struct cr_err err;
	uint64_t sum = 0;

	if (cr_image_open(fd, "input", &img, &err) < 0) {
		if (strlen(err.text) < 10)
			abort();
		return;
	}
	while (cr_image_next(img, &rec) > 0)
		sum += cr_image_sum(rec.data, rec.bytes);
	if (cr_image_verify_pages(img, NULL, NULL, &err) < 0 && strlen(err.text) < 10)
		abort();
	if (cr_mem_plan_create(img, &plan, &err) == 0) {
		for (rec.cursor = 0; cr_image_next(img, &rec) > 0;)
			if (rec.type == CR_REC_PAGES && !cr_mem_plan_find(plan, rec.addr))
				abort();
		cr_mem_plan_destroy(plan);
	}
	cr_image_close(img);
	/* so that the sums are needed */
	if (sum == 42)
		putchar('.');
}

static void repair_pages(uint8_t *data, size_t bytes, uint64_t at, struct cr_image_head *head)
{
	uint64_t table = at + sizeof(*head), page = cr_image_pages_offset(at, head->runs);

	for (uint32_t i = 0; i < head->runs; i++) {
		uint64_t entry = table + i * sizeof(struct cr_image_run);
		struct cr_image_run run;

		if (entry + sizeof(run) > bytes)
			return;
		memcpy(&run, data + entry, sizeof(run));
		if (page <= bytes && run.bytes <= bytes - page) {
			run.checksum = cr_image_sum(data + page, run.bytes);
			page += run.bytes;
		}
		memcpy(data + entry, &run, sizeof(run));
	}
	head->payload_checksum = cr_image_sum(data + table, head->runs * sizeof(struct cr_image_run));
}

/* Puts right what only a checksum or a count says, and leaves lengths and content as they are. */
static void repair(uint8_t *data, size_t bytes)
{
	struct cr_image_header header;
	XXH3_state_t *sum = XXH3_createState();
	uint64_t at = sizeof(header), records = 0;

	if (!sum || bytes < sizeof(header))
		goto free_sum;
	memcpy(&header, data, sizeof(header));
	header.checksum = cr_image_sum(&header, offsetof(struct cr_image_header, checksum));
	memcpy(data, &header, sizeof(header));
	XXH3_64bits_reset(sum);
	XXH3_64bits_update(sum, &header, sizeof(header));
	while (at + sizeof(struct cr_image_head) <= bytes) {
		struct cr_image_head head;
		uint64_t payload = at + sizeof(head);

		memcpy(&head, data + at, sizeof(head));
		if (head.payload_bytes > bytes - payload)
			break;
		records++;
		head.file_offset = at;
		if (head.type == CR_REC_END && head.payload_bytes == sizeof(struct cr_image_end)) {
			struct cr_image_end end;

			memcpy(&end, data + payload, sizeof(end));
			end.file_bytes = bytes;
			end.records = records;
			end.checksum = XXH3_64bits_digest(sum);
			memcpy(data + payload, &end, sizeof(end));
		}
		if (head.type == CR_REC_PAGES)
			repair_pages(data, bytes, at, &head);
		else
			head.payload_checksum = cr_image_sum(data + payload, head.payload_bytes);
		head.head_checksum = cr_image_sum(&head, offsetof(struct cr_image_head, head_checksum));
		memcpy(data + at, &head, sizeof(head));
		XXH3_64bits_update(sum, &head, sizeof(head));
		at = cr_image_round_up(payload + head.payload_bytes, CR_IMAGE_ALIGN);
	}
free_sum:
	XXH3_freeState(sum);
}

static void read_bytes(const uint8_t *data, size_t bytes)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz_image", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, bytes, 0) != (ssize_t)bytes)
		abort();
	read_image(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t *copy = malloc(bytes + 1);

	if (!copy)
		return 0;
	read_bytes(data, bytes);
	if (bytes)
		memcpy(copy, data, bytes);
	repair(copy, bytes);
	read_bytes(copy, bytes);
	free(copy);
	return 0;
}

/* --- files to start from --- */

static void put_vma(struct cr_image_writer *w, uint64_t start, unsigned int pages, uint32_t kind, const char *name)
{
	struct {
		struct cr_vma vma;
		char name[32];
	} payload = { .vma = { .start = start, .end = start + pages * PAGE, .prot = 3, .kind = kind } };

	if (name) {
		payload.vma.name_bytes = (uint32_t)strlen(name) + 1;
		snprintf(payload.name, sizeof(payload.name), "%s", name);
	}
	if (cr_image_put(w, CR_REC_VMA, &payload, sizeof(payload.vma) + payload.vma.name_bytes, NULL) < 0)
		abort();
}

static void make_file(const char *dir, unsigned int which)
{
	static unsigned char mem[6 * PAGE];
	struct cr_image_writer *w;
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/good-%u", dir, which);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || cr_image_writer_create(fd, &w, NULL) < 0) {
		perror(path);
		exit(1);
	}
	for (unsigned int i = 0; i < 6; i++)
		mem[i * PAGE] = i != 3;
	if (which >= 1)
		cr_image_put(w, CR_REC_HOST, "host", 5, NULL);
	if (which >= 2) {
		put_vma(w, 0x200000100000, 6, CR_VMA_ANON, NULL);
		put_vma(w, 0x200000200000, 2, CR_VMA_FILE_PRIVATE, "/lib/a.so");
		put_vma(w, 0x200000300000, 2, CR_VMA_ANON_SHARED, NULL);
	}
	if (which >= 3)
		cr_image_put_pages(w, 0x200000100000, mem, sizeof(mem), 0, NULL);
	if (which >= 4)
		cr_image_put_pages(w, 0x200000200000, mem, PAGE, CR_PAGES_KEEP_ZERO, NULL);
	if (cr_image_finish(w, NULL, NULL) < 0)
		abort();
	cr_image_writer_destroy(w);
	close(fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char option[] = "-make_corpus=";

	for (int i = 1; i < *argc; i++) {
		const char *arg = (*argv)[i];

		if (strncmp(arg, option, sizeof(option) - 1) != 0)
			continue;
		for (unsigned int which = 0; which < 5; which++)
			make_file(arg + sizeof(option) - 1, which);
		exit(0);
	}
	return 0;
}

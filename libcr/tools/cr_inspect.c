/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cr_inspect: print the records of a context file, and check it.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/cr_vma.h"
#include "libcr/tools/inspect_record.h"
#include "libcr/tools/json.h"
#include "libcr/tools/progress.h"

enum { EXIT_GOOD = 0, EXIT_BAD_FILE = 1, EXIT_USAGE = 2 };

struct inspect {
	const char *path;
	bool json;
	bool verify;
	bool pages;
	bool quiet;
	struct cr_progress progress;
	struct cr_image *img;
	uint64_t *stored; /* bytes of pages per VMA record, in the order of the file */
};

static const char usage[] =
	"Usage: cr_inspect [OPTION]... FILE\n"
	"Print the records of a context file, one per line, and check the file.\n"
	"\n"
	"      --verify    also check every memory page\n"
	"      --pages     list every run of memory pages\n"
	"      --json      print JSON\n"
	"  -q, --quiet     print nothing but errors: the exit status tells; no progress bar\n"
	"  -v, --verbose   the same as --pages\n"
	"  -h, --help      print this help\n"
	"  -V, --version   print the version\n"
	"\n"
	"Exit status: 0 the file is complete and undamaged, 1 it is not, or cannot be read, 2 wrong usage.\n"
	"Structure and records are always checked; memory pages only with --verify.\n";

struct vma_slot {
	uint64_t start, end;
	size_t index;
};

static int slot_compare(const void *a, const void *b)
{
	const struct vma_slot *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void count_run(struct inspect *in, const struct vma_slot *slot, size_t n, const struct cr_image_record *rec)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slot[middle].end <= rec->addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < n && slot[low].start <= rec->addr)
		in->stored[slot[low].index] += rec->bytes;
}

/* How much of each area is in the file. */
static int count_stored(struct inspect *in)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct vma_slot *slot;
	size_t n = 0;

	while (cr_image_next(in->img, &rec) > 0)
		n += rec.type == CR_REC_VMA;
	slot = calloc(n + 1, sizeof(*slot));
	in->stored = calloc(n + 1, sizeof(*in->stored));
	if (!slot || !in->stored) {
		free(slot);
		return -ENOMEM;
	}
	n = 0;
	for (rec.cursor = 0; cr_image_next(in->img, &rec) > 0;) {
		size_t name_bytes;
		struct cr_vma vma;
		const char *name;

		if (rec.type != CR_REC_VMA)
			continue;
		if (inspect_get_vma(&rec, &vma, &name, &name_bytes))
			slot[n] = (struct vma_slot){ vma.start, vma.end, n };
		n++;
	}
	qsort(slot, n, sizeof(*slot), slot_compare);
	for (rec.cursor = 0; cr_image_next(in->img, &rec) > 0;)
		if (rec.type == CR_REC_PAGES)
			count_run(in, slot, n, &rec);
	free(slot);
	return 0;
}

static void print_records(const struct inspect *in)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_image_totals totals;
	size_t vma = 0;

	cr_image_totals(in->img, &totals);
	printf("%-14s %-10s %12s  %s\n", "offset", "record", "bytes", "content");
	while (cr_image_next(in->img, &rec) > 0) {
		if (rec.type == CR_REC_PAGES && !in->pages)
			continue;
		printf("0x%-12" PRIx64 " %-10s %12" PRIu64 "  ", rec.file_offset, cr_image_type_name(rec.type), rec.bytes);
		inspect_record(&rec, rec.type == CR_REC_VMA ? in->stored[vma++] : 0, false);
		putchar('\n');
	}
	printf("%s: %" PRIu64 " bytes, %" PRIu64 " records, %" PRIu64 " pages (%" PRIu64 " KiB), checksum %016" PRIx64 ", complete%s\n", in->path,
	       totals.file_bytes, totals.records, totals.pages, totals.pages * 4, totals.checksum, in->verify ? ", every page checked" : "");
}

/* A part is a file of its own: printed like one. */
static int print_parts(const struct inspect *in, void (*print)(const struct inspect *in), const char *between)
{
	for (uint32_t i = 0; i < cr_image_parts(in->img); i++) {
		struct inspect part = *in;

		part.img = cr_image_part(in->img, i);
		part.path = cr_image_name(part.img);
		part.stored = NULL;
		if (count_stored(&part) < 0)
			return -ENOMEM;
		printf("%s\n", i ? between : "");
		print(&part);
		free(part.stored);
	}
	return 0;
}

static void print_records_json(const struct inspect *in)
{
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_image_totals totals;
	const char *between = "";
	size_t vma = 0;

	cr_image_totals(in->img, &totals);
	printf("{\"file\": ");
	cr_json_string(stdout, in->path, strlen(in->path));
	printf(", \"complete\": true, \"pages_verified\": %s, \"file_bytes\": %" PRIu64 ", \"records\": %" PRIu64 ", \"pages\": %" PRIu64
	       ", \"checksum\": \"%016" PRIx64 "\", \"entries\": [",
	       in->verify ? "true" : "false", totals.file_bytes, totals.records, totals.pages, totals.checksum);
	while (cr_image_next(in->img, &rec) > 0) {
		if (rec.type == CR_REC_PAGES && !in->pages)
			continue;
		printf("%s\n  {\"type\": %" PRIu32 ", \"record\": \"%s\", \"file_offset\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"checksum\": \"%016" PRIx64 "\"", between,
		       rec.type, cr_image_type_name(rec.type), rec.file_offset, rec.bytes, rec.checksum);
		between = ",";
		inspect_record(&rec, rec.type == CR_REC_VMA ? in->stored[vma++] : 0, true);
		putchar('}');
	}
	printf("\n]");
	if (cr_image_parts(in->img)) {
		printf(", \"parts\": [");
		print_parts(in, print_records_json, ",");
		printf("]");
	}
	printf("}\n");
}

static int fail(const struct inspect *in, const char *text, int status)
{
	fprintf(stderr, "cr_inspect: %s\n", text);
	if (in->json) {
		printf("{\"file\": ");
		cr_json_string(stdout, in->path, strlen(in->path));
		printf(", \"complete\": false, \"error\": ");
		cr_json_string(stdout, text, strlen(text));
		printf("}\n");
	}
	return status;
}

static void progress(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
	struct inspect *in = arg;

	in->progress.total = total_bytes;
	cr_progress_set(&in->progress, done_bytes);
}

static int inspect_run(struct inspect *in)
{
	struct cr_err err = { "" };
	int fd, rc;

	fd = open(in->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		cr_err_set(&err, errno, "%s cannot be opened: %s", in->path, strerror(errno));
		return fail(in, err.text, EXIT_BAD_FILE);
	}
	rc = cr_image_open(fd, in->path, &in->img, &err);
	close(fd);
	if (rc < 0)
		return fail(in, err.text, EXIT_BAD_FILE);
	if (in->verify) {
		cr_progress_begin(&in->progress, "verify", 0, in->quiet);
		rc = cr_image_verify_pages(in->img, progress, in, &err);
		cr_progress_end(&in->progress);
		if (rc < 0)
			return fail(in, err.text, EXIT_BAD_FILE);
	}
	if (count_stored(in) < 0)
		return fail(in, "out of memory", EXIT_BAD_FILE);
	if (in->quiet)
		return EXIT_GOOD;
	if (in->json)
		print_records_json(in);
	else
		print_records(in);
	if (!in->json && print_parts(in, print_records, "") < 0)
		return fail(in, "out of memory", EXIT_USAGE);
	if (fflush(stdout) != 0) {
		fprintf(stderr, "cr_inspect: standard output cannot be written: %s\n", strerror(errno));
		return EXIT_BAD_FILE;
	}
	return EXIT_GOOD;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "verify", no_argument, NULL, 'c' }, { "verbose", no_argument, NULL, 'v' }, { "quiet", no_argument, NULL, 'q' }, { "pages", no_argument, NULL, 'p' },   { "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },   { "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 },
	};
	struct inspect in = { .path = NULL };
	int c, status;

	while ((c = getopt_long(argc, argv, "hVqv", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			in.verify = true;
			break;
		case 'q':
			in.quiet = true;
			break;
		case 'v':
		case 'p':
			in.pages = true;
			break;
		case 'j':
			in.json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_GOOD;
		case 'V':
			puts("cr_inspect (ompi-cr) " PACKAGE_VERSION);
			return EXIT_GOOD;
		default:
			fputs("Try 'cr_inspect --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind + 1 != argc) {
		fprintf(stderr, "cr_inspect: one FILE is needed\nTry 'cr_inspect --help'.\n");
		return EXIT_USAGE;
	}
	in.path = argv[optind];
	status = inspect_run(&in);
	cr_image_close(in.img);
	free(in.stored);
	return status;
}

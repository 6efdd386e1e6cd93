/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doctor IN OUT: copies a context file, sound in every checksum, as if it came from a processor that has every feature, AVX-512 and AMX among them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcr/image/cr_image.h"
#include "libcr/image/thread_payload.h"

static int put(struct cr_image_writer *w, const struct cr_image_record *rec, struct cr_err *err)
{
	struct cr_cpu_payload cpu;

	if (rec->type == CR_REC_PAGES)
		return cr_image_put_pages(w, rec->addr, rec->data, rec->bytes, CR_PAGES_KEEP_ZERO, err);
	if (rec->type != CR_REC_CPU)
		return cr_image_put(w, rec->type, rec->data, rec->bytes, err);
	memcpy(&cpu, rec->data, sizeof(cpu));
	cpu.leaf7_ebx = cpu.leaf7_ecx = cpu.leaf7_edx = ~0u;
	cpu.xcr0 |= 0xe0 | 3ull << 17;
	return cr_image_put(w, CR_REC_CPU, &cpu, sizeof(cpu), err);
}

int main(int argc, char **argv)
{
	int in = argc == 3 ? open(argv[1], O_RDONLY) : -1, out = argc == 3 ? open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600) : -1;
	struct cr_image_record rec = { .cursor = 0 };
	struct cr_image_writer *w = NULL;
	struct cr_image_totals totals;
	struct cr_image *img = NULL;
	struct cr_err err = { "cannot be opened" };
	int rc = -1;

	if (in >= 0 && out >= 0)
		rc = cr_image_open(in, argv[1], &img, &err);
	if (!rc)
		rc = cr_image_writer_create(out, &w, &err);
	while (!rc && cr_image_next(img, &rec) > 0)
		if (rec.type != CR_REC_END)
			rc = put(w, &rec, &err);
	if (!rc)
		rc = cr_image_finish(w, &totals, &err);
	if (rc)
		fprintf(stderr, "doctor: %s\n", err.text);
	cr_image_writer_destroy(w);
	cr_image_close(img);
	return rc ? 1 : 0;
}
